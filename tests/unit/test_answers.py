"""What the user said of a base model is found again by the file, wherever it lies."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from core.checkpoints.answers import Answer, answer_for, needs_answer, remember
from core.models import describe_base
from core.paths import user_data_folder
from tests.weight_files import SD1, SD2, SDXL, write_weights


def stored() -> dict[str, object]:
    found: dict[str, object] = json.loads((user_data_folder() / "base_model_answers.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "我的 vpred 😀.safetensors"
    path.write_bytes(bytes(range(256)) * 2000)
    return path


def test_an_answer_counts_at_once_and_is_kept_under_the_sha256(model: Path) -> None:
    assert answer_for(model) is None
    remember(model, "v_prediction", True).join()
    assert answer_for(model) == Answer("v_prediction", True)
    assert list(stored()) == [hashlib.sha256(model.read_bytes()).hexdigest()]


def test_an_answer_counts_before_the_sha256_is_known(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.checkpoints.answers._name_in_full", lambda path, quick: None)
    remember(model, "v_prediction").join()
    assert answer_for(model) == Answer("v_prediction", False)
    remember(model, "epsilon").join()
    assert answer_for(model) == Answer("epsilon", False)
    assert len(stored()) == 1


def test_an_answer_follows_the_file_and_no_other(model: Path, tmp_path: Path) -> None:
    remember(model, "v_prediction").join()
    moved = shutil.copy(model, tmp_path / "elsewhere.safetensors")
    assert answer_for(Path(moved)) == Answer("v_prediction", False)
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "other.safetensors").write_bytes(data)
    assert answer_for(tmp_path / "other.safetensors") is None
    remember(tmp_path / "other.safetensors", "epsilon").join()
    assert answer_for(model) == Answer("v_prediction", False)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"quick": 5}}', "[" * 100_000])
def test_a_damaged_store_is_as_good_as_none(model: Path, text: str) -> None:
    remember(model, "v_prediction").join()
    (user_data_folder() / "base_model_answers.json").write_text(text, encoding="utf-8")
    assert answer_for(model) is None
    remember(model, "epsilon").join()
    assert answer_for(model) == Answer("epsilon", False)


def test_an_answer_of_nonsense_does_not_count(model: Path) -> None:
    remember(model, "v_prediction").join()
    file = user_data_folder() / "base_model_answers.json"
    file.write_text(file.read_text(encoding="utf-8").replace("v_prediction", "banana"), encoding="utf-8")
    assert answer_for(model) is None


@pytest.mark.parametrize(
    ("name", "metadata", "more", "is_asked"),
    [
        ("animagine", {}, {}, False),
        ("noob epsilon", {}, {}, False),
        ("noob vpred", {}, {}, True),
        ("noob vpred", {}, {"v_pred": (0,)}, False),
        ("noob vpred", {"modelspec.prediction_type": "v"}, {}, False),
        ("noob vpred", {"modelspec.prediction_type": "epsilon"}, {}, True),
    ],
)
def test_only_what_is_in_doubt_is_asked(
    tmp_path: Path, name: str, metadata: dict[str, str], more: dict[str, tuple[int, ...]], is_asked: bool
) -> None:
    path = write_weights(tmp_path / f"{name}.safetensors", {**SDXL, **more}, metadata=metadata)
    assert needs_answer(describe_base(path)) == is_asked


def test_stable_diffusion_1_is_not_asked_about_and_2_where_its_weights_do_not_tell(tmp_path: Path) -> None:
    assert not needs_answer(describe_base(write_weights(tmp_path / "a.safetensors", SD1)))
    assert needs_answer(describe_base(write_weights(tmp_path / "b vpred.safetensors", SD1)))
    assert not needs_answer(describe_base(write_weights(tmp_path / "c.safetensors", SD2)))
    silent = {name: shape for name, shape in SD2.items() if "norm1.bias" not in name}
    path = write_weights(tmp_path / "d.safetensors", silent)
    assert needs_answer(describe_base(path))
    remember(path, "v_prediction", True).join()
    model = describe_base(path)
    assert (model.prediction, model.zero_terminal_snr, model.native_size_px) == ("v_prediction", True, 768)
    assert not needs_answer(model)
