"""The commands `kiln tag` and `kiln download`: their options, and the jobs that these describe."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.cli_words import Parser, checked, here, here_or_none, number, tags_in
from core.control import Control
from core.errors import UserError
from core.events import Event
from core.jobs import DownloadJob, TagJob, failure
from core.tagging.options import BOTH_TEMPLATE, ON_EXISTING, ORDERS, TAGS_TEMPLATE, TagOptions
from core.text import tr

if TYPE_CHECKING:
    from core.hub.catalog import ModelCard, ModelKind

_THRESHOLDS = (
    ("general", "threshold", ("--general-threshold", "--threshold")),
    ("character", "character_threshold", ("--character-threshold",)),
    ("copyright", "copyright_threshold", ("--copyright-threshold",)),
    ("other", "other_threshold", ("--other-threshold",)),
)
_SOURCES = ("auto", "huggingface", "mirror", "modelscope")


def add_tag(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Declare `kiln tag` and its options."""
    usual = TagOptions()
    tag = verbs.add_parser("tag", help=tr("write a caption beside every picture"))
    tag.add_argument("folder", type=Path, metavar="FOLDER", help=tr("folder of pictures"))
    models = tag.add_argument_group(tr("models"))
    name_or_folder = tr("name of a model from kiln download --list, or its folder")
    models.add_argument("--model", "--tagger", default="", metavar="NAME-OR-FOLDER", help=name_or_folder)
    models.add_argument("--captioner", default="", metavar="NAME-OR-FOLDER", help=tr("the same, for sentences"))
    choice = tag.add_argument_group(tr("which tags"))
    for title, field, words in _THRESHOLDS:
        limit = tr("least score of {category} tags, usually {number}", category=title, number=getattr(usual, field))
        choice.add_argument(*words, dest=field, type=number, default=getattr(usual, field), metavar="X", help=limit)
    choice.add_argument("--mcut", action="store_true", help=tr("cut at the widest gap between scores instead"))
    choice.add_argument("--ratings", action="store_true", help=tr("also write the most certain rating"))
    choice.add_argument("--no-characters", action="store_true", help=tr("write no names of characters and series"))
    choice.add_argument("--add", default="", metavar="TAGS", help=tr("tags that are written first, with commas"))
    choice.add_argument(
        "--exclude", default="", metavar="TAGS", help=tr("tags that are never written; * stands for any letters")
    )
    choice.add_argument(
        "--replace",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help=tr("write one tag as another; may be repeated"),
    )
    choice.add_argument(
        "--prune", default="", metavar="TAGS", help=tr("tags of the character, left to the trigger word; also old ones")
    )
    form = tag.add_argument_group(tr("form of the captions"))
    form.add_argument("--trigger", default="", metavar="WORD", help=tr("word in front of every caption"))
    form.add_argument("--template", metavar="TEXT", help="{trigger}, {tags}. {sentence}")
    form.add_argument("--keep-underscores", action="store_true", help=tr("write long_hair, not long hair"))
    form.add_argument(
        "--escape-brackets", action="store_true", help=tr("write brackets as in prompts, with backslashes")
    )
    form.add_argument("--order", choices=ORDERS, default=usual.order, help=tr("by certainty or by name"))
    form.add_argument("--on-existing", choices=ON_EXISTING, default=usual.on_existing, help=tr("old captions"))
    tag.add_argument("--recursive", action="store_true", help=tr("with all sub-folders"))
    tag.add_argument("--edits", type=Path, default=Path(), metavar="FILE", help=tr("dataset file with decisions"))
    what = tag.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help=tr("only show what would be written"))
    what.add_argument("--undo", action="store_true", help=tr("take the last step in this folder back, byte for byte"))


