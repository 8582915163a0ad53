"""One picture of the tagger's list: what was seen in it, and what its caption becomes with these options."""

from __future__ import annotations

import html
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from app import theme
from app.project import Project
from app.tagging import Tagging
from app.tagging_plan import make_plan
from app.widgets.caption_diff import caption_diff, diff_html
from app.widgets.card import Card, ElidedLabel, button, label
from app.widgets.empty_state import EmptyState
from app.widgets.picture_head import tool_button
from app.widgets.picture_preview import PreviewPane
from app.widgets.score_bars import ScoreBars
from app.widgets.thumbnails import ThumbnailLoader
from core.dataset.records import ImageRecord
from core.tagging.plan import CaptionPlan
from core.text import sentences, tr

PICTURE_HEIGHT, PICTURE_HEIGHT_LOW = 210, 100
CAPTION_HEIGHT, CAPTION_HEIGHT_LOW = 92, 42
LOW = 560
"""A panel that is less high than this gives picture and caption less room."""


class TaggerPreview(Card):
    """Follows the options at once. `tag_toggled` asks to leave a tag out, or to take it back in."""

    tag_toggled = Signal(str)
    move_requested = Signal(int)

    def __init__(self, tagging: Tagging, project: Project, loader: ThumbnailLoader) -> None:
        super().__init__()
        self._tagging = tagging
        self._project = project
        self._image: Path | None = None
        self._name = ElidedLabel(elide=Qt.TextElideMode.ElideMiddle)
        self._name.setProperty("role", "cardTitle")
        self._previous, self._next = tool_button("chevron-left"), tool_button("chevron-right")
        self._previous.clicked.connect(lambda: self.move_requested.emit(-1))
        self._next.clicked.connect(lambda: self.move_requested.emit(1))
        self.picture = PreviewPane(loader)
        self.caption = label(wrap=True)
        self.caption.setTextFormat(Qt.TextFormat.RichText)
        self.caption.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.caption.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bars = ScoreBars()
        self.bars.tag_toggled.connect(self.tag_toggled)
        self.try_button = button(icon="sparkles")
        self.try_button.clicked.connect(self.look)
        self._hint = label(role="small", wrap=True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._nothing = EmptyState("image")
        self._pages = QStackedWidget()
        self._lay_out()
        tagging.changed.connect(self.refresh)
        project.captions_changed.connect(self.refresh)
        theme.signals.changed.connect(self.refresh)

    def _lay_out(self) -> None:
        names = QHBoxLayout()
        names.setSpacing(theme.SPACE_XS)
        names.addWidget(self._name, 1)
        names.addWidget(self._previous)
        names.addWidget(self._next)
        area = QScrollArea()
        area.setWidget(self.caption)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._caption_area = area
        unseen = QWidget()
        self._unseen = column = QVBoxLayout(unseen)
        column.addStretch(1)
        column.addWidget(self._hint)
        column.addWidget(self.try_button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(2)
        self._seen_pages = QStackedWidget()
        self._seen_pages.addWidget(unseen)
        self._seen_pages.addWidget(self.bars)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE_S)
        layout.addLayout(names)
        layout.addWidget(self.picture)
        layout.addWidget(area)
        layout.addWidget(self._seen_pages, 1)
        self._pages.addWidget(self._nothing)
        self._pages.addWidget(content)
        self.body.addWidget(self._pages)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Less height is taken from the picture first."""
        self.picture.setFixedHeight(PICTURE_HEIGHT_LOW if self.height() < LOW else PICTURE_HEIGHT)
        super().resizeEvent(event)
        self._fit_caption()

    @property
    def image(self) -> Path | None:
        """The picture that is shown."""
        return self._image

    def set_image(self, image: Path | None) -> None:
        """Show another picture, or none."""
        self._image = image
        self.refresh()

    def look(self) -> None:
        """Let the models look at this picture only."""
        if self._image is not None:
            self._tagging.look_at(self._image)

    @property
    def plan(self) -> CaptionPlan | None:
        """What becomes of the caption with the options of now."""
        record = self._record
        if record is None:
            return None
        tagging = self._tagging
        problem = tagging.problem_of(record.path)
        problems = {record.path: problem} if problem else {}
        planned = make_plan((record,), tagging.seen, tagging.options, problems, tagging.writes.written)
        return planned.plans.get(record.path)

    @property
    def _record(self) -> ImageRecord | None:
        return self._project.record(self._image) if self._image is not None else None

    def refresh(self) -> None:
        """Show what is so now."""
        if not self.isVisible():
            return
        record = self._record
        self._pages.setCurrentIndex(0 if record is None else 1)
        if record is None:
            self._show_none()
            return
        self._name.setText(record.path.name)
        self.picture.set_record(record)
        seen = self._tagging.seen.get(record.path)
        self._seen_pages.setCurrentIndex(0 if seen is None else 1)
        if seen is not None:
            self.bars.show_tags(seen.tags, self._tagging.options)
        self._show_unseen(record)
        self._show_caption(record)

    def _show_none(self) -> None:
        reason = self._tagging.problem_of(self._image) if self._image is not None else ""
        if reason:
            self._nothing.set_texts(tr("It cannot be read"), reason)
        else:
            self._nothing.set_texts(tr("No picture selected"), tr("Select one to see what the tagger sees in it."))

    def _show_unseen(self, record: ImageRecord) -> None:
        tagging = self._tagging
        is_looking = tagging.look.image == record.path
        problem = tagging.problem_of(record.path)
        self.try_button.setVisible(not is_looking and not tagging.is_running)
        self.try_button.setEnabled(tagging.look.image is None)
        if is_looking:
            self._hint.setText(tr("Looking at the picture…"))
        elif tagging.failure is not None and not problem:
            self._hint.setText(sentences(tagging.failure.message, tagging.failure.remedy))
        else:
            self._hint.setText(problem or tr("Not looked at yet. Nothing is written when you try it."))
        self._unseen.activate()

    def _show_caption(self, record: ImageRecord) -> None:
        before, tokens = record.caption or "", theme.tokens()
        plan = self.plan
        after = before if plan is None else plan.caption
        if before and after != before:
            text = diff_html(caption_diff(before, after), tokens)
        else:
            text = diff_html([("same", after)], tokens) if len(after) < 48 else html.escape(after)
        if not after:
            text = f'<span style="color:{tokens.faint}">{html.escape(tr("no caption"))}</span>'
        if plan is not None and plan.problem and self._tagging.seen.get(record.path) is not None:
            text = f'<span style="color:{tokens.warning}">{html.escape(plan.problem)}</span>'
        self.caption.setText(text)
        self._fit_caption()

    def _fit_caption(self) -> None:
        """Give the caption the height it needs, up to some lines; it can be scrolled."""
        width = self._caption_area.viewport().width()
        most = CAPTION_HEIGHT_LOW if self.height() < LOW else CAPTION_HEIGHT
        self._caption_area.setFixedHeight(min(most, max(1, self.caption.heightForWidth(width)) + 2))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """What changed while nobody looked is shown now."""
        super().showEvent(event)
        self.refresh()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.try_button.setText(tr("Try on this picture"))
        for tool, text in (
            (self._previous, tr("Previous picture (Ctrl+Up)")),
            (self._next, tr("Next picture (Ctrl+Down)")),
        ):
            tool.setToolTip(text)
            tool.setAccessibleName(text)
        self.caption.setAccessibleName(tr("Caption"))
        self.bars.retranslate()
        self.refresh()
