"""The tags of a caption as chips, or what several captions have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QPoint, QRect, Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QFrame, QMenu, QScrollArea, QVBoxLayout, QWidget

from app import theme
from app.tag_index import TagIndex
from app.widgets.chip_board import ChipBoard
from app.widgets.tag_line import TagLine
from app.widgets.tag_rows import tag_filter, tag_tooltip
from core.dataset.captions import split_tags, tag_key
from core.dataset.statistics import TagCount
from core.dataset.tag_names import chinese_name
from core.text import tr

RENAME_WIDTH = 180
MOST_SHOWN = 150  # More different tags of several pictures are no help to anybody.


class TagChips(QWidget):
    """Chips that wrap over lines, and a line below them that adds.

    Of one caption, every change gives the new tags at once (`tags_changed`). Of several captions (`set_common`), the
    wishes come one by one (`added`, `removed`, `renamed`), and the chips wait to be set anew.
    """

    tags_changed = Signal(object)  # list[str]
    added = Signal(object)  # list[str]
    removed = Signal(object)  # list[str]
    renamed = Signal(str, str)
    filter_requested = Signal(str)  # a filter: show the pictures with a tag
    rename_requested = Signal(str)  # a tag, everywhere
    removal_requested = Signal(object)  # list[str], everywhere
    move_requested = Signal(int)
    left = Signal()

    def __init__(self, index: TagIndex) -> None:
        super().__init__()
        self._index = index
        self._is_common = False
        self._num_hidden = 0
        self._renaming = -1
        self.line = TagLine(index)
        self.board = ChipBoard()
        self.rename_line = TagLine(index, takes="list", parent=self.board)
        self.rename_line.hide()
        self._area = QScrollArea()
        self._area.setWidget(self.board)
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.board.setProperty("role", "scrolled")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self._area, 1)
        column.addWidget(self.line)
        self._connect()
        self.setTabOrder(self.board, self.line)
        self.retranslate()

    def _connect(self) -> None:
        board, line, rename = self.board, self.line, self.rename_line
        board.moved.connect(lambda order: self._change([board.chips[place].tag for place in order]))
        board.removal_wanted.connect(self.remove)
        board.rename_wanted.connect(self.start_rename)
        board.opened.connect(
            lambda place: self._open_menu(place, board.mapToGlobal(board.place_of(place).bottomLeft()))
        )
        board.menu_wanted.connect(self._open_menu)
        board.typed.connect(self._type)
        board.went_on.connect(line.setFocus)
        board.escaped.connect(self.left)
        board.move_requested.connect(self.move_requested)
        board.shown_place.connect(self._show_place)
        board.hovered.connect(self._explain)
        line.entered.connect(self.add)
        line.went_back.connect(self._go_back)
        line.escaped.connect(self.left)
        line.move_requested.connect(self.move_requested)
        rename.entered.connect(lambda _text: self._end_rename())
        rename.left.connect(self._end_rename)
        rename.escaped.connect(self._drop_rename)

    # What is shown

    @property
    def tags(self) -> list[str]:
        """The tags that are shown, in order."""
        return [chip.tag for chip in self.board.chips]

    @property
    def is_common(self) -> bool:
        """Whether the tags are those of several captions."""
        return self._is_common

    @property
    def num_hidden(self) -> int:
        """So many rarer tags of several captions are not shown."""
        return self._num_hidden

    def set_tags(self, tags: Sequence[str]) -> None:
        """Show the tags of one caption."""
        self._show([TagCount(tag, 1, 1) for tag in tags], is_common=False)

    def set_common(self, counts: Sequence[TagCount]) -> None:
        """Show what several captions have in common: tags of all first, then those of some, the most frequent first."""
        ordered = sorted(counts, key=lambda count: -count.count)
        self._show(ordered[:MOST_SHOWN], is_common=True)
        self._num_hidden = max(0, len(ordered) - MOST_SHOWN)

    def start_over(self) -> None:
        """Select none and scroll to the top, for other pictures than before."""
        self._drop_rename()
        self.board.select(-1)
        self._area.verticalScrollBar().setValue(0)

    def set_learned(self, number: int | None) -> None:
        """Mark the chips past a number, because they are not learned; None marks none."""
        if number != self.board.num_learned:
            self.board.num_learned = number
            self.board.update()

    def set_trigger(self, words: str) -> None:
        """Mark the trigger word among the tags."""
        keys = {tag_key(tag) for tag in split_tags(words)}
        marked = frozenset(tag for tag in self.tags if tag_key(tag) in keys)
        if marked != self.board.marked:
            self.board.marked = marked
            self.board.update()

    def _show(self, chips: list[TagCount], *, is_common: bool) -> None:
        self._num_hidden = 0
        if chips == self.board.chips and is_common == self._is_common:
            return
        self._drop_rename()
        self._is_common = is_common
        self.board.is_movable = not is_common
        self.board.set_chips(chips)

    # Changes

    def add(self, text: str) -> None:
        """Add the tags of a text that are not there yet; those that are, are selected instead."""
        known = {tag_key(chip.tag): chip for chip in self.board.chips}
        new = []
        for tag in split_tags(text):
            chip = known.get(tag_key(tag))
            if chip is None or not chip.is_in_all:
                new.append(tag if chip is None else chip.tag)
            else:
                self.board.select(self.tags.index(chip.tag))
        if new and self._is_common:
            self.added.emit(new)
        elif new:
            self._change([*self.tags, *new])
            self._show_place(self.board.place_of(len(self.tags) - 1))

    def remove(self, places: Sequence[int]) -> None:
        """Take out the tags of some places."""
        gone = [self.board.chips[place].tag for place in places]
        if self._is_common:
            self.removed.emit(gone)
        else:
            self._change([tag for tag in self.tags if tag not in gone])

    def start_rename(self, place: int) -> None:
        """Write another tag in the place of one; several with commas part it."""
        self.board.select(place)
        rect = self.board.place_of(place)
        rect.setWidth(min(max(rect.width() + 2 * theme.SPACE_L, RENAME_WIDTH), self.board.width()))
        rect.moveLeft(min(rect.left(), self.board.width() - rect.width()))
        rect.adjust(0, -3, 0, 3)
        self._renaming = place
        self.rename_line.setText(self.board.chips[place].tag)
        self.rename_line.setGeometry(rect)
        self.rename_line.selectAll()
        self.rename_line.show()
        self.rename_line.raise_()
        self.rename_line.setFocus()

    def _end_rename(self) -> None:
        place, text = self._renaming, self.rename_line.text()
        if place < 0:
            return
        had_focus = self.rename_line.hasFocus()
        self._drop_rename()
        old = self.tags[place]
        if had_focus:
            self.board.setFocus()
        if self._is_common:
            if text.strip() and text != old:
                self.renamed.emit(old, text)
        else:
            new = split_tags(text)
            # A tag that is there already is not doubled: the renamed one keeps its place.
            keys = {tag_key(tag) for tag in new}
            before = [tag for tag in self.tags[:place] if tag_key(tag) not in keys]
            after = [tag for tag in self.tags[place + 1 :] if tag_key(tag) not in keys]
            self._change([*before, *new, *after])

    def _drop_rename(self) -> None:
        self._renaming = -1
        if not self.rename_line.isHidden():
            if self.rename_line.hasFocus():
                self.board.setFocus()
            self.rename_line.popup.hide()
            self.rename_line.hide()

    def _change(self, tags: list[str]) -> None:
        if tags != self.tags:
            self.set_tags(tags)
            self.tags_changed.emit(tags)

    # Helpers of the eye and the hand

    def _type(self, letters: str) -> None:
        self.board.select(-1)
        self.line.setFocus()
        self.line.insert(letters)
        self.line.textEdited.emit(self.line.text())

    def _go_back(self) -> None:
        if self.board.chips:
            self.board.select(len(self.board.chips) - 1)
            self.board.setFocus()

    def _show_place(self, rect: QRect) -> None:
        self._area.ensureVisible(rect.center().x(), rect.center().y(), 0, rect.height() // 2 + 4)

    def _explain(self, place: int) -> None:
        if place < 0:
            self.board.setToolTip("")
            return
        chip = self.board.chips[place]
        lines = [tag_tooltip(chip.tag, self._index.count_of(chip.tag), chinese_name(chip.tag))]
        if self._is_common:
            lines.append(tr("in {count} of the {total} selected pictures", count=chip.count, total=chip.total))
        if self.board.num_learned is not None and place >= self.board.num_learned:
            lines.append(tr("Not learned: the caption is too long, and this is past its end."))
        self.board.setToolTip("\n".join(lines))

    def _open_menu(self, place: int, at: QPoint) -> None:
        menu = self.menu_of(place)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def menu_of(self, place: int) -> QMenu:
        """What can be done with the tag of a place, and with all selected ones when it is one of them."""
        chip = self.board.chips[place]
        places = self.board.selected if place in self.board.selected else [place]
        tags = [self.board.chips[number].tag for number in places]
        menu = QMenu(self)

        def action(text: str, slot: Callable[[], object], keys: str = "") -> None:
            made = menu.addAction(text)
            made.triggered.connect(lambda _checked=False: slot())
            if keys:
                made.setShortcut(QKeySequence(keys))

        if self._is_common and any(not self.board.chips[number].is_in_all for number in places):
            action(tr("Add to all {n} pictures", n=chip.total), lambda: self.added.emit(tags))
        if self._is_common:
            action(tr("Remove from the selected pictures"), lambda: self.removed.emit(tags), "Del")
        elif len(places) == 1:
            action(tr("Rename"), lambda: self.start_rename(place), "F2")
            action(tr("Remove"), lambda: self.remove(places), "Del")
        else:
            action(tr("Remove {n} tags", n=len(places)), lambda: self.remove(places), "Del")
        if self._is_common and len(places) == 1:
            action(tr("Rename in the selected pictures"), lambda: self.start_rename(place), "F2")
        menu.addSeparator()
        action(tr("Show all pictures with this tag"), lambda: self.filter_requested.emit(tag_filter([chip.tag])))
        action(tr("Rename everywhere…"), lambda: self.rename_requested.emit(chip.tag))
        action(tr("Remove everywhere…"), lambda: self.removal_requested.emit(tags))
        return menu

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.board.setAccessibleName(tr("Tags of the caption"))
        self.line.setPlaceholderText(tr("Add a tag"))
        self.line.setAccessibleName(tr("Add a tag"))
        self.line.setToolTip(tr("Enter or a comma adds it, Tab takes the first suggestion"))
        self.rename_line.setAccessibleName(tr("New name"))
