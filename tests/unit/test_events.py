"""Every event survives its line of JSON."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from core.events import (
    EVENT_TYPES,
    Event,
    Failed,
    Finished,
    PicturesMeasured,
    PictureTagged,
    SampleReady,
    StepDone,
    from_line,
    to_line,
)

EXAMPLES: dict[str, object] = {
    "str": "一句话 with “quotes”\nand a new line",
    "int": 7,
    "float": 0.25,
    "bool": True,
    "Path": Path("/图 片/a 😀.png"),
    "Path | None": Path("/图 片/a 😀.png"),
    "int | None": 3,
    "float | None": 0.5,
    "Outcome": "changed",
    "Literal['memory', 'not_a_number', 'exploding']": "memory",
    "tuple[str, ...]": ("一 个问题。", "another “one”"),
    "tuple[tuple[str, str], ...]": (("training.batch_size", "1"), ("动作", "值")),
    "tuple[tuple[str, float, str], ...]": (("长发 long_hair", 0.5, "general"), ("miru_(kiln)", 1 / 3, "character")),
    "tuple[dict[str, Any], ...]": ({"path": "/图 片/a 😀.png", "size_px": [3, 4], "share": 0.5, "box": None},),
}


def example(cls: type[Event]) -> Event:
    values = {}
    for field in dataclasses.fields(cls):
        if field.name == "stage":
            values[field.name] = "train"
        elif field.name == "level":
            values[field.name] = "warning"
        elif field.name != "kind":
            values[field.name] = EXAMPLES[str(field.type)]
    return cls(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", EVENT_TYPES, ids=lambda cls: cls.__name__)
def test_every_event_survives_its_line(cls: type[Event]) -> None:
    event = example(cls)
    line = to_line(event)
    assert "\n" not in line
    assert from_line(line) == event


def test_a_loss_that_is_not_a_number_stays_one_and_the_line_stays_json() -> None:
    event = StepDone(
        step=1, total_steps=2, epoch=1, total_epochs=1, loss=math.nan, learning_rate=0.1, elapsed_s=math.inf
    )
    line = to_line(event)
    assert "NaN" not in line
    again = from_line(line)
    assert isinstance(again, StepDone)
    assert math.isnan(again.loss)


def test_numbers_that_are_none_do_no_harm_however_deep_they_are() -> None:
    event = PictureTagged(
        image=Path("a.png"), caption="", outcome="new", tags=(("a", math.inf, "general"), ("b", 0.5, "general"))
    )
    again = from_line(to_line(event))
    assert isinstance(again, PictureTagged) and again.tags[1] == event.tags[1]
    assert again.tags[0][::2] == ("a", "general") and math.isnan(again.tags[0][1])
    facts = PicturesMeasured(facts=({"path": "a", "parts": [1.5, math.nan], "more": {"share": -math.inf}},))
    measured = from_line(to_line(facts))
    assert measured == PicturesMeasured(facts=({"path": "a", "parts": [1.5, None], "more": {"share": None}},))


def test_no_output_stays_no_output() -> None:
    assert from_line(to_line(Finished())) == Finished()


@pytest.mark.parametrize("line", ["", "loading…", "[1]", '{"kind": "unheard_of"}', '{"kind": "failed"}', '{"a": 1'])
def test_other_lines_are_no_events(line: str) -> None:
    with pytest.raises(ValueError):
        from_line(line)


def test_fields_of_a_later_version_are_ignored() -> None:
    line = to_line(Failed(message="m", remedy="r"))[:-1] + ', "colour": "red"}'
    assert from_line(line) == Failed(message="m", remedy="r")


def test_events_are_frozen() -> None:
    event = SampleReady(step=1, index=0, prompt="p", seed=1, image=Path("a.png"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.step = 2  # type: ignore[misc]
