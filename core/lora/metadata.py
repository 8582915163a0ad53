"""What a LoRA file says about itself: the `ss_` keys that web UIs read, and the model spec. Only what is true."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from core import __version__
from core.config.model import OptimizerConfig, OptimizerName, TrainConfig
from core.dataset.captions import split_tags
from core.dataset.scan import repeats_of
from core.dataset.tokens import CHUNK
from core.lora.file import to_metadata
from core.lora.network_words import network_values
from core.models import FamilyName
from core.training.data import Example

_DIFFUSERS = "https://github.com/huggingface/diffusers"
_ORIGINAL = "https://github.com/Stability-AI/generative-models"
"""By whose names the modules of a file are called: those of SDXL by the original ones."""
_CLASSES: dict[OptimizerName, str] = {
    "adamw": "torch.optim.adamw.AdamW",
    "adamw8bit": "bitsandbytes.optim.adamw.AdamW8bit",
    "lion": "pytorch_optimizer.optimizer.lion.Lion",
    "adafactor": "pytorch_optimizer.optimizer.adafactor.AdaFactor",
    "prodigy": "pytorch_optimizer.optimizer.prodigy.Prodigy",
    "dadaptation": "pytorch_optimizer.optimizer.dadapt.DAdaptAdam",
    "adamw_schedulefree": "pytorch_optimizer.optimizer.schedulefree.ScheduleFreeAdamW",
    "came": "pytorch_optimizer.optimizer.came.CAME",
    "sgd": "torch.optim.sgd.SGD",
}
"""Optimizers as kohya's scripts name them: module and class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the training had come when the file was written.

    Times are Unix seconds; `started_at` is when the run was first started, also after it was continued.
    """

    step: int
    epoch: int
    total_steps: int
    batches_per_epoch: int
    num_devices: int
    started_at: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """The base model as it was trained: what its files and the settings together say.

    `hashes` and `vae_hashes` are the old one of web UIs and the SHA-256, where they are known: of single files.
    """

    family: FamilyName = "sd1"
    zero_terminal_snr: bool = False
    hashes: tuple[str, str] | None = None
    vae_hashes: tuple[str, str] | None = None


def lora_metadata(
    config: TrainConfig,
    examples: list[Example],
    progress: Progress,
    *,
    v_prediction: bool,
    precision: str,
    base: BaseFacts = BaseFacts(),
) -> dict[str, str]:
    """The metadata of a LoRA file, all values as strings.

    A1111 takes a file for one of SDXL when `ss_base_model_version` begins with `sdxl_`, of SD 2 when `ss_v2` is True,
    and of SD 1 in all other cases. There is no word for Kolors in any program: its own name is told, and A1111, which
    cannot draw with Kolors anyway, shows the file among those of SD 1.

    Args:
        config: The settings of the run.
        examples: The pictures as they were trained. Numbers of images count each time that one is shown in an epoch,
            as in kohya's scripts, crops each for itself; folders and tags count each picture once.
        progress: How far the training had come.
        v_prediction: Whether the base model predicts velocity instead of noise.
        precision: The number format of the computation in accelerate's words: no, fp16 or bf16.
        base: What else is known of the base model.
    """
    training, dataset, network, optimizer = config.training, config.dataset, config.network, config.optimizer
    learned = [example for example in examples if not example.record.is_regularization]
    prior = [example for example in examples if example.record.is_regularization]
    buckets = Counter(example.size_px for example in examples for _ in range(example.repeats))
    tags: dict[str, Counter[str]] = {}
    for example in _each_picture_once(learned):
        tags.setdefault(_folder_name(example), Counter()).update(tag.lower() for tag in split_tags(example.caption))
    side = f"({dataset.resolution}, {dataset.resolution})"
    trains_text = network.train_text_encoder and base.family != "kolors"
    values: dict[str, object] = {
        "ss_output_name": config.output.name,
        **_base(config, base, v_prediction=v_prediction),
        **network_values(network, base.family),
        "ss_network_dropout": network.dropout or None,
        "ss_scale_weight_norms": None if network.dora else network.max_norm or None,
        "ss_learning_rate": optimizer.learning_rate,
        "ss_unet_lr": optimizer.learning_rate if network.train_denoiser else None,
        "ss_text_encoder_lr": optimizer.text_encoder_learning_rate if trains_text else None,
        "ss_optimizer": _optimizer(optimizer),
        "ss_lr_scheduler": config.schedule.name,
        "ss_lr_warmup_steps": config.schedule.warmup_steps,
        "ss_max_grad_norm": optimizer.max_grad_norm,
        "ss_num_train_images": sum(example.repeats for example in learned),
        "ss_num_reg_images": sum(example.repeats for example in prior),
        "ss_num_batches_per_epoch": progress.batches_per_epoch,
        "ss_num_epochs": training.epochs,
        "ss_epoch": progress.epoch,
        "ss_steps": progress.step,
        "ss_max_train_steps": progress.total_steps,
        "ss_batch_size_per_device": training.batch_size,
        "ss_total_batch_size": training.batch_size * training.gradient_accumulation * progress.num_devices,
        "ss_gradient_accumulation_steps": training.gradient_accumulation,
        "ss_gradient_checkpointing": training.gradient_checkpointing,
        "ss_mixed_precision": precision,
        "ss_seed": training.seed,
        "ss_zero_terminal_snr": base.zero_terminal_snr or config.model.zero_terminal_snr,
        "ss_resolution": side,
        "ss_enable_bucket": dataset.fit == "buckets",
        "ss_bucket_info": {
            "buckets": {
                str(index): {"resolution": list(size), "count": count}
                for index, (size, count) in enumerate(sorted(buckets.items()))
            }
        },
        "ss_bucket_no_upscale": dataset.no_upscale,
        "ss_cache_latents": not (dataset.colour_jitter or dataset.random_crop),
        "ss_shuffle_caption": dataset.shuffle_tags,
        "ss_keep_tokens": dataset.keep_tags,
        "ss_caption_dropout_rate": dataset.caption_dropout,
        "ss_caption_tag_dropout_rate": dataset.tag_dropout,
        "ss_caption_dropout_every_n_epochs": dataset.caption_dropout_every_n_epochs,
        "ss_flip_aug": dataset.flip,
        "ss_color_aug": dataset.colour_jitter,
        "ss_random_crop": dataset.random_crop,
        **_loss(config),
        "ss_dataset_dirs": _folders(learned),
        "ss_reg_dataset_dirs": _folders(prior) or None,
        "ss_tag_frequency": {folder: dict(counts) for folder, counts in tags.items()},
        "ss_training_comment": config.output.comment or None,
        "ss_training_started_at": progress.started_at,
        "ss_training_finished_at": progress.now,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{_architecture(base.family, v_prediction=v_prediction)}/lora",
        "modelspec.implementation": _ORIGINAL if base.family == "sdxl" else _DIFFUSERS,
        "modelspec.title": config.output.name,
        "modelspec.resolution": f"{dataset.resolution}x{dataset.resolution}",
        "modelspec.date": datetime.fromtimestamp(progress.now, timezone.utc).isoformat(timespec="seconds"),
        "modelspec.prediction_type": "v" if v_prediction else "epsilon",
        "kiln.version": __version__,
    }
    if base.family != "kolors":
        values["modelspec.encoder_layer"] = config.model.clip_skip
    if dataset.trigger_word:
        values["modelspec.trigger_phrase"] = dataset.trigger_word
    if dataset.tag_warmup_steps:
        values |= {
            "ss_token_warmup_min": dataset.tag_warmup_min,
            "ss_token_warmup_step": dataset.tag_warmup_steps,
        }
    return to_metadata(values)


def _base(config: TrainConfig, base: BaseFacts, *, v_prediction: bool) -> dict[str, object]:
    """The base model and its VAE."""
    model, has_clip = config.model, base.family != "kolors"
    values: dict[str, object] = {
        **base_words(base.family, v_prediction=v_prediction),
        "ss_sd_model_name": model.base.name,
        "ss_clip_skip": model.clip_skip if has_clip else None,
        "ss_max_token_length": model.max_tokens if has_clip and model.max_tokens > CHUNK else None,
    }
    if base.hashes:
        values["ss_sd_model_hash"], values["ss_new_sd_model_hash"] = base.hashes
    if model.vae != Path():
        values["ss_vae_name"] = model.vae.name
    if base.vae_hashes:
        values["ss_vae_hash"], values["ss_new_vae_hash"] = base.vae_hashes
    return values


def base_words(family: FamilyName, *, v_prediction: bool) -> dict[str, str]:
    """What a file is for, in the words of kohya's scripts, by which web UIs sort; of Kolors, which has none, its name.

    Args:
        family: Of the base model.
        v_prediction: Whether it predicts velocity, which is told of SD 1 and SD 2 alone.
    """
    versions: dict[FamilyName, str] = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0", "kolors": "kolors_v1"}
    ending = "_v" if v_prediction and family in ("sd1", "sd2") else ""
    return {"ss_base_model_version": versions[family] + ending, "ss_v2": str(family == "sd2")}


def _architecture(family: FamilyName, *, v_prediction: bool) -> str:
    """As the model spec says it."""
    if family == "sd2":
        return "stable-diffusion-v2-768-v" if v_prediction else "stable-diffusion-v2-512"
    return {"sd1": "stable-diffusion-v1", "sdxl": "stable-diffusion-xl-v1-base", "kolors": "kolors"}[family]


def _loss(config: TrainConfig) -> dict[str, object]:
    """What was learned, under kohya's names; None for what was not used."""
    loss = config.loss
    has_limit = loss.kind in ("huber", "smooth_l1")
    has_levels = loss.multires_noise_levels > 0
    offset = None if has_levels else loss.noise_offset or None
    perturbation = loss.input_perturbation or None
    return {
        "ss_loss_type": loss.kind,
        "ss_huber_schedule": loss.huber_schedule if has_limit else None,
        "ss_huber_c": loss.huber_limit if has_limit else None,
        "ss_min_snr_gamma": None if loss.debiased else loss.min_snr_gamma or None,
        "ss_debiased_estimation": loss.debiased,
        "ss_prior_loss_weight": loss.prior_weight,
        "ss_noise_offset": offset,
        "ss_noise_offset_random_strength": loss.random_noise_offset if offset else None,
        "ss_adaptive_noise_scale": loss.adaptive_noise_scale or None if offset else None,
        "ss_multires_noise_iterations": loss.multires_noise_levels if has_levels else None,
        "ss_multires_noise_discount": loss.multires_noise_discount if has_levels else None,
        "ss_ip_noise_gamma": perturbation,
        "ss_ip_noise_gamma_random_strength": loss.random_input_perturbation if perturbation else None,
        "modelspec.timestep_range": f"{loss.min_timestep},{loss.max_timestep}",
    }


