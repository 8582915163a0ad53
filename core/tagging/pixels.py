"""The picture as taggers want it: a square on white, resized the way they were trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

WHITE = 255
_STRIP_PIXELS = 4_000_000


def tagger_square(image: Image, size: int) -> NDArray[np.uint8]:
    """[size, size, 3] in BGR, 0 to 255: the whole picture in the middle of a white square.

    Larger squares are averaged over areas and smaller ones interpolated by cubics, with OpenCV's definitions of both
    (`INTER_AREA`, `INTER_CUBIC`), which the published taggers use. Pillow's filters give other pixels.

    Args:
        image: RGB.
        size: Side of the square, in pixels.
    """
    import numpy as np

    pixels = np.asarray(image)[:, :, ::-1]
    height, width = pixels.shape[:2]
    side = max(height, width)
    resize = _area if side > size else _cubic
    if side == size:
        columns: NDArray[Any] = _padded(pixels, side)
        return np.ascontiguousarray(_padded(columns.transpose(1, 0, 2), side).transpose(1, 0, 2))
    rows = resize(pixels.reshape(height, width * 3), size, side).reshape(size, width, 3)
    columns = np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(width, size * 3)
    square = resize(columns, size, side).reshape(size, size, 3).transpose(1, 0, 2)
    # What ends on a half shall do so exactly, free of float32's noise. OpenCV rounds halves up when it halves a picture
    # and to even otherwise.
    exact = square.round(4)
    rounded = np.floor(exact + 0.5) if side == 2 * size else np.rint(exact)
    return np.ascontiguousarray(rounded.clip(0, 255).astype(np.uint8))


def smooth_square(image: Image, size: int) -> NDArray[np.float32]:
    """[3, size, size] in BGR, -1 to 1: the whole picture in the middle of a white square, resized by Pillow's cubics.

    The pixels are those of `resize` on the padded picture. It is padded and resized strip by strip, because the square
    around a panorama would be many times as large as the picture.

    Args:
        image: RGB.
        size: Side of the square, in pixels.
    """
    import numpy as np
    from PIL import Image as Pillow

    side = max(image.size)
    left, top = (side - image.width) // 2, (side - image.height) // 2
    rows = Pillow.new("RGB", (size, side), "white")
    height = max(1, _STRIP_PIXELS // side)
    for start in range(0, image.height, height):
        end = min(start + height, image.height)
        strip = Pillow.new("RGB", (side, end - start), "white")
        strip.paste(image.crop((0, start, image.width, end)), (left, 0))
        rows.paste(strip.resize((size, end - start), Pillow.Resampling.BICUBIC), (0, top + start))
    square = np.asarray(rows.resize((size, size), Pillow.Resampling.BICUBIC), np.float32)
    return np.ascontiguousarray((square[:, :, ::-1].transpose(2, 0, 1) / WHITE - 0.5) / 0.5)


def _padded(rows: NDArray[Any], side: int) -> NDArray[Any]:
    """`side` rows with these in the middle and white ones around them."""
    import numpy as np

    before = (side - len(rows)) // 2
    padding = [(before, side - len(rows) - before)] + [(0, 0)] * (rows.ndim - 1)
    return np.pad(rows, padding, constant_values=WHITE)


def _area(rows: NDArray[Any], size: int, side: int) -> NDArray[np.float32]:
    """[n, k] -> [size, k]: means over equal stretches of `side` rows, these in the middle and the others white.

    Adding row after row touches every pixel once, in the order of the memory; no padded copy is made, which for a
    panorama would be many times the picture.
    """
    import numpy as np

    count, stretch = len(rows), side / size
    before = (side - count) // 2
    means = np.empty((size, rows.shape[1]), np.float32)
    part = np.empty(rows.shape[1], np.float32)
    for index, mean in enumerate(means):
        low = min(max(index * stretch - before, 0.0), float(count))
        high = min(max((index + 1) * stretch - before, 0.0), float(count))
        first, last = int(np.ceil(low - 1e-6)), int(np.floor(high + 1e-6))  # Whole rows: first .. last - 1.
        if last >= first:
            np.add.reduce(rows[first:last], axis=0, dtype=np.float32, out=mean)
            if first - low > 1e-6:
                mean += np.multiply(rows[first - 1], np.float32(first - low), out=part)
            if high - last > 1e-6:
                mean += np.multiply(rows[last], np.float32(high - last), out=part)
        else:  # The stretch lies within one row; with `stretch` above 1 only at the edge of the picture.
            np.multiply(rows[last], np.float32(high - low), out=mean)
        white = stretch - (high - low)
        if white > 1e-6:
            mean += np.float32(WHITE * white)
    means *= np.float32(1 / stretch)
    return means


def _cubic(rows: NDArray[Any], size: int, side: int) -> NDArray[np.float64]:
    """[n, k] -> [size, k]: cubic interpolation (a = -0.75) of `side` rows, edges repeated."""
    import numpy as np

    square = _padded(rows, side).astype(np.float64)
    centre = (np.arange(size) + 0.5) * (side / size) - 0.5
    base = np.floor(centre).astype(np.intp)
    out = np.zeros((size, rows.shape[1]))
    for tap in (-1, 0, 1, 2):
        distance = np.abs(centre - base - tap)
        a = -0.75
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weight = np.where(distance <= 1, near, far)
        out += square[(base + tap).clip(0, side - 1)] * weight[:, None]
    return out
