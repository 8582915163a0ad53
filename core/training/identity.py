"""What a run was started with: the content of its base model and of each picture, so that a change can be named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.cache import content_hash, key_of, sampled_hash
from core.checkpoints.folders import FOLDERS
from core.checkpoints.parts import PartSource, part_of
from core.checkpoints.sources import part_names
from core.errors import UserError
from core.events import Event, Notice
from core.models import BaseModel
from core.text import tr

if TYPE_CHECKING:
    from core.config.model import ModelConfig
    from core.training.data import Example

_MOST_NAMES = 8


def base_identity(base: BaseModel, model: ModelConfig) -> dict[str, str]:
    """A hash of each part of a base model: of its configuration, and of its weights' header and many places in them.

    Another model differs everywhere, so a few megabytes tell it from this one in a blink, where all of it takes
    seconds. A single file is one part, and what it predicts another: its name may have said so, or the user when asked.

    Args:
        base: The base model.
        model: How it is used: with another VAE than its own, or with a prediction that the settings say.

    Raises:
        UserError: A part is missing.
        OSError: A file cannot be read.
    """
    vae = model.vae
    if base.path.is_dir():
        parts = [part for part in part_names(base.family) if part != "vae" or vae == Path()]
        found = {FOLDERS[part]: _identity(part_of(base, part)) for part in parts}
        found["scheduler"] = content_hash(base.path / "scheduler" / "scheduler_config.json")
    else:
        prediction = (base.prediction or "epsilon") if model.prediction == "auto" else model.prediction
        ends_in_noise = model.zero_terminal_snr or base.zero_terminal_snr
        found = {"checkpoint": sampled_hash(base.path), "prediction": key_of(prediction, ends_in_noise)}
    if vae != Path():
        found["vae"] = _identity(part_of(base, "vae", vae))
    return found


def _identity(source: PartSource) -> str:
    configs = [content_hash(source.config_file)] if source.config_file else []
    return key_of(*(sampled_hash(file) for file in source.files), *configs)


def refuse_another_base(before: Mapping[str, str], now: Mapping[str, str], path: Path) -> None:
    """Make sure that a run goes on with the base model that it was started with.

    Raises:
        UserError: Some part of it is another one.
    """
    if changed := sorted(part for part in {*before, *now} if before.get(part) != now.get(part)):
        raise UserError(
            "The base model {path} is not the one that this run was started with: {parts} changed.",
            remedy="Put the model back or point model.base to where it is now; for another model start a new run.",
            failure="base_model_changed",
            path=path,
            parts=", ".join(changed),
        )


def picture_key(path: Path, folder: Path) -> str:
    """A name for a picture that stays when the whole data set moves: its path in the picture folder."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:  # From a further folder.
        return "/".join(path.parts[-2:])


def picture_identities(examples: Sequence[Example], folder: Path, contents: Mapping[Path, str]) -> dict[str, list[str]]:
    """Of each picture, by its key: a hash of its bytes, of its caption, and of how it is shown.

    A picture that cannot be read is left out.

    Args:
        examples: All that is shown or measured.
        folder: The picture folder, to which keys are relative.
        contents: Hashes of bytes that are known already; reading them again takes as long as the first time.
    """
    shown: dict[str, list[str]] = {}
    found: dict[str, list[str]] = {}
    for example in examples:
        key = picture_key(example.record.path, folder)
        shown.setdefault(key, []).append(repr((example.plan, example.repeats, example.weight)))
        if key not in found:
            try:
                content = contents.get(example.record.path) or content_hash(example.record.path)
                found[key] = [content, key_of(example.text)]
            except OSError:
                continue
    return {key: [*both, key_of(*shown[key])] for key, both in found.items()}


def told_changes(before: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]]) -> Iterator[Event]:
    """Say which pictures and captions are not what they were when the state was made."""
    both = [key for key in now if key in before]
    groups = (
        ([key for key in both if before[key][0] != now[key][0]], _pictures_changed),
        ([key for key in both if before[key][1] != now[key][1]], _captions_changed),
        ([key for key in both if before[key][:2] == now[key][:2] and before[key][2] != now[key][2]], _showing_changed),
        ([key for key in now if key not in before], _pictures_new),
        ([key for key in before if key not in now], _pictures_gone),
    )
    for keys, sentence in groups:
        if keys:
            yield Notice(level="warning", message=sentence(len(keys), names_of(keys)))


def names_of(keys: Sequence[str]) -> str:
    """The first few of many pictures, for a sentence."""
    return ", ".join(keys[:_MOST_NAMES]) + (" …" if len(keys) > _MOST_NAMES else "")


def _pictures_changed(number: int, names: str) -> str:
    return tr(
        "{number} pictures changed since this run was stopped; it goes on with what they are now: {names}",
        number=number,
        names=names,
    )


def _captions_changed(number: int, names: str) -> str:
    return tr(
        "{number} captions changed since this run was stopped; it goes on with what they are now: {names}",
        number=number,
        names=names,
    )


def _showing_changed(number: int, names: str) -> str:
    return tr(
        "{number} pictures are cropped or repeated in another way since this run was stopped: {names}",
        number=number,
        names=names,
    )


def _pictures_new(number: int, names: str) -> str:
    return tr("{number} pictures are new since this run was stopped: {names}", number=number, names=names)


def _pictures_gone(number: int, names: str) -> str:
    return tr("{number} pictures are missing since this run was stopped: {names}", number=number, names=names)
