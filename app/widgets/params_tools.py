"""The bar above the full form: search, switches, what contradicts, and the sections to jump to."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from app import icons, theme
from app.widgets.card import button
from app.widgets.params_notice import SIGNS
from app.widgets.segments import Segments
from app.widgets.switch import Switch
from core.config import sections
from core.config.rules import Conflict
from core.text import tr


class ParamsTools(QFrame):
    """Stays in view while the form scrolls below it."""

    jumped = Signal(str)  # a section
    asked = Signal(str)  # an option that contradicts another

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "bar")
        self.search = QLineEdit()
        self.search.setClearButtonEnabled(True)
        self.search.setMinimumWidth(140)
        self.search.setMaximumWidth(340)
        self.changed_switch = Switch()
        self.advanced_switch = Switch()
        self.conflicts_button = button()
        self.conflicts_button.setProperty("small", True)
        self.conflicts_button.clicked.connect(self._ask_next)
        self._conflicts: tuple[Conflict, ...] = ()
        self._next = 0
        self.chips = Segments(tuple(name for name, _, _ in sections()), narrow=True)
        for made in self.chips.buttons.values():
            made.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.chips.chosen.connect(self.jumped.emit)
        first = QHBoxLayout()
        first.setSpacing(theme.SPACE_L)
        first.addWidget(self.search, 1)
        first.addWidget(self.changed_switch)
        first.addWidget(self.advanced_switch)
        first.addStretch(1)
        first.addWidget(self.conflicts_button)
        second = QHBoxLayout()
        second.addWidget(self.chips)
        second.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, theme.SPACE_S, 0, theme.SPACE_S)
        column.setSpacing(theme.SPACE_XS)
        column.addLayout(first)
        column.addLayout(second)
        for one, other in (
            (self.search, self.changed_switch),
            (self.changed_switch, self.advanced_switch),
            (self.advanced_switch, self.conflicts_button),
        ):
            QWidget.setTabOrder(one, other)

    def show_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        """Say how much contradicts; pressing goes from one to the next. What is only good to know is not counted."""
        serious = tuple(conflict for conflict in conflicts if conflict.level != "info")
        if len(serious) != len(self._conflicts):
            self._next = 0
        self._conflicts = serious
        self.conflicts_button.setVisible(bool(serious))
        if serious:
            name, tone = SIGNS[serious[0].level]
            icons.set_icon(self.conflicts_button, name, 14, tone)
            one = tr("1 thing to look at")
            self.conflicts_button.setText(
                one if len(serious) == 1 else tr("{number} things to look at", number=len(serious))
            )
            self.conflicts_button.setToolTip("\n".join(conflict.sentence for conflict in serious))

    def show_sections(self, shown: Collection[str]) -> None:
        """Only the sections that have something to show can be jumped to."""
        for name, made in self.chips.buttons.items():
            made.setEnabled(name in shown)

    def show_section(self, name: str) -> None:
        """Mark the section that is in view."""
        self.chips.choose(name)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.search.setPlaceholderText(tr("Search, also by names in kohya's scripts"))
        self.search.setAccessibleName(tr("Search parameters"))
        self.search.setToolTip(tr("English, Chinese, pinyin, or a name in kohya's scripts such as network_dim"))
        self.changed_switch.setText(tr("Changed only"))
        self.advanced_switch.setText(tr("Show advanced"))
        for switch in (self.changed_switch, self.advanced_switch):
            switch.updateGeometry()
        short = {"model": tr("Model"), "network": tr("Network"), "loss": tr("Loss")}
        for name, title, _ in sections():
            self.chips.set_text(name, short.get(name, tr(title)), tr(title))
        self.show_conflicts(self._conflicts)

    def _ask_next(self) -> None:
        if self._conflicts:
            conflict = self._conflicts[self._next % len(self._conflicts)]
            self._next += 1
            self.asked.emit(conflict.keys[0])


class StickyBar:
    """Keeps a bar at its place in a scrolled page, and at the top of the view once that place has left it."""

    def __init__(self, bar: QFrame, place: QWidget) -> None:
        self._bar = bar
        self._place = place

    def follow(self, scrolled_px: int) -> None:
        """Put the bar where it belongs.

        Args:
            scrolled_px: How far the page is scrolled.
        """
        height = self._bar.sizeHint().height()
        if self._place.height() != height:
            self._place.setFixedHeight(height)
        is_stuck = scrolled_px > self._place.y()
        self._bar.setGeometry(self._place.x(), max(self._place.y(), scrolled_px), self._place.width(), height)
        if bool(self._bar.property("stuck")) != is_stuck:
            self._bar.setProperty("stuck", is_stuck)
            self._bar.style().unpolish(self._bar)
            self._bar.style().polish(self._bar)
        self._bar.raise_()

    def show(self, shown: bool) -> None:
        """Show or hide the bar and its place."""
        self._bar.setVisible(shown)
        self._place.setVisible(shown)
