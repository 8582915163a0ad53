"""The alpha of each module where a file says it apart from the weights: diffusers in its metadata, peft beside it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.lora.formats.spelling import Key

_DIFFUSERS_KEY = "lora_adapter_metadata"
_PARTS = {"denoiser": "unet", "text_encoder": "text_encoder", "text_encoder_2": "text_encoder_2"}


class TextAlphas:
    """What the texts around the weights say about alphas.

    The entries are peft's: `r`, `lora_alpha`, `rank_pattern`, `alpha_pattern` and `use_rslora`, in diffusers' metadata
    each behind the name of the part and a dot.
    """

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Read them.

        Args:
            path: The LoRA file; peft keeps its settings in `adapter_config.json` beside it.
            metadata: Of the file.
        """
        self._values: dict[str, Any] = {}
        self._is_for_all = False
        beside = path.with_name("adapter_config.json")
        if _DIFFUSERS_KEY in metadata:
            self._values = _json(metadata[_DIFFUSERS_KEY])
        elif path.stem == "adapter_model" and beside.is_file():
            self._values, self._is_for_all = _json(beside.read_text(encoding="utf-8", errors="replace")), True

    def of(self, key: Key, rank: int) -> float | None:
        """The alpha of a module as kohya's files say it, by which the scale is alpha / rank; None when unknown."""
        prefix = "" if self._is_for_all else f"{_PARTS[key.part]}."
        alpha = self._values.get(f"{prefix}lora_alpha")
        patterns = self._values.get(f"{prefix}alpha_pattern")
        for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
            if _fits(pattern, key.path):  # The first one counts, as in peft.
                alpha = value
                break
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)):
            return None
        return alpha * math.sqrt(rank) if self._values.get(f"{prefix}use_rslora") else float(alpha)


def _fits(pattern: str, path: str) -> bool:
    """Whether a pattern means a module, as peft reads it: the end of its path, or all of it behind `^`."""
    paths = (path, path.removeprefix("text_model."))
    try:
        return any(re.fullmatch(rf"(?:.*\.)?(?:{pattern})", known) for known in paths)
    except re.error:
        return False


def _json(text: str) -> dict[str, Any]:
    """The object in a text; nothing where it is damaged, as then nothing is known."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
