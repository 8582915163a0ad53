"""A form made from the fields of the configuration: cards by section, search, reset, errors said in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.editors import editor_for
from app.widgets.card import Card, label
from core.config import FieldSpec, TrainConfig, field_specs, sections
from core.config.fields import problems_of
from core.errors import UserError
from core.text import catalogue, tr

Apply = Callable[[dict[str, Any]], None]

TWO_COLUMNS_PX = 820
_EDITOR_PX = 180


class FieldRow(QWidget):
    """One option: title and description, its editor, and below it what is wrong with it."""

    entered = Signal(object)

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spec = spec
        self.title = label(role="strong")
        self.description = label(role="small", wrap=True)
        self.message = label(role="error", wrap=True)
        self.message.hide()
        self.reset_button = QToolButton()
        icons.set_icon(self.reset_button, "undo", 14, "accent")
        self.reset_button.setFixedSize(22, 22)
        _keep_room(self.reset_button)
        self.reset_button.hide()
        self.editor = editor_for(spec)
        self.title.setBuddy(self.editor)
        self.editor.edited.connect(self.entered.emit)
        self.reset_button.clicked.connect(lambda: self.entered.emit(self.default))
        self._lay_out()
        self.default: Any = spec.default
        self._shown: object = object()
        self.retranslate()

    def _lay_out(self) -> None:
        name = QHBoxLayout()
        name.setSpacing(theme.SPACE_XS)
        name.addWidget(self.title)
        name.addWidget(self.reset_button)
        name.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addLayout(name)
        words.addWidget(self.description)
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_S)
        top.addLayout(words, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, theme.SPACE_S, 0, theme.SPACE_S)
        column.setSpacing(theme.SPACE_XS)
        column.addLayout(top)
        if self.editor.is_wide:
            column.addWidget(self.editor)
        else:
            if self.spec.kind != "bool":
                self.editor.setFixedWidth(_EDITOR_PX)
            top.addWidget(self.editor, 0, Qt.AlignmentFlag.AlignTop)
        column.addWidget(self.message)

    def show_value(self, value: Any) -> None:
        """Show the value of the config; wrong text that is being typed stays while that value stays."""
        if value == self._shown:
            return
        self._shown = value
        self.editor.show_value(value)
        self.show_problem("")

    def set_default(self, default: Any) -> None:
        """Set the value that the reset button brings back."""
        self.default = default
        self._show_reset()

    def reshow(self) -> None:
        """Put the value of the config back over wrong text."""
        self.editor.show_value(self._shown)
        self.show_problem("")

    @property
    def problem(self) -> str:
        """What is wrong with what was entered, or nothing."""
        return self.message.text()

    def show_problem(self, sentence: str) -> None:
        """Say what is wrong, or that nothing is."""
        self.message.setText(sentence)
        self.message.setVisible(bool(sentence))
        self.editor.set_wrong(bool(sentence))
        self._show_reset()

    def _show_reset(self) -> None:
        self.reset_button.setVisible(bool(self.problem) or self._shown != self.default)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.title.setText(tr(self.spec.title))
        self.description.setText(tr(self.spec.description))
        self.reset_button.setToolTip(tr("Back to the default"))
        self.reset_button.setAccessibleName(tr("Back to the default"))
        self.setToolTip(self.spec.key)
        self.editor.input().setAccessibleName(tr(self.spec.title))
        self.editor.retranslate()

    def matches(self, words: Sequence[str]) -> bool:
        """Whether all words are found in title, description, key or synonyms, in English or Chinese."""
        chinese = catalogue("zh_CN")
        spec = self.spec
        texts = [spec.title, spec.description, spec.key, *spec.also]
        texts += [chinese.get(spec.title, ""), chinese.get(spec.description, "")]
        everything = "\n".join(texts).casefold()
        return all(word in everything for word in words)


class Form(QWidget):
    """All options, edited in place.

    `problems_changed` follows every change of `problems`.
    """

    problems_changed = Signal()

    def __init__(self, apply: Apply, specs: Sequence[FieldSpec] | None = None, parent: QWidget | None = None) -> None:
        """Build all rows.

        Args:
            apply: Changes the config (`section.name` -> value); raises UserError when a value is not allowed.
            specs: The options to show; all by default.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._apply = apply
        self.rows: dict[str, FieldRow] = {}
        self.cards: dict[str, Card] = {}
        self._words: tuple[str, ...] = ()
        self._shows_advanced = False
        self._columns = [QVBoxLayout(), QVBoxLayout()]
        self._arranged: tuple[tuple[str, ...], ...] = ()
        self._build(field_specs() if specs is None else specs)
        self.nothing_found = label(role="muted")
        self.nothing_found.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.nothing_found.hide()
        columns = QHBoxLayout()
        columns.setSpacing(theme.SPACE_M)
        for stack in self._columns:
            stack.setSpacing(theme.SPACE_M)
            columns.addLayout(stack, 1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.nothing_found)
        outer.addLayout(columns)
        outer.addStretch(1)
        self.retranslate()
        self._filter()

    def _build(self, specs: Sequence[FieldSpec]) -> None:
        self._titles = {name: title for name, title, _ in sections()}
        for spec in specs:
            card = self.cards.get(spec.section)
            if card is None:
                card = self.cards[spec.section] = Card(parent=self)
                card.body.setSpacing(0)
            row = FieldRow(spec, card)
            row.entered.connect(lambda value, key=spec.key: self._enter(key, value))
            card.body.addWidget(row)
            self.rows[spec.key] = row

    def show_config(self, config: TrainConfig) -> None:
        """Show the values of a config."""
        for row in self.rows.values():
            row.show_value(getattr(getattr(config, row.spec.section), row.spec.name))
        self.problems_changed.emit()

    def set_defaults(self, config: TrainConfig) -> None:
        """Set the values that the reset buttons bring back."""
        for row in self.rows.values():
            row.set_default(getattr(getattr(config, row.spec.section), row.spec.name))

    @property
    def problems(self) -> dict[str, str]:
        """`section.name` -> what is wrong with the text that stands there."""
        return {key: row.problem for key, row in self.rows.items() if row.problem}

    def forget_problems(self) -> None:
        """Put the values of the config back wherever something wrong stands."""
        for row in self.rows.values():
            if row.problem:
                row.reshow()
        self.problems_changed.emit()

    def search(self, text: str) -> None:
        """Show only the options that match all words; advanced ones too. No words: all of them."""
        self._words = tuple(text.casefold().split())
        self._filter()

    def show_advanced(self, shown: bool) -> None:
        """Show the options for experts too."""
        self._shows_advanced = shown
        self._filter()

    def shown_keys(self) -> list[str]:
        """The options that are not hidden by search or level."""
        return [key for key, row in self.rows.items() if not row.isHidden()]

    def retranslate(self) -> None:
        """Take up the language in use; sentences about wrong values are said again."""
        for name, card in self.cards.items():
            card.set_title(tr(self._titles[name]))
        for row in self.rows.values():
            row.retranslate()
        self.nothing_found.setText(tr("No parameter matches. Try another word, in English or Chinese."))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """One or two columns, by the width."""
        super().resizeEvent(event)
        self._arrange()

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Narrow enough for one column, whatever is shown now."""
        return QSize(320, super().minimumSizeHint().height())

    def _enter(self, key: str, value: object) -> None:
        row = self.rows[key]
        try:
            self._apply({key: value})
        except UserError as error:
            cause = error.__cause__
            sentences = problems_of(cause) if isinstance(cause, ValidationError) else {}
            row.show_problem(sentences.get(key) or f"{error.message} {error.remedy}")
        else:
            if row.problem:
                row.reshow() if value == row.default else row.show_problem("")
        self.problems_changed.emit()

    def _filter(self) -> None:
        for row in self.rows.values():
            hidden = not row.matches(self._words) if self._words else row.spec.advanced and not self._shows_advanced
            row.setHidden(hidden)
        for section, card in self.cards.items():
            card.setHidden(all(row.isHidden() for row in self.rows.values() if row.spec.section == section))
        self.nothing_found.setVisible(bool(self._words) and all(card.isHidden() for card in self.cards.values()))
        self._arrange()

    def _arrange(self) -> None:
        """Deal the cards to the columns in order, each to the shorter one."""
        count = 2 if self.width() >= TWO_COLUMNS_PX else 1
        names: list[list[str]] = [[] for _ in range(count)]
        heights = [0] * count
        for section, card in self.cards.items():
            if card.isHidden():
                continue
            shortest = heights.index(min(heights))
            names[shortest].append(section)
            heights[shortest] += 2 + sum(
                3 if row.editor.is_wide else 2
                for row in self.rows.values()
                if row.spec.section == section and not row.isHidden()
            )
        arranged = tuple(tuple(column) for column in names)
        if arranged == self._arranged:
            return
        self._arranged = arranged
        for stack in self._columns:
            # A card's item must end before it gets another: only the first one hears when the card wants more room.
            for card in self.cards.values():
                stack.removeWidget(card)
            while stack.count():
                stack.takeAt(0)
        for stack, column in zip(self._columns, arranged, strict=False):
            for section in column:
                stack.addWidget(self.cards[section])
        for stack in self._columns:
            stack.addStretch(1)
        row_layout = self._columns[0].parent()
        if isinstance(row_layout, QHBoxLayout):
            row_layout.setStretch(1, 1 if count == 2 else 0)
            row_layout.setSpacing(theme.SPACE_M if count == 2 else 0)


def _keep_room(widget: QWidget) -> None:
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    widget.setSizePolicy(policy)
