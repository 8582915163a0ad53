"""The LoRA tools in a window of their own: which tool at the left, its form and what came of it at the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QProgressBar,
    QScrollArea,
    QStackedWidget,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.job_worker import JobWorker
from app.widgets.card import button, label
from app.widgets.lora_tool_fields import dropped_paths
from app.widgets.lora_tool_form import Role, ToolForm
from app.widgets.lora_tool_forms import tool_forms
from app.widgets.outcome_line import OutcomeLine
from app.wording import time_left_text
from core.console import stage_title
from core.events import Failed, Finished, LoraReported, Notice, StageProgress, StageStarted
from core.jobs import Job
from core.runner import ChildRun, Run
from core.text import sentences, tr
from core.tools.report_text import ReportPart, report_parts

SIZE = (900, 640)
LIST_WIDTH = 190
_PATIENCE_MS = 5000


class LoraToolsDialog(QDialog):
    """Stays beside the window while it works; closing it then cancels."""

    def __init__(self, make_run: Callable[[Job], Run] = ChildRun, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make_run = make_run
        self._output: Path | None = None
        self._notices: list[str] = []
        self._has_warning = False
        self._closes = False
        self._reported: LoraReported | None = None
        self._chosen: dict[Role, Path] = {}
        self.worker: JobWorker | None = None
        self.tools = tool_forms()
        self.setAcceptDrops(True)
        self.resize(*SIZE)
        self._build()
        self._lay_out()
        self.retranslate()
        self.list.setCurrentRow(0)

    @property
    def form(self) -> ToolForm:
        """The form that is shown."""
        return list(self.tools.values())[max(self.list.currentRow(), 0)][1]

    @property
    def is_running(self) -> bool:
        """Whether a tool works."""
        return self.worker is not None

    def _build(self) -> None:
        self.list = QListWidget()
        self.list.setProperty("role", "list")
        self.list.setFixedWidth(LIST_WIDTH)
        self.stack = QStackedWidget()
        for _, form in self.tools.values():
            self.list.addItem("")
            form.changed.connect(self._show)
            form.setProperty("role", "scrolled")
            area = QScrollArea()
            area.setWidgetResizable(True)
            area.setFrameShape(QFrame.Shape.NoFrame)
            area.setWidget(form)
            self.stack.addWidget(area)
        self.list.currentRowChanged.connect(self._on_tool_chosen)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.status = label(role="muted", wrap=True)
        self.outcome = OutcomeLine()
        self.report = QTextEdit(readOnly=True)
        theme.signals.changed.connect(self._draw_report)
        self.open_button = button(icon="folder-open")
        self.open_button.clicked.connect(self._show_in_folder)
        self.close_button = button()
        self.close_button.clicked.connect(self.close)
        self.cancel_button = button(kind="danger", icon="stop")
        self.cancel_button.clicked.connect(self.cancel)
        self.start_button = button(kind="primary", icon="play")
        self.start_button.clicked.connect(self.start)
        for made in (self.open_button, self.close_button, self.cancel_button):
            made.setAutoDefault(False)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SPACE_S)
        buttons.addWidget(self.open_button)
        buttons.addStretch(1)
        for made in (self.close_button, self.cancel_button, self.start_button):
            buttons.addWidget(made)
        right = QVBoxLayout()
        right.setSpacing(theme.SPACE_M)
        right.addWidget(self.stack, 1)
        right.addWidget(self.report, 2)
        right.addWidget(self.bar)
        right.addWidget(self.status)
        right.addWidget(self.outcome)
        right.addLayout(buttons)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.SPACE_L, theme.SPACE_L, theme.SPACE_L, theme.SPACE_L)
        row.setSpacing(theme.SPACE_L)
        row.addWidget(self.list)
        row.addLayout(right, 1)

    # Working

    def start(self) -> None:
        """Do what the form says."""
        job = self.form.job()
        if self.is_running or job is None or self.form.problem():
            return
        self._forget()
        worker = JobWorker(self._make_run(job), self)
        worker.stage_started.connect(self._on_stage_started)
        worker.stage_progress.connect(self._on_stage_progress)
        worker.notice.connect(self._on_notice)
        worker.lora_reported.connect(self._on_reported)
        worker.job_finished.connect(self._on_finished)
        worker.job_failed.connect(self._on_failed)
        worker.finished.connect(worker.deleteLater)
        self.worker = worker
        self.bar.setRange(0, 0)
        self.status.setText(tr("Starting…"))
        self._show()
        worker.start()

    def cancel(self) -> None:
        """Stop; nothing of the result is kept."""
        if self.worker is not None:
            self.status.setText(tr("Stopping…"))
            self.cancel_button.setEnabled(False)
            self.worker.stop()

    def shut_down(self) -> None:
        """End, because the program ends: when asked, so that no half of a file stays, or after a while at once."""
        if self.worker is not None:
            self.worker.stop()
            if not self.worker.wait(_PATIENCE_MS):
                self.worker.kill()
                self.worker.wait()

    def _on_stage_started(self, event: StageStarted) -> None:
        self.bar.setRange(0, event.total or 0)
        self.bar.setValue(0)
        if self.cancel_button.isEnabled():
            self.status.setText(stage_title(event.stage))

    def _on_stage_progress(self, event: StageProgress) -> None:
        self.bar.setRange(0, event.total or 0)
        self.bar.setValue(event.done)
        if self.cancel_button.isEnabled():
            self.status.setText(" · ".join(filter(None, (stage_title(event.stage), time_left_text(event)))))

    def _on_notice(self, event: Notice) -> None:
        self._notices.append(event.message)
        if event.level == "warning":
            self._has_warning = True
            self.outcome.say("\n".join(self._notices), "warning")

    def _on_reported(self, event: LoraReported) -> None:
        self._reported = event
        self._draw_report()

    def _draw_report(self) -> None:
        self.report.setHtml(_html(report_parts(self._reported)) if self._reported is not None else "")

    def _on_finished(self, event: Finished) -> None:
        self._output = event.output
        if event.stopped:
            self.outcome.say(tr("Stopped. Nothing was written."))
        elif event.output is not None:
            role = "warning" if self._has_warning else "success"
            self.outcome.say("\n".join([tr("Written: {path}", path=event.output), *self._notices]), role)
        else:
            self.outcome.say(sentences(*self._notices))
        self._end()

    def _on_failed(self, event: Failed) -> None:
        self._closes = False  # Or nobody would read it.
        self.outcome.show_failure(event, may_try_again=False)
        self._end()

    def _end(self) -> None:
        self.worker = None
        self.form.propose()
        self._show()
        if self._closes:
            self.close()

    def _show_in_folder(self) -> None:
        if self._output is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._output.parent)))

    def _forget(self) -> None:
        """Take away what came of the last tool."""
        self._output = None
        self._closes = False
        self._notices = []
        self._has_warning = False
        self._reported = None
        self.report.clear()
        self.outcome.say("")

    def reject(self) -> None:
        """Close, by Escape or the cross; while it works, cancel first and close when that has happened."""
        if self.is_running:
            self._closes = True
            self.cancel()
        else:
            super().reject()

    # Dropped files

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Take files and folders."""
        if dropped_paths(event) and not self.is_running:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Put them into the form."""
        if not self.is_running:
            self.form.take(dropped_paths(event))
            event.acceptProposedAction()

    # What is shown

    def _on_tool_chosen(self, row: int) -> None:
        left = list(self.tools.values())[self.stack.currentIndex()][1]
        self._chosen |= left.chosen()
        self.stack.setCurrentIndex(row)
        self.form.offer(self._chosen)
        self._forget()
        self._show()

    def _show(self) -> None:
        running = self.is_running
        self.list.setEnabled(not running)
        self.stack.setEnabled(not running)
        self.bar.setVisible(running)
        problem = "" if running else self.form.problem()
        if not running:
            self.status.setText(problem)
        self.status.setVisible(running or bool(problem))
        self.report.setVisible(bool(self.report.toPlainText()))
        self.start_button.setVisible(not running)
        self.start_button.setEnabled(self.form.job() is not None and not problem)
        self.close_button.setVisible(not running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(True)
        self.open_button.setVisible(not running and self._output is not None)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.setWindowTitle(tr("LoRA tools"))
        self.list.setAccessibleName(tr("LoRA tools"))
        self.report.setAccessibleName(tr("Report"))
        for row, (title, form) in enumerate(self.tools.values()):
            self.list.item(row).setText(title())
            form.retranslate()
        self.start_button.setText(tr("Start"))
        self.cancel_button.setText(tr("Cancel"))
        self.open_button.setText(tr("Show in folder"))
        self.close_button.setText(tr("Close"))
        self.outcome.retranslate()
        self._draw_report()
        self._show()


def _html(parts: Sequence[ReportPart]) -> str:
    """A report as tables, bars in the colour of the theme."""
    pieces: list[str] = []
    for part in parts:
        pieces.append(f"<p><b>{escape(part.heading)}</b></p><table cellspacing=0>")
        for row in part.rows:
            cells = (
                f'<td style="padding-right: 14px; {_colour(cell, is_first=number == 0)}">{escape(cell)}</td>'
                for number, cell in enumerate(row)
            )
            pieces.append(f"<tr>{''.join(cells)}</tr>")
        pieces.append("</table>")
        pieces += [f'<p style="{_colour(words, is_first=False)}">{escape(words)}</p>' for words in part.sentences]
    return "".join(pieces)


def _colour(cell: str, *, is_first: bool) -> str:
    tokens = theme.tokens()
    if cell.startswith("█"):
        return f"color: {tokens.accent};"
    if cell.startswith(("✓", "✗")):
        return f"color: {tokens.success if cell.startswith('✓') else tokens.danger};"
    return f"color: {tokens.muted}; white-space: nowrap;" if is_first else ""
