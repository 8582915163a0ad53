"""Captions side by side, as ChatGLM3 reads them: in chunks of about one length, with one row for all padding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from core.families.glm_tokens import LENGTH

if TYPE_CHECKING:
    from torch import Tensor

_ROWS_STEP = 8
"""Rows of a chunk are a multiple of it, which suits every device's kernels."""
_LEAST_SHARE = 0.75
"""Of the rows of a chunk that a caption in it needs; shorter ones are computed apart."""


@dataclass(frozen=True, slots=True)
class TextRead:
    """What the encoder says of one caption, on the CPU.

    `rows` are [r, D], of the layer before the last: one for all padding, unless there is none, then one per token.
    `last` is [D], the last token of the last layer.
    """

    rows: Tensor
    last: Tensor


def with_padding(rows: Tensor) -> Tensor:
    """[256, D] all rows of a caption: that of the padding as often as it stands in front of the tokens."""
    missing = LENGTH - len(rows)
    return torch.cat([rows[:1].expand(missing, -1), rows]) if missing else rows


@dataclass(slots=True)
class Chunk:
    """Captions that are computed side by side, each behind its padding.

    Attributes:
        numbers: Which captions.
        lengths: Their tokens.
        ids: [B, rows] on the CPU.
        positions: [B, rows] of the tokens, 0 for padding.
        mask: [B, 1, rows, rows] added to the scores of the attention.
        hidden: [rows, B, D] behind the layer before.
    """

    numbers: list[int]
    lengths: list[int]
    ids: Tensor
    positions: Tensor
    mask: Tensor
    hidden: Any = None

    @property
    def num_tokens(self) -> int:
        """Tokens of all captions."""
        return sum(self.lengths)

    def finished(self, before: Tensor, dtype: torch.dtype) -> dict[int, TextRead]:
        """What was read, when `hidden` is behind the last layer and `before` in front of it."""
        prompt, last = before.cpu().to(dtype), self.hidden[-1].cpu().to(dtype)
        rows = len(prompt)
        self.hidden = None
        return {
            number: TextRead(prompt[rows - min(length + 1, LENGTH) :, index].clone(), last[index].clone())
            for index, (number, length) in enumerate(zip(self.numbers, self.lengths, strict=True))
        }


def chunk_of(tokens: Mapping[int, Sequence[int]]) -> Chunk:
    """Put captions side by side.

    Args:
        tokens: Ids of each, without padding, by number.
    """
    numbers = list(tokens)
    lengths = [len(ids) for ids in tokens.values()]
    rows = rows_for(max(lengths))
    ids = torch.zeros(len(numbers), rows, dtype=torch.long)
    positions = torch.zeros(len(numbers), rows, dtype=torch.long)
    mask = torch.full((len(numbers), 1, rows, rows), -math.inf)
    for index, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
        padding = rows - length
        ids[index, padding:] = torch.tensor(tokens[number])
        positions[index, padding:] = torch.arange(length)
        # A token sees itself and those before it; padding sees everything, and padding as often as it would be there.
        mask[index, 0, padding:, padding:] = torch.full((length, length), -math.inf).triu(1)
        mask[index, 0, :padding] = 0
        if padding:
            mask[index, 0, :padding, :padding] = math.log((LENGTH - length) / padding)
    return Chunk(numbers, lengths, ids, positions, mask)


def groups_of(lengths: Mapping[int, int], chunk_rows: int, group_rows: int) -> list[list[list[int]]]:
    """Captions from the longest to the shortest, in chunks of not too different lengths, and chunks in groups.

    Args:
        lengths: Number of a caption -> its tokens.
        chunk_rows: Most rows that go through a layer together.
        group_rows: Most rows for which layers are read once.
    """
    groups: list[list[list[int]]] = []
    rows = in_chunk = in_group = 0
    for number in sorted(lengths, key=lambda number: (-lengths[number], number)):
        is_far_shorter = lengths[number] + 1 < _LEAST_SHARE * rows
        if not groups or in_group + rows > group_rows:
            groups.append([])
            in_group = 0
        if not groups[-1] or is_far_shorter or in_chunk + rows > chunk_rows:
            groups[-1].append([])
            rows, in_chunk = rows_for(lengths[number]), 0
        groups[-1][-1].append(number)
        in_chunk += rows
        in_group += rows
    return groups


def rows_for(length: int) -> int:
    """Rows of a caption of so many tokens: these and one for the padding, unless there is none."""
    return min(LENGTH, -(-(length + 1) // _ROWS_STEP) * _ROWS_STEP)
