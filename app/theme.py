"""One place for how Kiln looks: colours for light and dark, spacing, type, and the style sheet made from them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from string import Template
from typing import Literal

from PySide6.QtCore import QDir, QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication

from core.paths import RESOURCES

Mode = Literal["system", "light", "dark"]

SPACE_XS = 4
SPACE_S = 8
SPACE_M = 12
SPACE_L = 16
SPACE_XL = 24
RADIUS = 8
RADIUS_L = 12
CONTROL_HEIGHT = 34
FONT_PX = 13
FONTS = [
    "Segoe UI",
    "Microsoft YaHei UI",
    "SF Pro Text",
    "PingFang SC",
    "Noto Sans",
    "Noto Sans CJK SC",
    "DejaVu Sans",
]


@dataclass(frozen=True, slots=True)
class Tokens:
    """The colours of one theme, named for what they are used for."""

    dark: bool
    background: str  # behind everything
    sidebar: str
    surface: str  # cards
    raised: str  # controls on a card
    sunken: str  # text boxes and lists on a card
    hover: str
    border: str
    border_strong: str
    text: str
    muted: str  # second lines
    faint: str  # disabled
    accent: str
    accent_hover: str
    accent_soft: str  # behind what is selected
    on_accent: str  # text on accent
    success: str
    success_soft: str
    warning: str
    warning_soft: str
    danger: str
    danger_soft: str
    curve_a: str
    curve_b: str
    shade: str  # over pictures, behind badges


LIGHT = Tokens(
    dark=False,
    background="#f6f5f3",
    sidebar="#fdfcfb",
    surface="#ffffff",
    raised="#ffffff",
    sunken="#faf9f7",
    hover="#f0eeeb",
    border="#e4e1dc",
    border_strong="#cdc8c1",
    text="#1f1d1a",
    muted="#69645d",
    faint="#a7a199",
    accent="#c2410c",
    accent_hover="#a83509",
    accent_soft="#fdeadf",
    on_accent="#ffffff",
    success="#16734a",
    success_soft="#e3f4ea",
    warning="#8a5a00",
    warning_soft="#fdf2d6",
    danger="#c01048",
    danger_soft="#fde8ee",
    curve_a="#d9541e",
    curve_b="#1d7fa8",
    shade="#cc1f1d1a",
)
DARK = Tokens(
    dark=True,
    background="#141312",
    sidebar="#1a1918",
    surface="#1f1e1c",
    raised="#2a2826",
    sunken="#181716",
    hover="#2c2a28",
    border="#32302d",
    border_strong="#4a4743",
    text="#f0eeeb",
    muted="#a8a29a",
    faint="#6d6862",
    accent="#ff8a4f",
    accent_hover="#ff9d6b",
    accent_soft="#40271a",
    on_accent="#241006",
    success="#5fcf97",
    success_soft="#173325",
    warning="#f0b94b",
    warning_soft="#382b10",
    danger="#ff7a9c",
    danger_soft="#431724",
    curve_a="#ff8a4f",
    curve_b="#55b8e0",
    shade="#cc141312",
)


class _Signals(QObject):
    """Tells that the colours are other ones now."""

    changed = Signal()


signals = _Signals()
_current = LIGHT
_mode: Mode = "system"
_listening = False


def tokens() -> Tokens:
    """The colours in use."""
    return _current


def mode() -> Mode:
    """What was asked for; `tokens().dark` says what came of it."""
    return _mode


def colour(value: str, alpha: int | None = None) -> QColor:
    """A token as a colour, optionally with another opacity (0 to 255)."""
    made = QColor(value)
    if alpha is not None:
        made.setAlpha(alpha)
    return made


def apply(app: QApplication, mode: Mode = "system") -> None:
    """Dress the whole application; widgets that paint for themselves follow `signals.changed`."""
    global _current, _mode, _listening
    _mode = mode
    if not _listening:
        _listening = True
        QDir.addSearchPath("kiln", str(RESOURCES / "icons" / "qss"))
        app.styleHints().colorSchemeChanged.connect(lambda _scheme: _follow_system(app))
        app.setStyle("Fusion")
        font = QFont()
        font.setFamilies(FONTS)
        font.setPixelSize(FONT_PX)
        app.setFont(font)
    dark = app.styleHints().colorScheme() == Qt.ColorScheme.Dark if mode == "system" else mode == "dark"
    _current = DARK if dark else LIGHT
    app.setPalette(palette(_current))
    app.setStyleSheet(style_sheet(_current))
    signals.changed.emit()


def _follow_system(app: QApplication) -> None:
    if _mode == "system":
        apply(app, "system")


def palette(tokens: Tokens) -> QPalette:
    """The colours for what the style sheet leaves to Fusion."""
    made = QPalette()
    role = QPalette.ColorRole
    for name, value in (
        (role.Window, tokens.background),
        (role.WindowText, tokens.text),
        (role.Base, tokens.sunken),
        (role.AlternateBase, tokens.surface),
        (role.Text, tokens.text),
        (role.PlaceholderText, tokens.muted),
        (role.Button, tokens.raised),
        (role.ButtonText, tokens.text),
        (role.BrightText, tokens.danger),
        (role.ToolTipBase, tokens.raised),
        (role.ToolTipText, tokens.text),
        (role.Highlight, tokens.accent),
        (role.HighlightedText, tokens.on_accent),
        (role.Link, tokens.accent),
        (role.LinkVisited, tokens.accent),
        (role.Light, tokens.raised),
        (role.Midlight, tokens.hover),
        (role.Mid, tokens.border),
        (role.Dark, tokens.border_strong),
        (role.Shadow, tokens.border_strong),
        (role.Accent, tokens.accent),
    ):
        made.setColor(name, QColor(value))
    for name in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        made.setColor(QPalette.ColorGroup.Disabled, name, QColor(tokens.faint))
    made.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(tokens.border))
    return made


def style_sheet(tokens: Tokens) -> str:
    """The style sheet of the whole window in these colours."""
    values: dict[str, object] = {field.name: getattr(tokens, field.name) for field in fields(tokens)}
    values |= {
        "radius": RADIUS,
        "radius_l": RADIUS_L,
        "font": FONT_PX,
        "scheme": "dark" if tokens.dark else "light",
    }
    return Template(_SHEET).substitute(values)


_SHEET = """
* { font-size: ${font}px; }
QWidget { color: $text; }
QMainWindow, QWidget[role="page"] { background: $background; }
QDialog { background: $surface; }
QScrollArea, QScrollArea > QWidget > QWidget[role="scrolled"], QStackedWidget { background: transparent; border: none; }
QToolTip {
    background: $raised; color: $text; border: 1px solid $border_strong; border-radius: 6px; padding: 5px 8px;
}

