"""What is said of base models that are there, broken, or something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.errors import UserError
from core.hub.catalog import folder_of, model_card
from core.models import describe_base, known_bases


@pytest.fixture
def base(tiny_sd1: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sd1, tmp_path / "我的 模型 😀"))


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        describe_base(path)
    assert caught.value.remedy
    return str(caught.value)


def test_the_starter_model_is_known_without_asking() -> None:
    (starter,) = known_bases()
    assert starter.is_starter
    assert starter.native_size_px == 128
    assert 5e6 < starter.size_bytes < 30e6


def test_downloaded_models_are_known_by_their_title(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = model_card("stable-diffusion-v1-5")
    place = folder_of(card)
    place.parent.mkdir(parents=True)
    base.rename(place)
    assert [model.is_starter for model in known_bases()] == [True]  # It is not whole yet.
    monkeypatch.setattr("core.hub.catalog.is_here", lambda found: found.key == card.key)
    starter, downloaded = known_bases()
    assert starter.is_starter and (downloaded.path, downloaded.title) == (place, card.title)
    (place / "model_index.json").write_text("{}", encoding="utf-8")
    assert len(known_bases()) == 1


def test_a_folder_is_described_by_its_files(base: Path) -> None:
    model = describe_base(base)
    assert (model.family, model.title, model.native_size_px) == ("sd1", "我的 模型 😀", 64)
    assert not model.is_starter


def test_what_is_missing_is_named(base: Path, tmp_path: Path) -> None:
    assert "nowhere" in refused(tmp_path / "nowhere")
    assert "No base model" in refused(Path())
    (base / "scheduler" / "scheduler_config.json").unlink()
    assert "scheduler_config.json" in refused(base)
    (base / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert "unet" in refused(base)
    (base / "model_index.json").unlink()
    assert "model_index.json" in refused(base)


def test_half_a_download_is_told_with_sizes(base: Path) -> None:
    weights = base / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "not complete" in refused(base)
    weights.write_bytes(weights.read_bytes()[:2000])
    assert "not complete" in refused(base)
    weights.write_bytes(b"")
    assert "not a safetensors file" in refused(base)


def test_a_damaged_index_is_told(base: Path) -> None:
    (base / "model_index.json").write_text("{", encoding="utf-8")
    assert "damaged" in refused(base)
    (base / "model_index.json").write_text("[]", encoding="utf-8")
    assert "damaged" in refused(base)


def test_other_pipelines_and_inpainting_models_are_named(base: Path) -> None:
    (base / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}), encoding="utf-8")
    assert "FluxPipeline" in refused(base)


def test_a_lora_a_text_an_old_checkpoint_and_a_single_file_are_told_apart(tmp_path: Path) -> None:
    lora = tmp_path / "my lora.safetensors"
    save_file({"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.zeros(4, 4)}, lora)
    assert "is a LoRA" in refused(lora)
    text = tmp_path / "model.safetensors"
    text.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1234\n", encoding="utf-8")
    assert "not a safetensors file" in refused(text)
    old = tmp_path / "model.ckpt"
    old.write_bytes(b"PK")
    assert "checkpoint" in refused(old)
    single = tmp_path / "single.safetensors"
    save_file({"model.diffusion_model.out.2.bias": torch.zeros(4)}, single)
    assert "single file" in refused(single)
