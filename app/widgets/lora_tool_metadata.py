"""The metadata of a LoRA file as a table, in a form of the LoRA tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QLocale, QSignalBlocker, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QStyledItemDelegate,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from app import theme
from app.background import Background
from app.widgets.card import button
from app.widgets.lora_tool_fields import Field, PathField, Words
from core.errors import explain
from core.text import tr
from core.tools.metadata import USUAL_KEYS, key_hint, lora_header

KEY, VALUE = range(2)
_TABLE_HEIGHT = 210
_KEY_WIDTH = 220
_LONGEST_SHOWN = 300
_LONGEST_EDITED = 20_000
"""In characters: a line to type in holds no more than 32,767, and long before that it is slow."""


@dataclass(frozen=True, slots=True)
class MetadataChanges:
    """What is to be different in the copy, named as in `EditTask`."""

    put: dict[str, str]
    remove: tuple[str, ...]


class MetadataField(Field):
    """Shows what the file of another field says of itself, once that is read; `value` is what the user changed."""

    def __init__(self, source: PathField, title: Words) -> None:
        super().__init__(title, self._hint_text)
        self._source = source
        self._path: Path | None = None
        self._told: dict[str, str] | None = None
        self._unreadable = ""
        self._background = Background(self)
        source.changed.connect(self._on_source_changed)
        self._build()
        column = QVBoxLayout()
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self.table)
        below = QHBoxLayout()
        below.setSpacing(theme.SPACE_S)
        for made in (self.add_button, self.remove_button, self.reset_button):
            made.setAutoDefault(False)
            below.addWidget(made)
        below.addStretch(1)
        column.addLayout(below)
        self.row.addLayout(column, 1)
        self._show()

    def _build(self) -> None:
        self.table = QTableWidget(0, 2)
        self.table.setProperty("role", "list")
        self.table.setItemDelegate(_OneLine(self.table))
        self.table.setMinimumHeight(_TABLE_HEIGHT)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setTabKeyNavigation(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
            | QAbstractItemView.EditTrigger.AnyKeyPressed
        )
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(KEY, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(KEY, _KEY_WIDTH)
        header.setStretchLastSection(True)
        self.table.itemChanged.connect(self._on_item_changed)
        self.table.itemSelectionChanged.connect(self._show)
        self.add_button = button(icon="plus")
        self.add_menu = QMenu(self.add_button)
        self.add_menu.aboutToShow.connect(self._fill_menu)
        self.add_button.setMenu(self.add_menu)
        self.remove_button = button(icon="trash")
        self.remove_button.clicked.connect(self.remove_selected)
        self.reset_button = button(icon="undo")
        self.reset_button.clicked.connect(self.reset)
        delete = QShortcut(QKeySequence(QKeySequence.StandardKey.Delete), self.table)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        delete.activated.connect(self.remove_selected)

    def value(self) -> MetadataChanges | None:
        """What was changed; None while that is nothing."""
        if self._told is None or self.problem():
            return None
        rows = {key: value for key, value in self.rows() if key}
        put = {key: value for key, value in rows.items() if self._told.get(key) != value}
        remove = tuple(key for key in self._told if key not in rows)
        return MetadataChanges(put, remove) if put or remove else None

    def problem(self) -> str:
        """That the file is none with metadata, that a value has no key, or that a key is there twice."""
        rows = self.rows()
        nameless = next((value for key, value in rows if value and not key), None)
        if nameless is not None:
            return tr("The value {text} has no key.", text=_one_line(nameless))
        keys = [key for key, _ in rows if key]
        doubled = next((key for key in keys if keys.count(key) > 1), None)
        return tr("{key} is there twice.", key=doubled) if doubled is not None else self._unreadable

    def rows(self) -> list[tuple[str, str]]:
        """Keys and values as they are shown, from above."""
        return [(self._text(row, KEY).strip(), self._text(row, VALUE)) for row in range(self.table.rowCount())]

    def add(self, key: str) -> None:
        """Add a line for a key, an empty text for one that the user types, and begin to type."""
        if self._told is None:
            return
        row = self._add_row(key, "")
        self._show()
        self.table.setCurrentCell(row, VALUE if key else KEY)
        self.table.editItem(self._item(row, VALUE if key else KEY))

    def remove_selected(self) -> None:
        """Take the selected lines out."""
        for row in sorted({index.row() for index in self.table.selectedIndexes()}, reverse=True):
            self.table.removeRow(row)
        self._on_changed()

    def reset(self) -> None:
        """Show again what the file says."""
        self._fill(self._told or {})
        self._on_changed()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.table.setAccessibleName(self._words())
        self.table.setHorizontalHeaderLabels([tr("Key"), tr("Value")])
        self.add_button.setText(tr("Add a key"))
        self.remove_button.setText(tr("Remove"))
        self.reset_button.setText(tr("As in the file"))
        for row in range(self.table.rowCount()):
            self._mark(row)

    def _on_source_changed(self) -> None:
        path = self._source.value()
        if path == self._path:
            return
        self._path, self._told, self._unreadable = path, None, ""
        self._fill({})
        self._show()
        if path is not None and path.is_file():
            self._background.start(partial(_metadata, path), partial(self._on_read, path))

    def _on_read(self, path: Path, result: dict[str, str] | Exception) -> None:
        if path != self._path:
            return
        if isinstance(result, Exception):
            known = explain(result)
            if known is None:
                raise result
            self._unreadable = str(known)
        else:
            self._told = result
        self.reset()

    def _fill(self, metadata: Mapping[str, str]) -> None:
        self.table.setRowCount(0)
        for key, value in sorted(metadata.items()):
            self._add_row(key, value)

    def _add_row(self, key: str, value: str) -> int:
        row = self.table.rowCount()
        with QSignalBlocker(self.table):
            self.table.insertRow(row)
            key_item, value_item = QTableWidgetItem(key), QTableWidgetItem(value)
            if key:
                key_item.setFlags(key_item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            if len(value) > _LONGEST_EDITED:
                value_item.setFlags(value_item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            self.table.setItem(row, KEY, key_item)
            self.table.setItem(row, VALUE, value_item)
        self._mark(row)
        return row

    def _mark(self, row: int) -> None:
        """Show what is not as in the file in bold, and what can be known of a line in its tooltip."""
        key, value = self._text(row, KEY).strip(), self._text(row, VALUE)
        font = self.table.font()
        font.setBold((self._told or {}).get(key) != value)
        is_long = len(value) > _LONGEST_EDITED
        tips = {
            KEY: key_hint(key),
            VALUE: tr("It is too long to be changed here; it can be kept or removed.") if is_long else "",
        }
        with QSignalBlocker(self.table):
            for column, tip in tips.items():
                item = self._item(row, column)
                item.setFont(font)
                item.setToolTip(tip)

    def _item(self, row: int, column: int) -> QTableWidgetItem:
        item = self.table.item(row, column)
        assert item is not None  # Every line is made with both.
        return item

    def _text(self, row: int, column: int) -> str:
        return self._item(row, column).text()

    def _on_item_changed(self, item: QTableWidgetItem) -> None:
        self._mark(item.row())
        self._on_changed()

    def _on_changed(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        is_known = self._told is not None
        self.add_button.setEnabled(is_known)
        self.remove_button.setEnabled(bool(self.table.selectedIndexes()))
        self.reset_button.setEnabled(is_known and self.rows() != sorted((self._told or {}).items()))
        self.hint.setText(self._hint_text())

    def _hint_text(self) -> str:
        """What the selected key is for, and how much is changed."""
        if self._told is None:
            return "" if self._unreadable else tr("Choose a LoRA file to see what it says of itself.")
        row = self.table.currentRow()
        hint = key_hint(self._text(row, KEY)) if row >= 0 and self.table.selectedIndexes() else ""
        changes = self.value()
        if changes is None:
            return hint or tr("Double-click a value to change it.")
        num_added = sum(key not in self._told for key in changes.put)
        summary = tr(
            "Changed: {changed}, added: {added}, removed: {removed}.",
            changed=len(changes.put) - num_added,
            added=num_added,
            removed=len(changes.remove),
        )
        return "\n".join(filter(None, (hint, summary)))

    def _fill_menu(self) -> None:
        self.add_menu.clear()
        there = {key for key, _ in self.rows()}
        self.add_menu.addAction(tr("Another key")).triggered.connect(lambda: self.add(""))
        self.add_menu.addSeparator()
        for key in USUAL_KEYS:
            if key not in there:
                action = self.add_menu.addAction(f"{key}\t{key_hint(key)}")
                action.triggered.connect(lambda _checked=False, key=key: self.add(key))


class _OneLine(QStyledItemDelegate):
    """Shows the beginning of values of any length in one line."""

    def displayText(self, value: object, _locale: QLocale | QLocale.Language) -> str:  # noqa: N802 - Qt's name
        """The beginning of the text."""
        return _one_line(str(value))


def _one_line(text: str) -> str:
    line = " ".join(text[: _LONGEST_SHOWN + 1].split())
    return line if len(text) <= _LONGEST_SHOWN else line[: _LONGEST_SHOWN - 1] + "…"


def _metadata(path: Path) -> dict[str, str]:
    return dict(lora_header(path).metadata)
