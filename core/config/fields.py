"""The fields of the configuration as a flat list: what the form, the command line, TOML comments and manual read."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from core.config.base import Section
from core.config.model import TrainConfig
from core.errors import UserError
from core.text import tr

FieldKind = Literal["bool", "int", "float", "text", "lines", "choice", "path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One option, ready to be shown. Titles and descriptions are English keys for `tr`."""

    section: str
    name: str
    kind: FieldKind
    title: str
    description: str
    default: Any
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    minimum_is_open: bool = False
    multiple_of: float | None = None
    advanced: bool = False
    unit: str = ""
    widget: str = ""
    also: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`section.name`, as on the command line."""
        return f"{self.section}.{self.name}"


def sections() -> Iterator[tuple[str, str, type[Section]]]:
    """Each section as (name, English title, class), in the order of the form."""
    for name, info in TrainConfig.model_fields.items():
        cls = info.annotation
        assert isinstance(cls, type) and issubclass(cls, Section)
        yield name, info.title or name, cls


@cache
def field_specs() -> tuple[FieldSpec, ...]:
    """All options of all sections in order."""
    return tuple(
        _spec(section, name, info) for section, _, cls in sections() for name, info in cls.model_fields.items()
    )


def _spec(section: str, name: str, info: FieldInfo) -> FieldSpec:
    hints = info.json_schema_extra if isinstance(info.json_schema_extra, Mapping) else {}
    kind, choices = _kind(info.annotation)
    bounds: dict[str, Any] = {}
    for rule in info.metadata:
        for attribute, target in (("ge", "minimum"), ("gt", "minimum"), ("le", "maximum"), ("lt", "maximum")):
            if (bound := getattr(rule, attribute, None)) is not None:
                bounds[target] = bound
                if attribute == "gt":
                    bounds["minimum_is_open"] = True
        if (step := getattr(rule, "multiple_of", None)) is not None:
            bounds["multiple_of"] = step
    also = hints.get("also", [])
    return FieldSpec(
        section=section,
        name=name,
        kind=kind,
        title=info.title or name,
        description=info.description or "",
        default=info.default,
        choices=choices,
        advanced=bool(hints.get("advanced", False)),
        unit=str(hints.get("unit", "")),
        widget=str(hints.get("widget", "")),
        also=tuple(str(word) for word in also) if isinstance(also, list) else (),
        **bounds,
    )


def _kind(annotation: Any) -> tuple[FieldKind, tuple[str, ...]]:
    origin = get_origin(annotation)
    if origin is Literal:
        return "choice", tuple(str(choice) for choice in get_args(annotation))
    if origin in (Union, types.UnionType):
        return _kind(next(option for option in get_args(annotation) if option is not type(None)))
    if origin is tuple:
        return "lines", ()
    kinds: dict[Any, FieldKind] = {bool: "bool", int: "int", float: "float", str: "text", Path: "path"}
    return kinds[annotation], ()


def with_values(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """A copy with some options changed.

    Args:
        config: Where to start from.
        changes: `section.name` -> new value, of its type or as text.

    Raises:
        UserError: A key is unknown or a value is not allowed; says which and what is allowed.
    """
    values = config.model_dump()
    for key, value in changes.items():
        section, _, name = key.partition(".")
        if not name or section not in values or name not in values[section]:
            raise unknown_key(key)
        values[section][name] = value
    return validated(values)


def validated(values: Mapping[str, Any]) -> TrainConfig:
    """The config of these nested values.

    Raises:
        UserError: Says which option is wrong and what is allowed.
    """
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise explain_validation(error) from error


def unknown_key(key: str) -> UserError:
    """The error for an option that does not exist, with the nearest one that does."""
    import difflib

    known = [spec.key for spec in field_specs()]
    name = key.rpartition(".")[2]
    words = {word: spec.key for spec in field_specs() for word in (*spec.also, spec.name)}
    near = [words[name]] if name in words else difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    near = near or [words[match] for match in difflib.get_close_matches(name, list(words), n=1)]
    if near:
        return UserError("There is no option {key}.", remedy="Did you mean {near}?", key=key, near=near[0])
    return UserError("There is no option {key}.", remedy="See resources/manual/settings.md for all options.", key=key)


def unknown_section(name: str) -> UserError:
    """The error for a section that does not exist, with the nearest one that does."""
    import difflib

    known = [section for section, _, _ in sections()]
    if near := difflib.get_close_matches(name, known, n=1, cutoff=0.5):
        return UserError("There is no section {section}.", remedy="Did you mean {near}?", section=name, near=near[0])
    return UserError(
        "There is no section {section}.",
        remedy="The sections are {sections}.",
        section=name,
        sections=", ".join(known),
    )


def problems_of(error: ValidationError) -> dict[str, str]:
    """`section.name` -> what is allowed there, as a sentence in the user's language."""
    specs = {spec.key: spec for spec in field_specs()}
    found: dict[str, str] = {}
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"][:2])
        spec = specs.get(key)
        if problem["type"] == "value_error":
            found[key] = tr(
                "Allowed: {rule}.", rule=str(problem["ctx"]["error"]) if "ctx" in problem else problem["msg"]
            )
        else:
            found[key] = tr("Allowed: {rule}.", rule=allowed(spec)) if spec else problem["msg"]
    return found


def explain_validation(error: ValidationError) -> UserError:
    """The first problem of a config as a sentence with what is allowed."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][:2])
    value = first.get("input")
    if first["type"] == "extra_forbidden":
        return unknown_section(key) if len(first["loc"]) == 1 and isinstance(value, Mapping) else unknown_key(key)
    if len(first["loc"]) == 1:
        return UserError(
            "{key} cannot be {value}.",
            remedy="Write [{key}] on a line of its own, and the options of this section below it.",
            key=key,
            value=repr(value),
        )
    return UserError(
        "{key} cannot be {value}.",
        remedy="{allowed}",
        key=key,
        value=repr(value),
        allowed=problems_of(error).get(key, first["msg"]),
    )


def allowed(spec: FieldSpec) -> str:
    """What a field takes, in words."""
    if spec.kind == "choice":
        return tr("one of {choices}", choices=", ".join(spec.choices))
    if spec.kind == "bool":
        return tr("true or false")
    if spec.kind in ("int", "float"):
        number = tr("a whole number") if spec.kind == "int" else tr("a number")
        parts = []
        if spec.minimum is not None:
            low = number_words(spec.minimum)
            parts.append(tr("above {low}", low=low) if spec.minimum_is_open else tr("from {low}", low=low))
        if spec.maximum is not None:
            parts.append(tr("up to {high}", high=number_words(spec.maximum)))
        if spec.multiple_of is not None:
            parts.append(tr("a multiple of {step}", step=number_words(spec.multiple_of)))
        return ", ".join([number, *parts])
    if spec.kind == "lines":
        return tr("a list of texts")
    return tr("a text")


def number_words(value: float) -> str:
    """All digits of a whole number, six at most of others."""
    return str(int(value)) if value == int(value) else f"{value:g}"
