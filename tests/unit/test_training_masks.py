"""How much each place of a picture counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from core.config import DatasetConfig
from core.dataset.fitting import FitPlan, plan_fit
from core.dataset.masks import mask_path
from core.dataset.records import ImageRecord
from core.dataset.scan import scan_folder
from core.training.masks import content_mask, picture_mask


def record_of(path: Path, size_px: tuple[int, int]) -> ImageRecord:
    return ImageRecord(path=path, size_px=size_px, caption_path=path.with_suffix(".txt"))


def test_a_mask_is_the_share_of_each_cell_that_shows_the_picture() -> None:
    plan = FitPlan((64, 48), (64, 64), (0.0, -8.0, 64.0, 56.0))
    assert plan.content_px == (0, 8, 64, 56)
    mask = content_mask(plan, (8, 8), mirrored=False)
    assert mask[:, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    halves = content_mask(FitPlan((64, 56), (64, 64), (0.0, -4.0, 64.0, 60.0)), (8, 8), mirrored=False)
    assert halves[:, 3].tolist() == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.5])


def test_the_mask_of_a_mirrored_picture_is_mirrored() -> None:
    plan = FitPlan((48, 64), (64, 64), (0.0, 0.0, 64.0, 64.0))  # All that is filled in is on the right.
    plain, mirrored = (content_mask(plan, (8, 8), mirrored=flag) for flag in (False, True))
    assert plain[0].tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    assert torch.equal(mirrored, plain.flip(1))


@pytest.fixture
def half(tmp_path: Path) -> ImageRecord:
    """A picture of 64 x 64 with a mask file that lets its left half count, and that is transparent on the right."""
    path = tmp_path / "图 a.png"
    picture = Image.new("RGBA", (64, 64), "red")
    picture.paste((0, 0, 255, 0), (32, 0, 64, 64))
    picture.save(path)
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    mask.save(mask_path(path))
    return record_of(path, (64, 64))


@pytest.mark.parametrize("kind", ["alpha", "files"])
def test_what_a_mask_leaves_out_counts_a_little(half: ImageRecord, kind: str) -> None:
    config = DatasetConfig(masks=kind, unmasked_weight=0.1)  # type: ignore[arg-type]
    mask = picture_mask(half, plan_fit((64, 64), (64, 64)), config, (8, 8), mirrored=False)
    assert mask is not None
    assert mask[3].tolist() == pytest.approx([1] * 4 + [0.1] * 4)
    mirrored = picture_mask(half, plan_fit((64, 64), (64, 64)), config, (8, 8), mirrored=True)
    assert mirrored is not None and torch.equal(mirrored, mask.flip(1))


def test_a_mask_is_cut_like_its_picture(half: ImageRecord) -> None:
    config = DatasetConfig(masks="files", unmasked_weight=0.0)
    plan = FitPlan((64, 64), (32, 32), (16.0, 0.0, 48.0, 32.0))  # The mask ends in the middle of it.
    mask = picture_mask(half, plan, config, (4, 4), mirrored=False)
    assert mask is not None and mask[0].tolist() == pytest.approx([1, 1, 0, 0])


def test_a_smaller_mask_stands_for_the_whole_picture(half: ImageRecord) -> None:
    Image.open(mask_path(half.path)).resize((16, 16)).save(mask_path(half.path))
    config = DatasetConfig(masks="files", unmasked_weight=0.0)
    mask = picture_mask(half, plan_fit((64, 64), (64, 64)), config, (8, 8), mirrored=False)
    assert mask is not None and mask[0, 0] == 1 and mask[0, 7] == 0


def test_a_picture_without_a_mask_counts_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGB", (64, 64), "red").save(path)
    for kind in ("alpha", "files"):
        config = DatasetConfig(masks=kind)  # type: ignore[arg-type]
        assert (
            picture_mask(record_of(path, (64, 64)), plan_fit((64, 64), (64, 64)), config, (8, 8), mirrored=False)
            is None
        )


def test_masks_are_no_pictures_to_train(half: ImageRecord) -> None:
    assert [record.path.name for record in scan_folder(half.path.parent).records] == [half.path.name]
