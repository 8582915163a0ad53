"""Checks everything Kiln stands on and says what to do about what is wrong."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher import environment, qt_libraries, system_packages
from launcher.commands import child_environment, launcher_command
from launcher.environment import Layout, State
from launcher.machine import Gpu, find_gpus
from launcher.messages import language, text
from launcher.torch_choice import OFFICIAL, OVERRIDE, TORCH_VERSION
from launcher.torch_index import trusted

if TYPE_CHECKING:
    from collections.abc import Iterable

ENOUGH_DISK_GB = 6.0
FULL_DISK_GB = 0.3
LONG_PATH = 80
SMALL_GPU_MIB = 5500
NETWORK_S = 4.0
HUB_MIRROR = "https://hf-mirror.com"
PROBE_LIMIT_S = 180

TORCH_PROBE = """
import json, torch
device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
report = {"version": torch.__version__, "device": device, "name": "", "capability": "", "builds": []}
if device == "cuda":
    report["name"] = torch.cuda.get_device_name(0)
    report["capability"] = "%d%d" % torch.cuda.get_device_capability(0)
    report["builds"] = [name.split("_")[1] for name in torch.cuda.get_arch_list() if name.startswith("sm_")]
try:
    ones = torch.ones(64, 64, device=device)
    total = (ones @ ones).sum().item()
    report["error"] = "" if total == 64.0**3 else "wrong result: %r" % total
except Exception as error:
    report["error"] = str(error).strip().splitlines()[0]
print(json.dumps(report))
"""
PYSIDE_PROBE = "import json, PySide6, PySide6.QtWidgets; print(json.dumps({'version': PySide6.__version__}))"
ONNX_PROBE = """
import json, onnxruntime
print(json.dumps({"version": onnxruntime.__version__, "providers": onnxruntime.get_available_providers()}))
"""


@dataclass(frozen=True)
class Row:
    """One line of the report. `level` is 'ok', 'note' (works, but) or 'bad' (needed and broken)."""

    level: str
    title: str
    detail: str
    remedy: str = ""


def examine_all(layout: Layout) -> int:
    """Print the report; 0 if Kiln is usable, 1 if something needed is broken."""
    with ThreadPoolExecutor() as pool:
        network = pool.submit(network_rows)
        gpus = pool.submit(find_gpus)
        probes = {}
        if has_environment(layout):
            probes = {
                name: pool.submit(probe, layout, code)
                for name, code in (("torch", TORCH_PROBE), ("pyside", PYSIDE_PROBE), ("onnx", ONNX_PROBE))
            }
        rows = [
            system_row(),
            python_row(),
            disk_row(layout.root),
            *write_rows(layout.root),
            *path_rows(layout.root),
            environment_row(layout),
            *gpu_rows(gpus.result()),
            *library_rows(probes, gpus.result()),
            *qt_rows(),
            *setting_rows(),
            *network.result(),
        ]
    print(report(rows), end="")
    return 1 if any(row.level == "bad" for row in rows) else 0


def report(rows: Iterable[Row], encoding: str | None = None) -> str:
    """The rows as a table in plain text, remedies below what they cure."""
    rows = list(rows)
    marks = marks_for(encoding or sys.stdout.encoding or "ascii")
    lines = [text("doc_title"), ""]
    for row in rows:
        lines.append(f" {marks[row.level]} {row.title}: {row.detail}")
        if row.remedy:
            lines.append(f"     {row.remedy}")
    levels = {row.level for row in rows}
    verdict = "bad" if "bad" in levels else "note" if "note" in levels else "ok"
    key = {"bad": "doc_bad", "note": "doc_usable", "ok": "doc_good"}[verdict]
    return "\n".join([*lines, "", text(key, mark=marks[verdict]), ""])


def marks_for(encoding: str) -> dict[str, str]:
    """Signs for the levels, plain ones where the console has no others."""
    try:
        "✓✗".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return {"ok": "+", "note": "!", "bad": "x"}
    return {"ok": "✓", "note": "!", "bad": "✗"}


def has_environment(layout: Layout) -> bool:
    """True if there is an interpreter to ask."""
    return layout.python.exists()


def system_row() -> Row:
    """Name and processor of the system."""
    return Row("ok", text("doc_system"), f"{platform.platform(terse=True)}, {platform.machine()}")


def python_row() -> Row:
    """The Python that runs the launcher; older ones never come this far."""
    detail = f"{platform.python_version()}, {64 if sys.maxsize > 2**32 else 32} bit, {sys.executable}"
    if sys.maxsize <= 2**32:
        return Row("bad", text("doc_python"), detail, text("fail_bits") + " " + text("help_bits"))
    return Row("ok", text("doc_python"), detail)


def disk_row(root: Path, free_bytes: int | None = None) -> Row:
    """Free space where Kiln and, unless the user says otherwise, its output live."""
    free = shutil.disk_usage(root).free if free_bytes is None else free_bytes
    detail = text("doc_disk_free", free=f"{free / 1e9:.1f}", path=root)
    if free >= ENOUGH_DISK_GB * 1e9:
        return Row("ok", text("doc_disk"), detail)
    return Row("bad" if free < FULL_DISK_GB * 1e9 else "note", text("doc_disk"), detail, text("doc_disk_help"))


def write_rows(root: Path) -> list[Row]:
    """Write access to the folder and to the default output folder, tried out."""
    places = [place for place in (root, root / "output") if place.is_dir()]
    closed = [place for place in places if not can_write(place)]
    if closed:
        names = ", ".join(str(place) for place in closed)
        return [Row("bad", text("doc_write"), text("doc_write_no", path=names), text("doc_write_help"))]
    return [Row("ok", text("doc_write"), text("doc_ok"))]


def can_write(folder: Path) -> bool:
    """True if a file can be made there."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def path_rows(root: Path, system: str = sys.platform) -> list[Row]:
    """Remarks on a path that is long for Windows or that other programs may stumble over."""
    rows = []
    if system == "win32" and len(str(root)) > LONG_PATH:
        detail = text("doc_path_long", length=len(str(root)))
        rows.append(Row("note", text("doc_path"), detail, text("doc_path_long_help")))
    if not str(root).isascii():
        rows.append(Row("ok", text("doc_path"), text("doc_path_signs", path=root)))
    return rows


