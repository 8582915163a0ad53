"""Collecting what an import finds: every option ends as mapped or as ignored, and every value is within limits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.config import FieldSpec, TrainConfig, field_specs, with_values
from core.config.fields import allowed
from core.dataset.edits import Concept
from core.errors import UserError
from core.imports.ignored import HARMLESS, reason_for, sentence
from core.imports.places import Places
from core.imports.records import Ignored, Imported, ImportedPath, Mapped, Source
from core.imports.values import UnfitError, is_empty, is_off, shown
from core.text import sentences, tr

_SECRET = re.compile(r"api_?key|_token$|password|secret", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Argument:
    """An option of a file.

    Attributes:
        source: Its name in the file, as the user knows it.
        name: The same in the words of kohya's scripts, which all readers translate into.
        value: As it was read.
        is_assumed: It is not in the file; kohya's scripts take this value then.
        words: As it stands in the file, where `value` is a translation of it.
    """

    source: str
    name: str
    value: object
    is_assumed: bool = False
    words: object = None

    @property
    def original(self) -> object:
        """The value as the user knows it."""
        return self.value if self.words is None else self.words


class Arguments:
    """The options of a file that nobody has taken yet, by kohya's names. Of several with one name the last counts.

    `overruled` pairs each of the others with the one that counts instead.
    """

    def __init__(self, arguments: Iterable[Argument]) -> None:
        self._by_name: dict[str, Argument] = {}
        self.overruled: list[tuple[Argument, Argument]] = []
        for argument in arguments:
            self.add(argument)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> Argument | None:
        """Look at an option without taking it."""
        return self._by_name.get(name)

    def take(self, name: str) -> Argument | None:
        """Take an option; afterwards it is gone."""
        return self._by_name.pop(name, None)

    def add(self, argument: Argument) -> None:
        """Put an option there. An empty one takes no other's place."""
        other = self._by_name.get(argument.name)
        if other is not None and is_empty(argument.value) and not is_empty(other.value):
            self.overruled.append((argument, other))
            return
        if other is not None and not other.is_assumed:
            self.overruled.append((other, argument))
        self._by_name[argument.name] = argument

    def names(self) -> list[str]:
        """The names that are still there, in the order of the file."""
        return list(self._by_name)


