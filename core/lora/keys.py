"""Names of LoRA modules in kohya's file format, which ComfyUI, A1111, Forge and diffusers all read.

A module gives three tensors: `<name>.lora_down.weight`, `<name>.lora_up.weight` and `<name>.alpha`, where `<name>` is
a prefix and the module's path with `.` replaced by `_`.
"""

from __future__ import annotations

DENOISER_PREFIX = "lora_unet"


def denoiser_name(module: str) -> str:
    """The file's name of a denoiser module, e.g. `mid_block.attentions.0.proj_in`."""
    return f"{DENOISER_PREFIX}_{module.replace('.', '_')}"


def text_encoder_name(module: str, prefix: str) -> str:
    """The file's name of a text encoder module.

    Args:
        module: Path inside CLIPTextModel; transformers 5 dropped its `text_model` level, the file format keeps it.
        prefix: `lora_te` for one text encoder; `lora_te1`, `lora_te2` for two.
    """
    path = module if module.startswith("text_model.") else f"text_model.{module}"
    return f"{prefix}_{path.replace('.', '_')}"
