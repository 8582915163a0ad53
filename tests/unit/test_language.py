"""Every sentence has its Chinese, and no translation is left over."""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import text
from core.config import field_specs, sections
from core.config.base import Section
from core.config.reference import MANUALS, manual
from core.jobs import TagOptions
from core.text import catalogue, set_language, tr

ROOT = Path(__file__).resolve().parent.parent.parent
CHINESE = ROOT / "resources" / "translations" / "zh_CN"
SPEAKING = {"tr": (0,), "UserError": (0,), "WrongUseError": (0,), "QueryError": (0,)}
"""Calls whose first argument is a template; errors have a second one, `remedy`."""


def templates_of(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in SPEAKING:
            continue
        spoken = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "remedy")]
        for argument in spoken:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value, node.lineno


def all_templates() -> dict[str, str]:
    found = {
        template: f"{file.relative_to(ROOT)}:{line}"
        for folder in ("core", "app")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for template, line in templates_of(file)
        if re.search("[A-Za-z]{2}", re.sub(r"\{\w+\}", "", template))
    }
    for _, title, cls in sections():
        found[title] = cls.__name__
    for spec in field_specs():
        found |= {words: spec.key for words in (spec.title, spec.description, spec.unit) if words and words != "px"}
    options: type[Section] = TagOptions
    for name, info in options.model_fields.items():
        found |= {words: f"TagOptions.{name}" for words in (info.title, info.description) if words}
    return found


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_sentence_has_its_chinese() -> None:
    chinese = catalogue("zh_CN")
    missing = {template: place for template, place in all_templates().items() if template not in chinese}
    assert not missing, "\n".join(f"{place}: {template!r}" for template, place in missing.items())


def test_translations_fill_the_same_places_and_are_chinese() -> None:
    for english, chinese in catalogue("zh_CN").items():
        assert places(english) == places(chinese), english
        assert chinese.strip(), english


@pytest.mark.parametrize("english", json.loads((CHINESE / "command_line.json").read_text(encoding="utf-8")))
def test_places_of_argparse_stay(english: str) -> None:
    found = [re.findall(r"%(?:\(\w+\))?[a-z]", sentence) for sentence in (english, catalogue("zh_CN")[english])]
    assert sorted(found[0]) == sorted(found[1])


def literals_of(code: str) -> set[str]:
    """All texts between quotes in some code."""
    nodes = ast.walk(ast.parse(code))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_no_translation_is_left_over() -> None:
    code = "\n".join(
        file.read_text(encoding="utf-8") for folder in ("core", "app") for file in (ROOT / folder).rglob("*.py")
    )
    literals = literals_of(code)
    of_argparse = literals_of(inspect.getsource(argparse))
    said_by_argparse = set(json.loads((CHINESE / "command_line.json").read_text(encoding="utf-8"))) & of_argparse
    left_over = set(catalogue("zh_CN")) - literals - said_by_argparse
    assert not {english for english in left_over if english not in code}


def test_a_switch_of_language_shows_in_the_next_sentence() -> None:
    assert tr("Training") == "Training"
    set_language("zh")
    assert tr("Training") == "训练"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("zh_CN.UTF-8", "zh"), ("Chinese (Simplified)_China.936", "zh"), ("de_DE", "en"), ("C", "en")],
)
def test_the_system_s_language_is_found(monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
    monkeypatch.setenv("KILN_LANGUAGE", value)
    assert text.system_language() == expected


@pytest.mark.parametrize("language", list(MANUALS))
def test_the_manual_is_up_to_date(language: text.Language) -> None:
    assert MANUALS[language].read_text(encoding="utf-8") == manual(language), "run: python -m core.config.reference"


def test_no_sentence_has_two_translations() -> None:
    seen: dict[str, str] = {}
    for file in sorted(CHINESE.glob("*.json")):
        for english, chinese in json.loads(file.read_text(encoding="utf-8")).items():
            assert seen.setdefault(english, chinese) == chinese, f"{english!r} in {file.name}"


def test_sentences_are_joined_as_their_language_does() -> None:
    assert text.sentences("The disk is full.", "", "Make room. ") == "The disk is full. Make room."
    assert text.sentences("磁盘已满。", "请腾出空间。", "cuda:0") == "磁盘已满。请腾出空间。cuda:0"
    assert text.sentences() == ""
