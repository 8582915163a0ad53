"""The folder of a run: `<output>/runs/<name>/` with config, events, log, samples and state."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.config.fields import with_values
from core.config.model import TrainConfig
from core.config.toml import load_config, save_config
from core.dataset.edits import backup_of
from core.errors import UserError
from core.events import Event, Failed, Finished, from_line, to_line
from core.files import write_text


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
        """What the run continues from."""
        return self.path / "state"

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
        """Append an event to `events.jsonl`."""
        with self.events.open("a", encoding="utf-8", newline="\n") as file:
            file.write(to_line(event) + "\n")

    def recording(self, events: Iterator[Event]) -> Iterator[Event]:
        """Pass events on, each kept first."""
        for event in events:
            self.record(event)
            yield event

    def rewind(self, step: int) -> None:
        """Forget what was said of steps after `step`, and how the run ended: it goes on from there."""
        if not self.events.is_file():
            return
        kept = [
            to_line(event)
            for event in self.recorded()
            if not isinstance(event, (Finished, Failed)) and getattr(event, "step", 0) <= step
        ]
        write_text(self.events, "".join(line + "\n" for line in kept))

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


def lora_path(config: TrainConfig, epoch: int | None = None) -> Path:
    """Where the LoRA goes: `<name>.safetensors`, or `<name>-000002.safetensors` after epoch 2."""
    suffix = "" if epoch is None else f"-{epoch:06d}"
    return config.output.folder / f"{config.output.name}{suffix}.safetensors"


def lora_files(config: TrainConfig) -> list[Path]:
    """The LoRA files of a run that are there: the final one and those of single epochs."""
    name = glob.escape(config.output.name)
    folder = config.output.folder
    return [
        path
        for path in (lora_path(config), *folder.glob(f"{name}-[0-9][0-9][0-9][0-9][0-9][0-9].safetensors"))
        if path.exists()
    ]


def state_file(folder: Path) -> Path:
    """The state inside a run's state folder."""
    return folder / "state.pt"


def _last_change(run: Path) -> float:
    return max((file.stat().st_mtime for file in run.rglob("*") if file.is_file()), default=time.time())
