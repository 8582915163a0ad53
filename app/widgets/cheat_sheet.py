"""All keys of a page on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.widgets.card import label, restyle
from core.text import tr

Group = tuple[str, Sequence[tuple[str, str]]]
"""A heading, and pairs of keys (as `Ctrl+Shift+Z`, several with ` / ` between them) and what they do."""

COLUMN_WIDTH = 370
KEYS_WIDTH = 168
_SIGNS = {"Left": "←", "Right": "→", "Up": "↑", "Down": "↓"}


class CheatSheet(QDialog):
    """Shows groups of keys in two columns. Esc and F1 close it; `open` shows it without holding up the program."""

    def __init__(self, groups: Sequence[Group], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(tr("Keyboard shortcuts"))
        title = label(tr("Keyboard shortcuts"), role="heading")
        self.close_button = QToolButton()
        icons.set_icon(self.close_button, "close", 18, "muted")
        self.close_button.setToolTip(tr("Close (Esc)"))
        self.close_button.setAccessibleName(tr("Close"))
        self.close_button.clicked.connect(self.accept)
        head = QHBoxLayout()
        head.addWidget(title, 1)
        head.addWidget(self.close_button)
        columns = QHBoxLayout()
        columns.setSpacing(theme.SPACE_XL * 2)
        for part in _two_columns(groups):
            columns.addLayout(_column(part), 1)
        inside = QWidget()
        inside.setProperty("role", "scrolled")
        inside.setLayout(columns)
        columns.setContentsMargins(0, 0, theme.SPACE_M, 0)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidgetResizable(True)
        area.setWidget(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_M, theme.SPACE_XL)
        layout.setSpacing(theme.SPACE_L)
        layout.addLayout(head)
        layout.addWidget(area, 1)
        wanted = inside.sizeHint()
        # Everything is seen at once where the window is high enough.
        height = wanted.height() + head.sizeHint().height() + theme.SPACE_L * 2 + theme.SPACE_XL
        most = parent.window().height() - theme.SPACE_XL * 2 if parent is not None else height
        self.resize(wanted.width() + theme.SPACE_XL * 2, min(height, most))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """The key that opened the sheet closes it."""
        if event.key() == Qt.Key.Key_F1:
            self.accept()
        else:
            super().keyPressEvent(event)


class KeyCaps(QWidget):
    """Keys drawn as on a keyboard, in the names that this system uses."""

    def __init__(self, keys: str) -> None:
        super().__init__()
        self._ways = [_caps(way) for way in keys.split(" / ")]
        self.setAccessibleName(" / ".join("+".join(caps) for caps in self._ways))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.signals.changed.connect(self.update)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As wide as all keys."""
        return QSize(sum(width for _, width in self._parts()), 24)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw one cap after the other."""
        tokens = theme.tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left = 0
        for text, width in self._parts():
            if text != "/":
                painter.setPen(theme.colour(tokens.border_strong))
                painter.setBrush(theme.colour(tokens.sunken))
                painter.drawRoundedRect(QRectF(left + 0.5, 1.5, width - 5, 21), 5, 5)
            painter.setPen(theme.colour(tokens.muted if text == "/" else tokens.text))
            painter.drawText(QRectF(left, 1, width - 4, 22), Qt.AlignmentFlag.AlignCenter, text)
            left += width

    def _parts(self) -> list[tuple[str, int]]:
        """Each cap, and each stroke between two ways, with the width it takes."""
        metrics = self.fontMetrics()
        parts: list[tuple[str, int]] = []
        for number, caps in enumerate(self._ways):
            if number:
                parts.append(("/", metrics.horizontalAdvance("/") + 8))
            parts += [(cap, max(24, metrics.horizontalAdvance(cap) + 14) + 4) for cap in caps]
        return parts


def dataset_keys() -> list[Group]:
    """The keys of the Dataset page, and those of the whole window."""
    return [
        (
            tr("Find your way"),
            [
                ("Left / Right / Up / Down", tr("Go to another picture")),
                ("Ctrl+F", tr("Search and filter")),
                ("Ctrl+A", tr("Select all that are shown")),
                ("T", tr("Show pictures as they are trained")),
                ("F5", tr("Read the folders again")),
            ],
        ),
        (
            tr("Captions"),
            [
                ("Return", tr("Edit the caption")),
                ("Ctrl+B", tr("Change many captions at once")),
            ],
        ),
        (
            tr("Pictures"),
            [
                ("C", tr("Crop or turn")),
                ("Delete", tr("Exclude, or take back in")),
                ("Shift+Delete", tr("Move the files to the trash")),
            ],
        ),
        (
            tr("In the crop editor"),
            [
                ("Left / Right / Up / Down", tr("Move the frame; 10 pixels with Shift, resize it with Alt")),
                ("Tab", tr("Go to the next frame")),
                ("Ctrl+D", tr("Add a frame")),
                ("R", tr("Turn to the right")),
                ("PgUp / PgDown", tr("Keep, and go to another picture")),
                ("Return / Esc", tr("Done, or cancel")),
            ],
        ),
        (
            tr("Everywhere"),
            [
                ("Ctrl+O", tr("Open a folder")),
                ("Ctrl+Z", tr("Undo")),
                ("Ctrl+Shift+Z", tr("Redo")),
                ("Ctrl+1 / Ctrl+4", tr("First to last page")),
                ("F1", tr("Show these keys")),
            ],
        ),
    ]


def _caps(way: str) -> list[str]:
    """The keys to be pressed together, as they are called on this system."""
    native = QKeySequence(way).toString(QKeySequence.SequenceFormat.NativeText)
    caps = native.split("+") if "+" in native else [native]
    key = way.rpartition("+")[2]
    if key in _SIGNS and len(caps) == len(way.split("+")):  # In every language; a Mac writes signs by itself.
        caps[-1] = _SIGNS[key]
    return caps


def _two_columns(groups: Sequence[Group]) -> list[Sequence[Group]]:
    """The groups in their order, cut where the two halves are most alike in length."""
    lengths = [len(keys) + 2 for _, keys in groups]
    cuts = range(1, len(groups)) or range(1, 2)
    cut = min(cuts, key=lambda place: abs(sum(lengths[:place]) - sum(lengths[place:])))
    return [part for part in (groups[:cut], groups[cut:]) if part]


def _column(groups: Sequence[Group]) -> QVBoxLayout:
    column = QVBoxLayout()
    column.setSpacing(theme.SPACE_S)
    for number, (heading, keys) in enumerate(groups):
        if number:
            column.addSpacing(theme.SPACE_L)
        title = label(heading, role="cardTitle")
        restyle(title)
        column.addWidget(title)
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.SPACE_M)
        grid.setVerticalSpacing(6)
        grid.setColumnMinimumWidth(0, KEYS_WIDTH)
        grid.setColumnMinimumWidth(1, COLUMN_WIDTH - KEYS_WIDTH)
        grid.setColumnStretch(1, 1)
        for row, (names, what) in enumerate(keys):
            grid.addWidget(KeyCaps(names), row, 0, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(label(what, wrap=True), row, 1, Qt.AlignmentFlag.AlignVCenter)
        column.addLayout(grid)
    column.addStretch(1)
    return column
