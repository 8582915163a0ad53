"""Whether the configuration of a part can be that of a model: it comes with files that anybody may have made.

Tables of names and whole modules are built as it says, so counts out of all bounds would keep the program busy for
ever, and other things than numbers in their places would end it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_MOST_LEVELS = 16
_MOST: dict[str, int] = {
    "layers_per_block": 32,
    "transformer_layers_per_block": 128,
    "reverse_transformer_layers_per_block": 128,
    "attention_head_dim": 1 << 16,
    "num_attention_heads": 1 << 16,
    "block_out_channels": 1 << 16,
    "cross_attention_dim": 1 << 16,
    "norm_num_groups": 1 << 16,
    "in_channels": 1 << 16,
    "out_channels": 1 << 16,
    "latent_channels": 1 << 16,
    "sample_size": 1 << 16,
    "hidden_size": 1 << 16,
    "intermediate_size": 1 << 20,
    "vocab_size": 1 << 24,
    "max_position_embeddings": 1 << 20,
    "num_hidden_layers": 512,
    "num_layers": 512,
    "num_train_timesteps": 1 << 16,
}
"""The largest numbers that are believed, far above those of any model; most may be one for each level as well."""
_MAY_BE_NONE = ("transformer_layers_per_block", "reverse_transformer_layers_per_block")
_NAMES = ("down_block_types", "up_block_types")


def is_believable(config: Mapping[str, Any]) -> bool:
    """Whether all that is counted or built by has a value that it can have, and lists tell of equally many levels.

    What is left out is as its class has it.
    """
    for name, most in _MOST.items():
        value = config.get(name)
        if value is not None and not _is_number(value, name not in _MAY_BE_NONE, most):
            return False
    if not all(_are_names(config[name]) for name in _NAMES if name in config):
        return False
    lists = [value for name in (*_MOST, *_NAMES) if isinstance(value := config.get(name), list)]
    if len({len(value) for value in lists}) > 1:
        return False
    scale = config.get("scaling_factor")
    return scale is None or (type(scale) in (int, float) and 0 < scale < math.inf)


def _is_number(value: object, least: int, most: int, depth: int = 2) -> bool:
    """Whether it is a number, or a list of such for each level, and each layer of it."""
    if isinstance(value, list):
        is_short = depth > 0 and 0 < len(value) <= _MOST_LEVELS
        return is_short and all(_is_number(item, least, most, depth - 1) for item in value)
    return type(value) is int and least <= value <= most


def _are_names(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= _MOST_LEVELS and all(isinstance(item, str) for item in value)
