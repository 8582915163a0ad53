"""Which models of the catalogue are here, for lists in the window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.hub.catalog import ModelCard, ModelKind, folder_of, is_here, known_models
from core.hub.download import bytes_waiting
from core.hub.folder import models_folder


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model, where it lies or will lie, whether it is whole, and how much of it waits there to be completed."""

    card: ModelCard
    folder: Path
    is_here: bool = False
    waiting_bytes: int = 0


def unread_states(kind: ModelKind) -> tuple[ModelState, ...]:
    """The models of a kind before anybody looked at the disk."""
    root = models_folder()
    return tuple(ModelState(card, folder_of(card, root)) for card in known_models(kind))


def model_states(kind: ModelKind) -> tuple[ModelState, ...]:
    """The models of a kind as they are on disk; a disk may be slow, so not for the window's thread."""
    root = models_folder()
    return tuple(_read(card, root) for card in known_models(kind))


def _read(card: ModelCard, root: Path) -> ModelState:
    folder = folder_of(card, root)
    if is_here(card, root):
        return ModelState(card, folder, is_here=True)
    return ModelState(card, folder, waiting_bytes=bytes_waiting(folder))
