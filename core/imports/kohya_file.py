"""Kiln's settings as a TOML file for kohya's scripts and SD-Trainer."""

from __future__ import annotations

import math
from pathlib import Path

from core.config import TrainConfig
from core.dataset.scan import repeats_of
from core.files import write_text
from core.imports.blocks import block_weights, layout_of
from core.imports.families import TRAIN_TYPES, chosen_family
from core.imports.kohya_writer import Writer
from core.imports.networks import is_for_lycoris, network_arguments
from core.imports.pictures import longest_shape, tags_in_prefix
from core.imports.rates import MOST_EPOCHS
from core.models import FamilyName
from core.text import tr

_OPTIMIZERS = {
    "adamw": "AdamW",
    "adamw8bit": "AdamW8bit",
    "lion": "Lion",
    "adafactor": "AdaFactor",
    "prodigy": "Prodigy",
    "dadaptation": "DAdaptAdam",
    "adamw_schedulefree": "AdamWScheduleFree",
    "came": "pytorch_optimizer.CAME",
    "sgd": "torch.optim.SGD",
}
_WITHOUT_BETAS = ("sgd", "adafactor")
_WITH_EPSILON = ("adamw", "adamw8bit", "prodigy", "dadaptation", "adamw_schedulefree")
_SAMPLERS = {"dpmpp_2m": "dpmsolver++", "euler_a": "euler_a", "euler": "euler", "ddim": "ddim"}
_HALF = {"fp32": "no", "fp16": "fp16", "bf16": "bf16"}


def to_kohya_toml(config: TrainConfig, prompts_file: Path | None = None) -> str:
    """The settings as options of kohya's `train_network.py`, with comments for what it has no word for.

    Args:
        config: Kiln's settings.
        prompts_file: Where `kohya_prompts` are, which kohya's scripts read from a file; None writes the prompts
            themselves, as SD-Trainer's form has them.
    """
    writer = Writer(config)
    family = chosen_family(config.model)
    _base_model(writer, family)
    _pictures(writer)
    _captions(writer)
    _network(writer, family)
    _run(writer)
    _loss(writer)
    _optimizer(writer)
    _previews(writer, prompts_file)
    _output(writer)
    return writer.text()


def kohya_prompts(config: TrainConfig) -> str:
    """The previews as lines of a prompt file of kohya's scripts."""
    sampling = config.sampling
    negative = f" --n {sampling.negative_prompt}" if sampling.negative_prompt else ""
    options = (
        f"{negative} --w {sampling.width} --h {sampling.height} --d {sampling.seed}"
        f" --l {sampling.guidance:g} --s {sampling.denoising_steps}"
    )
    return "\n".join(prompt + options for prompt in sampling.prompts)


def save_kohya(config: TrainConfig, path: Path) -> list[Path]:
    """Write the TOML file, and beside it the prompts when there are any. Returns what was written.

    Another file that has the name of the one for the prompts is not overwritten.
    """
    if not config.sampling.prompts:
        write_text(path, to_kohya_toml(config))
        return [path]
    prompts = kohya_prompts(config) + "\n"
    number, prompts_file = 2, path.with_name(f"{path.stem}-prompts.txt")
    while prompts_file.exists() and prompts_file.read_bytes() != prompts.encode():
        prompts_file = path.with_name(f"{path.stem}-prompts-{number}.txt")
        number += 1
    write_text(prompts_file, prompts)
    write_text(path, to_kohya_toml(config, prompts_file))
    return [path, prompts_file]


def _base_model(writer: Writer, family: FamilyName | None) -> None:
    model = writer.config.model
    writer.said("model.family")
    if family == "kolors":
        writer.say(tr("kohya's scripts do not train Kolors; these settings are for another base model there."))
    elif family is not None:
        writer.put("model_train_type", TRAIN_TYPES[family])
        writer.put("v2", family == "sd2")
    if model.base != Path():
        writer.put("pretrained_model_name_or_path", model.base, "model.base")
    if model.vae != Path():
        writer.put("vae", model.vae, "model.vae")
    writer.put("v_parameterization", model.prediction == "v_prediction", "model.prediction")
    writer.put_if_on("zero_terminal_snr", "model.zero_terminal_snr")
    writer.put("clip_skip", model.clip_skip, "model.clip_skip")
    if model.max_tokens > 75:
        writer.put("max_token_length", model.max_tokens, "model.max_tokens")


