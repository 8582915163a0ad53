"""A window for changes to many captions: choose what to do and to which pictures, see what will change, do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QFont, QFontMetrics, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.caption_changes import CaptionChanges, captions_of, changed_captions
from app.latest import Latest
from app.project import Project
from app.scopes import Scope, Scopes
from app.tag_index import TagIndex
from app.widgets.bulk_forms import (
    AddForm,
    BulkForm,
    DuplicatesForm,
    ReplaceTagForm,
    ReplaceTextForm,
    SortForm,
    TagsForm,
    TriggerForm,
    UnderscoresForm,
)
from app.widgets.caption_diff import caption_diff, diff_html
from app.widgets.card import ElidedLabel, button, label
from app.widgets.scope_bar import ScopeBar
from core.dataset import bulk
from core.dataset.replacing import count_matches
from core.errors import details, explain
from core.text import sentences, tr

DELAY_MS = 200
NUM_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What an operation would do. `matches` counts the places of a text that is to be replaced."""

    num_changed: int
    examples: tuple[tuple[Path, str, str], ...]
    matches: int = 0


class BulkEdit(QDialog):
    """Beside the main window, which stays usable: a selection made there counts here at once."""

    def __init__(self, project: Project, scopes: Scopes, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._latest = Latest(self)
        self._outlook: _Outlook | None = None
        self._outcome = ""
        self._changes = CaptionChanges(project, self)
        self._changes.failed.connect(self._show_error)
        self._changes.done.connect(self._on_done)
        index = TagIndex.of(project)
        self.add_form = AddForm(index)
        self.remove_form = TagsForm(index)
        self.replace_form = ReplaceTagForm(index)
        self.text_form = ReplaceTextForm()
        self.trigger_form = TriggerForm()
        self.forms: list[BulkForm] = [
            self.add_form,
            self.remove_form,
            self.replace_form,
            self.text_form,
            SortForm(index),
            DuplicatesForm(),
            self.trigger_form,
            UnderscoresForm(),
        ]
        self._form: BulkForm = self.add_form
        self._timer = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._timer.timeout.connect(self._look)
        self.scope_bar = ScopeBar(project, scopes)
        self._build()
        self.scope_bar.changed.connect(self._look_soon)
        project.captions_changed.connect(self._look_soon)
        project.writing_changed.connect(self._on_writing_changed)
        project.history_changed.connect(self._on_history_changed)
        project.config_changed.connect(self._take_trigger)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Undo), self).activated.connect(project.undo)
        self._take_trigger()
        self.resize(760, 560)
        self.setMinimumSize(620, 520)
        self.retranslate()
        self.choose(self.add_form)

    def _build(self) -> None:
        self.buttons = [self._nav_button(form) for form in self.forms]
        group = QButtonGroup(self)
        left = QVBoxLayout()
        left.setSpacing(2)
        for made in self.buttons:
            group.addButton(made)
            left.addWidget(made)
        left.addStretch(1)
        self._title = label(role="heading")
        right = QVBoxLayout()
        right.setSpacing(theme.SPACE_S)
        right.addWidget(self._title)
        for form in self.forms:
            right.addWidget(form)
            form.hide()
            form.changed.connect(self._look_soon)
            form.confirmed.connect(self.apply)
            form.cancelled.connect(self.close)
        self.error = label(role="error", wrap=True)
        self.error.hide()
        right.addWidget(self.error)
        right.addWidget(self.scope_bar)
        right.addWidget(_line())
        right.addWidget(self._build_outlook(), 1)
        columns = QHBoxLayout()
        columns.setSpacing(theme.SPACE_XL)
        columns.addLayout(left)
        columns.addLayout(right, 1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(theme.SPACE_L, theme.SPACE_L, theme.SPACE_L, theme.SPACE_L)
        outer.setSpacing(theme.SPACE_M)
        outer.addLayout(columns, 1)
        outer.addLayout(self._build_foot())
        for made in self.findChildren(QPushButton):
            made.setAutoDefault(False)  # Enter in a field is for that field.

    def _build_outlook(self) -> QScrollArea:
        """What will change, in whatever room the form leaves: long captions are scrolled, the fields never squeezed."""
        self._count = label(role="strong", wrap=True)
        self._hint = label(role="muted", wrap=True)
        self._examples = [_Example() for _ in range(NUM_EXAMPLES)]
        inside = QWidget()
        inside.setProperty("role", "scrolled")
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, theme.SPACE_XS, 0)
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self._hint)
        column.addWidget(self._count)
        for example in self._examples:
            column.addWidget(example)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        return area

    def _build_foot(self) -> QHBoxLayout:
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.hide()
        self._status = ElidedLabel()
        self._status.setProperty("role", "small")
        self.undo_button = button(kind="quiet", icon="undo")
        self.undo_button.clicked.connect(self._project.undo)
        self.close_button = button()
        self.close_button.clicked.connect(self.close)
        self.apply_button = button(kind="primary")
        self.apply_button.clicked.connect(self.apply)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self.undo_button)
        row.addWidget(self._progress, 1)
        row.addWidget(self._status, 2)
        row.addWidget(self.close_button)
        row.addWidget(self.apply_button)
        return row

    def _nav_button(self, form: BulkForm) -> QPushButton:
        made = QPushButton()
        made.setProperty("role", "nav")
        made.setCheckable(True)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        made.clicked.connect(lambda: self.choose(form))
        return made

    # Opening

    @property
    def form(self) -> BulkForm:
        """The operation that is chosen."""
        return self._form

    def open_for(self, scope: Scope | None = None) -> None:
        """Come to the front, for other pictures if a scope is given."""
        if scope is not None:
            self.scope_bar.choose(scope)
        self.show()
        self.raise_()
        self.activateWindow()
        self.form.main_field().setFocus()

    def open_rename(self, tag: str) -> None:
        """Be ready to replace a tag in all captions."""
        self.choose(self.replace_form)
        self.replace_form.old.setText(tag)
        self.replace_form.new.setText(tag)
        self.open_for("all")
        self.replace_form.new.selectAll()
        self.replace_form.new.setFocus()

    def open_removal(self, tags: Sequence[str]) -> None:
        """Be ready to remove tags from all captions."""
        self.choose(self.remove_form)
        self.remove_form.tags.setText(", ".join(tags))
        self.open_for("all")

    def choose(self, form: BulkForm) -> None:
        """Show the form of an operation."""
        self._form.hide()
        self._form = form
        form.show()
        self.buttons[self.forms.index(form)].setChecked(True)
        self._title.setText(form.title())
        self._outcome = ""
        self._status.setText("")
        form.main_field().setFocus()
        self._look_soon()

    def _take_trigger(self) -> None:
        trigger = self._project.config.dataset.trigger_word
        self.add_form.trigger = trigger
        if not self.trigger_form.trigger.isModified():
            self.trigger_form.trigger.setText(trigger)

    # Looking ahead

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """While hidden, nothing is worked out."""
        super().showEvent(event)
        self._look_soon()

    def _look_soon(self) -> None:
        self._outlook = None
        self._show_outlook()
        if self.isVisible():
            self._timer.start()

    def _look(self) -> None:
        operation, scan = self.form.operation(), self._project.scan
        if operation is None or scan is None:
            self._latest.drop()
            self._show_error("", "")
            self._show_outlook()
            return
        captions = captions_of(self._project, self.scope_bar.images)
        records = scan.records
        self._latest.start(
            lambda: _outlook(operation, captions, [record.caption or "" for record in records]), self._take_outlook
        )

    def _take_outlook(self, result: _Outlook | Exception) -> None:
        if isinstance(result, Exception):
            known = explain(result)
            if known is None:
                self._project.crashed.emit(details(result))
            else:
                self._show_error(known.message, known.remedy)
            return
        self._show_error("", "")
        self._outlook = result
        self._show_outlook()

    def _show_error(self, message: str, remedy: str) -> None:
        self.error.setText(sentences(message, remedy))
        self.error.setVisible(bool(message))
        self.form.set_wrong(bool(message))
        if message:
            self._outlook = None
            self._show_outlook()

    # Doing it

    def apply(self) -> None:
        """Change the captions, if something would change."""
        operation = self.form.operation()
        if operation is not None and self.apply_button.isEnabled():
            self.apply_button.setEnabled(False)
            self._changes.apply([operation], self.scope_bar.images)

    def _on_done(self, number: int) -> None:
        self._outcome = tr("1 caption changed.") if number == 1 else tr("{n} captions changed.", n=f"{number:,}")
        self._status.setText(self._outcome)
        self._look_soon()

    def _on_writing_changed(self, name: str, done: int, total: int) -> None:
        self._progress.setVisible(bool(name))
        self._progress.setRange(0, total)
        self._progress.setValue(done)
        if name and done:
            self._status.setText(tr("{done} of {total} captions", done=f"{done:,}", total=f"{total:,}"))
            return
        if not name:
            self._status.setText(self._outcome)
        self._show_outlook()

    def _on_history_changed(self) -> None:
        if self._project.redo_name:  # Something was taken back.
            self._outcome = ""
            self._status.setText("")
        self._show_undo()

    # What is shown

    def _show_outlook(self) -> None:
        outlook = self._outlook
        number = outlook.num_changed if outlook else 0
        examples = outlook.examples if outlook else ()
        self.apply_button.setEnabled(number > 0 and not self._project.is_writing)
        if outlook is None or not number:
            self.apply_button.setText(tr("Change captions"))
        elif number == 1:
            self.apply_button.setText(tr("Change 1 caption"))
        else:
            self.apply_button.setText(tr("Change {n} captions", n=f"{number:,}"))
        words = self._words(outlook)
        self._count.setText(words)
        self._count.setVisible(bool(words))
        self._hint.setVisible(self.form.operation() is None)
        for place, example in enumerate(self._examples):
            example.show_change(examples[place] if place < len(examples) else None)
        self._show_undo()

    def _words(self, outlook: _Outlook | None) -> str:
        if self.form.operation() is None or not self.error.isHidden():
            return ""
        if outlook is None:
            return tr("Looking…")
        if outlook.matches:
            return tr(
                "Matches: {matches}. Captions that change: {n}",
                matches=f"{outlook.matches:,}",
                n=f"{outlook.num_changed:,}",
            )
        if not outlook.num_changed:
            return tr("No caption would change.")
        return tr("Captions that change: {n}", n=f"{outlook.num_changed:,}")

    def _show_undo(self) -> None:
        name = self._project.undo_name
        self.undo_button.setEnabled(bool(name) and not self._project.is_writing)
        self.undo_button.setToolTip(tr("Undo: {name} (Ctrl+Z)", name=name) if name else tr("Undo (Ctrl+Z)"))

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.setWindowTitle(tr("Edit many captions"))
        for made, form in zip(self.buttons, self.forms, strict=True):
            made.setText(form.title())
            made.setMinimumWidth(_width_when_chosen(made))
            form.retranslate()
        self._title.setText(self.form.title())
        self.scope_bar.retranslate()
        self.undo_button.setText(tr("Undo"))
        self.close_button.setText(tr("Close"))
        self._hint.setText(tr("What would change is shown here before anything is written."))
        self._show_outlook()


