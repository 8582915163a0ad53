"""What a file is, by the names and shapes in it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from core.checkpoints.recognition import Kind, Variant, recognise
from core.models import FamilyName
from tests.weight_files import (
    CLIP,
    OPEN_CLIP,
    SD1,
    SD2,
    SDXL,
    TWO_CLIPS,
    VAE,
    Shapes,
    kolors_unet,
    sd_unet,
    sdxl_unet,
)

REFINER_TEXT: Shapes = {"conditioner.embedders.0.model.ln_final.weight": (1280,)}


def diffusers_unet(context: int, sides: int = 2, prefix: str = "", extra: int = 0) -> Shapes:
    return {
        f"{prefix}conv_in.weight": (320, 4, 3, 3),
        f"{prefix}time_embedding.linear_1.weight": (1280, 320),
        f"{prefix}down_blocks.1.attentions.0.proj_in.weight": (640, 640, 1, 1)[:sides],
        f"{prefix}down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, context),
        f"{prefix}down_blocks.1.attentions.0.transformer_blocks.1.norm1.weight": (640,),
        f"{prefix}down_blocks.2.attentions.1.transformer_blocks.9.norm1.weight": (1280,),
        f"{prefix}down_blocks.3.resnets.1.norm1.weight": (1280,),
        f"{prefix}mid_block.resnets.0.norm1.weight": (1280,),
        f"{prefix}mid_block.attentions.0.transformer_blocks.9.norm1.weight": (1280,),
        f"{prefix}up_blocks.0.attentions.0.transformer_blocks.9.norm1.weight": (1280,),
        f"{prefix}up_blocks.3.resnets.2.norm1.weight": (320,),
        **({f"{prefix}add_embedding.linear_1.weight": (1280, extra)} if extra else {}),
    }


def shrunk(shapes: Shapes, factor: int) -> Shapes:
    return {
        name: tuple(side if side < 8 else max(1, side // factor) for side in shape) for name, shape in shapes.items()
    }


@pytest.mark.parametrize(
    ("shapes", "kind", "family", "variant"),
    [
        (SD1, "checkpoint", "sd1", ""),
        (SD2, "checkpoint", "sd2", ""),
        (SDXL, "checkpoint", "sdxl", ""),
        (shrunk(SD1, 20), "checkpoint", "sd1", ""),
        (shrunk(SD2, 20), "checkpoint", "sd2", ""),
        (shrunk(SDXL, 20), "checkpoint", "sdxl", ""),
        (sd_unet(768), "unet", "sd1", ""),
        (sd_unet(1024, prefix="diffusion_model."), "unet", "sd2", ""),
        (sdxl_unet(prefix=""), "unet", "sdxl", ""),
        (diffusers_unet(768, sides=4), "unet", "sd1", ""),
        (diffusers_unet(1024), "unet", "sd2", ""),
        (diffusers_unet(2048, extra=2816), "unet", "sdxl", ""),
        ({**diffusers_unet(768, 4, "unet."), "vae.decoder.conv_in.weight": (512, 4, 3, 3)}, "checkpoint", "sd1", ""),
        (kolors_unet(), "unet", "kolors", ""),
        ({**sd_unet(768, channels=9), **CLIP, **VAE}, "checkpoint", "sd1", "inpainting"),
        ({**sdxl_unet(channels=9), **TWO_CLIPS, **VAE}, "checkpoint", "sdxl", "inpainting"),
        ({**sd_unet(768, channels=8), **CLIP, **VAE}, "checkpoint", "sd1", "edit"),
        ({**sd_unet(1024, channels=5), **OPEN_CLIP, **VAE}, "checkpoint", "sd2", "depth"),
        ({**sdxl_unet(1280, 2560, 384, 4), **REFINER_TEXT, **VAE}, "checkpoint", "sdxl", "refiner"),
        ({**sdxl_unet(depth=4), **TWO_CLIPS, **VAE}, "checkpoint", "sdxl", "distilled"),
        ({**SDXL, "edm_mean": (4,), "edm_std": (4,)}, "checkpoint", "sdxl", "edm"),
        ({**SDXL, "edm_vpred.sigma_max": ()}, "checkpoint", "sdxl", "edm"),
        ({**SD1, "model.diffusion_model.time_embed.cond_proj.weight": (320, 256)}, "checkpoint", "sd1", "lcm"),
        ({**SD2, "model.diffusion_model.label_emb.0.0.weight": (1280, 2048)}, "checkpoint", "sd2", "unclip"),
    ],
)
def test_models_are_told_apart(shapes: Shapes, kind: Kind, family: FamilyName, variant: Variant) -> None:
    found = recognise(shapes, {})
    assert (found.kind, found.family, found.variant) == (kind, family, variant)


@pytest.mark.parametrize(
    ("missing", "parts"),
    [
        (VAE, {"denoiser", "text_encoder", "text_encoder_2"}),
        (TWO_CLIPS, {"denoiser", "vae"}),
        ({}, {"denoiser", "text_encoder", "text_encoder_2", "vae"}),
    ],
)
def test_the_parts_of_a_checkpoint_are_known(missing: Shapes, parts: set[str]) -> None:
    assert recognise({name: SDXL[name] for name in SDXL if name not in missing}, {}).parts == parts


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "lora"),
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.alpha", "lora"),
        ("unet.down_blocks.0.attentions.0.proj_in.lora_A.weight", "lora"),
        ("unet.down_blocks.0.attentions.0.proj_in.lora.down.weight", "lora"),
        ("unet.mid_block.attentions.0.attn1.processor.to_q_lora.down.weight", "lora"),
        ("up_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.default.weight", "lora"),
        ("diffusion_model.input_blocks.4.1.proj_in.lora_B.weight", "lora"),
        ("lycoris_mid_block_attentions_0_proj_in.hada_w1_a", "lora"),
        ("x.lokr_w2", "lora"),
        ("x.dora_scale", "lora"),
        ("first_stage_model.decoder.conv_in.weight", "vae"),
        ("decoder.conv_in.weight", "vae"),
        ("text_model.encoder.layers.0.mlp.fc1.weight", "text_encoder"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.weight", "text_encoder"),
        ("encoder.block.0.layer.0.SelfAttention.q.weight", "text_encoder"),
        ("transformer.encoder.layers.3.self_attention.query_key_value.weight", "text_encoder"),
        ("emb_params", "embedding"),
        ("clip_g", "embedding"),
        ("string_to_param.*", "embedding"),
        ("<a-word>", "embedding"),
        ("control_model.input_blocks.0.0.weight", "controlnet"),
        ("controlnet_cond_embedding.conv_in.weight", "controlnet"),
        ("model.1.sub.0.RDB1.conv1.0.weight", "upscaler"),
        ("conv_first.weight", "upscaler"),
        ("layers.0.residual_group.blocks.0.attn.qkv.weight", "upscaler"),
        ("something.else", "unknown"),
    ],
)
def test_what_is_no_base_model_is_named(name: str, kind: Kind) -> None:
    assert recognise({name: (16, 320)}, {}).kind == kind


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["model.diffusion_model.double_blocks.0.img_attn.qkv.weight"], "Flux"),
        (["single_transformer_blocks.0.attn.to_q.weight", "transformer_blocks.0.attn.to_q.weight"], "Flux"),
        (["model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight"], "Stable Diffusion 3"),
        (["transformer_blocks.0.attn.add_q_proj.weight", "pos_embed.proj.weight"], "Stable Diffusion 3"),
        (["pos_embed.proj.weight", "transformer_blocks.0.attn.add_q_proj.weight"], "Stable Diffusion 3"),
        (["model.diffusion_model.double_layers.0.attn.w1q.weight"], "AuraFlow"),
        (["blocks.0.cross_attn.norm_q.weight"], "Wan"),
        (["blocks.0.attn.qkv.weight"], "DiT"),
    ],
)
def test_models_of_other_kinds_are_named(names: list[str], title: str) -> None:
    found = recognise(dict.fromkeys(names, (64, 64)), {})
    assert (found.kind, found.other) == ("other", title)


@pytest.mark.parametrize(
    ("more", "metadata", "name", "expected"),
    [
        ({}, {}, "animagineXLV31", (None, "")),
        ({"v_pred": (0,)}, {}, "noob", ("v_prediction", "file")),
        ({"v_pred": (0,)}, {"modelspec.prediction_type": "epsilon"}, "noob eps", ("v_prediction", "file")),
        ({}, {"modelspec.prediction_type": "v"}, "noob", ("v_prediction", "file")),
        ({}, {"modelspec.prediction_type": "epsilon"}, "noob", ("epsilon", "file")),
        ({}, {"modelspec.prediction_type": "epsilon"}, "noobaiXLNAIXL_vPred10Version", ("epsilon", "conflict")),
        ({}, {}, "noobaiXLNAIXL_vPred10Version", ("v_prediction", "name")),
        ({}, {}, "mix v-prediction", ("v_prediction", "name")),
        ({}, {}, "noobaiXL_epsilonPred11", ("epsilon", "name")),
        ({}, {}, "my steps v2 preview", (None, "")),
    ],
)
def test_the_prediction_is_taken_from_what_is_most_certain(
    more: Shapes, metadata: Mapping[str, str], name: str, expected: tuple[str | None, str]
) -> None:
    found = recognise({**SDXL, **more}, metadata, name)
    assert (found.prediction, found.prediction_from) == expected


def test_noise_that_ends_in_noise_alone_is_known() -> None:
    assert recognise({**SDXL, "v_pred": (0,), "ztsnr": (0,)}, {}).zero_terminal_snr
    assert not recognise(SDXL, {}).zero_terminal_snr


@pytest.mark.parametrize(
    ("name", "title", "expected"),
    [
        ("ponyDiffusionV6XL", "", "Pony"),
        ("waiNSFWIllustrious_v140", "", "Illustrious"),
        ("my mix", "NoobAI-XL 1.1", "NoobAI"),
        ("animagine-xl-4.0", "", "Animagine"),
        ("sd_xl_base_1.0", "", ""),
    ],
)
def test_well_known_ancestors_are_taken_from_names(name: str, title: str, expected: str) -> None:
    assert recognise(SDXL, {"modelspec.title": title}, name).lineage == expected


@pytest.mark.parametrize("shape", [(), (5,), (0,), (320, 4), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("name", ["model.diffusion_model.input_blocks.0.0.weight", "conv_in.weight"])
def test_a_denoiser_that_begins_with_no_convolution_is_none(name: str, shape: tuple[int, ...]) -> None:
    whole = SD1 if name in SD1 else diffusers_unet(768)
    assert name in whole and recognise(whole, {}).family == "sd1"
    assert recognise({**whole, name: shape}, {}).kind not in ("checkpoint", "unet")
