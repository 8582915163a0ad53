"""What SDXL is told of how a picture came to its size, against examples counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.dataset.edits import Crop, PictureEdits
from core.dataset.fitting import FitOptions, FitPlan, plans_of
from core.dataset.records import ImageRecord
from core.families.base import Sizes
from core.families.sdxl import FAMILY
from core.training.data import Example, Shown
from core.training.sizes import sizes_of

SQUARE = FitOptions(resolution=1024, fit="crop")


def example(plan: FitPlan) -> Example:
    record = ImageRecord(path=Path("a.png"), size_px=plan.source_px, caption_path=Path("a.txt"))
    return Example(record=record, plan=plan, repeats=1, caption="")


def sizes(plan: FitPlan, *, mirrored: bool = False, place: tuple[float, float] | None = None) -> Sizes:
    return sizes_of(example(plan), Shown(0, mirrored=mirrored, caption="", place=place))


def test_what_a_square_cuts_off_is_told_in_pixels_of_the_scaled_picture() -> None:
    (plan,) = plans_of((1200, 800), SQUARE)
    # 800 px become 1024: 1200 px become 1536, of which 512 are cut off, half of them at the left.
    assert sizes(plan) == Sizes((1200, 800), (256, 0), (1024, 1024))
    (plan,) = plans_of((800, 1200), SQUARE)
    assert sizes(plan) == Sizes((800, 1200), (0, 256), (1024, 1024))


def test_buckets_cut_off_little() -> None:
    (plan,) = plans_of((1000, 700), FitOptions(resolution=1024, fit="buckets"))
    # 1000 px become 1216, so 700 px become 851.2, of which 19.2 are cut off.
    assert sizes(plan) == Sizes((1000, 700), (0, 10), (1216, 832))


@pytest.mark.parametrize(("mirrored", "place", "left"), [(False, 0.25, 128), (True, 0.25, 384), (True, 1.0, 0)])
def test_a_crop_by_chance_is_told_where_it_is_and_of_a_mirrored_picture_the_other_side(
    mirrored: bool, place: float, left: int
) -> None:
    (plan,) = plans_of((1200, 800), SQUARE)
    assert sizes(plan, mirrored=mirrored, place=(place, 0.5)).crop_px == (left, 0)


def test_a_padded_picture_is_not_cropped() -> None:
    (plan,) = plans_of((1200, 800), FitOptions(resolution=1024, fit="pad"))
    assert plan.is_padded
    assert sizes(plan) == Sizes((1200, 800), (0, 0), (1024, 1024))


def test_a_crop_of_the_users_is_a_picture_of_its_own() -> None:
    edits = PictureEdits(crops=(Crop(box=(100, 50, 700, 650)), Crop(box=(600, 0, 1200, 400))))
    whole, cut = plans_of((1200, 800), SQUARE, edits)
    assert sizes(whole) == Sizes((600, 600), (0, 0), (1024, 1024))
    # 400 px become 1024, so 600 px become 1536.
    assert sizes(cut) == Sizes((600, 400), (256, 0), (1024, 1024))
    assert sizes(cut, mirrored=True, place=(0.0, 0.5)).crop_px == (512, 0)


def test_a_turned_picture_has_the_size_that_is_seen() -> None:
    (plan,) = plans_of((800, 1200), SQUARE, PictureEdits(turn=90))
    assert sizes(plan) == Sizes((1200, 800), (256, 0), (1024, 1024))


def test_sdxl_is_told_height_before_width_and_top_before_left() -> None:
    told = FAMILY.describe_sizes([Sizes((1200, 800), (256, 7), (1024, 768)), Sizes((1, 2), (3, 4), (5, 6))])
    assert list(told) == ["time_ids"]
    expected = torch.tensor([[800.0, 1200.0, 7.0, 256.0, 768.0, 1024.0], [2.0, 1.0, 4.0, 3.0, 6.0, 5.0]])
    assert torch.equal(told["time_ids"], expected)
