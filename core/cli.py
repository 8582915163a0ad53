"""The command line: the same jobs as the window, with progress on a terminal and JSON lines in a pipe.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 done but for some pictures, 130 stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from core import __version__
from core.awake import keep_awake
from core.cli_convert import add_convert, convert_job
from core.cli_lora import add_lora, tool_job
from core.cli_prepare import add_prepare, prepare_job
from core.cli_report import add_report, write_report
from core.cli_settings import add_settings, settings
from core.cli_tag import add_download, add_tag, download_job, list_models, tag_job, undo
from core.cli_words import Parser, WrongUseError, as_wrong_use, base_here, checked, here
from core.config import TrainConfig, load_config, validated, with_values
from core.config.fields import field_specs
from core.console import Reporter
from core.control import Control
from core.errors import UserError
from core.events import Event, Failed, Finished
from core.jobs import CheckJob, Job, PrepareJob, SampleJob, TrainJob, failure, run_to_end
from core.processes import is_main_process
from core.runner import log_file
from core.text import tr
from core.worker import be_polite_for

DONE, FAILED, WRONG_USE, PARTLY, STOPPED = 0, 1, 2, 3, 130
LAUNCHER_VERBS = ("doctor", "test", "setup", "install-desktop")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # A stream put in place by a test or a frozen app.
            stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        from app.__main__ import main as open_window

        return open_window()
    if words[0] in LAUNCHER_VERBS:
        return _launcher(words)
    reporter = Reporter()
    try:
        options, changes = _parse(words)
        if options.verb == "demo":
            from core.demo_run import demo

            return _follow(lambda control: demo(options.output, control), reporter)
        if options.verb == "tag" and options.undo:
            return _follow(lambda control: undo(options.folder, control), reporter)
        if options.verb == "download" and options.list:
            list_models(options.to)
            return DONE
        if options.verb == "settings":
            settings(options, reporter)
            return DONE
        if options.verb == "report":
            write_report(options, reporter)
            return DONE
        if options.verb == "lora":
            from core.cli_lora_report import ToolReporter

            task_job = tool_job(options)
            has_report = options.tool in ("inspect", "verify")
            reporter = ToolReporter(only_json=has_report and options.json, has_report=has_report)
            return _follow(lambda control: run_to_end(task_job, control), reporter, task_job)
        job = _job(options, changes)
        if isinstance(job, PrepareJob) and options.check:
            return _check(job, reporter)
    except WrongUseError as error:
        _show(reporter, Failed(message=error.message, remedy=error.remedy, known=True))
        return WRONG_USE
    except KeyboardInterrupt:
        _show(reporter, _stopped_at_once())
        return STOPPED
    except Exception as error:  # The border of the program: nothing leaves it without a sentence.
        _show(reporter, failure(error))
        return FAILED
    return _follow(lambda control: run_to_end(job, control), reporter, job)


def _follow(start: Callable[[Control], Iterator[Event]], reporter: Reporter, job: Job | None = None) -> int:
    """Show all events of a job. Ctrl+C asks it to stop; a second one ends the program."""
    control = Control()
    code = FAILED
    has_begun = False
    if job is not None:
        be_polite_for(job)
    with keep_awake(), _stopping(control, reporter):
        try:
            for event in start(control):
                if not _show(reporter, event):
                    control.ask("stop")
                    _write_to_nobody()
                if isinstance(event, Finished):
                    code = STOPPED if event.stopped else PARTLY if event.num_failed else DONE
                if isinstance(event, Failed) and has_begun and isinstance(job, TrainJob):
                    _log(job, event)
                has_begun = True
        except KeyboardInterrupt:
            _show(reporter, _stopped_at_once(job))
            return STOPPED
    return code


def _check(job: PrepareJob, reporter: Reporter) -> int:
    from core.check_report import check, show
    from core.dataset.fitting import FitOptions

    control = Control()
    with _stopping(control, reporter):
        check_job = CheckJob(folder=job.folder, edits=job.edits, caption_extension=job.caption_extension)
        failed, stopped = show(check(check_job, FitOptions.of(job), control), reporter)
    return FAILED if failed else STOPPED if stopped else DONE


def _show(reporter: Reporter, event: Event) -> bool:
    """Show an event, if this process speaks for the run. False when nobody reads any more."""
    if is_main_process():
        try:
            reporter.show(event)
        except OSError:  # A broken pipe, which Windows calls an invalid argument.
            return False
    return True


def _write_to_nobody() -> None:
    """Let what is still printed vanish, and what is buffered, which Python would complain about at its end."""
    with contextlib.suppress(OSError), Path(os.devnull).open("w", encoding="utf-8") as nobody:
        os.dup2(nobody.fileno(), sys.stdout.fileno())


def _log(job: TrainJob, failed: Failed) -> None:
    """Keep the details of a failure in the run's log, as the window does."""
    if is_main_process():
        with contextlib.suppress(OSError), log_file(job).open("a", encoding="utf-8", errors="replace") as log:
            log.write(failed.detail.rstrip("\n") + "\n")


