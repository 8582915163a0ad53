"""How all pictures are brought to training size, and what comes of it."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFormLayout,
    QHeaderView,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.background import Background
from app.editors import guard_wheel
from app.fit_plans import FitPlans
from app.project import Project
from app.widgets.bucket_table import SIZE, BucketModel, FitSummary, Trained, summarize
from app.widgets.card import Card, button, label, pad_spin_box, set_role
from app.widgets.crop_words import SHAPES, edge_names, fill_box
from app.widgets.fit_choice import FitChoice
from core.config import field_specs
from core.dataset.subject import BUILT_IN, known_detectors
from core.errors import details
from core.text import tr

DELAY_MS = 150
_ROW_HEIGHT = 28


class FitPanel(QWidget):
    """Settings at the top, the sizes that pictures get below; a click on a size shows its pictures."""

    filter_requested = Signal(str)
    models_requested = Signal(str)

    def __init__(self, project: Project, plans: FitPlans, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._plans = plans
        self._background = Background(self)
        self._generation = 0
        self._is_old = True
        self._summary: FitSummary | None = None
        self.choice = FitChoice()
        self.resolution = QSpinBox()
        self.resolution.setRange(64, 4096)
        self.resolution.setSingleStep(64)
        self.resolution.setSuffix(" px")
        self.resolution.setKeyboardTracking(False)
        pad_spin_box(self.resolution)
        self.shape, self.edge = QComboBox(), QComboBox()
        for box in (self.shape, self.edge):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for field in (self.resolution, self.shape, self.edge):
            guard_wheel(field)
        self.model = BucketModel(self)
        self.table = QTreeView()
        self.detector = label(role="small", wrap=True)
        self.detector_button = button(kind="quiet")
        self.detector_button.clicked.connect(lambda: self.models_requested.emit("detector"))
        self._sums = label(wrap=True)
        self._enlarged = label(role="warning", wrap=True)
        self._lay_out()
        self._waiting = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._waiting.timeout.connect(self._compute)
        self.choice.chosen.connect(lambda fit: self._change("fit", fit))
        self.resolution.valueChanged.connect(lambda value: self._change("resolution", value))
        self.shape.activated.connect(lambda _index: self._change("crop_shape", self.shape.currentData()))
        self.edge.activated.connect(lambda _index: self._change("edge", self.edge.currentData()))
        self.table.clicked.connect(self._ask_for)
        self.table.activated.connect(self._ask_for)
        project.config_changed.connect(self._show_settings)
        for signal in (project.records_changed, project.edits_changed, plans.changed):
            signal.connect(lambda *_changed: self._outdate())
        self.retranslate()

    def _lay_out(self) -> None:
        self._how, self._sizes = Card(), Card()
        self._how.body.addWidget(self.choice)
        self._form = QFormLayout()
        self._form.setHorizontalSpacing(theme.SPACE_M)
        self._form.setVerticalSpacing(theme.SPACE_S)
        self._labels = [label(), label(), label()]
        for name, editor in zip(self._labels, (self.resolution, self.shape, self.edge), strict=True):
            self._form.addRow(name, editor)
        self._how.body.addLayout(self._form)
        self._how.body.addWidget(self.detector)
        self._how.body.addWidget(self.detector_button)
        table = self.table
        table.setModel(self.model)
        table.setProperty("role", "list")
        table.setRootIsDecorated(False)
        table.setUniformRowHeights(True)
        table.setItemsExpandable(False)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.header().setMinimumSectionSize(40)
        table.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        table.header().setSectionResizeMode(SIZE, QHeaderView.ResizeMode.Stretch)
        table.header().setStretchLastSection(False)
        table.header().setSectionsMovable(False)
        self._sizes.body.addWidget(self._sums)
        self._sizes.body.addWidget(self._enlarged)
        self._sizes.body.addWidget(table)
        inside = QWidget()
        inside.setProperty("role", "scrolled")
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, theme.SPACE_XS, 0)
        column.setSpacing(theme.SPACE_M)
        column.addWidget(self._how)
        column.addWidget(self._sizes)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    # Settings

    def _change(self, name: str, value: str | int) -> None:
        self._project.change({f"dataset.{name}": value})

    def _show_settings(self) -> None:
        dataset = self._project.config.dataset
        self.choice.set_fit(dataset.fit)
        with QSignalBlocker(self.resolution):
            self.resolution.setValue(dataset.resolution)
        self.shape.setCurrentIndex(self.shape.findData(dataset.crop_shape))
        self.edge.setCurrentIndex(self.edge.findData(dataset.edge))
        # A single picture may have a fit of its own that uses them, but for the dataset they mean nothing else.
        self._form.setRowVisible(1, dataset.fit != "buckets")
        self._form.setRowVisible(2, dataset.fit in ("smart", "pad"))
        self.detector.setVisible(dataset.fit == "smart")
        self.detector_button.setVisible(dataset.fit == "smart")

    # Numbers

    @property
    def summary(self) -> FitSummary | None:
        """The numbers shown; None while they are counted."""
        return None if self._is_old else self._summary

    def _outdate(self) -> None:
        self._is_old = True
        if self.isVisible():
            self._waiting.start()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Catch up with what happened while nobody looked."""
        super().showEvent(event)
        self._name_detectors()
        if self._is_old:
            self._compute()

    def _name_detectors(self) -> None:
        """Say what finds the subject of a picture; models may have come in the meantime."""
        own = [name for name in known_detectors() if name != BUILT_IN]
        self.detector.setText(
            tr(
                "Subjects are found with {names}, and with Kiln's own method where those find nothing.",
                names=", ".join(own),
            )
            if own
            else tr("Subjects are found with Kiln's own method. A model trained on drawings finds more of them.")
        )

    def _compute(self) -> None:
        scan = self._project.scan
        self._generation += 1
        generation, options, subject = self._generation, self._plans.options, self._plans.subject
        if scan is None:
            self._take(generation, FitSummary())
            return
        records = ((record, scan.edits(record.path)) for record in scan.records)
        pictures = [
            Trained(record.size_px, edits, subject(record.path) if (edits.fit or options.fit) == "smart" else None)
            for record, edits in records
            if not edits.excluded
        ]
        self._background.start(lambda: summarize(pictures, options), lambda result: self._take(generation, result))

    def _take(self, generation: int, result: FitSummary | Exception) -> None:
        if isinstance(result, Exception):
            self._project.crashed.emit(details(result))
        elif generation == self._generation:
            self._summary, self._is_old = result, False
            self.model.set_rows(result.rows)
            self._show_sums()

    def _show_sums(self) -> None:
        summary = self._summary
        height = self.table.header().sizeHint().height() + self.model.rowCount() * _ROW_HEIGHT + 4
        self.table.setFixedHeight(height)
        self.table.setVisible(bool(self.model.rowCount()))
        self._enlarged.setVisible(bool(summary and summary.num_enlarged))
        if summary is None or not summary.num_images:
            self._sums.setText(tr("No picture is trained."))
            set_role(self._sums, "muted")
            return
        if len(summary.rows) > 1:
            parts = [tr("{n} pictures in {sizes} sizes", n=summary.num_images, sizes=len(summary.rows))]
        elif summary.num_images > 1:
            parts = [tr("{n} pictures in one size", n=summary.num_images)]
        else:
            parts = [tr("1 picture")]
        parts.append(tr("{percent} % cropped on average", percent=round(summary.cropped_share * 100)))
        if summary.num_padded:
            parts.append(tr("{n} with filled edges", n=summary.num_padded))
        self._sums.setText(" · ".join(parts))
        self._enlarged.setText(
            tr("{n} are enlarged; they look soft in training.", n=summary.num_enlarged)
            if summary.num_enlarged > 1
            else tr("1 is enlarged; it looks soft in training.")
        )

    def _ask_for(self, index: QModelIndex) -> None:
        row = self.model.row(index.row())
        if row is not None:
            width, height = row.size_px
            self.filter_requested.emit(f"bucket:{width}x{height}")

    # Words

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self._how.set_title(tr("Bring pictures to size"))
        self._sizes.set_title(tr("Training sizes"))
        self.detector_button.setText(tr("Get a model that finds people…"))
        self._name_detectors()
        specs = {spec.key: spec for spec in field_specs()}
        editors = ("resolution", self.resolution), ("crop_shape", self.shape), ("edge", self.edge)
        for name, (key, editor) in zip(self._labels, editors, strict=True):
            spec = specs[f"dataset.{key}"]
            name.setText(tr(spec.title))
            editor.setAccessibleName(tr(spec.title))
            editor.setToolTip(tr(spec.description))
        fill_box(self.shape, [(shape, shape) for shape in SHAPES])
        fill_box(self.edge, edge_names().items())
        self.table.setAccessibleName(tr("Training sizes"))
        self.choice.retranslate()
        self.model.set_rows(self._summary.rows if self._summary else ())
        self._show_settings()
        self._show_sums()