QLabel { background: transparent; }
QLabel[role="title"] { font-size: 22px; font-weight: 600; }
QLabel[role="heading"] { font-size: 17px; font-weight: 600; }
QLabel[role="cardTitle"] { font-size: 14px; font-weight: 600; }
QLabel[role="figure"] { font-size: 19px; font-weight: 600; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="small"] { color: $muted; font-size: 12px; }
QLabel[role="smallText"] { font-size: 12px; }
QLabel[role="smallWarning"] { color: $warning; font-size: 12px; font-weight: 600; }
QLabel[role="smallDanger"] { color: $danger; font-size: 12px; font-weight: 600; }
QLabel[role="strong"] { font-weight: 600; }
QLabel[role="group"] { color: $accent; font-size: 12px; font-weight: 600; }
QLabel[role="idle"] { font-weight: 600; color: $faint; }
QLabel[role="error"] { color: $danger; font-size: 12px; }
QLabel[role="success"] { color: $success; }
QLabel[role="warning"] { color: $warning; }
QLabel[role="danger"] { color: $danger; }
QLabel[role="chip"], QLabel[role="chipWarning"], QLabel[role="chipSuccess"] {
    border-radius: 11px; padding: 2px 9px; min-height: 18px; max-height: 18px; font-size: 12px;
}
QLabel[role="chip"] {
    background: $hover; color: $muted;
}
QLabel[role="chipWarning"] {
    background: $warning_soft; color: $warning;
}
QLabel[role="chipSuccess"] {
    background: $success_soft; color: $success;
}

QFrame[role="card"] { background: $surface; border: 1px solid $border; border-radius: ${radius_l}px; }
QFrame[role="choice"] { background: $surface; border: 1px solid $border; border-radius: ${radius_l}px; }
QFrame[role="choice"][hot="true"] { border-color: $accent; }
QFrame[role="notice"] { background: $warning_soft; border: 1px solid $warning_soft; border-radius: ${radius}px; }
QFrame[role="conflict"] { background: $hover; border: none; border-radius: ${radius}px; }
QFrame[role="conflict"][level="error"] { background: $danger_soft; }
QFrame[role="conflict"][level="warning"] { background: $warning_soft; }
QFrame[role="flash"] { background: transparent; border: 2px solid $accent; border-radius: ${radius}px; }
QFrame[role="bar"] { background: $background; border: none; border-bottom: 1px solid transparent; }
QFrame[role="bar"][stuck="true"] { border-bottom-color: $border; }
QFrame[role="toast"] { background: $raised; border: 1px solid $border_strong; border-radius: ${radius_l}px; }
QFrame[role="sidebar"] { background: $sidebar; border: none; border-right: 1px solid $border; }
QFrame[role="line"] { background: $border; border: none; max-height: 1px; min-height: 1px; }
QFrame[role="drop"] { background: $accent_soft; border: 2px dashed $accent; border-radius: ${radius_l}px; }