class _Example(QWidget):
    """One caption with what would change in it."""

    def __init__(self) -> None:
        super().__init__()
        self._change: tuple[Path, str, str] | None = None
        self._name = ElidedLabel(elide=Qt.TextElideMode.ElideMiddle)
        self._name.setProperty("role", "small")
        self.words = label(wrap=True)
        self.words.setTextFormat(Qt.TextFormat.RichText)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, theme.SPACE_XS)
        column.setSpacing(2)
        column.addWidget(self._name)
        column.addWidget(self.words)
        theme.signals.changed.connect(self._draw)
        self.hide()

    def show_change(self, change: tuple[Path, str, str] | None) -> None:
        """Show a picture's caption before and after; None hides this."""
        self._change = change
        self.setVisible(change is not None)
        self._draw()

    def _draw(self) -> None:
        if self._change is not None:
            image, before, after = self._change
            self._name.setText(image.name)
            self.words.setText(diff_html(caption_diff(before, after), theme.tokens()))


def _width_when_chosen(made: QPushButton) -> int:
    """What a button of the list takes when its text is bold, in pixels."""
    made.ensurePolished()
    bold = QFont(made.font())
    bold.setWeight(QFont.Weight.DemiBold)
    longer = QFontMetrics(bold).horizontalAdvance(made.text()) - made.fontMetrics().horizontalAdvance(made.text())
    return made.sizeHint().width() + max(0, longer)


def _line() -> QFrame:
    made = QFrame()
    made.setProperty("role", "line")
    return made


def _outlook(operation: bulk.Operation, captions: dict[Path, str], all_captions: list[str]) -> _Outlook:
    changed = changed_captions([operation], captions, all_captions)
    examples = tuple((image, captions[image], changed[image]) for image in list(changed)[:NUM_EXAMPLES])
    matches = 0
    if isinstance(operation, bulk.ReplaceText):
        _, matches = count_matches(captions.values(), operation.find, operation.is_regex, operation.match_case)
    return _Outlook(len(changed), examples, matches)
