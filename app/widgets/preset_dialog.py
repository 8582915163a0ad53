"""All presets, what each would change, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.editors import browse_start, remember_place
from app.params_presets import ParamsPresets
from app.project import Project
from app.widgets.card import button, label, set_role
from app.widgets.preset_changes import ChangeList
from app.widgets.preset_form import PresetForm
from core.config.labels import differing
from core.errors import UserError, explain
from core.presets import (
    Preset,
    add_preset,
    delete_preset,
    own_changes,
    rename_preset,
    save_preset,
    share_preset,
)
from core.text import tr

SIZE = (840, 560)
_ROLE = int(Qt.ItemDataRole.UserRole)


class PresetDialog(QDialog):
    """A list at the left; at the right what the chosen one is for and what it would change."""

    applied = Signal()

    def __init__(self, project: Project, presets: ParamsPresets, *, is_starter: bool, parent: QWidget | None = None):
        """Build the dialog.

        Args:
            project: Whose settings are changed.
            presets: What is chosen now.
            is_starter: Whether the base model is the small starter model, which Kiln's presets do not suit.
            parent: The window it belongs to.
        """
        super().__init__(parent)
        self._project = project
        self._presets = presets
        self._is_starter = is_starter
        self.question: QDialog | None = None
        self.setWindowTitle(tr("Presets"))
        self.resize(*SIZE)
        self.list = QListWidget()
        self.list.setProperty("role", "list")
        self.list.setFixedWidth(260)
        self.list.setAccessibleName(tr("Presets"))
        self.list.currentItemChanged.connect(lambda *_: self._show())
        self.list.itemActivated.connect(lambda _item: self.apply())
        self.title = label(role="heading", wrap=True)
        self.description = label(role="muted", wrap=True)
        self.note = label(role="warning", wrap=True)
        self.summary = label(role="strong", wrap=True)
        self.changes = ChangeList()
        self.save_button = button(tr("Save as preset…"), icon="save")
        self.save_button.clicked.connect(self.save_as)
        self.more_button = button(tr("More"))
        self.use_button = button(tr("Use this preset"), kind="primary")
        self.use_button.clicked.connect(self.apply)
        self.close_button = button(tr("Close"))
        self.close_button.clicked.connect(self.close)
        for made in (self.save_button, self.more_button, self.close_button):
            made.setAutoDefault(False)
        self._fill_menu()
        self._lay_out()
        self.fill()

    def _fill_menu(self) -> None:
        menu = QMenu(self)
        self.rename_action = menu.addAction(tr("Rename…"), self.rename)
        self.delete_action = menu.addAction(tr("Delete"), self.delete)
        menu.addSeparator()
        self.share_action = menu.addAction(tr("Share as file…"), self._share)
        menu.addAction(tr("Add from a file…"), self._add)
        self.more_button.setMenu(menu)

    def _lay_out(self) -> None:
        right = QVBoxLayout()
        right.setSpacing(theme.SPACE_S)
        for made in (self.title, self.description, self.note, self.summary):
            right.addWidget(made)
        right.addWidget(self.changes, 1)
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_XL)
        top.addWidget(self.list)
        top.addLayout(right, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SPACE_S)
        buttons.addWidget(self.save_button)
        buttons.addWidget(self.more_button)
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.use_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_L)
        column.addLayout(top, 1)
        column.addLayout(buttons)

    def fill(self, chosen: Preset | None = None) -> None:
        """List all presets and choose one: the one given, or the one in use."""
        chosen = chosen or self._presets.preset
        self.list.clear()
        self._add_item(tr("Kiln's choice"), None)
        found = self._presets.offered()
        own = [preset for preset in found if preset.is_own]
        for preset in (preset for preset in found if not preset.is_own):
            self._add_item(preset.title, preset)
        if own:
            head = QListWidgetItem(tr("Your presets"))
            head.setFlags(Qt.ItemFlag.NoItemFlags)
            head.setForeground(theme.colour(theme.tokens().muted))
            self.list.addItem(head)
            for preset in own:
                self._add_item(preset.title, preset)
        keys = [self._key(row) for row in range(self.list.count())]
        wanted = chosen.key if chosen else ""
        self.list.setCurrentRow(keys.index(wanted) if wanted in keys else 0)

    def _add_item(self, title: str, preset: Preset | None) -> None:
        item = QListWidgetItem(title)
        item.setData(_ROLE, preset)
        self.list.addItem(item)

    def _key(self, row: int) -> str | None:
        item = self.list.item(row)
        if not item.flags() & Qt.ItemFlag.ItemIsSelectable:
            return None
        preset = item.data(_ROLE)
        return preset.key if isinstance(preset, Preset) else ""

    @property
    def preset(self) -> Preset | None:
        """The preset that is chosen in the list; None for Kiln's choice."""
        item = self.list.currentItem()
        found = item.data(_ROLE) if item is not None else None
        return found if isinstance(found, Preset) else None

    def _show(self) -> None:
        preset = self.preset
        self.title.setText(preset.title if preset else tr("Kiln's choice"))
        words = preset.description if preset else tr("What Kiln chooses from the base model and your pictures.")
        if preset and preset.author:
            words = f"{words}\n{tr('By {author}', author=preset.author)}".strip()
        self.description.setText(words)
        self.description.setVisible(bool(words))
        self._say(self._warning(preset))
        config = self._project.config
        after = self._presets.outcome(preset)
        keys = differing(config, after)
        self.summary.setText(self._summary(len(keys)))
        self.changes.show_changes(config, after, keys)
        is_own = preset is not None and preset.is_own
        self.rename_action.setEnabled(is_own)
        self.delete_action.setEnabled(is_own)
        self.share_action.setEnabled(preset is not None)

    def _warning(self, preset: Preset | None) -> str:
        if preset is None:
            return ""
        if self._is_starter and not preset.is_own:
            return tr("It is made for full-size models; the small starter model learns best with Kiln's choice.")
        return "\n".join(preset.left_out)

    def _summary(self, number: int) -> str:
        if number == 0:
            return tr("Your settings are like this already.")
        return tr("Would change 1 option:") if number == 1 else tr("Would change {number} options:", number=number)

    def _say(self, words: str, role: str = "warning") -> None:
        self.note.setText(words)
        self.note.setVisible(bool(words))
        set_role(self.note, role)

    # What can be done

    def apply(self) -> None:
        """Take the settings of the chosen preset."""
        self._presets.apply(self.preset)
        self.applied.emit()
        self.accept()

    def save_as(self) -> None:
        """Keep the settings of now as a preset."""
        changes = own_changes(self._project.config, self._presets.basis)

        def keep(title: str, description: str, author: str) -> None:
            preset = save_preset(changes, title=title, description=description, author=author)
            self._presets.use(preset)
            self.fill(preset)

        self._ask(PresetForm(keep, parent=self))

    def rename(self) -> None:
        """Give the chosen preset another name."""
        if (preset := self.preset) is None:
            return

        def keep(title: str, _description: str, _author: str) -> None:
            renamed = rename_preset(preset, title)
            if self._presets.preset is not None and self._presets.preset.key == renamed.key:
                self._presets.use(renamed)
            self.fill(renamed)

        self._ask(PresetForm(keep, title=preset.title, only_name=True, parent=self))

    def delete(self) -> None:
        """Remove the chosen preset, after a question."""
        from app.widgets.message_dialog import MessageDialog

        if (preset := self.preset) is None:
            return
        text = tr("It is removed from this machine. Your settings stay as they are.")
        question = MessageDialog("trash", "danger", tr("Delete the preset {title}?", title=preset.title), text, self)
        question.add_button("delete", tr("Delete"), "danger")
        question.add_button("keep", tr("Keep"), "primary", default=True)
        question.answered.connect(lambda answer: self._delete(preset) if answer == "delete" else None)
        self._ask(question)

    def _delete(self, preset: Preset) -> None:
        if self._try(lambda: delete_preset(preset)):
            if self._presets.preset is not None and self._presets.preset.key == preset.key:
                self._presets.use(None)
            self.fill()

    def _share(self) -> None:
        if (preset := self.preset) is None:
            return
        start = str(browse_start(Path()) / f"{preset.path.stem}.toml")
        if text := QFileDialog.getSaveFileName(self, tr("Share as file"), start, tr("Presets") + " (*.toml)")[0]:
            self.share_to(preset, Path(text))

    def share_to(self, preset: Preset, path: Path) -> None:
        """Write a preset to a file."""
        if self._try(lambda: share_preset(preset, path)):
            remember_place(path)
            self._say(tr("Written to {path}.", path=path), "success")

    def _add(self) -> None:
        start = str(browse_start(Path()))
        if text := QFileDialog.getOpenFileName(self, tr("Add from a file"), start, tr("Presets") + " (*.toml)")[0]:
            self.add_from(Path(text))

    def add_from(self, path: Path) -> None:
        """Take a preset file of somebody else's, and say what of it cannot be used."""

        def add() -> None:
            preset = add_preset(path)
            self.fill(preset)
            self._say("\n".join(preset.left_out))

        if self._try(add):
            remember_place(path)

    def _try(self, act: Callable[[], object]) -> bool:
        try:
            act()
        except (UserError, OSError) as error:
            known = explain(error)
            if known is None:
                raise
            self._say(str(known), "danger")
            return False
        return True

    def _ask(self, question: QDialog) -> None:
        self.question = question
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        question.finished.connect(self._on_answered)
        question.open()

    def _on_answered(self) -> None:
        self.question = None
