"""A report of a problem: one zip with what a developer needs, and nothing about people, pictures and folders.

The contents are texts that can be looked at before anything is written. Nothing is sent anywhere.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.anonymous import Anonymiser
from core.config.fields import field_specs
from core.config.model import TrainConfig
from core.config.toml import literal
from core.dataset.captions import read_caption
from core.errors import UserError, details
from core.events import Adapted, BestEpoch, Event, Failed, to_line
from core.files import replacing
from core.paths import RESOURCES, user_data_folder
from core.report_environment import environment
from core.run_folder import RunFolder

LOG_BYTES = 400_000
MOST_STEPS = 5_000
MOST_CAPTIONS = 20_000

_SAFE_TEXTS = frozenset({"kind", "stage", "level", "cause", "job", "device", "precision", "outcome", "failure"})
"""Fields of events whose texts are Kiln's own words."""

_PERSONAL = frozenset(
    {
        "dataset.trigger_word",
        "dataset.absorbed_tags",
        "dataset.caption_prefix",
        "dataset.caption_suffix",
        "sampling.prompts",
        "sampling.negative_prompt",
        "output.name",
        "output.comment",
    }
)
"""Options whose texts the user wrote; a report says only whether there is something."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a report."""

    name: str
    text: str


def collect(run: RunFolder | None = None, *, with_names: bool = False) -> tuple[Part, ...]:
    """The files of a report. What cannot be read is said so in its place; this never fails.

    Args:
        run: The run that went wrong; without one, only the machine and the window's log are told.
        with_names: Leave the names of pictures, folders and runs, the prompts and the captions as they are. People,
            machines, passwords and access tokens are taken out in any case.
    """
    config = _config_of(run)
    events: list[Event] = []
    if run is not None:
        with contextlib.suppress(OSError):  # Told by the log's and the listing's own errors.
            events = run.recorded()
    anonymiser = _anonymiser(run, config, events)
    clean = anonymiser.secrets if with_names else anonymiser.text
    parts: list[Part] = []

    def add(name: str, read: Callable[[], str]) -> None:
        try:
            text = read()
        except Exception as error:  # Whatever is broken may be the reason for the report.
            text = "This part could not be made.\n" + clean(details(error))
        if text:
            parts.append(Part(name, text if text.endswith("\n") else text + "\n"))

    add("environment.txt", lambda: clean(environment(_places(run, config))))
    if run is not None:
        add("config.toml", lambda: _config_text(run, anonymiser, with_names=with_names))
        add("events.jsonl", lambda: _events_text(events, anonymiser, with_names=with_names))
        add("log.txt", lambda: clean(_tail(run.log)))
        add("files.txt", lambda: clean(_listing(run.path)))
    add("window.log", lambda: clean(_tail(user_data_folder() / "logs" / "window.log")))
    return tuple(parts)


def save(parts: Iterable[Part], target: Path) -> None:
    """Write a report as a zip, atomically.

    Raises:
        OSError: It cannot be written there.
    """
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            archive.writestr(part.name, part.text.encode("utf-8", "replace"))


def file_name() -> str:
    """What a report made now is called."""
    return time.strftime("kiln-report-%Y-%m-%d-%H%M%S.zip")


def _config_of(run: RunFolder | None) -> TrainConfig | None:
    if run is not None:
        with contextlib.suppress(UserError, OSError):  # Told where the settings would be.
            return run.load_config()
    return None


# What is to be hidden


def _anonymiser(run: RunFolder | None, config: TrainConfig | None, events: list[Event]) -> Anonymiser:
    words: dict[str, str] = {}
    folders: set[str] = set()
    texts: list[str] = [getattr(event, "prompt", "") for event in events]
    texts += [getattr(event, "caption", "") for event in events] + [getattr(event, "sentence", "") for event in events]
    files = {path.name for event in events for path in _paths_of(event)}
    if run is not None:
        words[run.path.name] = "<name>"
    if config is not None:
        words[config.output.name] = "<name>"
        words[config.dataset.trigger_word] = "<trigger word>"
        words |= dict.fromkeys(config.dataset.absorbed_tags, "<tag>")
        texts += [*config.sampling.prompts, config.sampling.negative_prompt, config.output.comment]
        texts += [config.dataset.caption_prefix, config.dataset.caption_suffix]
        names, more_folders, captions = _dataset(config)
        files |= names
        folders |= {config.dataset.folder.name, config.output.folder.name} | more_folders
        texts += captions
    return Anonymiser(people=_people(), words=words, texts=texts, places=_known_places(), folders=folders, files=files)


