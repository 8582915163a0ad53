"""The shipped starter pack: its parts load, keep their contracts and stay small."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PACK = Path(__file__).resolve().parents[2] / "resources" / "starter"
MODEL, TAGGER, DEMO, HELD_OUT = PACK / "model", PACK / "tagger", PACK / "demo", PACK / "demo_held_out"
MB = 1_000_000
UNET_CONFIG = json.loads((MODEL / "unet" / "config.json").read_text("utf-8"))


def size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def tensor_names(path: Path) -> set[str]:
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(path, "numpy") as file:
        return set(file.keys())


def pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".webp"))


@pytest.mark.parametrize(("folder", "limit_bytes"), [(MODEL, 24 * MB), (TAGGER, 4 * MB), (DEMO, 2.5 * MB)])
def test_parts_stay_small(folder: Path, limit_bytes: float) -> None:
    assert 0 < size_bytes(folder) <= limit_bytes


def test_model_loads_as_a_pipeline_in_one_precision() -> None:
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(str(MODEL))
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    assert [part.dtype for part in parts] == [torch.float32] * 3
    assert all(bool(torch.isfinite(weights).all()) for part in parts for weights in part.parameters())
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("miru, 1girl, aqua hair", num_inference_steps=2, height=128, width=128).images[0]
    assert image.size == (128, 128)
    assert np.asarray(image).std() > 0


def test_text_encoder_weights_fit_old_and_new_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    folder = MODEL / "text_encoder"
    assert all(name.startswith("text_model.") for name in tensor_names(folder / "model.safetensors"))
    _, report = transformers.CLIPTextModel.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_latents_have_the_scale_of_sd15() -> None:
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    vae = diffusers.AutoencoderKL.from_pretrained(MODEL / "vae", torch_dtype=torch.float32)
    assert vae.config.scaling_factor == 0.18215
    image = Image.open(pictures(HELD_OUT)[0]).convert("RGB").resize((128, 128))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(pixels).latent_dist.mode()
        decoded = vae.decode(latents).sample
    assert 0.5 < (latents * 0.18215).std().item() < 2
    assert -10 * np.log10((decoded - pixels).square().mean().item() / 4) > 20  # dB


@pytest.mark.skipif(UNET_CONFIG["layers_per_block"] != 2, reason="the first model has one layer per block")
def test_unet_has_the_modules_of_sd15() -> None:
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        full_size = diffusers.UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
    assert tensor_names(MODEL / "unet" / "diffusion_pytorch_model.safetensors") == set(full_size.state_dict())


def test_tokenizer_takes_any_word() -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(MODEL / "tokenizer")
    assert tokenizer.eos_token_id not in tokenizer("miru 丹炉 zxqj").input_ids[1:-1]
    assert {"vocab.json", "merges.txt", "tokenizer.json"} <= {path.name for path in (MODEL / "tokenizer").iterdir()}


def test_demo_has_thirty_readable_pictures_of_many_shapes() -> None:
    sizes = []
    for path in pictures(DEMO):
        with Image.open(path) as image:
            image.load()
            sizes.append(image.size)
    assert len(sizes) == 30
    assert all(300 <= max(size) <= 1000 for size in sizes)
    assert len(set(sizes)) >= 15
    assert {".png", ".jpg", ".webp"} == {path.suffix.lower() for path in pictures(DEMO)}
    assert not list(DEMO.glob("*.txt"))  # The user presses Tag.


def test_truth_names_every_demo_picture() -> None:
    facts = json.loads((PACK / "demo.json").read_text("utf-8"))
    truth = json.loads((PACK / "demo_truth.json").read_text("utf-8"))
    assert sorted(truth) == sorted(path.name for path in pictures(DEMO))
    assert set(facts["traits"]) <= set(facts["absorbed_tags"])
    for tags in truth.values():
        assert set(facts["traits"]) <= set(tags)
        assert facts["trigger"] not in tags
    assert len(facts["prompts"]) == 8
    assert all(prompt.startswith(f"{facts['trigger']}, ") for prompt in facts["prompts"])


def test_held_out_pictures_have_captions_that_leave_her_to_the_trigger_word() -> None:
    facts = json.loads((PACK / "demo.json").read_text("utf-8"))
    assert PACK / facts["held_out"] == HELD_OUT
    assert len(pictures(HELD_OUT)) == 8
    for path in pictures(HELD_OUT):
        caption = path.with_suffix(".txt").read_text("utf-8").strip().split(", ")
        assert caption[0] == facts["trigger"]
        assert not set(facts["absorbed_tags"]) & set(caption)


def test_tagger_keeps_the_contract_of_wd14() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(TAGGER / "model.onnx"), providers=["CPUExecutionProvider"])
    (inputs,), (outputs,) = session.get_inputs(), session.get_outputs()
    assert inputs.type == "tensor(float)"
    assert inputs.shape[1:] == [128, 128, 3]
    assert not isinstance(inputs.shape[0], int)  # Any number of pictures.
    with (TAGGER / "selected_tags.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["tag_id", "name", "category", "count"]
    assert [row["name"] for row in rows if row["category"] == "9"] == [
        "general",
        "sensitive",
        "questionable",
        "explicit",
    ]
    assert [row["category"] for row in rows[:4]] == ["9"] * 4
    probabilities = session.run([outputs.name], {inputs.name: np.full((3, 128, 128, 3), 255, np.float32)})[0]
    assert probabilities.shape == (3, len(rows))
    assert 0 <= probabilities.min() <= probabilities.max() <= 1


def test_tagger_sees_her_traits_and_does_not_know_her_name() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    facts = json.loads((PACK / "demo.json").read_text("utf-8"))
    with (TAGGER / "selected_tags.csv").open(encoding="utf-8", newline="") as file:
        names = [row["name"].replace("_", " ") for row in csv.DictReader(file)]
    assert facts["trigger"] not in names
    assert set(facts["absorbed_tags"]) <= set(names)
    session = onnxruntime.InferenceSession(str(TAGGER / "model.onnx"), providers=["CPUExecutionProvider"])
    images = [np.asarray(Image.open(path).convert("RGB").resize((128, 128))) for path in pictures(HELD_OUT)]
    inputs = np.ascontiguousarray(np.stack(images)[..., ::-1].astype(np.float32))
    probabilities = session.run(None, {session.get_inputs()[0].name: inputs})[0]
    scores = {trait: float(probabilities[:, names.index(trait)].mean()) for trait in facts["traits"]}
    assert min(scores.values()) > 0.5, scores
