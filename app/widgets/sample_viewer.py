"""One preview large, with a slider through the steps, and another one beside it to compare."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QSlider, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.run_record import RunRecord
from app.widgets.card import ElidedLabel, label, set_role
from app.widgets.sample_strip import sample_file
from app.widgets.switch import Switch
from core.text import tr


class SampleViewer(QFrame):
    """Covers another widget while it is open. Left and Right change the step, Up and Down the prompt, Esc closes."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self._record = RunRecord()
        self._steps: list[int] = []
        self._index = 0
        self.setProperty("role", "page")
        self.setAutoFillBackground(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.prompt = ElidedLabel()
        set_role(self.prompt, "strong")
        self.seed = label(role="muted")
        self.compare = Switch()
        self.compare.toggled.connect(self._show_compare)
        self.close_button = QToolButton()
        icons.set_icon(self.close_button, "close", 20)
        self.close_button.clicked.connect(self.hide)
        self.left, self.right = _Pane(), _Pane()
        for pane in (self.left, self.right):
            pane.slider.valueChanged.connect(self._load)
        self._lay_out()
        over.installEventFilter(self)
        theme.signals.changed.connect(self._dress)
        self._dress()
        self.hide()
        self.retranslate()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_M)
        top.addWidget(self.prompt, 1)
        top.addWidget(self.seed)
        top.addWidget(self.compare)
        top.addWidget(self.close_button)
        panes = QHBoxLayout()
        panes.setSpacing(theme.SPACE_L)
        panes.addWidget(self.left, 1)
        panes.addWidget(self.right, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        column.addLayout(top)
        column.addLayout(panes, 1)

    def open(self, record: RunRecord, step: int, index: int) -> None:
        """Show one preview of a run."""
        self._record = record
        self._steps = record.sample_steps
        self._index = index
        for pane, position in ((self.left, 0), (self.right, self._steps.index(step))):
            pane.slider.blockSignals(True)
            pane.slider.setRange(0, len(self._steps) - 1)
            pane.slider.setValue(position)
            pane.slider.blockSignals(False)
        self.left.setVisible(self.compare.isChecked())
        self._cover()
        self.show()
        self.raise_()
        self.setFocus()
        self._load()

    def refresh(self) -> None:
        """The run may have more previews now."""
        if self.isVisible():
            self._steps = self._record.sample_steps
            for pane in (self.left, self.right):
                pane.slider.setRange(0, len(self._steps) - 1)

    @property
    def step(self) -> int:
        """Step of the preview that is shown."""
        return self._steps[self.right.slider.value()]

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.compare.setText(tr("Compare"))
        self.compare.updateGeometry()
        self.close_button.setToolTip(tr("Close (Esc)"))
        self.close_button.setAccessibleName(tr("Close (Esc)"))
        for pane in (self.left, self.right):
            pane.slider.setAccessibleName(tr("Step"))
        self._load()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Walk through steps and prompts."""
        key = event.key()
        slider = self.right.slider
        if key == Qt.Key.Key_Escape:
            self.hide()
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            slider.setValue(slider.value() + (1 if key == Qt.Key.Key_Right else -1))
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            indices = list(self._record.prompts)
            at = indices.index(self._index) + (1 if key == Qt.Key.Key_Down else -1)
            self._index = indices[at % len(indices)]
            self._load()
        else:
            super().keyPressEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Keep covering the page when it changes size."""
        if watched is self._over and event.type() == QEvent.Type.Resize and self.isVisible():
            self._cover()
        return super().eventFilter(watched, event)

    def _cover(self) -> None:
        self.setGeometry(self._over.rect())

    def _show_compare(self, shown: bool) -> None:
        self.left.setVisible(shown)
        self._load()
        self.setFocus()

    def _load(self) -> None:
        if not self._steps:
            return
        self.prompt.setText(self._record.prompts.get(self._index, ""))
        for pane in (self.left, self.right):
            step = self._steps[pane.slider.value()]
            sample = self._record.samples.get((step, self._index))
            pane.title.setText(tr("Before training") if step == 0 else tr("Step {step}", step=step))
            path = sample_file(sample.image, self._record.folder) if sample else None
            pane.picture.show_pixmap(QPixmap(str(path)) if path else QPixmap())
            if sample and pane is self.right:
                self.seed.setText(tr("Seed {seed}", seed=sample.seed))

    def _dress(self) -> None:
        self.setStyleSheet(f"SampleViewer {{ background: {theme.tokens().background}; }}")


class _Pane(QWidget):
    """A picture, its step and a slider."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = _Picture()
        self.title = label(role="strong")
        self.title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setPageStep(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self.picture, 1)
        column.addWidget(self.title)
        column.addWidget(self.slider)


class _Picture(QWidget):
    """A picture as large as there is room, small ones enlarged at most four times."""

    def __init__(self) -> None:
        super().__init__()
        self._pixmap = QPixmap()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(120, 120)

    def show_pixmap(self, pixmap: QPixmap) -> None:
        """Show another picture."""
        self._pixmap = pixmap
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As large as a usual preview."""
        return QSize(512, 512)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw it in the middle."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._pixmap.isNull():
            painter.setPen(theme.colour(theme.tokens().muted))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), tr("File missing"))
            return
        size = self._pixmap.size()
        room = size.scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        size = room if room.width() <= 4 * size.width() else size * 4
        place = self.rect()
        place.setSize(size)
        place.moveCenter(self.rect().center())
        painter.drawPixmap(place, self._pixmap)
