"""The pictures: open folders, look at them as the trainer will, mend what is wrong, write captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QProgressBar,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.background import Background
from app.dataset_counts import Counts, count, needs_captions
from app.dataset_reading import Arrival
from app.doctor import Doctor
from app.fit_plans import FitPlans
from app.grid_actions import GridActions
from app.grid_filter import predicate_of
from app.latest import Latest
from app.project import Project, demo_folder
from app.scopes import Scopes
from app.settings import Settings
from app.tag_index import TagIndex
from app.tagging_memory import remembered_options
from app.widgets.arriving_grid import ArrivingGrid
from app.widgets.caption_editor import CaptionEditor
from app.widgets.card import button
from app.widgets.dataset_header import DatasetHeader
from app.widgets.empty_state import Choice, EmptyState
from app.widgets.filter_bar import FilterBar, Order
from app.widgets.image_grid import MIN_CELL, ImageGrid
from app.widgets.side_panel import SidePanel
from app.widgets.thumbnails import ThumbnailLoader, prepare_reading
from app.widgets.trained_preview import TrainedPreview
from core.dataset.records import ImageRecord
from core.dataset.tag_cache import tags_of
from core.jobs import Job
from core.runner import ChildRun, Run
from core.text import tr

if TYPE_CHECKING:
    from app.widgets.crop_editor import CropEditor
    from app.widgets.export_dialog import ExportDialog
    from app.widgets.tags_panel import TagsPanel

MANY = 1000
"""More pictures than these are counted beside the window."""
SIDE_WIDTH, LEAST_SIDE_WIDTH = 388, 360
WELCOME, LOADING, CONTENT, CROP = range(4)
PICTURE, TAGS, CHECK, FIT, NUMBERS, FOLDERS = "picture", "tags", "check", "fit", "numbers", "folders"


class DatasetTab(QWidget):
    """Welcome page without a folder; else the grid, its filter, and a column of panels about what is in it."""

    tagger_requested = Signal()
    params_requested = Signal()
    models_requested = Signal(str)  # the kind of model to be downloaded

    def __init__(self, project: Project, settings: Settings, make_run: Callable[[Job], Run] = ChildRun) -> None:
        super().__init__()
        self._project = project
        self._settings = settings
        self._make_run = make_run
        prepare_reading()
        self.loader = ThumbnailLoader(parent=self)
        self.plans = FitPlans(project, self)
        self.scopes = Scopes(project, self)
        self.doctor = Doctor(project, make_run, self)
        self.crop_editor: CropEditor | None = None
        self.export_dialog: ExportDialog | None = None
        self._pages = QStackedWidget()
        self._pages.addWidget(self._build_welcome())
        self._loading = EmptyState("folder-open")
        self._pages.addWidget(self._loading)
        self._pages.addWidget(self._build_content())
        self._busy = QProgressBar()
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setProperty("role", "thin")
        policy = self._busy.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self._busy.setSizePolicy(policy)
        self._busy.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._busy)
        layout.addWidget(self._pages, 1)
        # The grid sorts anew only when it is given another function.
        self._orders: dict[Order, Callable[[ImageRecord], Any] | None] = {
            "name": None,
            "pixels": lambda record: record.size_px[0] * record.size_px[1],
            "tags": lambda record: len(tags_of(record.caption or "")),
            "problems": self._num_findings,
            "changed": lambda record: -record.changed_at,
        }
        self._background = Background(self)
        self._latest_counts = Latest(self)
        self._suggested_tagger: Path | None = None
        self._counting = QTimer(self, singleShot=True, interval=30)
        self._counting.timeout.connect(self._show_counts)
        self._arrived: tuple[Path, int] | None = None  # Which picture the user looked at, and where it was.
        project.scanning_changed.connect(self._on_scanning_changed)
        project.glimpsed.connect(self._show_arrival)
        project.scan_progressed.connect(self._show_reading)
        project.writing_changed.connect(self._on_writing_changed)
        project.folder_changed.connect(self._on_folder_changed)
        project.records_changed.connect(self._on_records_changed)
        project.captions_changed.connect(self._on_captions_changed)
        project.edits_changed.connect(lambda _images: self._counting.start())
        project.history_changed.connect(self._show_history)
        self.doctor.changed.connect(self._on_doctor_changed)
        settings.language_changed.connect(self.retranslate)
        settings.language_changed.connect(project.rescan)  # What a scan says is in the language of its time.
        self._add_shortcuts()
        self.retranslate()
        if project.scan is not None:
            self._on_folder_changed()
            self._on_records_changed()

    # Building

    def _build_welcome(self) -> EmptyState:
        self.welcome = EmptyState("kiln")
        self.open_choice = Choice("folder-open", primary=True)
        self.open_choice.chosen.connect(self.choose_folder)
        self.demo_choice = Choice("sparkles")
        self.demo_choice.chosen.connect(self._project.open_demo)
        self.welcome.add(self.open_choice)
        self.welcome.add(self.demo_choice)
        return self.welcome

    def _build_content(self) -> QWidget:
        self.grid = ImageGrid(self.loader, self._project, self.plans)
        self.grid.set_problems(self.doctor.findings_of)
        self.grid.current_changed.connect(lambda _record: self._show_selection())
        self.grid.selection_changed.connect(self._on_selection_changed)
        self.actions_on = GridActions(self._project, self.grid, self.flush, self)
        self.grid.exclude_requested.connect(self.actions_on.toggle_excluded)
        self.grid.menu_requested.connect(lambda place: self.actions_on.open_menu(place, self.open_crop_editor))
        self.filter = FilterBar()
        self.filter.changed.connect(self._apply_filter)
        self.filter.order_changed.connect(self._apply_order)
        self.filter.as_trained_toggled.connect(self._on_as_trained)
        self.filter.undo_button.clicked.connect(self.undo)
        self.filter.redo_button.clicked.connect(self._project.redo)
        self.editor = CaptionEditor(self._project, self.loader, self._settings)
        self.grid.activated.connect(lambda _index: self._edit_caption())
        self.editor.move_requested.connect(self.grid.move_by)
        self.editor.left_with_escape.connect(self.grid.setFocus)
        self.editor.crop_requested.connect(self.open_crop_editor)
        self.editor.filter_requested.connect(self.ask)
        self.editor.as_trained_changed.connect(self.filter.trained_button.setChecked)
        preview = TrainedPreview(self._project, self.plans)
        self.editor.record_changed.connect(preview.set_record)
        self.editor.set_preview(preview)
        self.editor.rename_requested.connect(lambda tag: self._tags().open_rename(tag))
        self.editor.removal_requested.connect(lambda tags: self._tags().open_removal(tags))
        self._nothing = EmptyState("search")
        self._clear_button = button()
        self._clear_button.setMaximumWidth(220)
        self._clear_button.clicked.connect(lambda: self.ask(""))
        self._nothing.add(self._clear_button)
        self._views = QStackedWidget()
        self._views.addWidget(self.grid)
        self._views.addWidget(self._nothing)
        self.arriving = ArrivingGrid(self.loader)
        self._views.addWidget(self.arriving)
        left = QWidget()
        left.setMinimumWidth(MIN_CELL * 2 + 24)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self.filter)
        column.addWidget(self._views, 1)
        self.side = self._build_side()
        self._sides = QStackedWidget()  # Nothing is beside pictures that are still being read.
        self._sides.setMinimumWidth(LEAST_SIDE_WIDTH)
        self._sides.addWidget(self.side)
        self._sides.addWidget(QWidget())
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(theme.SPACE_M)
        splitter.addWidget(left)
        splitter.addWidget(self._sides)
        splitter.setStretchFactor(0, 1)
        splitter.setStretchFactor(1, 0)
        splitter.setSizes([1000, self._settings.value("dataset/side_width", SIDE_WIDTH)])
        splitter.splitterMoved.connect(
            lambda _position, _index: self._settings.set_value("dataset/side_width", splitter.sizes()[1])
        )
        content = QWidget()
        outer = QVBoxLayout(content)
        outer.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        outer.setSpacing(theme.SPACE_M)
        self.header = self._build_header()
        outer.addWidget(self.header)
        outer.addWidget(splitter, 1)
        return content

    def _build_side(self) -> SidePanel:
        side = SidePanel()
        side.add(PICTURE, lambda: tr("Picture"), lambda: self.editor)
        side.add(TAGS, lambda: tr("Tags"), self._make_tags)
        side.add(CHECK, lambda: tr("Check"), self._make_check)
        side.add(FIT, lambda: tr("Crops"), self._make_fit)
        side.add(NUMBERS, lambda: tr("Stats"), self._make_numbers)
        side.add(FOLDERS, lambda: tr("Folders"), self._make_folders)
        side.show_panel(PICTURE)
        return side

    def _make_tags(self) -> QWidget:
        from app.widgets.tags_panel import TagsPanel

        panel = TagsPanel(self._project, self.scopes)
        panel.filter_requested.connect(self.ask)
        return panel

    def _make_check(self) -> QWidget:
        from app.widgets.doctor_panel import DoctorPanel

        panel = DoctorPanel(self._project, self.doctor)
        panel.filter_requested.connect(self.ask)
        panel.picture_requested.connect(self.show_picture)
        return panel

    def _make_fit(self) -> QWidget:
        from app.widgets.fit_panel import FitPanel

        panel = FitPanel(self._project, self.plans)
        panel.filter_requested.connect(self.ask)
        panel.models_requested.connect(self.models_requested)
        return panel

    def _make_numbers(self) -> QWidget:
        from app.widgets.statistics_panel import StatisticsPanel

        panel = StatisticsPanel(self._project)
        panel.filter_requested.connect(self.ask)
        return panel

    def _make_folders(self) -> QWidget:
        from app.widgets.folders_panel import FoldersPanel

        return FoldersPanel(self._project)

    def _build_header(self) -> DatasetHeader:
        header = DatasetHeader()
        header.keys_clicked.connect(self.show_keys)
        header.rescan_clicked.connect(self.rescan)
        header.demo_clicked.connect(self._open_demo)
        header.open_clicked.connect(self.choose_folder)
        header.export_clicked.connect(self.export)
        header.next_clicked.connect(self._go_on)
        return header

    def _add_shortcuts(self) -> None:
        everywhere: Mapping[str, Callable[[], Any]] = {
            "F5": self.rescan,
            "F1": self.show_keys,
            "Ctrl+S": self.flush,
            "Ctrl+F": self.filter.focus_search,
            "Ctrl+B": self.open_bulk_edit,
            "Ctrl+Z": self.undo,
            "Ctrl+Shift+Z": self.redo,
            "Ctrl+Y": self.redo,
            "Ctrl+Down": lambda: self.grid.move_by(1),
            "Ctrl+Up": lambda: self.grid.move_by(-1),
        }
        self._shortcuts: list[QShortcut] = []
        in_grid: Mapping[str, Callable[[], Any]] = {
            "C": self.open_crop_editor,
            "T": self.filter.trained_button.toggle,
            "Shift+Del": self.actions_on.ask_for_trash,
        }
        for keys_of, widget in ((everywhere, self), (in_grid, self.grid)):
            for keys, slot in keys_of.items():
                shortcut = QShortcut(QKeySequence(keys), widget)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(slot)
                if widget is self:
                    self._shortcuts.append(shortcut)

    # What the user does

    def choose_folder(self) -> None:
        """Ask for a folder and open it."""
        start = self._project.folder or self._project.last_folder or Path.home()
        chosen = QFileDialog.getExistingDirectory(self, tr("Open a folder of pictures"), str(start))
        if chosen:
            self._project.open_folder(Path(chosen))

    def rescan(self) -> None:
        """Save what is typed and read the folders again."""
        self.flush()
        self._project.rescan()

    def flush(self) -> None:
        """Save what is typed and cropped, and remember what is looked at."""
        self.editor.flush()
        self._keep_crops()
        current = self.grid.current()
        if current is not None:
            self._project.set_view({"picture": str(current.path)})

    def _keep_crops(self) -> None:
        if self.crop_editor is not None and self._is_cropping:
            self.crop_editor.keep()

    def _edit_caption(self) -> None:
        self.side.show_panel(PICTURE)
        self.editor.start_typing()

    def undo(self) -> None:
        """Take back what is being typed or cropped, else the last step, where that can be seen."""
        if self.crop_editor is not None and self._is_cropping:
            self.crop_editor.undo()
        else:
            self.editor.undo()

    def redo(self) -> None:
        """Do again what was taken back last, where that can be seen."""
        if not self._is_cropping:
            self._project.redo()

    @property
    def _is_cropping(self) -> bool:
        """Whether the crop editor is in the place of the page."""
        return self._pages.currentIndex() == CROP

    def ask(self, text: str) -> None:
        """Show the pictures that a filter lets pass."""
        self._show_grid()
        self.filter.ask(text)

    def show_picture(self, image: Path) -> None:
        """Select a picture, showing all pictures when the filter would hide it."""
        self._show_grid()
        if not self.grid.select(image):
            self.filter.ask("")
            self.grid.select(image)

    def open_crop_editor(self) -> None:
        """Show the current picture with its crops in place of the page."""
        record = self.grid.current()
        if record is None:
            return
        self.flush()
        if self.crop_editor is None:
            from app.widgets.crop_editor import CropEditor

            self.crop_editor = CropEditor(self._project, self.plans)
            self.crop_editor.closed.connect(self._show_grid)
            self.crop_editor.picture_requested.connect(self._crop_another)
            self._pages.addWidget(self.crop_editor)
        self.crop_editor.open(record.path)
        self._pages.setCurrentWidget(self.crop_editor)
        self.crop_editor.setFocus()

    def _crop_another(self, rows: int) -> None:
        self.grid.move_by(rows)
        record = self.grid.current()
        if record is not None and self.crop_editor is not None:
            self.crop_editor.open(record.path)

    def open_bulk_edit(self) -> None:
        """Show the tools for many captions."""
        self._tags().open_bulk_edit()

    def _tags(self) -> TagsPanel:
        from app.widgets.tags_panel import TagsPanel

        self._show_grid()
        self.side.show_panel(TAGS)
        return cast(TagsPanel, self.side.panel(TAGS))

    def export(self) -> None:
        """Ask where and how to write fitted copies."""
        from app.widgets.export_dialog import ExportDialog

        self.flush()
        self._project.save()
        if self.export_dialog is None:
            self.export_dialog = ExportDialog(self._project, self._make_run, self)
        self.export_dialog.show()
        self.export_dialog.raise_()
        self.export_dialog.activateWindow()

    def show_keys(self) -> None:
        """Show all keys of this page."""
        from app.widgets.cheat_sheet import CheatSheet, dataset_keys

        CheatSheet(dataset_keys(), self.window()).open()

    def _open_demo(self) -> None:
        self.flush()
        self._project.open_demo()

    def _go_on(self) -> None:
        self.flush()
        scan = self._project.scan
        if scan is not None and needs_captions(scan):
            self.tagger_requested.emit()
        else:
            self.params_requested.emit()

    def _on_as_trained(self, as_trained: bool) -> None:
        self.grid.set_as_trained(as_trained)
        self.editor.set_as_trained(as_trained)
        self._project.set_view({"as_trained": as_trained})

    # Filter, order, selection

    def _apply_filter(self) -> None:
        self.editor.flush()
        shown = self.editor.images
        self.grid.images.set_filter(
            predicate_of(self.filter.query, self.filter.only, self._project, self.plans, self.doctor.problems_of)
        )
        self._restore_selection(shown)
        self._show_view()

    def _apply_order(self) -> None:
        shown = self.editor.images
        self.grid.images.set_order(self._orders[self.filter.order])
        self._restore_selection(shown)
        self._project.set_view({"order": self.filter.order})

    def _num_findings(self, record: ImageRecord) -> int:
        return -len(self.doctor.findings_of(record.path))

    def _on_selection_changed(self, images: tuple[Path, ...]) -> None:
        self.scopes.set_selected(images)
        self._show_selection()

    def _show_selection(self) -> None:
        records = self.grid.selected()
        if len(records) > 1:
            self.editor.set_selection(records)
        else:
            self.editor.set_record(self.grid.current())

    def _restore_selection(self, before: tuple[Path, ...]) -> None:
        """Select what was selected before, as far as it is shown, else the first picture."""
        if not self.grid.select_images(before):
            self.grid.select_first()
        self._show_selection()

    # What the project says

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Other programs may have written captions in the meantime."""
        super().showEvent(event)
        self._project.look_again()
        self._suggest_tagger_tags()

    def _suggest_tagger_tags(self) -> None:
        """Let the tags of the chosen tagger be suggested; one whose list cannot be read says so when it is used."""
        tagger = remembered_options(self._settings).tagger
        if tagger == self._suggested_tagger:
            return
        self._suggested_tagger = tagger

        def take(result: tuple[str, ...] | Exception) -> None:
            TagIndex.of(self._project).set_tagger_tags(() if isinstance(result, Exception) else result)

        self._background.start(lambda: _tags_of_tagger(tagger), take)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """The same when the user comes back from another window."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow() and self.isVisible():
            self._project.look_again()

    def show_waiting(self) -> Path | None:
        """The picture whose typed caption is not saved, or None; it is shown when it is in the open folder."""
        image = self.editor.waiting
        if image is not None and self._project.record(image) is not None:
            self.show_picture(image)
            self.side.show_panel(PICTURE)
        return image

    def shut_down(self) -> None:
        """End the threads and children that read pictures."""
        self.doctor.shut_down()
        if self.export_dialog is not None:
            self.export_dialog.shut_down()
        self.loader.shut_down()

    def _on_scanning_changed(self, scanning: bool) -> None:
        """Save first: what is typed and cropped belongs to the folder that is open until the scan is taken."""
        if scanning:
            self.flush()
        else:
            self._keep_crops()
        self._project.save()
        self._busy.setRange(0, 0)
        self._busy.setVisible(scanning)
        self.header.rescan_button.setEnabled(not scanning)
        if not scanning:
            self._arrived = self.arriving.place() if self._is_arriving else None
            self._end_arrival()
        if scanning and self._project.scan is None and not self._is_arriving:
            self._show_reading(0, 0)
            self._pages.setCurrentIndex(LOADING)
        elif not scanning and self._project.scan is None:
            self._pages.setCurrentIndex(WELCOME)
        elif not scanning and self._pages.currentIndex() in (WELCOME, LOADING):
            self._pages.setCurrentIndex(CONTENT)

    # A folder that is being read

    @property
    def _is_arriving(self) -> bool:
        """Whether pictures are shown that are not those of the open dataset."""
        return self._views.currentWidget() is self.arriving

    def _show_arrival(self, arrival: Arrival) -> None:
        """Show pictures of a folder before all of it is read; until then, they can only be looked at."""
        self.flush()
        self.loader.clear()
        self._set_arriving(is_arriving=True)
        self._pages.setCurrentIndex(CONTENT)
        self.header.set_path(arrival.folder)
        self.filter.set_counts({})
        self.filter.matches.clear()
        self._show_reading(0, arrival.glimpse.num_pictures)
        self.arriving.show_arrival(arrival)
        if self.isVisible():
            self.arriving.setFocus()

    def _end_arrival(self) -> None:
        """Show the open dataset again, if there is one; whether it is the new one, its signals tell."""
        if not self._is_arriving:
            return
        self._set_arriving(is_arriving=False)
        self.header.set_path(self._project.folder)
        self._show_view()
        self._counting.start()

    def _set_arriving(self, *, is_arriving: bool) -> None:
        self._views.setCurrentWidget(self.arriving if is_arriving else self.grid)
        self._sides.setCurrentIndex(1 if is_arriving else 0)
        self.filter.setEnabled(not is_arriving)
        for shortcut in self._shortcuts:
            shortcut.setEnabled(not is_arriving)
        if not is_arriving:
            self.header.set_reading("")
            self.arriving.images.set_records(())

    def _show_reading(self, done: int, total: int) -> None:
        text = tr("Reading pictures: {done} of {total}", done=f"{done:,}", total=f"{total:,}")
        self._busy.setRange(0, total)
        self._busy.setValue(done)
        self._loading.set_texts(
            tr("Reading the pictures…"),
            text if total else tr("Sizes and captions of every file are looked at once."),
        )
        if self._is_arriving:
            self.header.set_reading(text)

    def _on_writing_changed(self, name: str, done: int, total: int) -> None:
        self._busy.setRange(0, total)
        self._busy.setValue(done)
        self._busy.setToolTip(name)
        self._busy.setVisible(bool(name))

    def _on_folder_changed(self) -> None:
        if self._arrived is None:  # Else what is on its way is wanted.
            self.loader.clear()
        self.editor.set_record(None)
        self.filter.reset()
        self.grid.images.set_filter(None)
        view = self._project.view
        self.filter.set_order(str(view.get("order", "name")))
        self.grid.images.set_order(self._orders[self.filter.order])
        self.filter.trained_button.setChecked(bool(view.get("as_trained", False)))
        self.header.set_path(self._project.folder)
        self.header.demo_button.setVisible(self._project.folder != demo_folder())
        self._show_history()
        self._show_grid()

    def _show_grid(self) -> None:
        self._end_arrival()
        self._pages.setCurrentIndex(CONTENT)
        if self.isVisible():
            self.grid.setFocus()

    def _on_records_changed(self) -> None:
        scan = self._project.scan
        if scan is None:
            return
        shown = self.editor.images
        arrived, self._arrived = self._arrived, None
        if arrived is not None and arrived[0] not in self._project.positions:
            arrived = None  # It could not be opened after all, or is gone.
        if arrived is not None:
            shown = (arrived[0],)
        elif not shown and (last := self._project.view.get("picture")):
            shown = (Path(str(last)),)
        self.grid.images.set_records(scan.records, self._project.positions)
        self._restore_selection(shown)
        if len(scan.records) > MANY:
            self._counting.start()  # The pictures are painted before.
        else:
            self._show_counts()
        self._show_view()
        if arrived is not None:
            self.grid.scroll_to(*arrived)
        if not scan.records and scan.problems:
            self.side.show_panel(CHECK)

    def _on_captions_changed(self, images: tuple[Path, ...]) -> None:
        records = [record for image in images if (record := self._project.record(image)) is not None]
        self.grid.images.update_records(records)
        shown = self.editor.record
        if shown is not None and (now := self._project.record(shown.path)) is not None:
            self.editor.refresh(now)
        elif shown is None and self.editor.images:
            self._show_selection()
        if not self._counting.isActive():
            self._counting.start()

    def _on_doctor_changed(self) -> None:
        self.plans.set_subjects(self.doctor.subjects())
        self.grid.set_problems(self.doctor.findings_of)
        self._counting.start()

    # What is shown

    def _show_view(self) -> None:
        if self._is_arriving:
            return
        rows = self.grid.images.rowCount()
        self._views.setCurrentIndex(0 if rows else 1)
        scan = self._project.scan
        self.filter.set_matches(rows, len(scan.records) if scan is not None else 0)
        self.scopes.set_shown(tuple(record.path for record in self.grid.images.records(0, rows - 1)))
        is_empty = scan is not None and not scan.records
        self._clear_button.setVisible(not is_empty)
        if scan is not None and is_empty and scan.problems:
            self._nothing.set_texts(
                tr("No pictures here"),
                tr("Files that cannot be used: {n}. The Check panel says what is wrong.", n=len(scan.problems)),
            )
        elif is_empty:
            self._nothing.set_texts(
                tr("No pictures here"),
                tr("Kiln reads jpg, png, webp, bmp, gif and avif. Open another folder, or drop one here."),
            )
        else:
            self._nothing.set_texts(tr("Nothing matches"), tr("No picture is what the filter asks for."))

    def _show_counts(self) -> None:
        scan = self._project.scan
        if scan is None or self._is_arriving:
            return
        repeats, to_look_at = self._project.config.dataset.repeats, self.doctor.to_look_at
        if len(scan.records) <= MANY:
            self._take_counts(count(scan, repeats, to_look_at))
        else:
            self._latest_counts.start(lambda: count(scan, repeats, to_look_at), self._take_counts)

    def _take_counts(self, counts: Counts | Exception) -> None:
        if isinstance(counts, Exception):
            self._project.tell(counts)
            return
        if self._is_arriving:
            return
        self.filter.set_counts(counts.of)
        self.side.set_badge(CHECK, len(self.doctor.to_look_at))
        self.header.summary.setText(counts.summary)
        self.header.export_button.setVisible(bool(counts.of["all"]))
        self.header.set_next(needs_captions=counts.needs_captions, is_possible=counts.of["all"] > counts.of["excluded"])

    def _show_history(self) -> None:
        self.filter.set_history(self._project.undo_name, self._project.redo_name)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.welcome.set_texts(
            tr("Welcome to Kiln"),
            tr("Teach a character, a style or a thing to Stable Diffusion: from about thirty pictures to a LoRA file."),
        )
        self.open_choice.set_texts(
            tr("Use your pictures"),
            tr(
                "Choose a folder, or drop it on this window. Nothing in it is moved or changed; "
                "captions are text files beside the pictures."
            ),
            tr("Open a folder of pictures"),
        )
        self.demo_choice.set_texts(
            tr("See it work first"),
            tr(
                "Opens 30 ready pictures of one character, and 64 of others that keep everyone else as they are, "
                "with a small model that trains in minutes on any computer. No download."
            ),
            tr("Try the demo"),
        )
        self._show_reading(self._busy.value(), self._busy.maximum())
        self.header.retranslate()
        self._clear_button.setText(tr("Show all pictures"))
        self.filter.retranslate()
        self.side.retranslate()
        self.grid.retranslate()
        self.arriving.retranslate()
        self.doctor.retranslate()
        for tool in (self.crop_editor, self.export_dialog):
            if tool is not None:
                tool.retranslate()
        self._show_history()
        self._show_counts()
        self._show_view()


def _tags_of_tagger(folder: Path) -> tuple[str, ...]:
    from core.paths import STARTER_TAGGER
    from core.tagging.tag_files import tag_list

    return tag_list(folder if folder != Path() else STARTER_TAGGER)
