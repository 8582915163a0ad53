"""Writes copies of the pictures as they are trained to another folder, with a way to watch, cancel and look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.job_worker import JobWorker
from app.project import Project
from app.widgets.card import button, label, set_role
from app.widgets.export_form import ExportForm
from app.wording import time_left_text
from core.events import Failed, Finished, Notice, StageProgress, StageStarted
from core.jobs import Job
from core.runner import ChildRun, Run
from core.text import tr

WIDTH = 560


class ExportDialog(QDialog):
    """Stays beside the window while it works; closing it then cancels."""

    running_changed = Signal(bool)

    def __init__(
        self, project: Project, make_run: Callable[[Job], Run] = ChildRun, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._project = project
        self._make_run = make_run
        self._is_stopping = False
        self._closes = False
        self._is_writing = False
        self._num_skipped = self._num_unwritten = self._num_written = 0
        self._first_notice = ""
        self._output: Path | None = None
        self.worker: JobWorker | None = None
        self.setFixedWidth(WIDTH)
        self._build()
        self._lay_out()
        self._say("")
        self.retranslate()

    def _build(self) -> None:
        self._intro = label(role="muted", wrap=True)
        self.form = ExportForm(self._project)
        self.form.changed.connect(self._show)
        self._headline = label(role="strong", wrap=True)
        self._detail = label(role="muted", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.start_button = button(kind="primary", icon="upload")
        self.start_button.clicked.connect(self.start)
        self.cancel_button = button(kind="danger", icon="stop")
        self.cancel_button.clicked.connect(self.cancel)
        self.open_button = button(icon="folder-open")
        self.open_button.clicked.connect(self._open_folder)
        self.close_button = button()
        self.close_button.clicked.connect(self.close)
        for made in (self.cancel_button, self.open_button, self.close_button):
            made.setAutoDefault(False)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SPACE_S)
        buttons.addWidget(self.open_button)
        buttons.addStretch(1)
        for made in (self.close_button, self.cancel_button, self.start_button):
            buttons.addWidget(made)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        column.addWidget(self._intro)
        column.addWidget(self.form)
        column.addWidget(self.bar)
        column.addWidget(self._headline)
        column.addWidget(self._detail)
        column.addLayout(buttons)

    # Working

    @property
    def is_running(self) -> bool:
        """Whether copies are being written."""
        return self.worker is not None

    def start(self) -> None:
        """Write the copies."""
        if self.is_running or self._project.refuses_while_opening() or self._project.waits_for_captions(self.start):
            return
        self._project.save()  # The job reads the decisions from their file.
        self._num_skipped = self._num_unwritten = self._num_written = 0
        self._is_writing = False
        self._first_notice = ""
        self._output = None
        self._is_stopping = self._closes = False
        worker = JobWorker(self._make_run(self.form.job()), self)
        worker.stage_started.connect(self._on_stage_started)
        worker.stage_progress.connect(self._on_stage_progress)
        worker.notice.connect(self._on_notice)
        worker.job_finished.connect(self._on_finished)
        worker.job_failed.connect(self._on_failed)
        worker.finished.connect(worker.deleteLater)
        self.worker = worker
        self.bar.setRange(0, 0)
        self._say(tr("Starting…"))
        self._show()
        self.running_changed.emit(True)
        worker.start()

    def cancel(self) -> None:
        """End after the picture at hand; what is written stays."""
        if self.worker is not None:
            self._is_stopping = True
            self._say(tr("Stopping…"))
            self.worker.stop()
            self._show()

    def shut_down(self) -> None:
        """End at once, because the program ends."""
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()

    def _on_stage_started(self, event: StageStarted) -> None:
        self._is_writing = event.stage == "prepare"
        self.bar.setRange(0, event.total or 0)
        self.bar.setValue(0)

    def _on_stage_progress(self, event: StageProgress) -> None:
        self.bar.setRange(0, event.total or 0)
        self.bar.setValue(event.done)
        if event.stage == "prepare":
            self._num_written = event.done
        if self._is_stopping or not event.total:
            return
        words = tr("Writing pictures") if event.stage == "prepare" else tr("Looking for what to keep in view")
        self._say(f"{words} · {event.done} / {event.total}", time_left_text(event))

    def _on_notice(self, event: Notice) -> None:
        if event.level == "warning":
            self._num_skipped += 1
            self._num_unwritten += int(self._is_writing)
            self._first_notice = self._first_notice or event.message

    def _on_finished(self, event: Finished) -> None:
        self._output = event.output
        written = self._num_written - self._num_unwritten
        if event.stopped:
            one, several = tr("Stopped. 1 picture was written."), tr("Stopped. {n} pictures were written.", n=written)
        else:
            one, several = tr("Done: 1 picture was written."), tr("Done: {n} pictures were written.", n=written)
        headline = one if written == 1 else several
        detail = str(event.output) if event.output else ""
        if self._num_skipped:
            detail = tr("{n} need a look: {message}", n=self._num_skipped, message=self._first_notice)
        self._end(headline, detail, "strong" if event.stopped else "success")

    def _on_failed(self, event: Failed) -> None:
        self._end(event.message, event.remedy, "danger")
        if not event.known:
            self._project.crashed.emit(event.detail)

    def _end(self, headline: str, detail: str, role: str) -> None:
        self.worker = None
        self._say(headline, detail, role)
        self._show()
        self.running_changed.emit(False)
        if self._closes:
            self.close()

    def _open_folder(self) -> None:
        if self._output is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._output)))

    def reject(self) -> None:
        """Close, by Escape or the cross; while it works, cancel first and close when that has happened."""
        if self.is_running:
            self._closes = True
            self.cancel()
        else:
            super().reject()

    # What is shown

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Begin anew with the folder and the settings of now, unless it still works."""
        super().showEvent(event)
        if not self.is_running and not event.spontaneous():
            self._output = None
            self.form.begin()
            self._say("")
            self._show()

    def _say(self, headline: str, detail: str = "", role: str = "strong") -> None:
        if self._headline.property("role") != role:
            set_role(self._headline, role)
        self._headline.setText(headline)
        self._detail.setText(detail)
        self._headline.setVisible(bool(headline))
        self._detail.setVisible(bool(detail))

    def event(self, event: QEvent) -> bool:
        """As high as what is shown needs; texts of several lines make that depend on the width."""
        handled = super().event(event)
        layout = self.layout()
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show) and layout is not None:
            self.resize(WIDTH, layout.totalHeightForWidth(WIDTH))
        return handled

    def _show(self) -> None:
        running = self.is_running
        self.form.setEnabled(not running)
        self.bar.setVisible(running)
        self.start_button.setVisible(not running)
        self.start_button.setEnabled(self.form.is_complete)
        self.close_button.setVisible(not running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(not self._is_stopping)
        self.open_button.setVisible(not running and self._output is not None)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.setWindowTitle(tr("Export pictures"))
        self._intro.setText(
            tr("Writes copies of the pictures as they are trained, with crops and turns. The originals are untouched.")
        )
        self.start_button.setText(tr("Export"))
        self.cancel_button.setText(tr("Cancel"))
        self.open_button.setText(tr("Open folder"))
        self.close_button.setText(tr("Close"))
        self.form.retranslate()
        self._show()
