"""Opening pictures: as RGB, the way a person sees them, or a sentence about why that cannot be.

Pillow is imported inside the functions, so that the window and the command line start without it.
"""

from __future__ import annotations

import stat
import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from core.dataset.geometry import Size
from core.dataset.headers import TURNS, orientation_of, quick_header, webp_header
from core.dataset.records import ImageRecord, Problem
from core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".avif"})
# Pictures for other programs. They are named to the user instead of being passed over in silence.
OTHER_EXTENSIONS = frozenset({".heic", ".heif", ".jfif", ".jxl", ".jp2", ".psd", ".svg", ".tga", ".tif", ".tiff"})
# The largest phone cameras have this; what is above may have been made to exhaust the memory.
MAX_PIXELS = 200_000_000

T = TypeVar("T")
_HEAD_BYTES = 4096
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "AVIF")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"GIF8")
_OTHER_KINDS = (
    (4, b"ftyphe", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"8BPS", "PSD"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"<svg", "SVG"),
    (0, b"<!DOCTYPE", "HTML"),
    (0, b"<!doctype", "HTML"),
    (0, b"<html", "HTML"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "ZIP"),
)


def picture_size(path: Path | str, *, is_file: bool = False) -> Size:
    """(width, height) after EXIF rotation, from the header alone; no pixel is decoded.

    Args:
        path: The picture; a string when there are thousands of them.
        is_file: Whether the path is known to be that of a file, so that this need not be looked up.

    Raises:
        UserError: The file is missing, empty, damaged, too large, or no picture that Kiln reads.
    """
    (width, height), orientation = _read(path, _header, is_file=is_file)
    return (height, width) if orientation >= 5 else (width, height)


def open_image(path: Path) -> Image:
    """The whole picture in RGB as a person sees it: upright, on white, in sRGB, the first one of an animation.

    Raises:
        UserError: As `picture_size`, and when the pixels are damaged or cut off.
    """
    return _read(path, _pixels)


def load_image(record: ImageRecord) -> Image:
    """The pixels of a scanned picture, RGB uint8, size `record.size_px`.

    Raises:
        UserError: As `open_image`, and when the picture has another size than when the folder was read.
    """
    image = open_image(record.path)
    if image.size != record.size_px:
        raise UserError(
            "{name} was changed while Kiln was working with it.",
            remedy="Open the folder again, then start once more.",
            failure="picture_changed",
            name=record.path.name,
        )
    return image


def check_pixels(record: ImageRecord) -> Problem | None:
    """Decode a scanned picture in full: what is wrong with it that its header did not tell, or None."""
    try:
        load_image(record)
    except UserError as error:
        return problem_of(record.path, error)
    return None


def problem_of(path: Path, error: UserError, *, excludes: bool = True) -> Problem:
    """The same two sentences as an entry in the list of problems."""
    return Problem(path=path, message=error.message, remedy=error.remedy, excludes=excludes)


# --- the file -----------------------------------------------------------------------------------------------------


def _read(path: Path | str, work: Callable[[Path | str, FileIO, bytes], T], *, is_file: bool = False) -> T:
    """What `work` makes of the open file and its first bytes; whatever it meets becomes a `UserError`."""
    head = b""
    try:
        if not is_file and not stat.S_ISREG(Path(path).stat().st_mode):  # Opening a pipe would wait for ever.
            raise UserError("{name} is not a file.", remedy="Take it out of the folder.", name=Path(path).name)
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - it may be a string
            head = file.read(_HEAD_BYTES)
            if not head:
                raise UserError(
                    "{name} is empty: it has 0 bytes.",
                    remedy="Copy or download the picture again, or delete the file.",
                    name=Path(path).name,
                )
            return work(path, file, head)
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever they stumble over: struct.error, SyntaxError, ...
        raise _explained(Path(path), head, error) from error


def _header(path: Path | str, file: FileIO, head: bytes) -> tuple[Size, int]:
    """Size as it is in the file, and EXIF orientation."""
    header = quick_header(file, head)
    if header is None:
        with BufferedReader(file) as buffered:  # The others read a few bytes at a time.
            if _is_webp(head):
                header = webp_header(buffered, head)  # Pillow would allocate the whole canvas.
            else:
                buffered.seek(0)
                with _pillow().open(buffered, formats=_FORMATS) as picture:
                    header = picture.size, orientation_of(picture, buffered)
    _check_size(path, header[0])
    return header


