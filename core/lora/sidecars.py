"""The card of a LoRA in A1111 and Forge: `NAME.json` with its words and `NAME.preview.png`, beside the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import __version__
from core.config.model import TrainConfig
from core.files import write_bytes, write_text
from core.models import FamilyName
from core.text import tr

_VERSIONS: dict[FamilyName, str] = {"sd1": "SD1", "sd2": "SD2", "sdxl": "SDXL", "kolors": "Unknown"}
"""The words that A1111 has for families; it has none for Kolors."""
_MARK = "kiln"
"""Entry of the JSON by which our own card is known again: what its other entries and the picture hashed to when it was
written. A1111 keeps entries that it does not know, so a card that was edited there no longer has the hash of its words.
"""


def card_values(config: TrainConfig, family: FamilyName, *, steps: int) -> dict[str, object]:
    """What the card says, in A1111's entries.

    Args:
        config: The settings of the run.
        family: Of the base model.
        steps: How many were trained.
    """
    prompts, trigger = config.sampling.prompts, config.dataset.trigger_word
    notes = tr(
        "Trained with Kiln {version} on {base}, {steps} steps.",
        version=__version__,
        base=config.model.base.name,
        steps=steps,
    )
    if prompts:
        notes += "\n" + tr("Preview prompt: {prompt}", prompt=prompts[0])
    return {
        "description": config.output.comment or trigger or config.output.name,
        "sd version": _VERSIONS[family],
        "activation text": trigger,
        "preferred weight": 1.0,
        "negative text": config.sampling.negative_prompt,
        "notes": notes,
    }


def write_sidecars(lora: Path, values: Mapping[str, object], preview: Path | None) -> tuple[Path, ...]:
    """Write the card of a LoRA file, each part atomically. What anybody else wrote or changed there stays.

    Args:
        lora: The LoRA file.
        values: The entries of the JSON.
        preview: A PNG to copy, if there is one.

    Returns:
        The files that were in the way and stayed.

    Raises:
        OSError: A file cannot be written.
    """
    text, picture = sidecar_paths(lora)
    known = _mark_of(text)
    kept = []
    picture_hash = str(known.get("picture", ""))
    if preview is not None:
        if picture.exists() and _hash(picture.read_bytes()) != picture_hash:
            kept.append(picture)
        else:
            data = preview.read_bytes()
            write_bytes(picture, data)
            picture_hash = _hash(data)
    if text.exists() and not known:
        kept.append(text)
    else:
        mark = {"words": _hash_of_words(values), "picture": picture_hash}
        write_text(text, json.dumps({**values, _MARK: mark}, ensure_ascii=False, indent=4) + "\n")
    return tuple(kept)


def sidecar_paths(lora: Path) -> tuple[Path, Path]:
    """Where the words and the picture of a LoRA file's card are."""
    return lora.with_name(f"{lora.stem}.json"), lora.with_name(f"{lora.stem}.preview.png")


def _mark_of(path: Path) -> dict[str, Any]:
    """What we said of a card when we wrote it; nothing where there is none, or it was changed since."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    mark = values.pop(_MARK, None) if isinstance(values, dict) else None
    return mark if isinstance(mark, dict) and mark.get("words") == _hash_of_words(values) else {}


def _hash_of_words(values: Mapping[str, object]) -> str:
    return _hash(json.dumps(dict(values), sort_keys=True, ensure_ascii=False).encode())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
