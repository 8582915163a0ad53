"""The pictures and captions, and how they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from core.config.base import Section, form
from core.dataset.caption_ending import no_picture_ending


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
        description="Put in front of every caption in training; write it in a prompt to call what was learned. A word "
        "that the model does not know yet is best.",
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
        description="How often each picture is used per epoch; 0 chooses by the number of pictures. Folders named like "
        "10_name keep their own number.",
        json_schema_extra=form(also=("num_repeats",)),
    )
    resolution: int = Field(
        512,
        ge=64,
        le=4096,
        title="Resolution",
        description="Side of the square that gives the number of pixels to train with. 512 for Stable Diffusion 1.5; "
        "up to 768 for finer details, at more memory and time.",
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
        description="Bucket sides are multiples of this. 64 suits nearly always; 32 cuts less off the pictures and "
        "makes more buckets.",
        json_schema_extra=form(advanced=True, unit="px", also=("bucket_reso_steps",)),
    )
    max_aspect: float = Field(
        2.0,
        ge=1.0,
        le=4.0,
        title="Longest shape",
        description="Pictures longer than this ratio of sides are cropped to it. 2 is usual.",
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
        description="Give the tags in a new order every time, so that no place in the caption counts more. Usual for "
        "tags, not for sentences. Text embeddings cannot be cached then.",
        json_schema_extra=form(advanced=True, also=("shuffle_caption",)),
    )
    keep_tags: int = Field(
        1,
        ge=0,
        le=100,
        title="Keep tags",
        description="So many tags at the front stay where they are when tags are shuffled or dropped. The "
        "trigger word counts as one of them.",
        json_schema_extra=form(advanced=True, also=("keep_tokens",)),
    )
    caption_dropout: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        title="Caption dropout",
        description="Share of steps in which a picture is shown with an empty caption. 0.05 to 0.1 helps styles; 0 "
        "turns it off.",
        json_schema_extra=form(advanced=True, also=("caption_dropout_rate",)),
    )
    tag_dropout: float = Field(
        0.0,
        ge=0.0,
        le=0.9,
        title="Tag dropout",
        description="Chance of each tag to be left out. 0.05 to 0.2 where the LoRA clings to single tags; 0 turns it "
        "off. Text embeddings cannot be cached then.",
        json_schema_extra=form(advanced=True, also=("caption_tag_dropout_rate",)),
    )
    flip: bool = Field(
        False,
        title="Mirror pictures",
        description="Show each picture mirrored half of the time. Not for characters whose sides differ.",
        json_schema_extra=form(advanced=True, also=("flip_aug",)),
    )
    caption_prefix: str = Field(
        "",
        title="Caption prefix",
        description="Put in front of every caption in training, before the trigger word. The caption files stay as "
        "they are.",
        json_schema_extra=form(advanced=True, also=("caption_prefix",)),
    )
    caption_suffix: str = Field(
        "",
        title="Caption suffix",
        description="Put behind every caption in training.",
        json_schema_extra=form(advanced=True, also=("caption_suffix",)),
    )
    keep_separator: str = Field(
        "",
        title="Keep separator",
        description="A mark in captions, ||| for example: tags before it stay where they are, whatever Keep tags says. "
        "Empty: there is none.",
        json_schema_extra=form(advanced=True, also=("keep_tokens_separator",)),
    )
    wildcards: bool = Field(
        False,
        title="Wildcards",
        description="In captions, {red|blue} takes one of the words each time, and of several lines one is used. Text "
        "embeddings cannot be cached then.",
        json_schema_extra=form(advanced=True, also=("enable_wildcard",)),
    )
    caption_dropout_every_n_epochs: int = Field(
        0,
        ge=0,
        le=1000,
        title="Epochs without captions",
        description="Every so many epochs all captions are empty. Rarely used; 0 turns it off.",
        json_schema_extra=form(advanced=True, unit="epochs", also=("caption_dropout_every_n_epochs",)),
    )
    tag_warmup_steps: int = Field(
        0,
        ge=0,
        title="Tag warm-up",
        description="Over so many steps the number of tags that are shown grows from the least to all. 0 shows all "
        "from the start.",
        json_schema_extra=form(advanced=True, unit="steps", also=("token_warmup_step",)),
    )
    tag_warmup_min: int = Field(
        1,
        ge=1,
        le=300,
        title="Tags at first",
        description="So many tags are shown in the first step of the tag warm-up.",
        json_schema_extra=form(advanced=True, also=("token_warmup_min",)),
    )
    colour_jitter: bool = Field(
        False,
        title="Vary colours",
        description="Change brightness, contrast and colour of each showing a little. Not for characters known by "
        "their colours. Pictures cannot be cached then, so each step takes longer.",
        json_schema_extra=form(advanced=True, also=("color_aug",)),
    )
    random_crop: bool = Field(
        False,
        title="Random crop",
        description="Where a picture is cropped, cut at another place each time; not with smart crops. Pictures "
        "cannot be cached then, so each step takes longer.",
        json_schema_extra=form(advanced=True, also=("random_crop",)),
    )
    no_upscale: bool = Field(
        False,
        title="Never enlarge",
        description="Pictures smaller than the resolution get a bucket of their own size instead of being enlarged.",
        json_schema_extra=form(advanced=True, also=("bucket_no_upscale",)),
    )
    masks: Literal["none", "alpha", "files"] = Field(
        "none",
        title="Masks",
        description="What a picture is learned from: alpha leaves out what is transparent, files takes a picture of "
        "the same name that ends in -masklabel.png, where white counts.",
        json_schema_extra=form(
            advanced=True,
            also=(
                "masked_loss",
                "alpha_mask",
                "masked_training",
            ),
        ),
    )
    unmasked_weight: float = Field(
        0.1,
        ge=0,
        le=1,
        title="Weight outside the mask",
        description="How much what the mask leaves out still counts; 0 ignores it wholly, 0.1 keeps the background "
        "calm.",
        json_schema_extra=form(advanced=True, also=("unmasked_weight",)),
    )

    _no_picture_ending = field_validator("caption_extension")(no_picture_ending)
