"""The whole configuration of a training run: one frozen model for form, command line, TOML file, checks and manual."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from core.config.base import Section, form
from core.dataset.caption_ending import no_picture_ending
from core.text import tr

LONGEST_NAME_BYTES = 200
"""What a name may have; file systems take 255, and saving adds the number of an epoch and an ending."""


def is_device_name(name: str) -> bool:
    """Whether Windows takes a file name for one of its devices, as it does with `con`, `COM1` and `nul.txt`."""
    stem = name.partition(".")[0].rstrip(" ")
    return re.fullmatch(r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]", stem, re.IGNORECASE) is not None


class ModelConfig(Section):
    """The base model that the LoRA is trained for."""

    base: Path = Field(
        Path(),
        title="Base model",
        description="The model to train for: a diffusers folder.",
        json_schema_extra=form(widget="model", also=("pretrained_model_name_or_path", "checkpoint")),
    )
    family: Literal["auto", "sd1"] = Field(
        "auto",
        title="Family",
        description="The kind of base model; auto reads it from the files.",
        json_schema_extra=form(advanced=True),
    )
    clip_skip: int = Field(
        1,
        ge=1,
        le=4,
        title="Clip skip",
        description="Which layer of the text encoder feeds the denoiser, counted from the end: 1 is the last one. "
        "Anime models are often used with 2; train with what you draw with.",
        json_schema_extra=form(advanced=True, also=("clip_skip",)),
    )


class DatasetConfig(Section):
    """The pictures, and how they are brought to training size. No file is ever moved or changed."""

    folder: Path = Field(
        Path(),
        title="Picture folder",
        description="The folder with the pictures and their captions. Sub-folders named like 10_name are used as they "
        "are: each picture 10 times per epoch.",
        json_schema_extra=form(widget="folder", also=("train_data_dir", "image_dir")),
    )
    trigger_word: str = Field(
        "",
        title="Trigger word",
        description="Put in front of every caption in training; write it in a prompt to call the character.",
        json_schema_extra=form(also=("class_tokens", "activation text")),
    )
    absorbed_tags: tuple[str, ...] = Field(
        (),
        title="Absorbed tags",
        description="Tags that are left out in training, so that the trigger word learns what they name: list here "
        "what the character always has. The caption files keep them.",
        json_schema_extra=form(widget="text", also=("prune tags",)),
    )
    repeats: int = Field(
        0,
        ge=0,
        le=1000,
        title="Repeats",
        description="How often each picture is used per epoch; 0 chooses by the number of pictures. "
        "Folders named like 10_name keep their own number.",
        json_schema_extra=form(also=("num_repeats",)),
    )
    resolution: int = Field(
        512,
        ge=64,
        le=4096,
        title="Resolution",
        description="Side of the square that gives the number of pixels to train with. 512 for Stable Diffusion 1.5.",
        json_schema_extra=form(unit="px", also=("resolution",)),
    )
    edits: Path = Field(
        Path(),
        title="Dataset file",
        description="What was decided on the Dataset page: further folders, crops, pictures left out. Empty: every "
        "picture of the picture folder, as it is.",
        json_schema_extra=form(advanced=True, widget="file"),
    )
    fit: Literal["buckets", "smart", "crop", "pad"] = Field(
        "buckets",
        title="Fit",
        description="buckets keeps the shape of each picture; smart cuts one shape around the subject; crop cuts it "
        "from the middle; pad shows all of the picture in that shape, with edges that are not learned.",
        json_schema_extra=form(also=("enable_bucket",)),
    )
    crop_shape: Literal["1:1", "4:5", "3:4", "2:3", "9:16", "5:4", "4:3", "3:2", "16:9"] = Field(
        "1:1",
        title="Shape of crops",
        description="Width to height of the one shape that smart, crop and pad bring pictures to.",
        json_schema_extra=form(advanced=True),
    )
    edge: Literal["blur", "white", "grey", "black"] = Field(
        "blur",
        title="Edge",
        description="What is filled in around padded pictures. The loss leaves it out.",
        json_schema_extra=form(advanced=True),
    )
    bucket_step: int = Field(
        64,
        ge=8,
        le=256,
        multiple_of=8,
        title="Bucket step",
        description="Bucket sides are multiples of this.",
        json_schema_extra=form(advanced=True, unit="px", also=("bucket_reso_steps",)),
    )
    max_aspect: float = Field(
        2.0,
        ge=1.0,
        le=4.0,
        title="Longest shape",
        description="Pictures longer than this ratio of sides are cropped to it.",
        json_schema_extra=form(advanced=True, also=("min_bucket_reso", "max_bucket_reso")),
    )
    caption_extension: str = Field(
        ".txt",
        pattern=r"^\.[A-Za-z0-9_]+$",
        validate_default=False,  # The check imports what imports this module.
        title="Caption extension",
        description="Ending of the caption file beside each picture.",
        json_schema_extra=form(advanced=True, also=("caption_extension",)),
    )
    shuffle_tags: bool = Field(
        False,
        title="Shuffle tags",
        description="Give the tags in a new order every time. Text embeddings cannot be cached then.",
        json_schema_extra=form(advanced=True, also=("shuffle_caption",)),
    )
    keep_tags: int = Field(
        1,
        ge=0,
        le=100,
        title="Keep tags",
        description="So many tags at the front stay where they are when tags are shuffled or dropped.",
        json_schema_extra=form(advanced=True, also=("keep_tokens",)),
    )
    caption_dropout: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        title="Caption dropout",
        description="Share of steps in which a picture is shown with an empty caption.",
        json_schema_extra=form(advanced=True, also=("caption_dropout_rate",)),
    )
    tag_dropout: float = Field(
        0.0,
        ge=0.0,
        le=0.9,
        title="Tag dropout",
        description="Chance of each tag to be left out. Text embeddings cannot be cached then.",
        json_schema_extra=form(advanced=True, also=("caption_tag_dropout_rate",)),
    )
    flip: bool = Field(
        False,
        title="Mirror pictures",
        description="Show each picture mirrored half of the time. Not for characters whose sides differ.",
        json_schema_extra=form(advanced=True, also=("flip_aug",)),
    )

    _no_picture_ending = field_validator("caption_extension")(no_picture_ending)


class NetworkConfig(Section):
    """The LoRA network added to the base model."""

    rank: int = Field(
        16,
        ge=1,
        le=512,
        title="Rank",
        description="Inner width of each LoRA pair: how much it can learn. 8 to 32 for one character.",
        json_schema_extra=form(also=("network_dim", "dim")),
    )
    alpha: float = Field(
        16.0,
        gt=0,
        le=1024,
        title="Alpha",
        description="Updates are scaled by alpha / rank.",
        json_schema_extra=form(also=("network_alpha",)),
    )
    train_text_encoder: bool = Field(
        True,
        title="Train the text encoder",
        description="Also teach the text encoder; helps a new trigger word, costs some memory.",
        json_schema_extra=form(also=("network_train_unet_only", "text_encoder_lr")),
    )
    dropout: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        title="Dropout",
        description="Chance that an input of a LoRA pair is left out in a step; against overfitting.",
        json_schema_extra=form(advanced=True, also=("network_dropout",)),
    )


class OptimizerConfig(Section):
    """How weights are updated."""

    name: Literal["adamw"] = Field(
        "adamw",
        title="Optimizer",
        description="The update rule.",
        json_schema_extra=form(advanced=True, also=("optimizer_type",)),
    )
    learning_rate: float = Field(
        1e-4,
        gt=0,
        le=1,
        title="Learning rate",
        description="Size of each update of the denoiser's LoRA.",
        json_schema_extra=form(also=("unet_lr", "lr")),
    )
    text_encoder_learning_rate: float = Field(
        5e-5,
        ge=0,
        le=1,
        title="Learning rate of the text encoder",
        description="Size of each update of the text encoder's LoRA.",
        json_schema_extra=form(also=("text_encoder_lr",)),
    )
    weight_decay: float = Field(
        0.01,
        ge=0,
        le=1,
        title="Weight decay",
        description="Pulls the LoRA weights towards zero a little in every step.",
        json_schema_extra=form(advanced=True, also=("optimizer_args",)),
    )
    beta1: float = Field(
        0.9, ge=0, lt=1, title="Beta 1", description="Memory of the gradient.", json_schema_extra=form(advanced=True)
    )
    beta2: float = Field(
        0.999,
        ge=0,
        lt=1,
        title="Beta 2",
        description="Memory of the squared gradient.",
        json_schema_extra=form(advanced=True),
    )
    max_grad_norm: float = Field(
        1.0,
        ge=0,
        title="Gradient clipping",
        description="Longest gradient that is used as it is; longer ones are shortened. 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("max_grad_norm",)),
    )


class ScheduleConfig(Section):
    """How the learning rate moves over the run."""

    name: Literal["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"] = Field(
        "cosine",
        title="Schedule",
        description="The course of the learning rate over the run.",
        json_schema_extra=form(also=("lr_scheduler",)),
    )
    warmup_steps: int = Field(
        0,
        ge=0,
        title="Warm-up",
        description="The rate rises from zero over so many steps.",
        json_schema_extra=form(advanced=True, unit="steps", also=("lr_warmup_steps",)),
    )
    cycles: int = Field(
        1,
        ge=1,
        le=100,
        title="Restarts",
        description="Number of cosine waves; for cosine_with_restarts.",
        json_schema_extra=form(advanced=True, also=("lr_scheduler_num_cycles",)),
    )
    power: float = Field(
        1.0,
        gt=0,
        le=10,
        title="Power",
        description="Exponent of the polynomial schedule.",
        json_schema_extra=form(advanced=True, also=("lr_scheduler_power",)),
    )


class TrainingConfig(Section):
    """Length, batch, precision and loss."""

    epochs: int = Field(
        10,
        ge=1,
        le=10000,
        title="Epochs",
        description="How often all pictures (times their repeats) are shown.",
        json_schema_extra=form(also=("max_train_epochs",)),
    )
    max_steps: int = Field(
        0,
        ge=0,
        title="Most steps",
        description="The run ends after so many steps even when epochs are left; 0 for no limit.",
        json_schema_extra=form(advanced=True, unit="steps", also=("max_train_steps",)),
    )
    batch_size: int = Field(
        1,
        ge=1,
        le=256,
        title="Batch size",
        description="Pictures per step and device. More is steadier and needs more memory.",
        json_schema_extra=form(also=("train_batch_size",)),
    )
    gradient_accumulation: int = Field(
        1,
        ge=1,
        le=256,
        title="Gradient accumulation",
        description="Batches per step: acts like a larger batch without its memory.",
        json_schema_extra=form(advanced=True, also=("gradient_accumulation_steps",)),
    )
    gradient_checkpointing: bool = Field(
        False,
        title="Gradient checkpointing",
        description="Needs much less memory and about a third more time.",
        json_schema_extra=form(advanced=True, also=("gradient_checkpointing",)),
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        title="Precision",
        description="Number format of the computation; auto takes the best of the device.",
        json_schema_extra=form(advanced=True, also=("mixed_precision",)),
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        "auto",
        title="Device",
        description="Where to compute; auto takes the graphics card when there is one.",
        json_schema_extra=form(advanced=True, also=("gpu_ids",)),
    )
    seed: int = Field(
        42,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Same seed, same settings, same pictures: same losses.",
        json_schema_extra=form(also=("seed",)),
    )
    min_snr_gamma: float = Field(
        5.0,
        ge=0,
        le=100,
        title="Min-SNR",
        description="Keeps low-noise steps from dominating the loss; 5 is usual, 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("min_snr_gamma",)),
    )
    prior_loss_weight: float = Field(
        1.0,
        ge=0,
        le=10,
        title="Weight of regularization pictures",
        description="How much the pictures of regularization folders count. They show what the base model should not "
        "forget.",
        json_schema_extra=form(advanced=True, also=("prior_loss_weight",)),
    )
    noise_offset: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Noise offset",
        description="Helps very dark and very bright pictures; 0.05 to 0.1 is usual, 0 turns it off.",
        json_schema_extra=form(advanced=True, also=("noise_offset",)),
    )


class SamplingConfig(Section):
    """Preview pictures during the run."""

    prompts: tuple[str, ...] = Field(
        (),
        title="Preview prompts",
        description="One prompt per line; each gives one preview picture. Empty: no previews.",
        json_schema_extra=form(widget="text", also=("sample_prompts",)),
    )
    negative_prompt: str = Field(
        "",
        title="Negative prompt",
        description="What the previews should not show.",
        json_schema_extra=form(advanced=True),
    )
    at_start: bool = Field(
        True,
        title="Preview before training",
        description="Draw the previews once before the first step, to compare with.",
        json_schema_extra=form(advanced=True, also=("sample_at_first",)),
    )
    every_n_steps: int = Field(
        0,
        ge=0,
        title="Preview every",
        description="Draw the previews every so many steps; 0 draws them at the end of every epoch instead.",
        json_schema_extra=form(unit="steps", also=("sample_every_n_steps", "sample_every_n_epochs")),
    )
    width: int = Field(
        512,
        ge=64,
        le=2048,
        multiple_of=8,
        title="Preview width",
        description="Width of the previews.",
        json_schema_extra=form(advanced=True, unit="px"),
    )
    height: int = Field(
        512,
        ge=64,
        le=2048,
        multiple_of=8,
        title="Preview height",
        description="Height of the previews.",
        json_schema_extra=form(advanced=True, unit="px"),
    )
    denoising_steps: int = Field(
        20,
        ge=1,
        le=200,
        title="Denoising steps",
        description="Steps of the sampler for one preview.",
        json_schema_extra=form(advanced=True),
    )
    guidance: float = Field(
        7.0,
        ge=1,
        le=30,
        title="Guidance",
        description="How closely previews follow their prompt.",
        json_schema_extra=form(advanced=True, also=("cfg",)),
    )
    seed: int = Field(
        1234,
        ge=0,
        le=2**31 - 1,
        title="Preview seed",
        description="The same seed at every preview shows the training and nothing else change.",
        json_schema_extra=form(advanced=True),
    )


class OutputConfig(Section):
    """Where the LoRA goes and what is kept on the way."""

    folder: Path = Field(
        Path(),
        title="Output folder",
        description="LoRA files land here; previews, log and state in runs/<name>/ inside it.",
        json_schema_extra=form(widget="folder", also=("output_dir",)),
    )
    name: str = Field(
        "my_lora",
        title="Name",
        description="File name of the LoRA, without ending.",
        json_schema_extra=form(also=("output_name",)),
    )
    save_every_n_epochs: int = Field(
        2,
        ge=0,
        title="Save every",
        description="Also save the LoRA after every so many epochs; 0 saves only at the end.",
        json_schema_extra=form(unit="epochs", also=("save_every_n_epochs",)),
    )
    precision: Literal["fp16", "bf16", "fp32"] = Field(
        "fp16",
        title="File precision",
        description="Number format of the LoRA file; fp16 is read everywhere.",
        json_schema_extra=form(advanced=True, also=("save_precision",)),
    )
    state_every_n_steps: int = Field(
        100,
        ge=1,
        title="State every",
        description="After a crash or power cut, at most so many steps are lost.",
        json_schema_extra=form(advanced=True, unit="steps", also=("save_state",)),
    )

    @field_validator("name")
    @classmethod
    def _is_a_file_name(cls, name: str) -> str:
        forbidden = set('<>:"/\\|?*') | {chr(code) for code in range(32)}
        if not name or any(char in forbidden for char in name) or name != name.strip(" ."):
            raise ValueError(tr('a name without / \\ : * ? " < > | and without a dot or space at its ends'))
        if is_device_name(name):
            raise ValueError(tr("a name that Windows does not keep for its devices, such as CON or COM1"))
        if len(name.encode()) > LONGEST_NAME_BYTES:
            raise ValueError(
                tr("a name of up to {number} bytes; a Chinese character takes three", number=LONGEST_NAME_BYTES)
            )
        return name


class TrainConfig(Section):
    """Everything about a training run."""

    model: ModelConfig = Field(ModelConfig(), title="Base model")
    dataset: DatasetConfig = Field(DatasetConfig(), title="Pictures")
    network: NetworkConfig = Field(NetworkConfig(), title="LoRA network")
    training: TrainingConfig = Field(TrainingConfig(), title="Training")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), title="Optimizer")
    schedule: ScheduleConfig = Field(ScheduleConfig(), title="Schedule")
    sampling: SamplingConfig = Field(SamplingConfig(), title="Previews")
    output: OutputConfig = Field(OutputConfig(), title="Output")
