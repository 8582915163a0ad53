"""The three answers a newcomer gives: base model, pictures, epochs; and the sum that follows from them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app import theme
from app.editors import NumberSpin, PathLine, mark_wrong
from app.latest import Latest
from app.project import Project
from app.recent_bases import recent_bases, remember_base
from app.run_sum import MANY, RunSum
from app.settings import Settings
from app.speed import remembered_duration
from app.widgets.base_model_picker import BaseModelPicker
from app.widgets.card import Card, label, set_role
from app.widgets.memory_bar import MemoryBar
from app.widgets.quick_choice_list import QuickChoiceList
from app.widgets.quick_words import folder_state, notes_text, sum_text
from app.widgets.step_number import StepNumber
from core.config import with_values
from core.config.labels import value_of
from core.device import Device, training_device
from core.errors import UserError
from core.estimate import estimate_or_none, verdict
from core.quick_facts import Facts, facts_of
from core.quick_reasons import reasons
from core.text import sentences, tr

_CAPTIONS_MS = 300
"""While a folder is tagged, captions change faster than anybody reads."""

_DEVICE_MS = 8000
"""What other programs have of the memory changes slowly."""


class QuickForm(Card):
    """Three numbered rows, the sum, the memory, and what Kiln chose. All of it is read from the project."""

    checked = Signal()
    """An answer was looked at; `reason` may be another one now."""

    option_requested = Signal(str)
    """Somebody wants to see an option, named `section.name`, in the full form."""

    def __init__(self, project: Project, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._project = project
        self._settings = settings
        self.base = BaseModelPicker(offers_more=True)
        self.folder = PathLine(wants_folder=True)
        self.folder_info = label(role="small", wrap=True)
        self.epochs = NumberSpin(1, 10000)
        self.epochs.setFixedWidth(130)
        self.epochs_info = label(role="small", wrap=True)
        self.sum = label(role="heading", wrap=True)
        self.time = label(role="small", wrap=True)
        self.memory = MemoryBar()
        self.chosen_title = label(role="cardTitle")
        self.chosen_hint = label(role="small", wrap=True)
        self.chosen = QuickChoiceList()
        self._titles: list[QLabel] = []
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(theme.SPACE_L)
        self._grid.setVerticalSpacing(theme.SPACE_L)
        self._grid.setColumnMinimumWidth(1, 120)
        self._grid.setColumnStretch(2, 1)
        self._add_row(self.base)
        self._add_row(self.folder, self.folder_info)
        self._add_row(self.epochs, self.epochs_info, beside=True)
        self.body.setSpacing(theme.SPACE_M)
        self.body.addSpacing(theme.SPACE_S)
        self.body.addLayout(self._grid)
        self.body.addSpacing(theme.SPACE_XS)
        words = QVBoxLayout()
        words.setSpacing(theme.SPACE_XS)
        for line in (self.sum, self.time):
            words.addWidget(line)
        words.addSpacing(theme.SPACE_S)
        words.addWidget(self.memory)
        self.body.addLayout(words)
        self._choices = self._choice_part()
        self.body.addWidget(self._choices)
        self._problems: dict[str, str] = {}
        self._is_opening = False
        self._is_stale = False
        self._run_sum = RunSum(project, self)
        self._run_sum.counted.connect(self._on_counted)
        self._device: Device | None = None
        self._ask = Latest(self)
        self._watching = QTimer(self)
        self._watching.setInterval(_DEVICE_MS)
        self._watching.timeout.connect(self._ask_device)
        self.chosen.option_requested.connect(self.option_requested)
        self.chosen.reset_requested.connect(self._take_choice)
        self.base.offer(recent_bases(settings))
        self.base.chosen.connect(self._choose_base)
        self.base.came_or_went.connect(self._on_base_came_or_went)
        self.folder.chosen.connect(self._choose_folder)
        self.epochs.typed.connect(self._choose_epochs)
        project.config_changed.connect(self.refresh)
        project.records_changed.connect(self._on_records_changed)
        project.problem.connect(self._on_problem)
        project.scanning_changed.connect(self.refresh)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_CAPTIONS_MS)
        self._later.timeout.connect(self.refresh)
        project.captions_changed.connect(lambda _images: self._later.start())
        project.edits_changed.connect(lambda _images: self._later.start())
        if project.config.model.base == Path() and (first := self.base.first_usable):
            project.change({"model.base": first})
        self.retranslate()

    def use_base(self, path: Path) -> None:
        """Take a base model that has just come."""
        self.base.look_again()
        self._choose_base(path)

    def _choice_part(self) -> QWidget:
        """What Kiln chose, under a thin line."""
        part = QWidget()
        line = QFrame()
        line.setProperty("role", "line")
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE_S)
        head.addWidget(self.chosen_title)
        head.addWidget(self.chosen_hint, 1)
        column = QVBoxLayout(part)
        column.setContentsMargins(0, theme.SPACE_S, 0, 0)
        column.setSpacing(theme.SPACE_XS)
        column.addWidget(line)
        column.addSpacing(theme.SPACE_XS)
        column.addLayout(head)
        column.addWidget(self.chosen)
        return part

    def _add_row(self, editor: QWidget, info: QLabel | None = None, *, beside: bool = False) -> None:
        row = len(self._titles)
        number = QVBoxLayout()
        number.setContentsMargins(0, (theme.CONTROL_HEIGHT - StepNumber.SIDE) // 2, 0, 0)
        number.addWidget(StepNumber(row + 1))
        number.addStretch(1)
        title = label(role="strong")
        title.setFixedHeight(theme.CONTROL_HEIGHT)
        title.setBuddy(editor)
        self._titles.append(title)
        cell = QHBoxLayout() if beside else QVBoxLayout()
        cell.setSpacing(theme.SPACE_M if beside else theme.SPACE_XS)
        cell.addWidget(editor)
        if info is not None:
            cell.addWidget(info, 1 if beside else 0)
        top = Qt.AlignmentFlag.AlignTop
        self._grid.addLayout(number, row, 0, top)
        self._grid.addWidget(title, row, 1, top)
        self._grid.addLayout(cell, row, 2)

    @property
    def reason(self) -> str:
        """Why a run cannot start with these answers, or nothing."""
        if self._project.config.model.base == Path():
            return tr("Choose a base model first.")
        if self.base.problem:
            return tr("This base model cannot be used.")
        if "folder" in self._problems:
            return tr("This folder cannot be used.")
        if self._project.config.dataset.folder == Path():
            return tr("Choose a folder with pictures first.")
        if not self._project.config.dataset.folder.is_dir():
            return tr("There is no folder {folder}.", folder=self._project.config.dataset.folder)
        if self._project.is_scanning:
            return tr("Looking at the pictures…")
        if not self._has_pictures():
            return tr("There is no picture in this folder.")
        return next(iter(self._problems.values()), "")

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Make up for what was left out while nobody looked."""
        super().showEvent(event)
        self._ask_device()
        self._watching.start()
        if self._is_stale:
            self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Nobody needs to know what is free now."""
        super().hideEvent(event)
        self._watching.stop()

    def _ask_device(self) -> None:
        """See what of the device's memory is free; a driver may take its time."""
        wish = self._project.config.training.device
        self._ask.start(lambda: training_device(wish), self._take_device)

    def _take_device(self, result: Device | Exception) -> None:
        if isinstance(result, Exception):
            raise result
        if result != self._device:
            is_other = self._device is None or self._device.kind != result.kind
            self._device = result
            self._show_memory()
            if is_other:
                self._show_choices()

    def refresh(self) -> None:
        """Show what the project holds now; with thousands of pictures, only when somebody looks."""
        scan = self._project.scan
        self._is_stale = scan is not None and len(scan.records) > MANY and not self.isVisible()
        if self._is_stale:
            return
        config = self._project.config
        self.base.show_path(config.model.base)
        if not self._is_opening and "folder" not in self._problems:
            self.folder.show_path(config.dataset.folder)
        if "epochs" not in self._problems and self.epochs.text() != str(config.training.epochs):
            self.epochs.set_text(str(config.training.epochs))
        self._show_folder_info()
        self._show_sum()
        self._show_memory()
        self._show_choices()

    def retranslate(self) -> None:
        """Take up the language in use."""
        for title, text in zip(self._titles, (tr("Base model"), tr("Picture folder"), tr("Epochs")), strict=True):
            title.setText(text)
        self.base.retranslate()
        self.folder.retranslate()
        self.folder.setAccessibleName(tr("Picture folder"))
        self.epochs.setAccessibleName(tr("Epochs"))
        self.chosen_title.setText(tr("Chosen for you"))
        self.chosen_hint.setText(tr("Click a line to see why."))
        self.refresh()

    def _choose_base(self, path: Path) -> None:
        if not self.base.problem:
            self.base.offer(remember_base(self._settings, path))
        self._change("base", "model.base", path)

    def _on_base_came_or_went(self) -> None:
        self.refresh()
        self.checked.emit()

    def _choose_folder(self, folder: Path) -> None:
        if folder.is_dir():
            self._problems.pop("folder", None)
            self._is_opening = True
            self._project.open_folder(folder)
        else:
            self._change("folder", "dataset.folder", folder)

    def _on_records_changed(self) -> None:
        self._is_opening = False
        self._problems.pop("folder", None)
        self.refresh()

    def _on_problem(self, message: str, remedy: str) -> None:
        """The folder chosen here could not be opened; the project still has the one before."""
        if self._is_opening and not self._project.is_scanning:
            self._is_opening = False
            self._problems["folder"] = sentences(message, remedy)
            self.refresh()
            self.checked.emit()

    def _choose_epochs(self, text: str) -> None:
        self._change("epochs", "training.epochs", text)
        mark_wrong(self.epochs, "epochs" in self._problems)

    def _change(self, name: str, key: str, value: object) -> None:
        self._problems.pop(name, None)
        try:
            self._project.change({key: value})
        except UserError as error:
            self._problems[name] = error.remedy
        self.refresh()
        self.checked.emit()

    def _has_pictures(self) -> bool:
        scan = self._project.scan
        if scan is None or scan.folder != self._project.config.dataset.folder:
            return False
        return any(not scan.edits(record.path).excluded for record in scan.records)

    def _show_folder_info(self) -> None:
        project = self._project
        if problem := self._problems.get("folder"):
            text, wrong = problem, True
        else:
            text, wrong = folder_state(project.config.dataset.folder, project.scan, is_scanning=project.is_scanning)
        self.folder_info.setText(text)
        set_role(self.folder_info, "error" if wrong else "small")
        mark_wrong(self.folder.line, wrong)

    def _show_sum(self) -> None:
        wrong = self._problems.get("epochs", "")
        self.epochs_info.setText(wrong or tr("How often all pictures are shown. More takes longer."))
        set_role(self.epochs_info, "error" if wrong else "small")
        config = self._project.config
        length = self._run_sum.now() if self._has_pictures() and not wrong else None
        if length is None:
            self.sum.setText(tr("Pictures × repeats × epochs ÷ batch = steps"))
            self.time.setText(
                tr("The sum appears when the number of epochs is right.")
                if wrong
                else tr("The sum appears when the pictures are chosen.")
            )
        else:
            self.sum.setText(sum_text(config, length))
            duration = remembered_duration(self._settings, config, length.total_steps)
            self.time.setText(notes_text(config, length, duration))
        set_role(self.sum, "heading" if length else "muted")

    def _show_memory(self) -> None:
        config, base, device = self._project.config, self.base.model, self._device
        estimate = estimate_or_none(config, base, device.kind) if device is not None else None
        self.memory.setVisible(estimate is not None)
        if estimate is None or base is None or device is None:
            return
        said = verdict(estimate, config, base, device)
        self.memory.show_verdict(said, estimate.peak_bytes, device.total_bytes, device.free_bytes)

    def _show_choices(self) -> None:
        base, project = self.base.model, self._project
        self._choices.setVisible(base is not None)
        if base is None:
            return
        length = self._run_sum.now() if self._has_pictures() else None
        found = reasons(project.config, project.chosen, base, self._known_facts(), self._device, length)
        self.chosen.show_choices(found)

    def _known_facts(self) -> Facts:
        """What the pictures show, if they are those of the settings."""
        scan = self._project.scan
        return facts_of(scan if scan is not None and scan.folder == self._project.config.dataset.folder else None)

    def _take_choice(self, keys: tuple[str, ...]) -> None:
        """Take for some options what Kiln chose."""
        project, chosen = self._project, self._project.chosen
        if chosen is None:
            return
        values = {key: value_of(chosen, key) for key in keys}
        project.set_config(with_values(project.config, values), chosen=chosen)

    def _on_counted(self) -> None:
        if not self.isVisible():
            self._is_stale = True
            return
        self._show_sum()
        self._show_choices()
