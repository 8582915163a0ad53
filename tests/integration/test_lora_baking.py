"""LoRAs taken into base models, and taken out of them again, on real module trees of a few channels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.checkpoints.parts import PartName, TensorAt, parts_of
from core.checkpoints.single_file import CONFIG_KEY, names_of, prefix_of
from core.control import Control
from core.errors import UserError
from core.events import Event, Finished, LoraReported, Notice
from core.families.base import Parts
from core.families.base import family as family_of
from core.lora.keys import module_names, name_of
from core.lora.network import add_from_file, remove_network
from core.models import FamilyName, describe_base
from core.safetensors_header import read_header
from core.tools.base_weights import targets_of
from core.tools.run import run_tool
from core.tools.tasks import BakeTask, ExtractTask, ToolTask, VerifyTask, Weighted
from tests.loras import Shapes, changes, random_lora, write_lora
from tests.tiny.models import make_tiny_sd1, make_tiny_sdxl


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_sd1(tmp_path_factory.mktemp("模 型") / "sd1")


@pytest.fixture(scope="module")
def sd1_file(sd1: Path) -> Path:
    return as_file(sd1, "sd1", sd1.with_suffix(".safetensors"))


@pytest.fixture(scope="module")
def sdxl_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_tiny_sdxl(tmp_path_factory.mktemp("xl") / "sdxl")
    return as_file(folder, "sdxl", folder.with_suffix(".safetensors"))


@lru_cache(maxsize=8)
def whole_file(path: Path) -> dict[str, Tensor]:
    return load_file(path)


def as_file(folder: Path, family: FamilyName, path: Path) -> Path:
    """A folder as one file in the original names, thirds of a text encoder's projections together again."""
    tensors: dict[str, Tensor] = {"ztsnr": torch.zeros(0), "something.else": torch.arange(6)}
    configs: dict[str, Any] = {}
    for part, source in parts_of(describe_base(folder)).items():
        prefix, table = prefix_of(family, part), names_of(family, part, source.config)
        configs[part] = source.config
        thirds: dict[str, dict[str, Tensor]] = {}
        for name, place in source.tensors.items():
            found = table.in_file(name)
            assert found is not None and prefix is not None
            key, change = found
            tensor = whole_file(place.file)[place.key]
            if change.startswith("rows_"):
                thirds.setdefault(prefix + key, {})[change] = tensor
            elif change == "squeeze":
                tensors[prefix + key] = tensor[:, :, None, None]
            else:
                tensors[prefix + key] = tensor.T if change == "transpose" else tensor
        for key, rows in thirds.items():
            tensors[key] = torch.cat([rows[f"rows_{number}"] for number in range(3)])
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        path,
        metadata={CONFIG_KEY: json.dumps(configs), "modelspec.title": "tiny"},
    )
    return path


def shapes_of(base: Path, *, conv: bool = True) -> Shapes:
    """Of the modules that LoCon changes, or plain LoRA."""
    described = describe_base(base)
    kinds = ("default", "conv") if conv else ("default",)
    wanted = {name for name, module in module_names(described.family).items() if module.kind in kinds}
    return {name: target.weight.shape for name, target in targets_of(described).items() if name in wanted}


def few(shapes: Shapes) -> Shapes:
    """Some of each part and kind of module, which are quicker to compute with than all."""
    places = ("_blocks_1_attentions_0", "_blocks_4_1", "blocks_2_resnets_1", "_layers_0_")
    return {name: shape for name, shape in shapes.items() if any(place in name for place in places)}


def run(task: ToolTask) -> list[Event]:
    return list(run_tool(task, Control()))


def bake(base: Path, output: Path, *items: tuple[Path, float]) -> Path:
    loras = tuple(Weighted(file=file, strength=strength) for file, strength in items)
    last = run(BakeTask(base=base, loras=loras, output=output))[-1]
    assert isinstance(last, Finished) and last.output is not None
    return last.output


