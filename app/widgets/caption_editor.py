"""One picture large, and its caption to edit. What is typed is saved when the focus leaves, and on moving on."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.project import Project, same_caption
from app.widgets.card import Card, ElidedLabel, button, label, set_role
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from app.wording import size_text
from core.dataset.captions import split_tags, tidy
from core.dataset.records import ImageRecord
from core.text import tr

MAX_SHOWN = 160
PREVIEW_MIN, PREVIEW_MIN_ASKING = 150, 24
BOX_STEP = (
    64  # The preview is read in sizes of this step, so that dragging a border does not read it anew all the time.
)


class PreviewPane(QWidget):
    """A picture as large as the place allows."""

    def __init__(self, loader: ThumbnailLoader) -> None:
        super().__init__()
        self._loader = loader
        self._record: ImageRecord | None = None
        self.setMinimumHeight(PREVIEW_MIN)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        loader.loaded.connect(self._on_loaded)
        theme.signals.changed.connect(self.update)

    def set_record(self, record: ImageRecord | None) -> None:
        """Show another picture."""
        self._record = record
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """A square of the usual width."""
        return QSize(320, 320)

    def _key(self) -> PictureKey | None:
        if self._record is None:
            return None
        ratio = self.devicePixelRatioF()
        width, height = (
            -(-round(side * ratio) // BOX_STEP) * BOX_STEP for side in (max(1, self.width()), max(1, self.height()))
        )
        return PictureKey(self._record.path, self._record.changed_at, width, height, round(theme.RADIUS * ratio))

    def _on_loaded(self, key: PictureKey) -> None:
        if key == self._key():
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """The picture in the middle, or a sign while it is read."""
        key = self._key()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        tokens = theme.tokens()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(tokens.sunken))
        painter.drawRoundedRect(self.rect(), theme.RADIUS, theme.RADIUS)
        pixmap = self._loader.get(key) if key else None
        if pixmap is None or pixmap.isNull():
            name = "error" if pixmap is not None else "image"
            sign = icons.pixmap(name, 36, tokens.faint, self.devicePixelRatioF())
            painter.drawPixmap(self.rect().center().x() - 18, self.rect().center().y() - 18, sign)
            return
        size = pixmap.size() / self.devicePixelRatioF()
        if size.width() > self.width() or size.height() > self.height():
            size = pixmap.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(self.rect().center())
        painter.drawPixmap(place, pixmap)


class _CaptionText(QPlainTextEdit):
    """The text box: tells when the focus leaves, and passes keys for moving on."""

    left = Signal()
    move_requested = Signal(int)
    undo_requested = Signal()
    done = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)  # A dropped folder is for the window.

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """The user turned to something else."""
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self.left.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Ctrl+Up and Ctrl+Down move on, Escape leaves, Ctrl+Z past the typing takes the last saved caption back."""
        control = event.modifiers() == Qt.KeyboardModifier.ControlModifier
        if control and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.move_requested.emit(1 if event.key() == Qt.Key.Key_Down else -1)
        elif event.key() == Qt.Key.Key_Escape:
            self.done.emit()
        elif event.matches(QKeySequence.StandardKey.Undo) and not self.document().isUndoAvailable():
            self.undo_requested.emit()
        else:
            super().keyPressEvent(event)


