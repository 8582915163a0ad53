"""The set-up itself: four steps from nothing, or from where the last one stopped, to a stamped environment."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from launcher import environment, failures, system_packages
from launcher.commands import launcher_command, pip_environment, run_logged
from launcher.console import Progress, clock, notify, say
from launcher.environment import Finding, Layout, Stamp, State
from launcher.errors import SetupError
from launcher.lock import SetupLock
from launcher.machine import Machine, numbers_of, this_machine
from launcher.messages import text
from launcher.torch_choice import MIRROR, OVERRIDE, PLAIN, TORCH_VERSION, TorchSource, driver_is_too_old, sources
from launcher.torch_index import settle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

OLDEST_PIP = "24.1"
"""Knows `--progress-bar raw`."""
DISK_GB = {"cpu": 3, "cuda": 9}
SMALL_TEMPORARY_BYTES = 4 * 10**9


def set_up(layout: Layout, extras: Collection[str], *, fresh: bool = False) -> bool:
    """Set up what is missing; True if anything was done. One at a time: a second one waits for the first.

    Raises:
        SetupError: It cannot be done; the message and the remedy are for the user.
    """
    override = os.environ.get(OVERRIDE)
    for name in ("pyproject.toml", "core", "app"):
        if not (layout.root / name).exists():
            raise SetupError(text("fail_incomplete", name=name), text("help_incomplete"))
    try:
        layout.venv.mkdir(exist_ok=True)
        with SetupLock(layout.lock, on_wait=lambda owner: say(text("waiting", owner=owner))) as lock:
            finding = environment.examine(layout, extras, override, TORCH_VERSION)  # The other start may have done it.
            if finding.state is State.READY and not fresh:
                return False
            with layout.log.open("w", encoding="utf-8", errors="replace") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} Python {sys.version} {sys.platform} {layout.root}\n")
                try:
                    Setup(layout, set(extras), override, log, lock.descriptor).run(finding, fresh=fresh)
                except SetupError as error:
                    error.log = layout.log
                    raise
    except OSError as error:
        raise failures.explain(failures.classify(str(error)), str(error)) from error
    return True


def check_machine(machine: Machine) -> None:
    """Refuse what no PyTorch is made for, before anything is downloaded."""
    if machine.bits != 64:
        raise SetupError(text("fail_bits"), text("help_bits"))
    if machine.system == "darwin" and machine.processor == "x86_64":
        raise SetupError(text("fail_intel_mac"), text("help_intel_mac"))


@dataclass
class Setup:
    """One run of the steps. Each is safe to repeat: pip skips what is there."""

    layout: Layout
    extras: set[str]
    override: str | None
    log: IO[str]
    lock: int | None = None
    progress: Progress = field(default_factory=lambda: Progress(total=4))

    def run(self, finding: Finding, *, fresh: bool = False) -> Stamp:
        """All steps; the stamp is written last, so whatever stops before is taken up again by the next start."""
        started = time.monotonic()
        why = text("why_fresh" if fresh else f"why_{finding.state.value}")
        say(why)
        notify(why)
        machine = this_machine()
        check_machine(machine)
        self._warn_of_small_disk(machine)
        stamp = None if fresh or finding.state is State.BROKEN else finding.stamp
        if stamp is not None:
            self.extras |= set(stamp.extras)
        self._prepare(State.BROKEN if fresh else finding.state, stamp)
        python = environment.python_version(self.layout)
        source = self._install_torch(replace(machine, python=numbers_of(python) or machine.python), stamp)
        self._install_packages()
        torch = self._check()
        new = Stamp(
            root=str(self.layout.root),
            project=environment.project_hash(self.layout.root),
            extras=tuple(sorted(self.extras)),
            python=python,
            base=environment.base_of(self.layout),
            device=source.device,
            index=source.index,
            requirement=source.requirement,
            torch=torch,
            torch_wanted=TORCH_VERSION,
            override=self.override if stamp is None or self.override is not None else stamp.override,
        )
        environment.write_stamp(self.layout.stamp, new)
        say(text("finished", elapsed=clock(time.monotonic() - started), torch=torch))
        return new

    def _warn_of_small_disk(self, machine: Machine) -> None:
        free_gb = shutil.disk_usage(self.layout.root).free / 1e9
        needed = DISK_GB["cuda" if machine.gpus else "cpu"]
        if free_gb < needed and environment.installed_version(self.layout, "torch") == "":
            say(text("disk_low", free=f"{free_gb:.1f}", needed=needed))

    def _prepare(self, state: State, stamp: Stamp | None) -> None:
        """Step 1: an environment with a pip and a build tool that are new enough."""
        self.progress.start(text("step_venv"))
        if state is State.BROKEN:
            environment.clear(self.layout)
        if stamp is not None:
            if state is State.MOVED:
                environment.relocate(self.layout, stamp.root)
            # Whatever stops the set-up now, the next start finds it unfinished, and what was chosen.
            environment.write_stamp(self.layout.stamp, replace(stamp, root=str(self.layout.root), project=""))
        if not environment.python_version(self.layout):
            create = [environment.base_python(), "-m", "venv", str(self.layout.venv)]
            status, output = self._run(create)
            if failures.classify(output) == "no_venv" and status != 0 and system_packages.can_install():
                system_packages.install([f"python3.{sys.version_info[1]}-venv"], self._run)
                status, output = self._run(create)
            if status != 0:
                raise failures.explain(failures.classify(output, status), output)
        half = environment.drop_half_installed(self.layout)
        if half:
            self.progress.note("  " + text("resumed_packages", names=", ".join(half)))
        tools = [f"pip>={OLDEST_PIP}", *environment.build_requirements(self.layout.root)]
        self._pip(["install", *tools], raw=False)
        self.progress.done()

    def _install_torch(self, machine: Machine, stamp: Stamp | None) -> TorchSource:
        """Step 2: PyTorch for the device, from the first source that works; what was chosen once stays."""
        if stamp is not None and self.override in (None, stamp.override) and stamp.torch_wanted == TORCH_VERSION:
            kept = TorchSource(stamp.device, stamp.index, stamp.requirement)
            self._announce_torch(kept)
            self._pip(self._torch_arguments(kept))
            self.progress.done()
            return kept
        choices = sources(machine, self.override)
        self._announce_torch(choices[0])
        usable = settle(choices, machine)
        if not usable:
            self.progress.note("  " + text("index_unreachable"))
        if choices[0].device == "cuda" and driver_is_too_old(machine):
            driver = ".".join(str(number) for number in machine.gpus[0].driver or ())
            self.progress.note("  " + text("driver_old", driver=driver))
        source = self._first_that_installs([*usable, PLAIN] if PLAIN not in usable else usable, stamp)
        if source == PLAIN and choices[0].device == "cuda" and machine.system == "win32":
            mirror = MIRROR + choices[0].index.rsplit("/", 1)[1]
            command = launcher_command("setup", "--fresh")
            self.progress.note("  " + text("plain_is_cpu", name=OVERRIDE, mirror=mirror, command=command))
        self.progress.done()
        return source

    def _announce_torch(self, source: TorchSource) -> None:
        is_any = source.device == "any" and not source.index
        self.progress.start(text("step_torch_any") if is_any else text("step_torch", device=source.title))

    def _first_that_installs(self, choices: Sequence[TorchSource], stamp: Stamp | None) -> TorchSource:
        for position, source in enumerate(choices):
            is_last = position == len(choices) - 1
            if stamp is not None and stamp.index != source.index and "+" not in source.requirement:
                # pip takes any build of the version for installed; another index means another build.
                self._pip(["uninstall", "--yes", "torch"], raw=False)
            try:
                self._pip(self._torch_arguments(source))
            except SetupError as error:
                if is_last or error.kind not in failures.OTHER_SOURCE_MAY_HELP:
                    raise
                self.progress.note(f"  {error.message}")
                self.progress.note("  " + text("index_failed", title=choices[position + 1].title))
            else:
                return source
        raise AssertionError("There is always a last choice.")

    @staticmethod
    def _torch_arguments(source: TorchSource) -> list[str]:
        """The index comes beside pip's own, which serves what torch needs; the exact build decides for it."""
        return ["install", source.requirement, *(["--extra-index-url", source.index] if source.index else [])]

    def _install_packages(self) -> None:
        """Step 3: the rest, and Kiln itself as an editable package, with the chosen torch held fast."""
        self.progress.start(text("step_packages"))
        version = environment.installed_version(self.layout, "torch")
        self.layout.constraints.write_text(f"torch=={version}\n" if version else "", encoding="utf-8")
        target = f".[{','.join(sorted(self.extras))}]" if self.extras else "."
        constraints = str(self.layout.constraints.relative_to(self.layout.root))
        self._pip(["install", "--no-build-isolation", "--constraint", constraints, "--editable", target])
        self.progress.done()

    def _check(self) -> str:
        """Step 4: torch loads; returns its version."""
        self.progress.start(text("step_check"))
        question = "import torch, numpy, onnxruntime; print('torch', torch.__version__)"
        status, output = self._run([str(self.layout.python), "-c", question])
        if status != 0:
            raise failures.explain(failures.classify(output, status), output)
        self.progress.done()
        return output.rsplit("torch ", 1)[-1].strip()

    def _pip(self, arguments: Sequence[str], *, raw: bool = True) -> None:
        bar = "raw" if raw else "off"
        options = ["--progress-bar", bar] if arguments[0] == "install" else []
        status, output = self._run([str(self.layout.python), "-m", "pip", *arguments[:1], *options, *arguments[1:]])
        if status != 0:
            raise failures.explain(failures.classify(output, status), output)

    def _run(self, command: Sequence[str]) -> tuple[int, str]:
        with self._roomy_temporary_folder() as variables:
            return run_logged(
                command,
                self.log,
                self.progress,
                cwd=self.layout.root,
                environment=variables,
                keep_open=self.lock,
            )

    @contextlib.contextmanager
    def _roomy_temporary_folder(self) -> Iterator[dict[str, str]]:
        """pip unpacks there; on many Linux systems it is a small piece of memory."""
        variables = pip_environment()
        own = self.layout.venv / "tmp"
        usual_free = shutil.disk_usage(tempfile.gettempdir()).free
        is_small = usual_free < SMALL_TEMPORARY_BYTES and usual_free < shutil.disk_usage(self.layout.root).free
        if is_small:
            own.mkdir(exist_ok=True)
            variables.update(TMPDIR=str(own), TEMP=str(own), TMP=str(own))
        try:
            yield variables
        finally:
            if is_small:
                shutil.rmtree(own, ignore_errors=True)
