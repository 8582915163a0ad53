"""The trigger word, and which tags are left to it: proposed from what the tagger saw, chosen by the user."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app import theme
from app.latest import Latest
from app.project import Project
from app.widgets.caption_diff import caption_diff, diff_html
from app.widgets.card import Card, ElidedLabel, button, label
from app.widgets.trait_list import TraitList, trait_rows
from core.dataset.tag_cache import key_of
from core.tagging.traits import Target, Trait, propose_traits, propose_trigger
from core.text import tr


class TraitPanel(Card):
    """Nothing is pruned until the user says so. Counting goes on beside the window.

    Turning tags on and off gives `pruned_changed`, which the owner turns into options; `set_pruned` and `set_trigger`
    show what the options are.
    """

    pruned_changed = Signal(object)  # tuple[str, ...]
    trigger_chosen = Signal(str)

    def __init__(self, project: Project, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._project = project
        self._target: Target = "character"
        self._tags: Mapping[Path, Collection[str]] = {}
        self._traits: tuple[Trait, ...] = ()
        self._pruned: dict[str, str] = {}  # key -> tag
        self._trigger = self._proposed_trigger = ""
        self._example = ("", "")
        self._follows_target = False
        self._latest = Latest(self)
        self._about = label(role="muted", wrap=True)
        self._target_title = label(role="strong")
        self._targets = QButtonGroup(self)
        self.target_buttons: dict[Target, QPushButton] = {}
        self._trigger_title = label(role="strong")
        self._trigger_word = ElidedLabel()
        self._trigger_word.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.use_button = button()
        self.use_button.clicked.connect(lambda: self.trigger_chosen.emit(self._proposed_trigger))
        self._trigger_note = label(role="small", wrap=True)
        self._list_title = label(role="strong", wrap=True)
        self.proposed_button, self.all_button, self.none_button = button(), _small(), _small()
        self.proposed_button.clicked.connect(lambda: self._choose(self._proposed()))
        self.all_button.clicked.connect(self._choose_all)
        self.none_button.clicked.connect(lambda: self._choose(()))
        self._list_note = label(role="small", wrap=True)
        self.list = TraitList()
        self.list.toggled.connect(self._toggle)
        self._example_title = label(role="strong")
        self._diff = label(wrap=True)
        self._diff.setTextFormat(Qt.TextFormat.RichText)
        self._empty = label(role="muted", wrap=True)
        self._lay_out()
        theme.signals.changed.connect(self._show_example)
        self.retranslate()

    # Building

    def _lay_out(self) -> None:
        self._inside = QWidget()
        self._inside.setProperty("role", "scrolled")
        column = QVBoxLayout(self._inside)
        column.setContentsMargins(0, 0, theme.SPACE_S, 0)
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self._about)
        column.addSpacing(theme.SPACE_XS)
        column.addWidget(self._target_title)
        column.addLayout(self._build_targets())
        self._found = QWidget()
        found = QVBoxLayout(self._found)
        found.setContentsMargins(0, theme.SPACE_XS, 0, 0)
        found.setSpacing(theme.SPACE_S)
        word = QHBoxLayout()
        word.setSpacing(theme.SPACE_S)
        word.addWidget(self._trigger_word, 1)
        word.addWidget(self.use_button)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SPACE_XS)
        for made in (self.proposed_button, self.all_button, self.none_button):
            buttons.addWidget(made)
        buttons.addStretch(1)
        found.addWidget(self._trigger_title)
        found.addLayout(word)
        found.addWidget(self._trigger_note)
        found.addSpacing(theme.SPACE_XS)
        found.addWidget(self._list_title)
        found.addLayout(buttons)
        found.addWidget(self._list_note)
        found.addWidget(self.list)
        column.addWidget(self._found)
        column.addWidget(self._empty)
        column.addStretch(1)
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidgetResizable(True)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(self._inside)
        self.list.shown_place.connect(self._scroll_to)
        self._line = QFrame()
        self._line.setProperty("role", "line")
        self.body.addWidget(self.area, 1)
        for widget in (self._line, self._example_title, self._diff):  # In sight wherever the list is.
            self.body.addWidget(widget)

    def _build_targets(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(2)
        targets: tuple[Target, ...] = ("character", "style", "object")
        for target in targets:
            made = _small()
            made.setCheckable(True)
            made.setChecked(target == self._target)
            made.clicked.connect(lambda _checked, target=target: self._set_target(target))
            self._targets.addButton(made)
            self.target_buttons[target] = made
            row.addWidget(made)
        row.addStretch(1)
        return row

    # What is known

    @property
    def pruned(self) -> tuple[str, ...]:
        """The tags that are left to the trigger word."""
        return tuple(self._pruned.values())

    def set_tags(self, tags_of_pictures: Mapping[Path, Collection[str]]) -> None:
        """Count the tags of these pictures, beside the window; none while nothing was tagged."""
        self._tags = tags_of_pictures
        self._count()

    def set_pruned(self, tags: Collection[str]) -> None:
        """Show which tags are pruned, without a signal."""
        pruned = {key_of(tag): tag for tag in tags}
        if pruned.keys() == self._pruned.keys():
            return
        self._pruned = pruned
        self._follows_target = False
        self._show_list()
        self._list_all_pruned()

    def set_trigger(self, word: str) -> None:
        """Show which trigger word is in use, without a signal."""
        if word != self._trigger:
            self._trigger = word
            self._show_trigger()
            self._count()  # The word itself is no trait.

    def set_example(self, before: str, after: str) -> None:
        """Show one caption without and with what is chosen here; two empty ones show none."""
        if (before, after) != self._example:
            self._example = (before, after)
            self._show_example()

    # Choosing

    def _set_target(self, target: Target) -> None:
        if target == self._target:
            return
        self._target = target
        # Who pruned what was proposed of the one wants that of the other.
        self._follows_target = bool(self._pruned) and self._pruned.keys() == {key_of(tag) for tag in self._proposed()}
        self._say_about()
        self._count()

    def _proposed(self) -> list[str]:
        return [trait.tag for trait in self._traits if trait.is_proposed]

    def _choose_all(self) -> None:
        self._choose([*(trait.tag for trait in self._traits), *self.pruned])

    def _toggle(self, tag: str) -> None:
        pruned = dict(self._pruned)
        if pruned.pop(key_of(tag), None) is None:
            pruned[key_of(tag)] = tag
        self._choose(pruned.values())

    def _choose(self, tags: Iterable[str]) -> None:
        """Prune these tags, in the order of the list; those that are not counted yet come last."""
        self._follows_target = False
        wanted = {key_of(tag): tag for tag in tags}
        listed = {key_of(trait.tag): trait.tag for trait in self._traits if key_of(trait.tag) in wanted}
        pruned = {**listed, **{key: tag for key, tag in wanted.items() if key not in listed}}
        if pruned.keys() != self._pruned.keys():
            self._pruned = pruned
            self._show_list()
            self.pruned_changed.emit(self.pruned)

    # Counting

    def _count(self) -> None:
        tags, target, trigger = self._tags, self._target, self._trigger
        if not tags:
            self._latest.drop()
            self._follows_target = False
            self._traits, self._proposed_trigger = (), ""
            self._show()
            return
        pruned = () if self._follows_target else self.pruned
        folder = self._project.folder
        self._latest.start(lambda: _found(tags, folder, target, trigger, pruned), self._take)

    def _list_all_pruned(self) -> None:
        """Count again where a tag that is pruned is not in the list, so that it can be taken back there."""
        if not self._pruned.keys() <= {key_of(trait.tag) for trait in self._traits}:
            self._count()

    def _take(self, result: tuple[tuple[Trait, ...], str] | Exception) -> None:
        follows, self._follows_target = self._follows_target, False
        if isinstance(result, Exception):
            self._project.tell(result)
            return
        self._traits, self._proposed_trigger = result
        self._show()
        if follows:
            self._choose(self._proposed())
        else:
            self._list_all_pruned()

    # What is shown

    def _show(self) -> None:
        self._found.setVisible(bool(self._tags))
        self._empty.setVisible(not self._tags)
        self._show_trigger()
        self._show_list()
        self._show_example()

    def _show_trigger(self) -> None:
        is_used = bool(self._trigger)
        self._trigger_word.setText(self._trigger or self._proposed_trigger)
        self.use_button.setVisible(not is_used and bool(self._proposed_trigger))
        self._trigger_note.setText(
            tr("It stands first in every caption.")
            if is_used
            else tr("A proposal: a word that no tag uses, so that it means nothing yet.")
        )

    def _show_list(self) -> None:
        total = sum(1 for tags in self._tags.values() if tags) if self._traits else 0
        self.list.set_rows(trait_rows(self._traits, total))
        self.list.set_on([trait.tag for trait in self._traits if key_of(trait.tag) in self._pruned])
        self._list_title.setText(tr("Left to the trigger word: {n}", n=len(self._pruned)))
        proposed = {key_of(tag) for tag in self._proposed()}
        self.proposed_button.setText(tr("Take {n} proposed", n=len(proposed)))
        self.proposed_button.setEnabled(bool(proposed) and proposed != self._pruned.keys())
        self.all_button.setEnabled(len(self._pruned) < len(self._traits))
        self.none_button.setEnabled(bool(self._pruned))
        for widget in (self.list, self.proposed_button, self.all_button, self.none_button):
            widget.setVisible(bool(self._traits))
        self._list_note.setText(
            tr("Orange bars are proposed. The bar shows on how many pictures a tag is.")
            if self._traits
            else tr("No tag of this kind is on enough pictures.")
        )

    def _show_example(self) -> None:
        before, after = self._example
        for widget in (self._line, self._example_title, self._diff):
            widget.setVisible(bool(self._tags) and before != after)  # Else the room is the list's.
        self._diff.setText(diff_html(caption_diff(before, after), theme.tokens()))

    def _say_about(self) -> None:
        sentences: dict[Target, str] = {
            "character": tr("Turn on what always belongs to the character, and the trigger word alone brings it."),
            "style": tr("Turn on words for the style only; what is in the pictures stays named, so it is not learned."),
            "object": tr("Turn on words for the object only; people and places stay named, so they are not learned."),
        }
        first = tr("What a caption names can be changed by prompt; what it leaves out is learned by the trigger word.")
        self._about.setText(f"{first}\n{sentences[self._target]}")

    def _scroll_to(self, place: QRect) -> None:
        shown = self.list.mapTo(self._inside, place.center())
        self.area.ensureVisible(shown.x(), shown.y(), 0, place.height())

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.set_title(tr("What the trigger word learns"))
        self._target_title.setText(tr("What is trained"))
        names: dict[Target, str] = {"character": tr("Character"), "style": tr("Style"), "object": tr("Object")}
        for target, made in self.target_buttons.items():
            made.setText(names[target])
            made.setAccessibleName(f"{tr('What is trained')}: {names[target]}")
        self._trigger_title.setText(tr("Trigger word"))
        self.use_button.setText(tr("Use it"))
        self.use_button.setToolTip(tr("Put this word in front of every caption"))
        self.all_button.setText(tr("All"))
        self.all_button.setAccessibleName(tr("Leave all of these tags to the trigger word"))
        self.none_button.setText(tr("None"))
        self.none_button.setAccessibleName(tr("Leave none of these tags to the trigger word"))
        self.list.setAccessibleName(tr("Tags that many pictures share"))
        self._example_title.setText(tr("This caption, for example"))
        self._empty.setText(tr("Tag the pictures first. Then the tags that many of them share are listed here."))
        self._say_about()
        self._show()


def _small() -> QPushButton:
    """A flat button that needs little room."""
    made = QPushButton()
    made.setProperty("role", "segment")
    made.setProperty("narrow", True)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    return made


def _found(
    tags: Mapping[Path, Collection[str]], folder: Path | None, target: Target, trigger: str, pruned: Collection[str]
) -> tuple[tuple[Trait, ...], str]:
    """The traits and a trigger word. It names the folder that has all the pictures, else the one that is open."""
    folders = {path.parent for path in tags}
    named = folders.pop() if len(folders) == 1 else folder
    traits = propose_traits(tags.values(), target, trigger, pruned)
    return traits, propose_trigger(named) if named is not None else ""