class _Conflict(QFrame):
    """The row that asks which of two captions is meant: the typed one, or the one another program wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "notice")
        self._caption = ""
        self._heading = label(role="strong", wrap=True)
        self._theirs = label(wrap=True)
        self._theirs.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.take_button = button()
        self.keep_button = button()
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SPACE_S)
        buttons.addWidget(self.take_button)
        buttons.addWidget(self.keep_button)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_M, theme.SPACE_S, theme.SPACE_M, theme.SPACE_S)
        column.setSpacing(theme.SPACE_XS)
        column.addWidget(self._heading)
        column.addWidget(self._theirs)
        column.addLayout(buttons)
        self.hide()

    def ask(self, caption: str) -> None:
        """Show what is in the file now."""
        self._caption = caption
        self.retranslate()
        self.show()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        caption = self._caption if len(self._caption) <= MAX_SHOWN else self._caption[:MAX_SHOWN] + "…"
        self._heading.setText(tr("This caption was changed by another program."))
        empty = tr("The file has no caption any more.")
        self._theirs.setText(tr("In the file now: {caption}", caption=caption) if caption else empty)
        self._theirs.setToolTip(self._caption)
        self.take_button.setText(tr("Take the new one"))
        self.keep_button.setText(tr("Keep mine"))


class CaptionEditor(Card):
    """The selected picture and its caption.

    A caption that another program changed while it was edited is not written over: a row shows both and asks. What is
    typed for a picture and could not be saved waits for its return.
    """

    move_requested = Signal(int)  # so many pictures on
    left_with_escape = Signal()

    def __init__(self, project: Project, loader: ThumbnailLoader) -> None:
        super().__init__()
        self._project = project
        self._record: ImageRecord | None = None
        self._saved_text = ""
        self._base: ImageRecord | None = None  # what the typing started from
        self._drafts: dict[Path, tuple[str, ImageRecord]] = {}
        self._is_saving = False
        self._name = ElidedLabel(elide=Qt.TextElideMode.ElideMiddle)
        self._name.setProperty("role", "cardTitle")
        self._size = label(role="small")
        self._previous = self._tool("chevron-left")
        self._next = self._tool("chevron-right")
        self._previous.clicked.connect(lambda: self.move_requested.emit(-1))
        self._next.clicked.connect(lambda: self.move_requested.emit(1))
        while self.header.count():
            self.header.takeAt(0)
        self.header.addWidget(self._name, 1)
        self.header.addWidget(self._previous)
        self.header.addWidget(self._next)
        self._preview = PreviewPane(loader)
        self._heading = label(role="strong")
        self._state = label(role="small")
        self.undo_button = self._tool("undo")
        self.undo_button.clicked.connect(self.undo)
        self._problem = label(role="error", wrap=True)
        self._problem.hide()
        self.conflict = _Conflict()
        self.conflict.take_button.clicked.connect(self.take_theirs)
        self.conflict.keep_button.clicked.connect(self.keep_mine)
        self.text = _CaptionText()
        self.text.setMinimumHeight(84)
        self.text.textChanged.connect(self._show_state)
        self.text.left.connect(self.flush)
        self.text.move_requested.connect(self.move_requested)
        self.text.undo_requested.connect(self.undo)
        self.text.done.connect(self.left_with_escape)
        self._count = label(role="small")
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self._heading)
        row.addWidget(self._state)
        row.addStretch(1)
        row.addWidget(self.undo_button)
        self.body.addWidget(self._preview, 3)
        self.body.addWidget(self._size)
        self.body.addLayout(row)
        self.body.addWidget(self._problem)
        self.body.addWidget(self.conflict)
        self.body.addWidget(self.text, 2)
        self.body.addWidget(self._count)
        self.retranslate()
        self.set_record(None)

    @staticmethod
    def _tool(icon: str) -> QToolButton:
        made = QToolButton()
        icons.set_icon(made, icon, 18)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        return made

    @property
    def record(self) -> ImageRecord | None:
        """The picture that is shown."""
        return self._record

    @property
    def is_edited(self) -> bool:
        """Whether something was typed that is not saved."""
        return self._record is not None and self.text.toPlainText() != self._saved_text

    def set_record(self, record: ImageRecord | None) -> None:
        """Show another picture; what was typed for the one before is saved first, or kept when it cannot be."""
        self.flush()
        if record is not None and self._record is not None and record.path == self._record.path and self.is_edited:
            self.refresh(record)
            return
        if self._record is not None and self._base is not None and self.is_edited:
            self._drafts[self._record.path] = (self.text.toPlainText(), self._base)
        self._show(record)
        if record is not None and (draft := self._drafts.pop(record.path, None)) is not None:
            text, self._base = draft
            self._saved_text = self._base.caption or ""
            self.text.setPlainText(text)
            self.refresh(record)

    def refresh(self, record: ImageRecord) -> None:
        """Take what is on disk now; what is being typed stays, and when both are new, the user is asked."""
        if self._record is not None and record.path == self._record.path and not self._is_saving:
            if not self.is_edited or self._base is None or tidy(self.text.toPlainText()) == (record.caption or ""):
                self._show(record)
            else:
                self._record = record
                self._ask(None if same_caption(record, self._base) else record)
                self._show_state()
        self._show_undo()

    def flush(self) -> bool:
        """Save what was typed. Returns False when it was not written; it stays in the box then."""
        if self._record is None or not self.is_edited:
            return True
        if self.has_conflict:
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

    @property
    def has_conflict(self) -> bool:
        """Whether the user is asked which of two captions is meant."""
        return not self.conflict.isHidden()

    @property
    def waiting(self) -> Path | None:
        """A picture of the open folder whose typed caption is not on disk, because it waits for the user's choice."""
        if self.has_conflict and self._record is not None:
            return self._record.path
        return next((image for image in self._drafts if self._project.record(image) is not None), None)

    def _ask(self, theirs: ImageRecord | None) -> None:
        """Show the row for what is in the file now, with the picture making room for it, or take the row away."""
        self._preview.setMinimumHeight(PREVIEW_MIN if theirs is None else PREVIEW_MIN_ASKING)
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
        """Take back what was typed, else the caption saved last."""
        if self.has_conflict:
            self.take_theirs()
        elif self.is_edited:
            self.text.setPlainText(self._saved_text)
        else:
            self._project.undo_caption()

    def _show(self, record: ImageRecord | None) -> None:
        same = self._record is not None and record is not None and record.path == self._record.path
        self._record = self._base = record
        self._ask(None)
        self._saved_text = (record.caption or "") if record else ""
        if not (same and self.text.toPlainText() == self._saved_text):
            place = self.text.textCursor().position() if same else 0
            self.text.setPlainText(self._saved_text)
            cursor = self.text.textCursor()
            cursor.setPosition(min(place, len(self._saved_text)))
            self.text.setTextCursor(cursor)
        self.text.setEnabled(record is not None)
        self._preview.set_record(record)
        self._name.setText(record.path.name if record else tr("No picture selected"))
        self._size.setText(_facts(record) if record else "")
        self._problem.setText(record.caption_problem if record else "")
        self._problem.setVisible(bool(record and record.caption_problem))
        for tool in (self._previous, self._next):
            tool.setEnabled(record is not None)
        self._show_state()

    def _show_state(self) -> None:
        edited = self.is_edited
        set_role(self._state, "warning" if edited else "small")
        if self._record is None:
            self._state.setText("")
        elif edited:
            self._state.setText(tr("not saved yet"))
        else:
            self._state.setText(tr("saved") if self._saved_text else tr("none yet"))
        text = self.text.toPlainText()
        self._count.setText(tr("Tags: {tags}, letters: {letters}", tags=len(split_tags(text)), letters=len(text)))
        self._show_undo()

    def _show_undo(self) -> None:
        self.undo_button.setEnabled(self.is_edited or self._project.can_undo_caption)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self._heading.setText(tr("Caption"))
        self.text.setPlaceholderText(tr("What is to be seen, for example: 1girl, red hair, smile, outdoors"))
        self.text.setAccessibleName(tr("Caption"))
        for tool, text in (
            (self._previous, tr("Previous picture (Ctrl+Up)")),
            (self._next, tr("Next picture (Ctrl+Down)")),
            (self.undo_button, tr("Take back the last change (Ctrl+Z)")),
        ):
            tool.setToolTip(text)
            tool.setAccessibleName(text)
        if self._record is None:
            self._name.setText(tr("No picture selected"))
        else:
            self._size.setText(_facts(self._record))
        self.conflict.retranslate()
        self._show_state()


def _facts(record: ImageRecord) -> str:
    width, height = record.size_px
    facts = [f"{width} × {height} px", size_text(record.num_bytes) if record.num_bytes else ""]
    if record.repeats:
        facts.append(tr("{n}× per epoch", n=record.repeats))
    return " · ".join(fact for fact in facts if fact)
