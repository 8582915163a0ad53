"""The forms of the operations on many captions: what is typed in them becomes an operation of `core.dataset.bulk`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from app import theme
from app.tag_index import TagIndex
from app.widgets.card import label, pad_spin_box, restyle
from app.widgets.tag_line import TagLine
from core.dataset.bulk import (
    AddTags,
    Deduplicate,
    Operation,
    RemoveTags,
    ReplaceTag,
    ReplaceText,
    SortTags,
    SpacesToUnderscores,
    TriggerToFront,
    UnderscoresToSpaces,
)
from core.dataset.captions import split_tags
from core.text import tr

Place = Literal["end", "front", "after trigger"]
Order = Literal["frequency", "alphabet", "list"]


class BulkForm(QWidget):
    """One operation. `changed` follows every change of what is typed."""

    changed = Signal()
    confirmed = Signal()  # Enter in one of the fields
    cancelled = Signal()  # Escape in one of the fields

    def __init__(self) -> None:
        super().__init__()
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(theme.SPACE_S)
        self._about = label(role="muted", wrap=True)
        self.column.addWidget(self._about)
        self._labels: list[QLabel] = []

    def operation(self) -> Operation | None:
        """What is asked for; None while something is missing."""
        raise NotImplementedError

    def title(self) -> str:
        """What the operation is called in the list."""
        raise NotImplementedError

    def about(self) -> str:
        """One sentence about what it does."""
        raise NotImplementedError

    def field_names(self) -> Sequence[str]:
        """What stands over the fields that `add_field` added, in order."""
        return ()

    def main_field(self) -> QWidget:
        """What gets the keyboard first, and the red border when something is wrong."""
        return self

    def add_field(self, widget: QWidget) -> None:
        """Add a field with a name over it."""
        name = label(role="small")
        self._labels.append(name)
        self.column.addWidget(name)
        self.column.addWidget(widget)

    def finish(self) -> None:
        """Keep the fields at the top; called once, after the last one."""
        self.column.addStretch(1)

    def set_wrong(self, is_wrong: bool) -> None:
        """Mark the main field."""
        field = self.main_field()
        if field is not self and field.property("state") != ("error" if is_wrong else ""):
            field.setProperty("state", "error" if is_wrong else "")
            restyle(field)

    def watch(self, line: QLineEdit) -> None:
        """Follow what is typed into a line."""
        line.textChanged.connect(lambda _text: self.changed.emit())
        if isinstance(line, TagLine):
            line.entered.connect(lambda _text: self.confirmed.emit())
            line.escaped.connect(self.cancelled)
        else:
            line.returnPressed.connect(self.confirmed)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self._about.setText(self.about())
        for name, text in zip(self._labels, self.field_names(), strict=True):
            name.setText(text)


class TagsForm(BulkForm):
    """Tags to remove."""

    def __init__(self, index: TagIndex) -> None:
        super().__init__()
        self.tags = TagLine(index, takes="list")
        self.watch(self.tags)
        self.add_field(self.tags)
        self._add_more()
        self.finish()

    def _add_more(self) -> None:
        """Room for what a subclass asks beside the tags."""

    def main_field(self) -> QWidget:
        """The line of tags."""
        return self.tags

    def operation(self) -> Operation | None:
        """Take them out."""
        tags = split_tags(self.tags.text())
        return RemoveTags(tuple(tags)) if tags else None

    def title(self) -> str:
        """Its name."""
        return tr("Remove tags")

    def about(self) -> str:
        """What it does."""
        return tr("Takes tags out of the captions, in whatever spelling they are.")

    def field_names(self) -> Sequence[str]:
        """Over the line."""
        return (tr("Tags, separated by commas"),)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.tags.setAccessibleName(tr("Tags, separated by commas"))


class AddForm(TagsForm):
    """Tags to add, and where."""

    def __init__(self, index: TagIndex) -> None:
        self.trigger = ""
        super().__init__(index)

    def _add_more(self) -> None:
        self.place = QComboBox()
        for place in ("end", "front", "after trigger"):
            self.place.addItem("", place)
        self.place.currentIndexChanged.connect(lambda _row: self.changed.emit())
        self.add_field(self.place)

    def operation(self) -> Operation | None:
        """Add them."""
        tags = split_tags(self.tags.text())
        place = cast(Place, self.place.currentData())
        return AddTags(tuple(tags), place, self.trigger) if tags else None

    def title(self) -> str:
        """Its name."""
        return tr("Add tags")

    def about(self) -> str:
        """What it does."""
        return tr("Adds tags to the captions that do not have them yet.")

    def field_names(self) -> Sequence[str]:
        """Over line and place."""
        return (*super().field_names(), tr("Where"))

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        for row, text in enumerate((tr("At the end"), tr("At the front"), tr("After the trigger word"))):
            self.place.setItemText(row, text)
        self.place.setAccessibleName(tr("Where"))


class ReplaceTagForm(BulkForm):
    """One tag for another."""

    def __init__(self, index: TagIndex) -> None:
        super().__init__()
        self.old = TagLine(index, takes="one")
        self.new = TagLine(index, takes="list")
        for line in (self.old, self.new):
            self.watch(line)
            self.add_field(line)
        self.finish()

    def main_field(self) -> QWidget:
        """The tag to replace."""
        return self.old

    def operation(self) -> Operation | None:
        """Replace it."""
        old, new = self.old.text().strip(" ,"), self.new.text().strip(" ,")
        return ReplaceTag(old, new) if old and new else None

    def title(self) -> str:
        """Its name."""
        return tr("Replace a tag")

    def about(self) -> str:
        """What it does."""
        return tr("Puts another tag, or several, in the place of one. Tags that are there already are not doubled.")

    def field_names(self) -> Sequence[str]:
        """Over the two lines."""
        return tr("Tag"), tr("Its new name")

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.old.setAccessibleName(tr("Tag"))
        self.new.setAccessibleName(tr("Its new name"))


class ReplaceTextForm(BulkForm):
    """Text for other text, also by patterns."""

    def __init__(self) -> None:
        super().__init__()
        self.find_line = QLineEdit()
        self.replace_line = QLineEdit()
        for line in (self.find_line, self.replace_line):
            line.setAcceptDrops(False)
            self.watch(line)
            self.add_field(line)
        self.is_regex = QCheckBox()
        self.match_case = QCheckBox()
        for box in (self.match_case, self.is_regex):
            box.toggled.connect(lambda _on: self.changed.emit())
            self.column.addWidget(box)
        self.finish()

    def main_field(self) -> QWidget:
        """The text to find."""
        return self.find_line

    def operation(self) -> Operation | None:
        """Replace it."""
        if not self.find_line.text():
            return None
        return ReplaceText(
            self.find_line.text(), self.replace_line.text(), self.is_regex.isChecked(), self.match_case.isChecked()
        )

    def title(self) -> str:
        """Its name."""
        return tr("Replace text")

    def about(self) -> str:
        """What it does."""
        return tr("Replaces text wherever it stands, also inside tags and sentences.")

    def field_names(self) -> Sequence[str]:
        """Over the two lines."""
        return tr("Find"), tr("Replace by")

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.find_line.setAccessibleName(tr("Find"))
        self.replace_line.setAccessibleName(tr("Replace by"))
        self.replace_line.setPlaceholderText(tr("empty to delete"))
        self.match_case.setText(tr("Capital letters count"))
        self.is_regex.setText(tr("It is a pattern (regular expression)"))


class SortForm(BulkForm):
    """The order of the tags."""

    def __init__(self, index: TagIndex) -> None:
        super().__init__()
        self.by = QComboBox()
        for order in ("frequency", "alphabet", "list"):
            self.by.addItem("", order)
        self.by.currentIndexChanged.connect(self._on_order_changed)
        self.add_field(self.by)
        self.keep = QSpinBox()
        self.keep.setRange(0, 20)
        self.keep.setValue(1)
        pad_spin_box(self.keep)
        self.keep.valueChanged.connect(lambda _number: self.changed.emit())
        self.add_field(self.keep)
        self.order = TagLine(index, takes="list")
        self.watch(self.order)
        self.add_field(self.order)
        self._on_order_changed()
        self.finish()

    def _on_order_changed(self) -> None:
        is_list = self.by.currentData() == "list"
        self.order.setVisible(is_list)
        self._labels[2].setVisible(is_list)
        self.changed.emit()

    def main_field(self) -> QWidget:
        """The kind of order."""
        return self.by

    def operation(self) -> Operation | None:
        """Sort them."""
        by = cast(Order, self.by.currentData())
        order = tuple(split_tags(self.order.text())) if by == "list" else ()
        return SortTags(by, order, self.keep.value()) if by != "list" or order else None

    def title(self) -> str:
        """Its name."""
        return tr("Sort tags")

    def about(self) -> str:
        """What it does."""
        return tr("Puts the tags of every caption in order. Captions with sentences stay as they are.")

    def field_names(self) -> Sequence[str]:
        """Over the fields."""
        return tr("Order"), tr("Keep so many tags in front"), tr("Tags in this order, the others behind")

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        for row, text in enumerate((tr("Most frequent first"), tr("By name"), tr("As I write them"))):
            self.by.setItemText(row, text)
        self.by.setAccessibleName(tr("Order"))
        self.keep.setAccessibleName(tr("Keep so many tags in front"))
        self.order.setAccessibleName(tr("Tags in this order, the others behind"))


class TriggerForm(BulkForm):
    """The trigger word at the front of every caption."""

    def __init__(self) -> None:
        super().__init__()
        self.trigger = QLineEdit()
        self.watch(self.trigger)
        self.add_field(self.trigger)
        self.finish()

    def main_field(self) -> QWidget:
        """The word."""
        return self.trigger

    def operation(self) -> Operation | None:
        """Put it there."""
        trigger = self.trigger.text().strip(" ,")
        return TriggerToFront(trigger) if trigger else None

    def title(self) -> str:
        """Its name."""
        return tr("Trigger word to the front")

    def about(self) -> str:
        """What it does."""
        return tr("Begins every caption with the trigger word. Sentences that have it somewhere stay as they are.")

    def field_names(self) -> Sequence[str]:
        """Over the line."""
        return (tr("The trigger word"),)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.trigger.setAccessibleName(tr("The trigger word"))


class DuplicatesForm(BulkForm):
    """Tags that are there twice."""

    def __init__(self) -> None:
        super().__init__()
        self.finish()

    def operation(self) -> Operation | None:
        """Take them out."""
        return Deduplicate()

    def title(self) -> str:
        """Its name."""
        return tr("Remove double tags")

    def about(self) -> str:
        """What it does."""
        return tr("Where a caption has a tag twice, in whatever spelling, the first one stays.")


class UnderscoresForm(BulkForm):
    """Spaces for underscores, or the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.direction = QComboBox()
        for _ in range(2):
            self.direction.addItem("")
        self.direction.currentIndexChanged.connect(lambda _row: self.changed.emit())
        self.add_field(self.direction)
        self.finish()

    def main_field(self) -> QWidget:
        """The direction."""
        return self.direction

    def operation(self) -> Operation | None:
        """Write them so."""
        return UnderscoresToSpaces() if self.direction.currentIndex() == 0 else SpacesToUnderscores()

    def title(self) -> str:
        """Its name."""
        return tr("Underscores and spaces")

    def about(self) -> str:
        """What it does."""
        return tr("Spells all tags alike. Faces such as ^_^ stay.")

    def field_names(self) -> Sequence[str]:
        """Over the choice."""
        return (tr("Spelling"),)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.direction.setItemText(0, tr("Spaces: long hair"))
        self.direction.setItemText(1, tr("Underscores: long_hair"))
        self.direction.setAccessibleName(tr("Spelling"))
