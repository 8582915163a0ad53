"""What every config section shares: frozen, no unknown keys, and hints for the form."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Widget = Literal["", "folder", "file", "text", "model"]


class Section(BaseModel):
    """A frozen group of options. Unknown keys, wrong types and values out of range are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def form(*, advanced: bool = False, unit: str = "", widget: Widget = "", also: tuple[str, ...] = ()) -> dict[str, Any]:
    """How the form shows a field (`json_schema_extra` of its `Field`).

    Args:
        advanced: Hidden until the user asks for all parameters.
        unit: Shown after the value.
        widget: A special editor: a folder or file picker, a text box, the base-model picker.
        also: Other words for it, found by search: names in kohya's scripts, for example.
    """
    return {"advanced": advanced, "unit": unit, "widget": widget, "also": list(also)}
