"""Plans say what is shown of a picture, and pictures come out as planned."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from PIL import Image

from core.config import DatasetConfig
from core.dataset.edits import Crop, Fit, PictureEdits, Turn
from core.dataset.fitting import (
    FitOptions,
    FitPlan,
    fit_image,
    plans_of,
    turn_image,
    turned_box,
    turned_edits,
    turned_size,
)

SMART = FitOptions(resolution=512, fit="smart")
PAD = FitOptions(resolution=512, fit="pad")


def plan_of(size: tuple[int, int], options: FitOptions, **more: object) -> FitPlan:
    (plan,) = plans_of(size, options, **more)  # type: ignore[arg-type]
    return plan


def holds(plan: FitPlan, box: tuple[int, int, int, int]) -> bool:
    outer = plan.box
    slack = 1e-6
    return (
        outer[0] <= box[0] + slack
        and outer[1] <= box[1] + slack
        and outer[2] >= box[2] - slack
        and outer[3] >= box[3] - slack
    )


def test_boxes_have_the_shape_of_their_target_whatever_the_fit() -> None:
    dice = random.Random(3)
    for _ in range(500):
        size = (dice.randint(20, 4000), dice.randint(20, 4000))
        left, top = dice.randrange(size[0] - 10), dice.randrange(size[1] - 10)
        subject = (left, top, dice.randint(left + 1, size[0]), dice.randint(top + 1, size[1]))
        for fit, shape in product(("buckets", "smart", "crop", "pad"), ("1:1", "2:3", "16:9")):
            plan = plan_of(size, FitOptions(fit=fit, crop_shape=shape), subject=subject)
            width, height = plan.box[2] - plan.box[0], plan.box[3] - plan.box[1]
            assert width / height == pytest.approx(plan.target_px[0] / plan.target_px[1])
            assert 0 <= plan.cropped_share < 1 and plan.is_padded <= (fit in ("smart", "pad"))


def test_a_smart_crop_keeps_the_subject_whole_and_takes_all_it_can() -> None:
    dice = random.Random(4)
    for _ in range(500):
        size = (dice.randint(200, 4000), dice.randint(200, 4000))
        left, top = dice.randrange(size[0] - 50), dice.randrange(size[1] - 50)
        subject = (left, top, dice.randint(left + 20, size[0]), dice.randint(top + 20, size[1]))
        plan = plan_of(size, SMART, subject=subject)
        assert holds(plan, subject)
        side = plan.box[2] - plan.box[0]
        fits = max(subject[2] - subject[0], subject[3] - subject[1]) <= min(size)
        assert side == pytest.approx(min(size) if fits else max(subject[2] - subject[0], subject[3] - subject[1]))
        if fits:
            assert not plan.is_padded


def test_a_smart_crop_puts_the_subject_in_its_middle_where_there_is_room() -> None:
    assert plan_of((1000, 500), SMART, subject=(600, 100, 700, 400)).box == (400, 0, 900, 500)
    assert plan_of((1000, 500), SMART, subject=(900, 100, 1000, 400)).box == (500, 0, 1000, 500)
    assert plan_of((1000, 500), SMART, subject=None).box == (250, 0, 750, 500)


def test_a_subject_taller_than_the_crop_is_kept_whole_with_edges() -> None:
    plan = plan_of((1000, 500), FitOptions(fit="smart", crop_shape="2:3"), subject=(0, 0, 900, 400))
    assert holds(plan, (0, 0, 900, 400)) and plan.is_padded


def test_padding_shows_all_of_the_picture() -> None:
    plan = plan_of((1000, 500), PAD)
    assert plan.cropped_share == 0 and plan.content_px == (0, 128, 512, 384) and plan.is_padded
    square = plan_of((700, 700), PAD)
    assert not square.is_padded and square.content_px == (0, 0, 512, 512)


@pytest.mark.parametrize("edge", ["white", "grey", "black", "blur"])
def test_padding_leaves_the_picture_as_it_is(edge: str) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 512, 3), dtype=np.uint8))
    plan = plan_of(picture.size, FitOptions(fit="pad", edge=edge))  # type: ignore[arg-type]
    fitted = np.asarray(fit_image(picture, plan))
    assert fitted.shape == (512, 512, 3)
    assert np.array_equal(fitted[128:384], np.asarray(picture))
    ground = fitted[:120].reshape(-1, 3)
    if edge == "blur":
        assert ground.std() < np.asarray(picture).std() / 2 and 100 < ground.mean() < 155
    else:
        assert (ground == {"white": 255, "grey": 128, "black": 0}[edge]).all()


def test_a_crop_is_trained_instead_of_the_whole_and_each_of_several() -> None:
    edits = PictureEdits(crops=(Crop(box=(0, 0, 512, 512), name="face"), Crop(box=(100, 200, 868, 712))))
    plans = plans_of((1000, 1000), FitOptions(), edits)
    assert plans[0].box == (0, 0, 512, 512)
    assert plans[1].target_px[0] > plans[1].target_px[1]
    left, top, right, bottom = plans[1].box
    assert 100 <= left < right <= 868 and 200 <= top < bottom <= 712


def test_a_crop_of_a_picture_that_became_smaller_stays_inside() -> None:
    edits = PictureEdits(crops=(Crop(box=(400, 400, 900, 900)), Crop(box=(700, 700, 900, 900))))
    plans = plans_of((500, 500), FitOptions(), edits)
    assert plans[0].box == (400, 400, 500, 500) and plans[1].box == (0, 0, 500, 500)


@pytest.mark.parametrize("fit", ["buckets", "smart", "crop", "pad"])
@pytest.mark.parametrize("turn", [0, 90])
def test_what_lies_outside_of_a_crop_is_never_shown(fit: Fit, turn: Turn) -> None:
    """The crop has a shape that none of the targets has, and its subject fills it."""
    picture = Image.new("RGB", (400, 300), "red")
    box = (100, 50, 150, 250)
    picture.paste("blue", box)
    edits = PictureEdits(turn=turn, crops=(Crop(box=turned_box(box, picture.size, turn)),))
    options = FitOptions(resolution=128, bucket_step=16, fit=fit, edge="blur")
    plan = plan_of(picture.size, options, edits=edits, subject=(90, 40, 160, 260))
    shown = np.asarray(fit_image(picture, plan))
    assert (shown == (0, 0, 255)).all()
    assert plan.is_padded == (fit in ("smart", "pad"))
    left, top, right, bottom = plan.content_px
    long, short = max(right - left, bottom - top), min(right - left, bottom - top)
    assert (long, short) == (128, 32) if plan.is_padded else short > 32
    assert plan.cropped_share >= 1 - 50 * 200 / (400 * 300) - 1e-9


def test_a_crop_whose_box_is_the_whole_picture_is_still_filled_around() -> None:
    picture = Image.new("RGB", (64, 64), "red")
    picture.paste("blue", (16, 0, 48, 64))
    edits = PictureEdits(crops=(Crop(box=(16, 0, 48, 64)),))
    plan = plan_of(picture.size, FitOptions(resolution=64, bucket_step=16, fit="pad", edge="black"), edits=edits)
    assert plan.box == (0, 0, 64, 64) and plan.content_px == (16, 0, 48, 64)
    shown = np.asarray(fit_image(picture, plan))
    assert (shown[:, 16:48] == (0, 0, 255)).all() and not shown[:, :16].any() and not shown[:, 48:].any()


def test_crops_of_a_picture_that_became_smaller_turn_within_it() -> None:
    edits = PictureEdits(crops=(Crop(box=(400, 400, 900, 900)), Crop(box=(700, 700, 900, 900))))
    turned = turned_edits(edits, (500, 600), 90)
    assert [crop.box for crop in turned.crops] == [(0, 400, 200, 500), (0, 0, 600, 500)]
    assert PictureEdits.model_validate(turned.model_dump()) == turned


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_boxes_turn_with_the_picture(turn: Turn) -> None:
    picture = Image.new("RGB", (80, 50), "black")
    box = (10, 5, 40, 20)
    picture.paste("white", box)
    turned = turn_image(picture, turn)
    assert turned.size == turned_size(picture.size, turn)
    assert turned.convert("L").getbbox() == turned_box(box, picture.size, turn)


def test_a_turned_picture_is_fitted_upright() -> None:
    picture = Image.new("RGB", (600, 300), "black")
    picture.paste("white", (0, 0, 300, 300))  # Left half; a quarter turn clockwise brings it to the top.
    plan = plan_of(picture.size, FitOptions(fit="crop"), edits=PictureEdits(turn=90))
    assert plan.source_px == (300, 600)
    fitted = np.asarray(fit_image(picture, plan).convert("L"))
    assert fitted[:200].min() > 250 and fitted[-200:].max() < 5


def test_a_picture_may_have_a_fit_of_its_own() -> None:
    plan = plan_of((1000, 500), FitOptions(fit="buckets"), edits=PictureEdits(fit="pad"))
    assert plan.is_padded and plan.target_px == (512, 512)


def test_enlarging_is_flagged() -> None:
    assert plan_of((300, 300), FitOptions()).is_upscaled
    assert not plan_of((512, 512), FitOptions()).is_upscaled
    assert plan_of((2000, 1000), FitOptions(), edits=PictureEdits(crops=(Crop(box=(0, 0, 200, 200)),))).is_upscaled


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000), (3, 2)])
def test_odd_sizes_come_out_whole(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "red")
    for fit in ("buckets", "smart", "crop", "pad"):
        plan = plan_of(size, FitOptions(resolution=64, bucket_step=16, fit=fit), subject=(0, 0, 1, 1))
        assert fit_image(picture, plan).size == plan.target_px


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((300, 200), (256, 192)),  # Smaller than the resolution: its own size on the grid.
        ((600, 400), (576, 384)),
        ((2000, 1000), (640, 320)),  # Large enough: the bucket as ever.
        ((40, 30), (64, 64)),  # One step at the least.
        ((1000, 100), (192, 64)),  # No longer than the longest shape.
    ],
)
def test_small_pictures_are_not_enlarged_when_asked(size: tuple[int, int], expected: tuple[int, int]) -> None:
    plain, own = plan_of(size, FitOptions()), plan_of(size, FitOptions(no_upscale=True))
    assert own.target_px == expected
    assert own.is_upscaled is (size == (40, 30))
    assert own == plain or plain.is_upscaled
    assert FitOptions.of(DatasetConfig(no_upscale=True)).no_upscale


def test_a_box_moves_within_the_picture_or_the_part_that_may_be_shown() -> None:
    plan = plan_of((200, 100), FitOptions(fit="crop"))
    assert plan.box == (50, 0, 150, 100)
    assert plan.moved((0.0, 0.7)).box == (0, 0, 100, 100)
    assert plan.moved((1.0, 0.0)).box == (100, 0, 200, 100)
    assert plan.moved((0.5, 0.5)) == plan
    crop = PictureEdits(crops=(Crop(box=(20, 0, 180, 100)),))
    assert plan_of((200, 100), FitOptions(fit="crop"), edits=crop).moved((0.0, 0.0)).box == (20, 0, 120, 100)
    padded = plan_of((200, 100), FitOptions(fit="pad"))
    assert padded.moved((0.0, 0.0)) == padded
