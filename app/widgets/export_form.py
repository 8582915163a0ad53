"""What to export: where to, at which size, fitted how, and as which kind of file."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from app import theme
from app.editors import guard_wheel
from app.project import Project
from app.widgets.card import button, label, pad_spin_box
from app.widgets.crop_words import SHAPES, edge_names, fill_box, fit_names
from core.jobs import PrepareJob
from core.text import tr

SIZES = (512, 768, 1024)


class ExportForm(QWidget):
    """The fields; they begin with the settings of the next run and a new folder beside the pictures."""

    changed = Signal()

    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project
        self._is_target_chosen = False
        self.target = QLineEdit()
        self.target.textEdited.connect(self._on_target_edited)
        self.browse_button = button(icon="folder-open")
        self.browse_button.setAutoDefault(False)
        self.browse_button.clicked.connect(self.choose_target)
        self.resolution, self.quality = QSpinBox(), QSpinBox()
        self.resolution.setRange(64, 4096)
        self.resolution.setSingleStep(64)
        self.resolution.setSuffix(" px")
        self.resolution.valueChanged.connect(self._on_size_changed)
        self.quality.setRange(1, 100)
        self.quality.setValue(PrepareJob.model_fields["quality"].default)
        for box in (self.resolution, self.quality):
            pad_spin_box(box)
            guard_wheel(box)
        self.fit, self.shape, self.edge, self.format = QComboBox(), QComboBox(), QComboBox(), QComboBox()
        for combo in (self.fit, self.shape, self.edge, self.format):
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            guard_wheel(combo)
        for name, ending in (("PNG", "png"), ("JPEG", "jpg"), ("WebP", "webp")):
            self.format.addItem(name, ending)
        self.captions = QCheckBox()
        self.captions.setChecked(True)
        self._lay_out()
        self.retranslate()
        self.begin()
        self.fit.currentIndexChanged.connect(self._show_rows)
        self.format.currentIndexChanged.connect(self._show_rows)

    def _lay_out(self) -> None:
        folder = QHBoxLayout()
        folder.setSpacing(theme.SPACE_S)
        folder.addWidget(self.target, 1)
        folder.addWidget(self.browse_button)
        sizes = QHBoxLayout()
        sizes.setSpacing(theme.SPACE_XS)
        self._size_group = QButtonGroup(self)
        self.size_buttons: dict[int, QPushButton] = {}
        for size in SIZES:
            made = QPushButton(str(size))
            made.setProperty("role", "segment")
            made.setCheckable(True)
            made.setAutoDefault(False)
            self._size_group.addButton(made, size)
            self.size_buttons[size] = made
            sizes.addWidget(made)
        self._size_group.idClicked.connect(self.resolution.setValue)
        sizes.addSpacing(theme.SPACE_S)
        sizes.addWidget(self.resolution, 1)
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setHorizontalSpacing(theme.SPACE_L)
        self._rows.setVerticalSpacing(theme.SPACE_S)
        self._rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        fields = (self.target, self.resolution, self.fit, self.shape, self.edge, self.format, self.quality)
        self._editors: tuple[QWidget, ...] = fields
        self._names = [label() for _ in fields]
        self._rows.addRow(self._names[0], folder)
        self._rows.addRow(self._names[1], sizes)
        for name, editor in zip(self._names[2:], self._editors[2:], strict=True):
            self._rows.addRow(name, editor)
        self._rows.addRow("", self.captions)

    @property
    def is_complete(self) -> bool:
        """Whether there is something to export and a place for it."""
        return bool(self.target.text().strip()) and self._project.scan is not None

    def begin(self) -> None:
        """Take the folder and the settings of now; the kind of file stays."""
        dataset = self._project.config.dataset
        self._is_target_chosen = False
        for box, value in ((self.fit, dataset.fit), (self.shape, dataset.crop_shape), (self.edge, dataset.edge)):
            box.setCurrentIndex(box.findData(value))
        with QSignalBlocker(self.resolution):
            self.resolution.setValue(dataset.resolution)
        self._on_size_changed(dataset.resolution)
        self._show_rows()

    def job(self) -> PrepareJob:
        """What the fields ask for."""
        dataset = self._project.config.dataset
        folder = self._project.folder or dataset.folder
        return PrepareJob(
            folder=folder,
            edits=self._project.edits_file,
            target=folder.parent / Path(self.target.text().strip()).expanduser(),
            resolution=self.resolution.value(),
            fit=self.fit.currentData(),
            bucket_step=dataset.bucket_step,
            max_aspect=dataset.max_aspect,
            crop_shape=self.shape.currentData(),
            edge=self.edge.currentData(),
            caption_extension=dataset.caption_extension,
            captions=self.captions.isChecked(),
            format=self.format.currentData(),
            quality=self.quality.value(),
        )

    def choose_target(self) -> None:
        """Ask for the folder to write to."""
        folder = self._project.folder
        start = str(folder.parent if folder else Path.home())
        chosen = QFileDialog.getExistingDirectory(self, tr("Choose a new, empty folder."), start)
        if chosen:
            self.target.setText(chosen)
            self._is_target_chosen = True
            self.changed.emit()

    def _on_target_edited(self) -> None:
        self._is_target_chosen = True
        self.changed.emit()

    def _on_size_changed(self, size: int) -> None:
        self._size_group.setExclusive(False)
        for number, made in self.size_buttons.items():
            made.setChecked(number == size)
        self._size_group.setExclusive(True)
        self._suggest_target()

    def _suggest_target(self) -> None:
        """A new folder beside that of the pictures, until the user names one."""
        folder = self._project.folder
        if folder is None or self._is_target_chosen:
            return
        name = f"{folder.name} {self.resolution.value()}"
        names = (name, *(f"{name} ({number})" for number in range(2, 100)))
        free = (folder.parent / name for name in names if not (folder.parent / name).exists())
        self.target.setText(str(next(free, "")))

    def _show_rows(self) -> None:
        fit = self.fit.currentData()
        self._rows.setRowVisible(3, fit != "buckets")
        self._rows.setRowVisible(4, fit in ("smart", "pad"))
        self._rows.setRowVisible(6, self.format.currentData() != "png")

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        names = tr("Folder"), tr("Size"), tr("Fit"), tr("Shape of crops"), tr("Edge"), tr("Format"), tr("Quality")
        for place, name in zip(self._names, names, strict=True):
            place.setText(name)
        for name, editor in zip(names, self._editors, strict=True):
            editor.setAccessibleName(name)
        self.target.setPlaceholderText(tr("A new, empty folder"))
        self.resolution.setToolTip(tr("Side of the square that has as many pixels as each copy"))
        self.browse_button.setText(tr("Choose"))
        self.captions.setText(tr("Write captions, too"))
        fill_box(self.fit, fit_names().items())
        fill_box(self.shape, [(shape, shape) for shape in SHAPES])
        fill_box(self.edge, edge_names().items())
