"""The folder of a run: `<output>/runs/<name>/` with config, events, log, samples and state."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.config.fields import with_values
from core.config.model import TrainConfig
from core.config.toml import load_config, save_config
from core.dataset.edits import backup_of
from core.errors import UserError
from core.events import BestEpoch, Event, Failed, Finished, LoraSaved, SampleReady, from_line, to_line
from core.files import put_in_place, write_text


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names of everything that a run leaves."""

    path: Path

    @classmethod
    def of(cls, config: TrainConfig) -> RunFolder:
        """The folder that a config's run uses."""
        return cls(config.output.folder / "runs" / config.output.name)

    @classmethod
    def find(cls, place: Path) -> RunFolder:
        """The run that a user means by a folder: the run's own, or an output folder, whose newest run is taken.

        Raises:
            UserError: There is no run in that folder.
        """
        place = place.absolute()
        if place.parent.name == "runs" and (place / "config.toml").is_file():
            return cls(place)
        runs = [file.parent for file in (place / "runs").glob("*/config.toml")]
        if not runs:
            raise UserError(
                "There is no run in {place}.",
                remedy="Give the output folder of a training, or the folder of the run inside its runs folder.",
                place=place,
            )
        return cls(max(runs, key=_last_change))

    @property
    def config(self) -> Path:
        """The settings, as TOML."""
        return self.path / "config.toml"

    @property
    def edits(self) -> Path:
        """What was decided about the pictures when the run began: a dataset file."""
        return self.path / "dataset.json"

    @property
    def events(self) -> Path:
        """All events, one JSON line each."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """What libraries printed, and full tracebacks."""
        return self.path / "log.txt"

    @property
    def samples(self) -> Path:
        """Preview pictures."""
        return self.path / "samples"

    @property
    def state(self) -> Path:
        """The folder of what the run continues from; `state_files` lists it."""
        return self.path / "state"

    @property
    def tensorboard(self) -> Path:
        """Curves in TensorBoard's form, for those who asked for them."""
        return self.path / "tensorboard"

    @property
    def set_aside(self) -> Path:
        """What was made after a step that the run went back to: a numbered folder each time."""
        return self.path / "set_aside"

    def create(self, config: TrainConfig) -> None:
        """Make the folders and write the settings. Decisions that another run of this name left are removed.

        Raises:
            OSError: The output folder cannot be written.
        """
        self.samples.mkdir(parents=True, exist_ok=True)
        if config.dataset.edits != self.edits:
            for left_over in (self.edits, backup_of(self.edits)):
                left_over.unlink(missing_ok=True)
        save_config(config, self.config)

    def continued_config(self) -> TrainConfig:
        """The settings to continue with: as started, but with output folder and name as the run lies now.

        A run may have been moved or renamed since it was started. What was decided about the pictures is what the run
        kept of it, if it was started with a dataset file.
        """
        config = self.load_config()
        values = {"output.folder": self.path.parent.parent, "output.name": self.path.name}
        if config.dataset.edits != Path() and self.edits.exists():
            values["dataset.edits"] = self.edits
        return with_values(config, values)

    def load_config(self) -> TrainConfig:
        """The settings of the run as it was started."""
        return load_config(self.config)

    def record(self, event: Event) -> None:
        """Append an event to `events.jsonl`; whoever reads along sees whole lines.

        Raises:
            OSError: It cannot be written. What was written of the line is taken away again, so that the next one is
                whole.
        """
        line = (to_line(event) + "\n").encode("ascii")
        with self.events.open("ab", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            try:
                written = file.write(line)
                if written < len(line):  # A disk takes what fits and fails only at the next attempt.
                    file.write(line[written:])
            except OSError:
                file.truncate(start)
                raise

    def recording(self, events: Iterator[Event]) -> Iterator[Event]:
        """Pass events on, each kept first."""
        for event in events:
            self.record(event)
            yield event

    def mend(self) -> None:
        """End a last line that a crash cut off, so that the next event has a line of its own."""
        if not self.events.is_file():
            return
        with self.events.open("rb+") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")

    def said_after(self, step: int) -> list[Event]:
        """What `rewind` would forget: all that was said of steps after `step`, and how the run ended."""
        return [event for event in self.recorded() if _is_after(event, step)]

    def rewind(self, step: int) -> list[Event]:
        """Forget what was said of steps after `step`, and how the run ended: it goes on from there.

        Returns:
            What was forgotten.
        """
        forgotten = self.said_after(step)
        if forgotten:
            write_text(self.events, _lines([event for event in self.recorded() if not _is_after(event, step)]))
        return forgotten

    def put_aside(self, forgotten: list[Event]) -> Path | None:
        """Move the LoRA files and previews of forgotten events into a folder of their own; nothing is deleted.

        Done before they are forgotten, it leaves nothing behind that nobody knows of, whenever it is interrupted.

        Returns:
            The folder, or None when no LoRA file was among them.
        """
        number = 1
        while (folder := self.set_aside / f"{number:03d}").exists():
            number += 1
        moved = False
        for event in forgotten:
            if isinstance(event, LoraSaved):
                # A run may lie elsewhere than when it was said; its files lie where the run's folder says.
                found = self.path.parent.parent / event.path.name
            elif isinstance(event, SampleReady):
                found = self.samples / event.image.name
            else:
                continue
            if found.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                put_in_place(found, folder / found.name)
                moved |= isinstance(event, LoraSaved)
        if folder.exists():
            write_text(folder / "events.jsonl", _lines(forgotten))
        return folder if moved else None

    def recorded(self) -> list[Event]:
        """The events so far. A last line cut off by a crash is left out, and so are events of other versions."""
        events: list[Event] = []
        if self.events.is_file():
            for line in self.events.read_text(encoding="utf-8", errors="replace").split("\n"):
                try:
                    events.append(from_line(line))
                except ValueError:
                    continue
        return events

    def sample_path(self, step: int, index: int) -> Path:
        """Where the preview of a prompt at a step goes."""
        return self.samples / f"step_{step:06d}_{index:02d}.png"


def lora_path(config: TrainConfig, epoch: int | None = None, *, step: int | None = None) -> Path:
    """Where the LoRA goes.

    `<name>.safetensors` at the end, `<name>-000002.safetensors` after epoch 2, `<name>-step00000500.safetensors` for
    one that was saved at step 500.
    """
    suffix = f"-{epoch:06d}" if epoch is not None else f"-step{step:08d}" if step is not None else ""
    return config.output.folder / f"{config.output.name}{suffix}.safetensors"


def lora_files(config: TrainConfig) -> list[Path]:
    """The LoRA files of a run that are there: the final one, those of single epochs, those of single steps."""
    name = glob.escape(config.output.name)
    folder = config.output.folder
    return [
        path
        for path in (
            lora_path(config),
            *sorted(folder.glob(f"{name}-{'[0-9]' * 6}.safetensors")),
            *sorted(folder.glob(f"{name}-step{'[0-9]' * 8}.safetensors")),
        )
        if path.exists()
    ]


@dataclass(frozen=True, slots=True)
class StateFile:
    """A state on the disk: after which step, and of which epoch (from 1) if it is kept because that saved a LoRA."""

    path: Path
    step: int
    epoch: int | None


_STATE_NAME = re.compile(r"step_(\d{8})(?:_epoch_(\d{6}))?\.state")


def state_path(folder: Path, step: int, epoch: int | None = None) -> Path:
    """Where the state after a step goes inside a run's state folder."""
    return folder / f"step_{step:08d}{'' if epoch is None else f'_epoch_{epoch:06d}'}.state"


def state_files(folder: Path) -> list[StateFile]:
    """The states of a run, newest first, known by their names alone; whether one is whole shows when it is read."""
    if not folder.is_dir():
        return []
    found = [
        StateFile(path, int(match[1]), int(match[2]) if match[2] else None)
        for path in folder.iterdir()
        if (match := _STATE_NAME.fullmatch(path.name))
    ]
    return sorted(found, key=lambda file: (file.step, file.epoch or 0), reverse=True)


def _lines(events: list[Event]) -> str:
    return "".join(to_line(event) + "\n" for event in events)


def _is_after(event: Event, step: int) -> bool:
    """Whether an event is of a later step, or says how the run ended."""
    return isinstance(event, (Finished, Failed, BestEpoch)) or getattr(event, "step", 0) > step


def _last_change(run: Path) -> float:
    return max((file.stat().st_mtime for file in run.rglob("*") if file.is_file()), default=time.time())
