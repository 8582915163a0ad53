"""The three answers a newcomer gives: base model, pictures, epochs; and the sum that follows from them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app import theme
from app.editors import NumberSpin, PathLine, mark_wrong, number_text
from app.project import Project
from app.settings import Settings
from app.speed import remembered_duration_s
from app.widgets.base_model_picker import BaseModelPicker
from app.widgets.card import Card, label, set_role
from app.wording import duration_text
from core.config import TrainConfig
from core.errors import UserError
from core.quick import RunLength, run_length
from core.text import tr

_RECENT = "params/recent_bases"
_MAX_RECENT = 8
MANY = 1000
_CAPTIONS_MS = 300
"""While a folder is tagged, captions change faster than anybody reads."""


class QuickForm(Card):
    """Three numbered rows and the sum. Everything is read from and written to the project."""

    checked = Signal()
    """An answer was looked at; `reason` may be another one now."""

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
        self.chosen = label(role="small", wrap=True)
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
        for line in (self.sum, self.time, self.chosen):
            words.addWidget(line)
        self.body.addLayout(words)
        self._problems: dict[str, str] = {}
        self._is_opening = False
        self._is_stale = False
        self._length: tuple[object, RunLength] | None = None
        self.base.offer(self._recent())
        self.base.chosen.connect(self._choose_base)
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
        self.retranslate()

    def use_base(self, path: Path) -> None:
        """Take a base model that has just come."""
        self.base.look_again()
        self._choose_base(path)

    def _add_row(self, editor: QWidget, info: QLabel | None = None, *, beside: bool = False) -> None:
        row = len(self._titles)
        number = QVBoxLayout()
        number.setContentsMargins(0, (theme.CONTROL_HEIGHT - _Number.SIDE) // 2, 0, 0)
        number.addWidget(_Number(row + 1))
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
        if self._is_stale:
            self.refresh()

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
        self.chosen.setText(chosen_text(config))

    def retranslate(self) -> None:
        """Take up the language in use."""
        for title, text in zip(self._titles, (tr("Base model"), tr("Picture folder"), tr("Epochs")), strict=True):
            title.setText(text)
        self.base.retranslate()
        self.folder.retranslate()
        self.folder.setAccessibleName(tr("Picture folder"))
        self.epochs.setAccessibleName(tr("Epochs"))
        self.refresh()

    def _choose_base(self, path: Path) -> None:
        if not self.base.problem:
            self._remember(path)
        self._change("base", "model.base", path)

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
            self._problems["folder"] = f"{message} {remedy}"
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
        folder = self._project.config.dataset.folder
        scan = self._project.scan
        text, wrong = "", False
        if problem := self._problems.get("folder"):
            text, wrong = problem, True
        elif folder == Path():
            text = tr("Drop the folder with your pictures here: 10 to 50 of one character are a good start.")
        elif self._project.is_scanning:
            text = tr("Looking at the pictures…")
        elif not folder.is_dir():
            text, wrong = tr("There is no folder {folder}.", folder=folder), True
        elif scan is None or scan.folder != folder:
            text = tr("Looking at the pictures…")
        elif not scan.records:
            text, wrong = tr("There is no picture in this folder."), True
        else:
            used = [record for record in scan.records if not scan.edits(record.path).excluded]
            captions = sum(bool(record.caption) for record in used)
            number = len(used)
            pictures = tr("1 picture") if number == 1 else tr("{number} pictures", number=number)
            text = tr("{pictures}, {captions} with a caption", pictures=pictures, captions=captions)
            if left_out := len(scan.records) - number:
                text += tr(", left out: {number}", number=left_out)
            if unusable := sum(problem.excludes for problem in scan.problems):
                text += tr(", files that cannot be used: {number}", number=unusable)
            if not captions:
                text += tr(". Tag them first in the Tagger tab: captions make the LoRA much better.")
        self.folder_info.setText(text)
        set_role(self.folder_info, "error" if wrong else "small")
        mark_wrong(self.folder.line, wrong)

    def _show_sum(self) -> None:
        wrong = self._problems.get("epochs", "")
        self.epochs_info.setText(wrong or tr("How often all pictures are shown. More takes longer."))
        set_role(self.epochs_info, "error" if wrong else "small")
        config = self._project.config
        length = None
        if self._has_pictures() and not wrong:
            try:
                length = self._run_length(config)
            except UserError as error:
                self.sum.setText(str(error))
                self.time.clear()
                return
        if length is None:
            self.sum.setText(tr("Pictures × repeats × epochs ÷ batch = steps"))
            self.time.setText(
                tr("The sum appears when the number of epochs is right.")
                if wrong
                else tr("The sum appears when the pictures are chosen.")
            )
        else:
            self.sum.setText(sum_text(config, length))
            time = time_text(remembered_duration_s(self._settings, config, length.total_steps))
            self.time.setText(time if _is_exact(config, length) else f"{_why_rounded(config, length)} {time}")
        set_role(self.sum, "heading" if length else "muted")

    def _run_length(self, config: TrainConfig) -> RunLength:
        """The sum; counted anew only when it may be another one: thousands of pictures take a moment."""
        scan = self._project.scan
        assert scan is not None
        pictures = tuple((record.path, record.repeats, record.size_px) for record in scan.records)
        basis = (pictures, scan.pictures, config.dataset, config.training)
        if self._length is None or self._length[0] != basis:
            self._length = basis, run_length(config, scan)
        return self._length[1]

    def _recent(self) -> list[Path]:
        return [Path(line) for line in self._settings.value(_RECENT, "").splitlines() if line]

    def _remember(self, path: Path) -> None:
        recent = [path, *(known for known in self._recent() if known != path)][:_MAX_RECENT]
        self._settings.set_value(_RECENT, "\n".join(str(known) for known in recent))
        self.base.offer(recent)


class _Number(QLabel):
    """The number of a row, in a circle."""

    SIDE = 26

    def __init__(self, number: int) -> None:
        super().__init__(str(number))
        self.setFixedSize(self.SIDE, self.SIDE)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setContentsMargins(0, 0, 0, 0)
        theme.signals.changed.connect(self._dress)
        self._dress()

    def _dress(self) -> None:
        colours = theme.tokens()
        self.setStyleSheet(
            f"background: {colours.accent_soft}; color: {colours.accent}; border-radius: 13px; font-weight: 600;"
        )


def _is_exact(config: TrainConfig, length: RunLength) -> bool:
    """Whether all batches are full, so that the sum is right to the last step."""
    return length.num_shown * length.epochs == length.total_steps * _batch(config)


def _why_rounded(config: TrainConfig, length: RunLength) -> str:
    if length.total_steps < length.steps_per_epoch * config.training.epochs:
        return tr("The limit of steps ends the run earlier.")
    return tr("Rounded, because in each epoch the last batch is filled up.")


def _batch(config: TrainConfig) -> int:
    return config.training.batch_size * config.training.gradient_accumulation


def sum_text(config: TrainConfig, length: RunLength) -> str:
    """The sum from pictures to steps. Where parts do not divide evenly the result is rounded up, and so marked."""
    parts = []
    if length.num_images and length.num_shown % length.num_images == 0:
        repeats = length.num_shown // length.num_images
        pictures = length.num_images
        parts.append(tr("1 picture") if pictures == 1 else tr("{number} pictures", number=pictures))
        parts.append(tr("1 repeat") if repeats == 1 else tr("{number} repeats", number=repeats))
    else:
        parts.append(tr("{number} pictures with repeats", number=length.num_shown))
    parts.append(tr("1 epoch") if length.epochs == 1 else tr("{number} epochs", number=length.epochs))
    return tr(
        "{product} ÷ batch {batch} {equals} {steps} steps",
        product=" × ".join(parts),
        batch=_batch(config),
        equals="=" if _is_exact(config, length) else "≈",
        steps=length.total_steps,
    )


def chosen_text(config: TrainConfig) -> str:
    """The settings that matter most, besides the three answers."""
    return tr(
        "Also set: {pixels} px, rank {rank}, learning rate {rate}, preview prompts: {prompts}.",
        pixels=config.dataset.resolution,
        rank=config.network.rank,
        rate=number_text(config.optimizer.learning_rate),
        prompts=len(config.sampling.prompts),
    )


def time_text(seconds: float | None) -> str:
    """How long that takes, as far as it is known."""
    if seconds is None:
        return tr("How long that takes is known after the first steps on this machine.")
    return tr("About {time} on this machine, going by the last run.", time=duration_text(seconds))