def _stopped_at_once(job: Job | None = None) -> Failed:
    again = tr("Start it again whenever you like.")
    return Failed(
        message=tr("The run was stopped at once, as asked."),
        remedy=tr("Continue it from its last state whenever you like.") if isinstance(job, TrainJob) else again,
        known=True,
    )


@contextlib.contextmanager
def _stopping(control: Control, reporter: Reporter) -> Iterator[None]:
    was_interrupted = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal was_interrupted
        if was_interrupted:
            raise KeyboardInterrupt
        was_interrupted = True
        control.ask("stop")
        # Nobody may be reading, and the signal may have come in the middle of another print.
        with contextlib.suppress(OSError, RuntimeError):
            reporter.say(tr("Stopping after this step and saving. Press Ctrl+C again to end at once."))

    numbers = [signal.SIGINT, signal.SIGTERM]
    before = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _launcher(words: list[str]) -> int:
    """Set-up and checks belong to the launcher, which runs without any package installed."""
    launcher = Path(__file__).resolve().parent.parent / "packaging" / "launch.py"
    if not launcher.is_file():
        print(tr("{verb} needs Kiln's own folder; run it there: python packaging/launch.py {verb}", verb=words[0]))
        return WRONG_USE
    return subprocess.run([sys.executable, str(launcher), *words], check=False).returncode


