"""How a picture becomes training samples: which part of it, at which size, and what is filled in around it.

The window shows a plan, the trainer encodes it and the export writes it: there is one function that makes plans and one
that carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from core.dataset.buckets import assign, bucket_sizes, shaped_size
from core.dataset.edits import UNTOUCHED, Fit, PictureEdits, Turn
from core.dataset.geometry import Box, Size

if TYPE_CHECKING:
    from PIL.Image import Image

    from core.config.model import DatasetConfig
    from core.jobs import PrepareJob

Edge = Literal["blur", "white", "grey", "black"]
"""What is filled in around a padded picture."""

CROP_SHAPES = ("1:1", "4:5", "3:4", "2:3", "9:16", "5:4", "4:3", "3:2", "16:9")
"""The shapes, width to height, that pictures are cropped or padded to."""

FloatBox = tuple[float, float, float, float]
"""As `Box`, with fractions of pixels, and free to reach beyond the picture."""

_COLOURS: dict[Edge, tuple[int, int, int]] = {"white": (255, 255, 255), "grey": (128, 128, 128), "black": (0, 0, 0)}
_BLUR_SHARE = 1 / 16  # of the shorter side
_ALL_BUT = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How pictures are brought to size where nothing else was decided for one of them."""

    resolution: int = 512
    fit: Fit = "buckets"
    bucket_step: int = 64
    max_aspect: float = 2.0
    crop_shape: str = "1:1"
    edge: Edge = "blur"
    no_upscale: bool = False

    @classmethod
    def of(cls, config: DatasetConfig | PrepareJob) -> FitOptions:
        """The options in the settings of a run or an export."""
        return cls(
            resolution=config.resolution,
            fit=config.fit,
            bucket_step=config.bucket_step,
            max_aspect=config.max_aspect,
            crop_shape=config.crop_shape,
            edge=config.edge,
            no_upscale=getattr(config, "no_upscale", False),  # An export has no such option.
        )

    def sizes(self, fit: Fit) -> tuple[Size, ...]:
        """All sizes that pictures of this fit are brought to."""
        if fit == "buckets":
            return bucket_sizes(self.resolution, self.bucket_step, self.max_aspect)
        return (shaped_size(self.resolution, self.crop_shape, self.bucket_step),)


@dataclass(frozen=True, slots=True)
class FitPlan:
    """What of a picture is shown at which size.

    `box` is cut out of the picture, which is upright and turned by `turn`, and brought to `target_px`. Where the box
    reaches beyond the picture, `edge` is filled in, and the loss leaves it out. So it is where the box reaches beyond
    `part`, the crop that the plan is for: what the user cut away is never shown. None stands for the whole picture.
    """

    source_px: Size
    target_px: Size
    box: FloatBox
    turn: Turn = 0
    edge: Edge = "blur"
    part: Box | None = None

    @property
    def scale(self) -> float:
        """Pixels of the result per pixel of the picture; above 1 means enlarging."""
        left, top, right, bottom = self.box
        return max(self.target_px[0] / (right - left), self.target_px[1] / (bottom - top))

    @property
    def is_upscaled(self) -> bool:
        """Whether the picture has fewer pixels than are asked of it."""
        return self.scale > 1 + _ALL_BUT

    @property
    def inside(self) -> FloatBox:
        """What is shown: the box as far as it lies in the picture, and in the part that may be shown."""
        left, top, right, bottom = self.box
        part = self.part or (0, 0, *self.source_px)
        return (
            max(float(part[0]), left),
            max(float(part[1]), top),
            min(float(part[2]), right),
            min(float(part[3]), bottom),
        )

    @property
    def is_padded(self) -> bool:
        """Whether something is filled in."""
        return self.content_px != (0, 0, *self.target_px)

    @property
    def content_px(self) -> Box:
        """Where the picture, or the part that may be shown, is in the result, in its pixels; the rest is filled in."""
        across = self.target_px[0] / (self.box[2] - self.box[0])
        along = self.target_px[1] / (self.box[3] - self.box[1])
        inside = self.inside
        left = min(round((inside[0] - self.box[0]) * across), self.target_px[0] - 1)
        top = min(round((inside[1] - self.box[1]) * along), self.target_px[1] - 1)
        right = max(left + 1, round((inside[2] - self.box[0]) * across))
        bottom = max(top + 1, round((inside[3] - self.box[1]) * along))
        return left, top, right, bottom

    def moved(self, place: tuple[float, float]) -> FitPlan:
        """The plan with its box at another place of the picture, or of the part that may be shown.

        Args:
            place: (across, along) from 0, at the left or top end, to 1. Along a side that is shown whole it is ignored.
        """
        part = self.part or (0, 0, *self.source_px)
        left, top, right, bottom = self.box
        width, height = right - left, bottom - top
        if part[2] - part[0] > width:
            left = part[0] + place[0] * (part[2] - part[0] - width)
        if part[3] - part[1] > height:
            top = part[1] + place[1] * (part[3] - part[1] - height)
        return replace(self, box=(left, top, left + width, top + height))

    @property
    def cropped_share(self) -> float:
        """Share of the whole picture that is not shown, 0 to 1, whether a crop or the fit cut it away."""
        left, top, right, bottom = self.inside
        return max(0.0, 1 - (right - left) * (bottom - top) / (self.source_px[0] * self.source_px[1]))


