"""What a single file has to tell besides its weights, where these alone would be taken for something else."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from core.checkpoints.folders import FOLDERS
from core.checkpoints.single_file import shipped_config
from core.checkpoints.sources import PartName, PartSource
from core.models import BaseModel, FamilyName

# What makes no other model of the same weights: how it was initialised, and what nothing here uses.
_NO_MATTER = (
    *("sample_size", "upcast_attention", "force_upcast", "dropout", "attention_dropout", "initializer_factor"),
    *("initializer_range", "architectures", "bos_token_id", "eos_token_id", "pad_token_id", "projection_dim"),
    *("torch_dtype", "dtype", "transformers_version"),
)


def v_marks(base: BaseModel) -> list[str]:
    """Names of the empty tensors that tell programs what an SDXL predicts: its weights do not."""
    if base.family != "sdxl" or base.prediction != "v_prediction":
        return []
    return ["v_pred", *(["ztsnr"] if base.zero_terminal_snr else [])]


def own_configs_of(family: FamilyName, sources: Mapping[PartName, PartSource]) -> dict[str, dict[str, Any]]:
    """The configurations of parts that are not built as those of their family."""
    found: dict[str, dict[str, Any]] = {}
    for part, source in sources.items():
        if _built_as(part, source.config) != _built_as(part, shipped_config(family, FOLDERS[part])):
            found[part] = {key: value for key, value in source.config.items() if not key.startswith("_")}
    return found


def _built_as(part: PartName, config: Mapping[str, Any]) -> dict[str, Any]:
    """All that counts of a configuration, what it leaves out as its class has it."""
    if part.startswith("text_encoder"):
        from transformers import CLIPTextConfig

        whole: dict[str, Any] = CLIPTextConfig.from_dict(dict(config)).to_dict()
    else:
        from diffusers import AutoencoderKL, UNet2DConditionModel

        cls = UNet2DConditionModel if part == "denoiser" else AutoencoderKL
        usual = {name: given.default for name, given in inspect.signature(cls.__init__).parameters.items()}
        whole = {name: config.get(name, value) for name, value in usual.items() if name != "self"}
    return {name: _plain(value) for name, value in whole.items() if name not in _NO_MATTER}


def _plain(value: Any) -> Any:
    """A list of the same value for every level as that value alone: both are written."""
    if isinstance(value, list | tuple):
        return value[0] if value and all(other == value[0] for other in value) else list(value)
    return value
