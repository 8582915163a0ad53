"""The options of a tagging run, as a short form that remembers what was chosen."""

from __future__ import annotations

import json
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.project import Project
from app.settings import Settings
from app.widgets.card import Card, PathLabel, button, label, pad_spin_box, set_role
from core.errors import UserError
from core.jobs import TagOptions
from core.text import tr

_KEY = "tagger/options"
_EXISTING = ("keep", "replace", "append", "prepend")


def remembered_options(settings: Settings) -> TagOptions:
    """How the user tagged the last time."""
    try:
        return TagOptions.model_validate(json.loads(settings.value(_KEY, "{}")))
    except ValueError:
        return TagOptions()


class TagOptionsForm(Card):
    """Tagger, threshold, existing captions, trigger word, tags to leave out.

    The trigger word is the one of the training settings: changed here, it is changed there. What happens to existing
    captions is chosen anew for each folder: they are kept until the user says otherwise.
    """

    changed = Signal()

    def __init__(self, project: Project, settings: Settings) -> None:
        super().__init__()
        self._project = project
        self._settings = settings
        remembered = remembered_options(self._settings)
        self._fields = QVBoxLayout()
        self._fields.setSpacing(theme.SPACE_S)
        self._fields.setContentsMargins(0, 0, theme.SPACE_S, 0)
        inside = QWidget()
        inside.setProperty("role", "scrolled")
        inside.setLayout(self._fields)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(inside)
        self.body.addWidget(self._scroll)
        self._tagger = remembered.tagger

        self._tagger_name = PathLabel()
        self._choose = button()
        self._choose.clicked.connect(self._choose_tagger)
        self._starter = QToolButton()
        icons.set_icon(self._starter, "close", 16, "muted")
        self._starter.clicked.connect(lambda: self.set_tagger(Path()))
        self._tagger_problem = label(role="error", wrap=True)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_S)
        row.addWidget(self._tagger_name, 1)
        row.addWidget(self._starter)
        row.addWidget(self._choose)
        self._tagger_label = self._add(row)
        self._fields.addWidget(self._tagger_problem)

        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(5, 95)
        self.number = _percent(remembered.threshold)
        self.slider.setValue(round(remembered.threshold * 100))
        self.slider.valueChanged.connect(self._on_slider)
        self.number.valueChanged.connect(self._on_number)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_M)
        row.addWidget(self.slider, 1)
        row.addWidget(self.number)
        self._threshold_label = self._add(row)
        self._threshold_hint = label(role="small", wrap=True)
        self._fields.addWidget(self._threshold_hint)

        self.existing = QComboBox()
        self.existing.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for choice in _EXISTING:
            self.existing.addItem(choice, choice)
        self.existing.currentIndexChanged.connect(self._on_changed)
        self._existing_label = self._add(self.existing)

        self.trigger = QLineEdit(project.config.dataset.trigger_word)
        self.trigger.editingFinished.connect(self._save_trigger)
        self._trigger_label = self._add(self.trigger)
        self._trigger_hint = label(role="small", wrap=True)
        self._fields.addWidget(self._trigger_hint)
        self.exclude = QLineEdit(", ".join(remembered.exclude))
        self.exclude.editingFinished.connect(self._on_changed)
        self._exclude_label = self._add(self.exclude)

        self.spaces = QCheckBox()
        self.spaces.setChecked(remembered.replace_underscores)
        self.spaces.toggled.connect(self._on_changed)
        self._fields.addSpacing(theme.SPACE_XS)
        self._fields.addWidget(self.spaces)
        self.characters = _percent(remembered.character_threshold)
        self.characters.valueChanged.connect(self._on_changed)
        self._characters_label = label()
        row = QHBoxLayout()
        row.addWidget(self._characters_label, 1)
        row.addWidget(self.characters)
        self._fields.addLayout(row)
        self._fields.addStretch(1)
        for box in (self.trigger, self.exclude):
            box.setAcceptDrops(False)
        project.config_changed.connect(self._on_config_changed)
        project.folder_changed.connect(lambda: self.existing.setCurrentIndex(_EXISTING.index("keep")))
        self.retranslate()

    def _add(self, editor: QWidget | QHBoxLayout) -> QLabel:
        """A label above its editor."""
        title = label(role="strong")
        block = QVBoxLayout()
        block.setSpacing(theme.SPACE_XS)
        block.setContentsMargins(0, theme.SPACE_XS, 0, 0)
        block.addWidget(title)
        if isinstance(editor, QWidget):
            block.addWidget(editor)
        else:
            block.addLayout(editor)
        self._fields.addLayout(block)
        return title

    def options(self) -> TagOptions:
        """What is chosen."""
        return TagOptions(
            tagger=self._tagger,
            threshold=round(self.number.value(), 2),
            character_threshold=round(self.characters.value(), 2),
            trigger_word=self.trigger.text().strip(),
            exclude=tuple(word.strip() for word in self.exclude.text().replace("，", ",").split(",") if word.strip()),
            replace_underscores=self.spaces.isChecked(),
            on_existing=self.existing.currentData(),
        )

    def set_tagger(self, folder: Path) -> None:
        """Take another tagger; an empty path is the one that comes with Kiln."""
        self._tagger = folder
        self._show_tagger()
        self._on_changed()

    @property
    def has_tagger(self) -> bool:
        """Whether the chosen folder looks like a tagger."""
        return self._tagger == Path() or all(
            (self._tagger / name).is_file() for name in ("model.onnx", "selected_tags.csv")
        )

    def _choose_tagger(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, tr("Choose the folder of a tagger"), str(self._tagger))
        if chosen:
            self.set_tagger(Path(chosen))

    def _on_slider(self, value: int) -> None:
        if round(self.number.value() * 100) != value:
            self.number.setValue(value / 100)

    def _on_number(self, value: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(value * 100))
        self.slider.blockSignals(False)
        self._on_changed()

    def _save_trigger(self) -> None:
        word = self.trigger.text().strip()
        if word != self._project.config.dataset.trigger_word:
            try:
                self._project.change({"dataset.trigger_word": word})
            except UserError as error:
                self._project.problem.emit(error.message, error.remedy)
        self._on_changed()

    def _on_config_changed(self) -> None:
        word = self._project.config.dataset.trigger_word
        if word != self.trigger.text().strip() and not self.trigger.hasFocus():
            self.trigger.setText(word)

    def _on_changed(self) -> None:
        kept = self.options().model_copy(update={"trigger_word": "", "on_existing": "keep"})
        self._settings.set_value(_KEY, kept.model_dump_json())
        self.changed.emit()

    def _show_tagger(self) -> None:
        own = self._tagger != Path()
        self._tagger_name.setText(str(self._tagger) if own else tr("Starter tagger"))
        set_role(self._tagger_name, "" if own else "muted")
        self._starter.setVisible(own)
        self._tagger_problem.setText(tr("This folder has no model.onnx with selected_tags.csv."))
        self._tagger_problem.setVisible(not self.has_tagger)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.set_title(tr("Options"))
        for title, text in (
            (self._tagger_label, tr("Tagger model")),
            (self._threshold_label, tr("Threshold")),
            (self._existing_label, tr("When a caption exists")),
            (self._trigger_label, tr("Trigger word")),
            (self._exclude_label, tr("Leave out")),
        ):
            title.setText(text)
        self._threshold_hint.setText(tr("Lower writes more tags, higher only sure ones. 0.35 is usual."))
        names = {
            "keep": tr("Keep it"),
            "replace": tr("Replace it by the new tags"),
            "append": tr("Add the new tags after it"),
            "prepend": tr("Add the new tags before it"),
        }
        for row, choice in enumerate(_EXISTING):
            self.existing.setItemText(row, names[choice])
        self.trigger.setPlaceholderText(tr("A word of its own, for example kira_v1"))
        self._trigger_hint.setText(tr("Put in front of every caption; in a prompt it calls what was trained"))
        self.exclude.setPlaceholderText(tr("Tags never written, separated by commas"))
        self.spaces.setText(tr("Spaces for underscores"))
        self.spaces.setToolTip(tr("Writes long hair, not long_hair"))
        self._characters_label.setText(tr("Threshold for characters"))
        self._choose.setText(tr("Choose…"))
        self._starter.setToolTip(tr("Use the starter tagger"))
        self._starter.setAccessibleName(tr("Use the starter tagger"))
        self._show_tagger()


def _percent(value: float) -> QDoubleSpinBox:
    made = QDoubleSpinBox()
    made.setRange(0.0, 1.0)
    made.setSingleStep(0.01)
    made.setDecimals(2)
    made.setValue(value)
    made.setFixedWidth(92)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    pad_spin_box(made)
    return made
