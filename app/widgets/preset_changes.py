"""Lists of options with their old and new values."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QScrollArea, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.widgets.card import ElidedLabel, button, label
from core.config import TrainConfig
from core.config.labels import specs_by_key, value_of, value_text
from core.text import tr


class ChangeList(QScrollArea):
    """One line per option: title, old value, arrow, new value; with `resets` a button that brings the old one back."""

    reset = Signal(str)

    def __init__(self, *, resets: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._resets = resets
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.keys: tuple[str, ...] = ()
        self.reset_buttons: dict[str, QToolButton] = {}

    def show_changes(self, old: TrainConfig, new: TrainConfig, keys: Sequence[str]) -> None:
        """Show these options of two configs."""
        self.keys = tuple(keys)
        self.reset_buttons = {}
        content = QWidget()
        content.setProperty("role", "scrolled")
        grid = QGridLayout(content)
        grid.setContentsMargins(0, 0, theme.SPACE_S, 0)
        grid.setHorizontalSpacing(theme.SPACE_M)
        grid.setVerticalSpacing(theme.SPACE_XS)
        grid.setColumnStretch(0, 4)
        grid.setColumnStretch(1, 3)
        grid.setColumnStretch(3, 3)
        for number, key in enumerate(keys):
            spec = specs_by_key()[key]
            title = tr(spec.title)
            name = ElidedLabel(title)
            before = ElidedLabel(value_text(spec, value_of(old, key)))
            before.setProperty("role", "muted")
            before.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            after = ElidedLabel(value_text(spec, value_of(new, key)))
            after.setProperty("role", "strong")
            grid.addWidget(name, number, 0)
            grid.addWidget(before, number, 1)
            grid.addWidget(label("→", role="muted"), number, 2)
            grid.addWidget(after, number, 3)
            if self._resets:
                grid.addWidget(self._reset_button(key, title), number, 4)
        grid.setRowStretch(len(keys), 1)
        self.setWidget(content)

    def _reset_button(self, key: str, title: str) -> QToolButton:
        made = QToolButton()
        icons.set_icon(made, "undo", 14, "accent")
        made.setToolTip(tr("Back to the value of the preset"))
        made.setAccessibleName(f"{tr('Back to the value of the preset')}: {title}")
        made.clicked.connect(lambda: self.reset.emit(key))
        self.reset_buttons[key] = made
        return made


class ChangesPopup(QWidget):
    """What differs from the preset, over the page, until something else is clicked."""

    reset = Signal(str)
    reset_all = Signal()
    WIDTH = 460
    HIGHEST = 420

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)  # For the round corners of the panel in it.
        panel = QFrame()
        panel.setProperty("role", "toast")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(panel)
        self.setFixedWidth(self.WIDTH)
        self.heading = label(role="strong", wrap=True)
        self.list = ChangeList(resets=True)
        self.list.reset.connect(self.reset.emit)
        self.all_button = button(kind="quiet", icon="undo", size=14)
        self.all_button.setProperty("small", True)
        self.all_button.clicked.connect(self.reset_all.emit)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.all_button)
        column = QVBoxLayout(panel)
        column.setContentsMargins(theme.SPACE_L, theme.SPACE_M, theme.SPACE_M, theme.SPACE_M)
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self.heading)
        column.addWidget(self.list, 1)
        column.addLayout(foot)

    def show_changes(self, preset: str, old: TrainConfig, new: TrainConfig, keys: Sequence[str]) -> None:
        """Show what differs from a preset.

        Args:
            preset: Its title.
            old: The settings of the preset.
            new: The settings of now.
            keys: The options that differ.
        """
        self.heading.setText(tr("Changed from {preset}", preset=preset))
        self.all_button.setText(tr("Back to the preset in all"))
        self.list.show_changes(old, new, keys)
        self.setFixedHeight(min(self.HIGHEST, 110 + 32 * len(keys)))
