"""The quick form: names and settings chosen from the pictures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from core import quick
from core.config import TrainConfig, validated
from core.config.model import LONGEST_NAME_BYTES, is_device_name
from core.dataset.edits import Concept, Crop, Dataset, PictureEdits
from core.dataset.records import Scan
from core.dataset.scan import scan_dataset, scan_folder
from core.lora.metadata import Progress, lora_metadata
from core.models import BaseModel
from core.paths import STARTER_MODEL
from core.quick import free_name, quick_config, suggested_name
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


def test_the_file_tells_regularization_and_crops_as_they_are(tmp_path: Path) -> None:
    scan, config = with_regularization(tmp_path)
    crops = (Crop(box=(0, 0, 40, 40)), Crop(box=(0, 0, 30, 30)))
    cropped = scan.records[2].path  # The first of the pictures to learn.
    scan = dataclasses.replace(scan, pictures={cropped: PictureEdits(crops=crops, repeats=2)})
    metadata = told_by(config, scan)
    # Two crops twice, the other picture ten times; the two others as often, together.
    assert (metadata["ss_num_train_images"], metadata["ss_num_reg_images"]) == ("14", "14")
    assert json.loads(metadata["ss_dataset_dirs"]) == {
        "2_miru": {"n_repeats": 2, "img_count": 1},
        "10_miru": {"n_repeats": 10, "img_count": 1},
    }
    assert json.loads(metadata["ss_reg_dataset_dirs"]) == {"7_a prior": {"n_repeats": 7, "img_count": 2}}
    assert json.loads(metadata["ss_tag_frequency"]) == {
        "2_miru": {"1girl": 1, "number 0": 1},
        "10_miru": {"1girl": 1, "number 1": 1},
    }


def test_answers_are_drawn_from_the_pictures_to_learn_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = BaseModel(path=tmp_path, family="sd1", title="", size_bytes=1, native_size_px=512)
    monkeypatch.setattr(quick, "describe_base", lambda path: base)
    scan, _ = with_regularization(tmp_path)

    def answers(scan: Scan) -> TrainConfig:
        return quick_config(base=tmp_path, pictures=scan.folder, epochs=1, output=tmp_path, scan=scan)

    config = answers(scan)
    assert config.dataset.trigger_word == "miru" and config.sampling.prompts == ("1girl, number 0",)
    first, second = (record.path for record in scan.records if not record.is_regularization)
    config = answers(dataclasses.replace(scan, pictures={first: PictureEdits(excluded=True)}))
    assert config.sampling.prompts == ("1girl, number 1",)
    out = {path: PictureEdits(excluded=True) for path in (first, second)}
    config = answers(dataclasses.replace(scan, pictures=out))
    assert (config.dataset.trigger_word, config.sampling.prompts) == ("", ())


def test_a_class_word_is_no_trigger_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = BaseModel(path=tmp_path, family="sd1", title="", size_bytes=1, native_size_px=512)
    monkeypatch.setattr(quick, "describe_base", lambda path: base)
    folder = good_folder(tmp_path / "flat", 1)
    scan = scan_dataset(Dataset((Concept(folder=folder, class_word="girl"),), {}))
    config = quick_config(base=tmp_path, pictures=folder, epochs=1, output=tmp_path, scan=scan)
    assert config.dataset.trigger_word == ""


def with_regularization(tmp_path: Path) -> tuple[Scan, TrainConfig]:
    """A folder of two pictures to learn, after one of two regularization pictures."""
    folder, prior = good_folder(tmp_path / "10_miru", 2), good_folder(tmp_path / "a prior", 2)
    dataset = Dataset((Concept(folder=prior, class_word="girl", is_regularization=True), Concept(folder=folder)), {})
    return scan_dataset(dataset), validated({"dataset": {"folder": folder}})


def told_by(config: TrainConfig, scan: Scan | None = None) -> dict[str, str]:
    examples = examples_of(scan or scan_folder(config.dataset.folder), config.dataset)
    progress = Progress(
        step=1, epoch=1, total_steps=1, batches_per_epoch=1, num_devices=1, started_at=1000.0, now=2000.0
    )
    return lora_metadata(config, examples, progress, v_prediction=False, precision="no")


def test_the_name_of_one_sub_folder_is_no_trigger_word_for_the_rest(tmp_path: Path) -> None:
    folder = good_folder(tmp_path / "pictures", 2)
    good_folder(folder / "10_extra", 1)
    config = quick_config(base=STARTER_MODEL, pictures=folder, epochs=1, output=tmp_path, scan=scan_folder(folder))
    assert config.dataset.trigger_word == ""
    named = good_folder(tmp_path / "5_miru", 2)
    config = quick_config(base=STARTER_MODEL, pictures=named, epochs=1, output=tmp_path, scan=scan_folder(named))
    assert config.dataset.trigger_word == "miru"
