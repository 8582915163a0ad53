"""Real base models, a few channels wide, as folders, single files and old checkpoints: opened, converted, refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.checkpoints import reading
from core.checkpoints.opening import load_module
from core.checkpoints.parts import parts_of, scheduler_config, tokenizer_folder
from core.checkpoints.reading import TensorReader
from core.checkpoints.sources import TensorAt
from core.control import Control
from core.errors import UserError
from core.events import Event, Failed, Finished, Notice
from core.families.sd1 import FAMILY as SD1
from core.jobs import ConvertJob, run_to_end
from core.models import BaseModel, FamilyName, describe_base
from core.safetensors_header import read_header
from tests.tiny.models import make_tiny_sd1, make_tiny_sd2, make_tiny_sdxl

FAMILIES: dict[FamilyName, Callable[..., Path]] = {
    "sd1": make_tiny_sd1,
    "sd2": make_tiny_sd2,
    "sdxl": partial(make_tiny_sdxl, depths=(1, 1, 2)),
}
MODULES = {"denoiser": "unet", "vae": "vae", "text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2"}


def converted(source: Path, target: Path, **options: Any) -> list[Event]:
    """The events of a conversion."""
    return list(run_to_end(ConvertJob(source=source, target=target, **options), Control()))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each family, as a folder and as a single file."""
    folder = tmp_path_factory.mktemp("模型 🎨")
    for seed, (family, make) in enumerate(FAMILIES.items()):
        make(folder / family, words="clip", seed=seed)
        last = converted(folder / family, folder / f"{family}.safetensors")[-1]
        assert isinstance(last, Finished), last
    return folder


