"""What is wrong with a filter, and where."""

from __future__ import annotations

from core.errors import UserError


class QueryError(UserError):
    """A filter that cannot be understood. `position` counts its characters from 0."""

    def __init__(self, message: str, /, *, position: int, remedy: str, **fields: object) -> None:
        super().__init__(message, remedy=remedy, failure="", **fields)
        self.position = position
