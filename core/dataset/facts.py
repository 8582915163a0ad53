"""What is measured from the pixels of one file, once; judging it is the business of `core.dataset.doctor`.

numpy and Pillow are imported inside the functions, so that the window starts without them.
"""

from __future__ import annotations

import binascii
import hashlib
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.dataset import measures
from core.dataset.geometry import Box, Size
from core.dataset.headers import orientation_of
from core.dataset.images import OTHER_EXTENSIONS, open_image
from core.dataset.subject import find_subject
from core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

FACTS_VERSION = 1
"""To be raised whenever a measure changes, so that remembered facts are measured again."""


Error = Literal["", "unreadable", "truncated", "format"]

# Sharpness and light are judged at this many pixels, so that a large photo that is soft only when magnified counts as
# sharp. Smaller pictures stay as they are.
_COMMON_PIXELS = 640 * 640


def facts_version() -> int:
    """What remembered facts depend on besides the file: how they are measured, and by which subject detectors."""
    from core.dataset.subject import detectors_in_use

    return zlib.crc32(f"{FACTS_VERSION}/{detectors_in_use()}".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What one file holds. With an `error`, nothing but the error is known.

    Sizes, boxes and borders are in pixels of the upright picture, shares lie between 0 and 1, levels between 0 and 255.
    """

    error: Error = ""
    message: str = ""
    """The error as a sentence, in the language in which it was measured."""
    remedy: str = ""
    size_px: Size = (0, 0)
    format: str = ""
    """As Pillow names it: JPEG, PNG, WEBP, BMP, GIF, AVIF."""
    frames: int = 1
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    transparent_share: float = 0.0
    sharpness: float = 1.0
    brightness: tuple[int, ...] = ()
    """Levels at the shares `measures.LEVELS` of all pixels, from the darkest to the brightest."""
    clipped: tuple[float, float] = (0.0, 0.0)
    """Shares of the pixels that are plain black and plain white."""
    jpeg_quality: int = 100
    """Quality at which a JPEG file was saved, 1 to 100; 100 for other formats."""
    blockiness: float = 0.0
    borders: measures.Borders = (0, 0, 0, 0)
    phash: int = 0
    thumb: bytes = b""
    """8 x 8 pixels in RGB."""
    digest: str = ""
    """Equal for equal pixels, whatever the file format."""
    background: tuple[int, int, int] = (0, 0, 0)
    background_share: float = 0.0
    subject: Box | None = None

    @property
    def inside_px(self) -> Size:
        """Size without the bars."""
        left, top, right, bottom = self.borders
        return self.size_px[0] - left - right, self.size_px[1] - top - bottom

    def to_json(self) -> dict[str, Any]:
        """Plain values for a line of JSON."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _NAMES}
        for name in _TUPLES:
            if values[name] is not None:
                values[name] = list(values[name])
        values["thumb"] = binascii.b2a_base64(self.thumb, newline=False).decode("ascii")
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ImageFacts:
        """The facts of `to_json`; unknown names are ignored.

        Raises:
            ValueError: The values are no facts of this version.
        """
        try:
            known = {name: values[name] for name in _NAMES}
            for name in _TUPLES:
                if known[name] is not None:
                    known[name] = tuple(known[name])
            known["thumb"] = binascii.a2b_base64(known["thumb"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not facts: {str(values)[:200]}") from error
        return cls(**known)


_NAMES = tuple(field.name for field in fields(ImageFacts))
_TUPLES = ("size_px", "brightness", "clipped", "borders", "background", "subject")


def measure(path: Path) -> ImageFacts:
    """Decode a picture in full and measure it; a file that is damaged or no picture gives facts with an error."""
    try:
        image = open_image(path)
        known = _of_file(path)
    except UserError as error:
        return ImageFacts(error=_kind_of(path, error), message=error.message, remedy=error.remedy)
    return replace(known, **_of_pixels(image))


def _kind_of(path: Path, error: UserError) -> Error:
    """What is wrong with a file in one word; the sentence tells more."""
    if path.suffix.lower() in OTHER_EXTENSIONS:
        return "format"
    cause = error.__cause__
    cut_off = cause is not None and (isinstance(cause, EOFError) or "truncated" in str(cause).lower())
    return "truncated" if cut_off else "unreadable"


def _of_file(path: Path) -> ImageFacts:
    """What the header of a picture that has just been decoded tells, and its alpha channel where it has one."""
    from PIL import Image as Pillow

    try:
        with path.open("rb") as file, Pillow.open(file) as picture:
            tables = getattr(picture, "quantization", None) if picture.format == "JPEG" else None
            return ImageFacts(
                format=picture.format or "",
                orientation=orientation_of(picture, file),
                jpeg_quality=measures.jpeg_quality(tables) if tables else 100,
                transparent_share=_transparent_share(picture),
                frames=_frames(picture),
            )
    except (EOFError, OSError, SyntaxError, ValueError) as error:
        raise UserError(
            "{name} was changed while Kiln was working with it.",
            remedy="Open the folder again, then start once more.",
            failure="picture_changed",
            name=path.name,
        ) from error


def _transparent_share(picture: Image) -> float:
    """Share of the pixels that let something through, and would look other on another background."""
    import numpy as np

    if not picture.has_transparency_data or picture.mode.startswith("I"):  # Grey with 16 bits cannot become RGBA.
        return 0.0
    alpha = picture.getchannel("A") if "A" in picture.getbands() else picture.convert("RGBA").getchannel("A")
    return float((np.asarray(alpha) < 250).mean())


def _frames(picture: Image) -> int:
    """How many pictures the file holds; 1 when it is damaged behind the first, the only one that is used."""
    try:
        return max(1, int(getattr(picture, "n_frames", 1)))
    except (EOFError, OSError, SyntaxError, ValueError):
        return 1


def _of_pixels(image: Image) -> dict[str, Any]:
    """What the pixels tell, as values for `ImageFacts`."""
    import numpy as np
    from PIL import Image as Pillow

    width, height = image.size
    colours, grey = np.asarray(image), image.convert("L")
    left, top, right, bottom = borders = measures.flat_borders(colours)
    inside = (left, top, width - right, height - bottom)
    inside_px = (inside[2] - left, inside[3] - top)
    scale = min(1.0, math.sqrt(_COMMON_PIXELS / (inside_px[0] * inside_px[1])))
    common_px = (max(1, round(inside_px[0] * scale)), max(1, round(inside_px[1] * scale)))
    common = np.asarray(grey.resize(common_px, Pillow.Resampling.BOX, box=inside))
    small = image.reduce(max(1, min(inside_px) // 160), box=inside)
    background, share = measures.background(np.asarray(small))
    return {
        "size_px": image.size,
        "borders": borders,
        "sharpness": round(measures.sharpness(common), 4),
        "brightness": measures.brightness(common),
        "clipped": tuple(round(value, 4) for value in measures.clipped(common)),
        "blockiness": round(measures.blockiness(_middle(np.asarray(grey))), 4),
        "phash": measures.perceptual_hash(small),
        "thumb": measures.thumb(small),
        "digest": hashlib.blake2b(colours.data, digest_size=12, person=b"%dx%d" % image.size).hexdigest(),
        "background": background,
        "background_share": round(share, 4),
        "subject": find_subject(image),
    }


def _middle(pixels: measures.Grey) -> measures.Grey:
    """At most 512 x 512 pixels from the middle."""
    height, width = pixels.shape
    top, left = max(0, height - 512) // 2, max(0, width - 512) // 2
    return pixels[top : top + 512, left : left + 512]
