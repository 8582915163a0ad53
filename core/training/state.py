"""What a run continues from: one file, replaced as a whole, so that a kill at any moment leaves a good one."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config.model import TrainConfig
from core.errors import UserError
from core.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
FREE_TO_CHANGE = {
    "training": {"epochs", "max_steps", "device"},
    "sampling": set[str](),
    "output": {"folder", "save_every_n_epochs", "precision", "state_every_n_steps"},
    "dataset": {"folder"},
    "model": {"base"},
}
"""Options that may differ between a state and the run that continues it; an empty set frees the whole section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that a step changes. Order of pictures, noise and dropout follow from seed and step alone."""

    step: int
    fingerprint: str
    data_fingerprint: str
    elapsed_s: float
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]


def state_file(folder: Path) -> Path:
    """The state inside a run's state folder."""
    return folder / "state.pt"


def save_state(folder: Path, state: State) -> None:
    """Write the state; the one before stays until the new one is complete."""
    import torch

    record = {
        "format": FORMAT,
        "step": state.step,
        "fingerprint": state.fingerprint,
        "data_fingerprint": state.data_fingerprint,
        "elapsed_s": state.elapsed_s,
        "network": {name: tensor.detach().cpu() for name, tensor in state.network.items()},
        "optimizer": state.optimizer,
        "scaler": state.scaler,
    }
    with replacing(state_file(folder)) as temporary:
        torch.save(record, temporary)


def load_state(folder: Path) -> State | None:
    """The last state of a run, or None when it never got so far.

    Raises:
        UserError: The state cannot be read.
    """
    import torch

    path = state_file(folder)
    if not path.is_file():
        return None
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}")
        return State(**{key: value for key, value in record.items() if key != "format"})
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            "The saved state {path} cannot be read.",
            remedy="Start the training again under a new name; the LoRA files saved so far are still good.",
            path=path,
        ) from error


def config_fingerprint(config: TrainConfig) -> str:
    """A hash of all options that must stay the same for a run to continue as if never interrupted."""
    values = config.model_dump(mode="json")
    for section, names in FREE_TO_CHANGE.items():
        if names:
            for name in names:
                values[section].pop(name)
        else:
            values.pop(section)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
