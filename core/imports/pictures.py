"""Pictures, buckets and captions of kohya's scripts in Kiln's words."""

from __future__ import annotations

import math

from core.dataset.edits import Concept
from core.dataset.fitting import CROP_SHAPES
from core.imports.draft import Argument, Arguments, Draft
from core.imports.values import UnfitError, flag, is_off, number, numbers, text, whole
from core.text import tr

_CAPTIONS = {
    "shuffle_caption": ("dataset.shuffle_tags", flag),
    "keep_tokens_separator": ("dataset.keep_separator", text),
    "enable_wildcard": ("dataset.wildcards", flag),
    "caption_prefix": ("dataset.caption_prefix", text),
    "caption_suffix": ("dataset.caption_suffix", text),
    "caption_dropout_rate": ("dataset.caption_dropout", number),
    "caption_dropout_every_n_epochs": ("dataset.caption_dropout_every_n_epochs", whole),
    "caption_tag_dropout_rate": ("dataset.tag_dropout", number),
    "token_warmup_min": ("dataset.tag_warmup_min", whole),
    "flip_aug": ("dataset.flip", flag),
    "color_aug": ("dataset.colour_jitter", flag),
    "random_crop": ("dataset.random_crop", flag),
    "bucket_no_upscale": ("dataset.no_upscale", flag),
    "bucket_reso_steps": ("dataset.bucket_step", whole),
    "num_repeats": ("dataset.repeats", whole),
}
CAPTION_OPTIONS = frozenset({*_CAPTIONS, "keep_tokens", "caption_extension", "token_warmup_step"})


def map_pictures(draft: Draft, arguments: Arguments, *, is_complete: bool) -> None:
    """Take the options about pictures and captions."""
    folder = draft.path(arguments.take("train_data_dir"), "dataset.folder")
    regularization = arguments.take("reg_data_dir")
    if regularization is not None and not draft.was_empty(regularization):
        if folder is None and not draft.concepts:
            draft.leave(regularization, tr("The file names no picture folder that it belongs to."))
        elif (place := draft.place(regularization, "concepts.1.folder")) is not None:
            if not draft.concepts and folder is not None:
                draft.concepts.append(Concept(folder=folder))
            draft.concepts.append(Concept(folder=place, is_regularization=True))
            draft.note(regularization, "concepts.1.folder", place, tr("It is a folder of regularization pictures."))
    _kept_tags(draft, arguments)
    size = _resolution(draft, arguments)
    _shapes(draft, arguments, size, is_complete=is_complete)
    for name, (key, how) in _CAPTIONS.items():
        draft.convert(arguments.take(name), key, how)
    draft.convert(arguments.take("caption_extension"), "dataset.caption_extension", _ending)
    _tag_warmup(draft, arguments)
    _masks(draft, arguments)


def tags_in_prefix(prefix: str) -> int:
    """How many tags a prefix puts in front of those of a caption; what follows its last comma joins the first one."""
    return prefix.count(",")


def _kept_tags(draft: Draft, arguments: Arguments) -> None:
    """kohya's scripts count the tags of the prefix too; in Kiln these always stay in front."""
    kept, prefix = arguments.take("keep_tokens"), arguments.get("caption_prefix")
    in_prefix = tags_in_prefix(str(prefix.value)) if prefix is not None else 0
    note = tr("Tags of the prefix stay in front anyway and are not counted.") if in_prefix else ""
    draft.convert(kept, "dataset.keep_tags", lambda value: max(whole(value) - in_prefix, min(whole(value), 0)), note)


def _resolution(draft: Draft, arguments: Arguments) -> tuple[float, float] | None:
    """Width and height of the file in pixels, when it says them."""
    argument = arguments.take("resolution")
    if argument is None or draft.was_empty(argument):
        return None
    try:
        sides = numbers(argument.value)
        width, height = sides[0], sides[1] if len(sides) > 1 else sides[0]
        if width <= 0 or height <= 0:
            raise UnfitError(tr("{value} is not a resolution.", value=argument.value))
    except UnfitError as error:
        draft.leave(argument, str(error))
        return None
    note = "" if width == height else tr("The side of the square with as many pixels.")
    draft.take(argument, "dataset.resolution", round(math.sqrt(width) * math.sqrt(height)), note)
    return width, height