class Draft:
    """An import in the making."""

    def __init__(self, file: Path, source: Source, places: Places) -> None:
        self.file = file
        self.source = source
        self.places = places
        self.changes: dict[str, object] = {}
        self.concepts: list[Concept] = []
        self._mapped: dict[tuple[str, str], Mapped] = {}
        self._ignored: list[Ignored] = []
        self._paths: dict[str, ImportedPath] = {}

    def take(self, argument: Argument, key: str, value: object, note: str = "") -> None:
        """Map an option. A value outside Kiln's limits is brought inside, with a note; else it is ignored."""
        try:
            fitted, limit_note = _fitted(key, value)
        except UnfitError as error:
            self.leave(argument, str(error))
            return
        if argument.is_assumed and key in self.changes:
            return
        self.changes[key] = fitted
        if argument.is_assumed:
            if fitted == _spec(key).default:
                return
            note = tr("The file does not say it; the other program does this then.")
        self.note(argument, key, fitted, sentences(note, limit_note))

    def note(self, argument: Argument, key: str, value: object, note: str = "") -> None:
        """Say that an option was understood, when it changes no setting of its own."""
        self._mapped[argument.source, key] = Mapped(
            source_key=argument.source,
            value=argument.original,
            key=key,
            new_value=value,
            note=note,
            is_assumed=argument.is_assumed,
        )

    def convert(self, argument: Argument | None, key: str, how: Callable[[object], object], note: str = "") -> None:
        """Map an option whose value is converted; a value that does not fit is ignored with the reason."""
        if argument is None or self.was_empty(argument):
            return
        try:
            self.take(argument, key, how(argument.value), note)
        except UnfitError as error:
            self.leave(argument, str(error))

    def was_empty(self, argument: Argument) -> bool:
        """Whether an option says nothing; then that is noted, and the option is done with."""
        if not is_empty(argument.value):
            return False
        self.leave(argument, tr("It is empty in the file."), is_harmless=True)
        return True

    def leave_off(self, argument: Argument) -> None:
        """Ignore an option that is off in the file."""
        self.leave(argument, tr("It is off in the file, so nothing is lost."), is_harmless=True)

    def leave(self, argument: Argument, reason: str, *, is_harmless: bool = False) -> None:
        """Ignore an option and say why."""
        if argument.is_assumed:
            return
        value = "" if _SECRET.search(argument.source) or _SECRET.search(argument.name) else argument.original
        self._ignored.append(Ignored(source_key=argument.source, value=value, reason=reason, is_harmless=is_harmless))

    def leave_known(self, argument: Argument) -> None:
        """Ignore an option for the reason that is known for it, or because nothing is known."""
        if self.was_empty(argument):
            return
        known = reason_for(argument.name)
        if known is None:
            self.leave(argument, tr("Kiln does not know this option."))
        elif is_off(argument.value):
            self.leave_off(argument)
        else:
            self.leave(argument, sentence(known), is_harmless=known in HARMLESS)

    def path(self, argument: Argument | None, key: str) -> Path | None:
        """Map an option that is a path; returns where it leads."""
        found = self.place(argument, key)
        if argument is not None and found is not None:
            self.take(argument, key, found)
        return found

    def place(self, argument: Argument | None, key: str) -> Path | None:
        """Where the path of an option leads; None when there is none. It is kept for the question where things are."""
        if argument is None or self.was_empty(argument):
            return None
        if not isinstance(argument.value, str) or "\0" in argument.value:
            self.leave(argument, tr("{value} is not a path.", value=shown(argument.value)))
            return None
        found = self.places.of(argument.value)
        self._paths[key] = ImportedPath(key=key, path=found, exists=self.places.is_there(found))
        return found

    def finished(self) -> Imported:
        """All that was found."""
        return Imported(
            file=self.file,
            source=self.source,
            config_changes=self.changes,
            mapped=tuple(sorted(self._mapped.values(), key=_place_in_form)),
            ignored=tuple(self._ignored),
            paths=tuple(self._paths.values()),
            concepts=tuple(self.concepts),
            roots=self.places.roots,
        )


def _place_in_form(item: Mapped) -> int:
    """Where an option stands in Kiln's form; further folders come last."""
    keys = list(_specs())
    return keys.index(item.key) if item.key in _specs() else len(keys)


@cache
def _specs() -> Mapping[str, FieldSpec]:
    return {spec.key: spec for spec in field_specs()}


def _spec(key: str) -> FieldSpec:
    return _specs()[key]


def _fitted(key: str, value: object) -> tuple[object, str]:
    """The value within Kiln's limits, and a note when it was not.

    Raises:
        UnfitError: It cannot be brought there.
    """
    spec = _spec(key)
    fitted, note = value, ""
    if spec.kind in ("int", "float") and isinstance(value, (int, float)) and not isinstance(value, bool):
        fitted = _clamped(spec, value)
        if fitted != value:
            note = tr("{value} is outside of what Kiln takes: {rule}.", value=f"{value:g}", rule=allowed(spec))
    try:
        return getattr(getattr(with_values(TrainConfig(), {key: fitted}), spec.section), spec.name), note
    except UserError as error:
        raise UnfitError(str(error)) from error


def _clamped(spec: FieldSpec, value: float) -> float:
    if not math.isfinite(value):
        raise UnfitError(tr("{value} is not a number.", value=shown(value)))
    if spec.multiple_of is not None:
        value = max(1, math.floor(value / spec.multiple_of)) * spec.multiple_of
    if spec.minimum is not None:
        value = max(value, spec.minimum)
    if spec.maximum is not None:
        value = min(value, spec.maximum)
    return int(value) if spec.kind == "int" else float(value)
