"""Names of modules: kohya's lists, the models themselves, and the way from one spelling to the other and back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from core.lora.checking import modules_of_family
from core.lora.keys import dotted, flat, module_names, name_of, split_name, to_diffusers, to_original
from core.models import FAMILY_NAMES, FamilyName

DATA = Path(__file__).parent.parent / "data"
RANK = 16


def kohya_list(family: FamilyName) -> dict[str, list[int]]:
    """Names and shapes of sd-scripts' default LoRA at rank 16, read off files that it wrote."""
    if family == "sd1":
        listed: dict[str, list[int]] = json.loads((DATA / "kohya_sd15_keys.json").read_text())
        return listed
    shapes = {}
    for name, (down, up) in json.loads((DATA / "kohya_sdxl_keys.json").read_text()).items():
        shapes |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": []}
    return shapes


@pytest.mark.parametrize(("family", "number"), [("sd1", 792), ("sdxl", 2958)])
def test_names_and_shapes_are_those_of_kohya_s_files(family: FamilyName, number: int) -> None:
    ours: dict[str, list[int]] = {}
    for module in module_names(family).values():
        if module.kind == "default":
            out, inputs, *kernel = module.shape
            ours[f"{module.name}.lora_down.weight"] = [RANK, inputs, *kernel]
            ours[f"{module.name}.lora_up.weight"] = [out, RANK, *[1] * len(kernel)]
            ours[f"{module.name}.alpha"] = []
    assert len(ours) == number
    assert ours == kohya_list(family)


XL = {
    "attention_head_dim": [5, 10, 20],
    "use_linear_projection": True,
    "cross_attention_dim": 2048,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
}
UNETS = {
    "sd1": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True},
    "sdxl": {**XL, "projection_class_embeddings_input_dim": 2816},
    "kolors": {
        **XL,
        "projection_class_embeddings_input_dim": 5632,
        "encoder_hid_dim": 4096,
        "encoder_hid_dim_type": "text_proj",
    },
}


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_table_has_every_module_of_the_full_size_denoiser(family: FamilyName) -> None:
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNETS[family])
    weights = {name: module.weight for name, module in unet.named_modules() if hasattr(module, "weight")}
    real = {name: tuple(weight.shape) for name, weight in weights.items() if weight is not None and weight.ndim > 1}
    table = {module.path: module.shape for module in module_names(family).values() if module.part == "denoiser"}
    assert table == real


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("sd1", {("denoiser", "default"): 192, ("denoiser", "conv"): 86, ("text_encoder", "default"): 72}),
        ("sd2", {("denoiser", "default"): 192, ("denoiser", "conv"): 86, ("text_encoder", "default"): 138}),
        (
            "sdxl",
            {
                ("denoiser", "default"): 722,
                ("denoiser", "conv"): 66,
                ("text_encoder", "default"): 72,
                ("text_encoder_2", "default"): 192,
            },
        ),
        ("kolors", {("denoiser", "default"): 722, ("denoiser", "conv"): 66}),
    ],
)
def test_every_family_has_its_parts(family: FamilyName, expected: dict[tuple[str, str], int]) -> None:
    counts = Counter((module.part, module.kind) for module in module_names(family).values())
    assert {key: number for key, number in counts.items() if key[1] != "other"} == expected
    assert modules_of_family(family).keys() == module_names(family).keys()


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_names_lead_to_paths_and_back(family: FamilyName) -> None:
    for name, module in module_names(family).items():
        assert split_name(name) == (module.part, module.path)
        assert name_of(module.part, module.path, family) == name
        assert dotted(flat(module.path)) == module.path
        if module.part == "denoiser":
            original = to_original(module.path)
            assert name_of("denoiser", original, family) == name
            assert to_diffusers(original) == module.path
            assert dotted(flat(original)) == original


def test_the_convolutions_of_sdxl_are_named_as_by_kohya() -> None:
    """LoCon's names, from lora-files of sd-scripts."""
    assert {
        path: name_of("denoiser", path, "sdxl").removeprefix("lora_unet_")
        for path in (
            "down_blocks.0.resnets.1.conv1",
            "down_blocks.1.resnets.0.conv_shortcut",
            "down_blocks.1.downsamplers.0.conv",
            "mid_block.resnets.1.time_emb_proj",
            "up_blocks.0.resnets.2.conv2",
            "up_blocks.1.upsamplers.0.conv",
        )
    } == {
        "down_blocks.0.resnets.1.conv1": "input_blocks_2_0_in_layers_2",
        "down_blocks.1.resnets.0.conv_shortcut": "input_blocks_4_0_skip_connection",
        "down_blocks.1.downsamplers.0.conv": "input_blocks_6_0_op",
        "mid_block.resnets.1.time_emb_proj": "middle_block_2_emb_layers_1",
        "up_blocks.0.resnets.2.conv2": "output_blocks_2_0_out_layers_3",
        "up_blocks.1.upsamplers.0.conv": "output_blocks_5_2_conv",
    }


@pytest.mark.parametrize("name", ["lora_prior_x", "lora_te3_text_model_x", "unet_down_blocks", "lora_unet", "lora_te"])
def test_other_names_are_told_from_those_of_modules(name: str) -> None:
    assert split_name(name) is None
