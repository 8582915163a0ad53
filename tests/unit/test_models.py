"""What is said of base models that are there, broken, or something else."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.hub.catalog import folder_of, model_card
from core.models import describe_base, known_bases
from tests.weight_files import (
    CLIP,
    SD1,
    SD2,
    SDXL,
    TELLING,
    TWO_CLIPS,
    VAE,
    Shapes,
    kolors_unet,
    sd_unet,
    sdxl_unet,
    write_weights,
)


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


def test_files_that_are_no_base_model_are_told_apart(tmp_path: Path) -> None:
    lora = write_weights(tmp_path / "my lora.safetensors", {"lora_unet_mid_block.lora_down.weight": (4, 4)})
    assert "is a LoRA" in refused(lora)
    vae = write_weights(tmp_path / "vae.safetensors", VAE)
    assert "is a VAE" in refused(vae)
    flux = write_weights(tmp_path / "flux.safetensors", {"double_blocks.0.img_attn.qkv.weight": (9, 3)})
    assert "(Flux)" in refused(flux)
    other = write_weights(tmp_path / "dit.safetensors", {"blocks.0.attn.qkv.weight": (9, 3)})
    assert "a diffusion transformer" in refused(other)
    for name, told in (
        ("text_model.encoder.layers.0.mlp.fc1.weight", "a text encoder"),
        ("emb_params", "an embedding"),
        ("control_model.zero_convs.0.0.weight", "a ControlNet"),
        ("conv_first.weight", "an upscaler"),
        ("abc", "unknown kind"),
    ):
        assert told in refused(write_weights(tmp_path / "a.safetensors", {name: (64, 3, 3, 3)}))
    text = tmp_path / "model.safetensors"
    text.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1234\n", encoding="utf-8")
    assert "not a safetensors file" in refused(text)
    old = tmp_path / "model.ckpt"
    old.write_bytes(b"PK")
    assert "not a checkpoint" in refused(old)


@pytest.mark.parametrize(("shapes", "family", "native"), [(SD1, "sd1", 512), (SD2, "sd2", 512), (SDXL, "sdxl", 1024)])
@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F8_E4M3"])
def test_single_files_of_each_family_are_described(
    tmp_path: Path, shapes: Shapes, family: str, native: int, dtype: str
) -> None:
    path = write_weights(tmp_path / "我的 模型 😀.safetensors", shapes, dtype=dtype)
    model = describe_base(path)
    assert (model.family, model.title, model.native_size_px) == (family, "我的 模型 😀", native)
    assert model.is_file and model.size_bytes == path.stat().st_size
    assert len(model.warnings) == (dtype == "F8_E4M3")


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
@pytest.mark.parametrize(("spread", "prediction", "native"), [(0.2, "v_prediction", 768), (0.05, "epsilon", 512)])
def test_stable_diffusion_2_tells_by_its_weights_what_it_predicts(
    tmp_path: Path, dtype: str, spread: float, prediction: str, native: int
) -> None:
    numbers = [spread, -spread] * 160
    if dtype == "BF16":
        data = b"".join(struct.pack("<f", number)[2:] for number in numbers)
    else:
        data = struct.pack(f"<320{ {'F16': 'e', 'F32': 'f', 'F64': 'd'}[dtype] }", *numbers)
    model = describe_base(write_weights(tmp_path / "a.safetensors", SD2, dtype=dtype, data={TELLING: data}))
    assert (model.prediction, model.native_size_px, model.is_prediction_unsure) == (prediction, native, False)
    named = describe_base(write_weights(tmp_path / "a vpred.safetensors", SD2, dtype=dtype, data={TELLING: data}))
    assert named.is_prediction_unsure == (prediction == "epsilon")


def test_sdxl_for_v_prediction_is_known_by_its_marks(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "noobaiXL_v10.safetensors", {**SDXL, "v_pred": (0,), "ztsnr": (0,)})
    model = describe_base(path)
    assert (model.prediction, model.zero_terminal_snr, model.lineage) == ("v_prediction", True, "NoobAI")


def test_what_a_single_file_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    assert "holds only the UNet of SDXL" in refused(write_weights(path, sdxl_unet()))
    assert "has no text encoder" in refused(write_weights(path, {**sd_unet(768), **VAE}))
    one = {name: shape for name, shape in TWO_CLIPS.items() if "embedders.0" in name}
    assert "has no second text encoder" in refused(write_weights(path, {**sdxl_unet(), **one, **VAE}))
    assert "Kolors" in refused(write_weights(path, kolors_unet()))
    (warning,) = describe_base(write_weights(path, {**sd_unet(768), **CLIP})).warnings
    assert "no VAE" in warning


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        ({**sd_unet(768, channels=9), **CLIP, **VAE}, "an inpainting model"),
        ({**sd_unet(768, channels=8), **CLIP, **VAE}, "edits pictures"),
        ({**sdxl_unet(1280, 2560, 384), "conditioner.embedders.0.model.ln_final.weight": (1280,), **VAE}, "refiner"),
        ({**sdxl_unet(depth=4), **TWO_CLIPS, **VAE}, "a distilled model"),
        ({**SDXL, "edm_mean": (4,), "edm_std": (4,)}, "EDM"),
    ],
)
def test_models_of_special_forms_are_named(tmp_path: Path, shapes: Shapes, told: str) -> None:
    assert told in refused(write_weights(tmp_path / "a.safetensors", shapes))


def test_quantised_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    assert "quantised (I8)" in refused(write_weights(path, SD1, dtype="I8"))
    assert "scaled" in refused(write_weights(path, {**SDXL, "scaled_fp8": (2,)}, dtype="F8_E4M3"))


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "a.safetensors", SD1)
    assert describe_base(path).family == "sd1"
    assert describe_base(write_weights(path, SDXL)).family == "sdxl"


UNETS: Mapping[str, dict[str, Any]] = {
    "sd1": {"cross_attention_dim": 768, "sample_size": 64},
    "sd2": {"cross_attention_dim": 1024, "use_linear_projection": True, "sample_size": 96},
    "sdxl": {
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "transformer_layers_per_block": [1, 2, 10],
        "sample_size": 128,
    },
    "kolors": {
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "encoder_hid_dim_type": "text_proj",
        "transformer_layers_per_block": [1, 2, 10],
        "sample_size": 128,
    },
}
PIPELINES = {
    "sd1": "StableDiffusionPipeline",
    "sd2": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "kolors": "KolorsPipeline",
}


def model_folder(place: Path, family: str, *, scheduler: Mapping[str, Any] | None = None) -> Path:
    """A folder in diffusers form with one small weight in each part."""
    parts = ["unet", "vae", "text_encoder"] + (["text_encoder_2"] if family == "sdxl" else [])
    unet = {"in_channels": 4, "block_out_channels": [320, 640, 1280], **UNETS[family]}
    configs = {"unet": unet, "vae": {"block_out_channels": [1, 2, 3, 4]}}
    for part in parts:
        name = "model" if part.startswith("text") else "diffusion_pytorch_model"
        write_weights(place / part / f"{name}.safetensors", {"a.weight": (2, 2)})
        (place / part / "config.json").write_text(json.dumps(configs.get(part, {})), encoding="utf-8")
    for name in ("tokenizer", "tokenizer_2")[: {"kolors": 0, "sdxl": 2}.get(family, 1)]:
        (place / name).mkdir()
        (place / name / "tokenizer.json").write_text("{}", encoding="utf-8")
    if family == "kolors":
        (place / "tokenizer").mkdir()
        (place / "tokenizer" / "tokenizer.model").write_bytes(b"\n")
    (place / "scheduler").mkdir()
    (place / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler or {}), encoding="utf-8")
    (place / "model_index.json").write_text(json.dumps({"_class_name": PIPELINES[family]}), encoding="utf-8")
    return place


def change(file: Path, **values: object) -> None:
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**config, **values}), encoding="utf-8")


@pytest.mark.parametrize(("family", "native"), [("sd1", 512), ("sd2", 768), ("sdxl", 1024), ("kolors", 1024)])
def test_folders_of_each_family_are_described(tmp_path: Path, family: str, native: int) -> None:
    model = describe_base(model_folder(tmp_path / "我的 模型", family))
    assert (model.family, model.native_size_px, model.prediction) == (family, native, "epsilon")
    assert not model.is_file and not model.warnings and not model.zero_terminal_snr


def test_a_folder_says_what_it_predicts(tmp_path: Path) -> None:
    said = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    model = describe_base(model_folder(tmp_path / "a", "sdxl", scheduler=said))
    assert (model.prediction, model.zero_terminal_snr) == ("v_prediction", True)
    assert "EDM" in refused(model_folder(tmp_path / "b", "sdxl", scheduler={"_class_name": "EDMEulerScheduler"}))


def test_kolors_as_it_was_published_is_known_without_an_index(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "Kolors", "kolors")
    (folder / "model_index.json").unlink()
    (folder / "tokenizer" / "tokenizer.model").rename(folder / "text_encoder" / "tokenizer.model")
    (folder / "tokenizer").rmdir()
    assert describe_base(folder).family == "kolors"
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}', encoding="utf-8")
    assert describe_base(folder).family == "kolors"
    (folder / "text_encoder" / "tokenizer.model").unlink()
    assert "tokenizer" in refused(folder)


def test_parts_in_several_files_are_added_up(tmp_path: Path) -> None:
    import torch

    folder = model_folder(tmp_path / "Kolors", "kolors")
    before = describe_base(folder).size_bytes
    (folder / "text_encoder" / "model.safetensors").unlink()
    shards = [folder / "text_encoder" / f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    for number, shard in enumerate(shards):
        torch.save({f"{number}.weight": torch.ones(2, 2).half()}, shard)
    places = {"0.weight": shards[0].name, "1.weight": shards[1].name}
    index = folder / "text_encoder" / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    assert describe_base(folder).size_bytes > before
    torch.save({"0.weight": torch.ones(2, 2, dtype=torch.int8)}, shards[0])
    assert "quantised" in refused(folder)
    shards[0].unlink()
    assert shards[0].name in refused(folder)


@pytest.mark.parametrize(
    ("family", "missing"),
    [("sdxl", "text_encoder_2"), ("sdxl", "tokenizer_2"), ("kolors", "text_encoder"), ("sd2", "vae")],
)
def test_a_folder_without_one_of_its_parts_names_it(tmp_path: Path, family: str, missing: str) -> None:
    folder = model_folder(tmp_path / "a", family)
    shutil.rmtree(folder / missing)
    assert missing in refused(folder)


def test_folders_of_special_forms_are_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "a", "sdxl")
    unet = folder / "unet" / "config.json"
    change(unet, in_channels=9)
    assert "an inpainting model" in refused(folder)
    change(unet, in_channels=4, time_cond_proj_dim=256)
    assert "LCM" in refused(folder)
    change(unet, time_cond_proj_dim=None, transformer_layers_per_block=[0, 2, 4])
    (warning,) = describe_base(folder).warnings
    assert "distilled" in warning
    change(folder / "model_index.json", text_encoder=[None, None])
    assert "refiner" in refused(folder)


def test_models_are_described_without_heavy_libraries(tmp_path: Path) -> None:
    """The window does so whenever a model is chosen."""
    write_weights(tmp_path / "a.safetensors", SD2)
    folder = model_folder(tmp_path / "folder", "sdxl")
    code = f"""
import sys
from pathlib import Path
from core.errors import UserError
from core.models import describe_base
from core.model_shape import shape_of
describe_base(Path({str(folder)!r}))
shape_of(describe_base(Path({str(tmp_path / "a.safetensors")!r})))
try:
    describe_base(Path({str(old_checkpoint(tmp_path / "a.ckpt"))!r}))
except UserError as error:
    print(error.failure, *[name for name in ("torch", "numpy", "PIL", "safetensors") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["model_unsuited"]), done.stderr[-2000:]


def old_checkpoint(path: Path) -> Path:
    """A zip of PyTorch with one tensor in it."""
    import torch

    torch.save({"state_dict": {"a": torch.ones(2, 2)}}, path)
    return path
