"""Pictures and captions as they lie in people's folders: good ones, odd ones that must work, hostile ones that cannot.

All are made here, small and the same every time.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Maker = Callable[[Path], object]

# The corners of `scene`: top left, top right, bottom left, bottom right.
CORNERS = ((200, 30, 30), (30, 160, 40), (40, 60, 210), (230, 200, 20))


def scene(size: tuple[int, int] = (96, 64), seed: int = 0) -> Image.Image:
    """An RGB picture with soft colours in the middle and a plain block of its own colour in each corner."""
    width, height = size
    low = np.random.default_rng(seed).integers(60, 200, (3, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(low).resize(size, Image.Resampling.BICUBIC)
    block = (max(1, width // 3), max(1, height // 3))
    for colour, x, y in zip(
        CORNERS, (0, width - block[0]) * 2, (0, 0, height - block[1], height - block[1]), strict=True
    ):
        picture.paste(colour, (x, y, x + block[0], y + block[1]))
    return picture


def corners(picture: Image.Image) -> list[tuple[int, int, int]]:
    """The colours in the four corners of an RGB picture, ordered as in `CORNERS`."""
    width, height = picture.size
    x, y = max(1, width // 12), max(1, height // 12)
    right, bottom = width - 1 - x, height - 1 - y
    return [picture.getpixel(at) for at in ((x, y), (right, y), (x, bottom), (right, bottom))]


def save(path: Path, picture: Image.Image | None = None, **options: object) -> Path:
    """Write a picture (`scene()` by default) in the format of its ending; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture or scene()).save(path, **options)
    return path


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a picture in a format such as `JPEG`."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


# --- odd, but to be read like any other -----------------------------------------------------------------------------


def exif(orientation: int) -> bytes:
    """A block of EXIF data with nothing but an orientation, 1 to 8."""
    return b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, orientation, 0)


_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def rotated(path: Path, orientation: int) -> None:
    """`scene()` as a camera stores it that was held another way; with its orientation it is `scene()` again."""
    turn = _STORED.get(orientation)
    save(path, scene() if turn is None else scene().transpose(turn), exif=exif(orientation))


def rotated_png_with_late_exif(path: Path) -> None:
    """Orientation 6, in a PNG that has it behind the pixels."""
    data = encoded(scene().transpose(Image.Transpose.ROTATE_90), "PNG")
    block = exif(6)[6:]
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    path.write_bytes(data[:-12] + chunk + data[-12:])


def transparent_png(path: Path) -> None:
    """RGBA; the left half is fully transparent over black, the right half opaque."""
    picture = scene().convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 48, 64))
    save(path, picture)


def grey_alpha_png(path: Path) -> None:
    """LA; the left half is fully transparent over black."""
    picture = scene().convert("LA")
    picture.paste((0, 0), (0, 0, 48, 64))
    save(path, picture)


def palette_png(path: Path) -> None:
    """Palette without transparency."""
    save(path, scene().quantize(64))


def palette_transparent_png(path: Path) -> None:
    """Palette with an alpha per entry; the left half is transparent."""
    picture = scene().quantize(32)
    picture.putpalette([*(picture.getpalette() or [])[:96], 0, 0, 0])
    picture.paste(32, (0, 0, 48, 64))
    save(path, picture, transparency=bytes([255] * 32 + [0]))


def cmyk_jpeg(path: Path) -> None:
    """CMYK, as print shops send it."""
    save(path, scene().convert("CMYK"), quality=95, subsampling=0)


def sixteen_bit_png(path: Path) -> None:
    """Greyscale with 16 bits: a ramp from 0 at the left to 65535 at the right."""
    ramp = np.linspace(0, 65535, 96).round().astype(np.uint16)
    save(path, Image.fromarray(np.tile(ramp, (64, 1))))


