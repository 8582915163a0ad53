"""By what a base model is known again: by a run that goes on, and for latents and captions encoded before."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from core.cache import content_hash, key_of
from core.checkpoints import content
from core.checkpoints.content import content_key
from core.checkpoints.parts import part_of, parts_of
from core.checkpoints.single_file import CONFIG_KEY
from core.config.model import ModelConfig
from core.control import Control
from core.errors import UserError
from core.events import Finished
from core.jobs import ConvertJob, run_to_end
from core.models import BaseModel, describe_base
from core.safetensors_header import read_header
from core.training.identity import base_identity, refuse_another_base
from tests.tiny.models import make_tiny_sd1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model as `sd1` and as `sd1.safetensors`, and another VAE as `vae`."""
    folder = tmp_path_factory.mktemp("models")
    make_tiny_sd1(folder / "sd1", words="clip")
    make_tiny_sd1(folder / "other", seed=1)
    shutil.move(folder / "other" / "vae", folder / "vae")
    job = ConvertJob(source=folder / "sd1", target=folder / "sd1.safetensors")
    assert isinstance(list(run_to_end(job, Control()))[-1], Finished)
    return folder


def changed(model: Path, target: Path, key: str) -> BaseModel:
    """The single file with one other number in a tensor."""
    file = model / "sd1.safetensors"
    tensors = load_file(file)
    tensors[key].view(-1)[0] += 1
    save_file(tensors, target, read_header(file).metadata)
    return dataclasses.replace(describe_base(file), path=target)


def test_a_folder_has_the_keys_that_it_always_had(model: Path) -> None:
    folder = model / "sd1"
    base = describe_base(folder)
    weights = {
        "unet": folder / "unet" / "diffusion_pytorch_model.safetensors",
        "text_encoder": folder / "text_encoder" / "model.safetensors",
        "vae": folder / "vae" / "diffusion_pytorch_model.safetensors",
    }

    for part, name in (("vae", "vae"), ("text_encoder", "text_encoder")):
        expected = key_of(content_hash(weights[name]), content_hash(folder / name / "config.json"))
        assert content_key(parts_of(base)[part]) == expected  # type: ignore[index]
    identity = base_identity(base, ModelConfig())
    assert set(identity) == {"unet", "text_encoder", "vae", "scheduler"}
    assert identity["scheduler"] == content_hash(folder / "scheduler" / "scheduler_config.json")


def test_a_key_of_a_single_file_changes_with_its_part_alone(model: Path, tmp_path: Path) -> None:
    base = describe_base(model / "sd1.safetensors")
    vae = changed(model, tmp_path / "a.safetensors", "first_stage_model.decoder.conv_in.bias")

    before = {part: content_key(source) for part, source in parts_of(base).items()}
    after = {part: content_key(source) for part, source in parts_of(vae).items()}

    assert [part for part in before if before[part] != after[part]] == ["vae"]
    assert len({*before.values()}) == 3


def test_a_key_is_of_the_content_not_of_the_place(model: Path, tmp_path: Path) -> None:
    shutil.copy(model / "sd1.safetensors", tmp_path / "moved.safetensors")

    one, other = (describe_base(path) for path in (model / "sd1.safetensors", tmp_path / "moved.safetensors"))

    assert content_key(part_of(one, "vae")) == content_key(part_of(other, "vae"))


def test_a_key_that_took_long_is_kept_until_the_file_changes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(content, "_LONG_S", -1.0)
    base = changed(model, tmp_path / "a.safetensors", "first_stage_model.decoder.conv_in.bias")
    key = content_key(part_of(base, "vae"))

    monkeypatch.setattr(content, "_of_tensors", lambda _: pytest.fail("computed again"))
    assert content_key(part_of(base, "vae")) == key

    monkeypatch.undo()
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "home"))
    base = changed(model, tmp_path / "a.safetensors", "first_stage_model.decoder.conv_out.bias")
    assert content_key(part_of(base, "vae")) != key


def test_a_damaged_list_of_keys_costs_time_alone(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "models.json").write_text("[1", encoding="utf-8")

    assert content_key(part_of(describe_base(model / "sd1.safetensors"), "vae"))


def test_another_vae_is_another_identity(model: Path, tmp_path: Path) -> None:
    folder, file = describe_base(model / "sd1"), describe_base(model / "sd1.safetensors")

    alone, with_vae = ModelConfig(), ModelConfig(vae=model / "vae")
    own, other = base_identity(folder, alone), base_identity(folder, with_vae)
    assert [part for part in own if own[part] != other[part]] == ["vae"]
    assert set(base_identity(file, alone)) == {"checkpoint", "prediction"}
    assert base_identity(file, with_vae) == {**base_identity(file, alone), "vae": other["vae"]}
    moved = changed(model, tmp_path / "a.safetensors", "first_stage_model.decoder.conv_in.bias")
    assert base_identity(moved, alone) != base_identity(file, alone)


def test_a_file_that_says_another_prediction_under_another_name_is_another_model(model: Path, tmp_path: Path) -> None:
    names = "a.safetensors", "a vpred.safetensors"
    source = model / "sd1.safetensors"
    for name in names:
        save_file(load_file(source), tmp_path / name, {CONFIG_KEY: read_header(source).metadata[CONFIG_KEY]})
    bases = [describe_base(tmp_path / name) for name in names]
    before, now = (base_identity(base, ModelConfig()) for base in bases)
    assert [part for part in before if before[part] != now[part]] == ["prediction"]
    with pytest.raises(UserError, match="prediction changed"):
        refuse_another_base(before, now, tmp_path)
    # What the settings say counts, whatever the file is called.
    before, now = (base_identity(base, ModelConfig(prediction="v_prediction")) for base in bases)
    assert before == now
