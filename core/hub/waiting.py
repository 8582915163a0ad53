"""Waiting for a server without being held by it: every wait ends at once when the user cancels."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, TypeVar

from core.control import Control

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

POLL_S = 0.05
_CHUNK_BYTES = 1 << 18
_MOST_CHUNKS = 16  # Read ahead of the disk.


class Cancelled(Exception):  # noqa: N818 - not an error
    """The user asked to stop."""


class Silence(Exception):  # noqa: N818 - an event of the network; callers make errors of it
    """Nothing comes from a server: no answer, no further bytes, or the connection broke."""


def patiently(call: Callable[[], T], control: Control, limit_s: float, discard: Callable[[T], None] | None = None) -> T:
    """The result of a call that may block for long; it runs in a thread that is left behind when time is up.

    Args:
        call: What to do. What it raises is raised here.
        control: Asked all the time whether to stop.
        limit_s: How long to wait.
        discard: What to do with a result that came too late.

    Raises:
        Cancelled: The user asked to stop.
        Silence: No result in time.
    """
    results: queue.SimpleQueue[tuple[T] | BaseException] = queue.SimpleQueue()
    lock = threading.Lock()
    is_left = False

    def work() -> None:
        result: tuple[T] | BaseException
        try:
            result = (call(),)
        except BaseException as error:  # Whatever it is, the waiting thread raises it.
            result = error
        with lock:
            if not is_left:
                results.put(result)
            elif discard is not None and isinstance(result, tuple):
                discard(result[0])

    def leave() -> None:
        nonlocal is_left
        with lock:
            is_left = True
        if discard is not None and not results.empty() and isinstance(late := results.get(), tuple):
            discard(late[0])

    threading.Thread(target=work, name="kiln-ask", daemon=True).start()
    end = time.monotonic() + limit_s
    while True:
        try:
            result = results.get(timeout=POLL_S)
        except queue.Empty:
            if control.stop_requested:
                leave()
                raise Cancelled from None
            if time.monotonic() >= end:
                leave()
                raise Silence(f"no answer in {limit_s:g} s") from None
            continue
        if isinstance(result, tuple):
            return result[0]
        raise result


def pause(seconds: float, control: Control) -> Iterator[None]:
    """Wait, giving the caller a turn many times a second.

    Raises:
        Cancelled: The user asked to stop.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if control.stop_requested:
            raise Cancelled
        yield
        time.sleep(min(POLL_S, left))


class Body:
    """What a server sends after its headers, read by a thread of its own."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self._chunks: queue.Queue[bytes | BaseException] = queue.Queue(_MOST_CHUNKS)
        self._is_left = threading.Event()
        threading.Thread(target=self._read, name="kiln-download", daemon=True).start()

    def chunks(self, control: Control) -> Generator[bytes, None, None]:
        """Pieces as they come, and empty ones while nothing comes; ends where the server ends.

        Raises:
            Cancelled: The user asked to stop.
            Silence: Nothing came for as long as the response was opened to wait, or the connection broke.
        """
        try:
            while True:
                if control.stop_requested:
                    yield from self._rest()
                    raise Cancelled
                try:
                    piece = self._chunks.get(timeout=POLL_S)
                except queue.Empty:
                    yield b""
                    continue
                if isinstance(piece, BaseException):
                    raise piece
                if not piece:
                    return
                yield piece
        finally:
            self._is_left.set()

    def _rest(self) -> Iterator[bytes]:
        """What came already and would come again the next time."""
        self._is_left.set()
        while not self._chunks.empty():
            piece = self._chunks.get()
            if isinstance(piece, bytes):
                yield piece

    def _read(self) -> None:
        import http.client

        import urllib3

        try:
            while not self._is_left.is_set():
                # One read of the socket each, so that nothing that came is lost when the connection breaks.
                data = self._response.raw.read1(_CHUNK_BYTES, decode_content=False)
                self._put(data)
                if not data:
                    return
        except (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
            broken = Silence(str(error))
            broken.__cause__ = error
            self._put(broken)
        except BaseException as error:  # A mistake of this program: told where it is waited for.
            self._put(error)
        finally:
            self._response.close()

    def _put(self, piece: bytes | BaseException) -> None:
        while not self._is_left.is_set():
            try:
                self._chunks.put(piece, timeout=POLL_S)
            except queue.Full:
                continue
            return
