"""Every spelling of a LoRA file, in and out, gives the same change of every layer."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from core.errors import UserError
from core.lora.delta import delta_weight
from core.lora.file import load_lora
from core.lora.formats import Written, named_for, read_lora, respelled
from core.lora.formats.spelling import read_key
from core.lora.keys import Part, name_of, to_original
from core.lora.modules import by_module, kind_of
from core.models import FamilyName

Module = tuple[Part, str]
ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0"
SHAPES: dict[Module, tuple[int, ...]] = {
    ("denoiser", f"{ATTENTION}.attn1.to_q"): (6, 6),
    ("denoiser", f"{ATTENTION}.attn1.to_out.0"): (6, 6),
    ("denoiser", f"{ATTENTION}.attn2.to_k"): (6, 8),
    ("denoiser", f"{ATTENTION}.ff.net.0.proj"): (12, 6),
    ("denoiser", "down_blocks.1.attentions.0.proj_in"): (6, 6, 1, 1),
    ("denoiser", "mid_block.attentions.0.transformer_blocks.0.attn1.to_v"): (4, 4),
    ("denoiser", "mid_block.resnets.1.conv1"): (4, 8, 3, 3),
    ("denoiser", "up_blocks.1.resnets.2.conv_shortcut"): (4, 8, 1, 1),
    ("denoiser", "up_blocks.1.resnets.0.time_emb_proj"): (4, 8),
    ("denoiser", "down_blocks.0.downsamplers.0.conv"): (4, 4, 3, 3),
    ("denoiser", "up_blocks.1.upsamplers.0.conv"): (4, 4, 3, 3),
    ("text_encoder", "text_model.encoder.layers.0.self_attn.q_proj"): (8, 8),
    ("text_encoder", "text_model.encoder.layers.0.self_attn.out_proj"): (8, 8),
    ("text_encoder", "text_model.encoder.layers.1.mlp.fc1"): (16, 8),
}
SECOND: Module = ("text_encoder_2", "text_model.encoder.layers.0.self_attn.k_proj")
Weights = dict[Module, dict[str, Tensor]]
RANK, ALPHA = 2, 0.75


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.manual_seed(3)


def shapes_of(family: FamilyName) -> dict[Module, tuple[int, ...]]:
    if family == "kolors":
        return {module: shape for module, shape in SHAPES.items() if module[0] == "denoiser"}
    return {**SHAPES, SECOND: (8, 8)} if family == "sdxl" else SHAPES


def random(*shape: int) -> Tensor:
    return torch.randn(shape)


def lora(shape: tuple[int, ...]) -> dict[str, Tensor]:
    """A plain pair."""
    out, inputs, *kernel = shape
    return {
        "lora_down.weight": random(RANK, inputs, *kernel),
        "lora_up.weight": random(out, RANK, *[1] * len(kernel)),
        "alpha": torch.tensor(ALPHA),
    }


def tucker(shape: tuple[int, ...]) -> dict[str, Tensor]:
    """LoCon's convolution of three; a pair elsewhere."""
    out, inputs, *kernel = shape
    if kernel != [3, 3]:
        return lora(shape)
    return {
        "lora_down.weight": random(RANK, inputs, 1, 1),
        "lora_mid.weight": random(RANK, RANK, *kernel),
        "lora_up.weight": random(out, RANK, 1, 1),
        "alpha": torch.tensor(ALPHA),
    }


def dora(shape: tuple[int, ...]) -> dict[str, Tensor]:
    """A pair, and the length of each row."""
    return {**lora(shape), "dora_scale": torch.rand(shape[0], *[1] * (len(shape) - 1)) + 0.5}


def column_dora(shape: tuple[int, ...]) -> dict[str, Tensor]:
    """A pair, and the length of each column."""
    return {**lora(shape), "dora_scale": torch.rand(1, shape[1], *[1] * (len(shape) - 2)) + 0.5}


