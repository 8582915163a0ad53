"""One picture large, and its caption to edit. What is typed is saved when the focus leaves, and on moving on."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QSizePolicy, QToolButton, QWidget

from app import icons, theme
from app.project import Project
from app.widgets.card import Card, ElidedLabel, label, set_role
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from app.wording import size_text
from core.dataset.captions import split_tags
from core.dataset.records import ImageRecord
from core.text import tr

BOX_STEP = (
    64  # The preview is read in sizes of this step, so that dragging a border does not read it anew all the time.
)


class PreviewPane(QWidget):
    """A picture as large as the place allows."""

    def __init__(self, loader: ThumbnailLoader) -> None:
        super().__init__()
        self._loader = loader
        self._record: ImageRecord | None = None
        self.setMinimumHeight(150)
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


class CaptionEditor(Card):
    """The selected picture and its caption."""

    move_requested = Signal(int)  # so many pictures on
    left_with_escape = Signal()

    def __init__(self, project: Project, loader: ThumbnailLoader) -> None:
        super().__init__()
        self._project = project
        self._record: ImageRecord | None = None
        self._saved_text = ""
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
        """Show another picture; what was typed for the one before is saved first."""
        self.flush()
        self._show(record)

    def refresh(self, record: ImageRecord) -> None:
        """Take what is on disk now; what is being typed stays."""
        if self._record is not None and record.path == self._record.path:
            if self.is_edited:
                self._record = record
                self._saved_text = record.caption or ""
                self._show_state()
            else:
                self._show(record)
        self.undo_button.setEnabled(self._project.can_undo_caption)

    def flush(self) -> bool:
        """Save what was typed. Returns False when it could not be written; it stays in the box then."""
        if self._record is None or not self.is_edited:
            return True
        text = self.text.toPlainText()
        # Known as saved before the project tells everyone, and unknown again if it was not.
        before, self._saved_text = self._saved_text, text
        if not self._project.save_caption(self._record.path, text):
            self._saved_text = before
            self._show_state()
            return False
        self._show_state()
        return True

    def undo(self) -> None:
        """Take back what was typed, else the caption saved last."""
        if self.is_edited:
            self.text.setPlainText(self._saved_text)
        else:
            self._project.undo_caption()

    def _show(self, record: ImageRecord | None) -> None:
        same = self._record is not None and record is not None and record.path == self._record.path
        self._record = record
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
        for button in (self._previous, self._next):
            button.setEnabled(record is not None)
        self.undo_button.setEnabled(self._project.can_undo_caption)
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
        self.undo_button.setEnabled(edited or self._project.can_undo_caption)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self._heading.setText(tr("Caption"))
        self.text.setPlaceholderText(tr("What is to be seen, for example: 1girl, red hair, smile, outdoors"))
        self.text.setAccessibleName(tr("Caption"))
        for button, text in (
            (self._previous, tr("Previous picture (Ctrl+Up)")),
            (self._next, tr("Next picture (Ctrl+Down)")),
            (self.undo_button, tr("Take back the last change (Ctrl+Z)")),
        ):
            button.setToolTip(text)
            button.setAccessibleName(text)
        if self._record is None:
            self._name.setText(tr("No picture selected"))
        else:
            self._size.setText(_facts(self._record))
        self._show_state()


def _facts(record: ImageRecord) -> str:
    width, height = record.size_px
    facts = [f"{width} × {height} px", size_text(record.num_bytes) if record.num_bytes else ""]
    if record.repeats:
        facts.append(tr("{n}× per epoch", n=record.repeats))
    return " · ".join(fact for fact in facts if fact)