QPushButton {
    background: $raised; border: 1px solid $border_strong; border-radius: ${radius}px;
    padding: 0 14px; min-height: 32px; font-weight: 500;
}
QPushButton:hover { background: $hover; }
QPushButton:pressed { background: $border; }
QPushButton:focus { border-color: $accent; }
QPushButton:disabled { color: $faint; background: $surface; border-color: $border; }
QPushButton[kind="primary"] { background: $accent; color: $on_accent; border-color: $accent; font-weight: 600; }
QPushButton[kind="primary"]:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton[kind="primary"]:focus { border-color: $text; }
QPushButton[kind="primary"]:disabled { background: $border; color: $faint; border-color: $border; }
QPushButton[kind="danger"] { color: $danger; }
QPushButton[kind="danger"]:hover { background: $danger_soft; border-color: $danger; }
QPushButton[kind="danger"]:disabled { color: $faint; }
QPushButton[kind="quiet"] { background: transparent; border-color: transparent; }
QPushButton[kind="quiet"]:hover { background: $hover; }
QPushButton[kind="quiet"]:focus { border-color: $accent; }
QPushButton[kind="quiet"]:disabled { color: $faint; }
QPushButton[small="true"] { padding: 0 10px; min-height: 26px; font-size: 12px; }
QPushButton[role="reason"] {
    background: transparent; border: 1px solid transparent; border-radius: 5px; text-align: left; padding: 0 6px 0 2px;
    min-height: 22px; font-size: 12px; font-weight: 400; color: $muted;
}
QPushButton[role="reason"]:hover { background: $hover; color: $text; }
QPushButton[role="reason"]:focus { border-color: $accent; }
QPushButton[fold="true"] { text-align: left; padding: 0 8px; }
QPushButton[big="true"] { min-height: 42px; font-size: 15px; padding: 0 22px; }
QToolButton { background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 5px; }
QToolButton:hover { background: $hover; }
QToolButton:checked { background: $accent_soft; }
QToolButton:focus { border-color: $accent; }
QToolButton:disabled { color: $faint; }
QToolButton::menu-indicator { image: none; }

QPushButton[role="nav"] {
    background: transparent; border: 1px solid transparent; border-radius: ${radius}px; text-align: left;
    padding: 0 12px; min-height: 40px; font-size: 14px; color: $muted; font-weight: 500;
}
QPushButton[role="nav"]:hover { background: $hover; color: $text; }
QPushButton[role="nav"]:checked { background: $accent_soft; color: $text; font-weight: 600; }
QPushButton[role="nav"]:focus { border-color: $border_strong; }

QPushButton[role="segment"] {
    background: transparent; border: 1px solid transparent; border-radius: ${radius}px; padding: 0 12px;
    min-height: 30px; color: $muted; font-weight: 500;
}
QPushButton[role="segment"][narrow="true"] { padding: 0 7px; }
QPushButton[role="segment"]:hover { background: $hover; color: $text; }
QPushButton[role="segment"]:disabled { color: $faint; background: transparent; }
QPushButton[role="segment"]:checked { background: $accent_soft; color: $text; }
QPushButton[role="segment"]:focus { border-color: $border_strong; }

