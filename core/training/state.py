"""What a run continues from: a few files, each written as a whole and checked when read, the newest of them kept."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config.fields import field_specs
from core.config.model import TrainConfig
from core.errors import UserError
from core.files import replacing
from core.run_folder import StateFile, state_files, state_path
from core.text import tr

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 2
_MAGIC = b"KILN-STATE\n"
_DIGEST_BYTES = 32

FREE_SECTIONS = frozenset({"optimizer", "schedule", "sampling", "output"})
FREE_OPTIONS = frozenset(
    {
        "model.base",
        "model.vae",
        "model.large_text_encoder",
        "dataset.folder",
        "dataset.edits",
        "dataset.resolution",
        "training.epochs",
        "training.max_steps",
        "training.device",
        "training.precision",
        "training.vae_precision",
        "training.gradient_checkpointing",
        "training.base_weights",
        "training.compile",
        "training.on_out_of_memory",
        "training.background",
        "validation.every_n_epochs",
        "validation.patience",
    }
)
"""What may differ between a state and the run that continues it. All else would make the steps so far another run's."""
BOUND_OPTIONS = frozenset({"optimizer.name", "optimizer.arguments", "optimizer.block_rates"})
"""What may not, in sections that are free otherwise: the state holds the memory of that very optimizer."""
SILENT_SECTIONS = frozenset({"sampling", "output", "validation"})
SILENT_OPTIONS = frozenset(
    {
        "model.base",
        "model.vae",
        "model.large_text_encoder",
        "dataset.folder",
        "dataset.edits",
        "training.device",
        "training.vae_precision",
        "training.gradient_checkpointing",
        "training.compile",
        "training.on_out_of_memory",
        "training.background",
    }
)
"""What may differ without a word. The other free options change what is learned from here on, which is told."""


