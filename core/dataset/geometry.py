"""Sizes and boxes of pictures."""

from __future__ import annotations

Size = tuple[int, int]
"""(width, height) in pixels."""

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels of the upright picture; right and bottom are not inside any more."""
