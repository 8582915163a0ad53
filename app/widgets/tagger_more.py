"""The options of the tagger that few people need: other thresholds, spelling, order, and the form of a caption."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from app import theme
from app.editors import guard_wheel
from app.widgets.card import label
from app.widgets.tagger_fields import ScoreField, titled
from app.widgets.tagger_models import ModelBox
from core.tagging.options import BOTH_TEMPLATE, ORDERS, SENTENCE_TEMPLATE, TAGS_TEMPLATE, TagOptions
from core.text import tr

_FORMS = (TAGS_TEMPLATE, SENTENCE_TEMPLATE, BOTH_TEMPLATE)
_OWN = len(_FORMS)
_SCORES = ("character_threshold", "copyright_threshold", "other_threshold")
_SWITCHES = ("mcut", "characters", "ratings", "replace_underscores", "escape_brackets")


class MoreOptions(QWidget):
    """What is behind *More*; `values` gives the chosen fields of `TagOptions`."""

    changed = Signal()

    def __init__(self, options: TagOptions) -> None:
        super().__init__()
        self._template = options.template
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        self._titles: dict[str, QLabel] = {}
        self.template = QComboBox()
        guard_wheel(self.template)
        self.template.addItems([""] * (_OWN + 1))
        self._titles["template"] = titled(column, self.template)
        self.own_template = QLineEdit(options.template)
        self._wrong = label(role="error", wrap=True)
        self._wrong.hide()
        column.addWidget(self.own_template)
        column.addWidget(self._wrong)
        self.captioner = ModelBox("captioner", options.captioner)
        self._titles["captioner"] = titled(column, self.captioner)
        self.scores: dict[str, ScoreField] = {}
        for name in _SCORES:
            self.scores[name] = ScoreField(getattr(options, name))
            self.scores[name].changed.connect(self.changed)
            self._titles[name] = titled(column, self.scores[name])
        self.order = QComboBox()
        guard_wheel(self.order)
        for order in ORDERS:
            self.order.addItem("", order)
        self.order.setCurrentIndex(ORDERS.index(options.order))
        self.order.currentIndexChanged.connect(lambda _row: self.changed.emit())
        self._titles["order"] = titled(column, self.order)
        column.addSpacing(theme.SPACE_XS)
        self.switches: dict[str, QCheckBox] = {}
        for name in _SWITCHES:
            self.switches[name] = QCheckBox()
            self.switches[name].setChecked(getattr(options, name))
            self.switches[name].toggled.connect(lambda _on: self._on_switch())
            column.addWidget(self.switches[name])
        self.template.setCurrentIndex(_FORMS.index(options.template) if options.template in _FORMS else _OWN)
        self.template.currentIndexChanged.connect(self._on_form)
        self.own_template.textChanged.connect(self._on_own)
        self.captioner.changed.connect(self.changed)
        self._show()

    @property
    def values(self) -> dict[str, Any]:
        """The chosen fields by name."""
        return {
            "template": self._template,
            "captioner": self.captioner.folder,
            "order": self.order.currentData(),
            **{name: field.value for name, field in self.scores.items()},
            **{name: box.isChecked() for name, box in self.switches.items()},
        }

    @property
    def lacks_captioner(self) -> bool:
        """Whether a sentence is asked for and no model is there to write it."""
        return "{sentence}" in self._template and not self.captioner.is_usable

    def _on_form(self, row: int) -> None:
        if row < _OWN:
            self._template = _FORMS[row]
            self.own_template.setText(self._template)
        self._show()
        self.changed.emit()

    def _on_own(self, text: str) -> None:
        try:
            self._template = TagOptions(template=text).template
        except ValueError:
            self._wrong.show()
            return
        self._wrong.hide()
        self._show()
        self.changed.emit()

    def _on_switch(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        is_own = self.template.currentIndex() == _OWN
        self.own_template.setVisible(is_own)
        wants_sentence = "{sentence}" in self._template
        self.captioner.setVisible(wants_sentence)
        self._titles["captioner"].setVisible(wants_sentence)
        self.scores["character_threshold"].setEnabled(not self.switches["mcut"].isChecked())

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        for name, title, tip in (
            ("template", tr("Form of a caption"), ""),
            (
                "captioner",
                tr("Sentence model"),
                tr("Writes a sentence about each picture; some base models want that."),
            ),
            (
                "character_threshold",
                tr("Threshold for characters"),
                tr("Names of characters need at least this score."),
            ),
            (
                "copyright_threshold",
                tr("Threshold for series"),
                tr("Names of series and works need at least this score."),
            ),
            (
                "other_threshold",
                tr("Threshold for the rest"),
                tr("Tags of all other kinds, for example artists and quality, need at least this score."),
            ),
            ("order", tr("Order of tags"), ""),
        ):
            self._titles[name].setText(title)
            self._titles[name].setToolTip(tip)
            if name in self.scores:
                self.scores[name].set_name(title, tip)
        for row, text in enumerate((tr("Tags"), tr("A sentence"), tr("Tags, then a sentence"), tr("My own form…"))):
            self.template.setItemText(row, text)
        self.template.setAccessibleName(tr("Form of a caption"))
        self.own_template.setAccessibleName(tr("Form of a caption"))
        self.own_template.setToolTip(
            tr("{trigger}, {tags} and {sentence} are filled in; what is empty goes with the comma after it.")
        )
        self._wrong.setText(tr("It needs {tags} or {sentence}, and may have {trigger}."))
        self.order.setAccessibleName(tr("Order of tags"))
        orders = {"score": tr("The most certain first"), "name": tr("By name")}
        for row, order in enumerate(ORDERS):
            self.order.setItemText(row, orders[order])
        for name, text, tip in (
            (
                "mcut",
                tr("Find the threshold for each picture"),
                tr("Cut general tags and characters at the widest gap between scores, instead of at their thresholds."),
            ),
            (
                "characters",
                tr("Write names of characters"),
                tr("Without it, names of characters and of their series are left out."),
            ),
            (
                "ratings",
                tr("Write the rating"),
                tr("Put the most certain rating (general, sensitive, ...) into the caption."),
            ),
            ("replace_underscores", tr("Spaces for underscores"), tr("Write long hair, not long_hair.")),
            (
                "escape_brackets",
                tr("Escape brackets"),
                tr("Write \\( for (. That is for prompts; in captions the backslash would be learned."),
            ),
        ):
            self.switches[name].setText(text)
            self.switches[name].setToolTip(tip)
        self.captioner.refresh()