@lru_cache(maxsize=1 << 13)  # Thousands of screenshots have a handful of sizes.
def plans_of(
    size_px: Size, options: FitOptions, edits: PictureEdits = UNTOUCHED, subject: Box | None = None
) -> tuple[FitPlan, ...]:
    """One plan for the whole picture, or one for each crop that was made of it.

    Args:
        size_px: Of the upright picture, before any turn.
        options: The fit of the run.
        edits: What was decided about this picture.
        subject: What a smart crop keeps whole, in pixels of the upright picture before any turn; None for the middle.
    """
    turned = turned_size(size_px, edits.turn)
    whole = (0, 0, *turned)
    subject = turned_box(subject, size_px, edits.turn) if subject else None
    parts = [_within(crop.box, turned) for crop in edits.crops] or [whole]
    return tuple(_plan(turned, part, edits.fit or options.fit, options, edits.turn, subject) for part in parts)


def _plan(source_px: Size, part: Box, fit: Fit, options: FitOptions, turn: Turn, subject: Box | None) -> FitPlan:
    """One plan; the box may reach beyond the part, of which no more is shown than lies in it."""
    size = (part[2] - part[0], part[3] - part[1])
    target = assign(size, options.sizes(fit))
    if options.no_upscale and fit == "buckets" and FitPlan(source_px, target, _middle(part, target)).is_upscaled:
        target = min(target, _own_size(size, options), key=lambda sides: sides[0] * sides[1])
    if fit == "pad":
        box = _around(part, target)
    elif fit == "smart" and subject and (inner := _overlap(subject, part)):
        box = _around_subject(part, target, inner)
    else:
        box = _middle(part, target)
    return FitPlan(source_px, target, box, turn, options.edge, None if part == (0, 0, *source_px) else part)


def _own_size(size_px: Size, options: FitOptions) -> Size:
    """The largest size on the bucket grid that needs no enlarging, within the longest shape; one step at the least."""
    width, height = size_px
    width, height = min(width, round(height * options.max_aspect)), min(height, round(width * options.max_aspect))
    step = options.bucket_step
    return max(step, width - width % step), max(step, height - height % step)


def plan_fit(size_px: Size, target: Size) -> FitPlan:
    """Cover the target with as much of the picture as possible, from its middle.

    Args:
        size_px: (width, height) of the picture.
        target: (width, height) to bring it to.
    """
    return FitPlan(size_px, target, _middle((0, 0, *size_px), target))


def _middle(part: Box, target: Size) -> FloatBox:
    """The largest box of the target's shape within a part, in its middle."""
    width, height = _largest(part, target)
    left, top = (part[0] + part[2] - width) / 2, (part[1] + part[3] - height) / 2
    return left, top, left + width, top + height


def _around(part: Box, target: Size) -> FloatBox:
    """The smallest box of the target's shape that holds the whole part, which is in its middle."""
    width, height = float(part[2] - part[0]), float(part[3] - part[1])
    width, height = max(width, height * target[0] / target[1]), max(height, width * target[1] / target[0])
    left, top = (part[0] + part[2] - width) / 2, (part[1] + part[3] - height) / 2
    return left, top, left + width, top + height


def _around_subject(part: Box, target: Size, subject: Box) -> FloatBox:
    """The largest box of the target's shape within a part that is moved to hold the subject.

    A subject that does not fit in it makes the box larger, so that it reaches beyond the part: filled edges are left
    out of the loss, while a head or feet cut off would be learned.
    """
    width, height = _largest(part, target)
    growth = max(1.0, (subject[2] - subject[0]) / width, (subject[3] - subject[1]) / height)
    width, height = width * growth, height * growth
    left = _placed(width, part[0], part[2], (subject[0] + subject[2]) / 2)
    top = _placed(height, part[1], part[3], (subject[1] + subject[3]) / 2)
    return left, top, left + width, top + height


