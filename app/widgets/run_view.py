"""Everything about one run on a page: progress, curves, previews, files, notices, log, and how it ended."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QScrollArea, QSizePolicy, QSplitter, QVBoxLayout, QWidget

from app import theme
from app.fixes import FixDoer
from app.run_record import RunRecord
from app.widgets.card import Card, label
from app.widgets.curve_plot import CurvePlot
from app.widgets.fold import Folds
from app.widgets.log_view import LogView
from app.widgets.progress_header import Phase, ProgressHeader
from app.widgets.run_files import RunFiles
from app.widgets.run_outcome import RunOutcome
from app.widgets.sample_strip import SampleStrip
from app.widgets.sample_viewer import SampleViewer
from app.widgets.thumbnails import ThumbnailLoader
from core.events import (
    Adapted,
    BestEpoch,
    Event,
    JobStarted,
    LoraSaved,
    Notice,
    SampleReady,
    StageStarted,
    Validated,
)
from core.run_folder import RunFolder
from core.text import tr

REFRESH_MS = 250
_NOTICES_SHOWN = 200
SILENCE_S = 300.0
SILENT_STEPS = 30
"""A run that says nothing for so long, and for the time of so many steps, may hang: the user is told."""


class RunView(QWidget):
    """Shows a record. `take` hears an event; what it changes is drawn by the timer, a few times per second."""

    def __init__(self, doer: FixDoer, parent: QWidget | None = None) -> None:
        """Show nothing yet.

        Args:
            doer: Does what the buttons of a failure say.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self.record = RunRecord()
        self._can_sample = True
        self._phase: Phase = "ended"
        self._is_dirty = False
        self._epoch = 0
        self._heard_at = time.monotonic()
        self._is_silent = False
        self.header = ProgressHeader()
        self.outcome = RunOutcome(doer)
        self.outcome.force_stop_clicked.connect(self.header.force_stop_clicked)
        self.outcome.hide()
        self.plot = CurvePlot()
        self.loader = ThumbnailLoader(num_threads=2, parent=self)
        self.gallery = SampleStrip(self.loader)
        self.files = RunFiles()
        self.log = LogView()
        self._lay_out()
        self.viewer = SampleViewer(self, self.loader)
        self.folds.toggled.connect(self._fill_files)
        self.gallery.opened.connect(lambda step, index: self.viewer.open(self.record, step, index))
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._refresh)
        self.retranslate()

    def _lay_out(self) -> None:
        self.notices = label(wrap=True)
        self.notices.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.notices.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notices_area = QScrollArea()
        self.notices_area.setWidgetResizable(True)
        self.notices_area.setWidget(self.notices)
        self.notices_area.setFixedHeight(96)
        self.log.setFixedHeight(150)
        self.folds = Folds()
        self.files_area = QScrollArea()
        self.files_area.setWidgetResizable(True)
        self.files.setProperty("role", "scrolled")
        self.files_area.setWidget(self.files)
        self.files_area.setFixedHeight(120)
        self.folds.add("files", self.files_area)
        self.folds.add("notices", self.notices_area)
        self.folds.add("log", self.log)
        self.plot_card = Card()
        self.plot_card.body.addWidget(self.plot)
        self.gallery_card = Card()
        self.gallery_card.body.addWidget(self.gallery, 1)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setHandleWidth(theme.SPACE_M)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.plot_card)
        self.splitter.addWidget(self.gallery_card)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)
        self.splitter.setSizes([600, 440])
        self.splitter.setMinimumHeight(290)
        # What is left of the height, and no wish of its own: charts would like to be huge.
        self.splitter.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
        content = QWidget()
        content.setProperty("role", "scrolled")
        column = QVBoxLayout(content)
        column.setContentsMargins(theme.SPACE_XL, 0, theme.SPACE_XL, theme.SPACE_M)
        column.setSpacing(theme.SPACE_M)
        column.addWidget(self.header)
        column.addWidget(self.outcome)
        column.addWidget(self.splitter, 1)
        column.addWidget(self.folds)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(content)
        # Room for the part is made after its layout; then the page goes there.
        self.folds.opened.connect(lambda: QTimer.singleShot(0, self, lambda: scroll.ensureWidgetVisible(self.folds)))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, theme.SPACE_M, 0, 0)
        outer.addWidget(scroll)

    def show_run(self, record: RunRecord, folder: RunFolder, phase: Phase, *, can_sample: bool = True) -> None:
        """Show another run.

        Args:
            record: What it has said so far; grows by `take`.
            folder: Where it is kept.
            phase: Whether it is going on.
            can_sample: Whether it has prompts to draw.
        """
        is_other = record is not self.record
        self.record = record
        self._can_sample = can_sample
        self._heard_at, self._is_silent = time.monotonic(), False
        self.outcome.hide()
        self.viewer.hide()
        if is_other:
            self.loader.clear()
        self.plot.show_record(record)
        self.gallery.show_record(record)
        self.log.follow(folder.log)
        self.header.show_record(record, folder.path.name)
        self.set_phase(phase)
        self._show_notices()
        self._show_files()

    def set_phase(self, phase: Phase) -> None:
        """Say whether the run goes on, was asked to end, is only watched, or is over."""
        self.header.set_phase(phase)
        self.header.allow_sample(self._can_sample)
        self._show_sampling(phase)
        self.plot.touch()
        self._show_files()

    def take(self, event: Event) -> None:
        """The run has just said this; the record has it already."""
        self._is_dirty = True
        self._heard_at = time.monotonic()
        if self._is_silent:
            self._is_silent = False
            self.outcome.hide()
        if isinstance(event, (SampleReady, Adapted, JobStarted)) or self.record.epoch != self._epoch:
            self._epoch = self.record.epoch  # With its first step, the one before has ended at a preview or a file.
            self.gallery.refresh()
            self.viewer.refresh()
            self._fill_files()
        if isinstance(event, (Notice, Adapted)):
            self._show_notices()
        if isinstance(event, (LoraSaved, BestEpoch, Validated, JobStarted)):
            self._show_files()
        if isinstance(event, (SampleReady, LoraSaved, StageStarted, Notice)):
            self.header.allow_sample(self._can_sample)
            self.header.allow_save(True)

    def _show_sampling(self, phase: Phase) -> None:
        """Say why no preview can be asked for, and promise none that will not come."""
        self._phase = phase
        none_set = tr("No preview prompts are set")
        self.header.sample_button.setToolTip(tr("Draws the previews at this step") if self._can_sample else none_set)
        if not self._can_sample:
            self.gallery.set_empty_text(none_set)
        elif phase in ("running", "watching"):
            self.gallery.set_empty_text(tr("Previews appear here as the run draws them."))
        else:
            self.gallery.set_empty_text(tr("No previews were drawn."))

    def retranslate(self) -> None:
        """Take up the language in use."""
        self._show_sampling(self._phase)
        self.header.retranslate()
        self.plot.retranslate()
        self.gallery_card.set_title(tr("Previews"))
        self.gallery.retranslate()
        self.viewer.retranslate()
        self._show_files()
        self.folds.set_title("log", tr("Log"))
        self._show_notices()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Draw from now on."""
        super().showEvent(event)
        self._is_dirty = True
        self._refresh()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Nobody looks: draw nothing."""
        super().hideEvent(event)
        self._timer.stop()

    def _refresh(self) -> None:
        self._look_for_silence()
        if self._is_dirty:
            self._is_dirty = False
            self.header.refresh()
            self.plot.touch()

    def _look_for_silence(self) -> None:
        silent_s = time.monotonic() - self._heard_at
        limit_s = max(SILENCE_S, SILENT_STEPS * (self.record.seconds_per_step or 0.0))
        if self._phase in ("running", "pausing", "stopping") and not self._is_silent and silent_s > limit_s:
            self._is_silent = True
            self.outcome.show_silence(silent_s)

    def _show_files(self) -> None:
        number = len(self.record.loras)
        self.folds.set_title("files", tr("LoRA files ({number})", number=number) if number else "")
        self._fill_files()

    def _fill_files(self) -> None:
        """A long run has hundreds of files: they are only listed for somebody who looks."""
        if self.folds.is_open("files"):
            self.files.show_record(self.record)

    def _show_notices(self) -> None:
        """What the run did to help itself, then what it said."""
        record = self.record
        lines = [f"⚠  {tr('Step {step}', step=known.step)}: {known.message}" for known in record.adaptions]
        for notice in record.notices[-_NOTICES_SHOWN:]:
            place = f"{notice.image.name}: " if notice.image and notice.image.name not in notice.message else ""
            lines.append(f"{'⚠' if notice.level == 'warning' else '•'}  {place}{notice.message}")
        self.folds.set_title("notices", tr("Notices ({number})", number=len(lines)) if lines else "")
        self.notices.setText("\n".join(lines))
