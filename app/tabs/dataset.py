"""The pictures: open a folder, look at them, mend their captions."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.project import Project
from app.settings import Settings
from app.widgets.caption_editor import CaptionEditor
from app.widgets.card import ElidedLabel, PathLabel, button, label
from app.widgets.empty_state import Choice, EmptyState
from app.widgets.image_grid import MIN_CELL, ImageGrid
from app.widgets.item_models import Only, is_captioned
from app.widgets.problem_list import ProblemList
from app.widgets.thumbnails import ThumbnailLoader, prepare_reading
from core.dataset.records import ImageRecord, Scan, automatic_repeats
from core.text import tr

EDITOR_WIDTH = 340
FILTER_DELAY_MS = 120
WELCOME, LOADING, CONTENT = range(3)


class DatasetTab(QWidget):
    """Welcome page without a folder; else the grid, its filter and problems, and the caption editor."""

    tagger_requested = Signal()
    params_requested = Signal()

    def __init__(self, project: Project, settings: Settings) -> None:
        super().__init__()
        self._project = project
        self._settings = settings
        prepare_reading()
        self.loader = ThumbnailLoader(parent=self)
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
        self._counting = QTimer(self, singleShot=True, interval=30)
        self._counting.timeout.connect(self._show_counts)
        self._typing = QTimer(self, singleShot=True, interval=FILTER_DELAY_MS)
        self._typing.timeout.connect(self._apply_filter)
        project.scanning_changed.connect(self._on_scanning_changed)
        project.folder_changed.connect(self._on_folder_changed)
        project.records_changed.connect(self._on_records_changed)
        project.caption_changed.connect(self._on_caption_changed)
        settings.language_changed.connect(self.retranslate)
        rescan = QShortcut(QKeySequence(Qt.Key.Key_F5), self)
        rescan.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        rescan.activated.connect(self.rescan)
        for keys, slot in (
            ("Ctrl+S", self.flush),
            ("Ctrl+F", self._focus_search),
            ("Ctrl+Z", self.editor.undo),
            ("Ctrl+Down", lambda: self.grid.move_by(1)),
            ("Ctrl+Up", lambda: self.grid.move_by(-1)),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)
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
        self.grid = ImageGrid(self.loader)
        self.grid.current_changed.connect(self._on_current_changed)
        self.editor = CaptionEditor(self._project, self.loader)
        self.grid.activated.connect(lambda _index: self.editor.text.setFocus())
        self.editor.setMinimumWidth(300)
        self.editor.move_requested.connect(self.grid.move_by)
        self.editor.left_with_escape.connect(self.grid.setFocus)
        self.problems = ProblemList()
        self._nothing = EmptyState("search")
        self._clear_button = button()
        self._clear_button.setMaximumWidth(220)
        self._clear_button.clicked.connect(self._clear_filter)
        self._nothing.add(self._clear_button)
        self._views = QStackedWidget()
        self._views.addWidget(self.grid)
        self._views.addWidget(self._nothing)
        left = QWidget()
        left.setMinimumWidth(MIN_CELL * 2 + 24)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addLayout(self._build_filter())
        column.addWidget(self._views, 1)
        column.addWidget(self.problems)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(theme.SPACE_M)
        splitter.addWidget(left)
        splitter.addWidget(self.editor)
        splitter.setStretchFactor(0, 1)
        splitter.setStretchFactor(1, 0)
        splitter.setSizes([1000, self._settings.value("dataset/editor_width", EDITOR_WIDTH)])
        splitter.splitterMoved.connect(
            lambda _position, _index: self._settings.set_value("dataset/editor_width", splitter.sizes()[1])
        )
        content = QWidget()
        outer = QVBoxLayout(content)
        outer.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        outer.setSpacing(theme.SPACE_M)
        outer.addLayout(self._build_header())
        outer.addWidget(splitter, 1)
        return content

    def _build_header(self) -> QHBoxLayout:
        self._title = label(role="title")
        self._path = PathLabel()
        self._path.setProperty("role", "muted")
        self._summary = ElidedLabel()
        self._summary.setProperty("role", "small")
        self.rescan_button = QToolButton()
        icons.set_icon(self.rescan_button, "refresh", 18)
        self.rescan_button.clicked.connect(self.rescan)
        self.open_button = button(icon="folder-open")
        self.open_button.clicked.connect(self.choose_folder)
        self.demo_button = button(kind="quiet", icon="sparkles")
        self.demo_button.clicked.connect(self._open_demo)
        self.next_button = button(kind="primary")
        self.next_button.clicked.connect(self._go_on)
        first = QHBoxLayout()
        first.setSpacing(theme.SPACE_M)
        first.addWidget(self._title)
        first.addWidget(self._path, 1)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addLayout(first)
        texts.addWidget(self._summary)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_S)
        row.addLayout(texts, 1)
        for widget in (self.rescan_button, self.demo_button, self.open_button, self.next_button):
            row.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        return row

    def _build_filter(self) -> QHBoxLayout:
        self.search = QLineEdit()
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icons.icon("search", 16, "muted"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(lambda _text: self._typing.start())
        self.search.returnPressed.connect(self._apply_filter)
        self.search.setAcceptDrops(False)
        self._only_group = QButtonGroup(self)
        self.only_buttons: dict[Only, QPushButton] = {}
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_XS)
        kinds: tuple[Only, ...] = ("all", "uncaptioned", "odd")
        for number, only in enumerate(kinds):
            made = QPushButton()
            made.setProperty("role", "segment")
            made.setCheckable(True)
            made.setCursor(Qt.CursorShape.PointingHandCursor)
            self._only_group.addButton(made, number)
            self.only_buttons[only] = made
            row.addWidget(made)
        self.only_buttons["all"].setChecked(True)
        self._only_group.idClicked.connect(lambda _id: self._apply_filter())
        row.addSpacing(theme.SPACE_S)
        row.addWidget(self.search, 1)
        return row

    # What the user does

    def choose_folder(self) -> None:
        """Ask for a folder and open it."""
        start = self._project.folder or self._project.last_folder or Path.home()
        chosen = QFileDialog.getExistingDirectory(self, tr("Open a folder of pictures"), str(start))
        if chosen:
            self._project.open_folder(Path(chosen))

    def rescan(self) -> None:
        """Save what is typed and read the folder again."""
        self.flush()
        self._project.rescan()

    def flush(self) -> None:
        """Save what is typed."""
        self.editor.flush()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Other programs may have written captions in the meantime."""
        super().showEvent(event)
        self._project.refresh_captions()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """The same when the user comes back from another window."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow() and self.isVisible():
            self._project.refresh_captions()

    def show_waiting(self) -> Path | None:
        """Show the picture whose caption waits for the user's choice, and return it; None when there is none."""
        image = self.editor.waiting
        if image is not None:
            self._clear_filter()
            self.grid.select(image)
        return image

    def shut_down(self) -> None:
        """End the threads that read pictures."""
        self.loader.shut_down()

    def _open_demo(self) -> None:
        self.flush()
        self._project.open_demo()

    def _go_on(self) -> None:
        self.flush()
        if self._needs_captions():
            self.tagger_requested.emit()
        else:
            self.params_requested.emit()

    def _focus_search(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    def _clear_filter(self) -> None:
        self.search.clear()
        self.only_buttons["all"].setChecked(True)
        self._apply_filter()

    def _apply_filter(self) -> None:
        self._typing.stop()
        self.flush()
        shown = self.editor.record
        only = next(only for only, made in self.only_buttons.items() if made.isChecked())
        self.grid.images.set_filter(self.search.text(), only)
        self._restore_selection(shown)
        self._show_view()

    # What the project says

    def _on_scanning_changed(self, scanning: bool) -> None:
        self._busy.setVisible(scanning)
        self.rescan_button.setEnabled(not scanning)
        if scanning and self._project.scan is None:
            self._pages.setCurrentIndex(LOADING)
        elif not scanning:
            self._pages.setCurrentIndex(CONTENT if self._project.scan is not None else WELCOME)

    def _on_folder_changed(self) -> None:
        self.loader.clear()
        self.editor.set_record(None)
        self.search.blockSignals(True)
        self.search.clear()
        self.search.blockSignals(False)
        self.only_buttons["all"].setChecked(True)
        self.grid.images.set_filter("", "all")
        self._path.set_path(self._project.folder)
        self._pages.setCurrentIndex(CONTENT)
        if self.isVisible():
            self.grid.setFocus()

    def _on_records_changed(self) -> None:
        scan = self._project.scan
        if scan is None:
            return
        shown = self.editor.record
        self.grid.images.set_records(scan.records)
        self.problems.set_problems(scan.problems)
        self._restore_selection(shown)
        self._show_counts()
        self._show_view()

    def _on_caption_changed(self, image: Path) -> None:
        record = self._project.record(image)
        if record is None:
            return
        self.grid.images.update_record(record)
        self.editor.refresh(record)
        if not self._counting.isActive():
            self._counting.start()

    def _on_current_changed(self, record: ImageRecord | None) -> None:
        self.editor.set_record(record)

    def _restore_selection(self, before: ImageRecord | None) -> None:
        if before is None or not self.grid.select(before.path):
            if self.grid.images.rowCount():
                self.grid.select_first()
            else:
                self.editor.set_record(None)
        elif (record := self._project.record(before.path)) is not None:
            self.editor.refresh(record)

    # What is shown

    def _needs_captions(self) -> bool:
        scan = self._project.scan
        return scan is not None and any(not is_captioned(record) for record in scan.records)

    def _show_view(self) -> None:
        self._views.setCurrentIndex(0 if self.grid.images.rowCount() else 1)
        scan = self._project.scan
        is_empty = scan is not None and not scan.records
        self._clear_button.setVisible(not is_empty)
        if is_empty:
            self._nothing.set_texts(
                tr("No pictures here"),
                tr("Kiln reads jpg, png, webp, bmp, gif and avif. Open another folder, or drop one here."),
            )
        else:
            self._nothing.set_texts(tr("Nothing matches"), tr("No picture has all these words in its name or caption."))

    def _show_counts(self) -> None:
        scan = self._project.scan
        if scan is None:
            return
        total = len(scan.records)
        captioned = sum(is_captioned(record) for record in scan.records)
        odd = sum(bool(record.caption_problem) for record in scan.records)
        self.only_buttons["all"].setText(tr("All {n}", n=total))
        self.only_buttons["uncaptioned"].setText(tr("No caption {n}", n=total - captioned))
        self.only_buttons["odd"].setText(tr("Caption problems {n}", n=odd))
        self.only_buttons["odd"].setVisible(bool(odd) or self.only_buttons["odd"].isChecked())
        self._summary.setText(summary(scan, self._project.config.dataset.repeats))
        self.next_button.setVisible(bool(total))
        if self._needs_captions():
            self.next_button.setText(tr("Next: tag pictures"))
            self.next_button.setToolTip(tr("Every picture needs a caption; the tagger writes them"))
        else:
            self.next_button.setText(tr("Next: train"))
            self.next_button.setToolTip(tr("All pictures have captions; choose how to train"))

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
                "Opens a copy of 30 ready pictures of one character with a small model that trains in minutes "
                "on any computer. No download."
            ),
            tr("Try the demo"),
        )
        self._loading.set_texts(tr("Reading the pictures…"), tr("Sizes and captions of every file are looked at once."))
        self._title.setText(tr("Dataset"))
        self.open_button.setText(tr("Open folder"))
        self.demo_button.setText(tr("Try the demo"))
        self.demo_button.setToolTip(tr("30 ready pictures; your folder and settings come back when you open it again"))
        self.rescan_button.setToolTip(tr("Read the folder again (F5)"))
        self.rescan_button.setAccessibleName(tr("Read the folder again (F5)"))
        self.search.setPlaceholderText(tr("Words in caption or name"))
        self.search.setToolTip(tr("Shows the pictures with all these words (Ctrl+F)"))
        self._clear_button.setText(tr("Show all pictures"))
        self.editor.retranslate()
        self.problems.retranslate()
        self._show_counts()
        self._show_view()
        self.grid.viewport().update()


