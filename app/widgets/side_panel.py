"""A column of panels, one shown at a time, with a switch on top. Panels are built when they are shown first."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from app import theme


class SidePanel(QWidget):
    """Give it panels by name with `add`; each maker is called once, when its panel is wanted first."""

    shown = Signal(str)  # name of the panel

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._titles: dict[str, Callable[[], str]] = {}
        self._makers: dict[str, Callable[[], QWidget]] = {}
        self._panels: dict[str, QWidget] = {}
        self.buttons: dict[str, QPushButton] = {}
        self._badges: dict[str, int] = {}
        self._group = QButtonGroup(self)
        self._switch = QHBoxLayout()
        self._switch.setSpacing(2)
        self._stack = QStackedWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE_S)
        self._switch.addStretch(1)
        layout.addLayout(self._switch)
        layout.addWidget(self._stack, 1)

    def add(self, name: str, title: Callable[[], str], make: Callable[[], QWidget]) -> None:
        """Add a panel behind the others.

        Args:
            name: For `show_panel` and `panel`.
            title: Gives the text of its button in the language in use.
            make: Builds it.
        """
        self._titles[name], self._makers[name] = title, make
        made = QPushButton()
        made.setProperty("role", "segment")
        made.setProperty("narrow", True)
        made.setCheckable(True)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        made.clicked.connect(lambda: self.show_panel(name))
        self._group.addButton(made)
        self.buttons[name] = made
        self._switch.insertWidget(self._switch.count() - 1, made)

    def panel(self, name: str) -> QWidget:
        """A panel, built if need be."""
        if name not in self._panels:
            self._panels[name] = self._makers[name]()
            self._stack.addWidget(self._panels[name])
        return self._panels[name]

    @property
    def current(self) -> str:
        """Name of the panel that is shown."""
        return next((name for name, button in self.buttons.items() if button.isChecked()), "")

    def show_panel(self, name: str) -> None:
        """Show a panel."""
        self.buttons[name].setChecked(True)
        self._stack.setCurrentWidget(self.panel(name))
        self.shown.emit(name)

    def set_badge(self, name: str, number: int) -> None:
        """Show a number behind a title; 0 for none."""
        if self._badges.get(name, 0) != number:
            self._badges[name] = number
            self._set_text(name)

    def retranslate(self) -> None:
        """Set every text in the language in use, those of the panels too."""
        for name in self.buttons:
            self._set_text(name)
        for panel in self._panels.values():
            retranslate = getattr(panel, "retranslate", None)
            if retranslate is not None:
                retranslate()

    def _set_text(self, name: str) -> None:
        number = self._badges.get(name, 0)
        self.buttons[name].setText(f"{self._titles[name]()} {number}" if number else self._titles[name]())
