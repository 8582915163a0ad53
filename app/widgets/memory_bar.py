"""A bar that says whether a run fits into memory: what others use, what the run will use, and what is left."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from app import theme
from app.widgets.card import label, set_role
from core.estimate import State, Verdict
from core.text import tr

_HEIGHT = 10
_COLOURS: dict[State, str] = {"fits": "success", "tight": "warning", "too_much": "danger", "unknown": "faint"}


class MemoryBar(QWidget):
    """The bar with its sentence, and below it what is done when memory is short."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = _Bar()
        self.sentence = label(role="small", wrap=True)
        self.remedy = label(role="small", wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        column.addWidget(self.bar)
        column.addWidget(self.sentence)
        column.addWidget(self.remedy)
        self.state: State = "unknown"

    def show_verdict(self, verdict: Verdict, need: int, total: int | None, free: int | None) -> None:
        """Show another estimate.

        Args:
            verdict: What to say.
            need: Bytes that the run needs at its peak.
            total: Bytes of the memory; without it there is no bar.
            free: Bytes of it that no other program has.
        """
        self.state = verdict.state
        taken = max(0, total - free) if total and free is not None else 0
        self.bar.setVisible(bool(total))
        if total:
            self.bar.show_shares(taken / total, need / total, _COLOURS[verdict.state])
        self.sentence.setText(verdict.sentence)
        set_role(self.sentence, {"tight": "warning", "too_much": "error"}.get(verdict.state, "small"))
        self.remedy.setText(verdict.remedy)
        self.remedy.setVisible(bool(verdict.remedy))
        self.bar.setAccessibleName(tr("Memory"))
        self.bar.setAccessibleDescription(verdict.sentence)
        self.bar.setToolTip(tr("Grey: other programs. Coloured: this run at its peak, an estimate."))


class _Bar(QWidget):
    """Grey for other programs, then a colour for the run, on a track as long as the memory."""

    def __init__(self) -> None:
        super().__init__()
        self._taken = self._need = 0.0
        self._colour = "faint"
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.signals.changed.connect(self.update)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As wide as there is place."""
        return QSize(200, _HEIGHT)

    def show_shares(self, taken: float, need: float, colour: str) -> None:
        """Shares of the whole, and the token of the run's colour."""
        if (taken, need, colour) != (self._taken, self._need, self._colour):
            self._taken, self._need, self._colour = taken, need, colour
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the track and the two shares, cut off at its end."""
        tokens = theme.tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        track = QPainterPath()
        track.addRoundedRect(QRectF(self.rect()), _HEIGHT / 2, _HEIGHT / 2)
        painter.setClipPath(track)
        painter.fillRect(self.rect(), QColor(tokens.border))
        width = self.width()
        painter.setPen(Qt.PenStyle.NoPen)
        end = min(self._taken + self._need, 1.0)
        # Where both are more than there is, the run is drawn over what others have: closing them makes room.
        start = max(min(self._taken, 1.0 - self._need), 0.0)
        painter.fillRect(QRectF(0, 0, width * min(self._taken, 1.0), _HEIGHT), QColor(tokens.faint))
        painter.fillRect(
            QRectF(width * start, 0, width * (end - start), _HEIGHT), QColor(getattr(tokens, self._colour))
        )
        painter.end()
