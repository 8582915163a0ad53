"""Dataset files of kohya's scripts, and the subsets of LoRA Easy Training Scripts: folders with what holds for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from core.dataset.edits import Concept
from core.dataset.scan import MAX_REPEATS, repeats_of
from core.imports.draft import Argument, Draft
from core.imports.values import UnfitError, flag, is_empty, shown, whole
from core.text import tr

_OF_A_FOLDER = ("image_dir", "num_repeats", "class_tokens", "is_reg", "caption_extension")
_RENAMED = {"batch_size": "train_batch_size"}

Table = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Subset:
    """A folder of pictures in a file: `source` names it there, `options` hold what is inherited, too."""

    source: str
    options: Table
    own: Table


def tables(value: object) -> list[Table]:
    """The tables of a list; everything else in it is left out."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def dataset_arguments(draft: Draft, values: Table) -> list[Argument]:
    """All options of a dataset file. Its folders go into the draft at once.

    `[general]` is overruled by `[[datasets]]`, and that by `[[datasets.subsets]]`. Of several datasets the first one
    gives the options that hold for a whole run in Kiln.
    """
    general = values.get("general")
    general = general if isinstance(general, Mapping) else {}
    found = list(_arguments("general", general))
    subsets: list[Subset] = []
    first: Table = {}
    for index, dataset in enumerate(tables(values.get("datasets"))):
        source = f"datasets[{index}]"
        own = {name: value for name, value in dataset.items() if name != "subsets"}
        for argument in _arguments(source, own):
            name = argument.source.rpartition(".")[2]
            if index == 0:
                found.append(argument)
            elif argument.value != first.get(name, general.get(name)):
                draft.leave(argument, tr("All pictures of a run are trained alike; what the first ones have counts."))
        first = first or own
        inherited = {**general, **own}
        for number, subset in enumerate(tables(dataset.get("subsets"))):
            options = {**{key: value for key, value in inherited.items() if key in _OF_A_FOLDER}, **subset}
            subsets.append(Subset(f"{source}.subsets[{number}]", options, subset))
    return [*found, *folder_arguments(draft, subsets)]


def subset_arguments(draft: Draft, values: object) -> list[Argument]:
    """The options of a list of subsets that belongs to no dataset."""
    subsets = [Subset(f"subsets[{number}]", subset, subset) for number, subset in enumerate(tables(values))]
    return folder_arguments(draft, subsets)


def _arguments(source: str, options: Table) -> Iterator[Argument]:
    for name, value in options.items():
        if name not in _OF_A_FOLDER or name == "caption_extension":
            yield Argument(f"{source}.{name}", _RENAMED.get(name, name), value)


def folder_arguments(draft: Draft, subsets: list[Subset]) -> list[Argument]:
    """Put the folders into the draft; returns the options of the first one that hold for a whole run in Kiln."""
    # The picture folder comes first in Kiln, and regularization is none.
    ordered = sorted(subsets, key=lambda subset: _is_regularization(subset))
    concepts: list[Concept] = []
    for subset in ordered:
        if (concept := _concept(draft, subset, len(concepts))) is not None:
            concepts.append(concept)
    found = []
    for number, subset in enumerate(ordered):
        for argument in _arguments(subset.source, subset.own):
            name = argument.source.rpartition(".")[2]
            if number == 0:
                found.append(argument)
            elif name != "caption_extension" and argument.value != ordered[0].options.get(name):
                draft.leave(argument, tr("All pictures of a run are trained alike; what the first ones have counts."))
    if len(concepts) > 1 or (concepts and _needs_a_file(concepts[0])):
        draft.concepts = concepts
    return found


def _needs_a_file(concept: Concept) -> bool:
    """Whether the settings alone cannot say all about the only folder."""
    named = repeats_of(concept.folder.name)
    return bool(concept.class_word) or (named is not None and named[0] != concept.repeats)


def _is_regularization(subset: Subset) -> bool:
    try:
        return flag(subset.options.get("is_reg", False))
    except UnfitError:
        return False


def _concept(draft: Draft, subset: Subset, number: int) -> Concept | None:
    """The folder of a subset as Kiln has it; None when it names none."""
    place = "dataset" if number == 0 else f"concepts.{number}"
    folder = _folder(draft, subset, f"{place}.folder")
    if folder is None:
        return None
    repeats = _repeats(draft, subset, f"{place}.repeats")
    values: dict[str, object] = {"folder": folder, "repeats": repeats}
    if number == 0:
        draft.changes["dataset.repeats"] = repeats
    if not is_empty(word := subset.options.get("class_tokens")):
        values["class_word"] = str(word)
        argument = Argument(f"{subset.source}.class_tokens", "class_tokens", word)
        draft.note(argument, f"concepts.{number}.class_word", str(word))
    if "is_reg" in subset.options:
        values["is_regularization"] = _is_regularization(subset)
        argument = Argument(f"{subset.source}.is_reg", "is_reg", subset.options["is_reg"])
        draft.note(argument, f"concepts.{number}.is_regularization", values["is_regularization"])
    ending = subset.options.get("caption_extension")
    if number > 0 and not is_empty(ending):
        argument = Argument(f"{subset.source}.caption_extension", "caption_extension", ending)
        word = str(ending).strip()
        try:
            concept = Concept.model_validate({**values, "caption_extension": word if word[:1] == "." else f".{word}"})
        except ValidationError:
            draft.leave(argument, tr("{value} is no ending of caption files.", value=shown(ending)))
        else:
            draft.note(argument, f"concepts.{number}.caption_extension", concept.caption_extension)
            return concept
    return Concept.model_validate(values)


def _folder(draft: Draft, subset: Subset, key: str) -> Path | None:
    value = subset.options.get("image_dir")
    argument = Argument(f"{subset.source}.image_dir", "image_dir", value)
    if key == "dataset.folder":
        return draft.path(argument, key)
    found = draft.place(argument, key)
    if found is not None:
        draft.note(argument, key, found)
    return found


def _repeats(draft: Draft, subset: Subset, key: str) -> int:
    argument = Argument(f"{subset.source}.num_repeats", "num_repeats", subset.options.get("num_repeats", 1))
    try:
        repeats = whole(argument.value)
    except UnfitError as error:
        draft.leave(argument, str(error))
        return 1
    fitted = min(max(repeats, 1), MAX_REPEATS)
    note = "" if fitted == repeats else tr("Kiln takes from 1 to {most} repeats.", most=MAX_REPEATS)
    draft.note(argument, key, fitted, note)
    return fitted
