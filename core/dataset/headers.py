"""What the headers of picture files say that Pillow does not tell, or only at the price of decoding or warnings."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

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


def _late_png_exif(file: BinaryIO) -> bytes | None:
    """The EXIF block of a PNG that stands behind the pixels, where a reader of headers does not come by."""
    place = file.tell()
    try:
        file.seek(0, io.SEEK_END)
        file.seek(max(0, file.tell() - 8192))
        tail = file.read()
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
