"""Configurations that anybody may have written: those of real models are believed, all that could do harm is not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from core.checkpoints.configs import is_believable
from core.checkpoints.single_file import CONFIG_KEY, own_configs, shipped_config
from core.checkpoints.sources import Listed
from core.models import FAMILY_NAMES
from core.paths import RESOURCES

HARMFUL: list[tuple[str, Any]] = [
    ("layers_per_block", 10**9),
    ("layers_per_block", [2, 10**9]),
    ("layers_per_block", True),
    ("layers_per_block", 0),
    ("num_hidden_layers", 10**12),
    ("transformer_layers_per_block", [[1, 2], [10**6]]),
    ("transformer_layers_per_block", -1),
    ("block_out_channels", [10**20] * 4),
    ("block_out_channels", []),
    ("block_out_channels", [4] * 1000),
    ("block_out_channels", [[[[4]]]]),
    ("hidden_size", "768"),
    ("down_block_types", "CrossAttnDownBlock2D"),
    ("down_block_types", [1, 2]),
    ("up_block_types", ["UpBlock2D"] * 1000),
    ("attention_head_dim", 0),
    ("scaling_factor", 0),
    ("scaling_factor", "0.18215"),
    ("scaling_factor", float("inf")),
]


def test_what_ships_is_believed() -> None:
    files = [file for name in FAMILY_NAMES for file in (RESOURCES / "models" / name).glob("*.json")]
    assert len(files) > 15
    assert all(is_believable(shipped_config(file.parent.name, file.stem)) for file in files)  # type: ignore[arg-type]


def test_depths_of_distilled_models_are_believed() -> None:
    depths = {"transformer_layers_per_block": [0, 2, 4], "reverse_transformer_layers_per_block": [[4, 4, 10], [2], 1]}
    assert is_believable(depths)


def test_lists_tell_of_equally_many_levels() -> None:
    config = {"block_out_channels": [8, 8], "down_block_types": ["a", "b"], "layers_per_block": [2, 2]}
    assert is_believable(config)
    for name, value in config.items():
        assert not is_believable({**config, name: value[:1]})


@pytest.mark.parametrize(("name", "value"), HARMFUL)
def test_what_could_do_harm_is_not_believed(name: str, value: Any) -> None:
    assert not is_believable({name: value})


def test_a_file_s_own_configuration_counts_only_when_it_makes_sense() -> None:
    own = {"denoiser": shipped_config("sd1", "unet"), "vae": shipped_config("sd1", "vae")}

    def known(configs: dict[str, Any]) -> set[str]:
        return set(own_configs(Listed(Path("a"), {}, {}, {CONFIG_KEY: json.dumps(configs)})))

    assert known(own) == {"denoiser", "vae"}
    broken: dict[str, dict[str, Any]] = copy.deepcopy(own)
    del broken["denoiser"]["down_block_types"]
    broken["vae"]["block_out_channels"] = None
    assert known(broken) == set()