def _optimizer(config: OptimizerConfig) -> str:
    """The optimizer's class, and what it was made with."""
    arguments = {"weight_decay": str(config.weight_decay)}
    if config.name == "sgd":
        arguments["momentum"] = str(config.momentum)
    elif config.name != "adafactor":
        arguments["betas"] = f"({config.beta1}, {config.beta2})"
    if config.name == "prodigy":
        arguments["d_coef"] = str(config.growth)
    for line in config.arguments:
        name, equals, value = line.partition("=")
        if equals:
            arguments[name.strip()] = value.strip()
    return f"{_CLASSES[config.name]}({','.join(f'{name}={value}' for name, value in arguments.items())})"


def _folder_name(example: Example) -> str:
    """The folder under the name that kohya's convention gives it, `repeats_words`, with the repeats that it had."""
    name = example.record.path.parent.name
    repeats, words = repeats_of(name) or (0, name)
    return name if repeats == example.repeats else f"{example.repeats}_{words}"


def _folders(examples: list[Example]) -> dict[str, dict[str, int]]:
    """The repeats of each folder, and how many pictures it has."""
    folders: dict[str, dict[str, int]] = {}
    for example in _each_picture_once(examples):
        folder = folders.setdefault(_folder_name(example), {"n_repeats": example.repeats, "img_count": 0})
        folder["img_count"] += 1
    return folders


def _each_picture_once(examples: list[Example]) -> list[Example]:
    """The first example of each picture; its crops have the same caption and repeats."""
    first: dict[Path, Example] = {}
    for example in examples:
        first.setdefault(example.record.path, example)
    return list(first.values())
