"""The page with the settings: three answers for everybody, and all parameters behind a switch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app import theme
from app.form import Form
from app.params_facts import ParamsFacts
from app.params_presets import ParamsPresets
from app.project import Project
from app.quick_choices import QuickChoices
from app.settings import Settings
from app.widgets.card import button, label
from app.widgets.params_files import ParamsFiles
from app.widgets.params_footer import ParamsFooter
from app.widgets.params_row import FieldRow
from app.widgets.params_tools import ParamsTools, StickyBar
from app.widgets.preset_bar import PresetBar
from app.widgets.quick_form import QuickForm
from app.widgets.switch import Switch
from core.config import TrainConfig
from core.config.rules import Conflict, conflicts, idle_options
from core.text import tr

AIM_MS = 700
"""So long a place that was gone to is kept in view after all rows were made: the page is still being arranged."""


@dataclass(frozen=True, slots=True)
class _Aim:
    """What is to be in view: a row or a card, the section it belongs to, and how much is to be seen above it."""

    widget: QWidget
    section: str
    above_px: int


class ParamsTab(QWidget):
    """Quick form and full form edit the settings of the project; *Start training* asks the window for a run."""

    start_requested = Signal()
    queue_requested = Signal()
    models_requested = Signal(str)  # the kind of model to be downloaded

    def __init__(self, project: Project, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._settings = settings
        self._choices = QuickChoices(project, self)
        self.presets = ParamsPresets(project, settings, self._choices, self)
        self._facts = ParamsFacts(project, self)
        self._conflicts: tuple[Conflict, ...] = ()
        self._aim: _Aim | None = None
        self._aiming = QTimer(self)
        self._aiming.setSingleShot(True)
        self._aiming.setInterval(AIM_MS)
        self._aiming.timeout.connect(self._end_aim)
        self.title = label(role="title")
        self.subtitle = label(role="muted", wrap=True)
        self.preset_bar = PresetBar(project, self.presets)
        self.quick = QuickForm(project, settings)
        self.all_switch = Switch()
        self.reset_button = button(icon="undo")
        self.files = ParamsFiles(project, self.presets)
        self.tools = ParamsTools()
        self.search = self.tools.search
        self.advanced_switch = self.tools.advanced_switch
        self.form = Form(project.change)
        self.footer = ParamsFooter(project)
        self.name, self.reason = self.footer.name, self.footer.reason
        self.start_button = self.footer.start_button
        self._lay_out()
        self._connect()
        if not project.config.model.base.parts and (first := self.quick.base.first_usable) is not None:
            project.change({"model.base": first})
        self._show_all(settings.value("params/all", False))
        self.advanced_switch.setChecked(settings.value("params/advanced", False))
        self.retranslate()

    def _lay_out(self) -> None:
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.title)
        words.addWidget(self.subtitle)
        head = QHBoxLayout()
        head.setContentsMargins(theme.SPACE_XL, 0, theme.SPACE_XL, 0)
        head.setSpacing(theme.SPACE_L)
        head.addLayout(words, 1)
        head.addWidget(self.preset_bar)
        first = QHBoxLayout()
        first.setSpacing(theme.SPACE_S)
        first.addWidget(self.all_switch)
        first.addStretch(1)
        first.addWidget(self.reset_button)
        first.addWidget(self.files)
        self._content = QWidget()
        self._content.setProperty("role", "scrolled")
        place = QWidget()
        column = QVBoxLayout(self._content)
        column.setContentsMargins(theme.SPACE_XL, 0, theme.SPACE_XL, theme.SPACE_L)
        column.setSpacing(theme.SPACE_S)
        column.addWidget(self.quick)
        column.addSpacing(theme.SPACE_S)
        column.addLayout(first)
        column.addWidget(place)
        self.tools.setParent(self._content)  # Before the form: Tab comes to them in this order.
        column.addWidget(self.form)
        column.addStretch(1)
        self._sticky = StickyBar(self.tools, place)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(self._content)
        self._content.installEventFilter(self)
        self.area.viewport().installEventFilter(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, theme.SPACE_L, 0, 0)
        outer.setSpacing(theme.SPACE_M)
        outer.addLayout(head)
        outer.addWidget(self.area, 1)
        outer.addWidget(self.footer)

    def _connect(self) -> None:
        project = self._project
        project.config_changed.connect(self._refresh)
        project.records_changed.connect(self._refresh)
        project.scanning_changed.connect(self._refresh)
        self._facts.changed.connect(self._show_rules)
        self.presets.changed.connect(self._refresh)
        self.quick.checked.connect(self._show_reason)
        self.quick.option_requested.connect(self.show_option)
        self.quick.base.more_requested.connect(lambda: self.models_requested.emit("base"))
        self.footer.checked.connect(self._show_reason)
        self.form.problems_changed.connect(self._show_reason)
        self.form.asked.connect(self.show_option)
        self.all_switch.toggled.connect(self._show_all)
        self.all_switch.clicked.connect(self._go_to_form)
        self.advanced_switch.toggled.connect(self._show_advanced)
        self.tools.changed_switch.toggled.connect(self._show_changed_only)
        self.search.textChanged.connect(self._search)
        self.tools.jumped.connect(self._jump)
        self.tools.asked.connect(self.show_option)
        self.preset_bar.applied.connect(self.form.forget_problems)
        self.files.loaded.connect(self.form.forget_problems)
        self.reset_button.clicked.connect(self._reset_or_undo)
        self.start_button.clicked.connect(self.start_requested)
        self.footer.queue_button.clicked.connect(self.queue_requested)
        self.area.verticalScrollBar().valueChanged.connect(self._follow_scroll)
        self.area.verticalScrollBar().actionTriggered.connect(lambda _action: self._end_aim())
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self._find)
        self._settings.language_changed.connect(self.retranslate)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.title.setText(tr("Parameters"))
        self.subtitle.setText(tr("Three answers are enough; Kiln chooses the rest from your pictures and the model."))
        self.all_switch.setText(tr("All parameters"))
        self.all_switch.updateGeometry()
        for part in (self.preset_bar, self.quick, self.files, self.tools, self.form, self.footer):
            part.retranslate()
        self._refresh()

    # Files, presets and the way back

    def load_settings(self, path: Path) -> bool:
        """Take the settings of a TOML file. Returns whether they could be read; if not, the window says why."""
        return self.files.load(path)

    def save_settings(self, path: Path) -> bool:
        """Write the settings as TOML. Returns whether they are on disk; if not, the window says why."""
        return self.files.save(path)

    def reset_all(self) -> None:
        """Everything back to what Kiln chooses, but for the three answers, the name and the place."""
        self.form.forget_problems()
        self.presets.reset()

    def undo_reset(self) -> None:
        """Take back the last reset, preset or import; nothing was changed since."""
        self.form.forget_problems()
        self.presets.go_back()

    def _reset_or_undo(self) -> None:
        if self.presets.way_back is None:
            self.reset_all()
        else:
            self.undo_reset()

    def _show_reset(self) -> None:
        way_back = self.presets.way_back
        if way_back is None:
            self.reset_button.setText(tr("Reset all"))
            self.reset_button.setToolTip(tr("All parameters back to what Kiln chooses; your three answers stay"))
            return
        words = {"reset": tr("Undo reset"), "preset": tr("Undo preset"), "import": tr("Undo import")}
        self.reset_button.setText(words[way_back])
        self.reset_button.setToolTip(tr("All parameters as they were before"))

    # What is shown

    def show_option(self, key: str) -> None:
        """Bring an option into view and give it the keyboard, whatever was searched for or hidden before.

        Args:
            key: `section.name`.
        """
        self.all_switch.setChecked(True)
        if key not in self.form.shown_keys():
            self.search.clear()
            self.tools.changed_switch.setChecked(False)
            if self.form.specs[key].advanced:
                self.advanced_switch.setChecked(True)
        row = self.form.hurry(key)
        self._aim_at(_Aim(row, row.spec.section, 2 * theme.SPACE_XL))
        row.editor.input().setFocus()
        self.form.when_settled(lambda: self._arrive(row))

    def _arrive(self, row: FieldRow) -> None:
        """All rows have their place: a little longer, and the aim may be forgotten."""
        self._follow()
        self._aiming.start()
        row.flash()

    def _aim_at(self, aim: _Aim) -> None:
        self._aim = aim
        self._aiming.stop()
        self._follow()

    def _end_aim(self) -> None:
        self._aim = None

    def _follow(self) -> None:
        """Keep in view what was gone to, and the bar where it belongs."""
        if self._aim is not None and self._aim.widget.isVisible():
            first_y = self._y_of(self._aim.widget) - self._aim.above_px
            card_y = self._y_of(self.form.cards[self._aim.section]) - theme.SPACE_S
            view_px = self.area.viewport().height()
            spare_px = view_px - self.tools.height() - self._aim.above_px - self._aim.widget.height()
            if 0 < first_y - card_y < min(view_px // 3, spare_px):
                first_y = card_y  # So near to it, the title of the card is seen as well, and the whole row still.
            self.area.verticalScrollBar().setValue(first_y - self.tools.height())
        self._follow_scroll()

    def _y_of(self, widget: QWidget) -> int:
        return widget.mapTo(self._content, QPoint(0, 0)).y()

    def _refresh(self) -> None:
        config = self._project.config
        self.form.show_config(config)
        reference = self.presets.reference
        self.form.set_defaults(reference)
        self.footer.refresh()
        self.preset_bar.refresh(reference)
        self._show_reset()
        self._show_rules()

    def _show_rules(self) -> None:
        config: TrainConfig = self._project.config
        self._conflicts = conflicts(config, self._facts.facts)
        self.form.show_rules(self._conflicts, idle_options(config))
        self.tools.show_conflicts(self._conflicts)
        self._show_sections()
        self._show_reason()

    def _show_reason(self) -> None:
        reason = self.quick.reason or self.footer.problem
        if not reason and self.form.problems:
            key, sentence = next(iter(self.form.problems.items()))
            reason = f"{tr(self.form.specs[key].title)}: {sentence}"
        if not reason:
            reason = next((found.sentence for found in self._conflicts if found.level == "error"), "")
        self.footer.show_reason(reason)

    def _show_all(self, shown: bool) -> None:
        self.all_switch.setChecked(shown)
        self._sticky.show(shown)
        self.form.setVisible(shown)
        self._settings.set_value("params/all", shown)
        self._follow_scroll()

    def _show_advanced(self, shown: bool) -> None:
        self.form.show_advanced(shown)
        self._settings.set_value("params/advanced", shown)
        self._show_sections()

    def _show_changed_only(self, only: bool) -> None:
        self.form.show_changed_only(only)
        self._show_sections()
        self._go_to_form()

    def _search(self, text: str) -> None:
        # However little is found, the page stays long enough for the field to stay where it is being typed into.
        above = self.all_switch.y() - theme.SPACE_M
        self._content.setMinimumHeight(above + self.area.viewport().height() if text else 0)
        self.form.search(text)
        self._show_sections()
        self._go_to_form()

    def _show_sections(self) -> None:
        self.tools.show_sections({name for name, card in self.form.cards.items() if not card.isHidden()})

    def _jump(self, section: str) -> None:
        aim = _Aim(self.form.cards[section], section, theme.SPACE_S)
        self._aim_at(aim)
        self.form.when_settled(self._aiming.start)

    def _go_to_form(self) -> None:
        """Scroll to where the full form begins, once it has its new size."""
        self._end_aim()
        if self.form.isVisible():
            QTimer.singleShot(0, self, lambda: self.area.verticalScrollBar().setValue(self.all_switch.y() - 12))

    def _find(self) -> None:
        self._show_all(True)
        self._go_to_form()
        self.search.setFocus()
        self.search.selectAll()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """What is in view and the bar follow when the page is arranged anew; the wheel goes where the user wants."""
        if event.type() == QEvent.Type.Wheel:
            self._end_aim()
        elif watched is self._content and event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            QTimer.singleShot(0, self, self._follow)
        return False

    def _follow_scroll(self) -> None:
        if self.form.isHidden():
            return
        scrolled = self.area.verticalScrollBar().value()
        self._sticky.follow(scrolled)
        if self._aim is not None:
            self.tools.show_section(self._aim.section)
            return
        line = scrolled + self.tools.height() + 2 * theme.SPACE_XL
        tops = {name: self._y_of(card) for name, card in self.form.cards.items() if not card.isHidden()}
        if tops:
            above = [name for name, top in tops.items() if top <= line] or [next(iter(tops))]
            self.tools.show_section(max(above, key=lambda name: tops[name]))
