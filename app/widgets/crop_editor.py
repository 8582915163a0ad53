"""The place where one picture is cropped, turned, fitted, repeated or left out. The file itself is never touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtWidgets import (
    QComboBox,
    QLineEdit,
    QWidget,
)

from app.background import Background
from app.fit_plans import FitPlans
from app.project import Project
from app.widgets import crop_geometry as geometry
from app.widgets.crop_page import CropPage
from app.widgets.thumbnails import PictureKey, read_picture
from core.dataset.edits import UNTOUCHED, Crop, PictureEdits
from core.dataset.fitting import FitPlan, plans_of, turned_box, turned_edits, turned_size
from core.dataset.geometry import Size
from core.dataset.records import ImageRecord
from core.text import tr

SHOWN_PX = 2560
"""A picture is shown in at most so many pixels across and along; its frames count in all of them."""


class CropEditor(CropPage):
    """Everything done here to one picture is one step that can be taken back, taken when it is left."""

    closed = Signal()
    picture_requested = Signal(int)  # -1 for the picture before, 1 for the next one; the decisions are kept by then

    def __init__(self, project: Project, plans: FitPlans, parent: QWidget | None = None) -> None:
        super().__init__(project, plans, parent)
        self._project = project
        self._record: ImageRecord | None = None
        self._edits = self._before = UNTOUCHED
        self._folder: Path | None = None
        self._image: QImage | None = None
        self._generation = 0
        self._background = Background(self)
        self._connect()
        self.setFocusProxy(self.canvas)
        self.retranslate()

    def _connect(self) -> None:
        self.canvas.changed.connect(self._on_boxes_changed)
        self.canvas.current_changed.connect(lambda _index: self._show())
        self.crops.chosen.connect(self.canvas.set_current)
        self.crops.removed.connect(self._remove)
        self.crops.renamed.connect(self._rename)
        self.add_button.clicked.connect(self.add_crop)
        self.subject_button.clicked.connect(self.add_crop_around_subject)
        self.left_button.clicked.connect(lambda: self.turn(-1))
        self.right_button.clicked.connect(lambda: self.turn(1))
        self.reset_button.clicked.connect(self.reset)
        self.cancel_button.clicked.connect(self.cancel)
        self.done_button.clicked.connect(self.done)
        self.back_button.clicked.connect(lambda: self._move_on(-1))
        self.on_button.clicked.connect(lambda: self._move_on(1))
        self.shape.activated.connect(self._use_shape)
        self.fit.activated.connect(lambda _index: self._change({"fit": self.fit.currentData() or None}))
        self.repeats.valueChanged.connect(lambda value: self._change({"repeats": value}))
        self.excluded.toggled.connect(lambda checked: self._change({"excluded": checked}))
        self._project.edits_changed.connect(self._on_edits_changed)
        self._project.records_changed.connect(self._on_records_changed)
        self._plans.changed.connect(self.retranslate)  # The fit of the dataset is named here, too.

    # A visit

    @property
    def image(self) -> Path | None:
        """The picture that is open."""
        return self._record.path if self._record else None

    @property
    def edits(self) -> PictureEdits:
        """What is decided about it here so far."""
        return self._edits

    def open(self, image: Path) -> None:
        """Show a picture of the open dataset with what was decided about it; what was open before is kept."""
        self.keep()
        record = self._project.record(image)
        if record is not None:
            self._edits = self._before = self._project.edits(image)
            self._folder = self._project.folder
            self._read(record)
            self._use_edits(0)
            self.canvas.setFocus()

    def _read(self, record: ImageRecord) -> None:
        self._record, self._image = record, None
        self._generation += 1
        generation = self._generation
        key = PictureKey(record.path, record.changed_at, SHOWN_PX, SHOWN_PX)
        self._background.start(lambda: read_picture(key), lambda result: self._take_picture(generation, result))
        self.canvas.set_picture(None, self._turned_size)

    def keep(self) -> None:
        """Take the decisions of this visit as one step; nothing happens when there are none."""
        record = self._record
        if record is None:
            return
        crops = tuple(crop.model_copy(update={"name": crop.name.strip()}) for crop in self._edits.crops)
        self._edits = self._edits.model_copy(update={"crops": crops})
        if self._edits != self._project.edits(record.path):
            self._project.edit_pictures(tr("Crop {name}", name=record.path.name), {record.path: self._edits})

    def done(self) -> None:
        """Keep the decisions and leave."""
        self.keep()
        self._leave()

    def cancel(self) -> None:
        """Leave everything as it was before, also what was kept meanwhile because another page was shown."""
        self._edits = self._before
        self.keep()
        self._leave()

    def undo(self) -> None:
        """Take back what was decided here since the last step. Steps before that are taken back from the grid."""
        if self._record is not None:
            self._edits = self._project.edits(self._record.path)
            self._use_edits(self.canvas.current)

    def reset(self) -> None:
        """Forget every decision about the picture."""
        self._edits = UNTOUCHED
        self._use_edits(-1)

    def _leave(self) -> None:
        self._record, self._image = None, None
        self._generation += 1
        self.canvas.set_picture(None, (1, 1))
        self.canvas.set_boxes((), -1)
        self.preview.set_record(None)
        self.closed.emit()

    def _move_on(self, by: int) -> None:
        self.keep()
        self.picture_requested.emit(by)

    def _take_picture(self, generation: int, result: QImage | Exception) -> None:
        if generation == self._generation:
            self._image = result if isinstance(result, QImage) and not result.isNull() else None
            self._show_picture(is_broken=self._image is None)

    def _on_edits_changed(self, images: tuple[Path, ...]) -> None:
        if self._record is not None and self._record.path in images:
            now = self._project.edits(self._record.path)
            if now != self._edits:  # Taken back from elsewhere.
                self._edits = self._before = now
                self._use_edits(self.canvas.current)

    def _on_records_changed(self) -> None:
        before = self._record
        if before is None:
            return
        now = self._project.record(before.path)
        if now is None:
            if self._folder == self._project.folder:  # The file is gone, perhaps only while it is saved anew.
                self.keep()
            self._leave()
        elif (now.size_px, now.changed_at) != (before.size_px, before.changed_at):
            self._read(now)
            self._use_edits(self.canvas.current)

    # Decisions

    def add_crop(self) -> None:
        """Add a frame in the middle of the picture."""
        number = len(self._edits.crops)
        self._add(Crop(box=geometry.fresh(self._turned_size, self._ratio_or_bucket(), number)))

    def add_crop_around_subject(self) -> None:
        """Add a frame around what the picture is about."""
        record = self._record
        subject = self._plans.subject(record.path) if record else None
        if record is not None and subject is not None:
            part = turned_box(subject, record.size_px, self._edits.turn)
            self._add(Crop(box=geometry.around(part, self._turned_size, self._ratio_or_bucket())))

    def turn(self, by: int) -> None:
        """Turn the picture with its crops: 1 is a quarter to the right, -1 to the left."""
        if self._record is not None:
            self._edits = turned_edits(self._edits, self._record.size_px, 90 if by > 0 else 270)
            self._use_edits(self.canvas.current)

    def _add(self, crop: Crop) -> None:
        self._edits = self._edits.model_copy(update={"crops": (*self._edits.crops, crop)})
        self._use_edits(len(self._edits.crops) - 1)

    def _remove(self, index: int) -> None:
        if 0 <= index < len(self._edits.crops):
            crops = (*self._edits.crops[:index], *self._edits.crops[index + 1 :])
            self._edits = self._edits.model_copy(update={"crops": crops})
            self._use_edits(min(index, len(crops) - 1))

    def _rename(self, index: int, name: str) -> None:
        crops = list(self._edits.crops)
        crops[index] = crops[index].model_copy(update={"name": name})
        self._change({"crops": tuple(crops)})

    def _change(self, values: dict[str, Any]) -> None:
        self._edits = self._edits.model_copy(update=values)
        self._show()

    def _on_boxes_changed(self) -> None:
        names = [crop.name for crop in self._edits.crops]
        names += [""] * (len(self.canvas.boxes) - len(names))
        crops = tuple(Crop(box=box, name=name) for box, name in zip(self.canvas.boxes, names, strict=True))
        self._change({"crops": crops})

    # Shapes

    def _ratio(self) -> geometry.Ratio:
        shape = self.shape.currentData()
        if shape == "buckets":
            return geometry.nearest_of(self._plans.options.sizes("buckets"))
        if shape == "original":
            return geometry.fixed(self._turned_size[0] / self._turned_size[1])
        if shape:
            across, along = (int(number) for number in shape.split(":"))
            return geometry.fixed(across / along)
        return geometry.free

    def _ratio_or_bucket(self) -> geometry.Ratio:
        """A frame of any shape begins with one that is trained without a loss."""
        return self._ratio() if self.shape.currentData() else geometry.nearest_of(self._plans.options.sizes("buckets"))

    def _use_shape(self) -> None:
        self.canvas.set_ratio(self._ratio())
        index = self.canvas.current
        if 0 <= index < len(self._edits.crops):
            crops = list(self._edits.crops)
            box = geometry.shaped(crops[index].box, self._turned_size, self._ratio())
            crops[index] = crops[index].model_copy(update={"box": box})
            self._edits = self._edits.model_copy(update={"crops": tuple(crops)})
            self._use_edits(index)
        self.canvas.setFocus()

    # What is shown

    @property
    def _turned_size(self) -> Size:
        return turned_size(self._record.size_px, self._edits.turn) if self._record else (1, 1)

    @property
    def plans(self) -> tuple[FitPlan, ...]:
        """What the trainer would make of the picture now."""
        record = self._record
        if record is None:
            return ()
        return plans_of(record.size_px, self._plans.options, self._edits, self._plans.subject(record.path))

    def _use_edits(self, current: int) -> None:
        """Show decisions that did not come from the controls themselves."""
        edits = self._edits
        with QSignalBlocker(self.repeats), QSignalBlocker(self.excluded):
            self.repeats.setValue(edits.repeats)
            self.excluded.setChecked(edits.excluded)
        self.fit.setCurrentIndex(self.fit.findData(edits.fit or ""))
        self.canvas.set_ratio(self._ratio())
        self._show_picture()
        self.canvas.set_boxes(tuple(crop.box for crop in edits.crops), current if edits.crops else -1)
        self._show()

    def _show_picture(self, *, is_broken: bool = False) -> None:
        self.canvas.set_picture(self._image, self._turned_size, self._edits.turn, is_broken=is_broken)

    def _show(self) -> None:
        record = self._record
        if record is None:
            return
        plans, current = self.plans, self.canvas.current
        crops = self._edits.crops
        self.crops.show_crops(crops, plans, current)
        self.preview.show_plans(record, (plans[current],) if crops and current >= 0 else plans)
        self._title.setText(record.path.name)
        width, height = self._turned_size
        self._size.setText(f"{width} × {height}")
        is_known = self._plans.subject(record.path) is not None
        self.subject_button.setEnabled(is_known)
        self.subject_button.setToolTip(
            tr("Adds a crop around what the picture shows")
            if is_known
            else tr("No subject is known in this picture. The Check panel looks for it.")
        )
        self.reset_button.setEnabled(self._edits != UNTOUCHED)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self._show()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Enter keeps, Escape cancels, Page Up and Down move on; Delete, Ctrl+D and R are about crops and turns."""
        key, control = event.key(), event.modifiers() == Qt.KeyboardModifier.ControlModifier
        is_typing = isinstance(self.focusWidget(), (QLineEdit, QComboBox))
        if key == Qt.Key.Key_Escape:
            self.cancel()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.canvas.setFocus() if is_typing else self.done()
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            self._move_on(1 if key == Qt.Key.Key_PageDown else -1)
        elif key == Qt.Key.Key_D and control:
            self.add_crop()
        elif key == Qt.Key.Key_Delete and not is_typing:
            self._remove(self.canvas.current)
        elif key == Qt.Key.Key_R and not is_typing:
            self.turn(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        else:
            super().keyPressEvent(event)
