"""Which base model a settings file of another program is for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from core.config.model import ModelConfig
from core.errors import UserError
from core.imports.draft import Argument, Arguments, Draft
from core.imports.values import UnfitError, flag, is_off, shown
from core.models import FAMILY_NAMES, FamilyName, describe_base
from core.text import tr

TRAIN_TYPES: Mapping[FamilyName, str] = {"sd1": "sd-lora", "sd2": "sd-lora", "sdxl": "sdxl-lora"}
"""How SD-Trainer calls the training of a LoRA for a family; `v2` tells the first two apart."""

_VERSIONS: Mapping[str, FamilyName] = {"sd_v1": "sd1", "sd_v2": "sd2", "sdxl_": "sdxl", "kolors": "kolors"}
"""Beginnings of what LoRA files say about their base model."""

_FLAGS: Mapping[str, FamilyName] = {"sdxl": "sdxl", "v2": "sd2"}
_STRANGE_FLAGS = {"sd3_checkbox": "Stable Diffusion 3", "flux1_checkbox": "Flux", "lumina_checkbox": "Lumina"}
_STRANGE = {"sd3": "Stable Diffusion 3", "flux": "Flux", "lumina": "Lumina"}
"""Beginnings of names of families that Kiln does not train -> their usual names."""

_NOT_LORA = ("-dreambooth", "-finetune")


def map_family(draft: Draft, arguments: Arguments) -> None:
    """Take all that says which family the base model is of; the first that says it counts."""
    winner: tuple[Argument, str] | None = None
    for argument, family in list(_claims(draft, arguments)):
        if winner is None or winner[1] == family:
            winner = winner or (argument, family)
            draft.take(argument, "model.family", family)
        else:
            draft.leave(argument, tr("{name} counts instead.", name=winner[0].source))


def known_family(draft: Draft) -> FamilyName | None:
    """The family that the file names, or that its base model is of where that is here; None while nobody knows."""
    named = draft.changes.get("model.family")
    for family in FAMILY_NAMES:
        if named == family:
            return family
    base = draft.changes.get("model.base")
    return _family_of(base) if isinstance(base, Path) else None


def chosen_family(model: ModelConfig) -> FamilyName | None:
    """The family of Kiln's settings: what they say, or what the base model is."""
    return _family_of(model.base) if model.family == "auto" else model.family


def _family_of(base: Path) -> FamilyName | None:
    """The family of a base model by its files; None where it is not here, or is nothing that Kiln can train for."""
    with contextlib.suppress(UserError, OSError):
        return describe_base(base).family
    return None


def _claims(draft: Draft, arguments: Arguments) -> Iterator[tuple[Argument, str]]:
    """What names a family that Kiln trains; the rest is noted."""
    if (own := arguments.take("model.family")) is not None and not draft.was_empty(own):
        yield own, str(own.value)
    is_v2 = (v2 := arguments.get("v2")) is not None and not is_off(v2.value)
    kind = arguments.take("model_train_type")
    if kind is not None and not draft.was_empty(kind):
        word = str(kind.value).strip().lower()
        if word.endswith(_NOT_LORA):
            draft.leave(kind, tr("Kiln trains LoRAs and nothing else."))
        elif word == TRAIN_TYPES["sd1"]:
            yield kind, "sd2" if is_v2 else "sd1"
        elif word == TRAIN_TYPES["sdxl"]:
            yield kind, "sdxl"
        else:
            _leave_strange(draft, kind)
    version = arguments.take("base_model_version")
    if version is not None and not draft.was_empty(version):
        word = str(version.value).strip().lower()
        found = next((family for start, family in _VERSIONS.items() if word.startswith(start)), None)
        if found is None:
            _leave_strange(draft, version)
        else:
            yield version, found
            if word.endswith("_v") and "v_parameterization" not in arguments:
                draft.take(version, "model.prediction", "v_prediction")
    for name, family in _FLAGS.items():
        argument = arguments.take(name)
        if argument is not None and _is_on(draft, argument):
            yield argument, family
    for name, title in _STRANGE_FLAGS.items():
        argument = arguments.take(name)
        if argument is not None and _is_on(draft, argument):
            _leave_strange(draft, argument, title)


def _is_on(draft: Draft, argument: Argument) -> bool:
    """Whether a flag is set; one that is not is noted as such."""
    if draft.was_empty(argument):
        return False
    if is_off(argument.value):
        draft.leave_off(argument)
        return False
    try:
        return flag(argument.value)
    except UnfitError as error:
        draft.leave(argument, str(error))
        return False


def _leave_strange(draft: Draft, argument: Argument, title: str = "") -> None:
    word = str(argument.value).strip().lower()
    title = title or next((name for start, name in _STRANGE.items() if word.startswith(start)), "")
    draft.leave(
        argument,
        tr(
            "Kiln trains LoRAs of Stable Diffusion 1 and 2, SDXL and Kolors; this file is for {kind}.",
            kind=title or shown(argument.original),
        ),
    )
