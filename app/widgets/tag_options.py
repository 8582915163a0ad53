"""The options of a tagging run, as a form that remembers what was chosen."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QFrame, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app import theme
from app.editors import guard_wheel
from app.project import Project, demo_folder
from app.settings import Settings
from app.tagging_memory import remember_at_once, remember_options, remembered_options, writes_at_once
from app.widgets.card import Card, label
from app.widgets.fold import Folds
from app.widgets.switch import Switch
from app.widgets.tagger_fields import PairsField, ScoreField, WordsField, titled
from app.widgets.tagger_models import Kind, ModelBox
from app.widgets.tagger_more import MoreOptions
from core.dataset.captions import tag_key
from core.errors import UserError
from core.tagging.choice import spelled
from core.tagging.options import ON_EXISTING, TagOptions
from core.text import tr

_PRUNE = "tagger_prune"
_MORE = "more"


class TagOptionsForm(Card):
    """Model, threshold, existing captions, trigger word, tags to add, leave out and replace, and more behind a fold.

    The trigger word is the one of the training settings: changed here, it is changed there. What happens to existing
    captions and what is left to the trigger word is chosen for each folder; the latter is remembered with it.
    """

    changed = Signal()
    at_once_changed = Signal()
    models_requested = Signal(str)  # the kind: tagger or captioner

    def __init__(self, project: Project, settings: Settings) -> None:
        super().__init__()
        self._project = project
        self._settings = settings
        self._prune = self._remembered_prune()
        remembered = remembered_options(settings)
        self._titles: dict[str, QLabel] = {}
        inside = QWidget()
        inside.setProperty("role", "scrolled")
        self._fields = QVBoxLayout(inside)
        self._fields.setSpacing(theme.SPACE_S)
        self._fields.setContentsMargins(0, 0, theme.SPACE_M, 0)
        self._area = QScrollArea()
        self._area.setWidget(inside)
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.body.addWidget(self._area)

        self.at_once = Switch()
        self.at_once.setChecked(writes_at_once(settings))
        self.at_once.toggled.connect(self._on_at_once)
        self._fields.addWidget(self.at_once)
        self.model = ModelBox("tagger", remembered.tagger)
        self._add("model", self.model)
        self.threshold = ScoreField(remembered.threshold)
        self._add("threshold", self.threshold)
        self.existing = QComboBox()
        guard_wheel(self.existing)
        for choice in ON_EXISTING:
            self.existing.addItem("", choice)
        self._add("existing", self.existing)
        self.trigger = QLineEdit(project.config.dataset.trigger_word)
        self.trigger.setAcceptDrops(False)
        self._add("trigger", self.trigger)
        self.add_words = WordsField(remembered.add)
        self._add("add", self.add_words)
        self.exclude = WordsField(remembered.exclude)
        self._add("exclude", self.exclude)
        self.replace = PairsField(remembered.replace)
        self._add("replace", self.replace)
        self._half = label(role="error", wrap=True)
        self._half.hide()
        self._fields.addWidget(self._half)
        self.more = MoreOptions(remembered)
        self.folds = Folds()
        self.folds.add(_MORE, self.more)
        self.folds.opened.connect(lambda: self._area.ensureWidgetVisible(self.more, 0, 200))
        self._fields.addWidget(self.folds)
        self._fields.addStretch(1)
        self._connect()
        self._name_pictures()
        self.retranslate()

    def _add(self, name: str, editor: QWidget) -> None:
        self._titles[name] = titled(self._fields, editor)

    def _connect(self) -> None:
        for editor in (self.model, self.threshold, self.add_words, self.exclude, self.replace, self.more):
            editor.changed.connect(self._on_changed)
        self.replace.changed.connect(self._half.hide)
        self.replace.editingFinished.connect(lambda: self._half.setVisible(not self.replace.is_whole))
        self.existing.currentIndexChanged.connect(self._on_changed)
        self.trigger.textChanged.connect(self._on_changed)
        self.trigger.editingFinished.connect(self._save_trigger)
        self.model.more_requested.connect(lambda: self.models_requested.emit("tagger"))
        self.more.captioner.more_requested.connect(lambda: self.models_requested.emit("captioner"))
        self._project.config_changed.connect(self._on_config_changed)
        self._project.folder_changed.connect(self._on_folder_changed)

    # What is chosen

    def options(self) -> TagOptions:
        """What is chosen."""
        return TagOptions(
            tagger=self.model.folder,
            threshold=self.threshold.value,
            trigger_word=self.trigger.text().strip(),
            add=self.add_words.words,
            exclude=self.exclude.words,
            replace=self.replace.words,
            prune=self._prune,
            on_existing=self.existing.currentData(),
            **self.more.values,
        )

    @property
    def problem(self) -> str:
        """Why nothing can be tagged like this, or ""."""
        if self.more.lacks_captioner:
            return tr("Captions with a sentence need a sentence model; choose one under More.")
        if "{tags}" in self.more.values["template"] and not self.model.is_usable:
            return tr("The chosen tagger is not complete; choose another folder or the starter tagger.")
        return ""

    def set_tagger(self, folder: Path) -> None:
        """Take another tagger; an empty path is the one that comes with Kiln."""
        self.model.set_folder(folder)

    def use_model(self, kind: Kind, folder: Path) -> None:
        """Take a model that has just come."""
        (self.model if kind == "tagger" else self.more.captioner).set_folder(folder)
        self.refresh_models()

    def refresh_models(self) -> None:
        """See anew which models are here."""
        self.model.refresh()
        self.more.captioner.refresh()

    def set_trigger(self, word: str) -> None:
        """Take another trigger word."""
        self.trigger.setText(word)
        self._save_trigger()

    def set_prune(self, tags: tuple[str, ...]) -> None:
        """Leave other tags to the trigger word."""
        if tags != self._prune:
            self._prune = tags
            self._project.set_view({_PRUNE: "\n".join(tags)})
            self._on_changed()

    def _remembered_prune(self) -> tuple[str, ...]:
        """What was left to the trigger word of these pictures."""
        return tuple(tag for tag in str(self._project.view.get(_PRUNE, "")).split("\n") if tag)

    def toggle_excluded(self, tag: str) -> None:
        """Leave a tag out, or take it back in when it is named among those left out; spelled as it is written."""
        tag = spelled(tag, self.more.switches["replace_underscores"].isChecked())
        words = self.exclude.words
        others = tuple(word for word in words if tag_key(word) != tag_key(tag))
        self.exclude.set_words(others if others != words else (*words, tag))

    # What happens

    def _on_at_once(self, is_on: bool) -> None:
        remember_at_once(self._settings, is_on)
        self.at_once_changed.emit()

    def _save_trigger(self) -> None:
        word = self.trigger.text().strip()
        if word != self._project.config.dataset.trigger_word:
            try:
                self._project.change({"dataset.trigger_word": word})
            except UserError as error:
                self._project.problem.emit(error.message, error.remedy)

    def _on_config_changed(self) -> None:
        word = self._project.config.dataset.trigger_word
        if word != self.trigger.text().strip() and not self.trigger.hasFocus():
            self.trigger.setText(word)

    def _on_folder_changed(self) -> None:
        self._prune = self._remembered_prune()
        self._name_pictures()
        self.existing.setCurrentIndex(ON_EXISTING.index("keep"))
        self._on_changed()

    def _name_pictures(self) -> None:
        self.model.set_for_demo(self._project.folder in (None, demo_folder()))

    def _on_changed(self) -> None:
        remember_options(self._settings, self.options())
        self.changed.emit()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.set_title(tr("Options"))
        self.at_once.setText(tr("Write at once"))
        self.at_once.setToolTip(tr("Off: see first what would be written. Either way it can be taken back."))
        for name, title in (
            ("model", tr("Tagger model")),
            ("threshold", tr("Threshold")),
            ("existing", tr("When a caption exists")),
            ("trigger", tr("Trigger word")),
            ("add", tr("Add")),
            ("exclude", tr("Leave out")),
            ("replace", tr("Replace")),
        ):
            self._titles[name].setText(title)
        for editor, title, tip in (
            (self.model.box, tr("Tagger model"), ""),
            (self.existing, tr("When a caption exists"), tr("Chosen anew for each folder")),
            (
                self.trigger,
                tr("Trigger word"),
                tr("Put in front of every caption; in a prompt it calls what was trained"),
            ),
            (self.add_words, tr("Add"), tr("Tags that are written first in every caption.")),
            (
                self.exclude,
                tr("Leave out"),
                tr("Tags that are never written; * stands for any letters, as in *_background."),
            ),
            (self.replace, tr("Replace"), tr("Tags to be written as other ones, each as old=new.")),
        ):
            editor.setAccessibleName(title)
            if tip:
                editor.setToolTip(tip)
        self.threshold.set_name(tr("Threshold"), tr("Lower writes more tags, higher only sure ones. 0.35 is usual."))
        names = {
            "keep": tr("Keep it, skip the picture"),
            "replace": tr("Replace it by the new tags"),
            "prepend": tr("Put the new tags before it"),
            "append": tr("Put the new tags after it"),
            "merge": tr("Make one list of both"),
        }
        for row, choice in enumerate(ON_EXISTING):
            self.existing.setItemText(row, names[choice])
        self.trigger.setPlaceholderText(tr("A word of its own, for example kira_v1"))
        self.add_words.setPlaceholderText(tr("Tags for every picture"))
        self.exclude.setPlaceholderText(tr("blurry, *_background"))
        self.replace.setPlaceholderText(tr("old=new, other=another"))
        self._half.setText(tr("Write pairs as old=new, separated by commas."))
        self.folds.set_title(_MORE, tr("More options"))
        self.more.retranslate()
        self.model.refresh()
