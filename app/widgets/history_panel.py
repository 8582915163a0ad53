"""The history: search, order, the list of runs, and what is done with those that are chosen."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from app import theme
from app.run_history import RunHistory
from app.widgets.card import Card, button, label
from app.widgets.history_list import ORDERS, HistoryList, Order
from app.widgets.thumbnails import ThumbnailLoader
from core.text import tr


class HistoryPanel(Card):
    """Shows the runs of a history; what the user wants of them is said by signals with the runs."""

    opened = Signal(object)
    compared = Signal(object, object)
    repeated = Signal(object)
    deleted = Signal(list)
    folder_requested = Signal(object)
    browse_clicked = Signal()

    def __init__(self, history: RunHistory, loader: ThumbnailLoader, parent: QWidget | None = None) -> None:
        """Show what the history holds.

        Args:
            history: The runs.
            loader: Reads the pictures beside the window.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent=parent)
        self._history = history
        self.search = QLineEdit()
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(320)
        self.order = QComboBox()
        self.browse_button = button(icon="folder-open")
        self.list = HistoryList(loader)
        self.empty = label(role="muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint = label(role="small")
        self.open_button = button(kind="primary")
        self.compare_button = button(icon="compare")
        self.repeat_button = button(icon="refresh")
        self.folder_button = button(icon="folder")
        self.delete_button = button(kind="danger", icon="trash")
        self._lay_out()
        self._connect()
        self.retranslate()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_S)
        top.addWidget(self.search, 2)
        top.addWidget(self.order)
        top.addStretch(1)
        top.addWidget(self.browse_button)
        self._actions = QWidget()
        actions = QHBoxLayout(self._actions)
        actions.setContentsMargins(0, 0, 0, 0)
        actions.setSpacing(theme.SPACE_S)
        for made in (self.open_button, self.compare_button, self.repeat_button, self.folder_button):
            actions.addWidget(made)
        actions.addStretch(1)
        actions.addWidget(self.delete_button)
        self.body.addLayout(top)
        self.body.addWidget(self.empty, 1)
        self.body.addWidget(self.list, 1)
        self.body.addWidget(self.hint)
        self.body.addWidget(self._actions)

    def _connect(self) -> None:
        self._history.changed.connect(self.refresh)
        self.search.textChanged.connect(self._search)
        self.order.activated.connect(lambda: self.list.runs.sort_by(cast(Order, self.order.currentData())))
        self.browse_button.clicked.connect(self.browse_clicked)
        self.list.opened.connect(self.opened)
        self.list.delete_requested.connect(self.delete_button.click)  # Nothing happens while it is not enabled.
        self.list.selection_changed.connect(self._enable)
        self.open_button.clicked.connect(lambda: self.opened.emit(self.list.chosen[0]))
        self.compare_button.clicked.connect(lambda: self.compared.emit(*self.list.chosen[:2]))
        self.repeat_button.clicked.connect(lambda: self.repeated.emit(self.list.chosen[0]))
        self.folder_button.clicked.connect(lambda: self.folder_requested.emit(self.list.chosen[0]))
        self.delete_button.clicked.connect(lambda: self.deleted.emit(self.list.chosen))
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.search.setFocus)

    def refresh(self) -> None:
        """Show what the history holds now."""
        self.list.show_runs(self._history.runs)
        self._show_emptiness()
        self._enable()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.search.setPlaceholderText(tr("Search by name, folder, state or date"))
        self.search.setAccessibleName(tr("Search by name, folder, state or date"))
        names: dict[Order, str] = {
            "newest": tr("Newest first"),
            "name": tr("By name"),
            "validation": tr("Lowest held-out loss first"),
            "steps": tr("Longest first"),
        }
        chosen = max(0, self.order.currentIndex())
        self.order.clear()
        for key in ORDERS:
            self.order.addItem(names[key], key)
        self.order.setCurrentIndex(chosen)
        self.order.setAccessibleName(tr("Order"))
        self.list.setAccessibleName(tr("Runs"))
        self.browse_button.setText(tr("Open a run folder…"))
        self.browse_button.setToolTip(tr("Also one that was copied from another machine, or is still running"))
        self.open_button.setText(tr("Open"))
        self.compare_button.setText(tr("Compare"))
        self.compare_button.setToolTip(tr("Settings, curves and previews of two runs side by side"))
        self.repeat_button.setText(tr("Repeat"))
        self.repeat_button.setToolTip(tr("Takes its settings into the parameters, under a free name"))
        self.folder_button.setText(tr("Open folder"))
        self.delete_button.setText(tr("Delete…"))
        self.hint.setText(tr("Ctrl+click chooses a second run to compare."))
        self.refresh()

    def _search(self, words: str) -> None:
        self.list.runs.search(words)
        self._show_emptiness()

    def _show_emptiness(self) -> None:
        shown = bool(self.list.runs.runs)
        self.list.setVisible(shown)
        self.hint.setVisible(len(self.list.runs.runs) > 1)
        self._actions.setVisible(shown)
        self.empty.setVisible(not shown)
        if self._history.runs:
            self.empty.setText(tr("No run matches. Try another word."))
        elif self._history.was_read:
            self.empty.setText(tr("Your runs will be listed here, with curves and previews."))
        else:
            self.empty.setText(tr("Looking for runs…"))

    def _enable(self) -> None:
        chosen = self.list.chosen
        for made in (self.open_button, self.repeat_button, self.folder_button):
            made.setEnabled(len(chosen) == 1)
        self.compare_button.setEnabled(len(chosen) == 2)
        self.delete_button.setEnabled(bool(chosen) and not any(run.is_running for run in chosen))