def weights_of(base: Path) -> Iterator[tuple[PartName, str, Tensor]]:
    """Every tensor of a model in diffusers' names, read by safetensors alone."""
    for part, source in parts_of(describe_base(base)).items():
        for name, place in source.tensors.items():
            yield part, name, as_diffusers(whole_file(place.file)[place.key], place)


def as_diffusers(tensor: Tensor, place: TensorAt) -> Tensor:
    if place.change.startswith("rows_"):
        return tensor.chunk(3)[int(place.change[-1])]
    return tensor.T if place.change == "transpose" else tensor.reshape(place.shape)


@pytest.fixture(scope="module")
def parts(sd1: Path) -> Parts:
    return family_of("sd1").load(describe_base(sd1), torch.float32)


def drawn(parts: Parts) -> Tensor:
    """One pass of text encoder and denoiser."""
    family = family_of("sd1")
    with torch.no_grad():
        conditioning = family.encode_captions(parts, ["1girl, long hair"])
        noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        return family.predict(parts, noise, torch.tensor([500]), conditioning)


# Into a base model


@pytest.mark.parametrize("kind", ["lora", "tucker", "loha", "lokr", "dora"])
def test_a_baked_model_draws_as_the_model_with_the_lora(tmp_path: Path, sd1: Path, parts: Parts, kind: str) -> None:
    shapes = few(shapes_of(sd1))
    tensors = random_lora(shapes, kind=kind, rank=2, alpha=1.0)
    baked = bake(sd1, tmp_path / "baked", (write_lora(tmp_path / "a.safetensors", tensors), 0.6))
    plain = drawn(parts)
    add_from_file(parts, family_of("sd1"), tensors, 0.6)
    with_lora = drawn(parts)
    remove_network(parts)
    of_baked = drawn(family_of("sd1").load(describe_base(baked), torch.float32))
    assert float((of_baked - with_lora).abs().max()) < 1e-3 * float((with_lora - plain).abs().max())


@pytest.mark.parametrize("kind", ["lora", "loha", "lokr", "full"])
def test_every_weight_of_a_file_is_the_sum(tmp_path: Path, sd1_file: Path, kind: str) -> None:
    shapes = shapes_of(sd1_file) if kind == "lora" else few(shapes_of(sd1_file))
    tensors = [random_lora(shapes, kind=kind, rank=2, alpha=1.0, seed=seed) for seed in (1, 2)]
    files = [write_lora(tmp_path / f"{seed}.safetensors", each) for seed, each in enumerate(tensors)]
    baked = bake(sd1_file, tmp_path / "baked", (files[0], 0.5), (files[1], -1.0))
    first, second = (changes(each, shapes) for each in tensors)
    before = {(part, name): tensor for part, name, tensor in weights_of(sd1_file)}
    num_changed = 0
    for part, name, tensor in weights_of(baked):
        module = name_of(part, name.removesuffix(".weight"), "sd1") if part != "vae" else ""
        expected = before[part, name].double()
        if name.endswith(".weight") and module in shapes:
            expected = expected + (0.5 * first[module] - second[module]).reshape(tensor.shape)
            num_changed += 1
        assert torch.allclose(tensor.double(), expected, atol=1e-6), name
    assert num_changed == len(shapes)


@pytest.mark.parametrize(("prediction", "is_told"), [("v", True), ("epsilon", False)])
def test_a_lora_for_another_prediction_than_the_base_is_told(
    tmp_path: Path, sd1: Path, prediction: str, is_told: bool
) -> None:
    tensors = random_lora(few(shapes_of(sd1)), rank=2, alpha=1.0)
    lora = write_lora(tmp_path / "a.safetensors", tensors, **{"modelspec.prediction_type": prediction})
    events = run(BakeTask(base=sd1, loras=(Weighted(file=lora),), output=tmp_path / "baked"))
    told = [event.message for event in events if isinstance(event, Notice)]
    assert any("v-prediction" in message and str(lora) in message for message in told) is is_told
    assert isinstance(events[-1], Finished)


