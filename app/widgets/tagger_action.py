"""The card with the one button of the Tagger page: what it will do, how far it is, what it did, and the way back."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout

from app import icons, theme
from app.project import Project
from app.tagging import Tagging
from app.tagging_words import resting_texts, running_texts, start_text
from app.widgets.card import Card, button, label, set_kind, set_role
from core.text import tr

TELL_MS = 60
_MOST_DETAIL = 4000


class TaggerAction(Card):
    """Shows the run; the options say why it cannot be started (`set_problem`)."""

    start_clicked = Signal()
    next_clicked = Signal()

    def __init__(self, tagging: Tagging, project: Project) -> None:
        super().__init__()
        self._tagging = tagging
        self._project = project
        self._problem = ""
        self.start_button = button(kind="primary", icon="tagger", size=20)
        self.start_button.setProperty("big", True)
        self.start_button.clicked.connect(self.start_clicked)
        self.apply_button = button(kind="primary", icon="check", size=20)
        self.apply_button.setProperty("big", True)
        self.apply_button.clicked.connect(tagging.apply)
        self.discard_button = button()
        self.discard_button.clicked.connect(tagging.discard)
        self.cancel_button = button(kind="danger", icon="stop")
        self.cancel_button.clicked.connect(tagging.stop)
        self.undo_button = button(icon="undo")
        self.undo_button.clicked.connect(tagging.undo)
        self.next_button = button()
        self.next_button.clicked.connect(self.next_clicked)
        self.headline = label(role="strong", wrap=True)
        self.sentence = label(role="muted", wrap=True)
        self.note = label(role="small", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.detail_button = button(kind="quiet", icon="chevron-down")
        self.detail = label(role="small", wrap=True)
        self.detail.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.detail.hide()
        self.detail_button.clicked.connect(lambda: self.detail.setVisible(self.detail.isHidden()))
        self._lay_out()
        tagging.changed.connect(self.refresh)
        # A progress bar paints at once whenever it is given a number.
        self._telling = QTimer(self, singleShot=True, interval=TELL_MS)
        self._telling.timeout.connect(self._show_progress)
        tagging.progressed.connect(self._on_progressed)

    def _lay_out(self) -> None:
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addStretch(1)
        for text in (self.headline, self.sentence, self.note):
            texts.addWidget(text)
        texts.addStretch(1)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_M)
        row.addWidget(self.start_button)
        row.addWidget(self.apply_button)
        row.addLayout(texts, 1)
        for made in (
            self.detail_button,
            self.discard_button,
            self.cancel_button,
            self.next_button,
            self.undo_button,  # Last, so that it stays where it is while the others come and go.
        ):
            row.addWidget(made)
        self.body.addLayout(row)
        self.body.addWidget(self.bar)
        self.body.addWidget(self.detail)

    def set_problem(self, problem: str) -> None:
        """Say why nothing can be started, or that it can."""
        self._problem = problem
        self.refresh()

    @property
    def can_start(self) -> bool:
        """Whether there is something to tag, and something to tag it with."""
        tagging = self._tagging
        is_free = not tagging.is_running and tagging.look.image is None and not self._project.is_writing
        return is_free and not self._problem and tagging.num_to_look_at > 0

    def refresh(self) -> None:
        """Show what is so now."""
        tagging = self._tagging
        if tagging.is_asleep:
            return
        running, failed = tagging.is_running, tagging.failure is not None
        offers = not running and (tagging.phase == "summary" or tagging.has_new_choice)
        can_apply = offers and tagging.planned is not None and tagging.planned.num_changes > 0
        self.start_button.setVisible(not running and not offers)
        self.start_button.setEnabled(self.can_start)
        self.apply_button.setVisible(offers)
        self.apply_button.setEnabled(can_apply and not self._project.is_writing)
        self.discard_button.setVisible(not running and tagging.phase == "summary")
        self.cancel_button.setVisible(running and tagging.phase != "writing")
        self.cancel_button.setEnabled(not tagging.look.is_stopping)
        self.undo_button.setVisible(tagging.can_undo and tagging.phase != "summary")
        self.undo_button.setEnabled(not self._project.is_writing)
        self._show_next(is_hidden=running or offers)
        detail = tagging.failure.detail if tagging.failure is not None else ""
        self.detail.setText(detail[-_MOST_DETAIL:])
        self.detail_button.setVisible(bool(detail))
        if not detail:
            self.detail.hide()
        set_role(self.headline, "danger" if failed and not running else "strong")
        note = tagging.look.note
        self.note.setText(note.message if note is not None else "")
        self.note.setVisible(note is not None and (running or note.level == "warning"))
        set_role(self.note, "warning" if note is not None and note.level == "warning" else "small")
        self.bar.setVisible(running)
        self._name_buttons()
        if running:
            self._show_progress()
        else:
            self._say(*resting_texts(tagging, self._problem))

    def _show_next(self, *, is_hidden: bool) -> None:
        tagging = self._tagging
        total = len(tagging.records)
        is_whole = total > 0 and tagging.num_captioned == total
        is_done = tagging.phase == "done"
        self.next_button.setVisible(not is_hidden and total > 0 and (is_whole or is_done))
        num_failed = tagging.shown.counts.failed if is_done and tagging.shown is not None else 0
        has_all = is_whole or (is_done and tagging.num_captioned + num_failed >= total)
        leads_on = has_all and (is_done or not self.start_button.isEnabled())
        set_kind(self.next_button, "primary" if leads_on else "secondary")
        set_kind(self.start_button, "secondary" if leads_on else "primary")
        icons.set_icon(self.start_button, "tagger", 20, "text" if leads_on else "on_accent")

    def _on_progressed(self) -> None:
        if not self._telling.isActive():
            self._telling.start()

    def _show_progress(self) -> None:
        tagging = self._tagging
        if not tagging.is_running:
            return
        progress = {"looking": tagging.look.progress, "writing": tagging.writes.progress}.get(tagging.phase)
        if progress is not None and progress.total:
            self.bar.setRange(0, progress.total)
            self.bar.setValue(progress.done)
        else:
            self.bar.setRange(0, 0)
        self._say(*running_texts(tagging))

    def _say(self, headline: str, sentence: str) -> None:
        self.headline.setText(headline)
        self.headline.setVisible(bool(headline))
        self.sentence.setText(sentence)
        self.sentence.setVisible(bool(sentence))

    def _name_buttons(self) -> None:
        tagging = self._tagging
        self.start_button.setText(start_text(tagging))
        self.apply_button.setText(tr("Apply the new choice") if tagging.has_new_choice else tr("Apply"))
        self.undo_button.setToolTip(tr("Undo: {name} (Ctrl+Z)", name=self._project.undo_name))

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        made: QPushButton
        for made, text, tip in (
            (self.start_button, "", tr("Start (Ctrl+Enter)")),
            (self.apply_button, "", tr("Write the captions (Ctrl+Enter)")),
            (self.discard_button, tr("Discard"), tr("Write nothing")),
            (self.cancel_button, tr("Cancel"), tr("Nothing is written; what was seen so far is kept (Esc)")),
            (self.undo_button, tr("Undo"), ""),
            (self.next_button, tr("Next: train"), ""),
            (self.detail_button, tr("Details"), ""),
        ):
            if text:
                made.setText(text)
            made.setToolTip(tip)
        self.refresh()
