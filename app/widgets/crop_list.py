"""The crops of one picture as a list: their names, what becomes of them, and which one is chosen."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLineEdit, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.editors import guard_wheel
from app.widgets.card import ElidedLabel, label, set_role
from app.widgets.trained_preview import plan_text
from core.dataset.edits import Crop
from core.dataset.fitting import FitPlan
from core.text import tr


class CropList(QWidget):
    """One row for each crop."""

    chosen = Signal(int)
    renamed = Signal(int, str)
    removed = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[_Row] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(theme.SPACE_XS)
        self._whole = label(role="small", wrap=True)
        self._column.addWidget(self._whole)
        self.retranslate()

    def name_box(self, index: int) -> QComboBox:
        """Where a crop is named."""
        return self._rows[index].name

    def show_crops(self, crops: tuple[Crop, ...], plans: tuple[FitPlan, ...], current: int) -> None:
        """Show these crops.

        Args:
            crops: All crops of the picture.
            plans: What becomes of each.
            current: Which one is chosen, or -1.
        """
        self._whole.setVisible(not crops)
        while len(self._rows) < len(crops):
            self._add_row()
        for index, row in enumerate(self._rows):
            row.setVisible(index < len(crops))
            if index < len(crops):
                row.show_crop(index, crops[index], plans[index], is_current=index == current)

    def _add_row(self) -> None:
        row, index = _Row(), len(self._rows)
        row.chosen.connect(lambda: self.chosen.emit(index))
        row.removed.connect(lambda: self.removed.emit(index))
        row.name.currentTextChanged.connect(lambda text: self.renamed.emit(index, text))
        row.retranslate()
        self._rows.append(row)
        self._column.addWidget(row)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self._whole.setText(
            tr("The whole picture is trained. Draw a frame on it to train a part, or several parts, instead.")
        )
        for row in self._rows:
            row.retranslate()


class _Row(QFrame):
    """Number, name, what becomes of it, and a button that removes it."""

    chosen = Signal()
    removed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._is_current = False
        self._number = label(role="strong")
        self._number.setFixedWidth(18)
        self.name = QComboBox()
        self._name_text = QLineEdit()
        self.name.setLineEdit(self._name_text)
        self.name.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        guard_wheel(self.name)
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._name_text.installEventFilter(self)
        self.remove = QToolButton()
        icons.set_icon(self.remove, "trash", 16, "muted")
        self.remove.clicked.connect(self.removed)
        self._line = ElidedLabel()
        set_role(self._line, "small")
        first = QHBoxLayout()
        first.setSpacing(theme.SPACE_XS)
        first.addWidget(self._number)
        first.addWidget(self.name, 1)
        first.addWidget(self.remove)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_S, theme.SPACE_S, theme.SPACE_XS, theme.SPACE_S)
        column.setSpacing(theme.SPACE_XS)
        column.addLayout(first)
        column.addWidget(self._line)
        theme.signals.changed.connect(self.update)

    def show_crop(self, index: int, crop: Crop, plan: FitPlan, *, is_current: bool) -> None:
        """Show another crop."""
        self._number.setText(str(index + 1))
        if self.name.currentText() != crop.name:
            with QSignalBlocker(self.name):
                self.name.setCurrentText(crop.name)
        role = "warning" if plan.is_upscaled else "small"
        if self._line.property("role") != role:
            set_role(self._line, role)
        self._line.setText(plan_text(plan))
        if is_current != self._is_current:
            self._is_current = is_current
            self.update()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        with QSignalBlocker(self.name):
            text = self.name.currentText()
            self.name.clear()
            self.name.addItems([tr("Face"), tr("Bust"), tr("Full body")])
            self.name.setCurrentText(text)
        self._name_text.setPlaceholderText(tr("Name, if you like"))
        self.name.setAccessibleName(tr("Name of the crop"))
        self.remove.setToolTip(tr("Remove this crop (Delete)"))
        self.remove.setAccessibleName(tr("Remove this crop (Delete)"))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Whoever names a crop means it from then on."""
        if event.type() == QEvent.Type.FocusIn:
            self.chosen.emit()
        return super().eventFilter(watched, event)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """A click chooses the crop."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """A ground that says which crop is chosen."""
        tokens = theme.tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(theme.colour(tokens.accent if self._is_current else tokens.border))
        painter.setBrush(theme.colour(tokens.accent_soft if self._is_current else tokens.sunken))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), theme.RADIUS, theme.RADIUS)
