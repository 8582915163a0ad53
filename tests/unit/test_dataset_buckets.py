"""Buckets have the pixels that were asked for, pictures keep as much of themselves as possible."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from PIL import Image

from core.dataset.buckets import assign, bucket_sizes, shaped_size
from core.dataset.fitting import FitOptions, fit_image, plan_fit
from tests.pictures import CORNERS, corners, scene

GRID = list(itertools.product((64, 128, 500, 512, 768, 1024, 1536), (8, 16, 64, 256), (1.0, 1.5, 2.0, 4.0)))


@pytest.mark.parametrize(("resolution", "step", "max_aspect"), GRID)
def test_bucket_tables(resolution: int, step: int, max_aspect: float) -> None:
    sizes = bucket_sizes(resolution, step, max_aspect)
    assert sizes and len(set(sizes)) == len(sizes)
    assert {(height, width) for width, height in sizes} == set(sizes)
    for width, height in sizes:
        assert width * height <= resolution**2
        assert max(width, height) / min(width, height) <= max_aspect + 1e-6
        assert width % min(step, 8) == 0
        if resolution >= step:
            assert width % step == 0 and height % step == 0
        if resolution >= 4 * step:
            assert width * height >= 0.7 * resolution**2
    assert list(sizes) == sorted(sizes, key=lambda size: size[0] / size[1])
    if resolution % step == 0:
        assert (resolution, resolution) in sizes


def test_the_usual_table() -> None:
    assert bucket_sizes(512, 64, 2.0) == (
        (320, 640),
        (384, 640),
        (448, 576),
        (512, 512),
        (576, 448),
        (640, 384),
        (640, 320),
    )


def test_crops_have_one_size_of_the_asked_shape() -> None:
    assert FitOptions(resolution=500, fit="crop").sizes("crop") == ((500, 500),)
    assert FitOptions().sizes("buckets") == bucket_sizes(512, 64, 2.0)
    assert shaped_size(1024, "2:3") == (768, 1152) and shaped_size(1024, "3:2") == (1152, 768)


@pytest.mark.parametrize("resolution", [128, 512, 768, 1024])
@pytest.mark.parametrize("shape", ["4:5", "3:4", "2:3", "9:16", "5:4", "4:3", "3:2", "16:9"])
def test_shapes_are_met_on_the_grid(resolution: int, shape: str) -> None:
    step = 16 if resolution == 128 else 64
    width, height = shaped_size(resolution, shape, step)
    across, along = map(int, shape.split(":"))
    assert width % step == height % step == 0
    assert 0.75 * resolution**2 <= width * height <= resolution**2
    assert (width / height) / (across / along) == pytest.approx(1, abs=0.13)


@pytest.mark.parametrize(("resolution", "step"), [(512, 64), (1024, 64), (128, 16), (512, 8)])
def test_pictures_go_where_most_of_them_remains(resolution: int, step: int) -> None:
    sizes = bucket_sizes(resolution, step, 2.0)
    dice = random.Random(0)
    for _ in range(500):
        picture = (dice.randint(1, 4000), dice.randint(1, 4000))
        chosen = assign(picture, sizes)
        lost = plan_fit(picture, chosen).cropped_share
        assert all(lost <= plan_fit(picture, other).cropped_share + 1e-9 for other in sizes)
        if 0.5 <= picture[0] / picture[1] <= 2:
            assert lost < (0.13 if step * 8 <= resolution else 0.35)
    assert assign((1000, 1000), sizes) == (resolution, resolution)
    for size in sizes:
        assert assign((size[0] * 3, size[1] * 3), sizes) == size


def test_the_box_lies_inside_has_the_shape_and_is_centred() -> None:
    dice = random.Random(1)
    for _ in range(1000):
        picture = (dice.randint(1, 5000), dice.randint(1, 5000))
        target = (dice.randint(1, 40) * 32, dice.randint(1, 40) * 32)
        plan = plan_fit(picture, target)
        left, top, right, bottom = plan.box
        assert -1e-9 <= left < right <= picture[0] + 1e-9 and -1e-9 <= top < bottom <= picture[1] + 1e-9
        assert (right - left) / (bottom - top) == pytest.approx(target[0] / target[1])
        assert left == pytest.approx(picture[0] - right, abs=1e-6) and top == pytest.approx(
            picture[1] - bottom, abs=1e-6
        )
        # One side is used in full: nothing is cut that need not be.
        assert right - left == pytest.approx(picture[0]) or bottom - top == pytest.approx(picture[1])
        assert plan.cropped_share == pytest.approx(1 - (right - left) * (bottom - top) / (picture[0] * picture[1]))
        assert plan.is_upscaled == (right - left < target[0] - 1e-3)
        assert not plan.is_padded


@pytest.mark.parametrize("size", [(96, 64), (640, 480), (333, 1000), (1, 1), (3000, 2)])
@pytest.mark.parametrize("target", [(64, 64), (128, 64), (64, 192)])
def test_fitted_pictures_have_exactly_the_size(size: tuple[int, int], target: tuple[int, int]) -> None:
    assert fit_image(scene(size), plan_fit(size, target)).size == target


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    picture = scene()
    assert np.array_equal(np.asarray(fit_image(picture, plan_fit(picture.size, picture.size))), np.asarray(picture))


@pytest.mark.parametrize("scale", [3, 0.5])
def test_the_whole_scene_is_still_there(scale: float) -> None:
    target = (int(96 * scale), int(64 * scale))
    fitted = fit_image(scene(), plan_fit(scene().size, target))
    assert np.abs(np.array(corners(fitted)) - np.array(CORNERS)).max() <= 8


def test_cropping_takes_from_both_ends() -> None:
    strip = Image.new("RGB", (300, 100), "red")
    strip.paste((0, 255, 0), (100, 0, 200, 100))
    middle = np.asarray(fit_image(strip, plan_fit(strip.size, (100, 100))))
    assert (middle == (0, 255, 0)).all()
    assert plan_fit((300, 100), (100, 100)).box == (100, 0, 200, 100)
