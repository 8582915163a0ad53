"""The curves of a run in TensorBoard's form, beside its own events, for those who look at them there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.events import Adapted, Event, Notice, StepDone, Validated
from core.text import tr


def with_tensorboard(events: Iterator[Event], folder: Path, first_step: int) -> Iterator[Event]:
    """Pass events on, the numbers of steps and measurements also written for TensorBoard.

    Args:
        events: Of a run.
        folder: Where the files go; each sitting of a run has one.
        first_step: What earlier sittings wrote of later steps is hidden.
    """
    try:
        writer = _writer(folder, first_step)
    except ImportError:
        yield Notice(
            level="warning",
            message=tr("TensorBoard files are not written: the package tensorboardX is not installed."),
        )
        yield from events
        return
    except OSError as error:
        yield _not_written(error)
        yield from events
        return
    broken = False
    try:
        for event in events:
            if not broken:
                try:
                    if isinstance(event, Adapted):  # What it went back over is hidden, as after a new start.
                        writer.close()
                        writer = _writer(folder, event.step)
                    else:
                        _write(writer, event)
                except OSError as error:
                    broken = True
                    yield _not_written(error)
            yield event
    finally:
        writer.close()


def _writer(folder: Path, first_step: int) -> Any:
    from tensorboardX import SummaryWriter

    folder.mkdir(parents=True, exist_ok=True)
    # The library names files by the second: two sittings within one would write into the same file.
    number = sum(1 for _ in folder.iterdir())
    # Every event at once: a window beside it shows the run as it is, and a killed run keeps all of it.
    return SummaryWriter(
        str(folder), purge_step=first_step + 1, max_queue=1, flush_secs=5, filename_suffix=f".{number:03d}"
    )


def _write(writer: Any, event: Event) -> None:
    if isinstance(event, StepDone):
        writer.add_scalar("loss/train", event.loss, event.step)
        writer.add_scalar("learning_rate", event.learning_rate, event.step)
        if event.grad_norm is not None:
            writer.add_scalar("norm/gradient", event.grad_norm, event.step)
        if event.lora_norm is not None:
            writer.add_scalar("norm/lora", event.lora_norm, event.step)
    elif isinstance(event, Validated):
        writer.add_scalar("loss/held_out", event.loss, event.step)


def _not_written(error: OSError) -> Notice:
    return Notice(
        level="warning",
        message=tr("TensorBoard files are not written: {reason}", reason=error.strerror or str(error)),
    )