def test_thirds_of_a_file_s_tensors_get_what_is_theirs(tmp_path: Path, sdxl_file: Path) -> None:
    shapes = {name: shape for name, shape in shapes_of(sdxl_file).items() if name.startswith("lora_te2_")}
    assert any("q_proj" in name for name in shapes)
    tensors = random_lora(shapes, rank=2, alpha=2.0)
    lora = write_lora(tmp_path / "a.safetensors", tensors)
    baked = bake(sdxl_file, tmp_path / "baked.safetensors", (lora, 1.0))
    expected = changes(tensors, shapes)
    before = {(part, name): tensor for part, name, tensor in weights_of(sdxl_file)}
    for part, name, tensor in weights_of(baked):
        module = name_of("text_encoder_2", name.removesuffix(".weight"), "sdxl")
        change = (tensor - before[part, name]).double()
        if part == "text_encoder_2" and name.endswith(".weight") and module in shapes:
            assert torch.allclose(change.flatten(1), expected[module], atol=1e-6), name
        else:
            assert not change.any(), name


def test_the_rest_of_a_file_goes_along(tmp_path: Path, sd1_file: Path) -> None:
    lora = write_lora(tmp_path / "a.safetensors", random_lora(few(shapes_of(sd1_file, conv=False))))
    baked = bake(sd1_file, tmp_path / "baked.safetensors", (lora, 1.0))
    before, after = load_file(sd1_file), load_file(baked)
    assert list(before) == list(after)
    assert torch.equal(after["something.else"], before["something.else"])
    metadata = read_header(baked).metadata
    assert metadata["modelspec.title"] == "tiny"
    assert json.loads(metadata["kiln.merged"]) == [{"file": "a.safetensors", "strength": 1.0}]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_number_formats_stay_and_the_sum_is_rounded_once(tmp_path: Path, sd1_file: Path, dtype: torch.dtype) -> None:
    half = tmp_path / "half.safetensors"
    with_floats = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in load_file(sd1_file).items()
    }
    save_file(with_floats, half, metadata=read_header(sd1_file).metadata)
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    shapes = {name: shapes_of(sd1_file)[name]}
    tensors = random_lora(shapes, rank=2, alpha=1.0)
    files = [write_lora(tmp_path / f"{number}.safetensors", tensors) for number in range(3)]
    after = load_file(bake(half, tmp_path / "b.safetensors", *((file, 0.3) for file in files)))
    key = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    assert {tensor.dtype for tensor in after.values()} == {dtype, torch.int64}
    exact = with_floats[key].double() + 0.9 * changes(tensors, shapes)[name]
    assert torch.equal(after[key].float(), exact.float().to(dtype).float())


@pytest.mark.parametrize("form", ["folder", "file"])
def test_strength_0_leaves_every_bit(tmp_path: Path, sd1: Path, sd1_file: Path, form: str) -> None:
    base = sd1 if form == "folder" else sd1_file
    lora = write_lora(tmp_path / "a.safetensors", random_lora(few(shapes_of(base))))
    baked = bake(base, tmp_path / "baked", (lora, 0.0))
    if form == "folder":
        files = [file.relative_to(sd1) for file in sd1.rglob("*") if file.is_file()]
        assert sorted(files) == sorted(file.relative_to(baked) for file in baked.rglob("*") if file.is_file())
        assert all((sd1 / file).read_bytes() == (baked / file).read_bytes() for file in files)
    else:
        before, after = load_file(base), load_file(baked)
        assert list(before) == list(after)
        assert all(
            torch.equal(tensor.view(torch.uint8), after[name].view(torch.uint8))
            for name, tensor in before.items()
            if tensor.ndim
        )