def _pixels(path: Path | str, file: FileIO, head: bytes) -> Image:
    """The picture as `open_image` gives it."""
    pillow = _pillow()
    with BufferedReader(file) as buffered:
        if _is_webp(head):
            _check_size(path, webp_header(buffered, head)[0])
        buffered.seek(0)
        with pillow.open(buffered, formats=_FORMATS) as picture:
            _check_size(path, picture.size)
            orientation = orientation_of(picture, buffered)
            picture.load()
            turn = TURNS.get(orientation)
            image = _to_rgb(picture)
    if turn is not None:
        image = image.transpose(pillow.Transpose[turn])
    image.info.clear()  # Else a profile that no longer applies would be written into copies.
    return image


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _explained(path: Path, head: bytes, error: Exception) -> UserError:
    name = path.name
    if isinstance(error, FileNotFoundError):
        return UserError("{name} is missing.", remedy="Check that it was not moved or renamed.", name=name)
    if isinstance(error, PermissionError):
        return UserError(
            "{name} may not be read.",
            remedy="Close the program that uses it, or give yourself the right to read it.",
            name=name,
        )
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(
            "{name} could not be read from the disk: {error}.",
            remedy="Check the drive and the connection to it, then try again.",
            name=name,
            error=error.strerror or str(error),
        )
    if isinstance(error, MemoryError):
        return UserError(
            "The memory is not enough to open {name}.",
            remedy="Make the picture smaller, or close other programs.",
            name=name,
        )
    if not head.startswith(_MAGIC):
        for offset, magic, kind in _OTHER_KINDS:
            if head[offset : offset + len(magic)] == magic and kind == "HTML":
                return UserError(
                    "{name} is a web page, not a picture.",
                    remedy="Download the picture itself, or delete the file.",
                    name=name,
                )
            if head[offset : offset + len(magic)] == magic:
                return UserError(
                    "{name} is in {kind} format, which Kiln does not read.",
                    remedy="Save it as PNG or JPG with a picture program.",
                    name=name,
                    kind=kind,
                )
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return UserError(
            "{name} is cut off: the end of the file is missing.",
            remedy="Copy or download the picture again, or take it out of the folder.",
            name=name,
        )
    return UserError(
        "{name} is damaged and does not open as a picture.",
        remedy="Copy or download the picture again, or take it out of the folder.",
        name=name,
    )


def unsupported(path: Path) -> UserError:
    """For a picture that is known by its ending to be of a kind that Kiln does not read."""
    return UserError(
        "{name} is in {kind} format, which Kiln does not read.",
        remedy="Save it as PNG or JPG with a picture program.",
        name=path.name,
        kind=path.suffix[1:].upper(),
    )


def _check_size(path: Path | str, size_px: Size) -> None:
    width, height = size_px
    if width < 1 or height < 1:
        raise ValueError("a picture without pixels")
    if width * height > MAX_PIXELS:
        raise UserError(
            "{name} is too large to open: {width} × {height} pixels.",
            remedy="Make it smaller with a picture program; 4,000 pixels along the longer side are plenty.",
            failure="picture_too_large",
            name=Path(path).name,
            width=width,
            height=height,
        )


# --- pixels -------------------------------------------------------------------------------------------------------


@cache
def _pillow() -> ModuleType:
    """`PIL.Image`, silent, with the readers of all supported formats, and without its own limit on pixels.

    Pillow's limit is only a printed warning up to twice its value and does not tell the size; `_check_size` is used
    instead, between the header and the pixels.
    """
    from PIL import AvifImagePlugin, Image, WebPImagePlugin  # noqa: F401 - importing registers the formats

    Image.preinit()
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return Image


def _to_rgb(picture: ImageFile) -> Image:
    """A new RGB image: 16 bits scaled to 8, colours in sRGB, transparent parts white."""
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I"):
        colours, alpha = _from_16_bits(picture)
    elif picture.has_transparency_data:
        transparent = picture.info.get("transparency")
        if isinstance(transparent, tuple) and max(transparent) > 255:  # 16 bits per channel; the pixels have 8 by now.
            picture.info["transparency"] = tuple(value >> 8 for value in transparent)
        with_alpha = picture.convert("RGBA")
        colours, alpha = with_alpha.convert("RGB"), with_alpha.getchannel("A")
    elif picture.mode in ("RGB", "L", "CMYK"):
        colours, alpha = picture, None
    else:
        colours, alpha = picture.convert("RGB"), None
    if isinstance(profile, bytes) and profile:
        colours = _to_srgb(colours, profile)
    colours = colours.convert("RGB")  # A copy, free of the file, when it is RGB already.
    if alpha is None:
        return colours
    flat = _pillow().new("RGB", colours.size, "white")
    flat.paste(colours, mask=alpha)
    return flat  # type: ignore[no-any-return]


def _from_16_bits(picture: Image) -> tuple[Image, Image | None]:
    """Greyscale with 16 bits as 8 bits (0 stays 0, 65535 becomes 255), and alpha where a value stands for nothing."""
    import numpy as np

    values = np.asarray(picture).astype(np.int64).clip(0, 65535)
    grey = _pillow().fromarray(((values + 128) // 257).astype(np.uint8))
    transparent = picture.info.get("transparency")
    if not isinstance(transparent, int):
        return grey, None
    return grey, _pillow().fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))


def _to_srgb(colours: Image, profile: bytes) -> Image:
    """The picture in sRGB; unchanged when it is so already, or when its profile is damaged or of another kind."""
    from PIL import ImageCms

    transform = _srgb_transform(profile, colours.mode)
    if transform is None:
        return colours
    try:
        return ImageCms.applyTransform(colours, transform) or colours
    except (ImageCms.PyCMSError, ValueError, OSError):
        return colours


@lru_cache(maxsize=16)
def _srgb_transform(profile: bytes, mode: str) -> Any:
    """Pillow's transform from a profile to sRGB for one pixel mode, or None when there is nothing to do or no way."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
