"""The LoRA file: kohya's names and shapes, alpha, metadata, hashes; and what is refused."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.config import NetworkConfig
from core.errors import UserError
from core.families.base import Parts
from core.families.sd1 import FAMILY
from core.lora.file import load_lora, save_lora, to_metadata
from core.lora.keys import denoiser_name, text_encoder_name
from core.lora.network import add_from_file, add_network, remove_network
from core.models import describe_base
from core.safetensors_header import read_header
from tests.loras import names, random_lora, write_lora

KOHYA = json.loads((Path(__file__).parent.parent / "data" / "kohya_sd15_keys.json").read_text())
"""Names and shapes of sd-scripts' default LoRA for SD 1.5 at rank 16, read off a file that it wrote."""


def parts_of(denoiser: torch.nn.Module, text_encoder: torch.nn.Module) -> Parts:
    return Parts(
        tokenizer=None,
        text_encoder=text_encoder,
        denoiser=denoiser,
        vae=torch.nn.Identity(),
        scheduler_config={},
        alphas_cumprod=torch.ones(1),
        prediction="epsilon",
    )


def full_size_sd15() -> Parts:
    """The real architecture without memory: all weights on the meta device."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
        )
    return parts_of(unet, text_encoder)


def test_names_and_shapes_are_kohya_s_for_the_full_size_model() -> None:
    network = add_network(full_size_sd15(), FAMILY, NetworkConfig(rank=16, alpha=8.0), seed=0)
    shapes = {name: list(weight.shape) for name, weight in network.named_parameters()}
    shapes |= {f"{module.name}.alpha": [] for module in network.modules}
    assert len(shapes) == 792
    assert shapes == KOHYA


def test_names_do_not_depend_on_the_version_of_transformers() -> None:
    with_level = text_encoder_name("text_model.encoder.layers.0.self_attn.q_proj", "lora_te")
    assert with_level == text_encoder_name("encoder.layers.0.self_attn.q_proj", "lora_te")
    assert with_level == "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    assert denoiser_name("mid_block.attentions.0.proj_in") == "lora_unet_mid_block_attentions_0_proj_in"


@pytest.fixture
def parts(tiny_sd1: Path) -> Parts:
    return FAMILY.load(describe_base(tiny_sd1), torch.float32)


def fill(network_tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: tensor if name.endswith(".alpha") else torch.randn(tensor.shape, generator=generator)
        for name, tensor in network_tensors.items()
    }


def predict(parts: Parts) -> torch.Tensor:
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        conditioning = FAMILY.encode_captions(parts, ["miru, 1girl"])
        return FAMILY.predict(parts, latents, torch.tensor([500]), conditioning)


def test_a_fresh_network_changes_nothing_and_a_removed_one_leaves_nothing(parts: Parts) -> None:
    before = predict(parts)
    network = add_network(parts, FAMILY, NetworkConfig(rank=4, alpha=4.0), seed=0)
    torch.testing.assert_close(predict(parts), before, atol=0, rtol=0)
    network.load_tensors(fill(network.tensors()))
    assert (predict(parts) - before).abs().max() > 1e-3
    remove_network(parts)
    torch.testing.assert_close(predict(parts), before, atol=0, rtol=0)
    assert not any("lora" in name for name, _ in parts.denoiser.named_parameters())


def test_a_file_gives_the_same_picture_as_the_network_it_was_saved_from(parts: Parts, tmp_path: Path) -> None:
    network = add_network(parts, FAMILY, NetworkConfig(rank=4, alpha=2.0), seed=0)
    network.load_tensors(fill(network.tensors()))
    trained = predict(parts)
    path = tmp_path / "角色 😀.safetensors"
    save_lora(path, network.tensors(), "fp32", {})
    remove_network(parts)
    add_from_file(parts, FAMILY, load_lora(path))
    torch.testing.assert_close(predict(parts), trained, atol=1e-6, rtol=1e-5)


def test_half_the_strength_is_half_the_alpha(parts: Parts) -> None:
    tensors = fill(add_network(parts, FAMILY, NetworkConfig(rank=4, alpha=2.0), seed=0).tensors())
    remove_network(parts)
    add_from_file(parts, FAMILY, tensors, strength=0.5)
    at_half = predict(parts)
    remove_network(parts)
    halved = {name: tensor / 2 if name.endswith(".alpha") else tensor for name, tensor in tensors.items()}
    add_from_file(parts, FAMILY, halved)
    torch.testing.assert_close(predict(parts), at_half)


def test_ranks_may_differ_by_module(parts: Parts) -> None:
    network = add_network(parts, FAMILY, NetworkConfig(rank=4, alpha=4.0, train_text_encoder=False), seed=0)
    tensors = fill(network.tensors())
    remove_network(parts)
    name = network.denoiser_modules[0].name
    tensors[f"{name}.lora_down.weight"] = tensors[f"{name}.lora_down.weight"][:2]
    tensors[f"{name}.lora_up.weight"] = tensors[f"{name}.lora_up.weight"][:, :2]
    again = add_from_file(parts, FAMILY, tensors)
    assert sorted({module.rank for module in again.modules}) == [2, 4]


def test_a_lora_of_another_model_is_refused(parts: Parts) -> None:
    with pytest.raises(UserError, match="1 of its 1 modules"):
        add_from_file(parts, FAMILY, {"lora_unet_elsewhere.lora_down.weight": torch.zeros(4, 8)})


def test_all_tensors_have_the_file_s_format_and_metadata_is_text(parts: Parts, tmp_path: Path) -> None:
    network = add_network(parts, FAMILY, NetworkConfig(rank=4, alpha=2.0), seed=0)
    path = tmp_path / "a.safetensors"
    save_lora(path, network.tensors(), "fp16", to_metadata({"ss_steps": 3, "ss_list": ["图"], "ss_none": None}))
    tensors = load_file(path)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert all(float(tensor) == 2.0 and tensor.ndim == 0 for name, tensor in tensors.items() if name.endswith(".alpha"))
    metadata = read_header(path).metadata
    assert metadata["ss_steps"] == "3"
    assert metadata["ss_none"] == "None"
    assert json.loads(metadata["ss_list"]) == ["图"]


def test_the_model_hash_is_of_the_tensors_alone(parts: Parts, tmp_path: Path) -> None:
    network = add_network(parts, FAMILY, NetworkConfig(rank=4), seed=0)
    path = tmp_path / "a.safetensors"
    save_lora(path, network.tensors(), "fp16", {"modelspec.title": "x", "ss_steps": "1"})
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert read_header(path).metadata["sshs_model_hash"] == hashlib.sha256(data[8 + length :]).hexdigest()
    again = tmp_path / "b.safetensors"
    save_lora(again, network.tensors(), "fp16", {"modelspec.title": "y", "ss_steps": "1"})
    assert read_header(again).metadata["sshs_model_hash"] == read_header(path).metadata["sshs_model_hash"]


@pytest.mark.parametrize(
    ("value", "message", "failure"),
    [
        (float("nan"), "not a number in x", "not_a_number"),
        (float("inf"), "not a number in x", "not_a_number"),
        (1e6, "too large for fp16", "file_overflow"),
    ],
)
def test_a_value_that_is_no_fp16_number_is_not_saved_over_a_good_file(
    tmp_path: Path, value: float, message: str, failure: str
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"good")
    with pytest.raises(UserError, match=message) as error:
        save_lora(path, {"x": torch.tensor([1.0, value])}, "fp16", {})
    assert error.value.failure == failure
    assert path.read_bytes() == b"good"
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_told_from_loras(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"model.weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="is not a LoRA"):
        load_lora(path)
    save_file({"transformer.single_blocks.0.proj.lora_A.weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="is not a LoRA"):
        load_lora(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match="not complete"):
        load_lora(path)
    path.write_text("hello, I am a text")
    with pytest.raises(UserError, match="not a safetensors file"):
        load_lora(path)


def test_values_that_are_no_numbers_are_neither_drawn_nor_trained_with(tmp_path: Path) -> None:
    module = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    tensors = random_lora({module: (4, 4)})
    tensors[f"{module}.lora_up.weight"][1, 1] = torch.nan
    with pytest.raises(UserError, match="not numbers"):
        load_lora(write_lora(tmp_path / "a.safetensors", tensors))


def test_a_lora_for_sdxl_is_not_drawn_with_kolors_whose_layers_have_the_same_sizes(tmp_path: Path) -> None:
    ours = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    theirs = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    of_sdxl = write_lora(tmp_path / "a.safetensors", random_lora({theirs: (8, 2048)}))
    with pytest.raises(UserError, match=r"was made for .*XL.*, not for Kolors"):
        load_lora(of_sdxl, family="kolors")
    of_kolors = write_lora(
        tmp_path / "b.safetensors", random_lora({ours: (8, 2048)}), ss_base_model_version="kolors_v1"
    )
    with pytest.raises(UserError, match="was made for Kolors"):
        load_lora(of_kolors, family="sdxl")
    unnamed = write_lora(tmp_path / "c.safetensors", random_lora({ours: (8, 2048)}))
    assert names(load_lora(unnamed, family="kolors")) == names(load_lora(of_kolors, family="kolors")) == {ours}
    assert names(load_lora(unnamed, family="sdxl")) == names(load_lora(of_sdxl, family="sdxl")) == {theirs}
