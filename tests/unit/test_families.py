"""The families at their full size, without weights: a LoRA has exactly the names and shapes of kohya's trainer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from core.checkpoints.single_file import shipped_config
from core.families.base import Family, family
from core.families.sdxl import TextEncoders
from core.families.unet import first_sampler
from core.models import FamilyName
from core.sampling import _use_sampler

DATA = Path(__file__).parents[1] / "data"
RANK = 16
"""Of the LoRA that the tables were made of."""


def takes_lora(model_family: Family, name: FamilyName, *, conv: bool = False) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights that take a LoRA, by the names of their modules in the file."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    with torch.device("meta"):
        denoiser = UNet2DConditionModel.from_config(shipped_config(name, "unet"))
        text_encoder: torch.nn.Module = CLIPTextModel(CLIPTextConfig(**shipped_config(name, "text_encoder")))
        if name == "sdxl":
            second = CLIPTextModelWithProjection(CLIPTextConfig(**shipped_config(name, "text_encoder_2")))
            text_encoder = TextEncoders(text_encoder, second)
    found: dict[str, tuple[int, ...]] = {}
    targets = model_family.denoiser_targets + (model_family.denoiser_conv_targets if conv else ())
    for module, naming, ends in (
        (denoiser, model_family.denoiser_key, targets),
        (text_encoder, model_family.text_encoder_key, model_family.text_encoder_targets),
    ):
        for path, part in module.named_modules():
            if path.endswith(tuple(f".{end}" for end in ends)):
                assert naming(path) not in found
                found[naming(path)] = tuple(part.weight.shape)
    return found


def kohyas_sd1() -> dict[str, tuple[int, ...]]:
    """Shapes by the names of tensors, alphas left out: those are numbers."""
    keys = json.loads((DATA / "kohya_sd15_keys.json").read_text(encoding="utf-8"))
    return {key: tuple(shape) for key, shape in keys.items() if not key.endswith(".alpha")}


def kohyas_sdxl() -> dict[str, tuple[int, ...]]:
    """The same; this table has both shapes of a module under its name."""
    keys = json.loads((DATA / "kohya_sdxl_keys.json").read_text(encoding="utf-8"))
    return {
        f"{module}.lora_{way}.weight": tuple(shape)
        for module, shapes in keys.items()
        for way, shape in zip(("down", "up"), shapes, strict=True)
    }


@pytest.mark.parametrize(("name", "wanted"), [("sd1", kohyas_sd1), ("sdxl", kohyas_sdxl)])
def test_a_lora_has_the_names_and_shapes_of_kohyas(
    name: FamilyName, wanted: Callable[[], dict[str, tuple[int, ...]]]
) -> None:
    ours: dict[str, tuple[int, ...]] = {}
    for module, shape in takes_lora(family(name), name).items():
        ours[f"{module}.lora_down.weight"] = (RANK, *shape[1:])
        ours[f"{module}.lora_up.weight"] = (shape[0], RANK, *(1 for _ in shape[2:]))
    assert ours == wanted()


def test_stable_diffusion_2_is_named_as_1_and_has_a_wider_text_encoder_of_23_layers() -> None:
    found = takes_lora(family("sd2"), "sd2")
    old = takes_lora(family("sd1"), "sd1")
    denoiser = {name for name in found if name.startswith("lora_unet_")}
    assert denoiser == {name for name in old if name.startswith("lora_unet_")}
    assert found["lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"] == (320, 1024)
    assert found["lora_unet_down_blocks_0_attentions_0_proj_in"] == (320, 320)
    assert len(found) - len(denoiser) == 23 * 6
    assert found["lora_te_text_model_encoder_layers_22_mlp_fc1"] == (4096, 1024)


@pytest.mark.parametrize(
    ("name", "number", "example"),
    [
        ("sd1", 86, "lora_unet_up_blocks_0_upsamplers_0_conv"),
        ("sdxl", 66, "lora_unet_input_blocks_3_0_op"),
    ],
)
def test_locon_adds_the_convolutions_and_what_goes_with_them(name: FamilyName, number: int, example: str) -> None:
    plain, more = takes_lora(family(name), name), takes_lora(family(name), name, conv=True)
    added = set(more) - set(plain)
    assert set(plain) <= set(more) and len(added) == number and example in added
    if name == "sdxl":
        assert {"lora_unet_output_blocks_2_2_conv", "lora_unet_middle_block_0_emb_layers_1"} <= added
        assert {"lora_unet_output_blocks_8_0_skip_connection", "lora_unet_input_blocks_4_0_out_layers_3"} <= added


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl", "kolors"])
def test_no_sampler_cuts_latents_off(name: FamilyName) -> None:
    parts: Any = SimpleNamespace(scheduler_config=shipped_config(name, "scheduler"))
    pipeline = SimpleNamespace(scheduler=first_sampler(parts))
    _use_sampler(pipeline, "ddim")
    noise: Any = pipeline.scheduler
    assert not noise.config.clip_sample and float(noise.final_alpha_cumprod) < 1
    assert len(noise.alphas_cumprod) == (1100 if name == "kolors" else 1000)
    latents = torch.full((1, 4, 2, 2), 3.0)
    noise.set_timesteps(10)
    # Clean latents far beyond 1, which are answered with no noise at all, stay what they are.
    clean = noise.step(torch.zeros_like(latents), noise.timesteps[-1], latents).pred_original_sample
    assert float(clean.min()) > 3