def _pictures(writer: Writer) -> None:
    dataset = writer.config.dataset
    if dataset.folder != Path():
        _folder(writer, dataset.folder)
    width, height = _size(dataset.resolution, "1:1" if dataset.fit == "buckets" else dataset.crop_shape)
    writer.put("resolution", f"{width},{height}", "dataset.resolution")
    if dataset.fit in ("buckets", "crop"):
        writer.said("dataset.fit")
    writer.said("dataset.crop_shape")
    writer.put("enable_bucket", dataset.fit == "buckets")
    if dataset.fit == "buckets":
        shortest, longest = _bucket_limits(dataset.resolution, dataset.max_aspect, dataset.bucket_step)
        writer.put("min_bucket_reso", shortest, "dataset.max_aspect")
        writer.put("max_bucket_reso", longest)
    writer.put("bucket_reso_steps", dataset.bucket_step, "dataset.bucket_step")
    writer.put_if_on("bucket_no_upscale", "dataset.no_upscale")
    writer.put_if_on("flip_aug", "dataset.flip")
    writer.put_if_on("color_aug", "dataset.colour_jitter")
    writer.put_if_on("random_crop", "dataset.random_crop")
    if dataset.masks == "alpha":
        writer.put("alpha_mask", True, "dataset.masks")
        writer.put("masked_loss", True)
    can_cache = not (dataset.colour_jitter or dataset.random_crop)
    writer.put("cache_latents", can_cache)


def _folder(writer: Writer, folder: Path) -> None:
    """kohya's scripts read only the sub-folders of a folder, and only those named like `10_name`."""
    config = writer.config.dataset
    if repeats_of(folder.name):
        writer.put("train_data_dir", folder.parent, "dataset.folder")
        writer.say(
            tr("kohya's scripts also read every other folder beside {name} with a number in front.", name=folder.name)
        )
        return
    writer.put("train_data_dir", folder, "dataset.folder")
    name = f"{config.repeats or 5}_{config.trigger_word or folder.name}"
    writer.said("dataset.repeats")
    writer.say(
        tr("kohya's scripts read only sub-folders with a number in front: put the pictures into {name}", name=name)
    )


def _size(resolution: int, shape: str) -> tuple[int, int]:
    """Width and height in pixels; of a shape other than the square in multiples of 8, as kohya's scripts need them."""
    across, down = (int(part) for part in shape.split(":"))
    if across == down:
        return resolution, resolution
    width, height = (resolution * math.sqrt(ratio) for ratio in (across / down, down / across))
    return round(width / 8) * 8, round(height / 8) * 8


def _bucket_limits(resolution: int, aspect: float, step: int) -> tuple[int, int]:
    """The sides of kohya's buckets that allow the nearest to a longest shape, both multiples of the step."""

    def miss(limits: tuple[int, int]) -> tuple[float, int]:
        shortest, longest = limits
        return abs(longest_shape(shortest, longest, resolution**2) - aspect), -shortest

    pairs = [
        (shortest, max(longest * step, math.ceil(resolution / step) * step))
        for shortest in range(step, resolution + 1, step)
        for longest in (math.floor(shortest * aspect / step), math.ceil(shortest * aspect / step))
    ]
    return min(pairs, key=miss, default=(resolution, resolution))


def _captions(writer: Writer) -> None:
    dataset = writer.config.dataset
    writer.put("caption_extension", dataset.caption_extension, "dataset.caption_extension")
    writer.put("shuffle_caption", dataset.shuffle_tags, "dataset.shuffle_tags")
    writer.put_if_on("keep_tokens_separator", "dataset.keep_separator")
    writer.put_if_on("enable_wildcard", "dataset.wildcards")
    # kohya's scripts have no trigger word; it stands in front of every caption all the same.
    prefix = _with_comma(dataset.caption_prefix.strip())
    writer.put("keep_tokens", dataset.keep_tags + tags_in_prefix(prefix), "dataset.keep_tags")
    writer.said("dataset.trigger_word", "dataset.caption_prefix")
    if words := " ".join(filter(None, (prefix, _with_comma(dataset.trigger_word.strip())))):
        writer.put("caption_prefix", words)
    writer.put_if_on("caption_suffix", "dataset.caption_suffix")
    writer.put_if_on("caption_dropout_rate", "dataset.caption_dropout")
    writer.put_if_on("caption_dropout_every_n_epochs", "dataset.caption_dropout_every_n_epochs")
    writer.put_if_on("caption_tag_dropout_rate", "dataset.tag_dropout")
    if dataset.tag_warmup_steps:
        writer.put("token_warmup_step", dataset.tag_warmup_steps, "dataset.tag_warmup_steps")
        writer.put("token_warmup_min", dataset.tag_warmup_min, "dataset.tag_warmup_min")


