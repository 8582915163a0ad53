"""One editor per kind of field: it shows a value and says what was entered. What is allowed is not its business."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, QUrl, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QValidator
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QWidget,
)

from app import theme
from app.widgets.card import button, label, restyle
from app.widgets.switch import Switch
from core.config import FieldSpec
from core.config.labels import choice_label, number_text
from core.text import tr

_LARGEST_INT = 2**31 - 1


class WheelGuard(QObject):
    """Event filter: turning the wheel over a field that nobody clicked scrolls the page and changes no value."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Leave the wheel to the page unless the field has the focus."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


def guard_wheel(widget: QWidget) -> None:
    """Make a spin or combo box safe to scroll past."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(WheelGuard(widget))


class Editor(QWidget):
    """What all editors share. `edited` carries the new value, or the text as it was typed."""

    edited = Signal(object)
    is_wide = False
    """Whether it wants the whole width of the form instead of its right side."""

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spec = spec
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def show_value(self, value: Any) -> None:
        """Show a value of the config; says nothing."""
        raise NotImplementedError

    def retranslate(self) -> None:
        """Take up the language in use."""

    def input(self) -> QWidget:
        """The widget that takes the focus and the red border."""
        raise NotImplementedError

    def set_wrong(self, wrong: bool) -> None:
        """Mark what was entered as not allowed."""
        mark_wrong(self.input(), wrong)

    def _fill(self, *widgets: QWidget) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for widget in widgets:
            row.addWidget(widget, 1 if widget is widgets[0] else 0)
        self.setFocusProxy(self.input())


def mark_wrong(widget: QWidget, wrong: bool) -> None:
    """Give an input the border of an error, or take it away."""
    state = "error" if wrong else ""
    if (widget.property("state") or "") != state:
        widget.setProperty("state", state)
        restyle(widget)


class SwitchEditor(Editor):
    """Yes or no."""

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(spec, parent)
        self._switch = Switch()
        self._switch.toggled.connect(self.edited.emit)
        self._fill(self._switch)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_value(self, value: Any) -> None:
        """Show yes or no."""
        self._switch.blockSignals(True)
        self._switch.setChecked(bool(value))
        self._switch.blockSignals(False)

    def input(self) -> QWidget:
        """The switch."""
        return self._switch


class NumberSpin(QAbstractSpinBox):
    """A whole number with arrows. Any text may be typed: the form says what is wrong with it, nothing is swallowed."""

    typed = Signal(str)

    def __init__(self, minimum: int = -_LARGEST_INT, maximum: int = _LARGEST_INT, step: int = 1) -> None:
        super().__init__()
        self._minimum, self._maximum, self._step = minimum, maximum, step
        self.lineEdit().textEdited.connect(self.typed.emit)
        self.lineEdit().setTextMargins(8, 0, 0, 0)  # The style sheet's padding is not used beside arrows.
        self.setFixedHeight(theme.CONTROL_HEIGHT)
        guard_wheel(self)

    def set_text(self, text: str) -> None:
        """Show a text; says nothing."""
        if self.text() != text:
            self.lineEdit().setText(text)

    def stepBy(self, steps: int) -> None:  # noqa: N802 - Qt's name
        """Go up or down to the next multiple of the step."""
        try:
            now = int(self.text())
        except ValueError:
            now = self._minimum
        new = (now // self._step + steps) * self._step if steps > 0 else -((-now) // self._step - steps) * self._step
        new = min(max(new, self._minimum), self._maximum)
        self.set_text(str(new))
        self.selectAll()
        self.typed.emit(str(new))

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:  # noqa: N802 - Qt's name
        """Both arrows, always."""
        return QAbstractSpinBox.StepEnabledFlag.StepUpEnabled | QAbstractSpinBox.StepEnabledFlag.StepDownEnabled

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Everything may be typed."""
        return QValidator.State.Acceptable, text, position

    def fixup(self, text: str) -> str:
        """Nothing is corrected behind the user's back."""
        return text


