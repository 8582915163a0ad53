"""What all taggers have in common that are an ONNX model with a list of tags."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Literal

from core.tagging.base import Seen
from core.tagging.onnx_session import OnnxModel
from core.tagging.tag_files import Label, seen_in

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


@dataclass(slots=True)
class OnnxTagger(ABC):
    """A loaded model and the tag of each of its scores."""

    gives: ClassVar[Literal["tags", "sentence"]] = "tags"

    model: OnnxModel
    labels: list[Label]

    @property
    def device(self) -> str:
        """What it computes on."""
        return self.model.device

    @property
    def note(self) -> str:
        """Why it is not on the graphics card, or ""."""
        return self.model.note

    @property
    def batch_size(self) -> int:
        """Pictures per call; fewer than at first when the memory turned out too small."""
        return self.model.batch_size

    @property
    def parallel_calls(self) -> int:
        """Calls of `look` at once that serve the machine best."""
        return self.model.parallel_calls

    def look(self, images: Iterable[Image]) -> list[Seen]:
        """The tags of each picture (RGB) that reach `LEAST_SCORE`, the most certain first.

        Raises:
            UserError: The model failed, or the memory does not suffice.
        """
        import numpy as np

        seen: list[Seen] = []
        prepared = (self.prepared(image) for image in images)
        while batch := list(islice(prepared, self.batch_size)):
            scores = self.model.scores(np.stack(batch).astype(np.float32))
            seen.extend(seen_in(certain, self.labels) for certain in scores)
        return seen

    @abstractmethod
    def prepared(self, image: Image) -> NDArray[np.uint8] | NDArray[np.float32]:
        """A picture (RGB) in the form of the model."""