def _with_comma(words: str) -> str:
    """Words that can stand in front of a caption: kohya's scripts put only a space between the two."""
    return f"{words}," if words and words[-1].isalnum() else words


def _network(writer: Writer, family: FamilyName | None) -> None:
    network, rates = writer.config.network, writer.config.optimizer.block_rates
    is_lycoris = is_for_lycoris(network)
    writer.put("network_module", "lycoris.kohya" if is_lycoris else "networks.lora")
    writer.put("network_dim", network.rank, "network.rank")
    writer.put("network_alpha", network.alpha, "network.alpha")
    writer.put_if_on("network_dropout", "network.dropout")
    writer.put_if_on("scale_weight_norms", "network.max_norm")
    writer.put("network_train_unet_only", not network.train_text_encoder, "network.train_text_encoder")
    writer.put("network_train_text_encoder_only", not network.train_denoiser, "network.train_denoiser")
    if network.start_from != Path():
        writer.put("network_weights", network.start_from, "network.start_from")
    arguments, said = network_arguments(network, family)
    writer.said(*said)
    for name in ("rank_dropout", "module_dropout"):
        writer.said(f"network.{name}")
        if value := getattr(network, name):
            arguments.append(f"{name}={value}")
    if rates and not is_lycoris and (weights := block_weights(rates, layout_of(family))) is not None:
        writer.said("optimizer.block_rates")
        for side, numbers in zip(("down", "mid", "up"), weights, strict=True):
            arguments.append(f"{side}_lr_weight=" + ",".join(f"{number:g}" for number in numbers))
    if arguments:
        writer.put("network_args", arguments)


def _run(writer: Writer) -> None:
    training = writer.config.training
    if training.max_steps and training.epochs == MOST_EPOCHS:
        writer.put("max_train_steps", training.max_steps, "training.max_steps", "training.epochs")
    else:
        writer.put("max_train_epochs", training.epochs, "training.epochs")
    writer.put("train_batch_size", training.batch_size, "training.batch_size")
    writer.put("gradient_accumulation_steps", training.gradient_accumulation, "training.gradient_accumulation")
    writer.put("gradient_checkpointing", training.gradient_checkpointing, "training.gradient_checkpointing")
    if training.precision == "auto":
        writer.say(tr("Kiln chooses the number format for the device; set mixed_precision to fp16 or bf16."))
    else:
        writer.put("mixed_precision", _HALF[training.precision], "training.precision")
    if training.vae_precision == "fp32":
        writer.put("no_half_vae", True, "training.vae_precision")
    if training.base_weights == "int8":
        writer.put("fp8_base", True, "training.base_weights")
    writer.put_if_on("torch_compile", "training.compile")
    writer.put("sdpa", True)
    writer.put("seed", training.seed, "training.seed")
    validation = writer.config.validation
    if validation.pictures == 0:
        writer.put("validation_split", 0.0, "validation.pictures")


def _loss(writer: Writer) -> None:
    loss = writer.config.loss
    writer.put("loss_type", loss.kind, "loss.kind")
    writer.put("huber_c", loss.huber_limit, "loss.huber_limit")
    writer.put("huber_schedule", loss.huber_schedule, "loss.huber_schedule")
    for name, key in (
        ("min_snr_gamma", "loss.min_snr_gamma"),
        ("debiased_estimation_loss", "loss.debiased"),
        ("scale_v_pred_loss_like_noise_pred", "loss.scale_v_prediction"),
        ("noise_offset", "loss.noise_offset"),
        ("noise_offset_random_strength", "loss.random_noise_offset"),
        ("adaptive_noise_scale", "loss.adaptive_noise_scale"),
        ("multires_noise_iterations", "loss.multires_noise_levels"),
        ("ip_noise_gamma", "loss.input_perturbation"),
        ("ip_noise_gamma_random_strength", "loss.random_input_perturbation"),
        ("min_timestep", "loss.min_timestep"),
    ):
        writer.put_if_on(name, key)
    writer.put("multires_noise_discount", loss.multires_noise_discount, "loss.multires_noise_discount")
    writer.put("max_timestep", loss.max_timestep, "loss.max_timestep")
    writer.put("prior_loss_weight", loss.prior_weight, "loss.prior_weight")


