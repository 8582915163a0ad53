"""What the launcher says: both languages, failures, the doctor; and the files that start it."""

from __future__ import annotations

import ast
import io
import os
import re
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "packaging"))

from launcher import console, desktop, doctor, failures, main, messages, qt_libraries
from launcher.environment import Layout, State
from launcher.machine import Gpu

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in (PACKAGING / "launcher").glob("*.py")}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "language", lambda: 1)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "language", lambda: 0)


@pytest.mark.parametrize("key", messages.MESSAGES)
def test_message_is_complete_in_both_languages(key: str) -> None:
    english_text, chinese_text = messages.MESSAGES[key]
    assert fields(english_text) == fields(chinese_text)
    assert not CHINESE.search(english_text)
    assert CHINESE.search(chinese_text) or english_text == chinese_text


def fields(template: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_key_that_is_used_exists_and_every_other_is_gone() -> None:
    code = "\n".join(text for name, text in SOURCES.items() if name != "messages.py")
    used = set(re.findall(r'"([a-z]+_?[a-z_0-9]*)"', code))
    used |= {f"{part}_{kind}" for part in ("fail", "help") for kind in failures.KINDS}
    used |= {f"{part}_{state.value}" for part in ("why", "state") for state in State}
    used |= {f"device_{device}" for device in ("any", "cpu", "cuda", "mps")}
    called = set(re.findall(r'\btext\(\s*"([a-z_0-9]+)"', code))
    assert called <= set(messages.MESSAGES)
    assert set(messages.MESSAGES) <= used


def test_usage_names_every_verb_in_both_languages() -> None:
    for page in messages.USAGE:
        for word in ("demo", "test", "setup", "doctor", "install-desktop", "--dry-run", "KILN_TORCH_INDEX"):
            assert word in page


@pytest.mark.parametrize(
    ("variables", "is_chinese"),
    [
        ({"LANG": "zh_CN.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.GBK"}, True),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, True),
        ({"LANG": "C.UTF-8", "LANGUAGE": "zh_CN:en"}, False),
        ({"LANG": "zh_TW.UTF-8", "LC_MESSAGES": "de_DE"}, False),
    ],
)
def test_language_follows_the_system(
    variables: dict[str, str], is_chinese: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert messages.is_chinese(messages.system_language()) is is_chinese


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk_full"),
        ("The virtual environment was not created successfully because ensurepip is not\navailable.", "no_venv"),
        ("/usr/bin/python3: No module named venv", "no_venv"),
        ("ERROR: [WinError 32] The process cannot access the file: 'torch_python.dll'", "in_use"),
        ("ERROR: [WinError 5] Access is denied: 'C:\\\\Program Files\\\\kiln'", "permission"),
        ("[Errno 13] Permission denied: '/opt/kiln/.venv'", "permission"),
        ("[Errno 30] Read-only file system: '/mnt/kiln/.venv'", "permission"),
        ("OSError: [Errno 1] Operation not permitted: 'lib' -> '/media/usb/kiln/.venv/lib64'", "no_links"),
        ("HINT: This error might have occurred since this system does not have Windows Long Path support", "long_path"),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...: Failed to establish a new "
            "connection: [Errno 11001] getaddrinfo failed')': /simple/torch/\n"
            "ERROR: Could not find a version that satisfies the requirement torch (from versions: none)\n"
            "ERROR: No matching distribution found for torch",
            "network",
        ),
        ("pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool: Read timed out.", "network"),
        ("ProxyError('Cannot connect to proxy.', timeout('timed out'))", "proxy"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "certificate"),
        ("ERROR: HTTP error 403 while getting https://mirror.example/torch.whl", "server"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "damaged"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no_package"),
        ("ERROR: ResolutionImpossible: for help visit", "conflict"),
        ("OSError: [WinError 126] The specified module could not be found. Error loading c10.dll", "no_runtime"),
        ("error: Microsoft Visual C++ 14.0 or greater is required.", "build"),
        ("ImportError: /lib/libc.so.6: version `GLIBC_2.34' not found", "old_system"),
        ("something nobody has seen before", "unknown"),
    ],
)
def test_failures_are_recognised(output: str, kind: str) -> None:
    assert failures.classify(output) == kind


def test_killed_installation_means_memory() -> None:
    assert failures.classify("", -9) == "memory"


@pytest.mark.parametrize("kind", failures.KINDS)
def test_every_failure_has_a_sentence_and_a_remedy(kind: str, request: pytest.FixtureRequest) -> None:
    output = "Collecting torch\nERROR: No matching distribution found for torch==9\nnotice"
    first = failures.explain(kind, output)
    assert first.message
    assert first.remedy
    assert first.kind == kind
    request.getfixturevalue("chinese")
    assert CHINESE.search(failures.explain(kind, output).message)


