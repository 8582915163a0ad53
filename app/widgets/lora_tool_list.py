"""Several LoRA files with their strengths, in a form of the LoRA tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QDoubleSpinBox, QFileDialog, QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from app import icons, theme
from app.editors import browse_start, guard_wheel
from app.widgets.card import button, label, pad_spin_box
from app.widgets.lora_tool_fields import LORA_ENDINGS, NUMBER_WIDTH, Field, Words, is_there
from core.text import tr


class LorasField(Field):
    """Several LoRA files, each with a strength."""

    def __init__(self, title: Words, hint: Words | None = None) -> None:
        super().__init__(title, hint)
        self._rows: list[tuple[QWidget, Path, QDoubleSpinBox]] = []
        self._offered: QWidget | None = None
        self._list = QVBoxLayout()
        self._list.setSpacing(theme.SPACE_XS)
        self.add_button: QPushButton = button(icon="plus")
        self.add_button.setAutoDefault(False)
        self.add_button.clicked.connect(self._choose)
        column = QVBoxLayout()
        column.setSpacing(theme.SPACE_S)
        column.addLayout(self._list)
        below = QHBoxLayout()
        below.addWidget(self.add_button)
        below.addStretch(1)
        column.addLayout(below)
        self.row.addLayout(column, 1)

    def value(self) -> list[dict[str, object]] | None:
        """File and strength of each."""
        return [{"file": path, "strength": box.value()} for _, path, box in self._rows] or None

    def problem(self) -> str:
        """A file that is gone."""
        gone = next((path for _, path, _ in self._rows if not is_there(path)), None)
        return tr("{path} does not exist.", path=gone) if gone is not None else ""

    def take(self, paths: Sequence[Path]) -> list[Path]:
        """Add files."""
        added = [path for path in paths if path.is_file()]
        for path in added:
            self._add(path)
        if added:
            self.changed.emit()
        return added

    def offer(self, path: Path) -> None:
        """List it where nothing is, or in the place of the one that was offered before."""
        if len(self._rows) == 1:
            widget, known, box = self._rows[0]
            if widget is self._offered and known != path and box.value() == 1:
                self._remove(self._rows[0])
        if not self._rows and self.take([path]):
            self._offered = self._rows[0][0]

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        super().retranslate()
        self.add_button.setText(tr("Add files…"))
        for widget, path, box in self._rows:
            box.setAccessibleName(tr("Strength of {name}", name=path.name))
            for tool in widget.findChildren(QToolButton):
                tool.setToolTip(tr("Take it out of the list"))
                tool.setAccessibleName(tr("Take it out of the list"))

    def _add(self, path: Path) -> None:
        widget = QWidget()
        row = QHBoxLayout(widget)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE_S)
        name = label(path.name)
        name.setToolTip(str(path))
        box = QDoubleSpinBox(decimals=2)
        box.setRange(-16, 16)
        box.setSingleStep(0.05)
        box.setValue(1.0)
        box.setFixedWidth(NUMBER_WIDTH)
        pad_spin_box(box)
        guard_wheel(box)
        remove = QToolButton()
        icons.set_icon(remove, "close", 16, "muted")
        entry = (widget, path, box)
        remove.clicked.connect(lambda: self._remove(entry))
        row.addWidget(name, 1)
        row.addWidget(box)
        row.addWidget(remove)
        self._rows.append(entry)
        self._list.addWidget(widget)
        self.retranslate()

    def _remove(self, entry: tuple[QWidget, Path, QDoubleSpinBox]) -> None:
        self._rows.remove(entry)
        entry[0].deleteLater()
        self.changed.emit()

    def _choose(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(
            self, self._words(), str(browse_start(Path())), f"LoRA ({LORA_ENDINGS})"
        )
        self.take([Path(name) for name in names])