def loha(shape: tuple[int, ...]) -> dict[str, Tensor]:
    out, inputs, *kernel = shape
    flat = inputs * (kernel[0] * kernel[1] if kernel else 1)
    found = {
        f"hada_w{number}_{side}": random(*size)
        for number in (1, 2)
        for side, size in (("a", (out, RANK)), ("b", (RANK, flat)))
    }
    return {**found, "alpha": torch.tensor(ALPHA)}


def tucker_loha(shape: tuple[int, ...]) -> dict[str, Tensor]:
    out, inputs, *kernel = shape
    if kernel != [3, 3]:
        return loha(shape)
    found = {"alpha": torch.tensor(ALPHA)}
    for number in (1, 2):
        found[f"hada_w{number}_a"] = random(RANK, out)
        found[f"hada_w{number}_b"] = random(RANK, inputs)
        found[f"hada_t{number}"] = random(RANK, RANK, *kernel)
    return found


def lokr(shape: tuple[int, ...]) -> dict[str, Tensor]:
    """The first factor whole and the second of two parts."""
    out, inputs, *kernel = shape
    flat = inputs // 2 * (kernel[0] * kernel[1] if kernel else 1)
    return {
        "lokr_w1": random(2, 2),
        "lokr_w2_a": random(out // 2, RANK),
        "lokr_w2_b": random(RANK, flat),
        "alpha": torch.tensor(ALPHA),
    }


def whole_lokr(shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Both factors whole: there is no rank, and the alpha means nothing."""
    out, inputs, *kernel = shape
    return {"lokr_w1": random(2, 2), "lokr_w2": random(out // 2, inputs // 2, *kernel), "alpha": torch.tensor(7.0)}


def tucker_lokr(shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Both factors of parts, the second with a core."""
    out, inputs, *kernel = shape
    if kernel != [3, 3]:
        return lokr(shape)
    return {
        "lokr_w1_a": random(2, RANK),
        "lokr_w1_b": random(RANK, 2),
        "lokr_t2": random(RANK, RANK, *kernel),
        "lokr_w2_a": random(RANK, out // 2),
        "lokr_w2_b": random(RANK, inputs // 2),
        "alpha": torch.tensor(ALPHA),
    }


PAIRS = (lora, tucker, dora)
KINDS = (*PAIRS, column_dora, loha, tucker_loha, lokr, whole_lokr, tucker_lokr)


def expected(leaves: Mapping[str, Tensor], base: Tensor) -> Tensor:
    """The change by the definitions, number by number."""
    weights = {leaf: tensor.double() for leaf, tensor in leaves.items()}
    flat = (base.shape[0], base[0].numel())
    scale = ALPHA / RANK

    def whole(prefix: str, a: str, b: str, core: str) -> Tensor:
        if prefix in weights:
            return weights[prefix]
        if core in weights:
            return torch.einsum("ijkl,ir,js->rskl", weights[core], weights[a], weights[b])
        return weights[a] @ weights[b]

    if "hada_w1_a" in weights:
        halves = [whole("", f"hada_w{n}_a", f"hada_w{n}_b", f"hada_t{n}").reshape(flat) for n in (1, 2)]
        added = halves[0] * halves[1] * scale
    elif "lora_up.weight" in weights:
        up, down = weights["lora_up.weight"].flatten(1), weights["lora_down.weight"]
        if "lora_mid.weight" in weights:
            down = torch.einsum("ijkl,js->iskl", weights["lora_mid.weight"], down.flatten(1))
        added = up @ down.flatten(1) * scale
    else:
        first = whole("lokr_w1", "lokr_w1_a", "lokr_w1_b", "")
        second = whole("lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2").flatten(1)
        if "lokr_w2" in weights:
            scale = 1.0
        rows = [
            torch.cat([first[i, j] * second.reshape(len(second), base.shape[1] // 2, -1) for j in (0, 1)], 1)
            for i in (0, 1)
        ]
        added = torch.cat(rows).reshape(flat) * scale
    changed = base.double() + added.reshape(base.shape)
    if (lengths := weights.get("dora_scale")) is not None:
        dims = [dim for dim in range(base.ndim) if lengths.shape[dim] == 1]
        changed = changed * lengths / changed.square().sum(dims, keepdim=True).sqrt()
    return changed - base.double()


def file_of(weights: Weights, spell: Callable[[Part, str, str], str], path: Path) -> Path:
    tensors = {
        spell(part, where, leaf): tensor.contiguous()
        for (part, where), leaves in weights.items()
        for leaf, tensor in leaves.items()
    }
    save_file(tensors, path)
    return path


def kohya(family: FamilyName) -> Callable[[Part, str, str], str]:
    def spell(part: Part, where: str, leaf: str) -> str:
        prefix = {"denoiser": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}[part]
        if family == "sdxl":
            prefix = "lora_te1" if prefix == "lora_te" else prefix
            where = to_original(where) if part == "denoiser" else where
        return f"{prefix}_{where.replace('.', '_')}.{leaf}"

    return spell


def kohya_with_the_other_names(part: Part, where: str, leaf: str) -> str:
    """SD 1 with the original names, as old programs wrote it."""
    return kohya("sdxl")(part, where, leaf)


def onetrainer(part: Part, where: str, leaf: str) -> str:
    prefix = {"denoiser": "unet", "text_encoder": "clip_l", "text_encoder_2": "clip_g"}[part]
    return f"{prefix}.{to_original(where) if part == 'denoiser' else where}.{leaf}"


def onetrainer_internal(part: Part, where: str, leaf: str) -> str:
    prefix = {"denoiser": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}[part]
    return f"{prefix}.{where}.{leaf}"


DOWN_UP = {"lora_down.weight": "down", "lora_up.weight": "up"}
A_B = {"lora_down.weight": "lora_A", "lora_up.weight": "lora_B"}
IN_DIFFUSERS = {"denoiser": "unet", "text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2"}


def diffusers(part: Part, where: str, leaf: str) -> str:
    middle = "lora" if part == "denoiser" else "lora_linear_layer"
    return f"{IN_DIFFUSERS[part]}.{where}." + (f"{middle}.{DOWN_UP[leaf]}.weight" if leaf in DOWN_UP else leaf)


def attn_procs(part: Part, where: str, leaf: str) -> str:
    """diffusers in 2023: attention by its processors, under names of their own."""
    if part != "denoiser":
        for now, then in (("q_proj", "to_q"), ("out_proj", "to_out"), ("k_proj", "to_k")):
            where = where.replace(now, then)
    elif ".attn" in where:
        where = re.sub(r"(attn\d)\.", r"\1.processor.", where).replace("to_out.0", "to_out")
    return f"{IN_DIFFUSERS[part]}.{where}" + (f"_lora.{DOWN_UP[leaf]}.weight" if leaf in DOWN_UP else f".{leaf}")


def peft(part: Part, where: str, leaf: str) -> str:
    where = where.removeprefix("text_model.")  # transformers 5
    return f"{IN_DIFFUSERS[part]}.{where}.{A_B[leaf]}.weight" if leaf in A_B else f"{IN_DIFFUSERS[part]}.{where}.{leaf}"


def comfy(part: Part, where: str, leaf: str) -> str:
    prefix = {
        "denoiser": "diffusion_model",
        "text_encoder": "text_encoders.clip_l.transformer",
        "text_encoder_2": "text_encoders.clip_g.transformer",
    }[part]
    return f"{prefix}.{to_original(where) if part == 'denoiser' else where}." + (
        f"{A_B[leaf]}.weight" if leaf in A_B else leaf
    )


def raw_peft(part: Part, where: str, leaf: str) -> str:
    return f"base_model.model.{where}." + (f"{A_B[leaf]}.default.weight" if leaf in A_B else leaf)


def weights_of(kind: Callable[[tuple[int, ...]], dict[str, Tensor]], family: FamilyName) -> Weights:
    return {module: kind(shape) for module, shape in shapes_of(family).items()}


def compare(tensors: Mapping[str, Tensor], weights: Weights, family: FamilyName, tolerance: float = 1e-5) -> None:
    found = by_module(tensors)
    assert found.keys() == {name_of(*module, family) for module in weights}
    for (part, where), leaves in weights.items():
        shape = shapes_of(family)[part, where]
        base = torch.randn(shape, generator=torch.Generator().manual_seed(7))
        wanted = expected(leaves, base)
        delta = delta_weight(found[name_of(part, where, family)], base=base)
        assert delta.shape == shape
        error = (delta.double() - wanted).norm() / wanted.norm()
        assert error < tolerance, (where, float(error))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["sd1", "sdxl", "kolors"])
def test_kohya_and_onetrainer_hold_every_kind(kind, family: FamilyName, tmp_path: Path) -> None:
    weights = weights_of(kind, family)
    for number, spell in enumerate((kohya(family), kohya("sd1"), kohya("sdxl"), onetrainer, onetrainer_internal)):
        found = read_lora(file_of(weights, spell, tmp_path / f"{number}.safetensors"), family=family)
        compare(found.tensors, weights, family)
        assert not found.lacks_alpha
        assert not found.left_out
        again = respelled(found.tensors, "kohya", family)
        assert set(again) == {kohya(family)(*module, leaf) for module, leaves in weights.items() for leaf in leaves}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("spelling", ["diffusers", "peft"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_is_written_for_diffusers_and_peft_changes_the_same(
    kind, spelling: Written, dtype: torch.dtype, tmp_path: Path
) -> None:
    weights = weights_of(kind, "sdxl")
    tensors = {
        name: tensor.to(dtype)
        for name, tensor in read_lora(
            file_of(weights, kohya("sdxl"), tmp_path / "a.safetensors"), family="sdxl"
        ).tensors.items()
    }
    written = respelled(tensors, spelling, "sdxl")
    assert not any("alpha" in name for name in written)
    save_file({name: tensor.to(dtype).contiguous() for name, tensor in written.items()}, tmp_path / "b.safetensors")
    found = read_lora(tmp_path / "b.safetensors", family="sdxl")
    assert found.spelling == spelling
    compare(found.tensors, weights, "sdxl", tolerance=1e-5 if dtype == torch.float32 else 3e-3)


@pytest.mark.parametrize("spell", [diffusers, attn_procs, peft, comfy])
def test_pairs_are_read_as_other_programs_write_them(spell, tmp_path: Path) -> None:
    weights = weights_of(lora, "sdxl")
    found = read_lora(file_of(weights, spell, tmp_path / "a.safetensors"), family="sdxl")
    assert found.spelling == spell.__name__
    compare(found.tensors, weights, "sdxl")


def test_a_part_alone_needs_no_prefix(tmp_path: Path) -> None:
    """diffusers' `save_attn_procs`, and a denoiser or a text encoder that peft saved."""
    weights = weights_of(lora, "kolors")
    bare = file_of(
        weights,
        lambda part, where, leaf: attn_procs(part, where, leaf).removeprefix("unet."),
        tmp_path / "a.safetensors",
    )
    compare(read_lora(bare, family="kolors").tensors, weights, "kolors")
    compare(read_lora(file_of(weights, raw_peft, tmp_path / "b.safetensors")).tensors, weights, "sd1")
    text = {module: leaves for module, leaves in weights_of(lora, "sd1").items() if module[0] != "denoiser"}
    compare(read_lora(file_of(text, raw_peft, tmp_path / "c.safetensors"), family="sd1").tensors, text, "sd1")


def without_alpha(weights: Weights) -> Weights:
    return {
        module: {leaf: tensor for leaf, tensor in leaves.items() if leaf != "alpha"}
        for module, leaves in weights.items()
    }


def test_a_missing_alpha_is_the_rank_where_every_program_reads_it_so(tmp_path: Path) -> None:
    weights = without_alpha(weights_of(lora, "sd1"))
    for spell in (kohya("sd1"), diffusers, peft):
        found = read_lora(file_of(weights, spell, tmp_path / "a.safetensors"), family="sd1")
        alphas = {float(tensor) for name, tensor in found.tensors.items() if name.endswith(".alpha")}
        assert alphas == {RANK}
        assert not found.lacks_alpha


@pytest.mark.parametrize(("rank_stabilized", "alpha"), [(False, ALPHA), (True, ALPHA / RANK**0.5)])
def test_the_alpha_is_found_in_the_metadata_of_diffusers(rank_stabilized: bool, alpha: float, tmp_path: Path) -> None:
    weights = weights_of(lora, "sd1")
    told = {
        "unet.r": RANK,
        "unet.lora_alpha": 9.0,
        "unet.alpha_pattern": {".*": alpha},
        "unet.use_rslora": rank_stabilized,
        "text_encoder.lora_alpha": ALPHA,
    }
    stripped = without_alpha(weights)
    tensors = {peft(*module, leaf): tensor for module, leaves in stripped.items() for leaf, tensor in leaves.items()}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"lora_adapter_metadata": json.dumps(told)})
    compare(read_lora(tmp_path / "a.safetensors", family="sd1").tensors, weights, "sd1")


def test_the_alpha_is_found_beside_a_file_of_peft(tmp_path: Path) -> None:
    weights = weights_of(lora, "kolors")
    path = file_of(without_alpha(weights), raw_peft, tmp_path / "adapter_model.safetensors")
    assert read_lora(path).lacks_alpha
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": ALPHA}), encoding="utf-8")
    found = read_lora(path)
    assert not found.lacks_alpha
    compare(found.tensors, weights, "sd1")


def test_the_first_pattern_that_fits_says_the_alpha_as_in_peft(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"lora_alpha": 1, "alpha_pattern": {"attn1.to_q": 6, "to_q": 2, "to_k": 3}}), encoding="utf-8"
    )
    start = "down_blocks.1.attentions.0.transformer_blocks.0"
    paths = {f"{start}.attn1.to_q": 6, f"{start}.attn2.to_q": 2, f"{start}.attn2.to_k": 3, f"{start}.attn2.to_v": 1}
    tensors = {f"base_model.model.{path}.lora_A.weight": torch.ones(4, 768) for path in paths}
    tensors |= {f"base_model.model.{path}.lora_B.weight": torch.ones(8, 4) for path in paths}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    found = read_lora(tmp_path / "adapter_model.safetensors").tensors
    for path, alpha in paths.items():
        assert float(found[f"{name_of('denoiser', path, 'sd1')}.alpha"]) == alpha


def test_the_second_factor_of_a_lokr_says_the_rank_where_both_have_one() -> None:
    a, b = torch.ones(4, 3), torch.ones(3, 4)
    parts = {"lokr_w1_a": a, "lokr_w1_b": b, "lokr_w2_a": a[:, :2], "lokr_w2_b": b[:2], "alpha": torch.tensor(5.0)}
    assert delta_weight(parts).unique().tolist() == [3 * 2 * 5 / 2]  # As ComfyUI computes it.


BLOCKS = {"down_blocks.1.attentions.0": 7, "mid_block.attentions.0": 21}


def diffsynth(where: str, leaf: str) -> str:
    block = next(block for block in BLOCKS if where.startswith(block))
    inner = where.removeprefix(block).replace("to_out.0", "to_out")
    return f"blocks.{BLOCKS[block]}{inner}.{A_B[leaf]}.default.weight"


def diffsynth_file(tmp_path: Path) -> tuple[Path, Weights]:
    weights = {module: lora(shape) for module, shape in SHAPES.items() if ".attn" in module[1]}
    path = tmp_path / "epoch=0-step=500.ckpt"
    torch.save(
        {
            diffsynth(where, leaf): tensor
            for (_, where), leaves in without_alpha(weights).items()
            for leaf, tensor in leaves.items()
        },
        path,
    )
    return path, weights


def test_a_checkpoint_of_diffsynth_is_a_lora_for_kolors_whose_alpha_is_asked_for(tmp_path: Path) -> None:
    path, weights = diffsynth_file(tmp_path)
    found = read_lora(path)
    assert (found.spelling, found.family, found.lacks_alpha) == ("diffsynth", "kolors", True)
    with pytest.raises(UserError, match="does not say its alpha"):
        load_lora(path)
    told = read_lora(path, alpha=ALPHA)
    assert not told.lacks_alpha
    compare(told.tensors, weights, "kolors")
    assert {tensor.dtype for tensor in load_lora(path, alpha=ALPHA).values()} == {torch.float32}


def test_every_block_of_diffsynth_with_attention_has_its_place(tmp_path: Path) -> None:
    places = (7, 10, 15, 18, 21, 25, 28, 31, 35, 38, 41)
    tensors = {}
    for place in places:
        for side, shape in (("A", (2, 4)), ("B", (4, 2))):
            tensors[f"blocks.{place}.transformer_blocks.0.attn1.to_q.lora_{side}.default.weight"] = random(*shape)
    torch.save(tensors, tmp_path / "a.ckpt")
    modules = by_module(read_lora(tmp_path / "a.ckpt", alpha=4.0).tensors)
    assert len(modules) == len(places)
    assert sum(name.startswith("lora_unet_down_blocks") for name in modules) == 4
    assert sum(name.startswith("lora_unet_up_blocks") for name in modules) == 6


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("harmed"),))  # type: ignore[return-value]


def test_a_pickle_that_would_run_something_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"blocks.7.transformer_blocks.0.attn1.to_q.lora_A.default.weight": Harmful()}, "a.ckpt")
    Path("b.ckpt").write_bytes(pickle.dumps(Harmful()))
    for name in ("a.ckpt", "b.ckpt"):
        with pytest.raises(UserError):
            read_lora(tmp_path / name)
    assert not Path("harmed").exists()