def _parse(words: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    """The verb's own options, and the changes to the configuration given as `--section.key value`."""
    own, changes = _split_changes(words)
    parser = Parser(
        prog="kiln",
        description=tr("Kiln trains a LoRA from a folder of pictures. Without a command it opens its window."),
        epilog=tr(
            "quick, train and resume also take every setting as --section.key VALUE, e.g. --network.rank 8. "
            "setup, doctor, test and install-desktop look after the installation."
        )
        + " "
        + tr("Exit codes: 0 done, 1 failed, 2 wrong use, 3 done but for some pictures, 130 stopped."),
    )
    parser.add_argument("--version", action="version", version=f"Kiln {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar=tr("COMMAND"))
    quick = verbs.add_parser("quick", help=tr("train from a base model, a folder of pictures and a number of epochs"))
    quick.add_argument("--base", type=Path, required=True, metavar="MODEL", help=tr("base model, or: starter"))
    quick.add_argument("--pictures", type=Path, required=True, metavar="FOLDER")
    quick.add_argument("--epochs", type=int, required=True, metavar="N")
    quick.add_argument("--name", default="", help=tr("file name of the LoRA"))
    quick.add_argument("--output", type=Path, metavar="DIR")
    quick.add_argument("--seed", type=int)
    train = verbs.add_parser("train", help=tr("train with the settings of a file"))
    train.add_argument("config", type=Path, metavar="CONFIG.toml")
    resume = verbs.add_parser("resume", help=tr("continue a run from its last state"))
    resume.add_argument("run", type=Path, metavar="RUN", help=tr("output folder or run folder"))
    resume.add_argument(
        "--from-step",
        type=int,
        default=-1,
        metavar="N",
        help=tr("go back to the state of this step; 0 begins again. LoRA files saved later are put aside"),
    )
    add_tag(verbs)
    add_download(verbs)
    add_prepare(verbs)
    add_convert(verbs)
    add_settings(verbs)
    add_report(verbs)
    add_lora(verbs)
    sample = verbs.add_parser("sample", help=tr("draw pictures with a base model and a LoRA"))
    sample.add_argument("--base", type=Path, required=True, metavar="MODEL", help=tr("base model, or: starter"))
    sample.add_argument("--lora", type=Path, metavar="FILE")
    sample.add_argument("--strength", type=float, default=1.0)
    sample.add_argument("--prompt", action="append", required=True)
    sample.add_argument("--negative", default="")
    sample.add_argument("--size", type=int, metavar="PIXELS")
    sample.add_argument("--steps", type=int, default=20)
    sample.add_argument("--guidance", type=float)
    sample.add_argument("--seed", type=int, default=1234)
    sample.add_argument("--output", type=Path, required=True, metavar="DIR")
    demo = verbs.add_parser("demo", help=tr("train the shipped demo character and show before and after"))
    demo.add_argument("--output", type=Path, metavar="DIR")
    options = parser.parse_args(own)
    if changes and options.verb not in ("quick", "train", "resume", "sample"):
        raise WrongUseError("{verb} takes no settings.", remedy="Add --help to see what there is.", verb=options.verb)
    if options.verb == "sample" and any(not key.startswith("model.") for key in changes):
        raise WrongUseError("sample takes no settings but those of the model.", remedy="Write: --model.vae FILE")
    if options.verb == "tag" and options.undo and sum(word != "--" for word in own) > 3:
        raise WrongUseError("--undo takes no other options.", remedy="Write: kiln tag FOLDER --undo")
    return options, changes


def _split_changes(words: list[str]) -> tuple[list[str], dict[str, str]]:
    own: list[str] = []
    changes: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not (word.startswith("--") and "." in word.partition("=")[0]):
            own.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        if not equals:
            value = next(rest, "\0")
            if value == "\0":
                raise WrongUseError("--{key} needs a value.", remedy="Write: --{key} VALUE", key=key)
        changes[key] = value
    return own, changes


def _job(options: argparse.Namespace, changes: dict[str, str]) -> Job:
    if options.verb == "quick":
        return _quick(options, changes)
    if options.verb == "train":
        return TrainJob(config=_changed(_loaded(here(options.config)), changes))
    if options.verb == "resume":
        from core.run_folder import RunFolder

        run = RunFolder.find(here(options.run))
        with checked():
            return TrainJob(config=_changed(run.continued_config(), changes), resume=True, from_step=options.from_step)
    with checked():
        if options.verb == "tag":
            return tag_job(options)
        if options.verb == "download":
            return download_job(options)
        if options.verb == "prepare":
            return prepare_job(options)
        if options.verb == "convert":
            return convert_job(options)
        return _sample(options, changes)


def _loaded(path: Path) -> TrainConfig:
    """The settings of a file; those of another program are named as what they are."""
    try:
        return load_config(path)
    except UserError as error:
        from core.imports import OwnSettingsError, read_settings, source_title

        try:
            source = read_settings(path).source
        except (UserError, OwnSettingsError, OSError):
            raise error from None
        raise UserError(
            "{path} is of another program: {program}.",
            remedy='Turn them into settings of Kiln: kiln settings "{path}" --to config.toml',
            path=path,
            program=source_title(source),
        ) from error


def _quick(options: argparse.Namespace, changes: dict[str, str]) -> TrainJob:
    from core.dataset.scan import scan_folder
    from core.device import training_device
    from core.quick import quick_config

    pictures = here(options.pictures)
    with checked():
        config = quick_config(
            base=base_here(options.base),
            pictures=pictures,
            epochs=options.epochs,
            name=options.name,
            output=here(options.output) if options.output else None,
            seed=options.seed,
            scan=scan_folder(pictures),
            device=training_device(changes.get("training.device", "auto")),
        )
        return TrainJob(config=_changed(config, changes))


def _sample(options: argparse.Namespace, changes: dict[str, str]) -> SampleJob:
    from core.models import describe_base

    base = describe_base(base_here(options.base))
    model = _changed(TrainConfig(), changes).model.model_copy(update={"base": base.path})
    size = base.native_size_px if options.size is None else options.size
    usual_guidance = 4.0 if base.is_starter else 7.0
    sampling = {
        "prompts": tuple(options.prompt),
        "negative_prompt": options.negative,
        "width": size,
        "height": size,
        "denoising_steps": options.steps,
        "guidance": usual_guidance if options.guidance is None else options.guidance,
        "seed": options.seed,
    }
    return SampleJob(
        model=model,
        lora=here(options.lora) if options.lora else None,
        strength=options.strength,
        target=here(options.output),
        sampling=validated({"sampling": sampling}).sampling,
    )


def _changed(config: TrainConfig, changes: dict[str, str]) -> TrainConfig:
    """The config with `--section.key value` applied.

    Several lines of a list are separated by `|`; paths are relative to the current folder.
    """
    specs = {spec.key: spec for spec in field_specs()}
    values: dict[str, object] = {}
    for key, text in changes.items():
        kind = specs[key].kind if key in specs else "text"
        if kind == "lines":
            values[key] = tuple(part.strip() for part in text.split("|") if part.strip())
        elif key == "model.base" and text:
            values[key] = base_here(Path(text))
        else:
            values[key] = here(Path(text)) if kind == "path" and text else text
    try:
        return with_values(config, values)
    except UserError as error:
        raise as_wrong_use(error) from error


if __name__ == "__main__":
    sys.exit(main())
