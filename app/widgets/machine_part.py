"""One thing that the machine tells in the status bar: a name, a value, and a small meter where there is a whole."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app import theme
from app.widgets.card import label, set_role

Level = Literal["calm", "warning", "danger"]
METER_SIZE = (52, 4)
_ROLES: dict[Level, str] = {"calm": "smallText", "warning": "smallWarning", "danger": "smallDanger"}


class Meter(QWidget):
    """A thin bar that is filled to a share of its width."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.share = 0.0
        self.level: Level = "calm"
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.signals.changed.connect(self.update)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Always the same."""
        return QSize(*METER_SIZE)

    def set_share(self, share: float, level: Level) -> None:
        """Fill it to a share between 0 and 1."""
        share = min(max(share, 0.0), 1.0)
        if (share, level) != (self.share, self.level):
            self.share, self.level = share, level
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the groove and its filled part."""
        tokens = theme.tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        whole = QRectF(self.rect())
        radius = whole.height() / 2
        painter.setBrush(theme.colour(tokens.border_strong))
        painter.drawRoundedRect(whole, radius, radius)
        if self.share > 0:
            colours = {"calm": tokens.muted, "warning": tokens.warning, "danger": tokens.danger}
            painter.setBrush(theme.colour(colours[self.level]))
            filled = max(whole.width() * self.share, whole.height())  # Never less than a dot.
            painter.drawRoundedRect(QRectF(0, 0, filled, whole.height()), radius, radius)


class MachinePart(QWidget):
    """Name, meter, value. It is hidden while it has no value, and keeps the width of its widest value."""

    def __init__(self, *, with_meter: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.level: Level = "calm"
        self._tip = ""
        self.name = label(role="small")
        self.name.hide()
        self.meter = Meter() if with_meter else None
        self.value = label(role="smallText")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.name)
        if self.meter is not None:
            row.addWidget(self.meter, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.value)
        self.hide()

    def show_value(self, value: str, *, share: float | None = None, level: Level = "calm", tip: str = "") -> None:
        """Say something; an empty text hides the part."""
        self.setVisible(bool(value))
        if not value:
            return
        if value != self.value.text():
            self.value.setText(value)
            # Figures change from second to second; what stands beside them must not.
            needed = self.value.sizeHint().width()
            if needed > self.value.minimumWidth():
                self.value.setMinimumWidth(needed)
        if level != self.level:
            self.level = level
            set_role(self.value, _ROLES[level])
        if self.meter is not None:
            self.meter.set_share(share or 0.0, level)
        if tip != self._tip:
            self._tip = tip
            self.setToolTip(tip)
            self.setAccessibleDescription(tip)
        self.setAccessibleName(f"{self.name.text()} {value}".strip())

    def set_name(self, name: str) -> None:
        """Change the name; the widths are measured anew."""
        if name != self.name.text():
            self.name.setText(name)
            self.name.setVisible(bool(name))
            self.value.setMinimumWidth(0)