def _shapes(draft: Draft, arguments: Arguments, size: tuple[float, float] | None, *, is_complete: bool) -> None:
    """Buckets with their longest shape, or the one shape that all pictures are cropped to."""
    least, most = arguments.take("min_bucket_reso"), arguments.take("max_bucket_reso")
    buckets = arguments.take("enable_bucket")
    if buckets is not None and not draft.was_empty(buckets):
        try:
            if not flag(buckets.value):
                _one_shape(draft, buckets, size)
                for argument in (least, most):
                    if argument is not None:
                        draft.leave(argument, tr("There are no buckets, so it has no effect."))
                return
            draft.take(buckets, "dataset.fit", "buckets")
        except UnfitError as error:
            draft.leave(buckets, str(error))
    if least is None and most is None and not is_complete:
        return
    width, height = size or (512.0, 512.0)
    try:
        shortest = number(least.value) if least and not is_off(least.value) else 256.0
        longest = number(most.value) if most and not is_off(most.value) else 1024.0
    except UnfitError as error:
        for argument in (least, most):
            if argument is not None:
                draft.leave(argument, str(error))
        return
    aspect = longest_shape(shortest, longest, width * height)
    given = [argument for argument in (least, most) if argument is not None]
    for argument in given or [Argument("max_bucket_reso", "max_bucket_reso", 1024, is_assumed=True)]:
        draft.take(
            argument,
            "dataset.max_aspect",
            round(aspect, 2),
            tr("Kiln takes the ratio of sides that the two numbers allow."),
        )


def longest_shape(shortest: float, longest: float, num_pixels: float) -> float:
    """The ratio of sides that limits of buckets allow, at least 1.

    The shortest side comes with one that keeps the number of pixels, or with the longest that is allowed.
    """
    shortest = max(shortest, 1)
    return max(1.0, min(longest, num_pixels / shortest) / shortest)


def _one_shape(draft: Draft, argument: Argument, size: tuple[float, float] | None) -> None:
    draft.take(argument, "dataset.fit", "crop", tr("Without buckets all pictures are cropped to one shape."))
    width, height = size or (1.0, 1.0)

    def distance(shape: str) -> float:
        across, down = shape.split(":")
        return abs(math.log(int(across) / int(down)) - math.log(width / height))

    nearest = min(CROP_SHAPES, key=distance)
    note = tr("Kiln takes the nearest that it has.") if distance(nearest) > 0.01 else ""
    draft.take(argument, "dataset.crop_shape", nearest, note)


def _ending(value: object) -> str:
    word = text(value).strip()
    return word if word.startswith(".") else f".{word}"


def _tag_warmup(draft: Draft, arguments: Arguments) -> None:
    argument = arguments.take("token_warmup_step")
    if argument is not None and not is_off(argument.value):
        try:
            if 0 < number(argument.value) < 1:
                draft.leave(
                    argument, tr("It is a share of the run, and the file does not say how many steps that has.")
                )
                return
        except UnfitError as error:
            draft.leave(argument, str(error))
            return
    draft.convert(argument, "dataset.tag_warmup_steps", whole)


def _masks(draft: Draft, arguments: Arguments) -> None:
    alpha, masked = arguments.take("alpha_mask"), arguments.take("masked_loss")
    if alpha is not None and not is_off(alpha.value):
        draft.take(alpha, "dataset.masks", "alpha")
        if masked is not None:
            draft.note(masked, "dataset.masks", "alpha")
        return
    if masked is not None and not is_off(masked.value):
        draft.take(
            masked, "dataset.masks", "files", tr("Put each mask beside its picture, with -masklabel.png at its end.")
        )
        masked = None
    for argument in (alpha, masked):
        if argument is not None:
            draft.leave_off(argument)
