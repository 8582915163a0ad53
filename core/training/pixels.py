"""A picture as the VAE sees it, for one showing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from core.dataset.fitting import fit_image
from core.dataset.images import load_image

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from core.training.data import Example

Colours = tuple[float, float, float]


def pixels_of(example: Example, *, mirrored: bool, colours: Colours | None = None) -> Tensor:
    """The picture as the VAE sees it: [3, H, W] float32 in [-1, 1].

    Args:
        example: What to show, by its plan.
        mirrored: Whether left and right are exchanged.
        colours: Factors on brightness, contrast and colour; 1 leaves each.

    Raises:
        UserError: The picture cannot be read.
    """
    import numpy as np
    from PIL import ImageOps

    image = fit_image(load_image(example.record), example.plan)
    if mirrored:
        image = ImageOps.mirror(image)
    if colours is not None:
        image = _coloured(image, colours)
    array = np.asarray(image, dtype=np.float32) / 127.5 - 1.0
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def _coloured(image: Image, colours: Colours) -> Image:
    from PIL import ImageEnhance

    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind, factor in zip(kinds, colours, strict=True):
        image = kind(image).enhance(factor)
    return image
