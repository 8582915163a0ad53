"""The three parts of the Tagger page side by side; where there is less room, list and panels share a place."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from app import theme
from app.widgets.side_panel import SidePanel
from core.text import tr

OPTIONS_WIDTH, OPTIONS_WIDTH_NARROW = 320, 284
SIDE_WIDTH, LEAST_SIDE_WIDTH = 348, 300
LEAST_LIST_WIDTH = 260
NARROW = OPTIONS_WIDTH + LEAST_LIST_WIDTH + LEAST_SIDE_WIDTH + 2 * theme.SPACE_M
CAPTIONS, PICTURE, TRIGGER = "captions", "picture", "trigger"


class TaggerColumns(QWidget):
    """Options, list, and a column of panels."""

    def __init__(
        self, options: QWidget, results: QWidget, picture: QWidget, make_trigger: Callable[[], QWidget]
    ) -> None:
        super().__init__()
        self._options = options
        self._results = results
        self._is_narrow = False
        self._here, self._there = _host(), _host()
        self.side = SidePanel()
        self.side.setMinimumWidth(LEAST_SIDE_WIDTH)
        self.side.add(CAPTIONS, lambda: tr("Captions"), lambda: self._there)
        self.side.add(PICTURE, lambda: tr("Picture"), lambda: picture)
        self.side.add(TRIGGER, lambda: tr("Trigger word"), make_trigger)
        self.side.panel(CAPTIONS)
        self.side.show_panel(PICTURE)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(theme.SPACE_M)
        self._splitter.addWidget(self._here)
        self._splitter.addWidget(self.side)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setStretchFactor(1, 0)
        self._splitter.setSizes([1000, SIDE_WIDTH])
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE_M)
        row.addWidget(options)
        row.addWidget(self._splitter, 1)
        self._place(is_narrow=False)

    @property
    def is_narrow(self) -> bool:
        """Whether the list is one of the panels."""
        return self._is_narrow

    def show_picture(self) -> None:
        """Show the panel of the picture."""
        self.side.show_panel(PICTURE)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As narrow as options and one of the other parts."""
        return QSize(OPTIONS_WIDTH_NARROW + theme.SPACE_M + LEAST_SIDE_WIDTH, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Put the list where there is room for it."""
        is_narrow = event.size().width() < NARROW
        if is_narrow != self._is_narrow:
            self._place(is_narrow=is_narrow)
        super().resizeEvent(event)

    def _place(self, *, is_narrow: bool) -> None:
        self._is_narrow = is_narrow
        self._options.setFixedWidth(OPTIONS_WIDTH_NARROW if is_narrow else OPTIONS_WIDTH)
        host = (self._there if is_narrow else self._here).layout()
        assert host is not None
        host.addWidget(self._results)
        self._here.setVisible(not is_narrow)
        self.side.buttons[CAPTIONS].setVisible(is_narrow)
        if is_narrow and self.side.current != TRIGGER:
            self.side.show_panel(CAPTIONS)
        elif not is_narrow and self.side.current == CAPTIONS:
            self.side.show_panel(PICTURE)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.side.retranslate()


def _host() -> QWidget:
    made = QWidget()
    made.setMinimumWidth(LEAST_LIST_WIDTH)
    column = QVBoxLayout(made)
    column.setContentsMargins(0, 0, 0, 0)
    return made
