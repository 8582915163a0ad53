"""What every config section shares: frozen, no unknown keys, and hints for the form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails

Widget = Literal["", "folder", "file", "text", "model"]


class Section(BaseModel):
    """A frozen group of options. Unknown keys, wrong types and values out of range are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, values: Any) -> Any:
        """`rank = true` is a mistake; without this it would be 1."""
        errors: dict[Any, str] = {int: "int_type", float: "float_type"}
        wrong = [
            InitErrorDetails(type=errors[info.annotation], loc=(name,), input=values[name])
            for name, info in cls.model_fields.items()
            if info.annotation in (int, float) and isinstance(values, Mapping) and isinstance(values.get(name), bool)
        ]
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return values


def form(*, advanced: bool = False, unit: str = "", widget: Widget = "", also: tuple[str, ...] = ()) -> dict[str, Any]:
    """How the form shows a field (`json_schema_extra` of its `Field`).

    Args:
        advanced: Hidden until the user asks for all parameters.
        unit: Shown after the value.
        widget: A special editor: a folder or file picker, a text box, the base-model picker.
        also: Other words for it, found by search: names in kohya's scripts, for example.
    """
    return {"advanced": advanced, "unit": unit, "widget": widget, "also": list(also)}