def _people() -> set[str]:
    """What this user and this machine are called."""
    names = {os.environ.get(name, "") for name in ("USER", "USERNAME", "LOGNAME", "COMPUTERNAME", "HOSTNAME")}
    names |= {
        os.environ.get("USERDOMAIN", ""),
        Path.home().name,
        socket.gethostname(),
        socket.gethostname().split(".")[0],
    }
    with contextlib.suppress(Exception):  # No such user, as in some containers; Windows has no such list.
        names.add(getpass.getuser())
    if sys.platform != "win32":
        import pwd

        with contextlib.suppress(KeyError):
            full_name = pwd.getpwuid(os.getuid()).pw_gecos.split(",")[0]
            names |= {full_name, *(part for part in full_name.split() if len(part) > 2)}
    return {name for name in names if name}


def _known_places() -> dict[str, str]:
    """Folders that are the same on all machines but for who owns them. Of Kiln's and Python's, the rest is told."""
    return {
        str(RESOURCES.parent): "<kiln>/",
        sys.prefix: "<python>/",
        sys.base_prefix: "<python>/",
        str(user_data_folder()): "<data>",
        tempfile.gettempdir(): "<temp>",
        str(Path.home()): "<home>",
    }


def _dataset(config: TrainConfig) -> tuple[set[str], set[str], list[str]]:
    """Names of the pictures, names of their folders, and the captions, as far as they can be read."""
    files: set[str] = set()
    folders: set[str] = set()
    captions: list[str] = []
    for folder, inside, names in os.walk(config.dataset.folder):
        files.update(names)
        folders.update(inside)
        for name in names:
            if name.endswith(config.dataset.caption_extension) and len(captions) < MOST_CAPTIONS:
                captions.append(read_caption(Path(folder, name))[0] or "")
    return files, folders, captions


def _places(run: RunFolder | None, config: TrainConfig | None) -> dict[str, Path]:
    """The folders whose disk and spelling are told in the environment."""
    places = {"kiln": RESOURCES.parent, "data": user_data_folder(), "temporary": Path(tempfile.gettempdir())}
    if run is not None:
        places["run"] = run.path
    if config is not None:
        places |= {"pictures": config.dataset.folder, "base model": config.model.base, "output": config.output.folder}
    return {name: place for name, place in places.items() if place != Path()}


# The parts


def _config_text(run: RunFolder, anonymiser: Anonymiser, *, with_names: bool) -> str:
    """The settings as `section.name = value`, one a line."""
    values = run.load_config().model_dump(mode="json")
    lines = []
    for spec in field_specs():
        value = values[spec.section][spec.name]
        if not with_names and spec.key in _PERSONAL and value:
            value = "<left out>"
        elif not with_names and spec.kind == "path" and value not in ("", "."):
            value = anonymiser.path(value)
        told = literal(value)
        if spec.kind in ("text", "lines", "path"):
            told = anonymiser.secrets(told) if with_names else anonymiser.names(told)
        lines.append(f"{spec.key} = {told}")
    return "\n".join(lines)


def _events_text(events: list[Event], anonymiser: Anonymiser, *, with_names: bool) -> str:
    """The events, one JSON line each; of very many steps, only some."""
    num_steps = sum(event.kind == "step_done" for event in events)
    every = -(-num_steps // MOST_STEPS) or 1
    lines, seen = [], 0
    for event in events:
        seen += event.kind == "step_done"
        if event.kind == "step_done" and seen % every and seen != num_steps:
            continue
        line = to_line(event)
        if with_names:
            lines.append(anonymiser.secrets(line))
        else:
            values = json.loads(line)
            lines.append(json.dumps({key: _told(event, key, value, anonymiser) for key, value in values.items()}))
    return "\n".join(lines)


def _told(event: Event, key: str, value: object, anonymiser: Anonymiser) -> object:
    """A value of an event without texts: numbers as they are, paths as stand-ins, sentences only of Kiln itself."""
    if value is None or isinstance(value, (bool, int, float)) or key in _SAFE_TEXTS:
        return value
    if key == "changes":  # Options and their new values, which are Kiln's own words.
        return value
    if isinstance(value, str) and isinstance(getattr(event, key), Path):
        return anonymiser.names(anonymiser.path(value))
    if isinstance(value, str) and isinstance(event, (Failed, Adapted, BestEpoch)):
        return anonymiser.text(value)
    return "<left out>" if value else value


def _paths_of(event: Event) -> Iterator[Path]:
    for name in ("image", "path", "output"):
        if isinstance(path := getattr(event, name, None), Path):
            yield path


def _tail(path: Path) -> str:
    """The end of a log; an empty text when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - LOG_BYTES)
        file.seek(start)
        text = file.read().decode("utf-8", "replace")
    return text.partition("\n")[2] if start else text


def _listing(folder: Path) -> str:
    """The files of a run's folder with size and age."""
    now = time.time()
    lines = []
    for file in sorted(folder.rglob("*")):
        with contextlib.suppress(OSError):  # Gone in this moment.
            if file.is_file():
                status = file.stat()
                lines.append(f"{status.st_size:>14,} bytes  {(now - status.st_mtime) / 60:>10.1f} min ago  {file}")
    return "\n".join(lines)
