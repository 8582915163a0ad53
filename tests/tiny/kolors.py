"""A Kolors with random weights for tests: the module tree of the real one, a few channels wide, in both its layouts."""

from __future__ import annotations

import io
import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

SIZE_PX = 64
"""Side of the pictures that the tiny model is used with."""

GLM_CONFIG: dict[str, Any] = {
    "_name_or_path": "THUDM/chatglm3-6b-base",
    "model_type": "chatglm",
    "architectures": ["ChatGLMModel"],
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_query_key_layer_scaling": True,
    "apply_residual_connection_post_layernorm": False,
    "attention_dropout": 0.0,
    "attention_softmax_in_fp32": True,
    "bias_dropout_fusion": True,
    "ffn_hidden_size": 96,
    "fp32_residual_connection": False,
    "hidden_dropout": 0.0,
    "hidden_size": 64,
    "kv_channels": 16,
    "layernorm_epsilon": 1e-05,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 4,
    "num_layers": 3,
    "original_rope": True,
    "padded_vocab_size": 768,
    "post_layer_norm": True,
    "rmsnorm": True,
    "seq_length": 256,
    "use_cache": True,
    "tie_word_embeddings": False,
}
"""The text encoder: as that of Kolors is configured, but for its sizes."""

_TEXTS = [
    "一只可爱的猫坐在窗台上",
    "1girl, solo, smile, a cute cat, red ball",
    "蓝天白云下的女孩",
    "a picture of a dog",
] * 8


def make_tiny_kolors(folder: Path, layout: Literal["diffusers", "original"] = "diffusers", *, seed: int = 0) -> Path:
    """A folder of Kolors, about 2 MB.

    Args:
        folder: Where it goes.
        layout: `diffusers` as in Kolors-diffusers; `original` as Kolors was published: the text encoder in several
            `.bin` files under its names in ChatGLM3, with the tokenizer beside them.
        seed: Of the random weights.
    """
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel

    torch.manual_seed(seed)
    UNet2DConditionModel(
        sample_size=SIZE_PX // 8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 8, 16),
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=(1, 1, 2),
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=16,
        use_linear_projection=True,
        encoder_hid_dim=GLM_CONFIG["hidden_size"],
        encoder_hid_dim_type="text_proj",
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=GLM_CONFIG["hidden_size"] + 6 * 8,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 8),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=SIZE_PX,
        scaling_factor=0.13025,
    ).save_pretrained(folder / "vae")
    EulerDiscreteScheduler(
        num_train_timesteps=1100,
        beta_start=0.00085,
        beta_end=0.014,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    save_tiny_glm(folder / "text_encoder", layout)
    if layout == "diffusers":
        save_tokenizer(folder / "tokenizer")
    else:
        save_tokenizer(folder / "text_encoder")
    index = {
        "_class_name": "KolorsPipeline" if layout == "diffusers" else "StableDiffusionXLPipeline",
        "_diffusers_version": "0.18.0.dev0",
        "force_zeros_for_empty_prompt": False,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["kolors", "ChatGLMModel"],
        "tokenizer": ["kolors", "ChatGLMTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def tiny_glm() -> Any:
    """A ChatGLMModel with random weights: a fresh one has what was in memory before."""
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel

    model = ChatGLMModel(ChatGLMConfig(**GLM_CONFIG)).eval()
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, mean=float("norm" in name), std=0.15)
    return model


def save_tiny_glm(folder: Path, layout: str) -> None:
    """Write a text encoder of random weights."""
    model = tiny_glm()
    if layout == "diffusers":
        model.half().save_pretrained(folder, max_shard_size="200KB")
        (folder / "config.json").write_text(json.dumps(GLM_CONFIG), encoding="utf-8")
        return
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(GLM_CONFIG), encoding="utf-8")
    tensors = {f"transformer.{name}": tensor.half() for name, tensor in model.state_dict().items()}
    names, places = list(tensors), {}
    for number in range(7):
        file = f"pytorch_model-{number + 1:05d}-of-00007.bin"
        share = names[number::7]
        torch.save({name: tensors[name] for name in share}, folder / file)
        places |= dict.fromkeys(share, file)
    index = {"metadata": {"total_size": 0}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")


def save_tokenizer(folder: Path) -> Path:
    """Write a small sentencepiece model of the kind of ChatGLM3's, with the configuration beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(_sentencepiece_model())
    config = {"tokenizer_class": "ChatGLMTokenizer", "remove_space": False, "do_lower_case": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@lru_cache(maxsize=1)
def _sentencepiece_model() -> bytes:
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_TEXTS),
        model_writer=model,
        vocab_size=400,
        model_type="bpe",
        byte_fallback=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


def without_text_encoder(folder: Path, target: Path) -> Path:
    """A copy that lacks the text encoder, as people make it to save disk."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("text_encoder"))
    return target
