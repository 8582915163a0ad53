"""Options under one heading in a card of the full form."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app import theme
from app.widgets.card import label
from app.widgets.params_row import FieldRow
from core.config.groups import Group


class GroupBox(QWidget):
    """The rows of a group under its heading."""

    def __init__(self, group: Group, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.group = group
        self.heading = label(role="group")
        self.heading.setVisible(bool(group.title))
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, theme.SPACE_M if group.title else 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(self.heading)
        self._names: list[str] = []

    def add(self, row: FieldRow) -> None:
        """Put a row in its place among those that are there."""
        order = self.group.names.index
        place = sum(order(name) < order(row.spec.name) for name in self._names)
        self._names.insert(place, row.spec.name)
        self._column.insertWidget(1 + place, row)
