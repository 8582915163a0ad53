"""How much each place of a picture counts in the loss: what is filled in never, what a mask leaves out a little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from core.dataset.fitting import fit_image
from core.dataset.masks import mask_image

if TYPE_CHECKING:
    from torch import Tensor

    from core.config.model import DatasetConfig
    from core.dataset.fitting import FitPlan
    from core.dataset.records import ImageRecord


def picture_mask(
    record: ImageRecord, plan: FitPlan, config: DatasetConfig, size: tuple[int, int], *, mirrored: bool
) -> Tensor | None:
    """[h, w] how much the mask of a picture lets each cell count, or None when the picture has no mask.

    Args:
        record: The picture.
        plan: How it is shown.
        config: Where masks come from, and how much what they leave out counts.
        size: (w, h) cells that the target is divided into.
        mirrored: Whether it is shown mirrored.

    Raises:
        UserError: The mask cannot be read.
    """
    import numpy as np

    image = mask_image(record, config.masks)
    if image is None:
        return None
    values = np.array(fit_image(image.convert("RGB"), plan, is_mask=True).getchannel(0), dtype=np.float32) / 255
    mask = torch.from_numpy(values)
    width, height = size
    cells = mask.reshape(height, len(mask) // height, width, -1).mean(dim=(1, 3))
    counted = cells + (1 - cells) * config.unmasked_weight
    return counted.flip(1) if mirrored else counted


def content_mask(plan: FitPlan, size: tuple[int, int], *, mirrored: bool) -> Tensor:
    """[h, w] share of each cell that shows the picture and not what is filled in around it, 0 to 1.

    Args:
        plan: How the picture is shown.
        size: (w, h) cells that the target is divided into.
        mirrored: Whether it is shown mirrored.
    """
    left, top, right, bottom = plan.content_px
    if mirrored:
        left, right = plan.target_px[0] - right, plan.target_px[0] - left
    across = _covered(left / plan.target_px[0], right / plan.target_px[0], size[0])
    along = _covered(top / plan.target_px[1], bottom / plan.target_px[1], size[1])
    return along[:, None] * across[None, :]


def _covered(start: float, end: float, cells: int) -> Tensor:
    """[cells] share of each of equal cells between 0 and 1 that lies between two places."""
    edges = torch.arange(cells + 1, dtype=torch.float32) / cells
    covered = edges[1:].clamp(max=end) - edges[:-1].clamp(min=start)
    return (covered * cells).clamp(0, 1)
