"""The lines of a settings file for kohya's scripts, and what they leave unsaid."""

from __future__ import annotations

from pathlib import Path

from core.config import TrainConfig, field_specs
from core.config.toml import literal
from core.text import tr


def _is_text(value: object) -> bool:
    """Whether a value can be written; on Linux the name of a file may hold bytes that are no text."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


class Writer:
    """Lines of the file; remembers which of Kiln's options have been said."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self._lines: list[str] = []
        self._said: set[str] = set()
        self._specs = {spec.key: spec for spec in field_specs()}

    def put(self, name: str, value: object, *keys: str) -> None:
        """Write an option of kohya's that says these options of Kiln."""
        self._said.update(keys)
        if isinstance(value, Path):
            value = value.as_posix()
        if not _is_text(value):
            self.say(tr("The path for {name} is no text, and so it cannot be written here.", name=name))
            return
        self._lines.append(f"{name} = {literal(value)}")

    def put_if_on(self, name: str, key: str) -> None:
        """Write an option that kohya's scripts take for off while it is missing."""
        self._said.add(key)
        if value := self.value(key):
            self.put(name, value, key)

    def say(self, comment: str) -> None:
        """Write a comment."""
        self._lines.append(f"# {comment}".replace("\n", " "))

    def value(self, key: str) -> object:
        """The value of one of Kiln's options."""
        section, _, name = key.partition(".")
        return getattr(getattr(self.config, section), name)

    def said(self, *keys: str) -> None:
        """These options need no word of their own."""
        self._said.update(keys)

    def text(self) -> str:
        """All lines; at the end what kohya's scripts have no word for, where it is not as usual."""
        for key, spec in self._specs.items():
            value = self.value(key)
            if key not in self._said and value != spec.default:
                shown = value.as_posix() if isinstance(value, Path) else value
                words = literal(list(shown) if isinstance(shown, tuple) else shown)
                self.say(
                    tr(
                        "kohya's scripts have no word for {title}: {key} = {value}",
                        title=tr(spec.title),
                        key=key,
                        value=words,
                    )
                )
        return "\n".join(self._lines) + "\n"
