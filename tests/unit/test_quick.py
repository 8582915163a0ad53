"""The quick form: names and settings chosen from the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.config import TrainConfig, validated
from core.config.model import LONGEST_NAME_BYTES, is_device_name
from core.dataset.scan import scan_folder
from core.lora.metadata import Progress, lora_metadata
from core.quick import free_name, suggested_name
from core.training.data import examples_of
from tests.pictures import good_folder


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("10_miru", "miru"),
        ("2024_summer", "2024_summer"),
        ("7_", "7_"),
        ("10_a_b c", "a_b c"),
        ("我的 图片 😀", "我的 图片 😀"),
        ("a: b?.", "a_ b_"),
        ("...", "my_lora"),
        ("", "my_lora"),
        ("nul", "my_nul"),
        ("10_COM1.old", "my_COM1.old"),
        ("caf\udce9", "caf_"),
    ],
)
def test_a_name_is_suggested_from_the_folder(folder: str, name: str) -> None:
    assert suggested_name(Path(folder)) == name
    assert validated({"output": {"name": name}}).output.name == name


@pytest.mark.parametrize("folder", ["角" * 80, "a" * 179 + ". b", "x" * 178 + "角"])
def test_a_long_name_is_cut_to_what_file_systems_take(folder: str, tmp_path: Path) -> None:
    name = suggested_name(Path(folder))
    assert 170 < len(name.encode()) <= LONGEST_NAME_BYTES
    assert validated({"output": {"name": name}}).output.name == name
    longest = "角" * 66 + "ab"
    assert len(longest.encode()) == LONGEST_NAME_BYTES
    (tmp_path / f"{longest}.safetensors").touch()
    assert free_name(longest, tmp_path) == "角" * 66 + "-2"


@pytest.mark.parametrize(("name", "is_one"), [("Con", True), ("aux .txt", True), ("con_1", False), ("COM10", False)])
def test_device_names_are_known(name: str, is_one: bool) -> None:
    assert is_device_name(name) is is_one


@pytest.mark.parametrize(("folder", "told"), [("10_miru", "10_miru"), ("2024_summer", "3_2024_summer")])
def test_the_file_tells_the_folder_with_its_true_repeats(tmp_path: Path, folder: str, told: str) -> None:
    config = validated({"dataset": {"folder": good_folder(tmp_path / folder, 2), "repeats": 3}})
    metadata = told_by(config)
    repeats = int(told.partition("_")[0])
    assert json.loads(metadata["ss_dataset_dirs"]) == {told: {"n_repeats": repeats, "img_count": 2}}
    assert list(json.loads(metadata["ss_tag_frequency"])) == [told]
    assert metadata["ss_mixed_precision"] == "no"
    assert metadata["ss_training_started_at"] == "1000.0"


def told_by(config: TrainConfig) -> dict[str, str]:
    examples = examples_of(scan_folder(config.dataset.folder), config.dataset)
    progress = Progress(
        step=1, epoch=1, total_steps=1, batches_per_epoch=1, num_devices=1, started_at=1000.0, now=2000.0
    )
    return lora_metadata(config, examples, progress, v_prediction=False, precision="no")
