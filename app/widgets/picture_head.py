"""The selected picture above its caption: name, preview, facts and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.project import Project
from app.widgets.card import ElidedLabel
from app.widgets.picture_actions import PictureActions
from app.widgets.picture_preview import PreviewPane, StackPreview
from app.widgets.thumbnails import ThumbnailLoader
from app.wording import size_text
from core.dataset.records import ImageRecord
from core.text import tr

PREVIEW_MIN, PREVIEW_MIN_NARROW = 60, 24
ONE, SEVERAL, OTHER = range(3)
"""What the preview shows: the picture, a stack of several, or the widget of `set_preview`."""


class PictureHead(QWidget):
    """Shows one picture, several, or none."""

    move_requested = Signal(int)  # so many pictures on
    crop_requested = Signal()
    as_trained_changed = Signal(bool)
    record_changed = Signal(object)  # ImageRecord | None, for a preview that `set_preview` brought

    def __init__(self, project: Project, loader: ThumbnailLoader) -> None:
        super().__init__()
        self._record: ImageRecord | None = None
        self._num_several = 0
        self._name = ElidedLabel(elide=Qt.TextElideMode.ElideMiddle)
        self._name.setProperty("role", "cardTitle")
        self._facts = ElidedLabel()
        self._facts.setProperty("role", "small")
        self._previous = tool_button("chevron-left")
        self._next = tool_button("chevron-right")
        self._previous.clicked.connect(lambda: self.move_requested.emit(-1))
        self._next.clicked.connect(lambda: self.move_requested.emit(1))
        self._preview = PreviewPane(loader)
        self._stack = StackPreview(loader)
        self._previews = QStackedWidget()
        self._previews.addWidget(self._preview)
        self._previews.addWidget(self._stack)
        self.as_trained_button = QPushButton()
        self.as_trained_button.setProperty("role", "segment")
        self.as_trained_button.setCheckable(True)
        self.as_trained_button.toggled.connect(self._on_as_trained_changed)
        self.as_trained_button.hide()
        self.picture_actions = PictureActions(project)
        self.picture_actions.crop_requested.connect(self.crop_requested)
        self.picture_actions.exclusion_changed.connect(self._preview.set_pale)
        self._lay_out()
        self.set_roomy(True)
        self.retranslate()

    def _lay_out(self) -> None:
        names = QHBoxLayout()
        names.setSpacing(theme.SPACE_S)
        names.addWidget(self._name, 1)
        names.addWidget(self._previous)
        names.addWidget(self._next)
        facts = QHBoxLayout()
        facts.addWidget(self._facts, 1)
        facts.addWidget(self.as_trained_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addLayout(names)
        column.addWidget(self._previews, 1)
        column.addLayout(facts)
        column.addWidget(self.picture_actions)

    @property
    def title(self) -> str:
        """The name of the picture, or how many there are."""
        return self._name.text()

    def set_record(self, record: ImageRecord | None) -> None:
        """Show one picture, or none."""
        self._record, self._num_several = record, 0
        self._preview.set_record(record)
        self._show([record.path] if record is not None else [])

    def set_several(self, records: Sequence[ImageRecord]) -> None:
        """Show that several are selected."""
        self._record, self._num_several = None, len(records)
        self._stack.set_records(records)
        self._show([record.path for record in records])

    def set_preview(self, widget: QWidget) -> None:
        """Give the switch "As trained" something to show: a widget that follows `record_changed`."""
        old = self._previews.widget(OTHER)
        if old is not None:
            self._previews.removeWidget(old)
            old.deleteLater()
        self._previews.addWidget(widget)
        self.as_trained_button.show()
        self.record_changed.emit(self._record)
        self._show_preview()

    def set_roomy(self, is_roomy: bool) -> None:
        """Whether the preview may keep its height when something below needs room."""
        self._previews.setMinimumHeight(PREVIEW_MIN if is_roomy else PREVIEW_MIN_NARROW)

    def _show(self, images: Sequence[Path]) -> None:
        self.picture_actions.set_images(images)
        for tool in (self._previous, self._next):
            tool.setEnabled(self._record is not None)
        self._show_texts()
        self._show_preview()
        self.record_changed.emit(self._record)

    def _show_texts(self) -> None:
        several = self._num_several
        if self._record is not None:
            self._name.setText(self._record.path.name)
            self._facts.setText(facts_of(self._record))
        else:
            self._name.setText(tr("{n} pictures selected", n=several) if several else tr("No picture selected"))
            self._facts.setText(tr("Changes go to all of them.") if several else "")

    def _show_preview(self) -> None:
        page = SEVERAL if self._num_several else ONE
        if page == ONE and self._previews.count() > OTHER and self.as_trained_button.isChecked():
            page = OTHER
        self._previews.setCurrentIndex(page)

    def _on_as_trained_changed(self, is_on: bool) -> None:
        self._show_preview()
        self.as_trained_changed.emit(is_on)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        for tool, text in (
            (self._previous, tr("Previous picture (Ctrl+Up)")),
            (self._next, tr("Next picture (Ctrl+Down)")),
        ):
            tool.setToolTip(text)
            tool.setAccessibleName(text)
        self.as_trained_button.setText(tr("As trained"))
        self.as_trained_button.setToolTip(tr("Show what the training sees of the picture"))
        self.picture_actions.retranslate()
        self._show_texts()


def tool_button(icon: str) -> QToolButton:
    """A flat button with an icon only."""
    made = QToolButton()
    icons.set_icon(made, icon, 18)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    return made


def facts_of(record: ImageRecord) -> str:
    """Size, bytes and repeats of a picture in one line."""
    width, height = record.size_px
    facts = [f"{width} × {height} px", size_text(record.num_bytes) if record.num_bytes else ""]
    if record.repeats:
        facts.append(tr("{n}× per epoch", n=record.repeats))
    return " · ".join(fact for fact in facts if fact)
