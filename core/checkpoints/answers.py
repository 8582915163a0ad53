"""What the user said of base models whose files do not say it: asked once, then remembered for the file, not its place.

An answer is kept under the SHA-256 of the file, as model sites name files. That takes a while for some gigabytes, so it
is found by the size and a hash of places all over the file, and the SHA-256 is filled in meanwhile; until then, and
if the program ends before, the answer is kept under that shorter name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cache import sampled_hash
from core.files import write_text
from core.paths import user_data_folder

if TYPE_CHECKING:
    from core.checkpoints.recognition import Prediction
    from core.models import BaseModel

_READ_BYTES = 1 << 24
_PENDING = "pending:"
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a base model predicts, and whether its noise ends in noise alone."""

    prediction: Prediction
    zero_terminal_snr: bool


def needs_answer(base: BaseModel) -> bool:
    """Whether the user should be asked what a base model predicts.

    A Stable Diffusion 1 and an SDXL are taken for epsilon without a question, which nearly all are: only where a hint
    says otherwise and the file itself does not, the user knows better. Stable Diffusion 2 comes in both kinds, so it
    is asked for wherever neither the file nor its weights tell. A folder says it in its configuration.
    """
    return base.is_prediction_unsure


def remember(path: Path, prediction: Prediction, zero_terminal_snr: bool = False) -> threading.Thread:
    """Keep an answer for a file. It counts at once.

    Args:
        path: A single checkpoint file.
        prediction: What the user said.
        zero_terminal_snr: Whether the model was trained down to noise alone.

    Returns:
        The thread that works out the SHA-256 meanwhile; nobody needs to wait for it.

    Raises:
        OSError: The file cannot be read, or the answer not be written down.
    """
    quick = _quick_name(path)
    entry = {"prediction": prediction, "zero_terminal_snr": zero_terminal_snr, "quick": quick}
    with _lock:
        _write(
            {name: known for name, known in _entries().items() if known.get("quick") != quick}
            | {_PENDING + quick: entry}
        )
    thread = threading.Thread(target=_name_in_full, args=(path, quick), name="sha256 of a base model", daemon=True)
    thread.start()
    return thread


def answer_for(path: Path) -> Answer | None:
    """What was said of a file. It is only read where an answer for a file of its size is known.

    Raises:
        OSError: The file cannot be read.
    """
    start = f"{path.stat().st_size}-"
    known = [entry for entry in _entries().values() if str(entry.get("quick")).startswith(start)]
    if not known:
        return None
    quick = _quick_name(path)
    for entry in known:
        said = entry.get("prediction")
        if entry.get("quick") == quick and said in ("epsilon", "v_prediction"):
            return Answer(said, entry.get("zero_terminal_snr") is True)
    return None


def _name_in_full(path: Path, quick: str) -> None:
    """Put the SHA-256 of a file in the place of its shorter name; where it cannot be read any more, that stays."""
    with contextlib.suppress(OSError):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
        with _lock:
            entries = _entries()
            if (entry := entries.pop(_PENDING + quick, None)) is not None:
                _write({**entries, digest.hexdigest(): entry})


def _quick_name(path: Path) -> str:
    return f"{path.stat().st_size}-{sampled_hash(path)}"


def _store() -> Path:
    return user_data_folder() / "base_model_answers.json"


def _entries() -> dict[str, dict[str, Any]]:
    """All that is known; nothing when never written or damaged: the user is asked again."""
    try:
        found = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: entry for name, entry in found.items() if isinstance(entry, dict)}


def _write(entries: dict[str, dict[str, Any]]) -> None:
    write_text(_store(), json.dumps(entries, indent=1) + "\n")
