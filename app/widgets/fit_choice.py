"""The four ways to bring pictures to size, each with a drawing and a sentence, of which one is chosen."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QSizePolicy, QVBoxLayout, QWidget

from app import theme
from app.widgets.crop_words import fit_names
from core.dataset.edits import Fit
from core.text import tr

_DRAWING = QSize(52, 52)
_PAD = 10


class FitChoice(QWidget):
    """One of four; the arrow keys move between them."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._group = QButtonGroup(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        self.options: dict[Fit, _Option] = {}
        fits: tuple[Fit, ...] = ("buckets", "smart", "crop", "pad")
        for fit in fits:
            option = _Option(fit)
            option.clicked.connect(lambda _checked, fit=fit: self.chosen.emit(fit))
            self._group.addButton(option)
            self.options[fit] = option
            column.addWidget(option)
        self.retranslate()

    def set_fit(self, fit: Fit) -> None:
        """Show which one is chosen, without a signal."""
        self.options[fit].setChecked(True)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        names = fit_names()
        sentences: dict[Fit, str] = {
            "buckets": tr("Each picture keeps its own shape; almost nothing is cut away. Recommended."),
            "smart": tr("One shape for all, cut so that the person or thing stays whole."),
            "crop": tr("One shape for all, cut from the middle."),
            "pad": tr("One shape for all, nothing cut away; the filled edges are not learned."),
        }
        for fit, option in self.options.items():
            option.set_texts(names[fit], sentences[fit])


class _Option(QAbstractButton):
    """A drawing of what is kept, a name and a sentence."""

    def __init__(self, fit: Fit) -> None:
        super().__init__()
        self._fit = fit
        self._sentence = ""
        self.setCheckable(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        theme.signals.changed.connect(self.update)

    def set_texts(self, name: str, sentence: str) -> None:
        """Set name and sentence."""
        self.setText(name)
        self._sentence = sentence
        self.setAccessibleName(name)
        self.setAccessibleDescription(sentence)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As a row of the side column."""
        return QSize(280, self.heightForWidth(280))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Narrow enough for the narrowest column; the layout asks for the height at its width."""
        return QSize(220, _DRAWING.height() + 2 * _PAD)

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """The sentence may need several lines."""
        name, sentence = self._fonts()
        room = self._text_place(width, 0).width()
        flags = int(Qt.TextFlag.TextWordWrap)
        text = QFontMetrics(sentence).boundingRect(QRect(0, 0, room, 1000), flags, self._sentence).height()
        return max(_DRAWING.height(), QFontMetrics(name).height() + 2 + text) + 2 * _PAD

    @staticmethod
    def _text_place(width: int, height: int) -> QRect:
        left = _DRAWING.width() + 2 * _PAD
        return QRect(left, _PAD, width - left - _PAD, height - 2 * _PAD)

    def _fonts(self) -> tuple[QFont, QFont]:
        name, sentence = QFont(self.font()), QFont(self.font())
        name.setPixelSize(13)
        name.setWeight(QFont.Weight.DemiBold)
        sentence.setPixelSize(12)
        return name, sentence

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Ground, drawing, texts."""
        tokens = theme.tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = self.isChecked()
        border = tokens.accent if chosen or self.hasFocus() else tokens.border
        painter.setPen(QPen(theme.colour(border), 1.5 if chosen else 1))
        ground = tokens.accent_soft if chosen else tokens.hover if self.underMouse() else tokens.surface
        painter.setBrush(theme.colour(ground))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), theme.RADIUS, theme.RADIUS)
        drawing = QRect(_PAD, (self.height() - _DRAWING.height()) // 2, _DRAWING.width(), _DRAWING.height())
        self._draw(painter, QRectF(drawing))
        name, sentence = self._fonts()
        room = self._text_place(self.width(), self.height())
        painter.setFont(name)
        painter.setPen(theme.colour(tokens.text))
        painter.drawText(room, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop), self.text())
        painter.setFont(sentence)
        painter.setPen(theme.colour(tokens.muted))
        room.setTop(room.top() + QFontMetrics(name).height() + 2)
        painter.drawText(room, int(Qt.TextFlag.TextWordWrap), self._sentence)

    def _draw(self, painter: QPainter, place: QRectF) -> None:
        """A tall picture with a figure near its top, and the frame of what is kept of it."""
        tokens = theme.tokens()
        accent, faint = theme.colour(tokens.accent), theme.colour(tokens.faint)
        picture = QRectF(0, 0, 30, 46)
        picture.moveCenter(place.center())
        frame = {
            "buckets": picture.adjusted(0, 1, 0, -1),
            "smart": QRectF(picture.left(), picture.top() + 1, 30, 30),
            "crop": QRectF(picture.left(), picture.center().y() - 15, 30, 30),
            "pad": QRectF(place.center().x() - 23, picture.top(), 46, 46),
        }[self._fit]
        if self._fit == "pad":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(tokens.accent, 40))
            painter.drawRoundedRect(frame, 3, 3)
        painter.setPen(QPen(faint, 1))
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(picture, 3, 3)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(faint)
        x, y = picture.center().x(), picture.top()
        painter.drawEllipse(QRectF(x - 4.5, y + 6, 9, 9))
        painter.drawRoundedRect(QRectF(x - 7.5, y + 17, 15, 13), 5, 5)
        painter.setPen(QPen(accent, 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(frame, 3, 3)
