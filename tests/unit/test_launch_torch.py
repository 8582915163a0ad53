"""Which PyTorch the launcher picks for a machine, and how it asks the indexes. No test leaves this computer."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "packaging"))

from launcher import machine as machines
from launcher import plan, torch_choice, torch_index
from launcher.environment import Layout
from launcher.machine import Gpu, Machine
from launcher.torch_choice import OFFICIAL, PLAIN, TORCH_VERSION, TorchSource, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

RTX_4060 = Gpu("NVIDIA GeForce RTX 4060", driver=(581, 29), capability=(8, 9), memory_mib=8188)
LINUX = Machine("linux", "x86_64", python=(3, 11))

QUERY_ANSWER = """\
NVIDIA GeForce RTX 4060, 581.29, 8.9, 8188
NVIDIA GeForce GTX 1080, with a comma, 581.29, [N/A], [N/A]
"""
LIST_ANSWER = """\
GPU 0: NVIDIA GeForce GTX 1060 6GB (UUID: GPU-8a2b)
GPU 1: Tesla K80 (UUID: GPU-1c)
"""

PAGE = """<!DOCTYPE html><html><body>
<a href="/whl/cu130/torch-2.14.0%2Bcu130-cp311-cp311-manylinux_2_28_x86_64.whl">torch-2.14.0+cu130-cp311</a>
<a href="/whl/cu130/torch-2.13.0%2Bcu130-cp311-cp311-manylinux_2_28_x86_64.whl#sha256=ab">torch</a>
<a href="/whl/cu130/torch-2.13.0%2Bcu130-cp311-cp311-win_amd64.whl#sha256=ab">torch</a>
<a href="/whl/cu130/torch-2.12.1%2Bcu130-cp312-cp312-win_amd64.whl">torch</a>
<a href="/whl/cu130/torch-2.12.0%2Bcu130-cp312-cp312-win_amd64.whl">torch</a>
<a href="/whl/cu130/torch-2.5.1%2Bcu130-cp310-cp310-win_amd64.whl">torch</a>
<a href="/whl/cu130/torch-2.13.0%2Bcu130-cp313-cp313t-win_amd64.whl">torch</a>
</body></html>"""


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (Machine("win32", "x86_64"), [("cpu", "cpu")]),
        (Machine("linux", "x86_64"), [("cpu", "cpu")]),
        (Machine("linux", "arm64"), [("cpu", "cpu")]),
        (Machine("win32", "x86_64", (RTX_4060,)), [("cuda", "cu130"), ("cuda", "cu126")]),
        (Machine("linux", "x86_64", (RTX_4060,)), [("cuda", "cu130"), ("cuda", "cu126")]),
        (Machine("darwin", "arm64"), [("mps", "")]),
        (Machine("darwin", "x86_64"), [("cpu", "")]),
    ],
)
def test_device_decides_the_index(machine: Machine, expected: list[tuple[str, str]]) -> None:
    found = [(source.device, source.index.removeprefix(OFFICIAL)) for source in sources(machine, None)]
    assert found == expected


@pytest.mark.parametrize(
    ("capability", "driver", "expected"),
    [
        ((8, 9), (581, 29), ["cu130", "cu126"]),
        ((8, 9), (560, 94), ["cu126", "cu128"]),  # A driver before 580 runs CUDA 12 only.
        ((6, 1), (581, 29), ["cu126"]),  # CUDA 13 left Pascal behind.
        ((7, 0), (550, 54, 14), ["cu126"]),
        ((12, 0), (581, 29), ["cu130", "cu128"]),  # CUDA 12.6 does not know Blackwell.
        ((12, 0), (572, 16), ["cu128", "cu130"]),
        (None, None, ["cu130", "cu126"]),
    ],
)
def test_card_and_driver_decide_the_cuda_build(
    capability: tuple[int, int] | None, driver: tuple[int, ...] | None, expected: list[str]
) -> None:
    machine = Machine("linux", "x86_64", (Gpu("card", driver, capability),))
    assert torch_choice.cuda_builds(machine) == expected


def test_the_weakest_of_several_cards_decides() -> None:
    machine = Machine("linux", "x86_64", (RTX_4060, Gpu("GTX 1080", (581, 29), (6, 1))))
    assert torch_choice.cuda_builds(machine) == ["cu126"]


@pytest.mark.parametrize(
    ("driver", "capability", "too_old"),
    [((470, 57), (8, 6), True), ((535, 1), (8, 6), False), ((560, 1), (12, 0), True), (None, (8, 6), False)],
)
def test_old_drivers_are_noticed(driver: tuple[int, ...] | None, capability: tuple[int, int], too_old: bool) -> None:
    assert torch_choice.driver_is_too_old(Machine("linux", "x86_64", (Gpu("card", driver, capability),))) is too_old


@pytest.mark.parametrize("machine", [LINUX, Machine("win32", "x86_64", (RTX_4060,)), Machine("darwin", "arm64")])
def test_override_beats_the_device(machine: Machine) -> None:
    assert sources(machine, "https://mirror.example/cu126") == [TorchSource("any", "https://mirror.example/cu126")]
    assert sources(machine, "") == [PLAIN]


def test_titles_are_for_people() -> None:
    titles = [TorchSource("cuda", OFFICIAL + "cu130").title, TorchSource("cpu", OFFICIAL + "cpu").title]
    assert titles == ["CUDA 13.0", "CPU"]


def test_nvidia_smi_is_understood() -> None:
    first, second = machines.parse_query(QUERY_ANSWER)
    assert first == RTX_4060
    assert (second.name, second.capability, second.memory_mib) == ("NVIDIA GeForce GTX 1080, with a comma", None, None)
    assert [gpu.name for gpu in machines.parse_list(LIST_ANSWER)] == ["NVIDIA GeForce GTX 1060 6GB", "Tesla K80"]
    assert machines.parse_query("NVIDIA-SMI has failed because it couldn't communicate with the driver.\n") == ()


@pytest.mark.parametrize(
    ("machine", "version"),
    [
        (Machine("linux", "x86_64", python=(3, 11)), "2.13.0+cu130"),
        (Machine("win32", "x86_64", python=(3, 11)), "2.13.0+cu130"),
        (Machine("win32", "x86_64", python=(3, 12)), "2.12.1+cu130"),  # The newest that is there.
        (Machine("win32", "x86_64", python=(3, 10)), None),  # 2.5 is too old for Kiln.
        (Machine("linux", "arm64", python=(3, 11)), None),
        (Machine("win32", "x86_64", python=(3, 13)), None),
        (Machine("win32", "x86_64", python=(3, 13), free_threaded=True), "2.13.0+cu130"),
    ],
)
def test_index_page_names_the_exact_build(machine: Machine, version: str | None) -> None:
    assert torch_index.best_version(PAGE, machine) == version


def test_index_that_answers_is_used_with_its_build() -> None:
    with serving(PAGE) as url:
        assert torch_index.settle([TorchSource("cuda", url)], LINUX) == [
            TorchSource("cuda", url, requirement="torch==2.13.0+cu130")
        ]


def test_index_without_a_build_for_this_python_is_left_out() -> None:
    with serving(PAGE) as url:
        assert torch_index.settle([TorchSource("cuda", url)], Machine("linux", "arm64", python=(3, 11))) == []


def test_index_with_a_page_of_another_kind_is_left_to_pip() -> None:
    with serving("<html>a list without names</html>") as url:
        assert torch_index.settle([TorchSource("any", url)], LINUX) == [TorchSource("any", url)]


def test_index_with_the_wanted_version_comes_first() -> None:
    with serving(PAGE.replace("2.13.0", "2.11.0")) as old, serving(PAGE) as new:
        found = torch_index.settle([TorchSource("cuda", old), TorchSource("cuda", new)], LINUX)
    assert [source.index for source in found] == [new, old]


def test_index_that_refuses_or_is_unknown_is_left_out_at_once() -> None:
    with serving(PAGE, status=403) as forbidden:
        choices = [TorchSource("cpu", url) for url in (f"http://127.0.0.1:{free_port()}/cpu", forbidden)]
        assert torch_index.settle(choices, LINUX) == []


def test_index_that_hangs_costs_only_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Takes connections and never answers.
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/cpu"
        started = time.monotonic()
        assert torch_index.settle([TorchSource("cpu", url), TorchSource("cpu", url + "2")], LINUX, timeout_s=0.2) == []
        assert time.monotonic() - started < 2


def test_plain_pip_and_folders_are_not_asked() -> None:
    choices = [PLAIN, TorchSource("any", "/srv/wheels")]
    assert torch_index.settle(choices, LINUX, timeout_s=0.0) == choices


@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_plan_is_text_and_changes_nothing(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(torch_choice.OVERRIDE, raising=False)
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    machine = Machine(system, "arm64" if system == "darwin" else "x86_64", (RTX_4060,) if system == "win32" else ())
    found = plan.describe(Layout(tmp_path), ("test",), ["python", "-m", "pytest"], machine)
    assert f"torch=={TORCH_VERSION}" in found
    assert {"linux": OFFICIAL + "cpu", "win32": OFFICIAL + "cu130", "darwin": "torch"}[system] in found
    assert ".[test]" in found
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def serving(page: str, status: int = 200) -> Iterator[str]:
    """An index whose every page is this one."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/whl/cu130"
        finally:
            server.shutdown()
            thread.join()