def _optimizer(writer: Writer) -> None:
    optimizer, schedule = writer.config.optimizer, writer.config.schedule
    writer.put("learning_rate", optimizer.learning_rate)
    writer.put("unet_lr", optimizer.learning_rate, "optimizer.learning_rate")
    writer.put("text_encoder_lr", optimizer.text_encoder_learning_rate, "optimizer.text_encoder_learning_rate")
    writer.put("optimizer_type", _OPTIMIZERS[optimizer.name], "optimizer.name")
    writer.put("max_grad_norm", optimizer.max_grad_norm, "optimizer.max_grad_norm")
    arguments = [f"weight_decay={optimizer.weight_decay}"]
    writer.said("optimizer.weight_decay", "optimizer.arguments")
    if optimizer.name not in _WITHOUT_BETAS:
        arguments.append(f"betas={optimizer.beta1},{optimizer.beta2}")
        writer.said("optimizer.beta1", "optimizer.beta2")
    if optimizer.name in _WITH_EPSILON:
        arguments.append(f"eps={optimizer.epsilon}")
        writer.said("optimizer.epsilon")
    if optimizer.name == "sgd":
        arguments.append(f"momentum={optimizer.momentum}")
        writer.said("optimizer.momentum")
    if optimizer.name == "prodigy":
        arguments.append(f"d_coef={optimizer.growth}")
        writer.said("optimizer.growth")
    writer.put("optimizer_args", [*arguments, *optimizer.arguments])
    has_least = schedule.name == "cosine" and schedule.min_factor > 0
    if schedule.name == "rex":
        writer.put("lr_scheduler", "cosine")
    else:
        writer.put("lr_scheduler", "cosine_with_min_lr" if has_least else schedule.name, "schedule.name")
    if has_least or schedule.name == "warmup_stable_decay":
        writer.put("lr_scheduler_min_lr_ratio", schedule.min_factor, "schedule.min_factor")
    writer.put("lr_warmup_steps", schedule.warmup_steps, "schedule.warmup_steps")
    writer.put("lr_scheduler_num_cycles", schedule.cycles, "schedule.cycles")
    writer.put("lr_scheduler_power", schedule.power, "schedule.power")
    writer.put_if_on("lr_decay_steps", "schedule.decay_steps")


def _previews(writer: Writer, prompts_file: Path | None) -> None:
    sampling = writer.config.sampling
    writer.said(*(f"sampling.{name}" for name in ("prompts", "negative_prompt", "width", "height", "seed")))
    writer.said("sampling.guidance", "sampling.denoising_steps")
    if not sampling.prompts:
        return
    if prompts_file is None:
        writer.say(tr("kohya's scripts read prompts from a text file; SD-Trainer also takes them here."))
        writer.put("sample_prompts", kohya_prompts(writer.config))
    else:
        writer.put("sample_prompts", prompts_file)
    writer.put("sample_sampler", _SAMPLERS[sampling.sampler], "sampling.sampler")
    writer.put("sample_at_first", sampling.at_start, "sampling.at_start")
    if sampling.every_n_epochs:
        writer.put("sample_every_n_epochs", sampling.every_n_epochs, "sampling.every_n_epochs")
    elif sampling.every_n_steps:
        writer.put("sample_every_n_steps", sampling.every_n_steps, "sampling.every_n_epochs", "sampling.every_n_steps")


def _output(writer: Writer) -> None:
    output = writer.config.output
    writer.put("output_name", output.name, "output.name")
    if output.folder != Path():
        writer.put("output_dir", output.folder, "output.folder")
    writer.put("save_model_as", "safetensors")
    writer.put("save_precision", "float" if output.precision == "fp32" else output.precision, "output.precision")
    writer.put_if_on("save_every_n_epochs", "output.save_every_n_epochs")
    writer.put_if_on("save_every_n_steps", "output.save_every_n_steps")
    if output.keep_last and output.save_every_n_epochs:
        writer.put("save_last_n_epochs", output.keep_last, "output.keep_last")
    elif output.keep_last and output.save_every_n_steps:
        writer.put("save_last_n_steps", output.keep_last * output.save_every_n_steps, "output.keep_last")
    if output.epoch_states:
        writer.put("save_state", True)
        writer.put("save_last_n_epochs_state", output.epoch_states, "output.epoch_states")
    if output.tensorboard:
        writer.put("log_with", "tensorboard", "output.tensorboard")
        writer.put("logging_dir", output.folder / "logs")
    writer.put_if_on("training_comment", "output.comment")
