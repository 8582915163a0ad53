"""The verbs: set up what they need, then run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from launcher.commands import child_environment, launcher_command
from launcher.console import notify, prepare_streams, say
from launcher.environment import Layout, State, examine
from launcher.errors import SetupError
from launcher.messages import text, usage
from launcher.torch_choice import OVERRIDE, TORCH_VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

STOPPED = 130


def main(arguments: Sequence[str]) -> int:
    """Run the command line; its exit status."""
    prepare_streams()
    layout = Layout(Path(__file__).resolve().parents[2])
    signal.signal(signal.SIGTERM, _on_terminate)
    try:
        return dispatch(layout, list(arguments))
    except SetupError as error:
        say(error.message)
        if error.remedy:
            say(error.remedy)
        if error.log is not None:
            say(text("log", path=error.log))
        say(text("more", command=launcher_command("doctor")))
        notify(f"{error.message}\n{error.remedy}")
        return 1
    except KeyboardInterrupt:
        say(text("stopped"))
        return STOPPED


def _on_terminate(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def dispatch(layout: Layout, arguments: list[str]) -> int:
    """Tell the verb from the first argument and carry it out."""
    is_dry = arguments[:1] == ["--dry-run"]
    if is_dry:
        arguments = arguments[1:]
    verb = arguments[0] if arguments else ""
    if verb in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if verb == "doctor":
        from launcher.doctor import examine_all

        return examine_all(layout)
    if verb == "install-desktop":
        from launcher import desktop

        return desktop.install(layout.root)
    extras = ("test",) if verb == "test" else ()
    if is_dry:
        from launcher.plan import describe

        print(describe(layout, extras, command_of(layout, arguments)), end="")
        return 0
    if verb == "setup":
        if set(arguments[1:]) - {"--fresh"}:
            print(usage(), end="", file=sys.stderr)
            return 2
        if not ensure(layout, extras, fresh="--fresh" in arguments):
            say(text("already"))
        return 0
    ensure(layout, extras)
    if verb in ("", "test"):
        provide_qt_libraries(layout, for_window=not verb)
    return run(layout, arguments)


def ensure(layout: Layout, extras: Collection[str], *, fresh: bool = False) -> bool:
    """See to it that the environment is there; True if anything had to be done.

    This is on the way of every start: what a set-up needs is imported only for one.
    """
    if not fresh and (layout.root / "pyproject.toml").exists():
        finding = examine(layout, extras, os.environ.get(OVERRIDE), TORCH_VERSION)
        if finding.state is State.READY:
            return False
    from launcher.install import set_up

    return set_up(layout, extras, fresh=fresh)


def command_of(layout: Layout, arguments: Sequence[str]) -> list[str]:
    """What runs after the set-up: the window, the tests, or the command line of core."""
    verb = arguments[0] if arguments else ""
    if verb == "setup":
        return []
    # Tests mostly wait for files and child processes; what is asked for on the command line comes last and wins.
    parallel = ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "worksteal"]
    modules = {"": ["app"], "test": ["pytest", *parallel, *arguments[1:]]}
    return [str(layout.python), "-m", *modules.get(verb, ["core.cli", *arguments])]


def run(layout: Layout, arguments: Sequence[str]) -> int:
    """Become the command where the system allows it; else wait for it and return its exit status."""
    command = command_of(layout, arguments)
    variables = child_environment()
    if arguments[:1] == ["test"]:
        variables.setdefault("QT_QPA_PLATFORM", "offscreen")
        os.chdir(layout.root)
    else:
        variables["PYTHONSAFEPATH"] = "1"  # A folder of the user that is called `core` must not be taken for Kiln's.
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.execve(command[0], command, variables)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child as well, and it knows what to save.
    return subprocess.call(command, env=variables)


def provide_qt_libraries(layout: Layout, *, for_window: bool) -> None:
    """See to the libraries that Qt needs from a Linux system.

    Raises:
        SetupError: The window cannot open here.
    """
    if sys.platform != "linux":
        return
    from launcher import qt_libraries, system_packages

    if for_window and not qt_libraries.has_screen(os.environ):
        raise SetupError(text("no_screen"), text("no_screen_help", command=launcher_command("--help")))
    needs_x11 = for_window and qt_libraries.uses_x11(os.environ)
    wanted = qt_libraries.BASE + (qt_libraries.X11 if needs_x11 else ())
    missing = qt_libraries.missing(wanted)
    if missing and system_packages.can_install():
        install_system_packages(layout, qt_libraries.packages_for(missing))
        missing = qt_libraries.missing(wanted)
    if not missing:
        return
    say(text("qt_missing", names=", ".join(library.file for library in missing)))
    say("  " + system_packages.command_for(qt_libraries.packages_for(missing)))
    if for_window and set(missing) & set(qt_libraries.BASE):
        raise SetupError(text("qt_stop"))


def install_system_packages(layout: Layout, names: Sequence[str]) -> None:
    """Install them with apt-get, its output at the end of the log."""
    from launcher import system_packages
    from launcher.commands import run_logged
    from launcher.console import Progress

    progress = Progress(total=1)
    progress.note(text("qt_installing", names=" ".join(names)))
    with layout.log.open("a", encoding="utf-8", errors="replace") as log:

        def logged(command: Sequence[str]) -> tuple[int, str]:
            return run_logged(command, log, progress, cwd=layout.root, environment=child_environment())

        system_packages.install(names, logged)