def summary(scan: Scan, repeats: int = 0) -> str:
    """Pictures, sizes and repeats of a folder in one line.

    Args:
        scan: What is in the folder.
        repeats: As set by the user; 0 when chosen by the number of pictures.
    """
    records = scan.records
    if not records:
        return tr("No pictures")
    parts = [tr("{n} pictures", n=len(records)) if len(records) != 1 else tr("1 picture")]
    captioned = sum(is_captioned(record) for record in records)
    if captioned in (0, len(records)):
        parts.append(tr("all with captions") if captioned else tr("no captions yet"))
    else:
        parts.append(tr("{n} with captions", n=captioned))
    sizes = sorted({record.size_px for record in records}, key=lambda size: (size[0] * size[1], size))
    small, large = (f"{width} × {height}" for width, height in (sizes[0], sizes[-1]))
    parts.append(f"{small} px" if small == large else tr("{small} to {large} px", small=small, large=large))
    named = sorted({(record.path.parent.name, record.repeats) for record in records if record.repeats})
    parts += [tr("{folder}: {n}× per epoch", folder=folder, n=number) for folder, number in named[:3]]
    if not named:
        flat = repeats or automatic_repeats(len(records))
        parts.append(tr("each {n}× per epoch", n=flat))
    return " · ".join(parts)
