"""The names of a checkpoint file and of diffusers, for the true sizes, against what diffusers itself makes of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from core.checkpoints.folders import FOLDERS
from core.checkpoints.names import changed_shape, open_clip_names, usual_name, vae_names
from core.checkpoints.opening import empty_module
from core.checkpoints.single_file import names_of, prefix_of, shipped_config
from core.checkpoints.sources import PartName
from core.models import FamilyName

PARAMETERS: dict[tuple[FamilyName, PartName], tuple[int, int]] = {
    ("sd1", "denoiser"): (686, 859_520_964),
    ("sd1", "text_encoder"): (196, 123_060_480),
    ("sd1", "vae"): (248, 83_653_863),
    ("sd2", "denoiser"): (686, 865_910_724),
    ("sd2", "text_encoder"): (372, 340_387_840),
    ("sdxl", "denoiser"): (1680, 2_567_463_684),
    ("sdxl", "text_encoder_2"): (517, 694_659_840),
    ("kolors", "denoiser"): (1682, 2_579_458_820),
}
"""Tensors and numbers of the real models."""


@cache
def made(family: FamilyName, part: PartName) -> Any:
    """A part of a family in its true size, without numbers."""
    return empty_module(shipped_config(family, FOLDERS[part]), part)


@pytest.mark.parametrize(("family", "part"), PARAMETERS, ids=lambda value: value)
def test_shipped_configurations_make_the_real_architectures(family: FamilyName, part: PartName) -> None:
    tensors = made(family, part).state_dict()

    assert (len(tensors), sum(tensor.numel() for tensor in tensors.values())) == PARAMETERS[family, part]


@pytest.mark.parametrize(
    ("family", "part"), [("sd1", "denoiser"), ("sd2", "denoiser"), ("sdxl", "denoiser"), ("sd1", "vae")]
)
def test_diffusers_reads_the_names_as_kiln_writes_them(family: FamilyName, part: PartName) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    module = made(family, part)
    table, prefix = names_of(family, part, module.config), prefix_of(family, part)
    tensors = module.state_dict()
    file = {}
    for name, tensor in tensors.items():
        place = table.in_file(name)
        assert place is not None
        file[f"{prefix}{place[0]}"] = tensor[:, :, None, None] if place[1] == "squeeze" else tensor
    convert = convert_ldm_unet_checkpoint if part == "denoiser" else convert_ldm_vae_checkpoint

    read = convert(dict(file), dict(module.config))

    assert {name: tensor.shape for name, tensor in read.items()} == {n: t.shape for n, t in tensors.items()}


@pytest.mark.parametrize(("family", "part"), PARAMETERS, ids=lambda value: value)
def test_names_lead_there_and_back(family: FamilyName, part: PartName) -> None:
    table = names_of(family, part, shipped_config(family, FOLDERS[part]))
    tensors = {usual_name(part, name): tensor for name, tensor in made(family, part).state_dict().items()}
    places: dict[str, list[str]] = {}
    for name, tensor in tensors.items():
        place = table.in_file(name)
        assert place is not None, name
        shape = tuple(tensor.shape)
        whole = {"squeeze": (*shape, 1, 1), "transpose": shape[::-1], "": shape}.get(
            place[1], (3 * shape[0], *shape[1:])
        )
        assert (name, place[1]) in table.in_diffusers(place[0], whole)
        assert changed_shape(whole, place[1]) == shape
        places.setdefault(place[0], []).append(name)

    # Only the thirds of an attention share a place.
    assert {len(names) for names in places.values()} <= {1, 3}


def test_known_names_of_real_files() -> None:
    sd1, sdxl = (names_of(family, "denoiser", shipped_config(family, "unet")) for family in ("sd1", "sdxl"))

    assert sd1.in_diffusers("input_blocks.1.0.in_layers.2.weight", (1,)) == [
        ("down_blocks.0.resnets.0.conv1.weight", "")
    ]
    assert sd1.in_diffusers("output_blocks.5.2.conv.bias", (1,)) == [("up_blocks.1.upsamplers.0.conv.bias", "")]
    assert sd1.in_diffusers("output_blocks.2.1.conv.bias", (1,)) == [("up_blocks.0.upsamplers.0.conv.bias", "")]
    assert sdxl.in_diffusers("output_blocks.2.2.conv.bias", (1,)) == [("up_blocks.0.upsamplers.0.conv.bias", "")]
    assert sdxl.in_diffusers("input_blocks.4.1.transformer_blocks.1.attn2.to_k.weight", (1, 1)) == [
        ("down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k.weight", "")
    ]
    assert sdxl.in_diffusers("label_emb.0.2.bias", (1,)) == [("add_embedding.linear_2.bias", "")]
    assert sdxl.in_diffusers("input_blocks.99.0.in_layers.2.weight", (1,)) == []


def test_attention_of_a_vae_is_a_matrix_whatever_it_was() -> None:
    table = vae_names(shipped_config("sd1", "vae"))
    name = "decoder.mid_block.attentions.0.to_q.weight"

    assert table.in_diffusers("decoder.mid.attn_1.q.weight", (512, 512, 1, 1)) == [(name, "squeeze")]
    assert table.in_diffusers("decoder.mid.attn_1.q.weight", (512, 512)) == [(name, "")]
    assert usual_name("vae", "decoder.mid_block.attentions.0.query.weight") == name
    assert usual_name("vae", "decoder.mid_block.attentions.0.proj_attn.bias") == (
        "decoder.mid_block.attentions.0.to_out.0.bias"
    )


def test_open_clip_keeps_three_matrices_in_one() -> None:
    table = open_clip_names({"num_hidden_layers": 1})

    thirds = table.in_diffusers("transformer.resblocks.0.attn.in_proj_weight", (3 * 4, 4))

    assert [name.rpartition("self_attn.")[2] for name, _ in thirds] == [
        "q_proj.weight",
        "k_proj.weight",
        "v_proj.weight",
    ]
    assert [change for _, change in thirds] == ["rows_0", "rows_1", "rows_2"]
    assert torch.Size(changed_shape((12, 4), "rows_1")) == (4, 4)
    # What has no thirds fits nothing, and says so by its own shape.
    assert changed_shape((13, 4), "rows_1") == (13, 4)
    assert changed_shape((), "rows_0") == ()
