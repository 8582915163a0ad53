"""Taggers in the form of cella110n's cl_tagger, first version: an ONNX model and tag_mapping.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from core.tagging.onnx_session import Form, open_model
from core.tagging.onnx_tagger import OnnxTagger
from core.tagging.pixels import smooth_square
from core.tagging.tag_files import CSV, MAPPING, check_count, read_mapping

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

MODEL, OPTIMIZED_MODEL = "model.onnx", "model_optimized.onnx"


@dataclass(slots=True)
class CLTagger(OnnxTagger):
    """A loaded tagger.

    The model takes [B, 3, size, size] float32 in BGR, -1 to 1, and gives [B, tags] logits in the order of the numbers
    in the list. Besides general tags, characters and ratings it knows series, artists, quality and what made a picture.
    """

    name: ClassVar[str] = "cl_tagger"
    title: ClassVar[str] = "cl_tagger"

    @classmethod
    def fits(cls, folder: Path) -> bool:
        """Whether its own files are there, and not the list of a WD tagger."""
        has_own = (folder / MAPPING).exists() or (folder / OPTIMIZED_MODEL).exists()
        return has_own and not (folder / CSV).exists()

    @classmethod
    def load(cls, folder: Path) -> CLTagger:
        """Load model and list of tags, on the fastest device that truly works.

        Raises:
            UserError: One of the files is missing or damaged, or they do not belong together.
        """
        labels = read_mapping(folder / MAPPING)
        optimized = folder / OPTIMIZED_MODEL
        path = optimized if optimized.exists() and not (folder / MODEL).exists() else folder / MODEL
        model = open_model(path, Form("NCHW", low=-1, high=1, gives_logits=True))
        check_count(path, folder / MAPPING, model.num_scores, len(labels))
        return cls(model, labels)

    def prepared(self, image: Image) -> NDArray[np.float32]:
        """[3, size, size] in BGR, -1 to 1, on a white square."""
        return smooth_square(image, self.model.size)


TAGGER = CLTagger
