"""Presets: named sets of changed options, shipped with Kiln or kept by the user, each in one TOML file.

A file carries title, description, author and the options that differ from what Kiln chooses by itself; never paths and
never what belongs to one set of pictures. Options that this Kiln does not know are left out and named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.config.fields import with_values
from core.config.labels import differing, specs_by_key, value_of
from core.config.migrations import migrated
from core.config.model import LONGEST_NAME_BYTES, TrainConfig, is_device_name
from core.config.toml import literal, read_toml
from core.errors import UserError
from core.files import write_text
from core.paths import RESOURCES, user_data_folder
from core.text import language, tr

FORMAT = 1
SHIPPED = RESOURCES / "presets"
LONGEST_TITLE = 80
LONGEST_TEXT = 2000

PERSONAL = frozenset(
    {
        "model.base",
        "dataset.folder",
        "dataset.edits",
        "dataset.trigger_word",
        "dataset.absorbed_tags",
        "network.start_from",
        "training.device",
        "sampling.prompts",
        "output.folder",
        "output.name",
        "output.comment",
    }
)
"""Options that belong to one machine or one set of pictures: no preset carries or changes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What a preset file says.

    Attributes:
        path: The file.
        titles: Language -> title; an empty language stands for all.
        descriptions: Language -> description.
        author: Who made it, or nothing.
        family: The family of base models that it is for; empty for all.
        memory_gb: The memory of the graphics card that it is for; 0 for any.
        changes: `section.name` -> value; all of them are allowed values.
        left_out: What the file has and this Kiln does not use, as sentences.
    """

    path: Path
    titles: Mapping[str, str]
    descriptions: Mapping[str, str] = field(default_factory=dict)
    author: str = ""
    family: str = ""
    memory_gb: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The title in the language in use."""
        return _spoken(self.titles) or self.path.stem

    @property
    def description(self) -> str:
        """The description in the language in use."""
        return _spoken(self.descriptions)

    @property
    def is_own(self) -> bool:
        """Whether the user made or added it."""
        return self.path.parent != SHIPPED

    @property
    def key(self) -> str:
        """A name that finds it again."""
        return f"{'own' if self.is_own else 'kiln'}/{self.path.stem}"


def own_folder() -> Path:
    """Where the user's presets are."""
    return user_data_folder() / "presets"


def shipped_presets(family: str) -> tuple[Preset, ...]:
    """The presets that come with Kiln for a family, by purpose and memory."""
    return tuple(preset for preset in _presets(SHIPPED) if preset.family in ("", family))


def own_presets() -> tuple[Preset, ...]:
    """The user's presets by title; files that cannot be read are passed over."""
    return tuple(sorted(_presets(own_folder()), key=lambda preset: preset.title.casefold()))


def _presets(folder: Path) -> Iterator[Preset]:
    for path in sorted(folder.glob("*.toml"), key=_natural):
        try:
            yield read_preset(path)
        except UserError:  # It is told when it is added by hand; one damaged file must not hide the others.
            continue


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.stem)]


def read_preset(path: Path) -> Preset:
    """Read a preset file; what this Kiln does not know is left out and named.

    Raises:
        UserError: The file cannot be read or is no preset.
    """
    content = read_toml(path)
    settings = content.get("settings")
    if not isinstance(settings, Mapping) or not isinstance(content.get("format"), int):
        raise UserError(
            "{path} is no preset of Kiln.",
            remedy="For a whole settings file use Load settings, for one of another program Import settings.",
            path=path,
        )
    left_out = []
    if content["format"] > FORMAT:
        left_out.append(tr("It was made by a newer Kiln; what this one knows of it is used."))
    changes, unused = _known(settings)
    memory = content.get("memory_gb", 0)
    return Preset(
        path=path,
        titles=_texts(content.get("title"), LONGEST_TITLE),
        descriptions=_texts(content.get("description"), LONGEST_TEXT),
        author=_text(content.get("author"), LONGEST_TITLE),
        family=_text(content.get("family"), LONGEST_TITLE),
        memory_gb=memory if isinstance(memory, int) else 0,
        changes=changes,
        left_out=(*left_out, *unused),
    )