def _placed(length: float, start: int, end: int, middle: float) -> float:
    """Where a stretch begins that is centred on `middle` as far as it stays between two ends, else between them."""
    if length >= end - start:
        return (start + end - length) / 2
    return min(max(middle - length / 2, float(start)), end - length)


def _largest(part: Box, target: Size) -> tuple[float, float]:
    width, height = part[2] - part[0], part[3] - part[1]
    return min(float(width), height * target[0] / target[1]), min(float(height), width * target[1] / target[0])


def _within(box: Box, size_px: Size) -> Box:
    """A crop as far as it lies in the picture, which may have become smaller; the whole when nothing of it does."""
    return _overlap(box, (0, 0, *size_px)) or (0, 0, *size_px)


def _overlap(one: Box, other: Box) -> Box | None:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def turned_size(size_px: Size, turn: Turn) -> Size:
    """The size after turning."""
    return (size_px[1], size_px[0]) if turn in (90, 270) else size_px


def turned_box(box: Box, size_px: Size, turn: Turn) -> Box:
    """Where a box of a picture of this size is after turning it clockwise."""
    left, top, right, bottom = box
    width, height = size_px
    if turn == 90:
        return height - bottom, left, height - top, right
    if turn == 180:
        return width - right, height - bottom, width - left, height - top
    if turn == 270:
        return top, width - right, bottom, width - left
    return box


def turned_edits(edits: PictureEdits, size_px: Size, degrees: Turn) -> PictureEdits:
    """What was decided about a picture, with the picture and its crops turned clockwise once more.

    Args:
        edits: What holds now.
        size_px: Of the upright picture, before any turn.
        degrees: How far to turn.
    """
    now = turned_size(size_px, edits.turn)
    crops = tuple(
        crop.model_copy(update={"box": turned_box(_within(crop.box, now), now, degrees)}) for crop in edits.crops
    )
    return edits.model_copy(update={"turn": (edits.turn + degrees) % 360, "crops": crops})


def turn_image(image: Image, turn: Turn) -> Image:
    """The picture turned clockwise."""
    from PIL.Image import Transpose

    turns = {90: Transpose.ROTATE_270, 180: Transpose.ROTATE_180, 270: Transpose.ROTATE_90}
    return image.transpose(turns[turn]) if turn else image


def fit_image(image: Image, plan: FitPlan, *, is_mask: bool = False) -> Image:
    """Carry out a plan: the result has exactly the target size.

    Lanczos makes smaller, bicubic makes larger: Lanczos rings at hard lines when it enlarges. Masks become means of
    what is in each pixel, which never reach over an edge.

    Args:
        image: The upright picture, RGB, not yet turned; of the size that the plan was made for.
        plan: What to show of it.
        is_mask: Whether it is the mask of a picture.
    """
    from PIL import Image as Pillow

    image = turn_image(image, plan.turn)
    inside = plan.inside
    if plan.part is not None:  # Else the filter would let pixels from beyond the edge of the crop bleed in.
        image = image.crop(plan.part)
        left, top = plan.part[:2]
        inside = (inside[0] - left, inside[1] - top, inside[2] - left, inside[3] - top)
    if image.size == plan.target_px and inside == (0, 0, *plan.target_px) and not plan.is_padded:
        return image
    resample = Pillow.Resampling.BICUBIC if plan.is_upscaled else Pillow.Resampling.LANCZOS
    if is_mask:
        resample = Pillow.Resampling.BOX
    left, top, right, bottom = plan.content_px
    content = image.resize((right - left, bottom - top), resample, box=inside)
    if not plan.is_padded:
        return content
    result = _filled(content, plan)
    result.paste(content, (left, top))
    return result


def _filled(content: Image, plan: FitPlan) -> Image:
    """The ground under a padded picture: one colour, or the picture itself stretched and blurred."""
    from PIL import Image as Pillow
    from PIL import ImageFilter

    if plan.edge != "blur":
        return Pillow.new("RGB", plan.target_px, _COLOURS[plan.edge])
    # Blurred when small, which looks the same and takes a sixteenth of the time.
    width, height = (max(1, side // 4) for side in plan.target_px)
    small = content.resize((width, height), Pillow.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(max(1.0, min(width, height) * _BLUR_SHARE)))
    return small.resize(plan.target_px, Pillow.Resampling.BICUBIC)
