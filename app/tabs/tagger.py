"""Captions for the whole folder at one press, with progress, a way to stop and a way back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QStackedWidget, QVBoxLayout, QWidget

from app import theme
from app.background import Background
from app.job_worker import JobWorker
from app.project import Project
from app.settings import Settings
from app.widgets.card import Card, PathLabel, button, label, set_kind, set_role
from app.widgets.empty_state import EmptyState
from app.widgets.item_models import is_captioned
from app.widgets.tag_feed import FeedEntry, TagFeed
from app.widgets.tag_options import TagOptionsForm
from app.widgets.thumbnails import ThumbnailLoader
from app.wording import duration_text
from core.dataset.captions import CaptionChange
from core.dataset.records import ImageRecord, Scan
from core.events import Failed, Finished, Notice, PictureTagged, StageProgress, StageStarted
from core.jobs import Job, TagJob, TagOptions
from core.runner import Run
from core.text import tr

if TYPE_CHECKING:
    from core.tagging.backup import Undone

OPTIONS_WIDTH = 340
MANY = 1000
"""With more pictures than these the page is brought up to date when somebody looks at it."""
CLOCK_STEP_S = 0.1  # File systems note times more coarsely than the clock.


class TaggerTab(QWidget):
    """One button, its options, and the captions as they come."""

    running_changed = Signal(bool)
    dataset_requested = Signal()
    params_requested = Signal()

    def __init__(self, project: Project, settings: Settings, make_run: Callable[[Job], Run]) -> None:
        super().__init__()
        self._project = project
        self._make_run = make_run
        self.worker: JobWorker | None = None
        self._background = Background(self)
        self._progress: StageProgress | None = None
        self._stage = ""
        self._is_stopping = False
        self._is_stale = False
        self._started_at = 0.0
        self._result: Finished | Failed | None = None
        self._backup: Path | None = None
        self._told: str = ""
        self.loader = ThumbnailLoader(num_threads=1, parent=self)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._build_closed())
        self._pages.addWidget(self._build_open(project, settings))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._pages)
        project.folder_changed.connect(self._on_folder_changed)
        project.records_changed.connect(self._show)
        project.captions_changed.connect(lambda _images: None if self.is_running else self._show())
        settings.language_changed.connect(self.retranslate)
        self.retranslate()

    # Building

    def _build_closed(self) -> QWidget:
        self.closed = EmptyState("tagger")
        self._to_dataset = button(kind="primary")
        self._to_dataset.setMaximumWidth(260)
        self._to_dataset.clicked.connect(self.dataset_requested)
        self.closed.add(self._to_dataset)
        return self.closed

    def _build_open(self, project: Project, settings: Settings) -> QWidget:
        self._title = label(role="title")
        self._path = PathLabel()
        self._path.setProperty("role", "muted")
        header = QHBoxLayout()
        header.setSpacing(theme.SPACE_M)
        header.addWidget(self._title)
        header.addWidget(self._path, 1)
        self.form = TagOptionsForm(project, settings)
        self.form.changed.connect(self._show)
        self.form.setFixedWidth(OPTIONS_WIDTH)
        self._list_card = Card()
        self.feed = TagFeed(self.loader)
        self._waiting = EmptyState("sparkles")
        self._list_pages = QStackedWidget()
        self._list_pages.addWidget(self._waiting)
        self._list_pages.addWidget(self.feed)
        self._list_card.body.addWidget(self._list_pages)
        columns = QHBoxLayout()
        columns.setSpacing(theme.SPACE_M)
        columns.addWidget(self.form)
        columns.addWidget(self._list_card, 1)
        content = QWidget()
        outer = QVBoxLayout(content)
        outer.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        outer.setSpacing(theme.SPACE_M)
        outer.addLayout(header)
        outer.addWidget(self._build_action())
        outer.addLayout(columns, 1)
        return content

    def _build_action(self) -> Card:
        self.start_button = button(kind="primary", icon="tagger", size=20)
        self.start_button.setProperty("big", True)
        self.start_button.clicked.connect(self.start)
        self.cancel_button = button(kind="danger", icon="stop")
        self.cancel_button.clicked.connect(self.request_stop)
        self.undo_button = button(icon="undo")
        self.undo_button.clicked.connect(self.undo)
        self.next_button = button()
        self.next_button.clicked.connect(self.params_requested)
        self._headline = label(role="strong", wrap=True)
        self._sentence = label(role="muted", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self._detail_button = button(kind="quiet", icon="chevron-down")
        self._detail = label(role="small", wrap=True)
        self._detail.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._detail.hide()
        self._detail_button.clicked.connect(lambda: self._detail.setVisible(self._detail.isHidden()))
        texts = QVBoxLayout()
        texts.setSpacing(theme.SPACE_XS)
        texts.addStretch(1)
        texts.addWidget(self._headline)
        texts.addWidget(self._sentence)
        texts.addStretch(1)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_M)
        row.addWidget(self.start_button)
        row.addLayout(texts, 1)
        for widget in (self._detail_button, self.cancel_button, self.undo_button, self.next_button):
            row.addWidget(widget)
        card = Card()
        card.body.addLayout(row)
        card.body.addWidget(self.bar)
        card.body.addWidget(self._detail)
        return card

    # Running

    @property
    def is_running(self) -> bool:
        """Whether pictures are being tagged."""
        return self.worker is not None

    def start(self) -> None:
        """Tag the open folder."""
        folder = self._project.folder
        if folder is None or self.is_running or not self.start_button.isEnabled():
            return
        self._result = self._backup = self._progress = None
        self._told = ""
        self._stage = ""
        self._is_stopping = False
        self._started_at = time.time()
        self.feed.start()
        self._project.save()  # The job reads what was decided about the pictures.
        dataset = self._project.config.dataset
        job = TagJob(
            folder=folder,
            edits=self._project.edits_file,
            caption_extension=dataset.caption_extension,
            options=self.form.options(),
        )
        worker = JobWorker(self._make_run(job), self)
        worker.stage_started.connect(self._on_stage_started)
        worker.stage_progress.connect(self._on_stage_progress)
        worker.picture_tagged.connect(self._on_picture_tagged)
        worker.notice.connect(self._on_notice)
        worker.job_finished.connect(self._on_end)
        worker.job_failed.connect(self._on_end)
        worker.finished.connect(worker.deleteLater)
        self.worker = worker
        self._show()
        self.running_changed.emit(True)
        worker.start()

    def request_stop(self) -> None:
        """End after the pictures at hand; captions written so far stay."""
        if self.worker is not None:
            self._is_stopping = True
            self.worker.stop()
            self._show()

    def force_stop(self) -> None:
        """End at once."""
        if self.worker is not None:
            self.worker.kill()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Other programs may have written captions in the meantime."""
        super().showEvent(event)
        if self._is_stale:
            self._show()
        if not self.is_running:
            self._project.look_again()

    def shut_down(self) -> None:
        """End the thread that reads pictures."""
        self.loader.shut_down()

    def undo(self) -> None:
        """Bring back every caption as it was before the last run."""
        backup = self._backup
        if backup is None or self.is_running:
            return
        self.undo_button.setEnabled(False)
        self._background.start(lambda: _undo(backup), self._on_undone)

    def _on_undone(self, result: Undone | Exception) -> None:
        self.undo_button.setEnabled(True)
        if isinstance(result, Exception):
            self._project.tell(result)
            return
        self._backup = self._result = None
        self._told = tr("All captions are as they were before.")
        if edited := len(result.changed_since):
            self._told = tr("Captions are as they were before, but for {n} that were edited since.", n=edited)
        self._project.rescan()
        self.feed.start()
        self._show()

    def _take_changes(self, result: tuple[CaptionChange, ...] | Exception) -> None:
        if isinstance(result, Exception):
            self._project.tell(result)
            return
        number = len(result)
        name = tr("Tag {n} pictures", n=number) if number != 1 else tr("Tag a picture")
        self._project.note_captions(name, result)

    # What the run says

    def _on_stage_started(self, event: StageStarted) -> None:
        self._stage = event.stage
        self._progress = None
        self._show()

    def _on_stage_progress(self, event: StageProgress) -> None:
        self._stage = event.stage
        self._progress = event
        self._show_progress()

    def _on_picture_tagged(self, event: PictureTagged) -> None:
        self.feed.feed.add(FeedEntry(event.image, event.caption, "written" if event.written else "kept"))
        self._list_pages.setCurrentWidget(self.feed)
        if event.written:
            self._project.reload_captions([event.image])

    def _on_notice(self, event: Notice) -> None:
        if event.image is not None and event.level == "warning":
            self.feed.feed.add(FeedEntry(event.image, event.message, "skipped"))
            self._list_pages.setCurrentWidget(self.feed)
        else:
            self._told = event.message

    def _on_end(self, event: Finished | Failed) -> None:
        self.worker = None
        self._result = event
        self._backup = event.output if isinstance(event, Finished) else _newest_backup(self._started_at)
        if (backup := self._backup) is not None:
            self._background.start(lambda: _changes(backup), self._take_changes)
        self._project.rescan()
        self._show()
        self.running_changed.emit(False)

    def _on_folder_changed(self) -> None:
        if not self.is_running:
            self._result = self._backup = None
            self._told = ""
            self.loader.clear()
            self.feed.start()
        self._show()

    # What is shown

    def _show(self) -> None:
        scan = self._project.scan
        self._is_stale = scan is not None and len(scan.records) > MANY and not self.isVisible()
        if self._is_stale:
            return
        self._pages.setCurrentIndex(0 if scan is None else 1)
        if scan is None:
            return
        self._path.set_path(scan.folder)
        running = self.is_running
        self.form.setEnabled(not running)
        self.bar.setVisible(running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(not self._is_stopping)
        self.undo_button.setVisible(not running and self._backup is not None)
        if not self.feed.feed.entries:
            self._list_pages.setCurrentWidget(self._waiting)
            self._show_waiting(scan)
        self._show_detail()
        if running:
            self.start_button.hide()
            self.next_button.hide()
            self._show_progress()
        else:
            self._show_outcome(scan)

    def _show_waiting(self, scan: Scan) -> None:
        if not self.is_running and scan.records and all(is_captioned(record) for record in scan.records):
            self._waiting.set_texts(
                tr("All pictures have captions"), tr("Read and mend them on the Dataset page, or go on to training.")
            )
        else:
            self._waiting.set_texts(tr("Captions appear here"), tr("One by one, as the tagger writes them."))

    def _show_detail(self) -> None:
        detail = self._result.detail if isinstance(self._result, Failed) else ""
        self._detail.setText(detail[-4000:])
        self._detail_button.setVisible(bool(detail))
        if not detail:
            self._detail.hide()
        set_role(self._headline, "danger" if isinstance(self._result, Failed) else "strong")

    def _show_outcome(self, scan: Scan) -> None:
        """What the last run did, what the next one would do, and the button that leads on."""
        finished = isinstance(self._result, Finished)
        number, sentence = plan(scan, self.form.options(), self.form.has_tagger)
        nothing_left = number == 0 and bool(scan.records) and self.form.has_tagger
        is_captioned_whole = bool(scan.records) and all(is_captioned(record) for record in scan.records)
        again = nothing_left or (finished and number == len(scan.records))
        self.start_button.setText(tr("Tag again") if again else _tag_pictures(number))
        self.start_button.setEnabled(number > 0)
        self.start_button.show()
        self.next_button.setVisible(finished or nothing_left or is_captioned_whole)
        set_kind(self.next_button, "primary" if nothing_left else "secondary")
        if isinstance(self._result, Failed):
            self._say(self._result.message, self._result.remedy)
        elif isinstance(self._result, Finished):
            self._say(self._summary(self._result), sentence)
        else:
            self._say(self._told, sentence)

    def _say(self, headline: str, sentence: str) -> None:
        self._headline.setText(headline)
        self._headline.setVisible(bool(headline))
        self._sentence.setText(sentence)
        self._sentence.setVisible(bool(sentence))

    def _show_progress(self) -> None:
        progress = self._progress
        if self._stage != "tag" or progress is None or not progress.total:
            self.bar.setRange(0, 0)
            stages = {"load": tr("Loading the tagger…"), "scan": tr("Reading the pictures…")}
            self._say(tr("Stopping…") if self._is_stopping else stages.get(self._stage, tr("Starting…")), "")
            return
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        parts = [tr("{done} of {total}", done=progress.done, total=progress.total)]
        if progress.elapsed_s > 0 and progress.done:
            speed = progress.done / progress.elapsed_s
            parts.append(tr("{speed} pictures per second", speed=f"{speed:.1f}" if speed < 20 else f"{speed:.0f}"))
            if progress.done < progress.total:
                parts.append(tr("{time} left", time=duration_text((progress.total - progress.done) / speed)))
        self._say(tr("Stopping…") if self._is_stopping else tr("Writing captions"), " · ".join(parts))

    def _summary(self, result: Finished) -> str:
        feed = self.feed.feed
        parts = [tr("{n} written", n=feed.count("written"))]
        if kept := feed.count("kept"):
            parts.append(tr("{n} kept", n=kept))
        if skipped := feed.count("skipped"):
            parts.append(tr("{n} skipped, the list says why", n=skipped))
        start = tr("Stopped: ") if result.stopped else tr("Done: ")
        return start + ", ".join(parts)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.closed.set_texts(
            tr("No folder is open"),
            tr("The tagger looks at every picture of the open folder and writes what it sees beside it."),
        )
        self._to_dataset.setText(tr("Choose pictures first"))
        self._title.setText(tr("Tagger"))
        self.cancel_button.setText(tr("Cancel"))
        self.cancel_button.setToolTip(tr("Ends after the pictures at hand; captions written so far stay"))
        self.undo_button.setText(tr("Undo"))
        self.undo_button.setToolTip(tr("Bring back every caption as it was before"))
        self.next_button.setText(tr("Next: train"))
        self._detail_button.setText(tr("Details"))
        self._list_card.set_title(tr("Captions"))
        self.form.retranslate()
        self.feed.viewport().update()
        self._show()


def plan(scan: Scan, options: TagOptions, has_tagger: bool = True) -> tuple[int, str]:
    """How many pictures a run would write, and what it does to existing captions, or why it cannot start.

    Args:
        scan: The open folder.
        options: What is chosen.
        has_tagger: Whether the chosen tagger is there.
    """
    records = [record for record in scan.records if not scan.edits(record.path).excluded]
    total = len(records)
    # A caption that cannot be read is not thrown away either.
    captioned = sum(is_captioned(record) or _is_unreadable(record) for record in records)
    if not total:
        return 0, tr("There is no picture in this folder that could be tagged.")
    if not has_tagger:
        return 0, tr("The chosen tagger is not complete; choose another folder or the starter tagger.")
    if not captioned:
        return total, tr("No picture has a caption yet. Captions are text files beside the pictures.")
    if options.on_existing == "keep":
        if captioned == total:
            return 0, tr("All {n} pictures have captions; choose Replace to write them anew.", n=total)
        return total - captioned, tr("Already with a caption: {n}. They are kept.", n=captioned)
    if options.on_existing == "replace":
        return total, tr("Captions to be replaced: {n}. Undo brings them back.", n=captioned)
    return total, tr("Captions that get more tags: {n}. Undo takes those away again.", n=captioned)


def _undo(backup: Path) -> Undone:
    from core.tagging.backup import undo_tagging

    return undo_tagging(backup)


def _changes(backup: Path) -> tuple[CaptionChange, ...]:
    from core.tagging.backup import changes_of

    return changes_of(backup)


def _newest_backup(since: float) -> Path | None:
    """What a run that failed or was killed left for `undo_tagging`; None when it had not written anything.

    Args:
        since: When the run was started, in seconds since the epoch.
    """
    from core.tagging.backup import backup_folder

    backups = [file for file in backup_folder().glob("*.json") if file.stat().st_mtime > since - CLOCK_STEP_S]
    return max(backups, key=lambda file: file.stat().st_mtime, default=None)


def _is_unreadable(record: ImageRecord) -> bool:
    return record.caption is None and bool(record.caption_problem)


def _tag_pictures(number: int) -> str:
    if number == 1:
        return tr("Tag 1 picture")
    return tr("Tag {n} pictures", n=number) if number else tr("Tag pictures")
