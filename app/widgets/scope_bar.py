"""The choice of which pictures an action is about, with their numbers."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

from app import theme
from app.project import Project
from app.scopes import Scope, Scopes
from core.text import tr


class ScopeBar(QWidget):
    """Selected, shown or all pictures. `changed` follows another choice, and other pictures of the chosen kind."""

    changed = Signal()

    def __init__(self, project: Project, scopes: Scopes, scope: Scope = "all") -> None:
        super().__init__()
        self._project = project
        self._scopes = scopes
        self._images: tuple[Path, ...] | None = None
        self.buttons: dict[Scope, QPushButton] = {}
        group = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE_XS)
        kinds: tuple[Scope, ...] = ("selected", "shown", "all")
        for kind in kinds:
            made = QPushButton()
            made.setProperty("role", "segment")
            made.setCheckable(True)
            made.setCursor(Qt.CursorShape.PointingHandCursor)
            group.addButton(made)
            row.addWidget(made, 1)
            self.buttons[kind] = made
        self.buttons[scope].setChecked(True)
        group.buttonToggled.connect(self._on_toggled)
        scopes.changed.connect(self._on_pictures_changed)
        project.records_changed.connect(self._on_pictures_changed)
        self.retranslate()

    @property
    def scope(self) -> Scope:
        """What is chosen."""
        return next(scope for scope, made in self.buttons.items() if made.isChecked())

    @property
    def images(self) -> tuple[Path, ...]:
        """The pictures of the chosen scope."""
        if self._images is None:
            self._images = self._scopes.images(self.scope)
        return self._images

    def choose(self, scope: Scope) -> None:
        """Choose as by a click."""
        self.buttons[scope].setChecked(True)

    def _on_toggled(self, _button: QPushButton, checked: bool) -> None:
        if checked:
            self._images = None
            self.changed.emit()

    def _on_pictures_changed(self) -> None:
        before = self._images
        self._images = None
        self.retranslate()
        if before is None or before != self.images:
            self.changed.emit()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        scan = self._project.scan
        numbers = {
            "selected": len(self._scopes.images("selected")),
            "shown": len(self._scopes.images("shown")),
            "all": len(scan.records) if scan else 0,
        }
        self.buttons["selected"].setText(tr("Selected {n}", n=numbers["selected"]))
        self.buttons["shown"].setText(tr("Shown {n}", n=numbers["shown"]))
        self.buttons["all"].setText(tr("All {n}", n=numbers["all"]))
        self.buttons["selected"].setToolTip(tr("The pictures that are selected in the grid"))
        self.buttons["shown"].setToolTip(tr("The pictures that the filter shows"))
        self.buttons["all"].setToolTip(tr("All pictures of the dataset"))
