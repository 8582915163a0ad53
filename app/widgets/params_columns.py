"""Cards side by side in one or two columns, by the width there is."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app import theme

TWO_COLUMNS_PX = 820


class Columns(QHBoxLayout):
    """Deals cards to its columns in order, each to the shorter one."""

    def __init__(self) -> None:
        super().__init__()
        self._stacks = [QVBoxLayout(), QVBoxLayout()]
        self._arranged: tuple[tuple[QWidget, ...], ...] = ()
        self.setSpacing(theme.SPACE_M)
        for stack in self._stacks:
            stack.setSpacing(theme.SPACE_M)
            self.addLayout(stack, 1)

    def deal(self, cards: Mapping[QWidget, int], width: int) -> None:
        """Arrange cards.

        Args:
            cards: Each card that is shown, in order, and about how high it is compared with the others.
            width: What there is, in pixels.
        """
        count = 2 if width >= TWO_COLUMNS_PX else 1
        columns: list[list[QWidget]] = [[] for _ in range(count)]
        heights = [0] * count
        for card, height in cards.items():
            shortest = heights.index(min(heights))
            columns[shortest].append(card)
            heights[shortest] += height
        arranged = tuple(tuple(column) for column in columns)
        if arranged == self._arranged:
            return
        # A card's item must end before it gets another: only the first one hears when the card wants more room.
        for stack in self._stacks:
            for card in (card for column in self._arranged for card in column):
                stack.removeWidget(card)
            while stack.count():
                stack.takeAt(0)
        self._arranged = arranged
        for stack, column in zip(self._stacks, arranged, strict=False):
            for card in column:
                stack.addWidget(card)
        for stack in self._stacks:
            stack.addStretch(1)
        self.setStretch(1, 1 if count == 2 else 0)
        self.setSpacing(theme.SPACE_M if count == 2 else 0)
