"""The training job: the part before anything heavy is imported, and the record of all that is said."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import TrainConfig, with_values
from core.config.rules import Facts, refuse_contradictions
from core.control import Control
from core.dataset.edits import load_dataset, save_dataset
from core.dataset.records import Scan
from core.dataset.scan import scan_job, usable
from core.errors import UserError
from core.events import Event, Notice, StageStarted
from core.files import remove_left_overs
from core.jobs import failure
from core.locks import only_run
from core.models import BaseModel, describe_base
from core.processes import is_main_process
from core.run_folder import RunFolder, lora_files, state_files
from core.text import tr

if TYPE_CHECKING:
    from core.jobs import TrainJob


def train(job: TrainJob, control: Control) -> Iterator[Event]:
    """Train, preview, save. Everything said is also kept in the run's `events.jsonl`, failures too.

    Under `accelerate launch` only the main process keeps it and touches the run's folder.

    Raises:
        UserError: Something about the settings, the pictures or the base model needs the user.
        OSError: The output folder cannot be written.
    """
    config = job.config
    if config.output.folder == Path():
        raise UserError(
            "No output folder is chosen.", remedy="Choose where the LoRA file should go.", failure="no_output"
        )
    refuse_contradictions(config)
    yield StageStarted(stage="scan")
    base = describe_base(config.model.base)
    refuse_contradictions(config, Facts(family=base.family))
    dataset = config.dataset
    scan = scan_job(dataset.folder, dataset.edits, caption_extension=dataset.caption_extension)
    usable(scan)
    run = RunFolder.of(config)
    if not is_main_process():
        yield from _events(job, run, control, base, scan)
        return
    refuse_taken(run, config, resume=job.resume)
    run.path.mkdir(parents=True, exist_ok=True)
    with only_run(run.path):
        # Under the lock: what another process is at work on keeps its settings and its pictures' decisions.
        claim(run, config, resume=job.resume)
        try:
            job = _with_own_edits(job, run)
            yield from run.recording(_events(job, run, control, base, scan))
        except Exception as error:
            with contextlib.suppress(OSError):  # A full disk cannot take its own failure; whoever listens hears of it.
                run.record(failure(error, in_training=True))
            raise


def refuse_taken(run: RunFolder, config: TrainConfig, *, resume: bool) -> None:
    """Make sure that nothing of another run would be overwritten, and that there is what is to be continued.

    A run that ended before it had anything to keep leaves its name free.

    Raises:
        UserError: The name is taken, or there is nothing to continue from.
        OSError: The folder cannot be read.
    """
    has_state, has_lora = bool(state_files(run.state)), bool(lora_files(config))
    if resume and has_lora and not has_state:
        raise UserError(
            "The state of {name} is gone, so it cannot be continued.",
            remedy="Start a new run under another name; the LoRA files saved so far are still good.",
            failure="no_such_state",
            name=config.output.name,
        )
    if not resume and (has_state or has_lora):
        raise UserError(
            "There is already a training named {name} in {folder}.",
            remedy='Choose another name, or continue it: kiln resume "{run}"',
            failure="name_taken",
            name=config.output.name,
            folder=config.output.folder,
            run=run.path,
        )


def claim(run: RunFolder, config: TrainConfig, *, resume: bool) -> None:
    """Take the run's folder for this run; what another run left is never overwritten.

    Raises:
        UserError: As `refuse_taken`.
        OSError: The folder cannot be written.
    """
    refuse_taken(run, config, resume=resume)
    if resume:
        # Its settings stay as they are until the state has accepted those of now.
        run.samples.mkdir(parents=True, exist_ok=True)
        run.mend()
    else:
        run.create(config)
    for folder in (config.output.folder, run.path, run.samples, run.state):
        remove_left_overs(folder)


def _with_own_edits(job: TrainJob, run: RunFolder) -> TrainJob:
    """Keep what was decided about the pictures with the run: it can be continued whatever is decided later."""
    edits = job.config.dataset.edits
    if edits == Path() or edits == run.edits:
        return job
    save_dataset(run.edits, load_dataset(edits)[0])
    return job.model_copy(update={"config": with_values(job.config, {"dataset.edits": run.edits})})


def _events(job: TrainJob, run: RunFolder, control: Control, base: BaseModel, scan: Scan) -> Iterator[Event]:
    yield StageStarted(stage="load")
    # Imports torch and diffusers: seconds, in which the window already says what is going on.
    from core.families.base import family
    from core.training.session import Session

    config = job.config
    if config.network.train_text_encoder and not family(base.family).text_encoder_targets:
        config = with_values(config, {"network.train_text_encoder": False})
        yield Notice(message=tr("The text encoder of Kolors is not trained; the LoRA changes the denoiser alone."))
    yield from Session(
        config=config, run=run, control=control, resume=job.resume, from_step=job.from_step, base=base, scan=scan
    ).events()