def environment_row(layout: Layout) -> Row:
    """State of `.venv`."""
    state = environment.examine(layout, (), os.environ.get(OVERRIDE), TORCH_VERSION).state
    title, detail = text("doc_env"), text(f"state_{state.value}")
    if state is State.READY:
        return Row("ok", title, f"{detail}, {layout.venv}")
    return Row("note", title, detail, text("doc_env_help", command=launcher_command("setup")))


def gpu_rows(gpus: tuple[Gpu, ...]) -> list[Row]:
    """The NVIDIA cards with driver and memory."""
    if sys.platform == "darwin":
        return []
    if not gpus:
        return [Row("ok", text("doc_gpu"), text("doc_gpu_none"), text("doc_gpu_none_help"))]
    rows = []
    for gpu in gpus:
        detail = text(
            "doc_gpu_one",
            name=gpu.name,
            memory="?" if gpu.memory_mib is None else f"{gpu.memory_mib / 1024:.1f} GB",
            driver=".".join(str(number) for number in gpu.driver or ()) or "?",
        )
        is_small = gpu.memory_mib is not None and gpu.memory_mib < SMALL_GPU_MIB
        remedy = text("doc_gpu_small") if is_small else ""
        rows.append(Row("note" if is_small else "ok", text("doc_gpu"), detail, remedy))
    return rows


def probe(layout: Layout, code: str) -> dict[str, Any]:
    """Run code in the environment and read the JSON it prints; {'failed': why} if it cannot."""
    try:
        answer = subprocess.run(
            [str(layout.python), "-c", code],
            cwd=layout.venv,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_LIMIT_S,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"failed": str(error)}
    lines = answer.stdout.strip().splitlines()
    if answer.returncode == 0 and lines:
        found: dict[str, Any] = json.loads(lines[-1])
        return found
    complaints = answer.stderr.strip().splitlines()
    return {"failed": complaints[-1] if complaints else f"exit status {answer.returncode}"}


def library_rows(probes: dict[str, Future[dict[str, Any]]], gpus: tuple[Gpu, ...]) -> list[Row]:
    """What torch, PySide6 and onnxruntime say; nothing before the set-up."""
    if not probes:
        return []
    answers = {name: future.result() for name, future in probes.items()}
    return [torch_row(answers["torch"], gpus), pyside_row(answers["pyside"]), onnx_row(answers["onnx"])]


def torch_row(answer: dict[str, Any], gpus: tuple[Gpu, ...]) -> Row:
    """Version and device of torch, and whether that device computes."""
    title = text("doc_torch")
    again = launcher_command("setup", "--fresh")
    if "failed" in answer:
        return failed_row(title, answer)
    version, device = answer["version"], answer["device"]
    if device == "cuda" and not runs_on(answer["capability"], answer["builds"]):
        builds = " ".join(f"sm_{build}" for build in answer["builds"])
        detail = text("doc_torch_arch", version=version, capability=answer["capability"], builds=builds)
        return Row("bad", title, detail, text("doc_torch_cpu_help", command=again))
    if answer["error"]:
        detail = text("doc_torch_slow", version=version, device=device, error=answer["error"])
        return Row("bad", title, detail, text("doc_env_help", command=again))
    if gpus and device == "cpu":
        detail = text("doc_torch_cpu", version=version)
        return Row("note", title, detail, text("doc_torch_cpu_help", command=again))
    name = answer["name"] or {"cpu": "CPU", "mps": "MPS"}.get(device, device)
    return Row("ok", title, f"{version}, {name}")


def runs_on(capability: str, builds: list[str]) -> bool:
    """True if one of the builds has code for a card of this capability: of its generation and not newer."""
    generation, minor = capability[:-1], capability[-1:]
    plain = [build.rstrip("af") for build in builds]
    return not plain or any(build[:-1] == generation and build[-1:] <= minor for build in plain)


