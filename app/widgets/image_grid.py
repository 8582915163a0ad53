"""The grid of pictures: only what is on the screen is read and drawn, so that its size does not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QPoint, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QPixmap, QRegion, QResizeEvent
from PySide6.QtWidgets import QListView, QWidget

from app import theme
from app.fit_plans import FitPlans
from app.project import Project
from app.widgets.item_models import ImageListModel
from app.widgets.picture_card import CELL_HEIGHT, GAP, PAD, THUMB, THUMB_WIDTH, CardDelegate, Standing
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from core.dataset.doctor.findings import Finding
from core.dataset.edits import UNTOUCHED, PictureEdits
from core.dataset.fitting import FitPlan, turned_size
from core.dataset.records import ImageRecord
from core.text import tr

MIN_CELL = 152 + 2 * PAD + GAP
SLACK = 4  # QListView breaks the row when the cells fill it to the last pixel.
MOST_PLANS = 2000
_ONLY_THIS = QItemSelectionModel.SelectionFlag.ClearAndSelect


class ImageGrid(QListView):
    """Cards with picture, name and caption; arrows, Page Up and Down, Home and End move.

    Several pictures can be selected as in a file manager: with Shift and Ctrl, Ctrl+A, or a frame drawn around them.
    """

    current_changed = Signal(object)  # the ImageRecord, or None
    selection_changed = Signal(object)  # tuple of paths, in the order of the grid
    menu_requested = Signal(QPoint)  # where on the screen
    exclude_requested = Signal()

    def __init__(
        self,
        loader: ThumbnailLoader,
        project: Project | None = None,
        plans: FitPlans | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """Show nothing yet.

        Args:
            loader: Reads the small pictures.
            project: Knows what was decided about pictures; without it, nothing was.
            plans: Knows how they are trained; without it, nothing is said about that.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._loader = loader
        self._project = project
        self._plans = plans
        self._known_plans: dict[Path, tuple[FitPlan, ...]] = {}
        self._is_as_trained = False
        self.images = ImageListModel(self)
        self.setModel(self.images)
        self.setItemDelegate(CardDelegate(self, self))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.setSelectionRectVisible(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().setSingleStep(CELL_HEIGHT // 3)
        self.setMouseTracking(True)
        self.setGridSize(QSize(MIN_CELL, CELL_HEIGHT))
        # Pictures that arrive together are painted together.
        self._arrived: set[Path] = set()
        self._painting = QTimer(self, singleShot=True, interval=30)
        self._painting.timeout.connect(self._paint_arrived)
        loader.loaded.connect(self._on_loaded)
        theme.signals.changed.connect(self.viewport().update)
        self._telling = QTimer(self, singleShot=True, interval=0)
        self._telling.timeout.connect(self._tell_selection)
        self._told: tuple[Path, ...] = ()
        self.selectionModel().currentChanged.connect(self._on_current_changed)
        self.selectionModel().selectionChanged.connect(lambda _on, _off: self._telling.start())
        self.images.modelReset.connect(self._telling.start)
        self.images.modelReset.connect(self._forget_plans)
        if project is not None:
            project.edits_changed.connect(self._on_edits_changed)
        if plans is not None:
            plans.changed.connect(self._forget_plans)
        self.retranslate()

    # What is shown

    @property
    def loader(self) -> ThumbnailLoader:
        """Where the small pictures come from."""
        return self._loader

    @property
    def is_as_trained(self) -> bool:
        """Whether pictures are shown as they are trained."""
        return self._is_as_trained

    def set_as_trained(self, as_trained: bool) -> None:
        """Show of each picture what the trainer sees of it, or all of it; of several crops the first."""
        if as_trained != self._is_as_trained:
            self._is_as_trained = as_trained
            self.viewport().update()

    def set_problems(self, findings: Callable[[Path], Sequence[Finding]] | None) -> None:
        """Mark pictures that something is wrong with; call it again when there is something new."""
        self.images.set_findings(findings)
        self.viewport().update()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.setAccessibleName(tr("Pictures"))
        self.viewport().update()

    def thumbnail_key(self, record: ImageRecord) -> PictureKey:
        """How the loader knows the small picture of a record, as it is shown now."""
        ratio = self.devicePixelRatioF()
        width, height = round(THUMB_WIDTH * ratio), round(THUMB * ratio)
        return PictureKey(record.path, record.changed_at, width, height, round(6 * ratio), self._view_of(record))

    def thumbnail(self, record: ImageRecord) -> QPixmap | None:
        """The small picture; null when it cannot be read, None while it is on its way."""
        return self._loader.get(self.thumbnail_key(record))

    def standing(self, record: ImageRecord) -> Standing:
        """What was decided about a picture, and what comes of it."""
        edits = self._edits(record)
        enlarged = max((plan.scale for plan in self._plans_of(record) if plan.is_upscaled), default=1.0)
        return Standing(enlarged, len(edits.crops), edits.excluded)

    def findings(self, record: ImageRecord) -> Sequence[Finding]:
        """What is wrong with a picture."""
        return self.images.findings(record.path)

    def _edits(self, record: ImageRecord) -> PictureEdits:
        return self._project.edits(record.path) if self._project else UNTOUCHED

    def _plans_of(self, record: ImageRecord) -> tuple[FitPlan, ...]:
        if self._plans is None:
            return ()
        plans = self._known_plans.get(record.path)
        if plans is None:
            if len(self._known_plans) >= MOST_PLANS:
                self._known_plans.clear()
            plans = self._known_plans[record.path] = self._plans.plans_of(record)
        return plans

    def _view_of(self, record: ImageRecord) -> FitPlan | None:
        if self._is_as_trained and (plans := self._plans_of(record)):
            return plans[0]
        if turn := self._edits(record).turn:
            size_px = turned_size(record.size_px, turn)
            return FitPlan(size_px, size_px, (0, 0, *size_px), turn)
        return None

    def _forget_plans(self) -> None:
        self._known_plans.clear()
        self.viewport().update()

    def _on_edits_changed(self, images: tuple[Path, ...]) -> None:
        for image in images:
            self._known_plans.pop(image, None)
        self.viewport().update()

    # Where pictures are

    @property
    def num_columns(self) -> int:
        """How many cards stand side by side."""
        return max(1, (self.viewport().width() - SLACK) // MIN_CELL)

    def top_of(self, image: Path) -> int:
        """How far below the upper edge a picture begins, in pixels; below 0 when that is scrolled out."""
        return self.visualRect(self.images.index(self.images.row_of(image))).top()

    def scroll_to(self, image: Path, top: int) -> None:
        """Scroll so that a picture begins so many pixels below the upper edge, as far as there is enough to scroll."""
        bar = self.verticalScrollBar()
        bar.setValue(bar.value() + self.top_of(image) - top)

    # What is selected

    def current(self) -> ImageRecord | None:
        """The picture that the keyboard is at."""
        return self.images.record(self.currentIndex().row())

    def selected(self) -> tuple[ImageRecord, ...]:
        """All selected pictures, in the order of the grid."""
        selection = self.selectionModel().selection()
        parts = [selection.at(number) for number in range(selection.count())]
        ranges = sorted((part.top(), part.bottom()) for part in parts)
        return tuple(record for top, bottom in ranges for record in self.images.records(top, bottom))

    def select(self, image: Path | None) -> bool:
        """Select one picture and bring it into view. Returns whether the filter shows it."""
        row = self.images.row_of(image) if image is not None else -1
        if row < 0:
            return False
        self._go_to(row)
        return True

    def select_images(self, images: Iterable[Path]) -> int:
        """Select these pictures and no others, as far as the filter shows them. Returns how many it shows."""
        rows = sorted({row for image in images if (row := self.images.row_of(image)) >= 0})
        selection = QItemSelection()
        first = 0
        for place, row in enumerate(rows):
            if place + 1 == len(rows) or rows[place + 1] != row + 1:  # The end of a run of neighbours.
                selection.select(self.images.index(rows[first]), self.images.index(row))
                first = place + 1
        self.selectionModel().select(selection, _ONLY_THIS)
        if rows and self.currentIndex().row() not in set(rows):
            self.selectionModel().setCurrentIndex(
                self.images.index(rows[0]), QItemSelectionModel.SelectionFlag.NoUpdate
            )
        return len(rows)

    def select_first(self) -> None:
        """Select the first picture, if there is one."""
        if self.images.rowCount():
            self._go_to(0)

    def move_by(self, rows: int) -> None:
        """Select the picture so many places on, stopping at the ends."""
        count = self.images.rowCount()
        if count:
            self._go_to(min(max(self.currentIndex().row() + rows, 0), count - 1))

    def _go_to(self, row: int) -> None:
        # Not setCurrentIndex, which would look at the keys that are held down.
        index = self.images.index(row)
        self.selectionModel().setCurrentIndex(index, _ONLY_THIS)
        self.scrollTo(index)

    def _on_current_changed(self) -> None:
        self.current_changed.emit(self.current())

    def _tell_selection(self) -> None:
        paths = tuple(record.path for record in self.selected())
        if paths != self._told:
            self._told = paths
            self.selection_changed.emit(paths)

    # Qt

    def _on_loaded(self, key: PictureKey) -> None:
        self._arrived.add(key.path)
        if not self._painting.isActive():
            self._painting.start()

    def _paint_arrived(self) -> None:
        rows = [self.images.row_of(image) for image in self._arrived]
        self._arrived.clear()
        for row in rows:
            if row >= 0:
                self.update(self.images.index(row))

    def visualRegionForSelection(self, selection: QItemSelection) -> QRegion:  # noqa: N802 - Qt's name
        """What to paint when the selection changes: all that is visible, since Qt would ask for every single cell."""
        return QRegion(self.viewport().rect())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Delete asks to leave the selected pictures out."""
        if event.key() == Qt.Key.Key_Delete and self.selectionModel().hasSelection():
            self.exclude_requested.emit()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        """Ask for the menu of the selected pictures, where the pointer or the current picture is."""
        place = event.globalPos()
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            visible = self.visualRect(self.currentIndex()).intersected(self.viewport().rect())
            place = self.viewport().mapToGlobal(visible.center() if visible.isValid() else QRect().center())
        if self.selectionModel().hasSelection():
            self.menu_requested.emit(place)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Spread the columns over the width."""
        size = QSize(max(1, (self.viewport().width() - SLACK) // self.num_columns), CELL_HEIGHT)
        if size != self.gridSize():
            self.setGridSize(size)
        super().resizeEvent(event)
