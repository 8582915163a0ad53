"""What a single file is as a base model, or why it is none."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from core.checkpoints.answers import answer_for
from core.checkpoints.dtypes import FLOATS
from core.checkpoints.headers import read_numbers, read_weights_header, weight_formats
from core.checkpoints.recognition import LDM_PREFIXES, SD2_TELLING_TENSOR, Prediction, Recognised, recognise
from core.checkpoints.refusals import refuse_formats, refuse_kind, refuse_variant
from core.checkpoints.single_file import CONFIG_KEY
from core.checkpoints.sources import family_title, part_names, part_title
from core.errors import UserError
from core.models import BaseModel, FamilyName
from core.safetensors_header import Header
from core.text import tr

_NATIVE_PX: dict[FamilyName, int] = {"sd1": 512, "sd2": 512, "sdxl": 1024, "kolors": 1024}
_NATIVE_V_PX: dict[FamilyName, int] = {"sd2": 768}
"""Of the family, and of its models for v-prediction where these were trained with other sizes."""

_V_SPREAD = 0.09
"""Standard deviation of the telling tensor of Stable Diffusion 2 from which on it predicts v."""

_STEPS: dict[str, Prediction] = {"875000": "epsilon", "220000": "epsilon", "110000": "v_prediction"}
"""Steps that the published models of Stable Diffusion 2 were trained for, as their old checkpoints say."""

_SD2_WIDTH = 320
_MOST_SAMPLE_SIZE = 1024


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the header of a file says, in any language."""

    recognised: Recognised
    formats: frozenset[str]
    sample_size: int | None


def describe_file(path: Path) -> BaseModel:
    """What a single file is as a base model.

    Raises:
        UserError: It is damaged, or none that Kiln can train for; says what it is instead.
        OSError: It cannot be read.
    """
    status = path.stat()
    facts = _facts(path, status.st_size, status.st_mtime_ns)
    found = facts.recognised
    if found.kind not in ("checkpoint", "unet") or found.family is None:
        raise refuse_kind(path, found)
    _refuse_unsuited(path, facts)
    family = found.family
    warnings = []
    if "vae" not in found.parts:
        warnings.append(tr("It has no VAE: choose one of {family} in the settings.", family=family_title(family)))
    if facts.formats & {"F8_E4M3", "F8_E5M2"}:
        warnings.append(tr("Its weights are fp8, which lost detail; a version in fp16 is better to train with."))
    prediction, zero_terminal_snr, unsure = found.prediction, found.zero_terminal_snr, _is_unsure(found)
    if answer := answer_for(path):
        prediction, zero_terminal_snr, unsure = answer.prediction, answer.zero_terminal_snr, False
    native = (_NATIVE_V_PX if prediction == "v_prediction" else {}).get(family) or _NATIVE_PX[family]
    return BaseModel(
        path=path,
        family=family,
        title=path.stem,
        size_bytes=status.st_size,
        native_size_px=facts.sample_size * 8 if facts.sample_size else native,
        prediction=prediction,
        zero_terminal_snr=zero_terminal_snr,
        warnings=tuple(warnings),
        is_prediction_unsure=unsure,
        lineage=found.lineage,
    )


def _is_unsure(found: Recognised) -> bool:
    """Whether the user is to be asked what the model predicts: `core.checkpoints.answers` says why."""
    if found.prediction_from == "conflict":
        return True
    if found.family == "sd2":
        return found.prediction_from in ("", "name")
    return found.prediction_from == "name" and found.prediction == "v_prediction"


def _refuse_unsuited(path: Path, facts: _Facts) -> None:
    """Make sure that a model with a denoiser is whole and of a kind that a LoRA is trained for.

    Raises:
        UserError: It is not.
    """
    found = facts.recognised
    assert found.family is not None
    family = family_title(found.family)
    if found.variant:
        raise refuse_variant(path, found.variant)
    if found.family == "kolors":
        raise UserError(
            "{path} holds only a part of a Kolors model.",
            remedy="Choose the folder of Kolors, with text_encoder, unet and vae in it.",
            failure="model_incomplete",
            path=path,
        )
    if found.kind == "unet":
        raise UserError(
            "{path} holds only the UNet of {family}; its text encoder and its VAE are missing.",
            remedy="Choose a whole checkpoint, or the folder of the model.",
            failure="model_incomplete",
            path=path,
            family=family,
        )
    for part in part_names(found.family):
        if part != "vae" and part not in found.parts:
            raise UserError(
                "{path} has no {part} of {family} in it.",
                remedy="Choose a whole checkpoint, or the folder of the model.",
                failure="model_incomplete",
                path=path,
                part=part_title(part),
                family=family,
            )
    if not facts.formats <= set(FLOATS):
        raise refuse_formats(path, facts.formats)


@lru_cache(maxsize=1024)
def _facts(path: Path, _size: int, _changed: int) -> _Facts:
    """The facts of a file; read again only when it is another."""
    header = read_weights_header(path)
    found = recognise(header.shapes, header.metadata, path.stem)
    if found.family == "sd2" and found.prediction_from in ("", "name"):
        found = _of_weights(path, header, found)
    return _Facts(
        found,
        weight_formats(header),
        _own_sample_size(header),
    )


def _of_weights(path: Path, header: Header, found: Recognised) -> Recognised:
    """What a Stable Diffusion 2 predicts by its numbers, or by how long it was trained."""
    name = next(
        (
            f"{prefix}{SD2_TELLING_TENSOR}"
            for prefix in LDM_PREFIXES
            if f"{prefix}{SD2_TELLING_TENSOR}" in header.shapes
        ),
        "",
    )
    prediction = _STEPS.get(header.metadata.get("global_step", ""))
    # Only in the true width: models shrunk for trying out learned nothing that would show there.
    if header.shapes.get(name) == (_SD2_WIDTH,) and (numbers := read_numbers(path, header, name)):
        prediction = "v_prediction" if statistics.pstdev(numbers) > _V_SPREAD else "epsilon"
    if prediction is None:
        return found
    is_contradicted = found.prediction not in (None, prediction)
    return replace(found, prediction=prediction, prediction_from="conflict" if is_contradicted else "weights")


def _own_sample_size(header: Header) -> int | None:
    """The size of the latents that the model was made for, in files that Kiln wrote for models of another size."""
    try:
        size = json.loads(header.metadata.get(CONFIG_KEY, "{}"))["denoiser"]["sample_size"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return size if isinstance(size, int) and 0 < size <= _MOST_SAMPLE_SIZE else None
