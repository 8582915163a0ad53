"""What the window remembers about itself: language, theme, geometry. Kept apart from the project."""

from __future__ import annotations

from typing import TypeVar, cast, get_args

from PySide6.QtCore import QByteArray, QCoreApplication, QLibraryInfo, QObject, QSettings, QTranslator, Signal

from app.theme import Mode
from core import text
from core.paths import RESOURCES, user_data_folder
from core.text import Language

T = TypeVar("T", bool, int, float, str, QByteArray)


class Settings(QObject):
    """A typed face on one INI file in the user's data folder."""

    language_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        """Read the file; a language chosen before is in use from now on."""
        super().__init__(parent)
        self._file = QSettings(str(user_data_folder() / "window.ini"), QSettings.Format.IniFormat)
        self._translators: list[QTranslator] = []
        chosen = self.value("language", "")
        if chosen in get_args(Language):
            text.set_language(cast(Language, chosen))
        self._translate_qt()

    @property
    def language(self) -> Language:
        """The language in use."""
        return text.language()

    def set_language(self, language: Language) -> None:
        """Switch every text of the window; widgets follow `language_changed`."""
        text.set_language(language)
        self.set_value("language", language)
        self._translate_qt()
        self.language_changed.emit()

    @property
    def theme(self) -> Mode:
        """The theme the user chose; the system's by default."""
        mode = self.value("theme", "system")
        return cast(Mode, mode) if mode in get_args(Mode) else "system"

    def set_theme(self, mode: Mode) -> None:
        """Remember the theme. `app.theme.apply` shows it."""
        self.set_value("theme", mode)

    def value(self, key: str, default: T) -> T:
        """A remembered value of the type of its default; the default when there is none or it is of another type."""
        try:
            found = self._file.value(key, default, type=type(default))
        except (TypeError, ValueError):
            return default
        return found if isinstance(found, type(default)) else default

    def set_value(self, key: str, value: bool | int | float | str | QByteArray) -> None:
        """Remember a value; written when Qt next has time, and at the end."""
        self._file.setValue(key, value)

    def save(self) -> None:
        """Write what is not on disk yet."""
        self._file.sync()

    def _translate_qt(self) -> None:
        """Qt's own texts (buttons of dialogs, context menus) in the language in use."""
        app = QCoreApplication.instance()
        if app is None:
            return
        for translator in self._translators:
            app.removeTranslator(translator)
            translator.deleteLater()
        self._translators = []
        if text.language() == "zh":
            shipped = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
            # The second one has what the first lacks.
            for name, folder in (("qtbase_zh_CN", shipped), ("kiln_zh_CN", str(RESOURCES / "translations" / "qt"))):
                translator = QTranslator(self)
                if translator.load(name, folder):
                    app.installTranslator(translator)
                    self._translators.append(translator)
