"""What a run continues from: one file, replaced as a whole, so that a kill at any moment leaves a good one."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config.model import TrainConfig
from core.errors import UserError
from core.files import write_bytes
from core.run_folder import state_file

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
FREE_SECTIONS = frozenset({"optimizer", "schedule", "sampling", "output"})
FREE_OPTIONS = frozenset(
    {
        "model.base",
        "dataset.folder",
        "dataset.edits",
        "training.epochs",
        "training.max_steps",
        "training.device",
        "training.precision",
        "training.gradient_checkpointing",
    }
)
"""What may differ between a state and the run that continues it. All else would make the steps so far another run's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that a step changes. Order of pictures, noise and dropout follow from seed and step alone.

    `settings` are those of the run, as JSON values; `started_at` is when it first began, in Unix seconds.
    """

    step: int
    settings: dict[str, dict[str, Any]]
    data_fingerprint: str
    elapsed_s: float
    started_at: float
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]


def save_state(folder: Path, state: State) -> None:
    """Write the state; the one before stays until the new one is complete.

    Raises:
        UserError: A weight is not a finite number; the state before is kept.
        OSError: The file cannot be written.
    """
    import torch

    if not all(bool(torch.isfinite(weight).all()) for weight in state.network.values()):
        raise UserError(
            "The weights of the LoRA are no longer numbers in step {step}; this state was not saved.",
            remedy="Continue from the last state with a lower learning rate, or with precision fp32 or bf16.",
            step=state.step,
        )
    record = {
        "format": FORMAT,
        "step": state.step,
        "settings": state.settings,
        "data_fingerprint": state.data_fingerprint,
        "elapsed_s": state.elapsed_s,
        "started_at": state.started_at,
        "network": {name: tensor.detach().cpu() for name, tensor in state.network.items()},
        "optimizer": state.optimizer,
        "scaler": state.scaler,
    }
    # Through memory: torch reports a full disk in words of its own, Python as what it is.
    buffer = io.BytesIO()
    torch.save(record, buffer)
    write_bytes(state_file(folder), buffer.getbuffer())


def load_state(folder: Path) -> State | None:
    """The last state of a run, or None when it never got so far.

    Raises:
        UserError: The state is damaged, or of a later version.
        OSError: The file cannot be read.
    """
    import torch

    path = state_file(folder)
    if not path.is_file():
        return None
    try:
        record = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}")
        return State(**{key: value for key, value in record.items() if key != "format"})
    except (RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            "The saved state {path} cannot be read.",
            remedy="Start the training again under a new name; the LoRA files saved so far are still good.",
            path=path,
        ) from error


def changed_options(settings: dict[str, dict[str, Any]], config: TrainConfig) -> list[str]:
    """The options, as `section.name`, that keep a run from going on from a state.

    An option that the state does not know came with a later version; its default stands for what was done then.
    """
    now = config.model_dump(mode="json")
    defaults = TrainConfig().model_dump(mode="json")
    return [
        key
        for section, options in now.items()
        if section not in FREE_SECTIONS
        for name, value in options.items()
        if (key := f"{section}.{name}") not in FREE_OPTIONS
        and settings.get(section, {}).get(name, defaults[section][name]) != value
    ]
