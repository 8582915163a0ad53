"""The training job: the part before anything heavy is imported, and the record of all that is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.config.model import TrainConfig
from core.control import Control
from core.dataset.scan import scan_folder, usable
from core.errors import UserError
from core.events import Event, StageStarted
from core.jobs import failure
from core.models import describe_base
from core.processes import is_main_process
from core.run_folder import RunFolder, lora_path

if TYPE_CHECKING:
    from core.jobs import TrainJob


def train(job: TrainJob, control: Control) -> Iterator[Event]:
    """Train, preview, save. Everything said is also kept in the run's `events.jsonl`, failures too.

    Under `accelerate launch` only the main process keeps it and touches the run's folder.

    Raises:
        UserError: Something about the settings, the pictures or the base model needs the user.
    """
    config = job.config
    if config.output.folder == Path():
        raise UserError("No output folder is chosen.", remedy="Choose where the LoRA file should go.")
    run = RunFolder.of(config)
    if not is_main_process():
        yield from _events(job, run, control)
        return
    claim(run, config, resume=job.resume)
    try:
        yield from run.recording(_events(job, run, control))
    except Exception as error:
        run.record(failure(error))
        raise


def claim(run: RunFolder, config: TrainConfig, *, resume: bool) -> None:
    """Take the run's folder for this run; what another run left is never overwritten.

    Raises:
        UserError: The name is taken.
        OSError: The folder cannot be written.
    """
    if not resume and (run.config.exists() or lora_path(config).exists()):
        raise UserError(
            "There is already a training named {name} in {folder}.",
            remedy='Choose another name, or continue it: kiln resume "{run}"',
            name=config.output.name,
            folder=config.output.folder,
            run=run.path,
        )
    run.create(config)
    for left_over in [*config.output.folder.glob(".kiln-*.tmp"), *run.path.rglob(".kiln-*.tmp")]:
        left_over.unlink()


def _events(job: TrainJob, run: RunFolder, control: Control) -> Iterator[Event]:
    yield StageStarted(stage="scan")
    base = describe_base(job.config.model.base)
    scan = scan_folder(job.config.dataset.folder, caption_extension=job.config.dataset.caption_extension)
    usable(scan)
    yield StageStarted(stage="load")
    # Imports torch and diffusers: seconds, in which the window already says what is going on.
    from core.training.session import Session

    yield from Session(config=job.config, run=run, control=control, resume=job.resume, base=base, scan=scan).events()
