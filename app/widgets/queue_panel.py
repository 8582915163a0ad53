"""The queue: its runs, what is done with them, and what happens after the last one."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.queue import AfterLast, Queue
from app.widgets.card import Card, button, label
from app.widgets.queue_list import QueueList
from app.widgets.toast import BOTTOM_BAR
from core.power import is_available
from core.text import tr

_TOOLS = {"edit": "edit", "up": "chevron-up", "down": "chevron-down", "again": "refresh", "remove": "trash"}


class QueuePanel(Card):
    """Shows and changes a queue. `start_clicked` and `edit_requested` are for whoever runs and edits."""

    start_clicked = Signal()
    hold_clicked = Signal()
    edit_requested = Signal(str)

    def __init__(self, queue: Queue, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._queue = queue
        self.list = QueueList()
        self.list.setMinimumHeight(110)
        self.empty = label(role="muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.clear_button = button(kind="quiet")
        self.tools = {name: QToolButton() for name in (*_TOOLS, "undo")}
        for name, icon in {**_TOOLS, "undo": "undo"}.items():
            icons.set_icon(self.tools[name], icon, 16)
            self.tools[name].setCursor(Qt.CursorShape.PointingHandCursor)
        self.after_label = label(role="muted")
        self.after = QComboBox()
        self.start_button = button(kind="secondary", icon="play")
        self.hold_button = button(icon="pause")
        self._lay_out()
        self._connect()
        self.retranslate()

    def _lay_out(self) -> None:
        self.header.addWidget(self.tools["undo"])
        self.header.addWidget(self.clear_button)
        tools = QHBoxLayout()
        tools.setSpacing(2)
        for name in _TOOLS:
            tools.addWidget(self.tools[name])
        tools.addStretch(1)
        tools.addWidget(self.start_button)
        tools.addWidget(self.hold_button)
        self._after_row = QWidget()
        after = QHBoxLayout(self._after_row)
        after.setContentsMargins(0, 0, 0, 0)
        after.setSpacing(theme.SPACE_S)
        after.addWidget(self.after_label)
        after.addWidget(self.after, 1)
        self._tool_row = QWidget()
        self._tool_row.setObjectName(BOTTOM_BAR)
        column = QVBoxLayout(self._tool_row)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addLayout(tools)
        column.addWidget(self._after_row)
        self.body.addWidget(self.empty, 1)
        self.body.addWidget(self.list, 1)
        self.body.addWidget(self._tool_row)

    def _connect(self) -> None:
        queue = self._queue
        queue.changed.connect(self.refresh)
        self.list.moved.connect(queue.move)
        self.list.edit_requested.connect(self.edit_requested)
        self.list.remove_requested.connect(lambda key: queue.remove(key))
        self.list.itemSelectionChanged.connect(self._enable)
        tools = self.tools
        tools["edit"].clicked.connect(lambda: self._with_key(self.edit_requested.emit))
        tools["up"].clicked.connect(lambda: self._with_key(lambda key: queue.move(key, self.list.currentRow() - 1)))
        tools["down"].clicked.connect(lambda: self._with_key(lambda key: queue.move(key, self.list.currentRow() + 1)))
        tools["again"].clicked.connect(lambda: self._with_key(queue.try_again))
        tools["remove"].clicked.connect(lambda: self._with_key(lambda key: queue.remove(key)))
        tools["undo"].clicked.connect(queue.undo)
        self.clear_button.clicked.connect(queue.remove_ended)
        self.start_button.clicked.connect(self.start_clicked)
        self.hold_button.clicked.connect(self.hold_clicked)
        self.after.activated.connect(lambda: queue.set_after_last(cast(AfterLast, self.after.currentData())))
        undo = QShortcut(QKeySequence(QKeySequence.StandardKey.Undo), self)
        undo.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        undo.activated.connect(queue.undo)

    def refresh(self) -> None:
        """Show what the queue holds now."""
        queue = self._queue
        number = len(queue.waiting)
        self.set_title(tr("Queue") if not number else tr("Queue ({number} waiting)", number=number))
        self.list.show_entries(queue.entries)
        has_any = bool(queue.entries)
        self.list.setVisible(has_any)
        self._tool_row.setVisible(has_any)
        self.empty.setVisible(not has_any)
        self.after.setCurrentIndex(max(0, self.after.findData(queue.after_last)))
        self.tools["undo"].setVisible(queue.can_undo)
        self.clear_button.setVisible(any(entry.state in ("done", "failed") for entry in queue.entries))
        self.start_button.setVisible(not queue.is_going)
        self.start_button.setEnabled(bool(number) and queue.running is None)
        self.hold_button.setVisible(queue.is_going)
        self._enable()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.empty.setText(tr("Runs that you add here are trained one after the other, over night for example."))
        self.list.setAccessibleName(tr("Queue; Alt with the arrow keys moves a run, Delete takes it out"))
        words = {
            "edit": tr("Change its settings"),
            "up": tr("Earlier (Alt+Up)"),
            "down": tr("Later (Alt+Down)"),
            "again": tr("Try it again"),
            "remove": tr("Take it out of the queue (Delete)"),
            "undo": tr("Bring back what was taken out (Ctrl+Z)"),
        }
        for name, text in words.items():
            self.tools[name].setToolTip(text)
            self.tools[name].setAccessibleName(text)
        self.after_label.setText(tr("After the last run:"))
        self.after.setAccessibleName(tr("After the last run:"))
        self.clear_button.setText(tr("Take out what has ended"))
        self.start_button.setText(tr("Start the queue"))
        self.hold_button.setText(tr("Hold after this run"))
        self.after.clear()
        self.after.addItem(tr("do nothing"), "nothing")
        if is_available("sleep"):
            self.after.addItem(tr("let the machine sleep"), "sleep")
        if is_available("shutdown"):
            self.after.addItem(tr("shut the machine down"), "shutdown")
        self.refresh()

    def _enable(self) -> None:
        """Only what can be done with the chosen entry."""
        key = self.list.key
        entry = self._queue.entry(key) if key else None
        row, last = self.list.currentRow(), self.list.count() - 1
        rests = entry is not None and entry.state != "running"
        self.tools["edit"].setEnabled(rests and entry is not None and entry.state in ("waiting", "failed", "paused"))
        self.tools["remove"].setEnabled(rests)
        self.tools["up"].setEnabled(entry is not None and row > 0)
        self.tools["down"].setEnabled(entry is not None and row < last)
        self.tools["again"].setVisible(entry is not None and entry.state == "failed")

    def _with_key(self, act: Callable[[str], object]) -> None:
        if (key := self.list.key) is not None:
            act(key)
