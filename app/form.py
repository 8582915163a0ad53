"""A form made from the fields of the configuration: cards by section, groups, search, reset, errors said in place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.widgets.card import Card, label
from app.widgets.params_columns import Columns
from app.widgets.params_group import GroupBox
from app.widgets.params_row import FieldRow
from app.widgets.params_words import is_found
from app.widgets.tab_order import lead_through, stop_before
from core.config import FieldSpec, TrainConfig, field_specs, sections
from core.config.fields import problems_of
from core.config.groups import GROUPS, Group, group_of
from core.config.labels import value_of
from core.config.rules import Conflict
from core.errors import UserError
from core.text import sentences, tr

Apply = Callable[[dict[str, Any]], None]

SLICE_S = 0.015
"""Rows are made and shown in slices of this, so that the window never waits for all of them."""


class Form(QWidget):
    """All options, edited in place; rows are made when they are first to be seen.

    `problems_changed` follows every change of `problems`.
    """

    problems_changed = Signal()
    asked = Signal(str)  # the key of an option that a row points at

    def __init__(self, apply: Apply, specs: Sequence[FieldSpec] | None = None, parent: QWidget | None = None) -> None:
        """Build the cards; their rows follow when the form is shown.

        Args:
            apply: Changes the config (`section.name` -> value); raises UserError when a value is not allowed.
            specs: The options to show; all by default.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._apply = apply
        named = {spec.key: spec for spec in (field_specs() if specs is None else specs)}
        self.specs = {key: named[key] for group in GROUPS for key in group.keys if key in named}
        self.rows: dict[str, FieldRow] = {}
        self.cards: dict[str, Card] = {}
        self.groups: dict[Group, GroupBox] = {}
        self._config = self._defaults = TrainConfig()
        self._conflicts: dict[str, list[Conflict]] = {}
        self._all_conflicts: tuple[Conflict, ...] = ()
        self._idle: Mapping[str, tuple[str, str]] = {}
        self._words: tuple[str, ...] = ()
        self._shows_advanced = self._shows_changed_only = False
        self._wanted: dict[str, None] = {}
        self._pending: list[str] = []
        self._turning: dict[str, None] = {}
        self._has_new_rows = False
        self._waiting: Callable[[], object] | None = None
        self._columns = Columns()
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(lambda: self._work(SLICE_S))
        self._lay_out()
        self.retranslate()
        self._filter()

    def _lay_out(self) -> None:
        self._titles = {name: title for name, title, _ in sections()}
        for group in GROUPS:
            if not any(key in self.specs for key in group.keys):
                continue
            card = self.cards.get(group.section)
            if card is None:
                card = self.cards[group.section] = Card(parent=self)
                card.body.setSpacing(0)
            self.groups[group] = GroupBox(group, card)
            card.body.addWidget(self.groups[group])
        self.nothing_found = label(role="muted", wrap=True)
        self.nothing_found.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.nothing_found.hide()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.nothing_found)
        outer.addLayout(self._columns)
        outer.addStretch(1)

    # Rows

    def row(self, key: str) -> FieldRow:
        """The row of an option; it is made if nobody needed it before."""
        row = self.rows.get(key)
        if row is None:
            box = self.groups[group_of(key)]
            row = self.rows[key] = FieldRow(self.specs[key], box)
            row.hide()
            row.show_value(value_of(self._config, key))
            row.set_default(value_of(self._defaults, key))
            row.show_conflicts(self._conflicts.get(key, []))
            row.show_idle(self._idle.get(key))
            row.entered.connect(lambda value: self._enter(key, value))
            row.mended.connect(self._mend)
            row.asked.connect(self.asked.emit)
            box.add(row)
            self._has_new_rows = True
            for widget in (row, *row.findChildren(QWidget)):
                widget.ensurePolished()  # Here, one row at a time, and not when all of them are shown.
        return row

    def show_config(self, config: TrainConfig) -> None:
        """Show the values of a config."""
        self._config = config
        for key, row in self.rows.items():
            row.show_value(value_of(config, key))
        self._follow_changes()
        self.problems_changed.emit()

    def set_defaults(self, config: TrainConfig) -> None:
        """Set the values that the reset buttons bring back."""
        self._defaults = config
        for key, row in self.rows.items():
            row.set_default(value_of(config, key))
        self._follow_changes()

    def show_rules(self, conflicts: Sequence[Conflict], idle: Mapping[str, tuple[str, str]]) -> None:
        """Say what contradicts what, and grey out what has no effect.

        Args:
            conflicts: The worst first. Each is told at the first of its options that is shown.
            idle: Option -> (the option that is why, the reason).
        """
        if self._idle != idle:
            self._idle = idle
            for key, row in self.rows.items():
                row.show_idle(idle.get(key))
        if self._all_conflicts != tuple(conflicts):
            self._all_conflicts = tuple(conflicts)
            self._filter()

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

    def _enter(self, key: str, value: object) -> None:
        row = self.rows[key]
        try:
            self._apply({key: value})
        except UserError as error:
            cause = error.__cause__
            problems = problems_of(cause) if isinstance(cause, ValidationError) else {}
            row.show_problem(problems.get(key) or sentences(error.message, error.remedy))
        else:
            if row.problem:
                row.reshow() if value == row.default else row.show_problem("")
        self.problems_changed.emit()

    def _mend(self, changes: Mapping[str, Any]) -> None:
        for key in changes:
            if key in self.rows:
                self.rows[key].reshow()
        self._apply(dict(changes))

    # What is shown

    def search(self, text: str) -> None:
        """Show only the options that match all words; advanced ones too. No words: all of them."""
        words = tuple(text.casefold().split())
        if words != self._words:
            self._words = words
            self._filter()

    def show_advanced(self, shown: bool) -> None:
        """Show the options for experts too."""
        self._shows_advanced = shown
        self._filter()

    def show_changed_only(self, only: bool) -> None:
        """Show only the options that differ from the defaults; advanced ones too."""
        self._shows_changed_only = only
        self._filter()

    def shown_keys(self) -> list[str]:
        """The options that are not hidden by search or level."""
        return list(self._wanted)

    def hurry(self, key: str) -> FieldRow:
        """Make and show an option and its group before the others."""
        group = group_of(key)
        for name in group.keys:
            if name in self._wanted:
                self._update(self.row(name), name)
        self._turn(group)
        return self.row(key)

    def when_settled(self, act: Callable[[], object]) -> None:
        """Do something once all rows that are shown have their place; only the last wish counts."""
        self._waiting = act
        self._timer.start()

    def settle(self) -> None:
        """Finish what is still to be made or shown."""
        self._work(float("inf"))

    def retranslate(self) -> None:
        """Take up the language in use; sentences about wrong values are said again."""
        for name, card in self.cards.items():
            card.set_title(tr(self._titles[name]))
        for group, box in self.groups.items():
            box.heading.setText(group.heading)
        for row in self.rows.values():
            row.retranslate()
        self._say_nothing()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """One or two columns, by the width."""
        super().resizeEvent(event)
        self._arrange()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Make the first rows at once and the rest between other things."""
        super().showEvent(event)
        self._work(2 * SLICE_S)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Narrow enough for one column, whatever is shown now."""
        return QSize(320, super().minimumSizeHint().height())

    def _is_changed(self, key: str) -> bool:
        return bool(value_of(self._config, key) != value_of(self._defaults, key))

    def _follow_changes(self) -> None:
        """While only changes are shown, a new one joins; what was changed back stays until the switch is used."""
        if self._shows_changed_only and any(self._is_changed(key) and key not in self._wanted for key in self.specs):
            self._filter(keep=True)

    def _is_wanted(self, key: str) -> bool:
        spec = self.specs[key]
        if self._words and not is_found(spec, self._words):
            return False
        if self._shows_changed_only:
            return self._is_changed(key)
        return bool(self._words) or not spec.advanced or self._shows_advanced

    def _filter(self, *, keep: bool = False) -> None:
        """Decide which options are shown; the rows follow in slices."""
        kept = self._wanted if keep else {}
        wanted = {key for key in self.specs if key in kept or self._is_wanted(key)}
        self._conflicts = {}
        for conflict in self._all_conflicts:
            here = [key for key in conflict.keys if key in self.specs]
            place = next((key for key in here if key in wanted), None)
            if place is None and conflict.level != "info" and not self._words and here:
                place = here[0]  # Bad enough to be shown although it is for experts.
                wanted.add(place)
            if place is not None:
                self._conflicts.setdefault(place, []).append(conflict)
        self._wanted = {key: None for key in self.specs if key in wanted}
        for group, box in self.groups.items():
            box.setHidden(not any(key in wanted for key in group.keys))
        for section, card in self.cards.items():
            card.setHidden(not any(spec.section == section and key in wanted for key, spec in self.specs.items()))
        self._say_nothing()
        self._arrange()
        self._pending = list(self.specs)
        if self.isVisible():
            self._timer.start()
        else:
            for group in self.groups:
                for key in group.keys:
                    if key in self.rows:
                        self._update(self.rows[key], key)
                self._turn(group)

    def _say_nothing(self) -> None:
        if self._words:
            self.nothing_found.setText(tr("No parameter matches. Try another word, in English or Chinese."))
        else:
            self.nothing_found.setText(tr("Nothing was changed."))
        self.nothing_found.setHidden(bool(self._wanted))

    def _work(self, limit_s: float) -> None:
        """Bring rows up to date, in order, for so long; the timer goes on with what is left."""
        end = time.perf_counter() + limit_s
        while self._pending and time.perf_counter() < end:
            group = group_of(self._pending[0])
            number = 0
            while number < len(self._pending) and self._pending[number] in group.keys and time.perf_counter() < end:
                key = self._pending[number]
                number += 1
                if key in self._wanted or key in self.rows:
                    self._update(self.row(key), key)
            del self._pending[:number]
            self._turn(group)
        if self._pending:
            self._timer.start()
            return
        self._timer.stop()
        if self._has_new_rows:
            self._has_new_rows = False
            self._lead_tab()
        if self._waiting is not None:
            act, self._waiting = self._waiting, None
            QTimer.singleShot(0, self, act)

    def _lead_tab(self) -> None:
        """Let Tab go through the rows in their order, whenever they were made, and before what follows the form."""
        rows = [self.rows[key] for key in self.specs if key in self.rows]
        lead_through([stop for row in rows for stop in row.stops], stop_before(self))

    def _update(self, row: FieldRow, key: str) -> None:
        """Bring up to date what a row says; whether it is shown follows with others."""
        is_wanted = key in self._wanted
        if is_wanted:
            row.mark(self._words)
        row.show_conflicts(self._conflicts.get(key, []))
        if row.isHidden() == is_wanted:
            self._turning[key] = None

    def _turn(self, group: Group) -> None:
        """Show and hide the rows of a group that are in the wrong state.

        Each row that appears in a visible parent arranges the whole page anew, so the group goes away meanwhile;
        nothing is painted before it is back.
        """
        turning, self._turning = self._turning, {}
        box = self.groups[group]
        aside = len(turning) > 1 and not box.isHidden() and not box.isAncestorOf(self.focusWidget())
        if aside:
            box.hide()
        for key in turning:
            self.rows[key].setHidden(key not in self._wanted)
        if aside:
            box.show()

    def _arrange(self) -> None:
        heights: dict[QWidget, int] = {}
        for section, card in self.cards.items():
            shown = [spec for key, spec in self.specs.items() if spec.section == section and key in self._wanted]
            if shown:
                heights[card] = 2 + sum(3 if spec.kind in ("text", "lines", "path") else 2 for spec in shown)
        self._columns.deal(heights, self.width())
