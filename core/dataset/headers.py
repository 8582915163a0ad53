"""What the headers of picture files say that Pillow does not tell, or only at the price of decoding or warnings."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_LONGEST_HEADER = 1 << 17  # EXIF with a thumbnail and a colour profile are up to 64 KB each.
_TAIL_BYTES = 8192
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # Baseline, extended and progressive; the others are Pillow's.

TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def orientation_of(picture: ImageFile, file: BinaryIO) -> int:
    """The EXIF orientation, 1 to 8. Read here because Pillow prints warnings and decodes PNG files to find it."""
    exif = picture.info.get("exif")
    if exif is None and picture.format == "PNG":
        exif = _late_png_exif(file)
    return exif_orientation(exif) if isinstance(exif, bytes) else 1


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, in a block of EXIF data; 1 when there is none or the block is damaged."""
    tiff = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (num_entries,) = struct.unpack_from(order + "H", tiff, directory)
        for index in range(num_entries):
            entry = directory + 2 + 12 * index
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            if tag == 0x0112:
                (value,) = struct.unpack_from(order + {1: "B", 3: "H", 4: "I"}.get(kind, "H"), tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def quick_header(file: BinaryIO, head: bytes) -> tuple[tuple[int, int], int] | None:
    """Size and EXIF orientation of an ordinary PNG or JPEG file, in a tenth of the time that Pillow takes.

    Args:
        file: The file, at any place; it is left at any place.
        head: Its first bytes.

    Returns:
        None for other formats and for whatever is out of the ordinary: Pillow says what is wrong then.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png_header(file, head)
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg_header(head) or _jpeg_header(head + file.read(_LONGEST_HEADER))
    return None


def _png_header(file: BinaryIO, head: bytes) -> tuple[tuple[int, int], int] | None:
    if head[8:16] != b"\0\0\0\rIHDR" or len(head) < 33:
        return None
    width, height, checksum = *struct.unpack_from(">II", head, 16), *struct.unpack_from(">I", head, 29)
    if zlib.crc32(head[12:29]) != checksum:
        return None
    place = 33
    while place + 8 <= len(head):
        length, name = struct.unpack_from(">I4s", head, place)
        if name == b"IDAT":
            exif = _late_png_exif(file)
            return (width, height), exif_orientation(exif) if exif else 1
        if name in (b"eXIf", b"acTL") or length > 1 << 20:
            return None
        place += 12 + length
    return None


def _jpeg_header(head: bytes) -> tuple[tuple[int, int], int] | None:
    place, orientation = 2, 1
    while place + 9 <= len(head):
        if head[place] != 0xFF:
            return None
        marker = head[place + 1]
        (length,) = struct.unpack_from(">H", head, place + 2)
        if marker in _JPEG_FRAMES:
            bits, height, width = struct.unpack_from(">BHH", head, place + 4)
            return ((width, height), orientation) if bits == 8 and width and height else None
        if marker == 0xE1 and head[place + 4 : place + 10] == b"Exif\0\0":
            if place + 2 + length > len(head):
                return None
            orientation = exif_orientation(head[place + 4 : place + 2 + length])
        if not (0xC0 <= marker <= 0xFE) or marker in (0xD8, 0xD9, 0xDA) or length < 2:
            return None
        place += 2 + length
    return None


def _late_png_exif(file: BinaryIO) -> bytes | None:
    """The EXIF block of a PNG that stands behind the pixels, where a reader of headers does not come by."""
    place = file.tell()
    try:
        num_bytes = file.seek(0, io.SEEK_END)
        file.seek(max(0, num_bytes - _TAIL_BYTES))
        tail = file.read(_TAIL_BYTES)
    finally:
        file.seek(place)
    at = tail.rfind(b"eXIf")
    if at < 4:
        return None
    (length,) = struct.unpack_from(">I", tail, at - 4)
    return tail[at + 4 : at + 4 + length] if at + 8 + length <= len(tail) else None


def webp_header(file: BinaryIO, head: bytes) -> tuple[tuple[int, int], int]:
    """Size and EXIF orientation of a WebP file."""
    (riff_bytes,) = struct.unpack_from("<I", head, 4)
    file.seek(0, io.SEEK_END)
    if file.tell() < riff_bytes + 8:
        raise EOFError("truncated WebP")
    chunk = head[12:16]
    if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return (width & 0x3FFF, height & 0x3FFF), 1
    if chunk == b"VP8L" and head[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", head, 21)
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), 1
    if chunk != b"VP8X":
        raise ValueError("not a WebP file")
    size_px = (int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1)
    place = 12
    while head[20] & 0x08 and place + 8 <= riff_bytes + 8:  # The flag says that there is EXIF data somewhere.
        file.seek(place)
        name, num_bytes = struct.unpack("<4sI", file.read(8))
        if name == b"EXIF":
            return size_px, exif_orientation(file.read(num_bytes))
        place += 8 + num_bytes + num_bytes % 2
    return size_px, 1