def sixteen_bit_colour_png(path: Path) -> None:
    """RGB with 16 bits per channel, in which one colour stands for transparent; the left half has it."""
    values = np.asarray(scene()).astype(np.uint16) * 257
    values[:, :48] = (1000, 2000, 3000)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", 96, 64, 16, 2, 0, 0, 0))
        + _chunk(b"tRNS", struct.pack(">HHH", 1000, 2000, 3000))
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def grey_jpeg(path: Path) -> None:
    """Greyscale."""
    save(path, scene().convert("L"), quality=95)


def bilevel_bmp(path: Path) -> None:
    """Black and white, one bit per pixel."""
    save(path, scene().convert("1"))


def animated_gif(path: Path) -> None:
    """Three frames; the first is `scene()`."""
    save(path, scene(), save_all=True, append_images=[scene(seed=5), Image.new("RGB", (96, 64))], duration=50)


def animated_webp(path: Path) -> None:
    """Three frames; the first is `scene()`."""
    save(path, scene(), save_all=True, append_images=[scene(seed=5), Image.new("RGB", (96, 64))], lossless=True)


def animated_png(path: Path) -> None:
    """Three frames; the first is `scene()`."""
    save(path, scene(), save_all=True, append_images=[scene(seed=5), Image.new("RGB", (96, 64))])


def wrong_ending(path: Path) -> None:
    """A PNG, whatever its name says."""
    path.write_bytes(encoded(scene(), "PNG"))


def broken_exif_jpeg(path: Path) -> None:
    """A good picture whose EXIF data is garbage."""
    save(path, exif=b"Exif\0\0II*\0" + b"\xff" * 40)


def broken_profile_png(path: Path) -> None:
    """A good picture whose colour profile is garbage."""
    save(path, icc_profile=b"no profile" * 20)


def swapped_profile() -> bytes:
    """A colour profile in which the red and green primaries have changed places."""
    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    gamma = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    text = b"swapped\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + b"\0" * 79,
        b"cprt": b"text\0\0\0\0" + b"free\0\0\0\0",
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": xyz(green),
        b"gXYZ": xyz(red),
        b"bXYZ": xyz(blue),
        b"rTRC": gamma,
        b"gTRC": gamma,
        b"bTRC": gamma,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(">I", start + len(body)) + b"\0\0\0\0" + struct.pack(">I", 0x02400000) + b"mntrRGB XYZ "
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    header += struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def swapped_colours_png(path: Path) -> None:
    """Pure red in the file, pure green for the eye, because of its profile."""
    save(path, Image.new("RGB", (96, 64), (255, 0, 0)), icc_profile=swapped_profile())


# Name of the file -> how it is made. Every one is 96 x 64 for the eye, and no two share a caption file.
ODD: dict[str, Maker] = {
    **{f"turned_{number}.jpg": lambda path, number=number: rotated(path, number) for number in range(2, 9)},
    "turned_webp.webp": lambda path: rotated(path, 6),
    "turned_avif.avif": lambda path: rotated(path, 8),
    "turned_png.png": lambda path: rotated(path, 5),
    "turned_late.png": rotated_png_with_late_exif,
    "rgba.png": transparent_png,
    "la.png": grey_alpha_png,
    "palette.png": palette_png,
    "palette_rgba.png": palette_transparent_png,
    "cmyk.jpg": cmyk_jpeg,
    "grey16.png": sixteen_bit_png,
    "rgb16.png": sixteen_bit_colour_png,
    "grey.jpg": grey_jpeg,
    "bilevel.bmp": bilevel_bmp,
    "animated_gif.gif": animated_gif,
    "animated_webp.webp": animated_webp,
    "animated_png.png": animated_png,
    "really_a_png.jpg": wrong_ending,
    "broken_exif.jpg": broken_exif_jpeg,
    "broken_profile.png": broken_profile_png,
    "swapped_colours.png": swapped_colours_png,
    "SHOUTING.JPG": lambda path: path.write_bytes(encoded(scene(), "JPEG")),
    "plain_avif.avif": lambda path: save(path),
    "plain_bmp.bmp": lambda path: save(path),
    "lossy.webp": lambda path: save(path),
    "lossless.webp": lambda path: save(path, lossless=True),
    "角色 图片 01 🦊.png": lambda path: save(path),
}


