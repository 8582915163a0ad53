"""Base models of other programs are found where these keep them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from core import model_places
from core.model_places import add_folder, added_folders, extra_paths, remembered_models, search
from core.models import BaseModel


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "kiln"))


def checkpoint(path: Path, tensor: str = "model.diffusion_model.in.weight") -> Path:
    """A small file in the safetensors format."""
    header = json.dumps({tensor: {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    return path


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("ComfyUI/models/checkpoints", "ComfyUI"),
        ("AI/ComfyUI_windows_portable/ComfyUI/models/checkpoints/anime", "ComfyUI"),
        ("stable-diffusion-webui/models/Stable-diffusion", "Web UI"),
        ("sd-webui-aki-v4.9/models/Stable-diffusion/我的 模型", "Web UI"),
        ("stable-diffusion-webui-forge/models/Stable-diffusion", "Web UI"),
        ("lora-scripts-v1.10.0/sd-models", "SD-Trainer"),
        ("SD-Trainer/sd-models", "SD-Trainer"),
        ("AI绘画/SD-Trainer/sd-models", "SD-Trainer"),
        ("StabilityMatrix/Data/Models/StableDiffusion", "Stability Matrix"),
    ],
)
def test_models_are_found_where_programs_keep_them(tmp_path: Path, folder: str, place: str) -> None:
    file = checkpoint(tmp_path / "drive" / folder / "meinamix 😀.safetensors")
    found = search([tmp_path / "drive"])
    assert [(model.path, model.place, model.title) for model in found] == [(file, place, "meinamix 😀")]


def test_only_usual_places_are_looked_at(tmp_path: Path) -> None:
    checkpoint(tmp_path / "drive" / "photos" / "ComfyUI" / "models" / "checkpoints" / "a.safetensors")
    checkpoint(tmp_path / "drive" / "ComfyUI" / "models" / "loras" / "b.safetensors")
    checkpoint(tmp_path / "drive" / "ComfyUI" / "models" / "checkpoints" / "1" / "2" / "3" / "deep.safetensors")
    assert search([tmp_path / "drive", tmp_path / "nowhere"]) == []


def test_what_kiln_cannot_use_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "ComfyUI" / "models" / "checkpoints"
    lora = checkpoint(folder / "a lora.safetensors", "lora_unet_x.lora_down.weight")
    (folder / "broken.safetensors").write_bytes(b"nothing")
    (folder / "old.ckpt").write_bytes(b"pickle")
    (folder / "half" / "unet").mkdir(parents=True)
    (folder / "half" / "model_index.json").write_text("{}", encoding="utf-8")
    found = {model.path.name: model for model in search([tmp_path])}
    assert set(found) == {"a lora.safetensors", "broken.safetensors", "old.ckpt", "half"}
    assert found[lora.name].problem == "a lora.safetensors is a LoRA, not a base model."
    assert all(model.problem and model.family is None for model in found.values())
    assert found["old.ckpt"].size_bytes == 6


def test_what_describe_base_accepts_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = checkpoint(tmp_path / "ComfyUI" / "models" / "checkpoints" / "usable.safetensors")
    base = BaseModel(path=file, family="sd1", title="usable", size_bytes=7, native_size_px=512)
    monkeypatch.setattr(model_places, "describe_base", lambda path: base)
    (model,) = search([tmp_path])
    assert (model.family, model.size_bytes, model.problem) == ("sd1", 7, "")


def test_a_search_is_remembered_without_what_has_vanished(tmp_path: Path) -> None:
    folder = tmp_path / "ComfyUI" / "models" / "checkpoints"
    kept, gone = checkpoint(folder / "kept.safetensors"), checkpoint(folder / "gone.safetensors")
    assert remembered_models() == []
    assert {model.path for model in search([tmp_path])} == {kept, gone}
    gone.unlink()
    assert [model.path for model in remembered_models()] == [kept]
    (tmp_path / "kiln" / "model_places.json").write_text("{damaged", encoding="utf-8")
    assert remembered_models() == []


def test_folders_of_the_user_come_first_and_may_vanish(tmp_path: Path) -> None:
    mine = checkpoint(tmp_path / "my models" / "a.safetensors")
    theirs = checkpoint(tmp_path / "ComfyUI" / "models" / "checkpoints" / "b.safetensors")
    add_folder(tmp_path / "gone")
    add_folder(mine.parent)
    add_folder(mine.parent)
    assert added_folders() == [mine.parent, tmp_path / "gone"]
    assert [model.path for model in search([tmp_path])] == [mine, theirs]
    assert added_folders() == [mine.parent, tmp_path / "gone"]


def test_a_link_to_the_same_model_is_listed_once(tmp_path: Path) -> None:
    folder = tmp_path / "ComfyUI" / "models" / "checkpoints"
    file = checkpoint(folder / "a.safetensors")
    try:
        (folder / "b.safetensors").symlink_to(file)
    except OSError:
        pytest.skip("no links here")
    assert [model.path for model in search([tmp_path])] == [file]


def test_the_search_ends_when_its_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(tmp_path / "ComfyUI" / "models" / "checkpoints" / "a.safetensors")
    monkeypatch.setattr(model_places, "SEARCH_S", -1.0)
    assert search([tmp_path]) == []


def test_paths_of_comfyui_are_read(tmp_path: Path) -> None:
    for name in ("one", "two", "web/models/Stable-diffusion"):
        (tmp_path / name).mkdir(parents=True)
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(
        f"""
# a comment
a111:
    base_path: {tmp_path}/web/
    checkpoints: models/Stable-diffusion
    loras: |
        models/Lora
comfyui:
    base_path: "{tmp_path}"
    is_default: true
    checkpoints: |
        one
        two
        three
    vae: models/vae
other:
    checkpoints: relative/path
""",
        encoding="utf-8",
    )
    wanted = [tmp_path / "web/models/Stable-diffusion", tmp_path / "one", tmp_path / "two"]
    assert extra_paths(file) == wanted
    assert extra_paths(tmp_path / "none.yaml") == []
