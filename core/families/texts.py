"""Text encoders that are too large to be asked for one caption at a time: what their families offer besides."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from core.families.base import Conditioning, Parts


@dataclass(frozen=True, slots=True)
class TextsEncoded:
    """How far the encoding of many captions is: the share that is done, 0 to 1, and what was finished just now.

    `entries` has for each of these captions what `EncodesMany.unpacked` takes, on the CPU.
    """

    share: float
    entries: dict[str, Conditioning] = field(default_factory=dict)


@runtime_checkable
class EncodesMany(Protocol):
    """A family whose text encoder comes into memory for all captions at once, and is gone again afterwards."""

    def encode_many(self, parts: Parts, captions: Sequence[str]) -> Generator[TextsEncoded, None, None]:
        """Encode captions where `Parts.text_encoder` was moved to; its weights are there only meanwhile.

        Whoever stops asking frees them too.

        Args:
            parts: Hold the text encoder, which reads its weights itself.
            captions: All different.

        Raises:
            UserError: A weight is missing or damaged.
            RuntimeError: The memory is not enough.
        """

    def unpacked(self, entry: Conditioning) -> Conditioning:
        """What the denoiser is told about one caption, without the batch dimension, of how it is kept."""

    def texts_key(self, parts: Parts) -> str:
        """A hash of everything besides the caption that changes what is kept: encoder, tokenizer, way of computing."""
