"""What ends a set-up: one sentence and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class SetupError(Exception):
    """A set-up that cannot go on, in the user's words; `log` has the technical side, where there is one."""

    def __init__(self, message: str, remedy: str = "", *, kind: str = "unknown") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.kind = kind
        self.log: Path | None = None