# --- hostile: never to be used, always to be named ------------------------------------------------------------------


def zero_bytes(path: Path) -> None:
    """Nothing at all."""
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    """No picture, whatever the name says."""
    path.write_bytes(b"these are not the pixels you are looking for" * 20)


def all_zeros(path: Path) -> None:
    """What a crashed download or a full disk leaves."""
    path.write_bytes(b"\0" * 4096)


def web_page(path: Path) -> None:
    """An error page that was saved instead of the picture."""
    path.write_bytes(b"<!DOCTYPE html><html><body>404 Not Found</body></html>")


def heic(path: Path) -> None:
    """The beginning of a picture from a phone that was only renamed."""
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200)


def cut(path: Path, share: float = 0.6) -> None:
    """The first part of a picture in the format of the ending."""
    kind = {".jpg": "JPEG"}.get(path.suffix, path.suffix[1:].upper())
    data = encoded(scene((320, 240)), kind)
    path.write_bytes(data[: int(len(data) * share)])


def cut_header(path: Path) -> None:
    """The first twelve bytes of a picture."""
    cut(path, share=0)
    path.write_bytes(encoded(scene(), "PNG" if path.suffix == ".png" else "JPEG")[:12])


def bomb_png(path: Path) -> None:
    """30,000 x 30,000 pixels in a small file."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    row_bytes = 3751  # One bit per pixel, and one byte for the filter; all is well-formed.
    block = packer.compress(b"\0" * row_bytes * 300) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">HH", row_bytes * 30000 % 65521, 1)
    rows = b"\x78\x9c" + block * 100 + packer.flush() + checksum
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 1, 0, 0, 0, 0))
        + _chunk(b"IDAT", rows)
        + _chunk(b"IEND", b"")
    )


def bomb_webp(path: Path) -> None:
    """A header that promises 16,384 x 16,384 pixels."""
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xff\x3f\0" * 2
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def bomb_bmp(path: Path) -> None:
    """A header that promises 30,000 x 30,000 pixels."""
    path.write_bytes(
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 30000, 30000, 1, 24, 0, 0, 0, 0, 0, 0)
    )


# Name of the file -> how it is made. Its header alone tells that none of these is usable.
BAD_HEADER: dict[str, Maker] = {
    "zero_png.png": zero_bytes,
    "zero_jpg.jpg": zero_bytes,
    "garbage_png.png": garbage,
    "garbage_webp.webp": garbage,
    "zeros.jpg": all_zeros,
    "web_page.jpg": web_page,
    "heic.jpg": heic,
    "cut_header_png.png": cut_header,
    "cut_header_jpg.jpg": cut_header,
    "cut_webp.webp": cut,
    "bomb_png.png": bomb_png,
    "bomb_webp.webp": bomb_webp,
    "bomb_bmp.bmp": bomb_bmp,
    "cut_avif.avif": cut,
}

# These have a good header; only who decodes them notices.
BAD_PIXELS: dict[str, Maker] = {
    "cut_png.png": cut,
    "cut_jpg.jpg": cut,
    "cut_gif.gif": cut,
    "cut_bmp.bmp": cut,
}

HOSTILE: dict[str, Maker] = {**BAD_HEADER, **BAD_PIXELS}

GBK_CAPTION = "1girl, 长发, 蓝色眼睛"


def write_all(folder: Path, makers: dict[str, Maker]) -> list[Path]:
    """Make the files of a table in a folder; their paths, in the order of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in makers]
    for path, make in zip(paths, makers.values(), strict=True):
        make(path)
    return paths


def good_folder(folder: Path, number: int = 6, captions: bool = True) -> Path:
    """A folder of so many pictures of different shapes, `p00.png` to ..., each with a caption."""
    sizes = ((96, 64), (64, 96), (80, 80), (120, 60), (48, 48), (64, 160))
    for index in range(number):
        save(folder / f"p{index:02d}.png", scene(sizes[index % len(sizes)], seed=index))
        if captions:
            (folder / f"p{index:02d}.txt").write_text(f"1girl, number {index}", encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes, to compare before and after."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
