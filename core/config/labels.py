"""What the values of options are called in sentences and in the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from core.config.fields import FieldSpec, field_specs
from core.config.model import TrainConfig
from core.text import tr

_CHOICES: Mapping[str, Callable[[], str]] = {
    "auto": lambda: tr("Automatic"),
    "sd1": lambda: tr("Stable Diffusion 1.x"),
    "sd2": lambda: tr("Stable Diffusion 2.x"),
    "sdxl": lambda: "Stable Diffusion XL",
    "kolors": lambda: "Kolors",
    "lora": lambda: "LoRA",
    "loha": lambda: "LoHa",
    "lokr": lambda: "LoKr",
    "all": lambda: tr("All (all)"),
    "attention": lambda: tr("Attention (attention)"),
    "cross_attention": lambda: tr("Caption (cross_attention)"),
    "whole": lambda: tr("Whole (whole)"),
    "layers": lambda: tr("Layer by layer (layers)"),
    "int8": lambda: tr("8 bit (int8)"),
    "full": lambda: tr("As computed with (full)"),
    "none": lambda: tr("None"),
    "buckets": lambda: tr("Keep shape (buckets)"),
    "smart": lambda: tr("Subject (smart)"),
    "crop": lambda: tr("Square (crop)"),
    "pad": lambda: tr("Whole picture (pad)"),
    "blur": lambda: tr("Blurred"),
    "white": lambda: tr("White"),
    "grey": lambda: tr("Grey"),
    "black": lambda: tr("Black"),
    "alpha": lambda: tr("Transparency (alpha)"),
    "files": lambda: tr("Pictures (files)"),
    "adapt": lambda: tr("Go on (adapt)"),
    "stop": lambda: tr("Stop"),
    "epsilon": lambda: tr("Noise (epsilon)"),
    "v_prediction": lambda: tr("Velocity (v)"),
    "l2": lambda: "L2 (MSE)",
    "l1": lambda: "L1 (MAE)",
    "huber": lambda: "Huber",
    "smooth_l1": lambda: "Smooth L1",
    "exponential": lambda: tr("Exponential"),
    "snr": lambda: tr("Signal to noise (snr)"),
    "uniform": lambda: tr("All alike (uniform)"),
    "logit_normal": lambda: tr("Middle (logit_normal)"),
    "early": lambda: tr("Composition (early)"),
    "late": lambda: tr("Details (late)"),
    "adamw": lambda: "AdamW",
    "adamw8bit": lambda: "AdamW 8-bit",
    "lion": lambda: "Lion",
    "adafactor": lambda: "Adafactor",
    "prodigy": lambda: "Prodigy",
    "dadaptation": lambda: "D-Adaptation",
    "adamw_schedulefree": lambda: "AdamW schedule-free",
    "came": lambda: "CAME",
    "sgd": lambda: "SGD",
    "constant": lambda: tr("Constant"),
    "constant_with_warmup": lambda: tr("Constant after warm-up"),
    "linear": lambda: tr("Linear"),
    "cosine": lambda: tr("Cosine"),
    "cosine_with_restarts": lambda: tr("Cosine with restarts"),
    "polynomial": lambda: tr("Polynomial"),
    "inverse_sqrt": lambda: tr("Inverse root"),
    "rex": lambda: "REX",
    "warmup_stable_decay": lambda: tr("Warm-up, stable, decay"),
    "dpmpp_2m": lambda: "DPM++ 2M",
    "euler_a": lambda: "Euler a",
    "euler": lambda: "Euler",
    "ddim": lambda: "DDIM",
    "cuda": lambda: tr("NVIDIA card (CUDA)"),
    "mps": lambda: tr("Apple graphics (MPS)"),
    "cpu": lambda: tr("Processor (CPU)"),
}


_SPECIAL: Mapping[tuple[str, int], Callable[[], str]] = {
    ("dataset.repeats", 0): lambda: tr("Automatic"),
    ("network.factor", -1): lambda: tr("Automatic"),
    ("schedule.decay_steps", 0): lambda: tr("Automatic"),
    ("validation.pictures", -1): lambda: tr("Automatic"),
    ("dataset.caption_dropout_every_n_epochs", 0): lambda: tr("off"),
    ("sampling.every_n_epochs", 0): lambda: tr("off"),
    ("sampling.every_n_steps", 0): lambda: tr("off"),
    ("output.save_every_n_epochs", 0): lambda: tr("off"),
    ("output.save_every_n_steps", 0): lambda: tr("off"),
    ("training.max_steps", 0): lambda: tr("off"),
}
"""Numbers that are no numbers of something: (`section.name`, value) -> what they stand for."""
_ONE: Mapping[str, Callable[[], str]] = {"epochs": lambda: tr("1 epoch"), "steps": lambda: tr("1 step")}


def choice_label(choice: str) -> str:
    """What a choice of the config is called; names of formats, devices and algorithms stay as they are."""
    label = _CHOICES.get(choice)
    return label() if label is not None else choice


def number_text(value: float) -> str:
    """A number as short as it can be written: 0.05, 1e-4, 7."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.10g}"
    mantissa, exponent = f"{value:.9e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def value_text(spec: FieldSpec, value: Any) -> str:
    """A value of an option as the window says it."""
    if spec.kind == "bool":
        return tr("on") if value else tr("off")
    if spec.kind == "choice":
        return choice_label(str(value))
    if value in ("", (), Path()):
        return tr("empty")
    if spec.kind == "lines":
        return ", ".join(value)
    if spec.kind in ("int", "float"):
        if special := _SPECIAL.get((spec.key, value)):
            return special()
        if value == 1 and (one := _ONE.get(spec.unit)):
            return one()
        text = number_text(float(value)) if spec.kind == "float" else str(value)
        return f"{text} {tr(spec.unit)}" if spec.unit else text
    return str(value)


@cache
def specs_by_key() -> dict[str, FieldSpec]:
    """All options by `section.name`."""
    return {spec.key: spec for spec in field_specs()}


def value_of(config: TrainConfig, key: str) -> Any:
    """The value of `section.name` in a config."""
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


def differing(old: TrainConfig, new: TrainConfig) -> tuple[str, ...]:
    """The options that differ, as `section.name`, in the order of the form."""
    return tuple(key for key in specs_by_key() if value_of(old, key) != value_of(new, key))
