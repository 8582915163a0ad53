"""Every sentence a person reads, in their language.

English is written in the code; `resources/translations/zh_CN/*.json` maps each English template to Chinese. The window,
the command line and the errors of core all go through `tr`, so there is one table per language and one test that it is
complete.
"""

from __future__ import annotations

import json
import locale
import os
from functools import cache
from typing import Literal

from core.paths import RESOURCES

Language = Literal["en", "zh"]

_WIDE_ENDINGS = ("。", "！", "？", "：", "；")

_language: Language | None = None


def system_language() -> Language:
    """The language of this machine: `KILN_LANGUAGE` when set, else Chinese when the system speaks it, else English."""
    wish = os.environ.get("KILN_LANGUAGE") or os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    if not wish:
        try:
            wish = locale.getlocale()[0] or ""
        except ValueError:  # A locale that Python does not know, such as "UTF-8" alone on macOS.
            wish = ""
    return "zh" if wish.lower().startswith(("zh", "chinese")) else "en"


def language() -> Language:
    """The language in use."""
    return _language or system_language()


def set_language(new: Language) -> None:
    """Switch the language of every later `tr`."""
    global _language
    _language = new


@cache
def catalogue(name: str) -> dict[str, str]:
    """English template -> translated template, merged from all files of one language folder."""
    merged: dict[str, str] = {}
    for file in sorted((RESOURCES / "translations" / name).glob("*.json")):
        merged.update(json.loads(file.read_text(encoding="utf-8")))
    return merged


def tr(template: str, /, **fields: object) -> str:
    """The template in the language in use, with `{name}` replaced by the fields.

    Args:
        template: English text with `{name}` places; also the key of the translation.
        fields: What goes into the places.
    """
    text = catalogue("zh_CN").get(template, template) if language() == "zh" else template
    return text.format(**fields) if fields else text


def sentences(*parts: str) -> str:
    """Sentences one after another; empty ones are left out. Chinese full stops bring their own space."""
    text = ""
    for part in filter(None, (part.strip() for part in parts)):
        text += part if not text or text.endswith(_WIDE_ENDINGS) else f" {part}"
    return text