class DamagedStateError(UserError):
    """A state is not as it was written; an earlier one may be whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a run found out about its machine and itself; it goes on with it after every return.

    `chunks` and `checkpointing` save memory, `vae` is how pictures are encoded ("", "tiled" or "cpu"), `text_on_cpu`
    keeps a frozen text encoder off the card, `rate_scale` is a factor on every learning rate, `small_previews` draws
    previews in slices.
    """

    chunks: int = 1
    checkpointing: bool = False
    vae: str = ""
    text_on_cpu: bool = False
    rate_scale: float = 1.0
    small_previews: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Learned:
        """What a state holds; words of other versions are left out."""
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True, slots=True)
class Measure:
    """One measurement of the held-out pictures: their loss, and how far the LoRA had moved the base model."""

    step: int
    epoch: int
    loss: float
    drift: float
    num_pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that a step changes. Order of pictures, noise and dropout follow from seed and step alone.

    `settings` are those of the run, as JSON values. `base` names the content of the base model's files and `pictures`
    that of each picture, its caption and its way of being shown (see `core.training.identity`). `started_at` is when
    the run first began, in Unix seconds. `recent_losses` are those of the last steps, `curve` the measurements so far,
    `held_out` the pictures that are measured and not trained.
    """

    step: int
    settings: dict[str, dict[str, Any]]
    base: dict[str, str]
    pictures: dict[str, list[str]]
    elapsed_s: float
    started_at: float
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    averaging: dict[str, Any] = field(default_factory=dict)
    learned: Learned = field(default_factory=Learned)
    recent_losses: tuple[float, ...] = ()
    curve: tuple[Measure, ...] = ()
    held_out: tuple[str, ...] = ()


def save_state(folder: Path, state: State, *, epoch: int | None = None) -> Path:
    """Write a state beside those that are there; a reader never sees half of it.

    Args:
        folder: The state folder of the run.
        state: What to keep.
        epoch: The epoch, from 1, that it is to be kept for.

    Raises:
        UserError: A weight is not a finite number; nothing is written.
        OSError: The file cannot be written.
    """
    import torch

    tensors = [*state.network.values(), *_tensors(state.averaging)]
    if not all(bool(torch.isfinite(weight).all()) for weight in tensors):
        raise UserError(
            "The weights of the LoRA are no longer numbers in step {step}; this state was not saved.",
            remedy="Continue from the last state with a lower learning rate, or with precision fp32 or bf16.",
            failure="not_a_number",
            step=state.step,
        )
    record = {
        **{item.name: getattr(state, item.name) for item in dataclasses.fields(state)},
        "format": FORMAT,
        "network": {name: tensor.detach().cpu() for name, tensor in state.network.items()},
        "learned": dataclasses.asdict(state.learned),
        "recent_losses": list(state.recent_losses),
        "curve": [list(dataclasses.astuple(measure)) for measure in state.curve],
        "held_out": list(state.held_out),
    }
    # Through memory: torch reports a full disk in words of its own, Python as what it is.
    buffer = io.BytesIO()
    torch.save(record, buffer)
    content = buffer.getbuffer()
    same_step = [file for file in state_files(folder) if file.step == state.step]
    # Written again, a state stays the one that its epoch keeps.
    epoch = epoch or next((file.epoch for file in same_step if file.epoch is not None), None)
    path = state_path(folder, state.step, epoch)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC)
        file.write(hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest())
        file.write(content)
    for other in same_step:
        if other.path != path:
            other.path.unlink(missing_ok=True)
    return path


def keep_newest(folder: Path, *, states: int, epoch_states: int) -> None:
    """Remove all states but the newest, and those of the newest epochs that are kept on their own account."""
    files = state_files(folder)
    kept = {file.path for file in files[:states]}
    kept |= {file.path for file in [file for file in files if file.epoch is not None][:epoch_states]}
    for file in files:
        if file.path not in kept:
            file.path.unlink(missing_ok=True)


def forget_after(folder: Path, step: int) -> None:
    """Remove the states of later steps: the run goes on from this one."""
    for file in state_files(folder):
        if file.step > step:
            file.path.unlink(missing_ok=True)


def last_state(folder: Path, *, from_step: int = -1, before: int | None = None) -> tuple[State | None, list[StateFile]]:
    """The state to go on from, and the damaged ones that were passed over on the way to it.

    Args:
        folder: The state folder of a run.
        from_step: The step that the user wants to go back to; -1 for the newest that is whole.
        before: Only states of earlier steps count.

    Raises:
        UserError: There are states but none that can be used, or none of the step that was asked for; or a newer
            version wrote the newest, which this one would lose if it went on from an earlier one.
        OSError: A file cannot be read.
    """
    files = [file for file in state_files(folder) if before is None or file.step < before]
    if from_step >= 0:
        wanted = [file for file in files if file.step == from_step]
        if not wanted:
            raise UserError(
                "This run has no state of step {step} to go back to.",
                remedy="It can go back to: {steps}.",
                failure="no_such_state",
                step=from_step,
                steps=", ".join(str(step) for step in sorted({file.step for file in files})) or tr("no step"),
            )
        files = wanted
    damaged: list[StateFile] = []
    problem: DamagedStateError | None = None
    for file in files:
        try:
            return load_state(file.path), damaged
        except DamagedStateError as error:
            problem = error
            damaged.append(file)
    if problem is not None:
        raise problem
    return None, []


def load_state(path: Path) -> State:
    """Read one state.

    Raises:
        DamagedStateError: It is not as it was written.
        UserError: A newer version wrote it.
        RuntimeError: The memory is not enough; the state is as good as before.
        OSError: The file cannot be read.
    """
    import torch

    from core.training.recovery import is_memory_error  # Which knows states itself.

    data = path.read_bytes()
    start = len(_MAGIC) + _DIGEST_BYTES
    content = memoryview(data)[start:]
    try:
        if data[: len(_MAGIC)] != _MAGIC:
            raise ValueError("no state")
        if hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest() != data[len(_MAGIC) : start]:
            raise ValueError("the checksum is wrong")
        record = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        number = record.pop("format")
        if number > FORMAT:
            raise UserError(
                "The saved state {path} was written by a newer version of Kiln.",
                remedy="Update Kiln, then continue the run.",
                path=path,
            )
        if number != FORMAT:
            raise ValueError("another format")
        return State(
            **{
                **record,
                "learned": Learned.from_dict(record["learned"]),
                "recent_losses": tuple(record["recent_losses"]),
                "curve": tuple(Measure(*values) for values in record["curve"]),
                "held_out": tuple(record["held_out"]),
            }
        )
    except (RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        if is_memory_error(error):
            raise
        raise DamagedStateError(
            "The saved state {path} cannot be read.",
            remedy="Start the training again under a new name; the LoRA files saved so far are still good.",
            failure="damaged_state",
            path=path,
        ) from error


def changed_options(settings: Mapping[str, Mapping[str, Any]], config: TrainConfig) -> list[str]:
    """The options, as `section.name`, that keep a run from going on from a state.

    An option that the state does not know came with a later version; its default stands for what was done then.
    """
    return [key for key in _changes(settings, config) if not _is_free(key)]


def told_options(settings: Mapping[str, Mapping[str, Any]], config: TrainConfig) -> list[str]:
    """The options that may change, but make the rest of the run another than it would have been."""
    return [
        key
        for key in _changes(settings, config)
        if _is_free(key) and key not in SILENT_OPTIONS and key.partition(".")[0] not in SILENT_SECTIONS
    ]


def _is_free(key: str) -> bool:
    return key not in BOUND_OPTIONS and (key.partition(".")[0] in FREE_SECTIONS or key in FREE_OPTIONS)


def _changes(settings: Mapping[str, Mapping[str, Any]], config: TrainConfig) -> Iterator[str]:
    now = config.model_dump(mode="json")
    defaults = TrainConfig().model_dump(mode="json")
    for spec in field_specs():
        before = settings.get(spec.section, {}).get(spec.name, defaults[spec.section][spec.name])
        if before != now[spec.section][spec.name]:
            yield spec.key


def _tensors(values: Any) -> Iterator[Tensor]:
    """All floating-point tensors in nested dicts and lists."""
    import torch

    if isinstance(values, torch.Tensor):
        if values.is_floating_point():
            yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _tensors(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)