def tensors_below(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder in diffusers form, CLIP's by the names that files have."""
    found = {}
    for file in sorted(folder.glob("*/*.safetensors")):
        for name, tensor in load_file(file).items():
            is_short = file.parent.name.startswith("text") and not name.startswith("text_")
            found[f"{file.parent.name}/{'text_model.' if is_short else ''}{name}"] = tensor
    return found


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether both have the same tensors, bit for bit."""
    return set(one) == set(other) and all(
        tensor.dtype == other[name].dtype and torch.equal(tensor, other[name]) for name, tensor in one.items()
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_file_opens_as_diffusers_open_it(models: Path, family: FamilyName) -> None:
    import diffusers

    file = models / f"{family}.safetensors"
    cls = diffusers.StableDiffusionXLPipeline if family == "sdxl" else diffusers.StableDiffusionPipeline
    pipeline = cls.from_single_file(str(file), config=str(models / family), local_files_only=True)

    for part, source in parts_of(describe_base(file)).items():
        module = load_module(source, part, torch.float32)
        assert same(module.state_dict(), getattr(pipeline, MODULES[part]).state_dict()), part
        assert not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
        assert not any(parameter.requires_grad for parameter in module.parameters())


def test_a_folder_opens_as_diffusers_open_it(models: Path) -> None:
    import diffusers

    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(models / "sdxl", local_files_only=True)

    tokens = torch.tensor([[49406, 320, 2368, 49407]])
    for part, source in parts_of(describe_base(models / "sdxl")).items():
        module = load_module(source, part, torch.float32)
        theirs = getattr(pipeline, MODULES[part])
        assert same(module.state_dict(), theirs.state_dict())
        if part.startswith("text_encoder"):
            ours = module(tokens, output_hidden_states=True)
            assert torch.equal(ours[0], theirs(tokens, output_hidden_states=True)[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_folder_to_file_to_folder_is_the_same_tensor_for_tensor(
    models: Path, family: FamilyName, tmp_path: Path
) -> None:
    file = models / f"{family}.safetensors"

    assert isinstance(converted(file, tmp_path / "back")[-1], Finished)
    assert isinstance(converted(tmp_path / "back", tmp_path / "again.safetensors", to="file")[-1], Finished)

    assert same(tensors_below(models / family), tensors_below(tmp_path / "back"))
    assert same(load_file(file), load_file(tmp_path / "again.safetensors"))
    told, again = (describe_base(path) for path in (models / family, tmp_path / "again.safetensors"))
    assert (told.family, told.prediction, told.native_size_px) == (again.family, again.prediction, again.native_size_px)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_folder_that_kiln_wrote_draws_the_same_in_plain_diffusers(
    models: Path, family: FamilyName, tmp_path: Path
) -> None:
    import diffusers

    converted(models / f"{family}.safetensors", tmp_path / "written")
    for file in (tmp_path / "written").glob("text_encoder*/*.safetensors"):
        assert all(name.startswith(("text_model.", "text_projection.")) for name in read_header(file).shapes)
    pictures = []
    for folder in (models / family, tmp_path / "written"):
        pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
        pipeline.scheduler = diffusers.DDIMScheduler.from_config(scheduler_config(describe_base(models / family)))
        pipeline.set_progress_bar_config(disable=True)
        generator = torch.Generator().manual_seed(0)
        drawn = pipeline("a cat", num_inference_steps=1, height=32, width=32, generator=generator, output_type="pt")
        pictures.append(drawn.images)

    assert torch.equal(*pictures)


def test_an_old_checkpoint_becomes_the_same_safetensors_file(models: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.ckpt"
    tensors = load_file(models / "sd1.safetensors")
    torch.save(
        {"global_step": 5, "state_dict": {**tensors, "betas": torch.rand(3), "tied": tensors[next(iter(tensors))]}}, old
    )

    assert isinstance(converted(old, tmp_path / "new.safetensors")[-1], Finished)

    read = load_file(tmp_path / "new.safetensors")
    assert {*read} == {*tensors, "betas", "tied"}
    assert same(tensors, {name: read[name] for name in tensors})
    assert read_header(tmp_path / "new.safetensors").metadata["global_step"] == "5"


def test_the_first_format_of_pytorch_is_converted_too(tmp_path: Path) -> None:
    tensors = {"a": torch.rand(3), "turned": torch.rand(4, 2).T}
    torch.save({"state_dict": tensors}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)

    assert isinstance(converted(tmp_path / "old.pt", tmp_path / "new.safetensors")[-1], Finished)

    assert same(tensors, load_file(tmp_path / "new.safetensors"))


class _Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def test_a_malicious_checkpoint_is_not_converted_and_runs_nothing(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.rand(3)}, "x": _Malicious(tmp_path / "marker")}, tmp_path / "bad.ckpt")

    last = converted(tmp_path / "bad.ckpt", tmp_path / "new.safetensors")[-1]

    assert isinstance(last, Failed)
    assert "is not safe" in last.message
    assert {file.name for file in tmp_path.iterdir()} == {"bad.ckpt"}


@pytest.mark.parametrize("ending", [".safetensors", ".ckpt"])
def test_a_change_of_mapped_weights_stays_in_memory(models: Path, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"model{ending}"
    tensors = load_file(models / "sd1.safetensors")
    if ending == ".ckpt":
        torch.save(tensors, file)
    else:
        save_file(tensors, file)
    before = file.read_bytes()
    source = parts_of(describe_base(models / "sd1.safetensors"))["denoiser"]
    moved = {name: dataclasses.replace(tensor, file=file) for name, tensor in source.tensors.items()}

    module = load_module(dataclasses.replace(source, tensors=moved), "denoiser", torch.float32)
    for weight in module.parameters():
        weight.add_(1.0)

    assert torch.equal(module.get_parameter("conv_in.bias"), tensors["model.diffusion_model.input_blocks.0.0.bias"] + 1)
    assert file.read_bytes() == before


def test_weights_of_the_right_format_are_not_copied(models: Path) -> None:
    module = load_module(parts_of(describe_base(models / "sd1"))["denoiser"], "denoiser", torch.float32)

    # All lie in the mapping of one file, in its order and without a gap.
    size = (models / "sd1" / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
    places = [weight.data_ptr() for weight in module.parameters()]
    assert max(places) - min(places) < size


def test_precision_is_changed_only_when_asked(models: Path, tmp_path: Path) -> None:
    converted(models / "sdxl.safetensors", tmp_path / "half.safetensors", precision="fp16")
    converted(tmp_path / "half.safetensors", tmp_path / "half")

    assert {*read_header(tmp_path / "half.safetensors").dtypes.values()} == {"F16"}
    assert {tensor.dtype for tensor in tensors_below(tmp_path / "half").values()} == {torch.float16}
    vae = load_module(parts_of(describe_base(tmp_path / "half"))["vae"], "vae", torch.float32)
    assert {parameter.dtype for parameter in vae.parameters()} == {torch.float32}


def test_weights_in_fp8_are_cast(models: Path, tmp_path: Path) -> None:
    tensors = load_file(models / "sd1.safetensors")
    small = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tensors.items()}
    save_file(small, tmp_path / "fp8.safetensors", read_header(models / "sd1.safetensors").metadata)

    source = parts_of(describe_base(tmp_path / "fp8.safetensors"))["denoiser"]
    module = load_module(source, "denoiser", torch.bfloat16)

    conv = tensors["model.diffusion_model.input_blocks.0.0.weight"].to(torch.float8_e4m3fn).bfloat16()
    assert torch.equal(module.state_dict()["conv_in.weight"], conv)


def test_v_prediction_goes_along(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "sdxl", tmp_path / "v")
    scheduler = tmp_path / "v" / "scheduler" / "scheduler_config.json"
    config = json.loads(scheduler.read_text(encoding="utf-8"))
    changes = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    scheduler.write_text(json.dumps(config | changes), encoding="utf-8")

    converted(tmp_path / "v", tmp_path / "v.safetensors")
    converted(tmp_path / "v.safetensors", tmp_path / "back")

    assert {"v_pred", "ztsnr"} <= set(read_header(tmp_path / "v.safetensors").shapes)
    written = json.loads((tmp_path / "back" / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    assert (written["prediction_type"], written["rescale_betas_zero_snr"]) == ("v_prediction", True)


def test_what_belongs_to_no_part_is_left_out_and_told(models: Path, tmp_path: Path) -> None:
    tensors = load_file(models / "sd1.safetensors")
    extra = {
        "model_ema.diffusion_modelinput_blocks00weight": torch.rand(2),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
        "betas": torch.rand(4),
    }
    save_file({**tensors, **extra}, tmp_path / "a.safetensors", read_header(models / "sd1.safetensors").metadata)

    events = converted(tmp_path / "a.safetensors", tmp_path / "a")

    assert isinstance(events[-1], Finished)
    assert any(isinstance(event, Notice) and event.message.startswith("3 tensors") for event in events)
    assert same(tensors_below(models / "sd1"), tensors_below(tmp_path / "a"))


@pytest.mark.parametrize("prefixes", [("diffusers",), ("bare",)], ids=lambda value: value[0])
def test_other_spellings_open_the_same(models: Path, tmp_path: Path, prefixes: tuple[str]) -> None:
    tensors = load_file(models / "sd1.safetensors")
    if prefixes == ("diffusers",):
        named = {name.replace("/", "."): tensor for name, tensor in tensors_below(models / "sd1").items()}
    else:  # As some programs write it: without the UNet's prefix, and without a level of the text encoder.
        named = {
            name.removeprefix("model.diffusion_model.").replace("transformer.text_model.", "transformer."): tensor
            for name, tensor in tensors.items()
        }
    file = tmp_path / "other.safetensors"
    save_file(named, file, read_header(models / "sd1.safetensors").metadata)
    base = dataclasses.replace(describe_base(models / "sd1.safetensors"), path=file)

    for part, source in parts_of(base).items():
        expected = parts_of(describe_base(models / "sd1.safetensors"))[part]
        with TensorReader() as reader:
            read = {name: reader.read(tensor).clone() for name, tensor in source.tensors.items()}
            wanted = {name: reader.read(tensor).clone() for name, tensor in expected.tensors.items()}
        assert same(read, wanted), part


def loaded(base: BaseModel) -> None:
    """Open all parts."""
    for part, source in parts_of(base).items():
        load_module(source, part, torch.float32)


@pytest.fixture
def broken(models: Path, tmp_path: Path) -> Callable[..., BaseModel]:
    """Writes a single file whose tensors are changed, and says it is an SD 1."""

    def write(change: Callable[[dict[str, Tensor]], None]) -> BaseModel:
        tensors = load_file(models / "sd1.safetensors")
        change(tensors)
        file = tmp_path / "broken.safetensors"
        save_file(tensors, file, read_header(models / "sd1.safetensors").metadata)
        return dataclasses.replace(describe_base(models / "sd1.safetensors"), path=file)

    return write


def _without_first_blocks(tensors: dict[str, Tensor]) -> None:
    for name in [name for name in tensors if ".input_blocks.1." in name]:
        del tensors[name]


def _with_another_block(tensors: dict[str, Tensor]) -> None:
    tensors["model.diffusion_model.input_blocks.77.0.op.weight"] = torch.zeros(1)


def _wide(tensors: dict[str, Tensor]) -> None:
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(8, 9, 3, 3)


def _whole_numbers(tensors: dict[str, Tensor]) -> None:
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(8, 4, 3, 3, dtype=torch.int8)


def _doubled(tensors: dict[str, Tensor]) -> None:
    tensors["unet.conv_in.weight"] = torch.zeros(8, 4, 3, 3)


def _without_vae(tensors: dict[str, Tensor]) -> None:
    for name in [name for name in tensors if name.startswith("first_stage_model.")]:
        del tensors[name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_first_blocks, "36 of 682 tensors of the UNet are missing, such as down_blocks.0"),
        (_with_another_block, "1 tensors in its UNet that a model of this kind does not have"),
        (_wide, "is 8 x 9 x 3 x 3 and should be 8 x 4 x 3 x 3"),
        (_whole_numbers, "keeps its weights as I8"),
        (_doubled, "holds the UNet twice"),
        (_without_vae, "has no VAE of Stable Diffusion 1 in it"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    broken: Callable[..., BaseModel], change: Callable[[dict[str, Tensor]], None], words: str
) -> None:
    base = broken(change)

    with pytest.raises(UserError) as caught:
        loaded(base)

    assert words in caught.value.message


def test_the_file_of_another_family_is_refused(models: Path) -> None:
    base = dataclasses.replace(describe_base(models / "sd1.safetensors"), path=models / "sdxl.safetensors")

    with pytest.raises(UserError):
        loaded(base)


def test_a_file_that_is_cut_off_is_refused(models: Path, tmp_path: Path) -> None:
    data = (models / "sd1.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    base = dataclasses.replace(describe_base(models / "sd1.safetensors"), path=tmp_path / "cut.safetensors")

    with pytest.raises(UserError, match="not complete"):
        parts_of(base)


def test_a_changed_file_is_read_again(broken: Callable[..., BaseModel]) -> None:
    base = broken(lambda _: None)
    parts_of(base)

    with pytest.raises(UserError, match="has no VAE"):
        parts_of(broken(_without_vae))


def test_a_vae_of_its_own_is_taken_in_every_form(models: Path, tmp_path: Path) -> None:
    other = models / "sd2"
    own = load_file(models / "sd2.safetensors")
    bare = {name.removeprefix("first_stage_model."): t for name, t in own.items() if name.startswith("first_stage")}
    save_file(bare, tmp_path / "vae.safetensors")
    torch.save({"state_dict": {**bare, "loss.logvar": torch.zeros(())}}, tmp_path / "vae.pt")
    shutil.copy(other / "vae" / "diffusion_pytorch_model.safetensors", tmp_path / "alone.safetensors")
    base = describe_base(models / "sd1.safetensors")
    wanted = load_file(tmp_path / "alone.safetensors")
    assert not same(wanted, load_file(models / "sd1" / "vae" / "diffusion_pytorch_model.safetensors"))

    files = (tmp_path / name for name in ("vae.safetensors", "vae.pt", "alone.safetensors"))
    for place in (other, other / "vae", models / "sd2.safetensors", *files):
        vae = load_module(parts_of(base, place)["vae"], "vae", torch.float32)
        assert same(vae.state_dict(), wanted), place


def test_a_vae_of_another_kind_is_refused(models: Path, tmp_path: Path) -> None:
    base = describe_base(models / "sd1")
    wide = {"decoder.conv_in.weight": torch.zeros(8, 16, 3, 3), "encoder.conv_in.weight": torch.zeros(4, 3, 3, 3)}
    save_file(wide, tmp_path / "flux.safetensors")
    save_file({"text_model.x": torch.zeros(1)}, tmp_path / "text.safetensors")

    for place, words in (
        (models / "sdxl" / "vae", "do not fit Stable Diffusion 1"),  # Same shapes; its configuration tells.
        (models / "sdxl.safetensors", "do not fit Stable Diffusion 1"),  # So does the model around it.
        (tmp_path / "flux.safetensors", "do not fit Stable Diffusion 1"),
        (tmp_path / "text.safetensors", "is no VAE that Kiln knows"),
        (tmp_path / "none.safetensors", "is missing"),
    ):
        with pytest.raises(UserError, match=words):
            parts_of(base, place)


@pytest.mark.parametrize("pattern", ["model-{}-of-2.safetensors", "model.fp16-{}-of-2.safetensors"])
def test_weights_in_several_files_are_found_by_their_index(models: Path, tmp_path: Path, pattern: str) -> None:
    shutil.copytree(models / "sd1", tmp_path / "sharded")
    folder = tmp_path / "sharded" / "text_encoder"
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {name: pattern.format(1 + (number % 2)) for number, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == file}, folder / file)
    index = "model.safetensors.index.fp16.json" if "fp16" in pattern else "model.safetensors.index.json"
    (folder / index).write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    base = dataclasses.replace(describe_base(models / "sd1"), path=tmp_path / "sharded")

    module = load_module(parts_of(base)["text_encoder"], "text_encoder", torch.float32)
    assert same(
        {name.removeprefix("text_model."): tensor for name, tensor in module.state_dict().items()},
        {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()},
    )

    (folder / pattern.format(2)).unlink()
    with pytest.raises(UserError, match="is missing"):
        parts_of(base)


@pytest.mark.parametrize("target", ["file.safetensors", "folder"])
def test_nothing_is_overwritten(models: Path, tmp_path: Path, target: str) -> None:
    place = tmp_path / target
    place.write_bytes(b"mine")

    last = converted(models / "sd1", place)[-1]

    assert isinstance(last, Failed)
    assert "exists already" in last.message
    assert place.read_bytes() == b"mine"


def test_a_conversion_that_is_stopped_leaves_nothing(models: Path, tmp_path: Path) -> None:
    control = Control()
    for target in ("a.safetensors", "a"):
        events = []
        for event in run_to_end(ConvertJob(source=models / "sd1.safetensors", target=tmp_path / target), control):
            events.append(event)
            control.ask("stop")
        assert isinstance(events[-1], Finished)
        assert events[-1].stopped

    assert not list(tmp_path.iterdir())


def test_a_tokenizer_of_its_own_cannot_go_into_a_file(tmp_path: Path) -> None:
    make_tiny_sd1(tmp_path / "starter")

    last = converted(tmp_path / "starter", tmp_path / "starter.safetensors")[-1]

    assert isinstance(last, Failed)
    assert "tokenizer of its own" in last.message


def test_tokenizers_of_single_files_read_as_clip_does(models: Path) -> None:
    from transformers import CLIPTokenizer

    base = describe_base(models / "sdxl.safetensors")
    first, second = (CLIPTokenizer.from_pretrained(tokenizer_folder(base, number)) for number in (1, 2))

    ids = [49406, 320, 1125, 539, 320, 2368, 49407]
    text = "a photo of a cat"
    assert first(text).input_ids == second(text).input_ids == ids
    assert first(text, padding="max_length").input_ids == ids + [49407] * 70
    assert second(text, padding="max_length").input_ids == ids + [0] * 70
    assert tokenizer_folder(describe_base(models / "sdxl"), 2) == models / "sdxl" / "tokenizer_2"


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("unet/config.json", {"norm_num_groups": 3}),
        ("unet/config.json", {"layers_per_block": 10**9}),
        ("unet/config.json", {"down_block_types": ["Unheard"] * 4}),
        ("vae/config.json", {"block_out_channels": "abc"}),
        ("text_encoder/config.json", {"hidden_act": "unheard"}),
        ("scheduler/scheduler_config.json", {"beta_schedule": "unheard"}),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**12}),
        ("tokenizer/vocab.json", None),
    ],
)
def test_a_folder_whose_files_make_no_sense_is_told_by_their_name(
    models: Path, tmp_path: Path, place: str, content: dict[str, Any] | None
) -> None:
    folder = tmp_path / "sd1"
    shutil.copytree(models / "sd1", folder)
    file = folder / place
    known = json.loads(file.read_text(encoding="utf-8"))
    file.write_text("{" if content is None else json.dumps({**known, **content}), encoding="utf-8")
    with pytest.raises(UserError, match=r"is damaged") as caught:
        SD1.load(describe_base(folder), torch.float32)
    named = file.parent if content is None else file
    assert str(named) in caught.value.message and caught.value.failure == "model_damaged"


def test_tensors_are_the_same_when_their_files_are_opened_anew_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAPPED_BYTES", 0)
    tensors = {f"model.{number}": torch.randn(4, 3) for number in range(3)}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save({"state_dict": tensors}, tmp_path / "new.ckpt")
    torch.save({"state_dict": tensors}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    for file in ("a.safetensors", "new.ckpt", "old.ckpt"):
        with TensorReader() as reader:
            found = [
                reader.read(TensorAt(file=tmp_path / file, key=key, shape=(4, 3), dtype="F32", change=""))
                for key in tensors
            ]
        assert all(map(torch.equal, found, tensors.values())), file


def test_memory_that_is_not_enough_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"a.weight": torch.zeros(2, 2)}, path, _use_new_zipfile_serialization=False)
    tensor = TensorAt(path, "a.weight", (2, 2), "F32")
    with TensorReader() as reader:
        assert reader.read(tensor).shape == (2, 2)

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000000000 bytes")

    monkeypatch.setattr(torch, "load", refuse)
    with TensorReader() as reader, pytest.raises(RuntimeError, match="allocate"):
        reader.read(tensor)


@pytest.mark.parametrize(("name", "to"), [("a.ckpt", "auto"), ("a.bin", "folder"), ("a", "file")])
def test_a_single_file_is_written_as_safetensors_alone(models: Path, tmp_path: Path, name: str, to: str) -> None:
    last = converted(models / "sd1", tmp_path / name, to=to)[-1]
    assert isinstance(last, Failed) and "safetensors alone" in last.message
    assert not (tmp_path / name).exists()
