"""The runs of an output folder as a list, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app import theme
from app.past_runs import PastRun
from app.run_record import RunStatus
from app.widgets.card import Card, ElidedLabel, button, label, set_role
from app.wording import date_text
from core.text import tr

_SHOWN = 60


class RunList(Card):
    """A click on a run asks to open it."""

    opened = Signal(object)
    browse_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._runs: list[PastRun] = []
        self.rows: list[RunRow] = []
        self.browse_button = button(kind="quiet", icon="folder-open")
        self.browse_button.clicked.connect(self.browse_clicked)
        self.header.addWidget(self.browse_button)
        self.empty = label(role="muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        self._scroll = scroll
        self.body.addWidget(self.empty, 1)
        self.body.addWidget(scroll, 1)
        self.retranslate()

    def show_runs(self, runs: Sequence[PastRun]) -> None:
        """Show these runs."""
        self._runs = list(runs)
        while item := self._column.takeAt(0):
            if old := item.widget():
                old.hide()
                old.deleteLater()
        self.rows = []
        for run in self._runs[:_SHOWN]:
            row = RunRow(run)
            row.clicked.connect(lambda run=run: self.opened.emit(run))
            self._column.addWidget(row)
            self.rows.append(row)
        if older := len(self._runs) - len(self.rows):
            self._column.addWidget(label(tr("and {number} older ones", number=older), role="small"))
        self._column.addStretch(1)
        self.empty.setVisible(not self._runs)
        self._scroll.setVisible(bool(self._runs))

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.set_title(tr("Earlier runs"))
        self.browse_button.setText(tr("Open another…"))
        self.empty.setText(tr("Your runs will be listed here, with curves and previews."))
        self.show_runs(self._runs)


class RunRow(QFrame):
    """One run: name, when, how far, how it ended."""

    clicked = Signal()

    def __init__(self, run: PastRun, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run = run
        self.setProperty("role", "row")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(run.name)
        name = ElidedLabel(run.name)
        set_role(name, "strong")
        details = [date_text(run.changed_at)]
        if run.total_steps:
            details.append(tr("{step} / {total} steps", step=run.step, total=run.total_steps))
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(name)
        second = ElidedLabel(" · ".join(details))
        set_role(second, "small")
        words.addWidget(second)
        self.status = label(status_words(run.status), role=_CHIPS[run.status])
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.SPACE_S, theme.SPACE_S, theme.SPACE_S, theme.SPACE_S)
        row.addLayout(words, 1)
        row.addWidget(self.status)
        theme.signals.changed.connect(self._dress)
        self._dress()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Open on a click."""
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Open on Return."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)

    def _dress(self) -> None:
        colours = theme.tokens()
        self.setStyleSheet(
            f"RunRow {{ border: 1px solid transparent; border-radius: {theme.RADIUS}px; }}"
            f"RunRow:hover {{ background: {colours.hover}; }}"
            f"RunRow:focus {{ border-color: {colours.accent}; }}"
        )


_CHIPS: dict[RunStatus, str] = {
    "finished": "chipSuccess",
    "stopped": "chip",
    "failed": "chipWarning",
    "unfinished": "chipWarning",
}


def status_words(status: RunStatus) -> str:
    """How a run ended, in a word."""
    return {
        "finished": tr("finished"),
        "stopped": tr("stopped"),
        "failed": tr("problem"),
        "unfinished": tr("interrupted"),
    }[status]
