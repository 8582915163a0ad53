"""One preview large, with a slider through the epochs, and another one to compare it with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSlider, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.run_places import sample_file
from app.run_record import RunRecord
from app.widgets.card import ElidedLabel, label, set_role
from app.widgets.sample_canvas import Mode, SampleCanvas
from app.widgets.sample_strip import changed_at, moment_words
from app.widgets.segments import Segments
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from core.text import tr

_MODES: tuple[Mode, ...] = ("one", "beside", "divided")
_LARGEST_PX = 2048
Side = Literal["before", "after"]


class SampleViewer(QFrame):
    """Covers another widget while it is open.

    Left and Right change the epoch, with Shift that of picture A, Up and Down the prompt; holding Space shows picture A
    in the place of B, C changes the way to compare, the comma and the full stop move the divider, Esc closes.
    """

    def __init__(self, over: QWidget, loader: ThumbnailLoader) -> None:
        """Stay hidden until `open`.

        Args:
            over: What is covered.
            loader: Reads the pictures beside the window.
        """
        super().__init__(over)
        self._over = over
        self._loader = loader
        self._shown: dict[Side, QPixmap] = {}
        self._record = RunRecord()
        self._steps: list[int] = []
        self._index = 0
        self.setProperty("role", "page")
        self.setAutoFillBackground(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.prompt = ElidedLabel()
        set_role(self.prompt, "strong")
        self.seed = label(role="muted")
        self.modes = Segments(_MODES)
        self.modes.chosen.connect(lambda mode: self.set_mode(cast(Mode, mode)))
        self.close_button = QToolButton()
        icons.set_icon(self.close_button, "close", 20)
        self.close_button.clicked.connect(self.hide)
        self.canvas = SampleCanvas()
        self.hint = label(role="small")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.before, self.after = _Chooser(), _Chooser()
        for chooser in (self.before, self.after):
            chooser.slider.valueChanged.connect(self._load)
        self._lay_out()
        over.installEventFilter(self)
        loader.loaded.connect(self._on_loaded)
        theme.signals.changed.connect(self._dress)
        self._dress()
        self.hide()
        self.retranslate()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_M)
        top.addWidget(self.prompt, 1)
        top.addWidget(self.seed)
        top.addWidget(self.modes)
        top.addWidget(self.close_button)
        choosers = QHBoxLayout()
        choosers.setSpacing(theme.SPACE_XL)
        choosers.addWidget(self.before, 1)
        choosers.addWidget(self.after, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        column.addLayout(top)
        column.addWidget(self.canvas, 1)
        column.addLayout(choosers)
        column.addWidget(self.hint)

    def open(self, record: RunRecord, step: int, index: int) -> None:
        """Show one preview of a run; picture A is the one without the LoRA, or the oldest there is."""
        self._record = record
        self._steps = record.sample_steps
        self._index = index
        for chooser, position in ((self.before, 0), (self.after, self._steps.index(step))):
            chooser.slider.blockSignals(True)
            chooser.slider.setRange(0, len(self._steps) - 1)
            chooser.slider.setValue(position)
            chooser.slider.blockSignals(False)
        self._cover()
        self.show()
        self.raise_()
        self.setFocus()
        self._load()

    def refresh(self) -> None:
        """The run may have more previews now, or other ones."""
        if self.isVisible():
            self._steps = self._record.sample_steps
            if not self._steps:
                self.hide()
                return
            for chooser in (self.before, self.after):
                chooser.slider.setRange(0, len(self._steps) - 1)
            self._load()

    @property
    def step(self) -> int:
        """Step of the preview that is shown."""
        return self._steps[self.after.slider.value()]

    @property
    def mode(self) -> Mode:
        """How two previews are compared."""
        return cast(Mode, self.modes.key)

    def set_mode(self, mode: Mode) -> None:
        """Compare in another way."""
        self.modes.choose(mode)
        self.canvas.set_mode(mode)
        self.setFocus()
        self._load()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.modes.set_text("one", tr("One"))
        self.modes.set_text("beside", tr("Side by side"))
        self.modes.set_text(
            "divided", tr("Slider"), tr("Drag the line over the picture (C changes the way to compare)")
        )
        self.close_button.setToolTip(tr("Close (Esc)"))
        self.close_button.setAccessibleName(tr("Close (Esc)"))
        self.before.slider.setAccessibleName(tr("Picture A"))
        self.after.slider.setAccessibleName(tr("Picture B"))
        self.hint.setText(tr("Hold Space to see picture A in the same place"))
        self._load()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Walk through epochs and prompts, compare."""
        key = event.key()
        slider = (self.before if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else self.after).slider
        if key == Qt.Key.Key_Escape:
            self.hide()
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            slider.setValue(slider.value() + (1 if key == Qt.Key.Key_Right else -1))
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            indices = list(self._record.prompts)
            at = indices.index(self._index) + (1 if key == Qt.Key.Key_Down else -1)
            self._index = indices[at % len(indices)]
            self._load()
        elif key == Qt.Key.Key_C:
            self.set_mode(_MODES[(_MODES.index(self.mode) + 1) % len(_MODES)])
        elif key in (Qt.Key.Key_Comma, Qt.Key.Key_Period):
            self.canvas.set_divider(self.canvas.divider + (0.05 if key == Qt.Key.Key_Period else -0.05))
        elif key == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._show_before(True)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Back to picture B."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._show_before(False)
        else:
            super().keyReleaseEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Keep covering the page when it changes size."""
        if watched is self._over and event.type() == QEvent.Type.Resize and self.isVisible():
            self._cover()
        return super().eventFilter(watched, event)

    def _cover(self) -> None:
        self.setGeometry(self._over.rect())

    def _show_before(self, shown: bool) -> None:
        self.canvas.show_before(shown)
        self._name_pictures()

    def _load(self) -> None:
        self.canvas.show_before(False)
        self.canvas.set_mode(self.mode)
        if not self._steps:
            return
        self.prompt.setText(self._record.prompts.get(self._index, ""))
        for side, chooser in self._choosers():
            sample = self._record.samples.get((self._steps[chooser.slider.value()], self._index))
            pixmap = QPixmap() if sample is None else self._pixmap(sample_file(sample.image, self._record.folder))
            if pixmap is not None:  # Until it is read, the one of before stays.
                self._shown[side] = pixmap
            if sample and side == "after":
                self.seed.setText(tr("Seed {seed}", seed=sample.seed))
        self.canvas.show_pixmaps(self._shown.get("before", QPixmap()), self._shown.get("after", QPixmap()))
        self._name_pictures()

    def _choosers(self) -> tuple[tuple[Side, _Chooser], ...]:
        return ("before", self.before), ("after", self.after)

    def _pixmap(self, path: Path) -> QPixmap | None:
        return self._loader.get(PictureKey(path, changed_at(path), _LARGEST_PX, _LARGEST_PX))

    def _on_loaded(self) -> None:
        if self.isVisible():
            shows_before = self.canvas.shows_before
            self._load()
            self._show_before(shows_before)

    def _name_pictures(self) -> None:
        shown: Side = "before" if self.canvas.shows_before else "after"
        for side, chooser in self._choosers():
            moment = moment_words(self._record, self._steps[chooser.slider.value()])
            chooser.title.setText(f"{'A' if side == 'before' else 'B'} · {moment}")
            seen = self.mode != "one" or side == shown
            set_role(chooser.title, "strong" if seen else "muted")

    def _dress(self) -> None:
        self.setStyleSheet(f"SampleViewer {{ background: {theme.tokens().background}; }}")


class _Chooser(QWidget):
    """Chooses the epoch of one of the pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.title = label(role="strong")
        self.title.setMinimumWidth(120)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setPageStep(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE_M)
        row.addWidget(self.title)
        row.addWidget(self.slider, 1)
