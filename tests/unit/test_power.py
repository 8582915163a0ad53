from __future__ import annotations

from collections.abc import Sequence

import pytest

from core import power
from core.errors import UserError
from core.power import PowerAction, command, is_available, perform


@pytest.mark.parametrize(
    ("action", "platform", "words"),
    [
        ("shutdown", "win32", ["shutdown.exe", "/s", "/t", "0"]),
        ("shutdown", "darwin", ["osascript", "-e", 'tell application "System Events" to shut down']),
        ("shutdown", "linux", ["systemctl", "poweroff"]),
        ("sleep", "darwin", ["pmset", "sleepnow"]),
        ("sleep", "linux", ["systemctl", "suspend"]),
    ],
)
def test_each_system_has_its_command(action: PowerAction, platform: str, words: list[str]) -> None:
    assert command(action, platform) == words


def test_windows_sleeps_and_does_not_hibernate() -> None:
    words = command("sleep", "win32")
    assert words[0] == "powershell.exe"
    assert "SetSuspendState('Suspend', $false, $false)" in words[-1]


@pytest.mark.parametrize("platform", ["win32", "darwin", "linux"])
@pytest.mark.parametrize("action", ["sleep", "shutdown"])
def test_no_command_takes_unsaved_work_by_force(action: PowerAction, platform: str) -> None:
    words = command(action, platform)
    assert not {"/f", "-f", "--force", "-i", "/hybrid"} & set(words)


def test_the_command_is_run_once() -> None:
    asked: list[Sequence[str]] = []

    def runner(words: Sequence[str]) -> int:
        asked.append(words)
        return 0

    perform("sleep", runner)
    assert asked == [command("sleep")]


@pytest.mark.parametrize(("action", "message"), [("sleep", "did not go to sleep"), ("shutdown", "did not shut down")])
def test_a_refusal_is_told(action: PowerAction, message: str) -> None:
    with pytest.raises(UserError, match=message):
        perform(action, lambda _words: 1)

    def missing(_words: Sequence[str]) -> int:
        raise FileNotFoundError(2, "No such file", "systemctl")

    with pytest.raises(UserError, match="systemctl"):
        perform(action, missing)


def test_what_the_system_cannot_do_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power.shutil, "which", lambda name: "/bin/x" if name == "systemctl" else None)
    assert is_available("sleep", "linux")
    assert not is_available("sleep", "darwin")