def test_unknown_failure_quotes_what_says_most() -> None:
    assert "torch==9" in failures.explain("unknown", "a\nERROR: nothing for torch==9\nb").message
    assert "last words" in failures.explain("unknown", "a\nlast words\n\n").message


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "gbk", "utf-8"])
def test_no_console_is_too_poor(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    poor = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stderr", poor)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    console.prepare_streams()
    for key in messages.MESSAGES:
        console.say(messages.MESSAGES[key][1] + " 🔥 \udcff")
    assert doctor.report([doctor.Row("bad", "丹炉", "🔥")], encoding)


def test_marks_fit_the_console() -> None:
    assert doctor.marks_for("utf-8")["ok"] == "✓"
    assert doctor.marks_for("cp1252") == {"ok": "+", "note": "!", "bad": "x"}


# Files that start Kiln


def test_starters_only_call_the_launcher() -> None:
    bat = (PACKAGING / "windows" / "Kiln.bat").read_bytes()
    assert bat.count(b"\n") == bat.count(b"\r\n") > 0
    assert bat.isascii()
    text = bat.decode()
    assert 'cd /d "%~dp0..\\.."' in text
    assert "packaging\\launch.py %*" in text
    assert "pause" in text
    for starter in (PACKAGING / "macos" / "Kiln.command", PACKAGING / "linux" / "kiln.sh"):
        lines = starter.read_bytes().decode("ascii")
        assert "\r" not in lines
        assert lines.splitlines() == [
            "#!/bin/sh",
            'cd "$(dirname "$0")/../.." || exit 1',
            'exec python3 packaging/launch.py "$@"',
        ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no mode bits.")
def test_starters_are_executable() -> None:
    for starter in (PACKAGING / "macos" / "Kiln.command", PACKAGING / "linux" / "kiln.sh"):
        assert os.access(starter, os.X_OK)


@pytest.mark.skipif(sys.platform == "win32", reason="A shell script.")
def test_starter_works_from_a_path_with_spaces(tmp_path: Path) -> None:
    target = tmp_path / "新 文件夹" / "packaging"
    shutil.copytree(PACKAGING / "linux", target / "linux")
    (target / "launch.py").write_text("import os, sys; print(os.getcwd(), sys.argv[1:])\n", encoding="utf-8")
    done = subprocess.run(
        [target / "linux" / "kiln.sh", "train", "a b"], capture_output=True, encoding="utf-8", check=True, cwd="/"
    )
    assert done.stdout == f"{target.parent} ['train', 'a b']\n"


def test_entry_file_suits_old_pythons() -> None:
    """It parses on Python 2.7 and says there what is needed: no newer syntax, nothing of the launcher at the top."""
    source = (PACKAGING / "launch.py").read_text(encoding="utf-8")
    assert "coding: utf-8" in source.splitlines()[1]
    tree = ast.parse(source)
    newer = (ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.AsyncFunctionDef, ast.Match, ast.Nonlocal)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    displays = [node for node in ast.walk(tree) if isinstance(node, ast.List | ast.Tuple)]
    assert not [item for display in displays for item in display.elts if isinstance(item, ast.Starred)]
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        arguments = function.args
        assert function.returns is None
        assert not arguments.kwonlyargs + arguments.posonlyargs
        assert not [argument for argument in arguments.args if argument.annotation]
    imported = [name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names]
    assert imported == ["os", "subprocess", "sys"]
    assert not [node for node in tree.body if isinstance(node, ast.ImportFrom)]


def test_icons_are_there() -> None:
    icons = ROOT / "resources" / "icons"
    assert (icons / "kiln.svg").read_text(encoding="utf-8").startswith("<svg")
    png = (icons / "kiln.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (256, 256)


def test_desktop_entry_survives_odd_paths() -> None:
    lines = desktop.entry(Path('/home/a b/100% "$丹炉`\\'), "/usr/bin/python3").splitlines()
    entry = dict(line.split("=", 1) for line in lines if "=" in line)
    assert lines[0] == "[Desktop Entry]"
    assert entry["Path"] == '/home/a b/100% "$丹炉`\\\\'
    assert entry["Icon"] == entry["Path"] + "/resources/icons/kiln.png"
    # The value is unescaped once as a string, then once more as a quoted argument.
    assert entry["Exec"].replace("\\\\", "\\") == (
        '"/usr/bin/python3" "/home/a b/100%% \\"\\$丹炉\\`\\\\/packaging/launch.py"'
    )


@pytest.mark.skipif(sys.platform != "linux", reason="Menus of Linux desktops.")
def test_desktop_entry_is_installed_for_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "数据"))
    assert desktop.install(tmp_path) == 0
    files = list((tmp_path / "数据" / "applications").iterdir())
    assert [file.name for file in files] == ["kiln.desktop"]
    assert os.access(files[0], os.X_OK)
    validator = shutil.which("desktop-file-validate")
    if validator is not None:
        subprocess.run([validator, files[0]], check=True)


def test_other_systems_are_told_which_file_to_click(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for system, starter in (("win32", "Kiln.bat"), ("darwin", "Kiln.command")):
        monkeypatch.setattr(sys, "platform", system)
        assert desktop.install(tmp_path) == 2
        assert starter in capsys.readouterr().err


# The doctor


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "answer_time", lambda _: None)
    monkeypatch.setattr(doctor, "find_gpus", lambda: ())


@pytest.mark.usefixtures("offline")
def test_doctor_works_before_the_set_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qt_libraries, "loads", lambda _: True)
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    assert main.dispatch(Layout(tmp_path), ["doctor"]) == 0
    report = capsys.readouterr().out
    assert "not set up yet" in report
    assert "launch.py setup" in report.replace("\\", "/")
    assert "PIP_INDEX_URL" in report
    assert "HF_ENDPOINT" in report
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pyproject.toml"]