def _known(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options of a file that can be used, and a sentence for each one that cannot."""
    changes: dict[str, Any] = {}
    left_out = []
    for section, options in migrated(settings).items():
        if not isinstance(options, Mapping):
            left_out.append(tr("There is no option {key}.", key=section))
            continue
        for name, value in options.items():
            key = f"{section}.{name}"
            if key not in specs_by_key():
                left_out.append(tr("There is no option {key}.", key=key))
            elif key in PERSONAL:
                left_out.append(tr("{key} is not taken from a preset.", key=key))
            else:
                try:
                    changes[key] = value_of(with_values(TrainConfig(), {key: value}), key)
                except UserError as error:
                    left_out.append(str(error))
    return changes, left_out


def applied(preset: Preset | None, basis: TrainConfig, current: TrainConfig) -> TrainConfig:
    """The config that a preset stands for; what is personal stays as it is.

    Args:
        preset: None stands for what Kiln chooses.
        basis: What Kiln chooses by itself: the value of every option that the preset does not name.
        current: Where the personal options are taken from.
    """
    values = {key: value_of(current, key) for key in PERSONAL}
    return with_values(basis, {**(preset.changes if preset else {}), **values})


def own_changes(config: TrainConfig, basis: TrainConfig) -> dict[str, Any]:
    """What a preset of these settings would carry: options that differ from what Kiln chooses, and the epochs."""
    keys = [key for key in differing(basis, config) if key not in PERSONAL]
    changes = {key: value_of(config, key) for key in keys}
    if config.training.epochs != TrainConfig().training.epochs:  # An answer of the user's, so never a difference.
        changes["training.epochs"] = config.training.epochs
    return changes


def save_preset(changes: Mapping[str, Any], *, title: str, description: str = "", author: str = "") -> Preset:
    """Keep options as a preset of the user's.

    Raises:
        UserError: The title is empty or taken.
        OSError: The file cannot be written.
    """
    title = _allowed_title(title)
    path = _free_path(title)
    preset = Preset(
        path=path,
        titles={"": title},
        descriptions={"": description.strip()[:LONGEST_TEXT]},
        author=author.strip()[:LONGEST_TITLE],
        changes=dict(changes),
    )
    write_text(path, preset_text(preset))
    return preset


def rename_preset(preset: Preset, title: str) -> Preset:
    """Give one of the user's presets another title.

    Raises:
        UserError: The title is empty or taken.
        OSError: The file cannot be written.
    """
    if title.strip() == preset.title:
        return preset
    renamed = replace(preset, titles={"": _allowed_title(title)})
    write_text(preset.path, preset_text(renamed))
    return renamed


def delete_preset(preset: Preset) -> None:
    """Remove one of the user's presets. A preset of Kiln's own stays.

    Raises:
        OSError: The file cannot be removed.
    """
    if preset.is_own:
        preset.path.unlink(missing_ok=True)


def share_preset(preset: Preset, path: Path) -> None:
    """Write a preset to a file that can be given away.

    Raises:
        OSError: The file cannot be written.
    """
    write_text(path, preset_text(preset))


def add_preset(path: Path) -> Preset:
    """Take a preset file of somebody else's among the user's own; a taken title gets a number.

    Raises:
        UserError: The file is no preset.
        OSError: It cannot be written.
    """
    found = read_preset(path)
    titles = {preset.title.casefold() for preset in own_presets()}
    title, number = found.title, 2
    while title.casefold() in titles:
        title, number = f"{found.title} ({number})", number + 1
    added = save_preset(found.changes, title=title, description=found.description, author=found.author)
    return replace(added, left_out=found.left_out)


def preset_text(preset: Preset) -> str:
    """A preset as TOML, its options in the order of the form."""
    lines = [f"format = {FORMAT}", f"title = {literal(preset.title)}"]
    lines += [f"{name} = {literal(text)}" for name, text in _told(preset) if text]
    section = ""
    for key in specs_by_key():
        if key not in preset.changes or key in PERSONAL:
            continue
        here, _, name = key.partition(".")
        if here != section:
            section = here
            lines += ["", f"[settings.{section}]"]
        value = preset.changes[key]
        lines.append(f"{name} = {literal(list(value) if isinstance(value, tuple) else value)}")
    if not section:
        lines += ["", "[settings]"]
    return "\n".join(lines) + "\n"


def _told(preset: Preset) -> Iterator[tuple[str, str]]:
    yield "description", preset.description
    yield "author", preset.author
    yield "family", preset.family


def _allowed_title(title: str) -> str:
    title = title.strip()[:LONGEST_TITLE].strip()
    if not title:
        raise UserError("The preset has no name.", remedy="Give it a name.")
    if any(preset.title.casefold() == title.casefold() for preset in own_presets()):
        raise UserError("There is already a preset {title}.", remedy="Choose another name.", title=title)
    return title


def _free_path(title: str) -> Path:
    stem = re.sub(r'[<>:"/\\|?*\x00-\x1f\ud800-\udfff]+', "_", title).strip(" .")
    stem = stem.encode()[: LONGEST_NAME_BYTES - 20].decode(errors="ignore").strip(" .") or "preset"
    if is_device_name(stem):
        stem = f"my_{stem}"
    path, number = own_folder() / f"{stem}.toml", 2
    while path.exists():
        path, number = own_folder() / f"{stem}-{number}.toml", number + 1
    return path


def _texts(value: object, longest: int) -> dict[str, str]:
    """A text for all languages, or one for each."""
    if isinstance(value, Mapping):
        return {str(name): _text(words, longest) for name, words in value.items()}
    return {"": _text(value, longest)}


def _text(value: object, longest: int) -> str:
    return value.strip()[:longest] if isinstance(value, str) else ""


def _spoken(texts: Mapping[str, str]) -> str:
    return texts.get(language()) or texts.get("") or texts.get("en") or next(iter(texts.values()), "")
