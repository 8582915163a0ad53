"""The machine stays awake during a run, and a run never fails for it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from core import awake
from core.awake import keep_awake

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the other systems' ways need their programs")


@pytest.fixture
def inhibitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `systemd-inhibit` that notes its arguments and runs the program after them."""
    noted = tmp_path / "arguments"
    program = tmp_path / "bin" / "systemd-inhibit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{noted}.new"\nmv "{noted}.new" "{noted}"\nexec cat\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(awake, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    return noted


def children() -> list[psutil.Process]:
    return psutil.Process().children()


def test_on_linux_a_child_holds_the_lock_until_the_end(inhibitor: Path) -> None:
    before = len(children())
    with keep_awake():
        assert len(children()) == before + 1
    assert len(children()) == before
    words = inhibitor.read_text().splitlines()
    assert "--what=sleep:idle" in words
    assert words[-1] == "cat"


def test_the_child_ends_when_the_run_is_killed(inhibitor: Path) -> None:
    code = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        import psutil
        from core import awake
        from core.awake import keep_awake
        awake._SYSTEMD = Path.home()
        with keep_awake():
            print(psutil.Process().children()[0].pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    root = Path(__file__).resolve().parent.parent.parent
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert ended.returncode == -9
    child = int(ended.stdout)
    # It may take a moment to see the end of its input; an orphan that ended may wait to be collected.
    try:
        orphan = psutil.Process(child)
        _, alive = psutil.wait_procs([orphan], timeout=5)
        assert not alive or orphan.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        pass


def test_a_refusal_goes_to_the_log_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "systemd-inhibit"
    program.write_text("#!/bin/sh\necho 'Failed to inhibit: Access denied' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(awake, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    done = False
    with keep_awake():
        done = True
    assert done
    assert "Access denied" in capfd.readouterr().err


def test_without_the_program_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(awake.shutil, "which", lambda _name: None)
    with keep_awake():
        pass
    assert capfd.readouterr().err == ""


def test_a_program_that_does_not_start_goes_to_the_log(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(awake, "_command", lambda: ["/nowhere/caffeinate", "-i", "cat"])
    with keep_awake():
        pass
    assert "/nowhere/caffeinate" in capfd.readouterr().err


def test_on_a_mac_caffeinate_runs_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert awake._command() == ["caffeinate", "-i", "cat"]


@pytest.mark.parametrize("agrees", [True, False])
def test_on_windows_the_system_is_asked_and_released(
    agrees: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def take(state: ctypes.c_uint) -> int:
        asked.append(state.value)
        return int(agrees)

    kernel = SimpleNamespace(SetThreadExecutionState=take)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    with keep_awake():
        assert asked == [0x80000001]
    assert asked == [0x80000001, 0x80000000]
    assert bool(capfd.readouterr().err) is not agrees