def tag_job(options: argparse.Namespace) -> TagJob:
    """The job of `kiln tag`.

    Raises:
        UserError: A model of the catalogue is not here, or a name or folder is unknown.
        WrongUseError: A value is out of range.
    """
    template = options.template or (BOTH_TEMPLATE if options.captioner else TAGS_TEMPLATE)
    tagger, captioner = _model(options.model, "tagger"), _model(options.captioner, "captioner")
    with checked({"threshold": "--general-threshold"}):
        choice = TagOptions(
            tagger=tagger,
            captioner=captioner,
            template=template,
            **{field: getattr(options, field) for _, field, _ in _THRESHOLDS},
            mcut=options.mcut,
            ratings=options.ratings,
            characters=not options.no_characters,
            trigger_word=options.trigger,
            add=tags_in(options.add),
            exclude=tags_in(options.exclude),
            replace=tuple(pair for pairs in options.replace for pair in tags_in(pairs)),
            prune=tags_in(options.prune),
            replace_underscores=not options.keep_underscores,
            escape_brackets=options.escape_brackets,
            order=options.order,
            on_existing=options.on_existing,
        )
    return TagJob(
        folder=here(options.folder),
        edits=here_or_none(options.edits),
        options=choice,
        write=not options.dry_run,
        recursive=options.recursive,
    )


def undo(folder: Path, control: Control) -> Iterator[Event]:
    """Take the last step in a folder back; ends with `Finished` or `Failed`, as `core.jobs.run_to_end`."""
    from core.tagging.writing import undo_tagging

    try:
        yield from undo_tagging(here(folder), control)
    except Exception as error:  # The border of a job, as there.
        yield failure(error)


def _model(words: str, kind: ModelKind) -> Path:
    """The folder of a model that is named or lies in a folder; `Path()` for none, and for the starter tagger."""
    from core.hub.catalog import folder_of, is_here, known_models

    if not words or (words == "starter" and kind == "tagger"):
        return Path()
    card = next((card for card in known_models(kind) if card.key == words), None)
    if card is None:
        folder = here(Path(words))
        if not folder.is_dir():
            raise UserError(
                "There is no tagger and no folder {name}."
                if kind == "tagger"
                else "There is no sentence model and no folder {name}.",
                remedy="See the names with: kiln download --list",
                name=words,
            )
        return folder
    if not is_here(card):
        raise UserError(
            "The model {name} is not on this machine.", remedy="Get it with: kiln download {name}", name=card.key
        )
    return folder_of(card)


def add_download(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Declare `kiln download` and its options."""
    download = verbs.add_parser("download", help=tr("get a model, or go on where a download was cut off"))
    what = download.add_mutually_exclusive_group(required=True)
    what.add_argument("name", nargs="?", metavar="NAME", help=tr("name of a model, as --list shows it"))
    what.add_argument("--list", action="store_true", help=tr("show all models that Kiln knows by name"))
    download.add_argument(
        "--source", choices=_SOURCES, default="auto", help=tr("where from; auto tries one after another")
    )
    download.add_argument("--to", type=Path, metavar="DIR", help=tr("another folder for models"))


def download_job(options: argparse.Namespace) -> DownloadJob:
    """The job of `kiln download`."""
    return DownloadJob(model=options.name, source=options.source, folder=here(options.to) if options.to else Path())


def list_models(root: Path | None) -> None:
    """Print the models of the catalogue: a table on a terminal, one JSON line each in a pipe."""
    from core.hub.catalog import folder_of, is_here, known_models

    folder = here(root) if root else None
    cards = known_models()
    if not sys.stdout.isatty():
        for card in cards:
            values = {
                "name": card.key,
                "title": card.title,
                "kind": card.kind,
                "size_bytes": card.size_bytes or None,
                "is_here": is_here(card, folder),
                "folder": str(folder_of(card, folder)),
            }
            print(json.dumps(values))
        return
    width = max(len(card.key) for card in cards)
    for card in cards:
        mark = "✓" if is_here(card, folder) else " "
        print(f"{mark} {card.key:<{width}}  {_size(card):>8}  {card.title}. {card.description}")
    print(tr("✓ is on this machine. Get another one with: kiln download NAME"))


def _size(card: ModelCard) -> str:
    return f"{card.size_bytes / 1e6:,.0f} MB" if card.size_bytes else ""
