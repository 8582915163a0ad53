"""Captions for the whole folder at one press; what will be written can be looked at before, and taken back after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.project import Project
from app.settings import Settings
from app.tagging import Tagging
from app.widgets.card import Card, PathLabel, button, label
from app.widgets.empty_state import EmptyState
from app.widgets.tag_options import TagOptionsForm
from app.widgets.tagger_action import TaggerAction
from app.widgets.tagger_columns import TRIGGER, TaggerColumns
from app.widgets.tagger_counts import OutcomeCounts
from app.widgets.tagger_list import ResultList
from app.widgets.tagger_preview import TaggerPreview
from app.widgets.thumbnails import ThumbnailLoader
from core.jobs import Job
from core.runner import Run
from core.tagging.plan import CaptionPlan
from core.text import tr

if TYPE_CHECKING:
    from app.widgets.tagger_traits import TaggerTraits


class TaggerTab(QWidget):
    """One button, its options, and all pictures with what becomes of their captions."""

    running_changed = Signal(bool)
    dataset_requested = Signal()
    params_requested = Signal()
    models_requested = Signal(str)  # the kind of model to be downloaded

    def __init__(self, project: Project, settings: Settings, make_run: Callable[[Job], Run]) -> None:
        super().__init__()
        self._project = project
        self._is_stale = False
        self._listed: tuple[object, ...] = ()
        self.tagging = Tagging(project, make_run, self)
        self.loader = ThumbnailLoader(num_threads=1, parent=self)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._build_closed())
        self._pages.addWidget(self._build_open(settings))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._pages)
        self._connect()
        settings.language_changed.connect(self.retranslate)
        self.tagging.set_options(self.form.options())
        self.retranslate()

    # Building

    def _build_closed(self) -> QWidget:
        self.closed = EmptyState("tagger")
        self.to_dataset_button = button(kind="primary")
        self.to_dataset_button.setMaximumWidth(260)
        self.to_dataset_button.clicked.connect(self.dataset_requested)
        self.closed.add(self.to_dataset_button)
        return self.closed

    def _build_open(self, settings: Settings) -> QWidget:
        self._title = label(role="title")
        self._path = PathLabel()
        self._path.setProperty("role", "muted")
        self.keys_button = QToolButton()
        icons.set_icon(self.keys_button, "keyboard", 18)
        self.keys_button.setCursor(Qt.CursorShape.PointingHandCursor)
        self.keys_button.clicked.connect(self.show_keys)
        header = QHBoxLayout()
        header.setSpacing(theme.SPACE_M)
        header.addWidget(self._title)
        header.addWidget(self._path, 1)
        header.addWidget(self.keys_button)
        self.form = TagOptionsForm(self._project, settings)
        self.action = TaggerAction(self.tagging, self._project)
        self.start_button = self.action.start_button
        self.preview = TaggerPreview(self.tagging, self._project, self.loader)
        self.columns = TaggerColumns(self.form, self._build_list(), self.preview, self._make_traits)
        content = QWidget()
        outer = QVBoxLayout(content)
        outer.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        outer.setSpacing(theme.SPACE_M)
        outer.addLayout(header)
        outer.addWidget(self.action)
        outer.addWidget(self.columns, 1)
        return content

    def _build_list(self) -> Card:
        self.counts = OutcomeCounts()
        self.list = ResultList(self.loader, self._plan_of, self._caption_of)
        self._nothing = EmptyState("image")
        self._list_pages = QStackedWidget()
        self._list_pages.addWidget(self.list)
        self._list_pages.addWidget(self._nothing)
        card = Card()
        card.body.addWidget(self.counts)
        card.body.addWidget(self._list_pages, 1)
        return card

    def _make_traits(self) -> QWidget:
        from app.widgets.tagger_traits import TaggerTraits

        made = TaggerTraits(self.tagging, self._project, self.form, self.list.current)
        self.list.current_changed.connect(made.refresh)
        return made

    def _connect(self) -> None:
        tagging, project = self.tagging, self._project
        tagging.changed.connect(self._show)
        tagging.running_changed.connect(self._on_running_changed)
        tagging.picture_tagged.connect(self.list.show_newest)
        project.records_changed.connect(self._show)
        project.folder_changed.connect(self.loader.clear)
        self.form.changed.connect(self._on_options_changed)
        self.form.models_requested.connect(self.models_requested)
        self.action.start_clicked.connect(self.start)
        self.action.next_clicked.connect(self.params_requested)
        self.counts.chosen.connect(lambda _outcome: self._show_list())
        self.list.current_changed.connect(self.preview.set_image)
        self.list.opened.connect(self.columns.show_picture)
        self.preview.tag_toggled.connect(self.form.toggle_excluded)
        self.preview.move_requested.connect(self.list.move_by)
        for keys, slot in (
            ("Ctrl+Return", self.press),
            ("Ctrl+Enter", self.press),
            ("Esc", tagging.stop),
            ("Ctrl+Z", tagging.undo),
            ("Ctrl+T", self.preview.look),
            ("Ctrl+Down", lambda: self.list.move_by(1)),
            ("Ctrl+Up", lambda: self.list.move_by(-1)),
            ("F1", self.show_keys),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)

    # What the user does

    @property
    def is_running(self) -> bool:
        """Whether pictures are being tagged."""
        return self.tagging.is_running

    def start(self) -> None:
        """Tag the open folder."""
        if self.action.can_start:
            self.list.follow()
            self.tagging.start(at_once=self.form.at_once.isChecked())

    def press(self) -> None:
        """What the main button does now."""
        if not self.action.apply_button.isHidden():
            self.action.apply_button.click()
        else:
            self.start()

    def request_stop(self) -> None:
        """End the run; no caption was or will be written, unless they are being written now."""
        self.tagging.stop()

    def force_stop(self) -> None:
        """End at once."""
        self.tagging.force_stop()

    def show_keys(self) -> None:
        """Show all keys of this page."""
        from app.widgets.cheat_sheet import CheatSheet
        from app.widgets.tagger_keys import tagger_keys

        CheatSheet(tagger_keys(), self.window()).open()

    def shut_down(self) -> None:
        """End what runs and what reads pictures."""
        self.tagging.shut_down()
        self.loader.shut_down()

    # What happens

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Other programs may have written captions, and models may have come, in the meantime."""
        super().showEvent(event)
        self.form.refresh_models()
        self.tagging.set_active(is_active=True)
        if self._is_stale:
            self._show()
        if not self.is_running:
            self._project.look_again()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Nothing is worked out for a page that nobody sees."""
        super().hideEvent(event)
        self.tagging.set_active(is_active=False)

    def _on_options_changed(self) -> None:
        self.tagging.set_options(self.form.options())
        self.action.set_problem(self.form.problem)

    def _on_running_changed(self, running: bool) -> None:
        self.form.setEnabled(not running)
        self.running_changed.emit(running)

    def _plan_of(self, image: Path) -> CaptionPlan | None:
        """What the list tells of a picture: between runs only what its caption is, not what it might become."""
        plan = self.tagging.plan_of(image)
        return None if self.tagging.phase == "idle" and plan is not None and plan.outcome != "failed" else plan

    def _caption_of(self, image: Path) -> str:
        record = self._project.record(image)
        return (record.caption or "") if record is not None else ""

    def _show(self) -> None:
        self._is_stale = self.tagging.is_asleep
        if self._is_stale:
            return
        scan = self._project.scan
        self._pages.setCurrentIndex(0 if scan is None else 1)
        if scan is None:
            return
        self._path.set_path(scan.folder)
        tagging = self.tagging
        shown = None if tagging.phase in ("looking", "idle") else tagging.shown
        complete = shown is not None and (shown.is_complete or tagging.phase == "done")
        self.counts.set_counts(
            len(tagging.records) + len(tagging.pictures.unusable),
            shown.counts if shown is not None and complete else None,
        )
        self._show_list()
        if self.list.current() is None and not tagging.is_running:
            QTimer.singleShot(0, self, self._select_first)

    def _select_first(self) -> None:
        if self.list.current() is None:
            self.list.move_by(0)

    def _show_list(self) -> None:
        """List all pictures, or those of the chosen outcome; worked out only when something of it is new."""
        tagging, outcome = self.tagging, self.counts.outcome
        now = (tagging.records, outcome, tagging.shown if outcome else None)
        if len(now) == len(self._listed) and all(new is old for new, old in zip(now, self._listed, strict=True)):
            self.list.refresh()
            return
        self._listed = now
        if outcome:
            plans = tagging.shown.plans.values() if tagging.shown is not None else ()
            images = [plan.record.path for plan in plans if plan.outcome == outcome]
        else:
            images = [record.path for record in tagging.records]
        if outcome in ("", "failed"):
            images += tagging.pictures.unusable
        self.list.set_images(images)
        self._list_pages.setCurrentIndex(0 if images else 1)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.closed.set_texts(
            tr("No folder is open"),
            tr("The tagger looks at every picture of the open folder and writes what it sees beside it."),
        )
        self.to_dataset_button.setText(tr("Choose pictures first"))
        self._title.setText(tr("Tagger"))
        self.keys_button.setToolTip(tr("All keys (F1)"))
        self.keys_button.setAccessibleName(tr("All keys (F1)"))
        self._nothing.set_texts(
            tr("No pictures here"), tr("Open another folder on the Dataset page, or drop one here.")
        )
        self.counts.retranslate()
        self.list.retranslate()
        self.form.retranslate()
        self.preview.retranslate()
        self.columns.retranslate()
        self.action.retranslate()
        self.action.set_problem(self.form.problem)
        self._show()

    @property
    def traits(self) -> TaggerTraits:
        """The panel of the trigger word."""
        from app.widgets.tagger_traits import TaggerTraits

        return cast(TaggerTraits, self.columns.side.panel(TRIGGER))
