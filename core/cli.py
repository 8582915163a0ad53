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
from core.cli_train import add_sample, add_training, refuse_needless, sample_job, split_changes, training_job
from core.cli_words import Parser, WrongUseError, checked
from core.console import Reporter
from core.control import Control
from core.events import CaptionsPlanned, Event, Failed, Finished
from core.jobs import CheckJob, Job, PrepareJob, TagJob, TrainJob, failure, run_to_end, stopped_at_once
from core.processes import is_main_process
from core.runner import log_file
from core.text import sentences, tr
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
        _show(reporter, stopped_at_once(None))
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
                if isinstance(event, CaptionsPlanned) and isinstance(job, TagJob) and not job.write:
                    reporter.say(tr("Nothing was written: this was a dry run."))
                if isinstance(event, Finished):
                    code = STOPPED if event.stopped else PARTLY if event.num_failed else DONE
                if isinstance(event, Failed) and has_begun and isinstance(job, TrainJob):
                    _log(job, event)
                has_begun = True
        except KeyboardInterrupt:
            _show(reporter, stopped_at_once(job))
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
    own, changes = split_changes(words)
    parser = Parser(
        prog="kiln",
        description=tr("Kiln trains a LoRA from a folder of pictures. Without a command it opens its window."),
        epilog=sentences(
            tr(
                "quick, train and resume also take every setting as --section.key VALUE, e.g. --network.rank 8. "
                "setup, doctor, test and install-desktop look after the installation."
            ),
            tr("Exit codes: 0 done, 1 failed, 2 wrong use, 3 done but for some pictures, 130 stopped."),
        ),
    )
    # Given here because argparse, before Python 3.12, does not pass this one sentence through a translation.
    version_help = tr("show program's version number and exit")
    parser.add_argument("--version", action="version", version=f"Kiln {__version__}", help=version_help)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar=tr("COMMAND"))
    add_training(verbs)
    add_tag(verbs)
    add_download(verbs)
    add_prepare(verbs)
    add_convert(verbs)
    add_settings(verbs)
    add_report(verbs)
    add_lora(verbs)
    add_sample(verbs)
    demo = verbs.add_parser("demo", help=tr("train the shipped demo character and show before and after"))
    demo.add_argument("--output", type=Path, metavar="DIR", help=tr("new folder; without one, in your documents"))
    options = parser.parse_args(own)
    refuse_needless(changes, options.verb)
    if options.verb == "tag" and options.undo and sum(word != "--" for word in own) > 3:
        raise WrongUseError("--undo takes no other options.", remedy="Write: kiln tag FOLDER --undo")
    return options, changes


def _job(options: argparse.Namespace, changes: dict[str, str]) -> Job:
    if options.verb in ("quick", "train", "resume"):
        return training_job(options, changes)
    with checked():
        if options.verb == "tag":
            return tag_job(options)
        if options.verb == "download":
            return download_job(options)
        if options.verb == "prepare":
            return prepare_job(options)
        if options.verb == "convert":
            return convert_job(options)
        return sample_job(options, changes)


if __name__ == "__main__":
    sys.exit(main())