def test_norms_and_biases_of_lycoris_are_taken_in(tmp_path: Path, sd1: Path) -> None:
    tensors = {
        "lora_unet_down_blocks_0_resnets_0_norm1.w_norm": torch.full((8,), 0.25),
        "lora_unet_down_blocks_0_resnets_0_norm1.b_norm": torch.full((8,), 0.5),
        "lora_unet_down_blocks_0_resnets_0_conv1.diff": torch.ones(8, 8, 3, 3),
        "lora_unet_down_blocks_0_resnets_0_conv1.diff_b": torch.full((8,), -1.0),
    }
    lora = write_lora(tmp_path / "a.safetensors", tensors)
    baked = bake(sd1, tmp_path / "baked", (lora, 2.0))
    before = {name: tensor for part, name, tensor in weights_of(sd1) if part == "denoiser"}
    after = {name: tensor for part, name, tensor in weights_of(baked) if part == "denoiser"}
    expected = {"norm1.weight": 0.5, "norm1.bias": 1.0, "conv1.weight": 2.0, "conv1.bias": -2.0}
    for name, tensor in after.items():
        change = expected.get(name.removeprefix("down_blocks.0.resnets.0."), 0.0)
        assert torch.allclose(tensor - before[name], torch.full_like(tensor, change), atol=1e-6), name