def pyside_row(answer: dict[str, Any]) -> Row:
    """Whether the window library loads; without a screen it is not needed."""
    if "failed" in answer:
        return failed_row(text("doc_pyside"), answer, level="bad" if may_open_windows() else "note")
    return Row("ok", text("doc_pyside"), str(answer["version"]))


def may_open_windows() -> bool:
    """False on a Linux server, where the command line is all there is."""
    return sys.platform != "linux" or qt_libraries.has_screen(os.environ)


def onnx_row(answer: dict[str, Any]) -> Row:
    """Whether the tagger's runtime loads, and on what it can compute."""
    if "failed" in answer:
        return failed_row(text("doc_onnx"), answer)
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in answer["providers"])
    return Row("ok", text("doc_onnx"), f"{answer['version']}, {providers}")


def failed_row(title: str, answer: dict[str, Any], level: str = "bad") -> Row:
    """A library that does not load."""
    detail = text("doc_fails", error=answer["failed"])
    if "libGL" in detail or "libEGL" in detail or "libglib" in detail:
        return Row(level, title, detail)  # The row of the system libraries says what to install.
    if "DLL load failed" in detail or "WinError 126" in detail:
        return Row(level, title, detail, text("help_no_runtime"))
    return Row(level, title, detail, text("doc_env_help", command=launcher_command("setup", "--fresh")))


def qt_rows() -> list[Row]:
    """System libraries for the window, and a font for Chinese."""
    if sys.platform != "linux":
        return []
    return [*qt_library_rows(), *font_rows()]


def qt_library_rows() -> list[Row]:
    """Libraries that Qt needs from the system."""
    title = text("doc_qt_libs")
    base = qt_libraries.missing(qt_libraries.BASE)
    absent = base + qt_libraries.missing(qt_libraries.X11)
    if not absent:
        return [Row("ok", title, text("doc_ok"))]
    is_needed = may_open_windows() and (base or qt_libraries.uses_x11(os.environ))
    detail = text("doc_qt_libs_missing", names=", ".join(library.file for library in absent))
    command = system_packages.command_for(qt_libraries.packages_for(absent))
    return [Row("bad" if is_needed else "note", title, detail, text("doc_env_help", command=command))]


def font_rows() -> list[Row]:
    """Whether Chinese can be shown at all."""
    program = shutil.which("fc-list")
    if program is None:
        return []
    try:
        fonts = subprocess.run([program, ":lang=zh"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    if fonts.strip():
        return [Row("ok", text("doc_fonts"), text("doc_ok"))]
    package = qt_libraries.CHINESE_FONT.get(system_packages.manager() or "", "fonts-noto-cjk")
    remedy = text("doc_env_help", command=system_packages.command_for([package]))
    is_wanted = language() == 1 or may_open_windows()
    return [Row("note" if is_wanted else "ok", text("doc_fonts"), text("doc_fonts_none"), remedy)]


def setting_rows() -> list[Row]:
    """Variables that change what Kiln does."""
    rows = [
        Row("ok", text("doc_setting", name=name), os.environ[name])
        for name in (OVERRIDE, "PIP_INDEX_URL", "HF_ENDPOINT")
        if name in os.environ
    ]
    if os.environ.get("PYTHONPATH"):
        title = text("doc_setting", name="PYTHONPATH")
        rows.append(Row("note", title, os.environ["PYTHONPATH"], text("doc_pythonpath_help")))
    return rows


def network_rows() -> list[Row]:
    """Whether the servers answer that a set-up or a download would ask. Never more than a remark."""
    index = os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    torch = os.environ.get(OVERRIDE) or OFFICIAL
    places = {
        index: text("doc_net_pip"),
        torch: text("doc_net_torch", name=OVERRIDE),
        hub: text("doc_net_hub"),
        HUB_MIRROR: "",
    }
    addresses = [place for place in places if place.startswith(("http://", "https://"))]
    with ThreadPoolExecutor(max_workers=len(addresses)) as pool:
        times = dict(zip(addresses, pool.map(answer_time, addresses), strict=True))
    rows = []
    for address, seconds in times.items():
        if address == HUB_MIRROR != hub and (seconds is None or times.get(hub) is not None):
            continue  # Worth a word only where it would help.
        host = urllib.parse.urlsplit(address).netloc
        if seconds is None:
            rows.append(Row("note", text("doc_net"), text("doc_net_no", host=host), places[address]))
        else:
            rows.append(Row("ok", text("doc_net"), text("doc_net_yes", host=host, time=f"{seconds:.1f}")))
    return rows


def answer_time(address: str) -> float | None:
    """Seconds until the server answered anything at all; None if it did not in time."""
    started = time.monotonic()
    request = urllib.request.Request(address.rstrip("/") + "/", method="HEAD", headers={"User-Agent": "kiln-doctor"})
    try:
        urllib.request.urlopen(request, timeout=NETWORK_S, context=trusted()).close()
    except urllib.error.HTTPError:
        pass  # A refusal is an answer.
    except (OSError, ValueError):
        return None
    return time.monotonic() - started
