"""Base models of other programs are found where these keep them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from core import model_places
from core.model_places import (
    FoundModel,
    add_folder,
    added_folders,
    described,
    extra_paths,
    remembered_models,
    search,
)
from core.models import BaseModel
from core.text import set_language
from tests.weight_files import SD1, SD2, SDXL, write_weights


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


def test_single_files_and_folders_of_other_programs_can_be_chosen(tmp_path: Path) -> None:
    models = tmp_path / "ComfyUI" / "models"
    for name, shapes in (("a.safetensors", SD1), ("b.SFT", SD2), ("pony xl.safetensors", SDXL)):
        write_weights(models / "checkpoints" / name, shapes)
    kolors = models / "diffusers" / "Kolors"
    write_weights(kolors / "unet" / "diffusion_pytorch_model.safetensors", {"a.weight": (1, 1)})
    (kolors / "unet" / "config.json").write_text('{"encoder_hid_dim_type": "text_proj"}', encoding="utf-8")
    (kolors / "text_encoder").mkdir()
    found = {model.title: model for model in search([tmp_path])}
    families = {title: model.family for title, model in found.items()}
    assert families == {"a": "sd1", "b": "sd2", "pony xl": "sdxl", "Kolors": None}
    assert found["a"].size_bytes == (models / "checkpoints" / "a.safetensors").stat().st_size
    assert found["Kolors"].path == kolors  # As one model, and not file by file.


def test_a_file_is_not_opened_again_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ComfyUI" / "models" / "checkpoints"
    usable = write_weights(folder / "a.safetensors", SD1)
    checkpoint(folder / "b.safetensors", "lora_unet_x.lora_down.weight")
    found = search([tmp_path])
    opened: list[str] = []

    def noted(path: Path, place: str) -> FoundModel:
        opened.append(path.name)
        return described(path, place)

    monkeypatch.setattr(model_places, "described", noted)
    assert search([tmp_path]) == remembered_models() == found
    add_folder(tmp_path / "more")
    assert remembered_models() == found and opened == []
    write_weights(usable, SDXL)
    assert [model.family for model in search([tmp_path])] == ["sdxl", None] and opened == ["a.safetensors"]
    set_language("zh")
    assert "不是底模" in search([tmp_path])[1].problem and opened == ["a.safetensors", "a.safetensors", "b.safetensors"]
    store = tmp_path / "kiln" / "model_places.json"
    values = json.loads(store.read_text(encoding="utf-8"))
    values["files"] = {path: [*look[:4], "banana", 5] for path, look in values["files"].items()}
    store.write_text(json.dumps(values), encoding="utf-8")
    assert [model.family for model in remembered_models()] == ["sdxl", None]


def test_looking_at_many_models_ends_when_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(model_places.time, "monotonic", lambda: clock[0])

    def slow(path: Path) -> BaseModel:
        clock[0] += 1
        return BaseModel(path=path, family="sd1", title=path.stem, size_bytes=1, native_size_px=512)

    monkeypatch.setattr(model_places, "describe_base", slow)
    monkeypatch.setattr(model_places, "stored_files", dict)
    for number in range(20):
        checkpoint(tmp_path / "ComfyUI" / "models" / "checkpoints" / f"{number:02}.safetensors")
    assert len(search([tmp_path])) == model_places.SEARCH_S + 1
    clock[0] = 100
    assert len(remembered_models()) == model_places.SEARCH_S + 1


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
