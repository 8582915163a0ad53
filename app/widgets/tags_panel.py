"""All tags of the pictures with their counts: find, filter by, rename, merge and remove them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelection, QItemSelectionModel, Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.caption_changes import CaptionChanges, captions_of
from app.latest import Latest
from app.project import Project
from app.scopes import Scopes
from app.tag_index import TagIndex
from app.widgets.bulk_edit import BulkEdit
from app.widgets.card import Card, button, label
from app.widgets.scope_bar import ScopeBar
from app.widgets.tag_line import TagLine
from app.widgets.tag_rows import TagRows, TagView, tag_filter
from core.dataset.bulk import AddTags, Operation, RemoveTags, ReplaceTag
from core.dataset.statistics import TagCount, tag_counts
from core.dataset.tag_cache import key_of, keys_of
from core.dataset.tag_names import Suggestion, chinese_name
from core.errors import details
from core.text import tr

DELAY_MS = 120


class TagsPanel(Card):
    """The tags of a scope. A click filters by one; with several selected, the actions below are for all of them."""

    filter_requested = Signal(str)

    def __init__(self, project: Project, scopes: Scopes) -> None:
        super().__init__()
        self._project = project
        self._scopes = scopes
        self._index = TagIndex.of(project)
        self._index.serve(self)
        self._rows: list[Suggestion] = []
        self._is_stale = True
        self._counting = Latest(self)
        self._listing = Latest(self)
        self._affecting = Latest(self)
        self._changes = CaptionChanges(project, self)
        self._changes.failed.connect(project.problem)
        self._build()
        self._bulk: BulkEdit | None = None
        self._timer = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._timer.timeout.connect(self._count)
        self._searching = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._searching.timeout.connect(self._list)
        self._index.changed.connect(self._on_index_changed)
        project.captions_changed.connect(self._on_captions_changed)
        project.writing_changed.connect(self._on_writing_changed)
        scopes.changed.connect(self._show_add)
        self.scope_bar.changed.connect(self._refresh)
        self.retranslate()

    def _build(self) -> None:
        self.scope_bar = ScopeBar(self._project, self._scopes)
        self.search = QLineEdit()
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icons.icon("search", 16, "muted"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.setAcceptDrops(False)
        self.search.textChanged.connect(lambda _text: self._searching.start())
        self.sort_button = QToolButton()
        self.sort_button.setCheckable(True)
        self.sort_button.setCursor(Qt.CursorShape.PointingHandCursor)
        icons.set_icon(self.sort_button, "sort-letters", 18)
        self.sort_button.toggled.connect(lambda _on: self._list())
        finding = QHBoxLayout()
        finding.setSpacing(theme.SPACE_XS)
        finding.addWidget(self.search, 1)
        finding.addWidget(self.sort_button)
        self.model = TagRows(self)
        self.view = TagView()
        self.view.setModel(self.model)
        self.view.chosen.connect(self._filter)
        self.view.removal_wanted.connect(self.remove)
        self.view.rename_wanted.connect(self.start_rename)
        self.view.selectionModel().selectionChanged.connect(self._show_actions)
        self._empty = label(role="muted", wrap=True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.hide()
        inside = QVBoxLayout(self.view)
        inside.setContentsMargins(theme.SPACE_L, theme.SPACE_L, theme.SPACE_L, theme.SPACE_L)
        inside.addWidget(self._empty)
        self._summary = label(role="small")
        self.bulk_button = button(icon="edit")
        self.bulk_button.clicked.connect(self.open_bulk_edit)
        self.body.addWidget(self.scope_bar)
        self.body.addLayout(finding)
        self.body.addWidget(self.view, 1)
        self.body.addWidget(self._summary)
        self.body.addWidget(self._build_actions())
        self.body.addWidget(self.bulk_button)

    def _build_actions(self) -> QWidget:
        self.name_line = TagLine(self._index, takes="list")
        self.name_line.entered.connect(lambda _text: self.rename())
        self.name_line.textChanged.connect(self._show_rename)
        self.name_line.escaped.connect(self.view.setFocus)
        self.rename_button = button()
        self.rename_button.clicked.connect(self.rename)
        self.remove_button = button(kind="danger")
        self.remove_button.clicked.connect(self.remove)
        self.add_button = button()
        self.add_button.clicked.connect(self.add_to_selected)
        naming = QHBoxLayout()
        naming.setSpacing(theme.SPACE_S)
        naming.addWidget(self.name_line, 1)
        naming.addWidget(self.rename_button)
        self._actions = QWidget()
        column = QVBoxLayout(self._actions)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addLayout(naming)
        column.addWidget(self.remove_button)
        column.addWidget(self.add_button)
        return self._actions

    @property
    def bulk(self) -> BulkEdit:
        """The window for changes that are no matter of single tags, made when it is first asked for."""
        if self._bulk is None:
            self._bulk = BulkEdit(self._project, self._scopes, self.window())
        return self._bulk

    @property
    def selected_tags(self) -> list[str]:
        """The selected tags, in the order of the list."""
        rows = sorted(index.row() for index in self.view.selectionModel().selectedIndexes())
        return [self.model.tag(row) for row in rows]

    # What the user does

    def open_bulk_edit(self) -> None:
        """Show the window for many captions."""
        self.bulk.open_for()

    def open_rename(self, tag: str) -> None:
        """Show it ready to replace a tag in all captions."""
        self.bulk.open_rename(tag)

    def open_removal(self, tags: Sequence[str]) -> None:
        """Show it ready to remove tags from all captions."""
        self.bulk.open_removal(tags)

    def select(self, tags: Sequence[str]) -> None:
        """Select tags in the list, as far as it shows them."""
        keys = {key_of(tag) for tag in tags}
        chosen = QItemSelection()
        for row, found in enumerate(self.model.rows):
            if key_of(found.tag) in keys:
                chosen.select(self.model.index(row), self.model.index(row))
        self.view.selectionModel().select(chosen, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def start_rename(self) -> None:
        """Put the keyboard into the line for the new name."""
        tags = self.selected_tags
        if tags:
            self.name_line.setText(tags[0])
            self.name_line.selectAll()
            self.name_line.setFocus()

    def rename(self) -> None:
        """Give the selected tags another name; several become one."""
        tags, new = self.selected_tags, self.name_line.text().strip(" ,")
        operations: list[Operation] = [ReplaceTag(tag, new) for tag in tags if tag != new]
        if not new or not operations:
            return
        if len(tags) == 1:
            self._changes.apply(operations, self.scope_bar.images)
        else:
            self._changes.apply(
                operations,
                self.scope_bar.images,
                lambda number: (
                    tr("Merge {n} tags into {tag} in 1 caption", n=len(tags), tag=new)
                    if number == 1
                    else tr("Merge {n} tags into {tag} in {number} captions", n=len(tags), tag=new, number=number)
                ),
            )
        self.name_line.clear()

    def remove(self) -> None:
        """Take the selected tags out of the captions of the scope."""
        if tags := self.selected_tags:
            self._changes.apply([RemoveTags(tuple(tags))], self.scope_bar.images)

    def add_to_selected(self) -> None:
        """Add the selected tags to the pictures that are selected in the grid."""
        if tags := self.selected_tags:
            self._changes.apply([AddTags(tuple(tags))], self._scopes.images("selected"))

    def _filter(self) -> None:
        if tags := self.selected_tags:
            self.filter_requested.emit(tag_filter(tags))

    # Counting

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """What changed while nobody looked is counted now."""
        super().showEvent(event)
        self._show_actions()
        if self._is_stale:
            self._timer.start(0)

    def _refresh(self) -> None:
        """The tags are others, a moment later."""
        self._is_stale = True
        if self.isVisible():
            self._timer.start()

    def _on_index_changed(self) -> None:
        if self.scope_bar.scope == "all":
            self._refresh()

    def _on_captions_changed(self) -> None:
        if self.scope_bar.scope != "all":
            self._refresh()

    def _count(self) -> None:
        self._is_stale = False
        if self.scope_bar.scope == "all":
            counts = self._index.counts
            self._counting.start(lambda: _named(counts), self._take_rows)
        else:
            captions = self._captions()
            self._counting.start(lambda: _named(tag_counts(captions)), self._take_rows)

    def _captions(self) -> list[str]:
        """The captions of the scope."""
        scan = self._project.scan
        if self.scope_bar.scope == "all" and scan is not None:
            return [record.caption or "" for record in scan.records]
        return list(captions_of(self._project, self.scope_bar.images).values())

    def _take_rows(self, result: list[Suggestion] | Exception) -> None:
        if isinstance(result, Exception):
            self._project.crashed.emit(details(result))
            return
        self._rows = result
        self._list()

    def _list(self) -> None:
        self._searching.stop()
        rows, needle, by_name = self._rows, self.search.text().strip(), self.sort_button.isChecked()
        self._listing.start(lambda: _found(rows, needle, by_name), self._take_list)

    def _take_list(self, result: list[Suggestion] | Exception) -> None:
        if isinstance(result, Exception):
            self._project.crashed.emit(details(result))
            return
        selected, place = self.selected_tags, self.view.verticalScrollBar().value()
        self.model.set_rows(result, len(self.scope_bar.images))
        self.select(selected)
        self.view.verticalScrollBar().setValue(place)
        self._show_actions()

    # What is shown

    def _on_writing_changed(self, name: str, done: int, _total: int) -> None:
        if not name or not done:  # It begins or ends.
            self._show_actions()

    def _show_actions(self) -> None:
        if not self.isVisible():
            return
        tags = self.selected_tags
        number = len(tags)
        listed = self.model.rowCount()
        words = [tr("1 tag") if listed == 1 else tr("{n} tags", n=f"{listed:,}")]
        if number:
            words.append(tr("{n} selected", n=number))
        self._summary.setText(" · ".join(words))
        is_known = self._index.is_ready and not self._counting.is_busy and not self._listing.is_busy
        self._empty.setVisible(is_known and not listed)
        self._empty.setText(
            tr("No tag has this text.")
            if self.search.text().strip()
            else tr("No captions yet. Write one beside its picture, or let the tagger write them.")
        )
        self._actions.setVisible(number > 0)
        if not number:
            self._affecting.drop()
            return
        self.rename_button.setText(tr("Rename") if number == 1 else tr("Merge {n}", n=number))
        self._show_rename()
        self._show_add()
        keys = frozenset(map(key_of, tags))
        captions = self._captions()
        self._affecting.start(lambda: sum(not keys.isdisjoint(keys_of(text)) for text in captions), self._take_affected)

    def _show_rename(self) -> None:
        self.rename_button.setEnabled(not self._project.is_writing and bool(self.name_line.text().strip(" ,")))

    def _show_add(self) -> None:
        number = len(self._scopes.images("selected"))
        self.add_button.setText(
            tr("Add to 1 selected picture") if number == 1 else tr("Add to {n} selected pictures", n=number)
        )
        self.add_button.setEnabled(number > 0 and not self._project.is_writing)

    def _take_affected(self, number: int | Exception) -> None:
        if isinstance(number, Exception):
            self._project.crashed.emit(details(number))
            return
        self.remove_button.setText(
            tr("Remove from 1 caption") if number == 1 else tr("Remove from {n} captions", n=number)
        )
        self.remove_button.setEnabled(number > 0 and not self._project.is_writing)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.set_title(tr("Tags"))
        self.scope_bar.retranslate()
        self.search.setPlaceholderText(tr("Find a tag, in English or Chinese"))
        self.search.setAccessibleName(tr("Find a tag, in English or Chinese"))
        self.sort_button.setToolTip(tr("Sort by name instead of by count"))
        self.sort_button.setAccessibleName(tr("Sort by name instead of by count"))
        self.view.setAccessibleName(tr("Tags of the dataset"))
        self.name_line.setPlaceholderText(tr("New name"))
        self.name_line.setAccessibleName(tr("New name"))
        self.bulk_button.setText(tr("Edit many captions…"))
        self.bulk_button.setToolTip(tr("Add, remove, replace and sort in many captions at once"))
        if self._bulk is not None:
            self._bulk.retranslate()
        self._show_actions()


def _named(counts: Sequence[TagCount]) -> list[Suggestion]:
    return [Suggestion(count.tag, count.count, chinese_name(count.tag)) for count in counts]


def _found(rows: Sequence[Suggestion], needle: str, by_name: bool) -> list[Suggestion]:
    """The rows with a text in the tag or its Chinese name, by count or by name."""
    key = key_of(needle)
    found = [row for row in rows if key in key_of(row.tag) or needle in row.chinese] if needle else list(rows)
    return sorted(found, key=lambda row: key_of(row.tag)) if by_name else found
