"""The selected pictures and their captions, as chips or as text. What is changed is saved by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QStackedWidget, QWidget

from app import theme
from app.dataset_reading import same_caption
from app.project import Project
from app.settings import Settings
from app.tag_index import TagIndex
from app.widgets.caption_text import CaptionText, Conflict
from app.widgets.card import Card, ElidedLabel, label, set_role
from app.widgets.common_tags import CommonTags
from app.widgets.picture_head import PictureHead, tool_button
from app.widgets.tag_chips import TagChips
from app.widgets.thumbnails import ThumbnailLoader
from app.widgets.token_label import TokenLabel
from core.dataset.bulk import is_prose
from core.dataset.captions import join_tags, split_tags, tidy
from core.dataset.records import ImageRecord
from core.text import tr

Mode = Literal["chips", "text"]
MODE_KEY = "dataset/caption_mode"


class CaptionEditor(Card):
    """The selected picture and its caption, or what several selected pictures have in common.

    `text` always holds the caption of one picture; the chips are another way to see and change it. Text is saved when
    the focus leaves and on moving on, chips at once. A caption that another program changed while it was edited is not
    written over: a row shows both and asks. What is typed for a picture and could not be saved waits for its return.
    """

    move_requested = Signal(int)  # so many pictures on
    left_with_escape = Signal()
    crop_requested = Signal()
    as_trained_changed = Signal(bool)
    filter_requested = Signal(str)  # a filter: show the pictures with a tag
    rename_requested = Signal(str)  # a tag, in all captions
    removal_requested = Signal(object)  # list[str], from all captions
    record_changed = Signal(object)  # ImageRecord | None, for a preview that `set_preview` brought

    def __init__(self, project: Project, loader: ThumbnailLoader, settings: Settings | None = None) -> None:
        """Settings keep whether captions are shown as chips or as text."""
        super().__init__()
        self._project = project
        self._settings = settings
        self._record: ImageRecord | None = None
        self._saved_text = ""
        self._base: ImageRecord | None = None  # what the typing started from
        self._drafts: dict[Path, tuple[str, ImageRecord]] = {}
        self._is_saving = False
        self._wish: Mode = "text" if settings and settings.value(MODE_KEY, "chips") == "text" else "chips"
        self._mode: Mode = self._wish
        self._build_head(loader)
        self._build_caption()
        project.history_changed.connect(self._show_undo)
        project.writing_changed.connect(self._on_writing_changed)
        self.retranslate()
        self.set_record(None)

    def _build_head(self, loader: ThumbnailLoader) -> None:
        self.head = PictureHead(self._project, loader)
        self.head.move_requested.connect(self.move_requested)
        self.head.crop_requested.connect(self.crop_requested)
        self.head.as_trained_changed.connect(self.as_trained_changed)
        self.head.record_changed.connect(self.record_changed)
        self.body.addWidget(self.head, 5)

    def _build_caption(self) -> None:
        self._heading = label(role="strong")
        self._state = ElidedLabel()
        self._state.setProperty("role", "small")
        self._state.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.undo_button = tool_button("undo")
        self.undo_button.clicked.connect(self.undo)
        self.redo_button = tool_button("redo")
        self.redo_button.clicked.connect(self.redo)
        self.mode_buttons: dict[Mode, QPushButton] = {"chips": QPushButton(), "text": QPushButton()}
        group = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_XS)
        row.addWidget(self._heading)
        row.addSpacing(theme.SPACE_XS)
        for mode, made in self.mode_buttons.items():
            made.setProperty("role", "segment")
            made.setCheckable(True)
            made.setCursor(Qt.CursorShape.PointingHandCursor)
            made.clicked.connect(lambda _checked, mode=mode: self.set_mode(mode))
            group.addButton(made)
            row.addWidget(made)
        row.addWidget(self._state, 1)
        row.addWidget(self.undo_button)
        row.addWidget(self.redo_button)
        self._problem = label(role="error", wrap=True)
        self._problem.hide()
        self.conflict = Conflict()
        self.conflict.take_button.clicked.connect(self.take_theirs)
        self.conflict.keep_button.clicked.connect(self.keep_mine)
        self.text = CaptionText()
        self.text.textChanged.connect(self._show_state)
        self.text.left.connect(self.flush)
        self.text.move_requested.connect(self.move_requested)
        self.text.undo_requested.connect(self.undo)
        self.text.done.connect(self.left_with_escape)
        self.chips = TagChips(TagIndex.of(self._project))
        self.chips.tags_changed.connect(self._take_chips)
        self.chips.move_requested.connect(self.move_requested)
        self.chips.left.connect(self.left_with_escape)
        self.chips.filter_requested.connect(self.filter_requested)
        self.chips.rename_requested.connect(self.rename_requested)
        self.chips.removal_requested.connect(self.removal_requested)
        self._common = CommonTags(self._project, self.chips)
        self._common.counted.connect(self._show_common)
        self._pages = QStackedWidget()
        self._pages.setMinimumHeight(84)
        self._pages.addWidget(self.chips)
        self._pages.addWidget(self.text)
        self._count = TokenLabel(self._project)
        self._count.counter_ready.connect(self._show_state)
        self.body.addLayout(row)
        self.body.addWidget(self._problem)
        self.body.addWidget(self.conflict)
        self.body.addWidget(self._pages, 4)
        self.body.addWidget(self._count)

    # What is shown

    @property
    def record(self) -> ImageRecord | None:
        """The picture that is shown; None when there is none, or when there are several."""
        return self._record

    @property
    def images(self) -> tuple[Path, ...]:
        """The pictures that are shown: none, one, or all that are selected."""
        return (self._record.path,) if self._record is not None else self._common.images

    @property
    def mode(self) -> Mode:
        """How the caption is shown."""
        return self._mode

    @property
    def is_edited(self) -> bool:
        """Whether something was typed that is not saved."""
        return self._record is not None and self.text.toPlainText() != self._saved_text

    def set_selection(self, records: Sequence[ImageRecord]) -> None:
        """Show the selected pictures: one with its caption, several with what their captions have in common."""
        if len(records) < 2:
            self.set_record(records[0] if records else None)
            return
        images = tuple(record.path for record in records)
        if images == self._common.images:
            return
        self.set_record(None)
        self.chips.start_over()
        self._common.set_records(records)
        self.head.set_several(records)
        self._show_several()

    def set_record(self, record: ImageRecord | None) -> None:
        """Show another picture; what was typed for the one before is saved first, or kept when it cannot be."""
        self._common.set_records(())
        if record is not None and self._record is not None and record.path == self._record.path and self.is_edited:
            self.refresh(record)  # Read again in the middle of typing, which goes on.
            return
        self.flush()
        if self._record is not None and self._base is not None and self.is_edited:
            self._drafts[self._record.path] = (self.text.toPlainText(), self._base)
        self._show(record)
        if record is not None and (draft := self._drafts.pop(record.path, None)) is not None:
            text, self._base = draft
            self._saved_text = self._base.caption or ""
            self.text.setPlainText(text)
            self.refresh(record)

    def set_preview(self, widget: QWidget) -> None:
        """Give the switch "As trained" something to show: a widget that follows `record_changed`."""
        self.head.set_preview(widget)

    def set_as_trained(self, is_on: bool) -> None:
        """Turn the switch "As trained" on or off."""
        self.head.as_trained_button.setChecked(is_on)

    def set_mode(self, mode: Mode) -> None:
        """Show captions as chips or as text, from now on; sentences still open as text."""
        self.flush()
        self._wish = mode
        if self._settings is not None:
            self._settings.set_value(MODE_KEY, mode)
        self._use_mode(mode)
        self.start_typing()

    def start_typing(self) -> None:
        """Put the keyboard into the caption."""
        (self.chips.line if self._mode == "chips" else self.text).setFocus()

    # Saving

    def refresh(self, record: ImageRecord) -> None:
        """Take what is on disk now; what is being typed stays, and when both are new, the user is asked."""
        if self._record is not None and record.path == self._record.path and not self._is_saving:
            if not self.is_edited or self._base is None or tidy(self.text.toPlainText()) == (record.caption or ""):
                self._show(record)
            else:
                self._record = record
                self._ask(None if same_caption(record, self._base) else record)
                self._show_state()

    def flush(self) -> bool:
        """Save what was typed. Returns False when it was not written; it stays in the box then."""
        if self._record is None or not self.is_edited:
            return True
        if self.has_conflict:
            return False
        now = self._project.record(self._record.path)
        if now is not None and self._base is not None and not same_caption(now, self._base):
            self.refresh(now)  # Another program wrote it since the typing began: the user is asked.
            if self.is_edited:
                return False
        self._is_saving = True
        try:
            is_saved = self._project.save_caption(self._record.path, self.text.toPlainText())
        finally:
            self._is_saving = False
        record = self._project.record(self._record.path)
        if is_saved and record is not None:
            self._show(record)
        elif record is not None:
            self.refresh(record)
        return is_saved

    def _take_chips(self, tags: list[str]) -> None:
        self.text.setPlainText(join_tags(tags))
        self.flush()

    def _on_writing_changed(self, name: str, _done: int, _total: int) -> None:
        """Chips that were changed while many captions were written are saved after it."""
        if not name and self._mode == "chips":
            QTimer.singleShot(0, self, self.flush)

    @property
    def has_conflict(self) -> bool:
        """Whether the user is asked which of two captions is meant."""
        return not self.conflict.isHidden()

    @property
    def waiting(self) -> Path | None:
        """A picture whose typed caption is not on disk, because it waits for the user's choice or for its folder."""
        if self.has_conflict and self._record is not None:
            return self._record.path
        return min(self._drafts, key=lambda image: self._project.record(image) is None, default=None)

    def _ask(self, theirs: ImageRecord | None) -> None:
        """Show the row for what is in the file now, with the picture making room for it, or take the row away."""
        self.head.set_roomy(theirs is None)
        if theirs is None:
            self.conflict.hide()
        else:
            self.conflict.ask(theirs.caption or "")

    def take_theirs(self) -> None:
        """Drop what was typed for what another program wrote."""
        if self._record is not None:
            self._project.reload_captions([self._record.path])
            self._show(self._project.record(self._record.path) or self._record)

    def keep_mine(self) -> None:
        """Write what was typed over what another program wrote, if that is still what was shown."""
        if self._record is not None:
            self._base = self._record
            self._saved_text = self._record.caption or ""
            self._ask(None)
            self.flush()
            self._show_state()

    def undo(self) -> None:
        """Take back what was typed, else the last step."""
        if self.has_conflict:
            self.take_theirs()
        elif self.is_edited:
            self.text.setPlainText(self._saved_text)
        else:
            self._project.undo()

    def redo(self) -> None:
        """Do again what was taken back last."""
        if not self.is_edited:
            self._project.redo()

    # Showing

    def _show(self, record: ImageRecord | None) -> None:
        same = self._record is not None and record is not None and record.path == self._record.path
        self._record = self._base = record
        self._ask(None)
        self._saved_text = (record.caption or "") if record else ""
        if not same:
            self.chips.start_over()
            self._use_mode("text" if is_prose(self._saved_text) else self._wish)
        if not (same and self.text.toPlainText() == self._saved_text):
            place = self.text.textCursor().position() if same else 0
            self.text.setPlainText(self._saved_text)
            cursor = self.text.textCursor()
            cursor.setPosition(min(place, len(self._saved_text)))
            self.text.setTextCursor(cursor)
        self.text.setEnabled(record is not None)
        self.chips.setEnabled(record is not None)
        self._problem.setText(record.caption_problem if record else "")
        self._problem.setVisible(bool(record and record.caption_problem))
        self.head.set_record(record)
        self._show_kind()
        self._show_state()

    def _show_several(self) -> None:
        self._pages.setCurrentWidget(self.chips)
        self.chips.setEnabled(True)
        self._show_kind()
        self._show_state()
        self._show_common()

    def _show_kind(self) -> None:
        """What is there to choose for one picture, or for several."""
        several = bool(self._common.images)
        for mode, made in self.mode_buttons.items():
            made.setVisible(not several)
            made.setChecked(mode == self._mode)
        self._heading.setText(tr("Their tags") if several else tr("Caption"))

    def _show_common(self) -> None:
        if not self._common.images:
            return
        hidden = self.chips.num_hidden
        words = tr("A tag with 3/12 is in 3 of 12 captions; click it to add or remove it.")
        if hidden:
            words = tr("1 rarer tag is not shown.") if hidden == 1 else tr("{n} rarer tags are not shown.", n=hidden)
        self._count.show_words(words)

    def _show_state(self) -> None:
        edited = self.is_edited
        set_role(self._state, "warning" if edited else "small")
        if self._record is None:
            self._state.setText("")
        elif edited:
            self._state.setText(tr("not saved yet"))
        else:
            self._state.setText(tr("saved") if self._saved_text else tr("none yet"))
        if not self._common.images:
            text = self.text.toPlainText()
            tags = split_tags(text)
            self._count.set_caption(self._record, text)
            self.chips.set_tags(tags)
            self.chips.set_learned(self._count.num_learned(tags))
            trigger = self._record.trigger_word if self._record else ""
            self.chips.set_trigger(trigger or self._project.config.dataset.trigger_word)
        self._show_undo()

    def _show_undo(self) -> None:
        undo, redo = self._project.undo_name, self._project.redo_name
        self.undo_button.setEnabled(self.is_edited or bool(undo))
        self.redo_button.setEnabled(bool(redo) and not self.is_edited)
        for tool, text in (
            (self.undo_button, tr("Undo: {name} (Ctrl+Z)", name=undo) if undo else tr("Undo (Ctrl+Z)")),
            (self.redo_button, tr("Redo: {name} (Ctrl+Y)", name=redo) if redo else tr("Redo (Ctrl+Y)")),
        ):
            tool.setToolTip(text)
            tool.setAccessibleName(text)

    def _use_mode(self, mode: Mode) -> None:
        self._mode = mode
        self._pages.setCurrentWidget(self.chips if mode == "chips" else self.text)
        for name, made in self.mode_buttons.items():
            made.setChecked(name == mode)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.mode_buttons["chips"].setText(tr("Tags"))
        self.mode_buttons["chips"].setToolTip(tr("Every tag by itself: drag, rename, remove"))
        self.mode_buttons["text"].setText(tr("Text"))
        self.mode_buttons["text"].setToolTip(tr("The caption as it is in its file"))
        self.text.setPlaceholderText(tr("What is to be seen, for example: 1girl, red hair, smile, outdoors"))
        self.text.setAccessibleName(tr("Caption"))
        self.conflict.retranslate()
        self.chips.retranslate()
        self.head.retranslate()
        self._show_kind()
        self._show_state()
        self._show_common()