def test_other_copies_of_the_weights_do_not_go_along(tmp_path: Path, sd1: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(sd1, base)
    (base / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"old")
    (base / "model.ckpt").write_bytes(b"whole")
    (base / ".git").mkdir()
    (base / ".git" / "x").write_bytes(b"x")
    (base / "README.md").write_text("words")
    lora = write_lora(tmp_path / "a.safetensors", random_lora(few(shapes_of(base, conv=False))))
    baked = bake(base, tmp_path / "baked", (lora, 1.0))
    assert not (baked / "unet" / "diffusion_pytorch_model.bin").exists()
    assert not (baked / "model.ckpt").exists() and not (baked / ".git").exists()
    assert (baked / "README.md").read_text() == "words"
    describe_base(baked)


def test_all_pieces_of_a_model_in_pieces_go_along(tmp_path: Path, sd1: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(sd1, base)
    whole = base / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    pieces: dict[str, dict[str, Tensor]] = {"a.safetensors": {}, "b.safetensors": {}}
    for name, tensor in tensors.items():
        pieces["a.safetensors" if name.startswith("down_blocks.1") else "b.safetensors"][name] = tensor
    for file, own in pieces.items():
        save_file(own, base / "unet" / file, metadata={"format": "pt"})
    places = {name: file for file, own in pieces.items() for name in own}
    (base / "unet" / f"{whole.name}.index.json").write_text(json.dumps({"weight_map": places}))
    (base / "unet" / "diffusion_pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"x": "x.bin"}}))
    shapes = {name: shape for name, shape in shapes_of(base).items() if "down_blocks_1" in name}
    baked = bake(base, tmp_path / "baked", (write_lora(tmp_path / "a.safetensors", random_lora(shapes)), 1.0))
    assert not (baked / "unet" / "diffusion_pytorch_model.bin.index.json").exists()
    assert (baked / "unet" / "b.safetensors").read_bytes() == (base / "unet" / "b.safetensors").read_bytes()
    assert (baked / "unet" / "a.safetensors").read_bytes() != (base / "unet" / "a.safetensors").read_bytes()
    assert set(parts_of(describe_base(baked))["denoiser"].tensors) == set(tensors)


def test_an_old_checkpoint_becomes_a_safetensors_file(tmp_path: Path, sd1_file: Path) -> None:
    old = tmp_path / "old.ckpt"
    torch.save({"state_dict": load_file(sd1_file), "global_step": 7}, old)
    shapes = {
        name: shape for name, shape in shapes_of(sd1_file).items() if name.endswith("attn1_to_q") and "mid" in name
    }
    lora = write_lora(tmp_path / "a.safetensors", random_lora(shapes))
    baked = bake(old, tmp_path / "baked", (lora, 1.0))
    assert baked.suffix == ".safetensors"
    before, after = load_file(sd1_file), load_file(baked)
    changed = [name for name, tensor in after.items() if not torch.equal(tensor, before[name])]
    assert changed == ["model.diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q.weight"]


def test_loras_for_other_models_are_refused(tmp_path: Path, sd1: Path, sdxl_file: Path) -> None:
    lora = write_lora(tmp_path / "a.safetensors", random_lora(few(shapes_of(sdxl_file, conv=False))))
    with pytest.raises(UserError, match=r"is for SDXL, but .* is for Stable Diffusion 1"):
        bake(sd1, tmp_path / "baked", (lora, 1.0))
    shapes = dict(few(shapes_of(sd1, conv=False)))
    shapes["lora_unet_down_blocks_7_attentions_0_proj_in"] = (8, 8, 1, 1)
    lora = write_lora(tmp_path / "b.safetensors", random_lora(shapes))
    with pytest.raises(UserError, match=f"1 of its {len(shapes)} modules do not exist"):
        bake(sd1, tmp_path / "baked", (lora, 1.0))
    name = next(iter(shapes))
    lora = write_lora(tmp_path / "c.safetensors", random_lora({name: (7, 9)}))
    with pytest.raises(UserError, match="sizes"):
        bake(sd1, tmp_path / "baked", (lora, 1.0))
    assert not (tmp_path / "baked").exists()


def test_a_base_model_is_never_written_over(tmp_path: Path, sd1: Path, sd1_file: Path) -> None:
    lora = write_lora(tmp_path / "a.safetensors", random_lora(few(shapes_of(sd1, conv=False))))
    for base, target in ((sd1, sd1), (sd1_file, sd1_file), (sd1_file, sd1_file.with_suffix(""))):
        with pytest.raises(UserError, match="exists already"):
            bake(base, target, (lora, 1.0))


@pytest.mark.parametrize("form", ["folder", "file"])
def test_baking_that_is_stopped_leaves_nothing(tmp_path: Path, sd1: Path, sd1_file: Path, form: str) -> None:
    lora = write_lora(tmp_path / "a.safetensors", random_lora(few(shapes_of(sd1, conv=False))))
    control = Control()
    events = run_tool(
        BakeTask(base=sd1 if form == "folder" else sd1_file, loras=(Weighted(file=lora),), output=tmp_path / "b"),
        control,
    )
    next(events)
    next(events)
    control.ask("stop")
    last = list(events)[-1]
    assert isinstance(last, Finished) and last.stopped
    assert list(tmp_path.iterdir()) == [lora]


# Out of a base model


def test_a_known_difference_is_extracted_again(tmp_path: Path, sd1: Path, sd1_file: Path) -> None:
    shapes = {name: shape for name, shape in shapes_of(sd1).items() if "down_blocks_1" in name or "_te_" in name}
    tensors = random_lora(shapes, rank=2, alpha=1.0)
    lora = write_lora(tmp_path / "a.safetensors", tensors)
    tuned = bake(sd1, tmp_path / "tuned", (lora, 1.0))
    task = ExtractTask(
        original=sd1_file,
        tuned=tuned,
        output=tmp_path / "out",
        rank=2,
        conv_rank=2,
        precision="fp32",
        least_difference=1e-5,
    )
    events = run(task)
    found = load_file(tmp_path / "out.safetensors")
    before, after = changes(tensors, shapes), changes(found, shapes)
    assert set(before) == set(after)
    for name in before:
        assert torch.allclose(after[name], before[name], atol=2e-5), name
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert f"{len(shapes)} modules differ" in notice.message
    assert "leaves out 0.0" in notice.message


def test_extraction_leaves_out_what_is_asked(tmp_path: Path, sd1: Path) -> None:
    shapes = shapes_of(sd1)
    tuned = bake(sd1, tmp_path / "tuned", (write_lora(tmp_path / "a.safetensors", random_lora(shapes, rank=4)), 1.0))
    scheduler = tuned / "scheduler" / "scheduler_config.json"
    said = {**json.loads(scheduler.read_text(encoding="utf-8")), "prediction_type": "v_prediction"}
    scheduler.write_text(json.dumps(said), encoding="utf-8")
    task = ExtractTask(original=sd1, tuned=tuned, output=tmp_path / "b.safetensors", rank=2, text_encoder=False)
    run(task)
    assert read_header(tmp_path / "b.safetensors").metadata["ss_base_model_version"] == "sd_v1_v"
    found = load_file(tmp_path / "b.safetensors")
    wanted = {name for name in shapes_of(sd1, conv=False) if name.startswith("lora_unet")}
    assert {key.partition(".")[0] for key in found} == wanted
    assert {tensor.dtype for tensor in found.values()} == {torch.float16}
    assert {tensor.shape[0] for key, tensor in found.items() if key.endswith(".lora_down.weight")} == {2}


def test_the_same_models_give_no_lora(tmp_path: Path, sd1: Path, sd1_file: Path) -> None:
    with pytest.raises(UserError, match="differ nowhere"):
        run(ExtractTask(original=sd1, tuned=sd1_file, output=tmp_path / "b.safetensors"))


def test_models_of_different_families_are_not_compared(tmp_path: Path, sd1: Path, sdxl_file: Path) -> None:
    with pytest.raises(UserError, match=r"is for Stable Diffusion 1, but .* is for SDXL"):
        run(ExtractTask(original=sd1, tuned=sdxl_file, output=tmp_path / "b.safetensors"))


# Against a base model


def verified(lora: Path, base: Path) -> tuple[dict[str, Any], Finished]:
    *_, found, last = run(VerifyTask(file=lora, base=base))
    assert isinstance(found, LoraReported) and isinstance(last, Finished)
    return found.reports[0], last


@pytest.mark.parametrize("kind", ["lora", "tucker", "dora", "loha", "lokr", "full"])
def test_a_lora_of_the_model_fits_it(tmp_path: Path, sd1: Path, kind: str) -> None:
    shapes = few(shapes_of(sd1))
    report, last = verified(write_lora(tmp_path / "a.safetensors", random_lora(shapes, kind=kind)), sd1)
    assert (report["modules"], report["fitting"], report["problems"]) == (len(shapes), len(shapes), [])
    assert last.num_failed == 0


def test_what_does_not_fit_is_named(tmp_path: Path, sd1: Path) -> None:
    shapes = dict(list(shapes_of(sd1, conv=False).items())[:5])
    names = list(shapes)
    shapes[names[0]] = (3, 3)
    shapes["lora_unet_nowhere_to_q"] = (4, 4)
    tensors = random_lora(shapes)
    tensors[f"{names[1]}.lora_up.weight"][0] = torch.nan
    report, last = verified(write_lora(tmp_path / "a.safetensors", tensors), sd1)
    assert report["misfits"] == [names[0]] and len(report["unknown"]) == 1
    assert (report["modules"], report["fitting"]) == (6, 4)
    assert last.num_failed == len(report["problems"]) == 3


def test_a_lora_that_changes_nothing_is_named(tmp_path: Path, sd1: Path) -> None:
    tensors = random_lora(few(shapes_of(sd1)))
    silent = {key: torch.zeros_like(value) if "up.weight" in key else value for key, value in tensors.items()}
    report, _ = verified(write_lora(tmp_path / "a.safetensors", silent), sd1)
    assert report["problems"] == ["All weights are zero: this LoRA changes nothing."]


def test_a_lora_of_another_family_is_named_as_such(tmp_path: Path, sd1: Path, sdxl_file: Path) -> None:
    report, _ = verified(
        write_lora(tmp_path / "a.safetensors", random_lora(few(shapes_of(sdxl_file, conv=False)))), sd1
    )
    assert report["problems"][0] == "The LoRA is for SDXL, the base model is Stable Diffusion 1."