QLineEdit, QPlainTextEdit, QTextEdit, QAbstractSpinBox, QComboBox {
    background: $sunken; border: 1px solid $border_strong; border-radius: ${radius}px;
    selection-background-color: $accent; selection-color: $on_accent;
}
QLineEdit, QComboBox { min-height: 32px; }
QAbstractSpinBox { min-height: 29px; }
QLineEdit { padding: 0 10px; }
QComboBox { padding: 0 6px 0 10px; }
QAbstractSpinBox QLineEdit, QComboBox QLineEdit { border: none; background: transparent; padding: 0; min-height: 0; }
QPlainTextEdit, QTextEdit { padding: 6px 6px; }
QLineEdit:hover, QPlainTextEdit:hover, QAbstractSpinBox:hover, QComboBox:hover { border-color: $muted; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QAbstractSpinBox:focus, QComboBox:focus {
    border-color: $accent;
}
QLineEdit:disabled, QPlainTextEdit:disabled, QAbstractSpinBox:disabled, QComboBox:disabled {
    color: $faint; background: $surface; border-color: $border;
}
QLineEdit[state="error"], QPlainTextEdit[state="error"], QAbstractSpinBox[state="error"], QComboBox[state="error"] {
    border-color: $danger;
}
QLineEdit[readOnly="true"] { background: $surface; }
QComboBox::drop-down { border: none; width: 26px; }
QComboBox::down-arrow { image: url(kiln:down.svg); width: 14px; height: 14px; }
QComboBox QAbstractItemView {
    background: $raised; border: 1px solid $border_strong; border-radius: 6px; padding: 4px; outline: none;
    selection-background-color: $accent_soft; selection-color: $text;
}
QComboBox QAbstractItemView::item { min-height: 28px; padding: 0 6px; border-radius: 4px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {
    subcontrol-origin: border; width: 24px; border: none; background: transparent;
}
QAbstractSpinBox::up-button { subcontrol-position: top right; margin: 3px 3px 0 0; }
QAbstractSpinBox::down-button { subcontrol-position: bottom right; margin: 0 3px 3px 0; }
QAbstractSpinBox::up-button:hover, QAbstractSpinBox::down-button:hover { background: $hover; border-radius: 4px; }
QAbstractSpinBox::up-arrow { image: url(kiln:up.svg); width: 12px; height: 12px; }
QAbstractSpinBox::down-arrow { image: url(kiln:down.svg); width: 12px; height: 12px; }

QCheckBox, QRadioButton { spacing: 8px; background: transparent; min-height: 24px; }
QCheckBox::indicator, QRadioButton::indicator {
    width: 16px; height: 16px; border: 1px solid $border_strong; background: $sunken;
}
QCheckBox::indicator { border-radius: 5px; }
QRadioButton::indicator { border-radius: 9px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover, QCheckBox:focus::indicator { border-color: $accent; }
QCheckBox::indicator:checked, QRadioButton::indicator:checked { background: $accent; border-color: $accent; }
QCheckBox::indicator:checked { image: url(kiln:check-$scheme.svg); }
QRadioButton::indicator:checked { image: url(kiln:dot-$scheme.svg); }
QCheckBox:disabled { color: $faint; }

QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: $border_strong; }
QSlider::sub-page:horizontal { height: 4px; border-radius: 2px; background: $accent; }
QSlider::handle:horizontal {
    width: 16px; height: 16px; margin: -7px 0; border-radius: 9px; background: $accent; border: 2px solid $surface;
}
QSlider::handle:horizontal:hover { background: $accent_hover; }
QSlider::handle:horizontal:disabled, QSlider::sub-page:horizontal:disabled { background: $faint; }

QProgressBar {
    background: $border; border: none; border-radius: 4px; min-height: 8px; max-height: 8px; text-align: center;
}
QProgressBar[role="thin"] { min-height: 3px; max-height: 3px; border-radius: 0; background: transparent; }
QProgressBar::chunk { background: $accent; border-radius: 4px; }

QListView, QTreeView, QTableView {
    background: transparent; border: none; outline: none;
    selection-background-color: $accent_soft; selection-color: $text;
}
QListView[role="list"], QTableView[role="list"], QTreeView[role="list"] {
    background: $sunken; border: 1px solid $border; border-radius: ${radius}px;
}
QListView[role="list"]::item, QTreeView[role="list"]::item { min-height: 28px; padding: 0 6px; }
QListView[role="list"]::item:selected, QTreeView[role="list"]::item:selected { background: $accent_soft; color: $text; }
QHeaderView::section {
    background: $surface; color: $muted; border: none; border-bottom: 1px solid $border; padding: 6px 8px;
}

QTabBar { background: transparent; }
QTabBar::tab { padding: 8px 14px; color: $muted; border: none; border-bottom: 2px solid transparent; }
QTabBar::tab:hover { color: $text; }
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; font-weight: 600; }
QTabWidget::pane { border: none; }

QScrollBar:vertical { background: transparent; width: 12px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 12px; margin: 0; }
QScrollBar::handle { background: $border_strong; border-radius: 4px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 36px; }
QScrollBar::handle:horizontal { min-width: 36px; }
QScrollBar::handle:hover { background: $faint; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QAbstractScrollArea::corner { background: transparent; border: none; }

QMenu { background: $raised; border: 1px solid $border_strong; border-radius: ${radius}px; padding: 5px; }
QMenu::item { padding: 6px 26px 6px 12px; border-radius: 5px; }
QMenu::item:selected { background: $accent_soft; color: $text; }
QMenu::item:disabled { color: $faint; }
QMenu::separator { height: 1px; background: $border; margin: 4px 8px; }
QMenu::icon { padding-left: 8px; }

QSplitter::handle { background: transparent; }
QSplitter::handle:hover { background: $border; border-radius: 3px; }
QStatusBar { background: $sidebar; border-top: 1px solid $border; color: $muted; }
QStatusBar::item { border: none; }
"""
