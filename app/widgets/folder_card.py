"""One folder of the dataset on a card: what is in it, and what holds for all of its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.editors import guard_wheel
from app.widgets.card import ElidedLabel, PathLabel, button, label, pad_spin_box, restyle, set_role
from app.widgets.fold import Folds
from app.widgets.switch import Switch
from core.dataset.edits import Concept
from core.dataset.scan import repeats_of
from core.dataset.statistics import ConceptSum
from core.text import tr

TITLE_WIDTH = 116
TYPING_MS = 700
"""A number that is stepped through counts as one change when it rests for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderState:
    """What is known about one folder. `is_there` is None until somebody looked."""

    concept: Concept
    number: int
    total: ConceptSum | None
    named_repeats: bool
    asked_repeats: int
    trigger_word: str
    caption_extension: str
    is_there: bool | None
    problem: str


_Line = tuple[QWidget, QLabel | None]
"""An editor, and what is written below it."""


class FolderCard(QFrame):
    """One folder: what is in it, its settings, and what to do when it is missing."""

    def __init__(
        self,
        *,
        is_first: bool,
        change: Callable[..., None],
        remove: Callable[[FolderCard], None],
        locate: Callable[[FolderCard], None],
    ) -> None:
        """Build an empty card.

        Args:
            is_first: Whether it is the folder that names the dataset, which cannot be removed.
            change: Called with this card, a name for undo and new values of the `Concept`.
            remove: Takes the folder out of the dataset.
            locate: Asks where the folder is now.
        """
        super().__init__()
        self.setProperty("role", "card")
        self._state: FolderState | None = None
        self._is_first = is_first
        self._change = change
        self._sign = label()
        self._name = ElidedLabel(elide=Qt.TextElideMode.ElideMiddle)
        set_role(self._name, "cardTitle")
        self._path = PathLabel()
        set_role(self._path, "small")
        self._count = label(role="chip")
        self.remove_button = QToolButton()
        icons.set_icon(self.remove_button, "close", 16, "muted")
        self.remove_button.clicked.connect(lambda: remove(self))
        self.remove_button.setVisible(not is_first)
        self._missing = QFrame()
        self._missing.setProperty("role", "notice")
        self._missing_text = label(wrap=True)
        self.locate_button = button()
        self.locate_button.clicked.connect(lambda: locate(self))
        self._fields = QWidget()
        self.folds = Folds()
        self._build_fields()
        self._lay_out()
        theme.signals.changed.connect(self._draw_sign)
        self.retranslate()

    def _build_fields(self) -> None:
        self.repeats = QSpinBox()
        self.repeats.setRange(0, 1000)
        pad_spin_box(self.repeats)
        guard_wheel(self.repeats)
        self._resting = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._resting.timeout.connect(self._take_repeats)
        self.repeats.valueChanged.connect(lambda _value: self._resting.start())
        self.repeats.editingFinished.connect(self._take_repeats)
        self._repeats_note = label(role="small", wrap=True)
        self.trigger_word = QLineEdit()
        self.trigger_word.editingFinished.connect(self._take_trigger_word)
        self.class_word = QLineEdit()
        self.class_word.editingFinished.connect(self._take_class_word)
        self.caption_extension = QLineEdit()
        self.caption_extension.editingFinished.connect(self._take_extension)
        self._extension_note = label(role="error", wrap=True)
        self._extension_note.hide()
        self.subfolders = Switch()
        self.subfolders.clicked.connect(self._take_subfolders)
        self.regularization = Switch()
        self.regularization.clicked.connect(self._take_regularization)
        self._titles = [label(role="muted") for _ in range(6)]
        self._regularization_note = label(role="small", wrap=True)

    def _lay_out(self) -> None:
        names = QVBoxLayout()
        names.setSpacing(0)
        names.addWidget(self._name)
        names.addWidget(self._path)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE_S)
        head.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        head.addLayout(names, 1)
        head.addWidget(self._count, 0, Qt.AlignmentFlag.AlignTop)
        head.addWidget(self.remove_button, 0, Qt.AlignmentFlag.AlignTop)
        notice = QVBoxLayout(self._missing)
        notice.setContentsMargins(theme.SPACE_M, theme.SPACE_S, theme.SPACE_M, theme.SPACE_M)
        notice.addWidget(self._missing_text)
        notice.addWidget(self.locate_button, 0, Qt.AlignmentFlag.AlignLeft)
        rarely = QWidget()
        editors: list[_Line] = [
            (self.repeats, self._repeats_note),
            (self.trigger_word, None),
            (self.class_word, None),
            (self.caption_extension, self._extension_note),
            (self.subfolders, None),
            (self.regularization, None),
        ]
        lines = list(zip(self._titles, editors, strict=True))
        _form(self._fields, lines[:2])
        _form(rarely, lines[2:]).addWidget(self._regularization_note, 8, 0, 1, 2)
        self.folds.add("more", rarely)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_L, theme.SPACE_M, theme.SPACE_L, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        column.addLayout(head)
        column.addWidget(self._missing)
        column.addWidget(self._fields)
        column.addWidget(self.folds)

    @property
    def concept(self) -> Concept:
        """The folder with its settings."""
        assert self._state is not None, "nothing was shown yet"
        return self._state.concept

    # What is shown

    def show_state(self, state: FolderState) -> None:
        """Show what is known now. What is being typed stays."""
        concept = state.concept
        if self._state is None:
            rarely = (concept.class_word, concept.caption_extension, concept.include_subfolders)
            self.folds.set_open("more", any(rarely) or concept.is_regularization)
        self._state = state
        self._name.setText(concept.folder.name or str(concept.folder))
        self._path.set_path(concept.folder.parent)
        self._count.setText(tr("{n} pictures", n=f"{state.number:,}") if state.number != 1 else tr("1 picture"))
        is_missing = state.is_there is False
        self._count.setHidden(is_missing)
        self._missing.setVisible(is_missing or bool(state.problem) or not state.number)
        self._fields.setVisible(not is_missing)
        self.folds.setVisible(not is_missing)
        self._missing_text.setText(self._trouble(state))
        self.locate_button.setVisible(is_missing)
        if not self._resting.isActive():
            _quietly(self.repeats, lambda: self.repeats.setValue(concept.repeats))
        for line, text in (
            (self.trigger_word, concept.trigger_word),
            (self.class_word, concept.class_word),
            (self.caption_extension, concept.caption_extension),
        ):
            if not (line.hasFocus() and line.isModified()) and line.text() != text:
                line.setText(text)
        self.trigger_word.setPlaceholderText(state.trigger_word or tr("None"))
        self.caption_extension.setPlaceholderText(state.caption_extension)
        self.class_word.setPlaceholderText((repeats_of(concept.folder.name) or (0, ""))[1] or tr("None"))
        self.subfolders.setChecked(concept.include_subfolders)
        self.regularization.setChecked(concept.is_regularization)
        self._repeats_note.setText(self._about_repeats(state))
        self._draw_sign()

    def _trouble(self, state: FolderState) -> str:
        if state.is_there is False and self._is_first:
            return tr("This folder is not there now. Connect its drive, or open the folder where it is now.")
        if state.is_there is False:
            return tr("This folder is not there now, so its pictures are not trained. Connect its drive, or choose it.")
        if state.problem:
            return state.problem
        if state.concept.include_subfolders:
            return tr("There is no picture in this folder and its sub-folders.")
        return tr("There is no picture in this folder itself. Include its sub-folders if they are in there.")

    def _about_repeats(self, state: FolderState) -> str:
        """What the number of repeats means now, in a sentence."""
        named = repeats_of(state.concept.folder.name)
        times = state.total.repeats if state.total is not None else 0
        if state.concept.repeats:
            return tr("Each picture {n}× per epoch.", n=state.concept.repeats)
        if named is not None:
            if named[0] == 1:
                return tr("1 repeat from the folder's name.")
            return tr("{n} repeats from the folder's name.", n=named[0])
        if state.named_repeats:
            return tr("Repeats come from the names of the sub-folders.")
        if not times:
            return tr("Chosen by the number of pictures.")
        if state.concept.is_regularization:
            return tr("Now {n}×: as often as all other pictures together.", n=times)
        if state.asked_repeats:
            return tr("Now {n}×, as set for the run.", n=times)
        return tr("Now {n}×, chosen by the number of pictures.", n=times)

    def _draw_sign(self) -> None:
        missing = self._state is not None and self._state.is_there is False
        tokens = theme.tokens()
        colour = tokens.warning if missing else tokens.accent
        self._sign.setPixmap(icons.pixmap("warning" if missing else "folder", 20, colour, self.devicePixelRatioF()))

    def retranslate(self) -> None:
        """Take up the language in use."""
        titles = (
            tr("Repeats"),
            tr("Trigger word"),
            tr("Class word"),
            tr("Caption files"),
            tr("Include sub-folders"),
            tr("Regularization"),
        )
        tips = (
            tr("How often each picture is shown per epoch; 0 leaves it to Kiln"),
            tr("Put in front of every caption of this folder; empty takes the one of the run"),
            tr("What the pictures show in one plain word, such as girl; used when there is no caption"),
            tr("The ending of the caption files, such as .txt; empty takes the one of the run"),
            tr("Also use the pictures of all folders inside this one"),
            tr("These pictures only remind the model of what it knows"),
        )
        editors = (
            self.repeats,
            self.trigger_word,
            self.class_word,
            self.caption_extension,
            self.subfolders,
            self.regularization,
        )
        for title, editor, words, tip in zip(self._titles, editors, titles, tips, strict=True):
            title.setText(words)
            title.setToolTip(tip)
            editor.setAccessibleName(words)
            editor.setToolTip(tip)
        self.repeats.setSpecialValueText(tr("Automatic"))
        self.repeats.setSuffix(" ×")
        self._regularization_note.setText(
            tr("Regularization pictures remind the model of what it knows; the trigger word is not taught with them.")
        )
        self.folds.set_title("more", tr("More settings"))
        self._extension_note.setText(tr("A dot and then letters or digits, as in .txt"))
        self.remove_button.setToolTip(tr("Take this folder out of the dataset; its files stay"))
        self.remove_button.setAccessibleName(tr("Remove the folder"))
        self.locate_button.setText(tr("Open another folder") if self._is_first else tr("Choose it again…"))
        if self._state is not None:
            self.show_state(self._state)

    # What the user changes

    def _take_repeats(self) -> None:
        self._resting.stop()
        if self.repeats.value() != self.concept.repeats:
            name = tr("Change the repeats of {name}", name=self.concept.folder.name)
            self._change(self, name, repeats=self.repeats.value())

    def _take_trigger_word(self) -> None:
        self.trigger_word.setModified(False)
        text = self.trigger_word.text().strip()
        if text != self.concept.trigger_word:
            name = tr("Change the trigger word of {name}", name=self.concept.folder.name)
            self._change(self, name, trigger_word=text)

    def _take_class_word(self) -> None:
        self.class_word.setModified(False)
        text = self.class_word.text().strip()
        if text != self.concept.class_word:
            name = tr("Change the class word of {name}", name=self.concept.folder.name)
            self._change(self, name, class_word=text)

    def _take_extension(self) -> None:
        text = self.caption_extension.text().strip()
        if text and not text.startswith("."):
            text = f".{text}"
        try:
            Concept(folder=self.concept.folder, caption_extension=text)
            is_good = True
        except ValidationError:
            is_good = False
        self.caption_extension.setProperty("state", "" if is_good else "error")
        restyle(self.caption_extension)
        self._extension_note.setVisible(not is_good)
        if is_good:
            self.caption_extension.setModified(False)
            if text != self.concept.caption_extension:
                name = tr("Change the caption files of {name}", name=self.concept.folder.name)
                self._change(self, name, caption_extension=text)

    def _take_subfolders(self, is_on: bool) -> None:
        folder = self.concept.folder.name
        name = tr("Include the sub-folders of {name}", name=folder)
        if not is_on:
            name = tr("Leave out the sub-folders of {name}", name=folder)
        self._change(self, name, include_subfolders=is_on)

    def _take_regularization(self, is_on: bool) -> None:
        folder = self.concept.folder.name
        name = tr("Use {name} for regularization", name=folder)
        if not is_on:
            name = tr("Use {name} for training", name=folder)
        self._change(self, name, is_regularization=is_on)


def _form(widget: QWidget, lines: Sequence[tuple[QLabel, _Line]]) -> QGridLayout:
    """Lay out titles beside what they name, and notes below it."""
    grid = QGridLayout(widget)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(theme.SPACE_M)
    grid.setVerticalSpacing(theme.SPACE_S)
    grid.setColumnMinimumWidth(0, TITLE_WIDTH)
    grid.setColumnStretch(1, 1)
    for number, (title, (editor, note)) in enumerate(lines):
        title.setBuddy(editor)
        grid.addWidget(title, 2 * number, 0)
        is_switch = isinstance(editor, Switch)
        grid.addWidget(editor, 2 * number, 1, Qt.AlignmentFlag.AlignRight if is_switch else Qt.AlignmentFlag(0))
        if note is not None:
            grid.addWidget(note, 2 * number + 1, 1)
    return grid


def _quietly(widget: QWidget, change: Callable[[], object]) -> None:
    """Change a widget without its saying so."""
    was = widget.blockSignals(True)
    change()
    widget.blockSignals(was)
