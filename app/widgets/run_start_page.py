"""The page before a run: what will be trained, the queue, and the history."""

from __future__ import annotations

from typing import Literal, cast

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from app import theme
from app.project import Project
from app.queue import Queue
from app.run_history import RunHistory
from app.run_record import RunRecord
from app.settings import Settings
from app.widgets.card import label
from app.widgets.history_panel import HistoryPanel
from app.widgets.queue_panel import QueuePanel
from app.widgets.run_card import Action, RunCard
from app.widgets.run_summary import RunSummary
from app.widgets.segments import Segments
from app.widgets.thumbnails import ThumbnailLoader
from app.wording import duration_text
from core.text import tr

Part = Literal["next", "history"]


class RunStartPage(QWidget):
    """Two parts to choose from; above them what needs an answer, and the run that is going on."""

    show_run_clicked = Signal()

    def __init__(
        self,
        project: Project,
        settings: Settings,
        queue: Queue,
        history: RunHistory,
        loader: ThumbnailLoader,
        parent: QWidget | None = None,
    ) -> None:
        """Build the page.

        Args:
            project: Its settings are what is trained next.
            settings: Keeps the measured speed.
            queue: The runs that wait.
            history: The runs of before.
            loader: Reads the pictures beside the window.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self.title = label(role="title")
        self.subtitle = label(role="muted")
        self.parts = Segments(("next", "history"))
        self.parts.chosen.connect(lambda part: self.show_part(cast(Part, part)))
        self.question = RunCard()
        self.question.hide()
        self.live = RunCard()
        self.live.hide()
        self.summary = RunSummary(project, settings, queue)
        self.queue = QueuePanel(queue)
        self.history = HistoryPanel(history, loader)
        self._queue = queue
        self._lay_out()
        queue.changed.connect(self._fit_queue)
        self._fit_queue()

    def _lay_out(self) -> None:
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.title)
        words.addWidget(self.subtitle)
        head = QHBoxLayout()
        head.addLayout(words, 1)
        head.addWidget(self.parts)
        following = QWidget()
        following.setProperty("role", "scrolled")
        cards = QHBoxLayout(following)
        cards.setContentsMargins(0, 0, 0, 0)
        cards.setSpacing(theme.SPACE_M)
        left = QVBoxLayout()
        left.addWidget(self.summary)
        left.addStretch(1)
        self._queue_column = QVBoxLayout()
        self._queue_column.addWidget(self.queue, 1)
        self._queue_column.addStretch(0)
        cards.addLayout(left, 3)
        cards.addLayout(self._queue_column, 2)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(following)
        self._stack = QStackedWidget()
        self._stack.addWidget(scroll)
        self._stack.addWidget(self.history)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        column.addLayout(head)
        column.addWidget(self.live)
        column.addWidget(self.question)
        column.addWidget(self._stack, 1)

    @property
    def part(self) -> Part:
        """Which part is shown."""
        return cast(Part, self.parts.key)

    def show_part(self, part: Part) -> None:
        """Show what comes next, or what was."""
        self.parts.choose(part)
        self._stack.setCurrentIndex(0 if part == "next" else 1)

    def show_live(self, name: str, record: RunRecord | None) -> None:
        """Say that a run is going on, or that none is."""
        self.summary.set_running(record is not None)
        if record is None:
            self.live.hide()
            return
        text = tr("Step {step} of {total}", step=record.step, total=record.total_steps) if record.total_steps else ""
        if record.remaining_s is not None:
            text += " · " + tr("{time} left", time=duration_text(record.remaining_s))
        if self.live.isHidden():
            actions = [Action(tr("Show it"), self.show_run_clicked.emit, "primary")]
            heading = tr("{name} is being trained.", name=name)
            self.live.show_message(icon="flame", tone="accent", heading=heading, text=text or " ", actions=actions)
        else:
            self.live.text.setText(text)

    def _fit_queue(self) -> None:
        """An empty queue needs no more room than its words."""
        self._queue_column.setStretch(0, 1 if self._queue.entries else 0)
        self._queue_column.setStretch(1, 0 if self._queue.entries else 1)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.title.setText(tr("Training"))
        self.subtitle.setText(tr("What will be trained, and the runs of before."))
        self.parts.set_text("next", tr("Next run"))
        self.parts.set_text("history", tr("Earlier runs"))
        self.live.hide()
        self.summary.retranslate()
        self.queue.retranslate()
        self.history.retranslate()
