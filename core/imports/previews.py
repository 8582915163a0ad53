"""Previews: kohya's prompt files and lines with options, and the fields of SD-Trainer's form."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import UserError
from core.imports.draft import Argument, Arguments, Draft
from core.imports.encoding import decoded, read_limited
from core.imports.values import UnfitError, flag, is_off, number, shown, text, whole
from core.text import tr

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_PROMPTS = 32
"""More previews than this are a mistake: another text file was named."""

_OPTIONS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "n": ("sampling.negative_prompt", text),
    "w": ("sampling.width", whole),
    "h": ("sampling.height", whole),
    "d": ("sampling.seed", whole),
    "s": ("sampling.denoising_steps", whole),
    "l": ("sampling.guidance", number),
}
_LONG_NAMES = {
    "negative_prompt": "n",
    "width": "w",
    "height": "h",
    "seed": "d",
    "sample_steps": "s",
    "scale": "l",
}
"""How prompt files in TOML and JSON call the options."""

_FORM = {
    "negative_prompts": "n",
    "sample_width": "w",
    "sample_height": "h",
    "sample_seed": "d",
    "sample_steps": "s",
    "sample_cfg": "l",
}
"""How SD-Trainer's form calls them."""

_SAMPLERS = {"euler_a": "euler_a", "euler": "euler", "ddim": "ddim", "dpmsolver++": "dpmpp_2m"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """One preview: its words, and its options by kohya's letters."""

    words: str
    options: dict[str, object] = field(default_factory=dict)


def prompt_of(line: str) -> Prompt:
    """A line such as `1girl --n blurry --w 512 --d 7`. Options that nobody knows stay as they are written."""
    words, *parts = line.split(" --")
    options: dict[str, object] = {}
    for part in parts:
        name, _, value = part.strip().partition(" ")
        options[name.lower()] = value.strip()
    return Prompt(words.strip(), options)


def prompts_of(content: str, ending: str = ".txt") -> list[Prompt]:
    """All prompts of a text, or of a prompt file in TOML or JSON.

    Raises:
        UnfitError: The file is not what its ending says.
    """
    if ending not in (".toml", ".json"):
        lines = [line.strip() for line in content.splitlines() if not line.startswith("#")]
        return [prompt_of(line) for line in lines if line]
    try:
        values = tomllib.loads(content) if ending == ".toml" else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnfitError(tr("The file with prompts cannot be read: {reason}.", reason=error)) from error
    shared = values.get("prompt", values) if isinstance(values, Mapping) else {}
    tables = shared.get("subset", [shared]) if isinstance(shared, Mapping) and shared else values
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise UnfitError(tr("The file with prompts has no list of prompts."))
    return [_of_table({**(shared if isinstance(shared, Mapping) else {}), **table}) for table in tables]


def _of_table(table: Mapping[str, object]) -> Prompt:
    options = {_LONG_NAMES[name]: value for name, value in table.items() if name in _LONG_NAMES}
    return Prompt(str(table.get("prompt", "")).strip(), options)


def map_previews(draft: Draft, arguments: Arguments) -> None:
    """Take the options about previews."""
    wish = arguments.take("enable_preview")
    rest = [arguments.take(name) for name in ("sample_prompts", "prompt_file", "positive_prompts")]
    sources = [argument for argument in rest if argument is not None]
    if wish is not None and is_off(wish.value):
        draft.take(wish, "sampling.prompts", ())
        for argument in sources:
            draft.leave(argument, tr("Previews are off in the file."))
        sources = []
    elif wish is not None:
        draft.leave(wish, tr("Kiln draws previews wherever there are prompts."), is_harmless=True)
    prompts: list[Prompt] = []
    for argument in sources:
        if draft.was_empty(argument):
            continue
        if prompts:
            draft.leave(argument, tr("{name} counts instead.", name=sources[0].source))
            continue
        try:
            prompts = _read(draft, argument)
        except UnfitError as error:
            draft.leave(argument, str(error))
            continue
        words = tuple(prompt.words for prompt in prompts if prompt.words)
        draft.take(argument, "sampling.prompts", words)
        _options_of(draft, argument, prompts)
    _form_fields(draft, arguments)
    _rhythm(draft, arguments)


def _read(draft: Draft, argument: Argument) -> list[Prompt]:
    """The prompts of a file, or those that stand in the setting itself.

    Raises:
        UnfitError: The file is missing or holds something else.
    """
    value = argument.value
    if isinstance(value, list):
        return [prompt_of(str(line)) for line in value]
    words = text(value)
    is_name = re.search(r"\.(txt|toml|json)$", words.strip(), re.IGNORECASE) is not None and "\n" not in words
    if not is_name:
        return prompts_of(words)
    path = draft.place(argument, "sampling.prompts")
    if path is None or not draft.places.is_there(path):
        raise UnfitError(tr("The file with prompts is not there: {path}.", path=words))
    found = prompts_of(_text_of(path), path.suffix.lower())
    if len(found) > MOST_PROMPTS:
        raise UnfitError(tr("{path} has {number} lines; that is no list of prompts.", path=words, number=len(found)))
    return found


def _text_of(path: Path) -> str:
    try:
        return decoded(read_limited(path), path)
    except UserError as error:
        raise UnfitError(error.message) from error


def _options_of(draft: Draft, argument: Argument, prompts: list[Prompt]) -> None:
    """The first value of each option counts for all previews; others are named."""
    first: dict[str, object] = {}
    for number_of_line, prompt in enumerate(prompts, start=1):
        for name, value in prompt.options.items():
            source = f"{argument.source} {number_of_line}: --{name}"
            if name not in _OPTIONS:
                draft.leave(Argument(source, source, value), tr("Kiln does not know this option of a prompt."))
            elif name not in first:
                first[name] = value
                draft.convert(Argument(source, source, value), *_OPTIONS[name])
            elif str(value) != str(first[name]):
                draft.leave(Argument(source, source, value), tr("Kiln draws all previews of a run with one value."))


def _form_fields(draft: Draft, arguments: Arguments) -> None:
    for name, letter in _FORM.items():
        draft.convert(arguments.take(name), *_OPTIONS[letter])
    random_prompt = arguments.take("randomly_choice_prompt")
    if random_prompt is not None and is_off(random_prompt.value):
        draft.leave_off(random_prompt)
    elif random_prompt is not None:
        draft.leave(random_prompt, tr("Kiln draws the same prompts each time, so that previews can be compared."))


def _rhythm(draft: Draft, arguments: Arguments) -> None:
    epochs, steps = arguments.take("sample_every_n_epochs"), arguments.take("sample_every_n_steps")
    draft.convert(arguments.take("sample_at_first"), "sampling.at_start", flag)
    draft.convert(arguments.take("sample_sampler"), "sampling.sampler", _sampler)
    has_epochs = epochs is not None and not is_off(epochs.value)
    if epochs is not None:
        draft.convert(epochs, "sampling.every_n_epochs", whole)
    if steps is not None and has_epochs and not is_off(steps.value):
        draft.leave(steps, tr("The number of epochs counts instead, as in kohya's scripts."))
    elif steps is not None:
        draft.convert(steps, "sampling.every_n_steps", whole)
        if not has_epochs and draft.changes.get("sampling.every_n_steps"):
            draft.take(steps, "sampling.every_n_epochs", 0)


def _sampler(value: object) -> str:
    word = text(value).strip().lower().removeprefix("k_")
    if word not in _SAMPLERS:
        raise UnfitError(tr("Kiln does not have the sampler {name}.", name=shown(value)))
    return _SAMPLERS[word]
