"""The page on which one picture is cropped: its canvas, its buttons and its side column."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.editors import guard_wheel
from app.fit_plans import FitPlans
from app.project import Project
from app.widgets.card import Card, ElidedLabel, button, label, pad_spin_box
from app.widgets.crop_canvas import CropCanvas
from app.widgets.crop_list import CropList
from app.widgets.crop_words import fill_box, fit_names
from app.widgets.trained_preview import TrainedPreview
from core.text import tr

SIDE_WIDTH = 344
SHAPES = ("1:1", "2:3", "3:2", "3:4", "4:3", "9:16", "16:9")


class CropPage(QWidget):
    """Only what is on it and what it says; `CropEditor` makes it work."""

    def __init__(self, project: Project, plans: FitPlans, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plans = plans
        self.canvas = CropCanvas()
        self.crops = CropList()
        self.preview = TrainedPreview(project, plans)
        self._build_controls()
        self._lay_out()

    def _build_controls(self) -> None:
        self._title = ElidedLabel(elide=Qt.TextElideMode.ElideMiddle)
        self._title.setProperty("role", "heading")
        self._size = label(role="muted")
        self.back_button, self.on_button = QToolButton(), QToolButton()
        self.left_button, self.right_button = QToolButton(), QToolButton()
        for made, icon in (
            (self.back_button, "chevron-left"),
            (self.on_button, "chevron-right"),
            (self.left_button, "turn-left"),
            (self.right_button, "turn-right"),
        ):
            icons.set_icon(made, icon, 18)
        self.reset_button = button(kind="quiet", icon="undo")
        self.cancel_button = button()
        self.done_button = button(kind="primary", icon="check")
        self.add_button = button(icon="plus")
        self.subject_button = button(icon="subject")
        self.shape, self.fit = QComboBox(), QComboBox()
        for box in (self.shape, self.fit):  # Long entries must not widen the column.
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.repeats = QSpinBox()
        self.repeats.setRange(0, 1000)
        pad_spin_box(self.repeats)
        for field in (self.shape, self.fit, self.repeats):
            guard_wheel(field)
        self.excluded = QCheckBox()
        self._shape_label, self._fit_label, self._repeats_label = label(), label(), label()
        self._crops_card, self._picture_card, self._preview_card = Card(), Card(), Card()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(theme.SPACE_S)
        top.addWidget(self.back_button)
        top.addWidget(self.on_button)
        top.addWidget(self._title, 1)
        top.addWidget(self._size)
        for widget in (self.left_button, self.right_button, self.reset_button, self.cancel_button, self.done_button):
            top.addWidget(widget)
        add = QHBoxLayout()
        add.setSpacing(theme.SPACE_S)
        add.addWidget(self.add_button)
        add.addWidget(self.subject_button)
        body = self._crops_card.body
        body.addLayout(_line(self._shape_label, self.shape))
        body.addWidget(self.crops)
        body.addLayout(add)
        self._preview_card.body.addWidget(self.preview)
        self.preview.setFixedHeight(210)
        body = self._picture_card.body
        body.addLayout(_line(self._fit_label, self.fit))
        body.addLayout(_line(self._repeats_label, self.repeats))
        body.addWidget(self.excluded)
        side = QWidget()
        side.setProperty("role", "scrolled")
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, theme.SPACE_XS, 0)
        column.setSpacing(theme.SPACE_M)
        for card in (self._crops_card, self._preview_card, self._picture_card):
            column.addWidget(card)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFixedWidth(SIDE_WIDTH)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(side)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_M)
        row.addWidget(self.canvas, 1)
        row.addWidget(scroll)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(theme.SPACE_XL, theme.SPACE_L, theme.SPACE_XL, theme.SPACE_L)
        outer.setSpacing(theme.SPACE_M)
        outer.addLayout(top)
        outer.addLayout(row, 1)

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        for widget, text in (
            (self.back_button, tr("Previous picture (Page Up)")),
            (self.on_button, tr("Next picture (Page Down)")),
            (self.left_button, tr("Turn to the left (Shift+R)")),
            (self.right_button, tr("Turn to the right (R)")),
        ):
            widget.setToolTip(text)
            widget.setAccessibleName(text)
        self.reset_button.setText(tr("Reset"))
        self.reset_button.setToolTip(tr("Forgets crops, turn, fit and repeats of this picture"))
        self.cancel_button.setText(tr("Cancel"))
        self.cancel_button.setToolTip(tr("Leaves everything as it was (Esc)"))
        self.done_button.setText(tr("Done"))
        self.done_button.setToolTip(tr("Keeps the changes (Enter)"))
        self.add_button.setText(tr("Add crop"))
        self.add_button.setToolTip(tr("Adds a crop in the middle (Ctrl+D); or draw one on the picture"))
        self.subject_button.setText(tr("Around subject"))
        self._crops_card.set_title(tr("Crops"))
        self._preview_card.set_title(tr("As the trainer sees it"))
        self._picture_card.set_title(tr("This picture"))
        self._shape_label.setText(tr("Shape"))
        self._fit_label.setText(tr("Fit"))
        self._repeats_label.setText(tr("Repeats"))
        self.repeats.setSpecialValueText(tr("as the folder"))
        self.excluded.setText(tr("Leave out of training"))
        shapes = [("", tr("Any shape")), ("buckets", tr("Training sizes")), ("original", tr("Shape of the picture"))]
        fill_box(self.shape, [*shapes, *((shape, shape) for shape in SHAPES)])
        fits = fit_names()
        fill_box(self.fit, [("", tr("Dataset: {fit}", fit=fits[self._plans.options.fit])), *fits.items()])
        for box, name in ((self.shape, tr("Shape")), (self.fit, tr("Fit")), (self.repeats, tr("Repeats"))):
            box.setAccessibleName(name)
        for part in (self.canvas, self.crops, self.preview):
            part.retranslate()


def _line(name: QWidget, editor: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(theme.SPACE_S)
    name.setMinimumWidth(72)
    row.addWidget(name)
    row.addWidget(editor, 1)
    return row
