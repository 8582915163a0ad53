"""Trains the pack's LoRA of the demo character, by Kiln's own demo run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from starter.character import TRIGGER
from starter.score import score_lora

if TYPE_CHECKING:
    from starter.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "resources" / "starter"


def make_lora(recipe: Recipe) -> dict[str, float]:
    """Writes `demo_lora.safetensors` and `demo_sheet.webp` into the pack and returns its scores.

    Raises:
        RuntimeError: The pack is not the one in `resources/starter`, which is the one that Kiln trains on.
        subprocess.CalledProcessError: The demo failed, or she was not learned.
    """
    if recipe.pack.resolve() != SHIPPED:
        raise RuntimeError(f"Kiln trains on the pack in {SHIPPED}; build into it, or copy the pack there first.")
    lora = recipe.pack / "demo_lora.safetensors"
    with tempfile.TemporaryDirectory(prefix="kiln-demo-") as folder:
        output = Path(folder) / "out"
        subprocess.run([sys.executable, "-m", "core.cli", "demo", "--output", str(output)], cwd=ROOT, check=True)
        shutil.copyfile(output / f"{TRIGGER}.safetensors", lora)
    return score_lora(recipe.pack, lora)
