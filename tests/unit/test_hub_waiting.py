"""Waiting that can be cut short, and the small print of HTTP."""

from __future__ import annotations

import email.utils
import threading
import time
from pathlib import Path

import pytest

from core.control import Control
from core.hub.download import Limits, bytes_waiting
from core.hub.sources import Refusal, SourceError, endpoint_of, safe_name, title_of, wait_of
from core.hub.waiting import Body, Cancelled, Silence, patiently, pause


def test_a_call_gives_its_result_or_its_error() -> None:
    assert patiently(lambda: 4, Control(), 5) == 4
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 / 0, Control(), 5)


def test_time_runs_out_and_a_late_result_is_discarded() -> None:
    release, discarded = threading.Event(), threading.Event()

    def late() -> int:
        release.wait(10)
        return 7

    found: list[int] = []
    with pytest.raises(Silence):
        patiently(late, Control(), 0.01, discard=lambda value: (found.append(value), discarded.set())[-1])
    release.set()
    assert discarded.wait(5)
    assert found == [7]


def test_a_wish_to_stop_ends_a_call_and_a_pause() -> None:
    control, release = Control(), threading.Event()
    control.ask("stop")
    started = time.monotonic()
    with pytest.raises(Cancelled):
        patiently(lambda: release.wait(30), control, 30)
    with pytest.raises(Cancelled):
        list(pause(30, control))
    release.set()
    assert time.monotonic() - started < 1


class FakeResponse:
    """Sends pieces, then nothing for ever."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.raw = self
        self._pieces = list(pieces)
        self.has_sent_all = threading.Event()
        self.may_end = threading.Event()
        self.is_closed = threading.Event()

    def read1(self, _size: int, decode_content: bool) -> bytes:
        assert not decode_content
        if self._pieces:
            return self._pieces.pop(0)
        self.has_sent_all.set()
        self.may_end.wait(10)
        return b""

    def close(self) -> None:
        self.is_closed.set()


def test_what_came_before_a_stop_is_not_thrown_away() -> None:
    control, response = Control(), FakeResponse([b"a", b"b", b"c"])
    chunks = Body(response).chunks(control)  # type: ignore[arg-type]
    assert response.has_sent_all.wait(5)
    control.ask("stop")
    came: list[bytes] = []

    def follow() -> None:
        for piece in chunks:
            came.append(piece)

    with pytest.raises(Cancelled):
        follow()
    assert b"".join(came) == b"abc"
    response.may_end.set()
    assert response.is_closed.wait(5)


def test_waits_double_and_are_capped() -> None:
    limits = Limits(first_wait_s=1, longest_wait_s=6)
    assert [limits.wait_s(attempt) for attempt in (1, 2, 3, 4)] == [1, 2, 4, 6]
    assert limits.wait_s(1, 3.5) == 3.5
    assert limits.wait_s(1, 1000) == 6


def test_retry_after_is_a_number_or_a_date() -> None:
    assert wait_of(None) is None
    assert wait_of("12") == 12
    assert wait_of("-3") == 0
    assert wait_of("soon") is None
    assert wait_of(email.utils.formatdate(time.time() + 30, usegmt=True)) == pytest.approx(30, abs=2)
    assert wait_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0


def test_some_refusals_pass() -> None:
    assert [status for status in (400, 401, 403, 404, 408, 429, 500, 503) if Refusal(status).is_passing] == [
        408,
        429,
        500,
        503,
    ]


@pytest.mark.parametrize("name", ["model.onnx", "unet/config.json", "a/b/c.d", "console.txt", ".gitattributes"])
def test_ordinary_names_are_safe(name: str) -> None:
    assert safe_name(name, "mirror") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "../a",
        "a/../b",
        "./a",
        "a\\b",
        "C:a",
        "a\x00",
        "a\n",
        "CON",
        "lpt1.txt",
        "a ",
        "a.",
        "a|b",
        "CONOUT$",
        "com¹.txt",
        "com１",
        "nul .txt",
        "x" * 300,
        "学" * 100,
        ".lock",
        "Kiln-Model.json",
        "a/.kiln-a.part",
    ],
)
def test_names_that_some_system_takes_for_something_else_are_refused(name: str) -> None:
    with pytest.raises(SourceError):
        safe_name(name, "mirror")


def test_a_part_that_is_completed_meanwhile_is_not_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, completed = tmp_path / ".kiln-a.part", tmp_path / ".kiln-b.part"
    waiting.write_bytes(b"123")
    monkeypatch.setattr(Path, "rglob", lambda *_: iter((completed, waiting)))
    assert bytes_waiting(tmp_path) == 3


def test_the_mirror_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KILN_HF_MIRROR", "KILN_HUGGINGFACE", "HF_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    assert endpoint_of("mirror") == "https://hf-mirror.com"
    monkeypatch.setenv("HF_ENDPOINT", "https://huggingface.co")
    assert endpoint_of("mirror") == "https://hf-mirror.com"
    monkeypatch.setenv("HF_ENDPOINT", "https://models.example.org/")
    assert endpoint_of("mirror") == "https://models.example.org"
    assert title_of("mirror") == "models.example.org"
    assert endpoint_of("huggingface") == "https://huggingface.co"
    monkeypatch.setenv("HF_ENDPOINT", "https://me:secret@models.example.org:8443/hub/")
    assert endpoint_of("mirror") == "https://models.example.org:8443/hub"
    assert title_of("mirror") == "models.example.org:8443"
