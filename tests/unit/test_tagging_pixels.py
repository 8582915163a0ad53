"""The tagger's square holds the pixels of the reference procedure: OpenCV's area and cubic resizing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from core.tagging import pixels
from core.tagging.pixels import smooth_square, tagger_square

# The blue channel of `pattern(n, n)` as cv2.resize gives it: INTER_AREA for smaller, INTER_CUBIC for larger.
OPENCV = {
    (11, 3): [[120, 136, 134], [120, 121, 116], [120, 143, 136]],
    (8, 4): [[124, 121, 182, 115], [77, 166, 127, 88], [158, 83, 136, 125], [111, 128, 145, 98]],
    (4, 7): [
        [218, 127, 9, 6, 65, 101, 123],
        [249, 153, 27, 22, 85, 122, 145],
        [255, 174, 53, 52, 116, 157, 181],
        [135, 105, 71, 92, 149, 206, 243],
        [4, 37, 89, 137, 178, 215, 236],
        [22, 58, 116, 181, 201, 148, 103],
        [53, 83, 133, 208, 214, 95, 1],
    ],
}


def pattern(height: int, width: int) -> Image.Image:
    y, x, channel = np.ogrid[:height, :width, :3]
    return Image.fromarray(((y * 37 + x * 59 + channel * 101 + x * y * 7) % 256).astype(np.uint8))


def reference_square(image: Image.Image, size: int) -> np.ndarray:
    """The procedure as it is described: pad a copy to a white square, then weigh its rows, then its columns.

    Returns:
        [size, size, 3] BGR, not rounded yet.
    """
    width, height = image.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    pixels = np.asarray(square)[:, :, ::-1].astype(np.float64)
    rows = np.stack([weighed(pixels, row, size) for row in range(size)])
    columns = rows.transpose(1, 0, 2)
    return np.stack([weighed(columns, column, size) for column in range(size)], axis=1).clip(0, 255)


def weighed(rows: np.ndarray, index: int, size: int) -> np.ndarray:
    """One of `size` new rows: a mean over its area, or a cubic through its four neighbours."""
    side = len(rows)
    if side == size:
        return rows[index]
    if side > size:
        low, high = index * side / size, (index + 1) * side / size
        sources = np.arange(int(low), min(side, int(np.ceil(high - 1e-9))))
        weights = (np.minimum(high, sources + 1) - np.maximum(low, sources)) / (side / size)
    else:
        centre, a = (index + 0.5) * side / size - 0.5, -0.75
        sources = np.floor(centre) + np.arange(-1, 3)
        d = np.abs(centre - sources)
        inner, outer = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        weights, sources = np.where(d <= 1, inner, outer), sources.clip(0, side - 1).astype(int)
    return np.tensordot(weights, rows[sources], axes=1)


@pytest.mark.parametrize(("side", "size"), OPENCV)
def test_the_pixels_of_opencv(side: int, size: int) -> None:
    assert tagger_square(pattern(side, side), size)[:, :, 0].tolist() == OPENCV[side, size]


SIZES = [(100, 60), (60, 100), (33, 32), (31, 200), (16, 16), (32, 32), (7, 9), (1, 1), (1, 300), (64, 64), (47, 48)]


@pytest.mark.parametrize("size", [16, 32, 48])
@pytest.mark.parametrize("image_size", SIZES)
def test_the_pixels_of_the_description(image_size: tuple[int, int], size: int) -> None:
    image = pattern(*image_size)
    square = tagger_square(image, size)
    assert square.shape == (size, size, 3) and square.dtype == np.uint8 and square.flags.c_contiguous
    assert np.abs(square - reference_square(image, size)).max() <= 0.5 + 1e-3


def test_blue_comes_first_and_the_rest_is_white() -> None:
    square = tagger_square(Image.new("RGB", (40, 20), (10, 20, 30)), 20)
    assert square[10, 10].tolist() == [30, 20, 10]
    assert square[0, 0].tolist() == square[19, 19].tolist() == [255, 255, 255]
    assert (square[:5] == 255).all() and (square[15:] == 255).all() and (square[5:15] == (30, 20, 10)).all()


def test_a_panorama_needs_no_square_of_its_own_size() -> None:
    strip = Image.new("RGB", (60_000, 2), (0, 0, 0))  # Padded, it would take 10 GB.
    square = tagger_square(strip, 16)
    assert (square[:7] == 255).all() and (square[9:] == 255).all()


# --- Pillow's cubics ------------------------------------------------------------------------------------------------


def padded_and_resized(image: Image.Image, size: int) -> np.ndarray:
    """[size, size, 3] RGB, 0 to 255."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("strip_pixels", [100, 1000, 4_000_000])
@pytest.mark.parametrize("size", [16, 48])
@pytest.mark.parametrize("image_size", SIZES)
def test_the_pixels_of_pillow(
    image_size: tuple[int, int], size: int, strip_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "_STRIP_PIXELS", strip_pixels)
    image = pattern(*image_size)
    square = smooth_square(image, size)
    assert square.shape == (3, size, size) and square.dtype == np.float32 and square.flags.c_contiguous
    back = np.rint((square.astype(np.float64) * 0.5 + 0.5) * 255).astype(np.uint8).transpose(1, 2, 0)[:, :, ::-1]
    assert np.array_equal(back, padded_and_resized(image, size))


def test_a_smooth_square_goes_from_minus_one_to_one() -> None:
    square = smooth_square(Image.new("RGB", (40, 20), (0, 128, 255)), 20)
    assert square[:, 10, 10].tolist() == pytest.approx([1, 128 / 127.5 - 1, -1], abs=1e-6)
    assert (square[:, :4] == 1).all() and (square[:, 16:] == 1).all()


def test_a_smooth_panorama_needs_no_square_of_its_own_size() -> None:
    square = smooth_square(Image.new("RGB", (60_000, 2), (0, 0, 0)), 16)
    assert (square == 1).all()  # Two rows are too few to be seen.
