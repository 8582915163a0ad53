"""The environment's stamp, how its state is judged and repaired, and the lock; on made-up folders."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "packaging"))

from launcher import commands, environment, install, main, qt_libraries, system_packages
from launcher.console import Progress, cells, fit
from launcher.environment import Finding, Layout, Stamp, State, examine
from launcher.errors import SetupError
from launcher.lock import SetupLock
from launcher.machine import Machine
from launcher.torch_choice import OFFICIAL, OVERRIDE, PLAIN, TORCH_VERSION, TorchSource

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"

PYTHON = "{}.{}".format(*sys.version_info[:2])

posix = pytest.mark.skipif(sys.platform == "win32", reason="Environments have another shape on Windows.")

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77", 'wheel']
build-backend = "setuptools.build_meta"

[project]
name = "kiln-trainer"
dependencies = [
    # a remark
    "numpy>=1.26",
]

[tool.ruff]
line-length = 120
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A folder of Kiln whose environment is set up, as far as the launcher can see."""
    root = tmp_path / "丹炉 kiln"
    layout = Layout(root)
    layout.scripts.mkdir(parents=True)
    (root / "core").mkdir()
    (root / "app").mkdir()
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (layout.venv / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).parent}\n", encoding="utf-8")
    layout.python.symlink_to(sys.executable)
    environment.write_stamp(layout.stamp, stamp_of(layout))
    return layout


def stamp_of(layout: Layout) -> Stamp:
    return Stamp(
        root=str(layout.root),
        project=environment.project_hash(layout.root),
        extras=(),
        python=PYTHON,
        base=environment.base_of(layout),
        device="cpu",
        index=OFFICIAL + "cpu",
        requirement="torch==2.13.0+cpu",
        torch="2.13.0+cpu",
        torch_wanted=TORCH_VERSION,
        override=None,
    )


def state_of(layout: Layout, extras: tuple[str, ...] = (), override: str | None = None) -> State:
    return examine(layout, extras, override, TORCH_VERSION).state


@posix
def test_matching_stamp_is_ready(layout: Layout) -> None:
    assert state_of(layout) is State.READY


@posix
def test_ready_needs_no_process(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.delenv(OVERRIDE, raising=False)
    assert main.ensure(layout, ()) is False


@posix
def test_test_extras_satisfy_the_window_but_not_the_other_way_round(layout: Layout) -> None:
    assert state_of(layout, ("test",)) is State.CHANGED
    environment.write_stamp(layout.stamp, replace(stamp_of(layout), extras=("test",)))
    assert (state_of(layout), state_of(layout, ("test",))) == (State.READY, State.READY)


@posix
def test_changed_dependencies_are_noticed_and_remarks_are_not(layout: Layout) -> None:
    project = layout.root / "pyproject.toml"
    project.write_text(PYPROJECT.replace("a remark", "another").replace("120", "100"), encoding="utf-8")
    assert state_of(layout) is State.READY
    project.write_text(PYPROJECT.replace("1.26", "2.0"), encoding="utf-8")
    assert state_of(layout) is State.CHANGED


@posix
def test_other_torch_is_wanted_only_by_a_set_override(layout: Layout) -> None:
    assert state_of(layout, override="https://mirror.example/cpu") is State.CHANGED
    environment.write_stamp(layout.stamp, replace(stamp_of(layout), override="https://mirror.example/cpu"))
    assert state_of(layout, override="https://mirror.example/cpu") is State.READY
    assert state_of(layout, override=None) is State.READY  # A later double-click does not have the variable.
    assert state_of(layout, override="") is State.CHANGED


@posix
def test_newer_launcher_with_another_torch_is_a_change(layout: Layout) -> None:
    environment.write_stamp(layout.stamp, replace(stamp_of(layout), torch_wanted="2.12.0"))
    assert state_of(layout) is State.CHANGED


@posix
def test_nothing_there_is_absent(layout: Layout, tmp_path: Path) -> None:
    assert state_of(Layout(tmp_path)) is State.ABSENT
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "setup.lock").touch()
    assert state_of(Layout(tmp_path)) is State.ABSENT


