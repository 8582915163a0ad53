"""What comes out of another program's settings, as a table: taken over, paths, left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from app import icons
from core.config.labels import specs_by_key, value_text
from core.text import tr

if TYPE_CHECKING:
    from core.imports import Imported
    from core.imports.records import Ignored

_LONGEST = 300


class ImportTable(QTreeWidget):
    """Columns: the option in the file, its value there, the option here, its value here, and a note."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "list")
        self.setColumnCount(5)
        self.setRootIsDecorated(True)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setSelectionMode(QTreeWidget.SelectionMode.SingleSelection)
        self.setHeaderLabels([tr("In the file"), tr("Value"), tr("In Kiln"), tr("Value"), tr("Note")])
        header = self.header()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        for column, width in enumerate((230, 120, 180, 120)):
            header.resizeSection(column, width)
        self.setAccessibleName(tr("What the file says"))
        self._items: list[QTreeWidgetItem] = []

    def show_imported(self, imported: Imported | None) -> None:
        """Show other settings, or nothing."""
        self._items = []
        self.clear()
        if imported is None:
            return
        taken = [
            [each.source_key, shown(each.value), _title(each.key), _value(each.key, each.new_value), each.note]
            for each in imported.mapped
            if not each.is_assumed
        ]
        assumed = [
            ["", "", _title(each.key), _value(each.key, each.new_value), each.note]
            for each in imported.mapped
            if each.is_assumed
        ]
        paths = [
            ["", "", _title(each.key), str(each.path), "" if each.exists else tr("Not found here.")]
            for each in imported.paths
        ]
        lost = [_left(each) for each in imported.ignored if not each.is_harmless]
        needless = [_left(each) for each in imported.ignored if each.is_harmless]
        self._add(tr("Taken over ({number})", number=len(taken)), "check-circle", "success", taken, is_open=True)
        missing = any(not path.exists for path in imported.paths)
        self._add(tr("Not said in the file ({number})", number=len(assumed)), "info", "muted", assumed, is_open=False)
        sign: tuple[str, icons.Tone] = ("warning", "warning") if missing else ("folder", "muted")
        self._add(tr("Paths ({number})", number=len(paths)), *sign, paths, is_open=missing)
        self._add(tr("Left out ({number})", number=len(lost)), "ban", "muted", lost, is_open=True)
        self._add(tr("Not needed here ({number})", number=len(needless)), "check", "muted", needless, is_open=False)

    def _add(self, title: str, icon: str, tone: icons.Tone, lines: Sequence[Sequence[str]], *, is_open: bool) -> None:
        if not lines:
            return
        head = QTreeWidgetItem([title])
        head.setIcon(0, icons.icon(icon, 16, tone))
        font = self.font()
        font.setBold(True)
        head.setFont(0, font)
        self.addTopLevelItem(head)
        head.setFirstColumnSpanned(True)
        for line in lines:
            item = QTreeWidgetItem(list(line))
            for column, words in enumerate(line):
                item.setToolTip(column, words)
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            head.addChild(item)
            self._items.append(item)
        head.setExpanded(is_open)

    def lines(self) -> list[list[str]]:
        """The texts of all lines below the headings."""
        return [[item.text(column) for column in range(5)] for item in self._items]


def _left(ignored: Ignored) -> list[str]:
    return [ignored.source_key, shown(ignored.value), "", "", ignored.reason]


def _title(key: str) -> str:
    spec = specs_by_key().get(key)
    if spec is not None:
        return tr(spec.title)
    return tr("Further folder") if key.startswith("concepts.") else key


def _value(key: str, value: object) -> str:
    spec = specs_by_key().get(key)
    if spec is None or (isinstance(value, Path) and value != Path()):
        return shown(value)
    return value_text(spec, value)[:_LONGEST]


def shown(value: object) -> str:
    """A value of another program's file, shortened."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)[:_LONGEST]
    return str(value)[:_LONGEST]