class IntEditor(Editor):
    """A whole number, with its unit beside it."""

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(spec, parent)
        low = int(spec.minimum) if spec.minimum is not None else -_LARGEST_INT
        high = int(spec.maximum) if spec.maximum is not None else _LARGEST_INT
        self._spin = NumberSpin(low, high, int(spec.multiple_of or (64 if spec.unit == "px" else 1)))
        self._spin.typed.connect(self.edited.emit)
        self._unit = label(role="muted")
        self._unit.setVisible(bool(spec.unit))
        self._fill(self._spin, self._unit)
        self.retranslate()

    def show_value(self, value: Any) -> None:
        """Show a number; what is being typed stays when it means the same."""
        if _number(self._spin.text(), int) != value:
            self._spin.set_text(str(value))

    def retranslate(self) -> None:
        """The unit's word."""
        if self.spec.unit:
            self._unit.setText(tr(self.spec.unit))

    def input(self) -> QWidget:
        """The spin box."""
        return self._spin


class FloatEditor(Editor):
    """A number as text, so that 1e-4 can be written as people write it."""

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(spec, parent)
        self._line = QLineEdit()
        self._line.textEdited.connect(self.edited.emit)
        self._fill(self._line)

    def show_value(self, value: Any) -> None:
        """Show a number, small ones in powers of ten; what is being typed stays when it means the same."""
        if _number(self._line.text(), float) != value:
            self._line.setText(number_text(float(value)))

    def input(self) -> QWidget:
        """The line."""
        return self._line


def _number(text: str, kind: type[int] | type[float]) -> float | None:
    try:
        return kind(text)
    except ValueError:
        return None


class ChoiceEditor(Editor):
    """One of a few words."""

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(spec, parent)
        self._combo = QComboBox()
        self._combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._combo.setMinimumContentsLength(8)
        self._combo.view().setTextElideMode(Qt.TextElideMode.ElideNone)
        for choice in spec.choices:
            self._combo.addItem(choice, choice)
        guard_wheel(self._combo)
        self._combo.activated.connect(lambda index: self.edited.emit(self._combo.itemData(index)))
        self._fill(self._combo)
        self.retranslate()

    def show_value(self, value: Any) -> None:
        """Show one of the choices."""
        self._combo.setCurrentIndex(self._combo.findData(str(value)))

    def retranslate(self) -> None:
        """The words of the choices."""
        for index in range(self._combo.count()):
            self._combo.setItemText(index, choice_label(self._combo.itemData(index)))
        # The list may be wider than the box: a label is never cut off where one chooses.
        widest = max(
            self.fontMetrics().horizontalAdvance(self._combo.itemText(at)) for at in range(self._combo.count())
        )
        self._combo.view().setMinimumWidth(widest + 3 * theme.SPACE_L)

    def input(self) -> QWidget:
        """The combo box."""
        return self._combo


class TextEditor(Editor):
    """One line of text."""

    is_wide = True

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(spec, parent)
        self._line = QLineEdit()
        self._line.textEdited.connect(self.edited.emit)
        self._fill(self._line)

    def show_value(self, value: Any) -> None:
        """Show a text; the cursor stays when nothing changed."""
        if self._line.text() != value:
            self._line.setText(value)

    def input(self) -> QWidget:
        """The line."""
        return self._line


class LinesEditor(Editor):
    """A list of texts, one per line."""

    is_wide = True

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(spec, parent)
        self._box = QPlainTextEdit()
        self._box.setTabChangesFocus(True)
        self._box.setFixedHeight(3 * self._box.fontMetrics().lineSpacing() + 20)
        self._box.textChanged.connect(lambda: self.edited.emit(self._lines()))
        self._fill(self._box)

    def show_value(self, value: Any) -> None:
        """Show the texts; what is being typed stays when it means the same."""
        if self._lines() != tuple(value):
            self._box.blockSignals(True)
            self._box.setPlainText("\n".join(value))
            self._box.blockSignals(False)

    def input(self) -> QWidget:
        """The box."""
        return self._box

    def _lines(self) -> tuple[str, ...]:
        return tuple(line.strip() for line in self._box.toPlainText().splitlines() if line.strip())


