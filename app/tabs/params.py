"""The page with the settings: three answers for everybody, and all parameters behind a switch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.editors import browse_start, mark_wrong
from app.form import Form
from app.project import Project
from app.quick_choices import QuickChoices
from app.settings import Settings
from app.widgets.card import PathLabel, button, label, set_role
from app.widgets.quick_form import QuickForm
from app.widgets.switch import Switch
from core.config import TrainConfig, load_config, save_config
from core.errors import UserError, explain
from core.text import tr


@dataclass(frozen=True, slots=True)
class _Reset:
    """The settings around *Reset all*; it can be taken back until something else is changed."""

    before: TrainConfig
    after: TrainConfig


class ParamsTab(QWidget):
    """Quick form and full form edit the settings of the project; *Start training* asks the window for a run."""

    start_requested = Signal()
    models_requested = Signal(str)  # the kind of model to be downloaded

    def __init__(self, project: Project, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._settings = settings
        self._name_problem = ""
        self._reset: _Reset | None = None
        self._choices = QuickChoices(project, self)
        self.title = label(role="title")
        self.subtitle = label(role="muted")
        self.quick = QuickForm(project, settings)
        self.all_switch = Switch()
        self.advanced_switch = Switch()
        self.search = QLineEdit()
        self.search.setClearButtonEnabled(True)
        self.search.setMinimumWidth(140)
        self.search.setMaximumWidth(320)
        self.load_button = button(icon="upload")
        self.save_button = button(icon="save")
        self.reset_button = button(icon="undo")
        self.form = Form(project.change)
        self.name = QLineEdit()
        self.name.setMinimumWidth(110)
        self.name.setMaximumWidth(240)
        self.name_label = label(role="muted")
        self.name_ending = label(".safetensors", role="muted")
        self.output_label = PathLabel()
        set_role(self.output_label, "muted")
        self.output_button = QToolButton()
        icons.set_icon(self.output_button, "folder-open", 16)
        self.reason = label(role="muted", wrap=True)
        self.reason.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.start_button = button(kind="primary", icon="play", size=18)
        self.start_button.setProperty("big", True)
        self._lay_out()
        self._connect()
        if not project.config.model.base.parts and self.quick.base.combo.count():
            project.change({"model.base": self.quick.base.combo.itemData(0)})
        self._show_all(settings.value("params/all", False))
        self.advanced_switch.setChecked(settings.value("params/advanced", False))
        self.retranslate()

    def _lay_out(self) -> None:
        head = QVBoxLayout()
        head.setSpacing(2)
        head.addWidget(self.title)
        head.addWidget(self.subtitle)
        first = QHBoxLayout()
        first.setSpacing(theme.SPACE_S)
        first.addWidget(self.all_switch)
        first.addStretch(1)
        for made in (self.load_button, self.save_button, self.reset_button):
            first.addWidget(made)
        self._tools = QWidget()
        tools = QHBoxLayout(self._tools)
        tools.setContentsMargins(0, 0, 0, 0)
        tools.setSpacing(theme.SPACE_L)
        tools.addWidget(self.search, 1)
        tools.addWidget(self.advanced_switch)
        tools.addStretch(1)
        content = QWidget()
        content.setProperty("role", "scrolled")
        column = QVBoxLayout(content)
        column.setContentsMargins(theme.SPACE_XL, 0, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_M)
        column.addWidget(self.quick)
        column.addSpacing(theme.SPACE_XS)
        column.addLayout(first)
        column.addWidget(self._tools)
        column.addWidget(self.form)
        column.addStretch(1)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, theme.SPACE_L, 0, 0)
        outer.setSpacing(theme.SPACE_M)
        head.setContentsMargins(theme.SPACE_XL, 0, theme.SPACE_XL, 0)
        outer.addLayout(head)
        outer.addWidget(self.area, 1)
        outer.addWidget(self._footer())

    def _footer(self) -> QWidget:
        """Name, place and *Start*: always in view."""
        footer = QWidget()
        line = QFrame()
        line.setProperty("role", "line")
        column = QVBoxLayout(footer)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(line)
        row = QHBoxLayout()
        column.addLayout(row)
        row.setContentsMargins(theme.SPACE_XL, theme.SPACE_M, theme.SPACE_XL, theme.SPACE_M)
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self.name_label)
        row.addWidget(self.name, 2)
        row.addWidget(self.name_ending)
        row.addWidget(self.output_button)
        row.addWidget(self.output_label, 3)
        row.addSpacing(theme.SPACE_M)
        self.reason.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row.addWidget(self.reason, 3)
        row.addWidget(self.start_button)
        return footer

    def _connect(self) -> None:
        project = self._project
        project.config_changed.connect(self._refresh)
        project.records_changed.connect(self._refresh)
        project.scanning_changed.connect(self._refresh)
        self.quick.checked.connect(self._show_reason)
        self.quick.base.more_requested.connect(lambda: self.models_requested.emit("base"))
        self.form.problems_changed.connect(self._show_reason)
        self.all_switch.toggled.connect(self._show_all)
        self.all_switch.clicked.connect(self._go_to_form)
        self.advanced_switch.toggled.connect(self._show_advanced)
        self.search.textChanged.connect(self._search)
        self.load_button.clicked.connect(self._load)
        self.save_button.clicked.connect(self._save)
        self.reset_button.clicked.connect(self._reset_or_undo)
        self.output_button.clicked.connect(self._choose_output)
        self.name.textEdited.connect(self._rename)
        self.start_button.clicked.connect(self.start_requested)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self._find)
        self._settings.language_changed.connect(self.retranslate)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.title.setText(tr("Parameters"))
        self.subtitle.setText(tr("Three answers are enough; Kiln chooses the rest from your pictures and the model."))
        self.all_switch.setText(tr("All parameters"))
        self.advanced_switch.setText(tr("Show advanced"))
        self.search.setPlaceholderText(tr("Search parameters, also by their names in kohya's scripts"))
        self.load_button.setText(tr("Load settings…"))
        self.save_button.setText(tr("Save settings…"))
        self.name_label.setText(tr("Saved as"))
        self.name.setAccessibleName(tr("Name of the LoRA"))
        self.output_button.setToolTip(tr("Choose the output folder…"))
        self.output_button.setAccessibleName(tr("Choose the output folder…"))
        self.start_button.setText(tr("Start training"))
        for switch in (self.all_switch, self.advanced_switch):
            switch.updateGeometry()
        self.quick.retranslate()
        self.form.retranslate()
        self._refresh()

    def load_settings(self, path: Path) -> bool:
        """Take the settings of a TOML file. Returns whether they could be read; if not, the window says why."""
        try:
            config = load_config(path)
        except (UserError, OSError) as error:
            self._tell(error)
            return False
        self.form.forget_problems()
        self._project.set_config(config)
        return True

    def save_settings(self, path: Path) -> bool:
        """Write the settings as TOML. Returns whether they are on disk; if not, the window says why."""
        try:
            save_config(self._project.config, path)
        except (UserError, OSError) as error:
            self._tell(error)
            return False
        return True

    def reset_all(self) -> None:
        """Everything back to what Kiln chooses, but for the three answers, the name and the place."""
        self.form.forget_problems()
        before, after = self._project.config, self._choices.defaults()
        self._reset = _Reset(before, after) if before != after else None
        self._project.set_config(after, chosen=self._choices.now() or self._project.chosen)
        self._refresh()

    def undo_reset(self) -> None:
        """Take back the reset; nothing was changed since."""
        if self._reset is not None:
            before, self._reset = self._reset.before, None
            self._project.set_config(before, chosen=self._project.chosen)

    def _reset_or_undo(self) -> None:
        if self._reset is None:
            self.reset_all()
        else:
            self.undo_reset()

    def _show_reset(self) -> None:
        if self._reset is not None and self._project.config != self._reset.after:
            self._reset = None
        if self._reset is None:
            self.reset_button.setText(tr("Reset all"))
            self.reset_button.setToolTip(tr("All parameters back to what Kiln chooses; your three answers stay"))
        else:
            self.reset_button.setText(tr("Undo reset"))
            self.reset_button.setToolTip(tr("All parameters as they were before the reset"))

    def _refresh(self) -> None:
        config = self._project.config
        self.form.show_config(config)
        self.form.set_defaults(self._choices.defaults())
        if not self._name_problem and self.name.text() != config.output.name:
            self.name.setText(config.output.name)
        self._show_reset()
        self.output_label.setText(tr("in {folder}", folder=config.output.folder))
        self._show_reason()

    def _show_reason(self) -> None:
        reason = self.quick.reason or self._name_problem
        if not reason and self.form.problems:
            key, sentence = next(iter(self.form.problems.items()))
            reason = f"{tr(self.form.rows[key].spec.title)}: {sentence}"
        self.reason.setText(reason)
        self.start_button.setEnabled(not reason)

    def _show_all(self, shown: bool) -> None:
        self.all_switch.setChecked(shown)
        self._tools.setVisible(shown)
        self.form.setVisible(shown)
        self._settings.set_value("params/all", shown)

    def _show_advanced(self, shown: bool) -> None:
        self.form.show_advanced(shown)
        self._settings.set_value("params/advanced", shown)

    def _search(self, text: str) -> None:
        self.form.search(text)
        self._go_to_form()

    def _go_to_form(self) -> None:
        """Scroll to where the full form begins, once it has its new size."""
        if self.form.isVisible():
            QTimer.singleShot(0, self, lambda: self.area.verticalScrollBar().setValue(self.all_switch.y() - 12))

    def _find(self) -> None:
        self._show_all(True)
        self._go_to_form()
        self.search.setFocus()
        self.search.selectAll()

    def _rename(self, text: str) -> None:
        self._name_problem = ""
        try:
            self._project.change({"output.name": text})
        except UserError as error:
            self._name_problem = error.remedy
        mark_wrong(self.name, bool(self._name_problem))
        self._show_reason()

    def _choose_output(self) -> None:
        start = str(browse_start(self._project.config.output.folder))
        if text := QFileDialog.getExistingDirectory(self, tr("Choose the output folder"), start):
            self._project.change({"output.folder": Path(text)})

    def _load(self) -> None:
        start = str(browse_start(self._project.config.output.folder))
        filters = tr("Settings") + " (*.toml);;* (*)"
        if text := QFileDialog.getOpenFileName(self, tr("Load settings"), start, filters)[0]:
            self.load_settings(Path(text))

    def _save(self) -> None:
        output = self._project.config.output
        start = str(browse_start(output.folder) / f"{output.name}.toml")
        if text := QFileDialog.getSaveFileName(self, tr("Save settings"), start, tr("Settings") + " (*.toml)")[0]:
            self.save_settings(Path(text))

    def _tell(self, error: BaseException) -> None:
        known = explain(error)
        if known is None:
            raise error
        self._project.problem.emit(known.message, known.remedy)
