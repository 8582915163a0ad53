"""The manual of all settings, written from the configuration itself.

Run as `python -m core.config.reference` after changing an option; a test fails while the manual is out of date.
"""

from __future__ import annotations

from pathlib import Path

from core.config.fields import FieldSpec, allowed, field_specs, sections
from core.files import write_text
from core.paths import RESOURCES
from core.text import Language, language, set_language, tr

MANUALS: dict[Language, Path] = {
    "en": RESOURCES / "manual" / "settings.md",
    "zh": RESOURCES / "manual" / "settings.zh.md",
}


def manual(in_language: Language) -> str:
    """The manual as Markdown in one language."""
    before = language()
    set_language(in_language)
    try:
        lines = [f"# {tr('Settings')}", "", tr("Every setting, as in a settings file and on the command line."), ""]
        for section, title, _ in sections():
            lines += [f"## {tr(title)} (`[{section}]`)", ""]
            for spec in field_specs():
                if spec.section == section:
                    lines += _entry(spec)
        return "\n".join(lines)
    finally:
        set_language(before)


def _entry(spec: FieldSpec) -> list[str]:
    facts = [tr("Allowed: {rule}.", rule=allowed(spec)), tr("Default: {value}.", value=_shown(spec.default))]
    if spec.unit:
        facts.append(tr("Unit: {unit}.", unit=tr(spec.unit)))
    if spec.also:
        facts.append(tr("Elsewhere called {names}.", names=", ".join(f"`{name}`" for name in spec.also)))
    return [f"### {tr(spec.title)}: `--{spec.key}`", "", tr(spec.description), "", " ".join(facts), ""]


def _shown(default: object) -> str:
    if default in ("", (), Path()):
        return tr("empty")
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def main() -> None:
    """Write the manuals."""
    for each, path in MANUALS.items():
        write_text(path, manual(each))


if __name__ == "__main__":
    main()
