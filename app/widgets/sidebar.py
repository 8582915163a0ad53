"""The navigation at the left: pages above, theme and language below."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QKeySequence, QPainter, QPaintEvent, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
)

from app import icons, theme
from app.settings import Settings
from app.theme import Mode
from core.text import tr

WIDTH = 196
_THEME_ICONS: dict[Mode, str] = {"system": "monitor", "light": "sun", "dark": "moon"}


class NavButton(QPushButton):
    """A page in the navigation; a dot at its right says that something is running there."""

    def __init__(self, icon: str) -> None:
        super().__init__()
        self.setProperty("role", "nav")
        self.setCheckable(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        icons.set_icon(self, icon, 20)
        self._busy = False

    @property
    def is_busy(self) -> bool:
        """Whether the dot is shown."""
        return self._busy

    def set_busy(self, busy: bool) -> None:
        """Show or hide the dot."""
        self._busy = busy
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """The button, then the dot."""
        super().paintEvent(event)
        if self._busy:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.tokens().accent))
            painter.drawEllipse(QPointF(self.width() - 18, self.height() / 2), 4, 4)


class Sidebar(QFrame):
    """Choose a page, a theme, a language."""

    page_chosen = Signal(int)
    tools_requested = Signal()

    def __init__(self, pages: list[tuple[str, Callable[[], str]]], settings: Settings) -> None:
        """Build the navigation.

        Args:
            pages: For each page its icon, and a function that gives its title in the language in use.
            settings: Where theme and language are kept.
        """
        super().__init__()
        self._settings = settings
        self._titles = [title for _, title in pages]
        self.setProperty("role", "sidebar")
        self.setFixedWidth(WIDTH)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(theme.SPACE_M, theme.SPACE_L, theme.SPACE_M, theme.SPACE_M)
        layout.setSpacing(theme.SPACE_XS)
        layout.addLayout(self._brand())
        layout.addSpacing(theme.SPACE_M)
        self.buttons = [NavButton(icon) for icon, _ in pages]
        self._group = QButtonGroup(self)
        for index, button in enumerate(self.buttons):
            self._group.addButton(button, index)
            layout.addWidget(button)
            shortcut = QShortcut(QKeySequence(f"Ctrl+{index + 1}"), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.activated.connect(button.click)
        self._group.idClicked.connect(self.page_chosen)
        layout.addStretch(1)
        self.tools_button = NavButton("compare")
        self.tools_button.setCheckable(False)
        self.tools_button.clicked.connect(self.tools_requested)
        layout.addWidget(self.tools_button)
        layout.addLayout(self._footer())
        settings.language_changed.connect(self.retranslate)
        self.retranslate()

    def _brand(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(10, 0, 0, 0)
        row.setSpacing(10)
        self._sign = QLabel()
        sign = icons.app_icon()
        self._sign.setVisible(not sign.isNull())
        self._sign.setPixmap(sign.pixmap(26, 26))
        self._name = QLabel()
        self._name.setProperty("role", "heading")
        row.addWidget(self._sign)
        row.addWidget(self._name, 1)
        return row

    def _footer(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE_XS)
        self.theme_button = QToolButton()
        self.theme_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._theme_menu = QMenu(self.theme_button)
        self._theme_actions: dict[Mode, QAction] = {}
        group = QActionGroup(self)
        for mode in get_args(Mode):
            action = QAction(self, checkable=True)
            action.triggered.connect(lambda _checked=False, mode=mode: self.set_theme(mode))
            group.addAction(action)
            self._theme_menu.addAction(action)
            self._theme_actions[mode] = action
        self.theme_button.setMenu(self._theme_menu)
        self.language_button = QToolButton()
        self.language_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.language_button.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        icons.set_icon(self.language_button, "language", 18, "muted")
        self.language_button.clicked.connect(self._switch_language)
        for button in (self.theme_button, self.language_button):
            button.setCursor(Qt.CursorShape.PointingHandCursor)
        row.addWidget(self.language_button)
        row.addStretch(1)
        row.addWidget(self.theme_button)
        return row

    def show_page(self, index: int) -> None:
        """Mark the page that is shown."""
        self.buttons[index].setChecked(True)

    def set_theme(self, mode: Mode) -> None:
        """Dress the application and remember it."""
        self._settings.set_theme(mode)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        theme.apply(app, mode)
        self._show_theme()

    def _show_theme(self) -> None:
        mode = self._settings.theme
        icons.set_icon(self.theme_button, _THEME_ICONS[mode], 18, "muted")
        self._theme_actions[mode].setChecked(True)

    def _switch_language(self) -> None:
        self._settings.set_language("en" if self._settings.language == "zh" else "zh")

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self._name.setText(tr("Kiln"))
        for index, (button, title) in enumerate(zip(self.buttons, self._titles, strict=True)):
            button.setText("  " + title())
            button.setToolTip(tr("{page} (Ctrl+{number})", page=title(), number=index + 1))
        self.tools_button.setText("  " + tr("LoRA tools"))
        self.tools_button.setToolTip(tr("Look into, convert, shrink, merge, extract and check LoRA files"))
        names: dict[Mode, str] = {"system": tr("Like the system"), "light": tr("Light"), "dark": tr("Dark")}
        for mode, action in self._theme_actions.items():
            action.setText(names[mode])
        self.theme_button.setToolTip(tr("Colours of the window"))
        self.theme_button.setAccessibleName(tr("Colours of the window"))
        # Each language is offered in its own words, so that it is found by those who read no other.
        self.language_button.setText("English" if self._settings.language == "zh" else "中文")
        self.language_button.setToolTip(tr("Show the window in Chinese or English"))
        self._show_theme()
