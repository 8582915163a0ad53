"""Small folders of pictures and configs for real runs on the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from core.config import TrainConfig, validated, with_values
from tests.tiny.models import SIZE_PX

COLOURS = ["#d23440", "#3b66c4", "#57a862", "#efcb4d", "#8a5fbe", "#6fd3d8"]


def make_pictures(folder: Path, number: int = 4, *, captions: bool = True) -> Path:
    """Pictures of several shapes with captions, under names that are hard on software."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        size = [(96, 96), (120, 80), (80, 128)][index % 3]
        image = Image.new("RGB", size, COLOURS[index % len(COLOURS)])
        ImageDraw.Draw(image).ellipse((10, 10, 60 + 5 * index, 60), fill=COLOURS[(index + 1) % len(COLOURS)])
        stem = f"截图 {index} 😀"
        image.save(folder / f"{stem}.png")
        if captions:
            (folder / f"{stem}.txt").write_text(f"miru, 1girl, ball {index}", encoding="utf-8")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make_pictures(tmp_path / "我的 图片 😀")


@pytest.fixture
def make_config(tiny_sd1: Path, pictures: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """A config of 4 steps per epoch on the tiny model; keyword `section__name` changes an option."""

    def make(**changes: object) -> TrainConfig:
        config = validated(
            {
                "model": {"base": tiny_sd1},
                "dataset": {"folder": pictures, "resolution": SIZE_PX, "bucket_step": 16, "repeats": 1, "fit": "crop"},
                "network": {"rank": 4, "alpha": 4.0},
                "training": {"epochs": 2, "batch_size": 1, "device": "cpu"},
                "optimizer": {"learning_rate": 1e-2, "text_encoder_learning_rate": 1e-2},
                "sampling": {"width": SIZE_PX, "height": SIZE_PX, "denoising_steps": 2, "guidance": 2.0},
                "output": {"folder": tmp_path / "输出 out", "name": "miru", "state_every_n_steps": 3},
            }
        )
        return with_values(config, {key.replace("__", ".", 1): value for key, value in changes.items()})

    return make
