"""The pictures of a tagging run with what becomes of their captions; only what is on the screen is read and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPersistentModelIndex, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QListView

from app import theme
from app.widgets.tagger_row import IMAGE_ROLE, PLAN_ROLE, ROW_HEIGHT, RowDelegate, outcome_text
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from core.tagging.plan import CaptionPlan
from core.text import tr

_MOST_IN_TOOLTIP = 400
_ONLY_THIS = QItemSelectionModel.SelectionFlag.ClearAndSelect
Plans = Callable[[Path], CaptionPlan | None]


class ResultModel(QStringListModel):
    """Pictures in an order; `plan_of` is asked for what is drawn. Qt counts the rows, as in `ImageListModel`."""

    def __init__(self, plan_of: Plans) -> None:
        super().__init__()
        self._plan_of = plan_of
        self.images: Sequence[Path] = ()
        self._rows: dict[Path, int] = {}

    def set_images(self, images: Sequence[Path]) -> None:
        """Show other pictures."""
        if images == self.images:
            return
        self.images = images
        self._rows = {image: row for row, image in enumerate(images)}
        self.setStringList([""] * len(images))

    def row_of(self, image: Path) -> int:
        """The row of a picture, or -1."""
        return self._rows.get(image, -1)

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Pictures are chosen, not typed over."""
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Name, tooltip, or the plan."""
        if not 0 <= index.row() < len(self.images):
            return None
        image = self.images[index.row()]
        if role == IMAGE_ROLE:
            return image
        if role == PLAN_ROLE:
            return self._plan_of(image)
        if role == Qt.ItemDataRole.DisplayRole:
            return image.name
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            plan = self._plan_of(image)
            if plan is None:
                return image.name
            lines = [image.name, outcome_text(plan), plan.problem, plan.caption[:_MOST_IN_TOOLTIP]]
            return "\n".join(line for line in lines if line)
        return None


class ResultList(QListView):
    """Rows to scroll and to choose. While a run goes on it follows the newest one, until the user scrolls."""

    current_changed = Signal(object)  # the path, or None
    opened = Signal()  # Enter, or a double click

    def __init__(self, loader: ThumbnailLoader, plan_of: Plans, caption_of: Callable[[Path], str]) -> None:
        """Show nothing yet.

        Args:
            loader: Reads the small pictures.
            plan_of: What becomes of a picture.
            caption_of: The caption of a picture with no plan.
        """
        super().__init__()
        self.results = ResultModel(plan_of)
        self.setModel(self.results)
        self.setItemDelegate(RowDelegate(self, loader, caption_of))
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().setSingleStep(ROW_HEIGHT // 3)
        self.setMouseTracking(True)
        self._follows = False
        self._newest: Path | None = None
        self._painting = QTimer(self, singleShot=True, interval=30)
        self._painting.timeout.connect(self._paint)
        self.verticalScrollBar().actionTriggered.connect(lambda _action: self._stop_following())
        self.selectionModel().currentChanged.connect(lambda _now, _before: self.current_changed.emit(self.current()))
        self.doubleClicked.connect(lambda _index: self.opened.emit())
        loader.loaded.connect(self._on_loaded)
        theme.signals.changed.connect(self.viewport().update)

    def current(self) -> Path | None:
        """The picture that is chosen."""
        row = self.currentIndex().row()
        return self.results.images[row] if 0 <= row < len(self.results.images) else None

    def set_images(self, images: Sequence[Path]) -> None:
        """Show other pictures; the chosen one stays chosen when it is among them."""
        if images == self.results.images:
            self.refresh()
            return
        chosen = self.current()
        self.results.set_images(images)
        if chosen is not None and not self.select(chosen):
            self.current_changed.emit(None)

    def select(self, image: Path) -> bool:
        """Choose a picture and bring it into view. Returns whether it is shown."""
        row = self.results.row_of(image)
        if row < 0:
            return False
        index = self.results.index(row)
        self.selectionModel().setCurrentIndex(index, _ONLY_THIS)
        self.scrollTo(index)
        return True

    def move_by(self, rows: int) -> None:
        """Choose the picture so many places on, stopping at the ends."""
        if count := len(self.results.images):
            self.select(self.results.images[min(max(self.currentIndex().row() + rows, 0), count - 1)])

    def refresh(self) -> None:
        """What becomes of the pictures is something else now."""
        if not self._painting.isActive():
            self._painting.start()

    def follow(self) -> None:
        """Follow a run from now on."""
        self._follows = True

    def show_newest(self, image: Path) -> None:
        """A run has come to a picture."""
        self._newest = image
        self.refresh()

    def _paint(self) -> None:
        self.viewport().update()
        row = self.results.row_of(self._newest) if self._newest is not None else -1
        self._newest = None
        if self._follows and row >= 0:
            self.scrollTo(self.results.index(row))

    def _stop_following(self) -> None:
        self._follows = False

    def _on_loaded(self, key: PictureKey) -> None:
        if key.path in self.results._rows:
            self.refresh()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Enter opens the picture."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self.opened.emit()
        else:
            super().keyPressEvent(event)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.setAccessibleName(tr("Captions"))
        self.viewport().update()
