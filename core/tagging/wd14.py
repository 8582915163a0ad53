"""Taggers of the WD 1.4 family by SmilingWolf, and all that keep its contract: model.onnx and selected_tags.csv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from core.tagging.onnx_session import Form, open_model
from core.tagging.onnx_tagger import OnnxTagger
from core.tagging.pixels import tagger_square
from core.tagging.tag_files import CSV, check_count, read_csv

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

MODEL = "model.onnx"


@dataclass(slots=True)
class WD14(OnnxTagger):
    """A loaded tagger.

    The model takes [B, size, size, 3] float32 in BGR, 0 to 255, and gives [B, tags] probabilities in the order of the
    rows of the CSV file; the sigmoid is inside.
    """

    name: ClassVar[str] = "wd14"
    title: ClassVar[str] = "WD 1.4"

    @classmethod
    def fits(cls, folder: Path) -> bool:
        """Whether one of the two files is there."""
        return (folder / MODEL).exists() or (folder / CSV).exists()

    @classmethod
    def load(cls, folder: Path) -> WD14:
        """Load model and list of tags, on the fastest device that truly works.

        Raises:
            UserError: One of the files is missing or damaged, or they do not belong together.
        """
        labels = read_csv(folder / CSV)
        model = open_model(folder / MODEL, Form("NHWC", low=0, high=255, gives_logits=False))
        check_count(folder / MODEL, folder / CSV, model.num_scores, len(labels))
        return cls(model, labels)

    def prepared(self, image: Image) -> NDArray[np.uint8]:
        """[size, size, 3] in BGR, on a white square."""
        return tagger_square(image, self.model.size)


TAGGER = WD14