@pytest.mark.parametrize(
    ("family", "context", "metadata"),
    [
        ("sd1", 768, {}),
        ("sd2", 1024, {}),
        ("sdxl", 2048, {}),
        ("sdxl", 8, {"ss_base_model_version": "sdxl_base_v1-0"}),
        ("sd2", 8, {"modelspec.architecture": "stable-diffusion-v2-512/lora"}),
        ("kolors", 2048, {"modelspec.architecture": "kolors/lora"}),
        (None, 8, {}),
    ],
)
@pytest.mark.parametrize("kind", [lora, loha, lokr])
def test_the_family_is_guessed_from_the_width_of_the_text(
    family: FamilyName | None, context: int, metadata: dict[str, str], kind, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    leaves = {
        f"lora_unet_{ATTENTION.replace('.', '_')}_attn2_to_k.{leaf}": tensor.contiguous()
        for leaf, tensor in kind((8, context)).items()
    }
    save_file(leaves, path, metadata=metadata)
    assert read_lora(path).family == family


def test_the_family_is_guessed_from_names_where_widths_say_nothing(tmp_path: Path) -> None:
    assert read_lora(file_of(weights_of(lora, "sdxl"), kohya("sdxl"), tmp_path / "a.safetensors")).family == "sdxl"
    assert read_lora(file_of(weights_of(lora, "sd1"), kohya("sd1"), tmp_path / "b.safetensors")).family is None


def test_names_of_one_family_become_those_of_another() -> None:
    flat = "up_blocks_0_upsamplers_0_conv"
    assert list(named_for({f"lora_unet_{flat}.alpha": random()}, "sdxl")) == ["lora_unet_output_blocks_2_2_conv.alpha"]
    for original in ("output_blocks_2_1_conv", "output_blocks_2_2_conv"):  # Without attention before it, and with it.
        assert list(named_for({f"lora_unet_{original}.alpha": random()}, "sd1")) == [f"lora_unet_{flat}.alpha"]
    assert list(named_for({"something.else": random()}, "sd1")) == ["something.else"]


@pytest.mark.parametrize("kind", [loha, tucker_loha, lokr, whole_lokr, column_dora])
@pytest.mark.parametrize("spelling", ["diffusers", "peft"])
def test_what_a_spelling_has_no_words_for_is_refused(kind, spelling: Written) -> None:
    name = name_of("denoiser", f"{ATTENTION}.attn2.to_k", "sd1")
    tensors = {f"{name}.{leaf}": tensor for leaf, tensor in kind((6, 8)).items()}
    with pytest.raises(UserError, match=f"{name}.*files of {spelling} cannot hold"):
        respelled(tensors, spelling, "sd1")


@pytest.mark.parametrize(
    ("leaf", "kind"),
    [("diff", "full"), ("w_norm", "norm"), ("diff_b", "norm"), ("oft_blocks", "oft"), ("a1.weight", "glora")],
)
def test_kinds_that_are_known_by_name_alone_are_kept_for_tools_and_refused_for_training(
    leaf: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save_file({f"lora_unet_conv_in.{leaf}": random(4, 4)}, path)
    found = read_lora(path, family="sd1")
    assert list(found.tensors) == [f"lora_unet_conv_in.{leaf}"]
    assert kind_of([leaf]) == kind
    with pytest.raises(UserError, match="can neither draw nor train"):
        load_lora(path)


def test_a_whole_difference_is_what_is_added() -> None:
    difference = random(4, 4)
    torch.testing.assert_close(delta_weight({"diff": difference}), difference)
    with pytest.raises(UserError, match="OFT"):
        delta_weight({"oft_blocks": difference})


def test_dora_without_its_base_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="base"):
        delta_weight(dora((4, 4)))


def test_parts_that_do_not_fit_each_other_are_told() -> None:
    leaves = lora((4, 4))
    leaves["lora_up.weight"] = random(4, 3)
    with pytest.raises(UserError, match="do not fit"):
        delta_weight(leaves)


def test_half_a_module_and_doubled_names_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {"unet.mid_block.attentions.0.proj_in.lora_A.weight": random(2, 4)}
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"mid_block_attentions_0_proj_in\.lora_up\.weight is missing"):
        read_lora(path, family="sd1")
    save_file({**tensors, "lora_unet_middle_block_1_proj_in.lora_down.weight": random(2, 4)}, path)
    with pytest.raises(UserError, match="twice"):
        read_lora(path, family="sd1")


def test_what_means_nothing_is_named_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    pair = {"lora_unet_conv_in.lora_down.weight": random(2, 4), "lora_unet_conv_in.lora_up.weight": random(4, 2)}
    save_file({**pair, "bundle_emb.word.clip_l": random(2), "lora_prior_x.alpha": random(1)}, path)
    assert read_lora(path).left_out == ("bundle_emb.word.clip_l", "lora_prior_x.alpha")


def test_lycoris_by_itself_has_a_prefix_of_its_own(tmp_path: Path) -> None:
    weights = weights_of(tucker_lokr, "kolors")
    path = file_of(
        weights, lambda _, where, leaf: f"lycoris_{where.replace('.', '_')}.{leaf}", tmp_path / "a.safetensors"
    )
    compare(read_lora(path, family="kolors").tensors, weights, "kolors")


@given(st.text("lora_unet.down_blocks.0ABte1processor.weight_hada_w1_a.alpha.default", max_size=80) | st.text())
@settings(max_examples=400, deadline=None)
def test_no_key_is_too_strange_to_be_read_or_left_out(key: str) -> None:
    found = read_key(key)
    assert found is None or (found.path and found.leaf)
