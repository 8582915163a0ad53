"""One of several processes, or the only one: asked before torch is imported."""

from __future__ import annotations

import os


def is_main_process() -> bool:
    """Whether this process speaks for a run; under `accelerate launch` the others compute and keep silent."""
    return int(os.environ.get("RANK", "0")) == 0
