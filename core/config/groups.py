"""How the options of a section belong together: the headings of the form, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from core.text import tr


@dataclass(frozen=True, slots=True)
class Group:
    """Options under one heading. The English title is a key for `tr`; the only group of a section has none."""

    section: str
    title: str
    names: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The options as `section.name`."""
        return tuple(f"{self.section}.{name}" for name in self.names)

    @property
    def heading(self) -> str:
        """The title in the language in use."""
        return tr(self.title) if self.title else ""


GROUPS: tuple[Group, ...] = (
    Group(
        "model",
        "",
        (
            "base",
            "family",
            "vae",
            "clip_skip",
            "max_tokens",
            "prediction",
            "zero_terminal_snr",
            "large_text_encoder",
        ),
    ),
    Group(
        "dataset",
        "Folder and repeats",
        ("folder", "repeats", "trigger_word", "absorbed_tags", "caption_extension", "edits"),
    ),
    Group(
        "dataset",
        "Size and shape",
        ("resolution", "fit", "crop_shape", "edge", "max_aspect", "bucket_step", "no_upscale"),
    ),
    Group(
        "dataset",
        "Captions in training",
        (
            "shuffle_tags",
            "keep_tags",
            "keep_separator",
            "caption_dropout",
            "caption_dropout_every_n_epochs",
            "tag_dropout",
            "tag_warmup_steps",
            "tag_warmup_min",
            "wildcards",
            "caption_prefix",
            "caption_suffix",
        ),
    ),
    Group("dataset", "Variation and masks", ("flip", "colour_jitter", "random_crop", "masks", "unmasked_weight")),
    Group("network", "What is trained", ("rank", "alpha", "train_denoiser", "train_text_encoder", "start_from")),
    Group(
        "network",
        "Kind and layers",
        (
            "kind",
            "conv_rank",
            "conv_alpha",
            "dora",
            "rank_stabilized",
            "factor",
            "layers",
            "only",
            "leave_out",
            "block_ranks",
        ),
    ),
    Group("network", "Against learning by heart", ("dropout", "rank_dropout", "module_dropout", "max_norm")),
    Group(
        "training",
        "Length and batch",
        ("epochs", "max_steps", "batch_size", "gradient_accumulation", "seed"),
    ),
    Group(
        "training",
        "Memory and device",
        (
            "gradient_checkpointing",
            "base_weights",
            "precision",
            "vae_precision",
            "device",
            "on_out_of_memory",
            "background",
            "compile",
        ),
    ),
    Group(
        "loss",
        "Errors and their weight",
        (
            "kind",
            "huber_limit",
            "huber_schedule",
            "min_snr_gamma",
            "debiased",
            "scale_v_prediction",
            "prior_weight",
        ),
    ),
    Group(
        "loss",
        "Noise",
        (
            "noise_offset",
            "random_noise_offset",
            "adaptive_noise_scale",
            "multires_noise_levels",
            "multires_noise_discount",
            "input_perturbation",
            "random_input_perturbation",
        ),
    ),
    Group("loss", "Timesteps", ("min_timestep", "max_timestep", "timestep_sampling")),
    Group(
        "optimizer",
        "Optimizer and rates",
        ("name", "learning_rate", "text_encoder_learning_rate", "block_rates"),
    ),
    Group(
        "optimizer",
        "Fine tuning",
        (
            "weight_decay",
            "max_grad_norm",
            "ema_decay",
            "growth",
            "momentum",
            "beta1",
            "beta2",
            "epsilon",
            "arguments",
        ),
    ),
    Group("schedule", "", ("name", "warmup_steps", "cycles", "power", "decay_steps", "min_factor")),
    Group("validation", "", ("pictures", "every_n_epochs", "patience", "timesteps", "seed")),
    Group(
        "sampling",
        "Prompts and rhythm",
        ("prompts", "negative_prompt", "every_n_epochs", "every_n_steps", "at_start"),
    ),
    Group(
        "sampling",
        "How they are drawn",
        ("width", "height", "denoising_steps", "guidance", "sampler", "seed"),
    ),
    Group(
        "output",
        "Files",
        (
            "folder",
            "name",
            "save_every_n_epochs",
            "save_every_n_steps",
            "keep_last",
            "precision",
            "sidecars",
            "comment",
        ),
    ),
    Group("output", "States and curves", ("state_every_n_steps", "keep_states", "epoch_states", "tensorboard")),
)
"""Every option once; a section with several groups gives each a title."""


@cache
def group_of(key: str) -> Group:
    """The group of an option."""
    return next(group for group in GROUPS if key in group.keys)