def test_doctor_fails_only_for_what_is_needed(tmp_path: Path) -> None:
    assert doctor.disk_row(tmp_path, free_bytes=2 * 10**9).level == "note"
    assert doctor.disk_row(tmp_path, free_bytes=10**8).level == "bad"
    assert doctor.disk_row(tmp_path, free_bytes=60 * 10**9).level == "ok"
    assert [row.level for row in doctor.write_rows(tmp_path)] == ["ok"]


def test_doctor_notices_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "output").mkdir()
    monkeypatch.setattr(doctor, "can_write", lambda folder: folder.name != "output")
    (row,) = doctor.write_rows(tmp_path)
    assert (row.level, "output" in row.detail, bool(row.remedy)) == ("bad", True, True)


def test_doctor_remarks_on_paths() -> None:
    assert doctor.path_rows(Path("/home/me/kiln"), "linux") == []
    assert [row.level for row in doctor.path_rows(Path("/家/丹炉"), "linux")] == ["ok"]
    assert [row.level for row in doctor.path_rows(Path("C:/" + "long/" * 20), "win32")] == ["note"]


TORCH = {"version": "2.13.0", "device": "cuda", "name": "RTX", "capability": "89", "builds": ["80", "86"], "error": ""}
CARD = (Gpu("RTX", (581, 29), (8, 9), 8188),)


@pytest.mark.parametrize(
    ("answer", "gpus", "level"),
    [
        (TORCH, CARD, "ok"),
        ({**TORCH, "capability": "120"}, CARD, "bad"),
        ({**TORCH, "error": "CUDA error: out of memory"}, CARD, "bad"),
        ({**TORCH, "device": "cpu", "name": ""}, CARD, "note"),
        ({**TORCH, "device": "cpu", "name": ""}, (), "ok"),
        ({**TORCH, "device": "mps", "name": ""}, (), "ok"),
        ({"failed": "ModuleNotFoundError: No module named 'torch'"}, (), "bad"),
    ],
)
def test_doctor_judges_torch(answer: dict[str, object], gpus: tuple[Gpu, ...], level: str) -> None:
    row = doctor.torch_row(answer, gpus)
    assert row.level == level
    assert bool(row.remedy) is (level != "ok")


@pytest.mark.parametrize(
    ("capability", "builds", "runs"),
    [("89", ["80", "86"], True), ("120", ["80", "120"], True), ("61", ["75", "80"], False), ("100", ["100a"], True)],
)
def test_builds_run_on_their_generation(capability: str, builds: list[str], runs: bool) -> None:
    assert doctor.runs_on(capability, builds) is runs


def test_doctor_names_small_cards_and_missing_runtimes() -> None:
    assert doctor.gpu_rows((Gpu("GTX 1650", (581, 29), (7, 5), 4096),))[0].level == "note"
    row = doctor.onnx_row({"failed": "ImportError: DLL load failed while importing onnxruntime_pybind11_state"})
    assert "vc_redist" in row.remedy
    assert doctor.onnx_row({"version": "1.27", "providers": ["CPUExecutionProvider"]}).detail == "1.27, CPU"


def test_doctor_asks_the_servers_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("HF_ENDPOINT", "https://hf-mirror.com")
    monkeypatch.setattr(doctor, "answer_time", lambda address: 0.1 if "mirror" in address else None)
    rows = doctor.network_rows()
    assert [(row.level, row.detail.split()[0]) for row in rows] == [
        ("ok", "mirror.example"),
        ("note", "download.pytorch.org"),
        ("ok", "hf-mirror.com"),
    ]


def test_report_ends_with_a_verdict() -> None:
    rows = [doctor.Row("ok", "Python", "3.12"), doctor.Row("bad", "PyTorch", "gone", "Run this.")]
    report = doctor.report(rows, "utf-8")
    assert " ✗ PyTorch: gone\n     Run this.\n" in report
    assert report.rstrip().endswith("see the lines with ✗.")