@posix
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": 0}', '{"schema": 1}'])
def test_without_a_whole_stamp_the_set_up_goes_on(layout: Layout, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "python_version", lambda *_: PYTHON)
    layout.stamp.write_text(damage, encoding="utf-8")
    assert state_of(layout) is State.INTERRUPTED
    layout.stamp.unlink()
    assert state_of(layout) is State.INTERRUPTED
    monkeypatch.setattr(environment, "python_version", lambda *_: "3.9")
    assert state_of(layout) is State.BROKEN  # Somebody else's, and too old.
    monkeypatch.setattr(environment, "python_version", lambda *_: "")
    assert state_of(layout) is State.BROKEN


@posix
def test_lost_interpreter_is_broken(layout: Layout) -> None:
    layout.python.unlink()
    assert state_of(layout) is State.BROKEN
    layout.python.symlink_to(layout.root / "gone")
    assert state_of(layout) is State.BROKEN


@posix
def test_replaced_interpreter_is_asked(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.write_stamp(layout.stamp, replace(stamp_of(layout), base="/usr/bin/python3.8"))
    monkeypatch.setattr(environment, "python_version", lambda *_: PYTHON)
    assert state_of(layout) is State.READY
    monkeypatch.setattr(environment, "python_version", lambda *_: "")
    assert state_of(layout) is State.BROKEN


@posix
def test_moved_folder_is_noticed(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "python_version", lambda *_: PYTHON)
    moved = Layout(layout.root.rename(layout.root.with_name("moved 🔥")))
    assert state_of(moved) is State.MOVED
    monkeypatch.setattr(environment, "python_version", lambda *_: "")
    assert state_of(moved) is State.BROKEN


@posix
def test_another_name_of_the_same_folder_is_no_move(layout: Layout, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(layout.root, target_is_directory=True)
    assert state_of(Layout(link)) is State.READY


@posix
def test_moved_scripts_name_their_new_place(layout: Layout) -> None:
    old, python = "/old/kiln", "/old/kiln/.venv/bin/python"
    short, long, binary = (layout.scripts / name for name in ("pytest", "accelerate", "program"))
    short.write_text(f"#!{python}\nimport pytest\n", encoding="utf-8")
    long.write_text(f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\nprint(1)\n", encoding="utf-8")
    binary.write_bytes(b"\0" + python.encode())
    environment.relocate(layout, old)
    new = f"{layout.venv}/bin/python"
    trampoline = f"#!/bin/sh\n'''exec' \"{new}\" \"$0\" \"$@\"\n' '''\n"  # The new path has a space.
    assert short.read_text(encoding="utf-8") == trampoline + "import pytest\n"
    assert long.read_text(encoding="utf-8") == trampoline + "print(1)\n"
    assert binary.read_bytes() == b"\0" + python.encode()


@posix
def test_moved_script_runs(layout: Layout) -> None:
    script = layout.scripts / "tool"
    script.write_text("#!/old/.venv/bin/python\nimport sys\nprint('ran', sys.argv[1:])\n", encoding="utf-8")
    script.chmod(0o755)
    environment.relocate(layout, "/old")
    done = subprocess.run([script, "a b"], capture_output=True, text=True, check=True)
    assert done.stdout == "ran ['a b']\n"


@posix
def test_half_installed_packages_are_forgotten(layout: Layout) -> None:
    place = layout.venv / "lib" / "python3.11" / "site-packages"
    for name in ("torch-2.13.0+cpu", "numpy-2.0.0"):
        (place / f"{name}.dist-info").mkdir(parents=True)
    (place / "numpy-2.0.0.dist-info" / "RECORD").touch()
    assert environment.drop_half_installed(layout) == ["torch"]
    assert environment.installed_version(layout, "numpy") == "2.0.0"
    assert environment.installed_version(layout, "torch") == ""


@posix
def test_clearing_keeps_lock_and_log(layout: Layout) -> None:
    layout.lock.touch()
    layout.log.touch()
    (layout.venv / "lib64").symlink_to(layout.scripts, target_is_directory=True)
    environment.clear(layout)
    assert sorted(path.name for path in layout.venv.iterdir()) == ["setup.lock", "setup.log"]


def test_build_requirements_come_from_the_project(layout: Layout) -> None:
    assert environment.build_requirements(layout.root) == ["setuptools>=77", "wheel"]


def test_stamp_is_never_half_written(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    before = layout.stamp.read_text(encoding="utf-8")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
    with pytest.raises(OSError, match="power cut"):
        environment.write_stamp(layout.stamp, replace(stamp_of(layout), extras=("test",)))
    assert layout.stamp.read_text(encoding="utf-8") == before


def test_incomplete_copy_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"pyproject\.toml"):
        main.ensure(Layout(tmp_path), ())


# The steps, with everything that they would run written down instead


@pytest.fixture
def commands_of_setup(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Filled with what the set-up runs; no command is run, no server asked."""
    seen: list[list[str]] = []

    def pretend(command: list[str], *_: object, **__: object) -> tuple[int, str]:
        seen.append(list(command))
        return 0, "torch 2.13.0+cpu" if "-c" in command else ""

    monkeypatch.setattr(install, "run_logged", pretend)
    monkeypatch.setattr(install, "settle", lambda choices, *_: list(choices))
    monkeypatch.setattr(install, "this_machine", lambda: Machine("linux", "x86_64"))
    monkeypatch.setattr(environment, "python_version", lambda *_: PYTHON)
    monkeypatch.setattr(environment, "installed_version", lambda *_: "2.13.0+cpu")
    return seen


def setup_of(layout: Layout, extras: set[str], override: str | None = None) -> install.Setup:
    return install.Setup(layout, extras, override, io.StringIO(), progress=Progress(4, io.StringIO()))


@posix
def test_torch_is_held_fast_when_the_rest_is_installed(layout: Layout, commands_of_setup: list[list[str]]) -> None:
    stamp = setup_of(layout, {"test"}).run(Finding(State.INTERRUPTED))
    *_, torch, packages, _ = (" ".join(command) for command in commands_of_setup)
    assert torch.endswith(f"torch=={TORCH_VERSION} --extra-index-url {OFFICIAL}cpu")
    assert packages.endswith("--constraint .venv/constraints.txt --editable .[test]")
    assert layout.constraints.read_text(encoding="utf-8") == "torch==2.13.0+cpu\n"
    assert (stamp.torch, stamp.extras) == ("2.13.0+cpu", ("test",))
    assert environment.read_stamp(layout.stamp) == stamp


@posix
def test_what_was_chosen_once_stays_when_dependencies_change(
    layout: Layout, commands_of_setup: list[list[str]]
) -> None:
    old = replace(stamp_of(layout), extras=("test",), requirement="torch==2.13.0+cu130", index=OFFICIAL + "cu130")
    stamp = setup_of(layout, set()).run(Finding(State.CHANGED, old))
    assert commands_of_setup[1][-3:] == ["torch==2.13.0+cu130", "--extra-index-url", OFFICIAL + "cu130"]
    assert (stamp.extras, stamp.index) == (("test",), OFFICIAL + "cu130")


@posix
def test_unreachable_index_means_plain_pip(
    layout: Layout, commands_of_setup: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "settle", lambda *_: [])
    stamp = setup_of(layout, set()).run(Finding(State.INTERRUPTED))
    assert commands_of_setup[1][-1] == "torch==2.13.0"
    assert (stamp.index, stamp.requirement) == ("", "torch==2.13.0")


@posix
@pytest.mark.parametrize(
    ("output", "tries"), [("ERROR: No matching distribution found for torch", 2), ("No space left on device", 1)]
)
def test_next_source_is_tried_only_where_it_can_help(
    output: str,
    tries: int,
    layout: Layout,
    commands_of_setup: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(command: list[str], *_: object, **__: object) -> tuple[int, str]:
        commands_of_setup.append(command)
        return 1, output

    monkeypatch.setattr(install, "run_logged", fail)
    choices = [TorchSource("cpu", OFFICIAL + "cpu"), PLAIN]
    with pytest.raises(SetupError):
        setup_of(layout, set())._first_that_installs(choices, None)
    assert len(commands_of_setup) == tries


@posix
def test_another_index_replaces_an_installed_torch(layout: Layout, commands_of_setup: list[list[str]]) -> None:
    setup_of(layout, set(), override="").run(Finding(State.CHANGED, stamp_of(layout)))
    assert commands_of_setup[1][2:] == ["pip", "uninstall", "--yes", "torch"]
    assert commands_of_setup[2][-1] == "torch==2.13.0"


@posix
def test_failure_leaves_no_valid_stamp_but_what_was_chosen(
    layout: Layout, commands_of_setup: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "run_logged", lambda *_, **__: (1, "OSError: [Errno 28] No space left on device"))
    with pytest.raises(SetupError):
        setup_of(layout, set()).run(Finding(State.MOVED, replace(stamp_of(layout), root="/old")))
    finding = examine(layout, (), None, TORCH_VERSION)
    assert finding.state is State.CHANGED
    assert finding.stamp == replace(stamp_of(layout), project="")
    assert not commands_of_setup


@posix
@pytest.mark.usefixtures("commands_of_setup")
@pytest.mark.parametrize(("state", "fresh"), [(State.BROKEN, False), (State.READY, True)])
def test_broken_or_unwanted_environment_is_cleared_first(layout: Layout, state: State, fresh: bool) -> None:
    setup_of(layout, set()).run(Finding(state, stamp_of(layout)), fresh=fresh)
    assert not layout.python.is_symlink()
    assert layout.stamp.exists()


@posix
@pytest.mark.parametrize("is_root", [True, False])
def test_python_without_venv_is_completed_or_explained(
    is_root: bool, layout: Layout, commands_of_setup: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def debian(command: list[str], *_: object, **__: object) -> tuple[int, str]:
        commands_of_setup.append(command)
        has_venv = any("install" in seen for seen in commands_of_setup)
        return (0, "torch 2.13.0") if has_venv else (1, "because ensurepip is not\navailable")

    monkeypatch.setattr(install, "run_logged", debian)
    monkeypatch.setattr(environment, "python_version", lambda *_: "")
    monkeypatch.setattr(system_packages, "can_install", lambda: is_root)
    if is_root:
        setup_of(layout, set()).run(Finding(State.ABSENT))
        assert commands_of_setup[2][-1] == f"python3.{sys.version_info[1]}-venv"
        assert commands_of_setup[3] == commands_of_setup[0]
    else:
        with pytest.raises(SetupError) as caught:
            setup_of(layout, set()).run(Finding(State.ABSENT))
        assert "apt install python3-venv" in caught.value.remedy


@posix
def test_log_is_named_with_a_failure(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SetupError("It broke.")

    monkeypatch.setattr(install.Setup, "run", fail)
    with pytest.raises(SetupError) as caught:
        install.set_up(layout, ("test",))
    assert caught.value.log == layout.log
    assert layout.log.exists()


@pytest.mark.parametrize("machine", [Machine("darwin", "x86_64"), Machine("win32", "x86", bits=32)])
def test_machines_without_pytorch_are_told_before_any_download(machine: Machine) -> None:
    with pytest.raises(SetupError) as caught:
        install.check_machine(machine)
    assert caught.value.remedy


# The lock


def test_lock_is_free_again_after_use(tmp_path: Path) -> None:
    waits: list[str] = []
    for _ in range(2):
        with SetupLock(tmp_path / "setup.lock", waits.append):
            assert (tmp_path / "setup.lock").read_text(encoding="utf-8") == str(os.getpid())
    assert waits == []


HOLD = """
import sys; sys.path.append(sys.argv[1])
from pathlib import Path
from launcher.lock import SetupLock
with SetupLock(Path(sys.argv[2]), print):
    print("mine", flush=True)
    sys.stdin.read()
"""


def holder(lock: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(PACKAGING), str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


@posix
@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_second_launcher_waits_for_the_first_however_it_ends(tmp_path: Path, ending: str) -> None:
    lock = tmp_path / "setup.lock"
    with holder(lock) as first:
        waits: list[str] = []

        def on_wait(owner: str) -> None:
            waits.append(owner)
            if ending == "leaves":
                first.communicate()
            else:
                first.kill()

        with SetupLock(lock, on_wait, poll_s=0.01):
            assert waits == [str(first.pid)]


@posix
def test_lock_of_a_deleted_folder_does_not_count(tmp_path: Path) -> None:
    lock = tmp_path / "setup.lock"
    with holder(lock) as first:

        def on_wait(_: str) -> None:
            raise AssertionError("waited for a lock on a deleted file")

        lock.unlink()
        with SetupLock(lock, on_wait):
            assert lock.exists()
        first.communicate()


# Running commands, and what the user sees of them


def test_output_goes_to_the_log_and_its_end_comes_back(tmp_path: Path) -> None:
    log = io.StringIO()
    code = "print('Progress', 1, 'of', 2); print('丹炉'); raise SystemExit(3)"
    status, output = commands.run_logged(
        [sys.executable, "-c", code],
        log,
        Progress(1, io.StringIO()),
        cwd=tmp_path,
        environment=commands.pip_environment(),
    )
    assert (status, output) == (3, "丹炉")
    assert "丹炉" in log.getvalue()
    assert "Progress 1 of 2" not in log.getvalue()


def test_missing_program_is_a_failure_not_a_crash(tmp_path: Path) -> None:
    status, output = commands.run_logged(
        ["no-such-program-here"], io.StringIO(), Progress(1, io.StringIO()), cwd=tmp_path, environment=dict(os.environ)
    )
    assert status == 1
    assert output


def test_pip_is_read_aloud() -> None:
    activity = commands.Activity()
    shown = []
    for line in (
        "Collecting torch==2.13.0 (from kiln-trainer==0.1.0)",
        "  Downloading https://x/torch-2.13.0-cp311-cp311-win_amd64.whl (800.5 MB)",
        "Progress 100000000 of 800500000",
        "Requirement already satisfied: numpy in ./lib",
        "Installing collected packages: mpmath, sympy, torch",
    ):
        activity.see(line)
        shown.append(activity.now)
    assert [("torch" in line, "800" in line) for line in shown[:4]] == [
        (True, False),
        (True, True),
        (True, True),
        (True, True),
    ]
    assert "100" in shown[2]
    assert "3" in shown[4]


def test_pip_settings_that_would_install_elsewhere_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    variables = commands.pip_environment()
    assert not {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX"} & set(variables)
    assert (variables["PIP_USER"], variables["PYTHONUTF8"]) == ("0", "1")
    assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    assert variables["HTTPS_PROXY"] == "http://proxy.example:3128"


def test_steps_are_plain_lines_when_piped() -> None:
    stream = io.StringIO()
    progress = Progress(2, stream)
    progress.start("first")
    progress.update("something small")
    progress.done()
    assert "\r" not in stream.getvalue()
    assert "small" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 2


def test_live_line_is_overwritten_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream = io.StringIO()
    progress = Progress(1, stream, live=True)
    progress.update("下载一个名字很长的软件包")
    progress.update("short")
    progress.clear()
    shown = stream.getvalue().split("\r")
    assert all(cells(line) <= 19 for line in shown)
    assert shown[-1] == ""
    assert shown[-2].strip() == ""


def test_texts_are_cut_by_columns_not_by_signs() -> None:
    assert cells("丹炉 a") == 6
    assert fit("丹炉丹炉", 5) == "丹炉…"
    assert fit("kiln", 4) == "kiln"


# System libraries and verbs


def test_missing_libraries_name_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = (*qt_libraries.BASE, *qt_libraries.X11)
    expected = {"apt-get": "libxcb-icccm4", "dnf": "xcb-util-wm", "pacman": "xcb-util-wm", None: "libxcb-icccm4"}
    for manager, package in expected.items():
        monkeypatch.setattr(system_packages, "manager", lambda manager=manager: manager)
        names = qt_libraries.packages_for(libraries)
        assert package in names
        assert len(set(names)) == len(names)
        assert system_packages.command_for(names).endswith(" ".join(names))


@pytest.mark.parametrize(
    ("variables", "x11", "screen"),
    [
        ({}, False, False),
        ({"DISPLAY": ":0"}, True, True),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, False, True),
        ({"QT_QPA_PLATFORM": "offscreen", "DISPLAY": ":0"}, False, True),
        ({"QT_QPA_PLATFORM": "xcb"}, True, True),
    ],
)
def test_screen_decides_which_libraries_are_needed(variables: dict[str, str], x11: bool, screen: bool) -> None:
    assert (qt_libraries.uses_x11(variables), qt_libraries.has_screen(variables)) == (x11, screen)


@pytest.mark.skipif(sys.platform != "linux", reason="Other systems bring all that Qt needs.")
def test_libraries_are_installed_where_that_needs_no_password(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    monkeypatch.setattr(qt_libraries, "loads", lambda _: bool(installed))
    monkeypatch.setattr(system_packages, "can_install", lambda: True)
    monkeypatch.setattr(main, "install_system_packages", lambda _, names: installed.extend(names))
    main.provide_qt_libraries(layout, for_window=False)
    assert "libegl1" in installed
    assert "libxcb-cursor0" not in installed


@pytest.mark.skipif(sys.platform != "linux", reason="Other systems bring all that Qt needs.")
def test_window_without_libraries_or_screen_ends_with_a_sentence(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(qt_libraries, "loads", lambda _: False)
    monkeypatch.setattr(system_packages, "can_install", lambda: False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    with pytest.raises(SetupError):
        main.provide_qt_libraries(layout, for_window=True)
    assert "libegl1" in capsys.readouterr().err
    main.provide_qt_libraries(layout, for_window=False)  # The tests say themselves what fails.
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SetupError, match="DISPLAY"):
        main.provide_qt_libraries(layout, for_window=True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["app"]),
        (["test", "-k", "loss"], ["pytest", "-n", "3", "--dist", "worksteal", "-k", "loss"]),
        (["demo", "--seed", "3"], ["core.cli", "demo", "--seed", "3"]),
        (["train", "a b.toml"], ["core.cli", "train", "a b.toml"]),
        (["--version"], ["core.cli", "--version"]),
    ],
)
def test_verbs_become_modules(
    layout: Layout, arguments: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert main.command_of(layout, arguments) == [str(layout.python), "-m", *expected]


def test_wrong_use_of_setup_is_refused(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.dispatch(layout, ["setup", "--frehs"]) == 2
    assert "--fresh" in capsys.readouterr().err


@posix
def test_start_of_what_is_set_up_imports_little(layout: Layout) -> None:
    """The network, threads of the doctor and the installer cost time and are for those who need them."""
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from pathlib import Path\n"
        "from launcher.environment import Layout\n"
        "from launcher.main import dispatch\n"
        "assert dispatch(Layout(Path(sys.argv[2])), ['setup']) == 0\n"
        "print(*sys.modules)"
    )
    variables = {name: value for name, value in os.environ.items() if name != OVERRIDE}
    command = [sys.executable, "-I", "-c", code, str(PACKAGING), str(layout.root)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "launcher.environment" in imported
    assert not {"launcher.install", "launcher.doctor", "urllib.request", "ssl", "ctypes", "tomllib"} & imported