class PathEditor(Editor):
    """A folder or file: typed, browsed for, or dropped."""

    is_wide = True

    def __init__(self, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(spec, parent)
        self.picker = PathLine(wants_folder=spec.widget == "folder")
        self.picker.chosen.connect(self.edited.emit)
        self._fill(self.picker)

    def show_value(self, value: Any) -> None:
        """Show a path."""
        self.picker.show_path(value)

    def retranslate(self) -> None:
        """The texts of the picker."""
        self.picker.retranslate()

    def input(self) -> QWidget:
        """The line with the path."""
        return self.picker.line


class PathLine(QWidget):
    """A line with a path and a button to browse; takes what is dropped. What is typed counts when it is finished."""

    chosen = Signal(object)

    def __init__(self, *, wants_folder: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._wants_folder = wants_folder
        self.line = QLineEdit()
        self.line.setAcceptDrops(False)
        self.line.editingFinished.connect(self._typed)
        self._shown = Path()
        self.button = button(icon="folder-open")
        self.button.setAutoDefault(False)  # In a dialog, Enter in the line is for the line.
        self.button.clicked.connect(self._browse)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.setAcceptDrops(True)
        self.setFocusProxy(self.line)
        self.retranslate()

    def show_path(self, path: Path) -> None:
        """Show a path; `Path()` stands for none."""
        self._shown = path
        if path_of(self.line.text()) != path:
            self.line.setText(path_text(path))

    def retranslate(self) -> None:
        """The texts around the path."""
        self.line.setPlaceholderText(
            tr("Drop a folder here or browse") if self._wants_folder else tr("Drop a file here or browse")
        )
        self.button.setText(tr("Browse…"))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Say that a path may be dropped."""
        if local_paths(event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Take the first path; of a file its folder, where a folder is wanted."""
        path = local_paths(event.mimeData().urls())[0]
        self._take(path.parent if self._wants_folder and path.is_file() else path)

    def _browse(self) -> None:
        start = str(browse_start(path_of(self.line.text())))
        if self._wants_folder:
            text = QFileDialog.getExistingDirectory(self, tr("Choose a folder"), start)
        else:
            text = QFileDialog.getOpenFileName(self, tr("Choose a file"), start)[0]
        if text:
            self._take(Path(text))

    def _typed(self) -> None:
        path = path_of(self.line.text())
        if path != self._shown:
            self._take(path)

    def _take(self, path: Path) -> None:
        remember_place(path)
        self._shown = path
        self.line.setText(path_text(path))
        self.chosen.emit(path)


_last_place: list[Path] = []


def remember_place(path: Path) -> None:
    """Note where something was found; the next choice may begin there."""
    folder = path if path.is_dir() else path.parent
    if path.is_absolute() and folder.is_dir() and folder != Path(folder.anchor):
        _last_place[:] = [folder]


def browse_start(path: Path) -> Path:
    """Where a file dialog opens: the nearest folder of a path that is there, else the last place, else home."""
    if path.is_absolute():
        nearest = next((folder for folder in (path, *path.parents) if folder.is_dir()), Path(path.anchor))
        if nearest != Path(path.anchor):
            return nearest
    return next((folder for folder in _last_place if folder.is_dir()), Path.home())


def path_text(path: Path) -> str:
    """A path for a line; nothing for `Path()`."""
    return "" if path == Path() else str(path)


def path_of(text: str) -> Path:
    """The path someone typed or pasted: quotes of "Copy as path", file URLs and ~ are understood."""
    text = text.strip().strip('"').strip()
    if text.startswith("file://"):
        text = QUrl(text).toLocalFile()
    try:
        return Path(text).expanduser()
    except RuntimeError:  # No such user's home.
        return Path(text)


def local_paths(urls: Iterable[QUrl]) -> list[Path]:
    """The files and folders among dropped addresses."""
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]


def editor_for(spec: FieldSpec) -> Editor:
    """The editor of a field."""
    editors: dict[str, type[Editor]] = {
        "bool": SwitchEditor,
        "int": IntEditor,
        "float": FloatEditor,
        "text": TextEditor,
        "lines": LinesEditor,
        "choice": ChoiceEditor,
        "path": PathEditor,
    }
    if spec.widget == "model":
        from app.widgets.base_model_picker import BaseModelEditor

        return BaseModelEditor(spec)
    return editors[spec.kind](spec)
