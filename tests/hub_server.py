"""A hub of models on this machine that does what real ones do on bad days: it cuts, stalls, corrupts and refuses."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "5" * 40
LFS_FROM_BYTES = 1000
"""Smaller files have a hash of git only, as on Hugging Face."""


@dataclass(frozen=True, slots=True)
class Bad:
    """What goes wrong with one request of a file, or of the list of files (`list`).

    `status` answers with an error, `error_code` is its reason in the words of Hugging Face; `cut` and `stall` stop at
    that share of the whole file, `stall` without closing; `corrupt` changes a byte; `extra_bytes` sends more than there
    is; `ignores_range` sends all; `slow` sends nothing until the server ends; `moved_to` is another address; `text` is
    a page instead; `hides_length` says of neither how long it is.
    """

    status: int = 0
    retry_after: str = ""
    error_code: str = ""
    cut: float = 1.0
    stall: float = 1.0
    corrupt: bool = False
    extra_bytes: int = 0
    ignores_range: bool = False
    slow: bool = False
    moved_to: str = ""
    text: str = ""
    hides_length: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    sent_bytes: list[int] = field(default_factory=list)

    @property
    def first_byte(self) -> int:
        """Where the asked part begins."""
        found = re.match(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


class Hub:
    """The server. `files` are the contents of the only repository; `bad[name]` are the coming misfortunes of a file."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = dict(files)
        self.bad: dict[str, list[Bad]] = {}
        self.asked: list[Asked] = []
        self.bytes_per_piece = 1 << 14
        self.ending = threading.Event()
        self.stalled = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()

    def asked_for(self, name: str) -> list[Asked]:
        """The requests of a file, in order."""
        return [asked for asked in self.asked if _file_of(asked.path) == name]


@contextlib.contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Hub]:
    hub = Hub(files)
    try:
        yield hub
    finally:
        hub.close()


def _file_of(path: str) -> str:
    parts = urlsplit(path)
    if "/resolve/" in parts.path:
        return unquote(parts.path.split("/resolve/", 1)[1].split("/", 1)[1])
    return parse_qs(parts.query).get("FilePath", ["list"])[0]


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # A client that cancelled.
            super().handle()

    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self._answer(407, b"", {})  # As a tunnel, it wants to know who asks.

    def do_GET(self) -> None:
        asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()})
        self.hub.asked.append(asked)
        name = _file_of(self.path)
        waiting = self.hub.bad.get(name, [])
        bad = waiting.pop(0) if waiting else Bad()
        with contextlib.suppress(ConnectionError):
            if bad.slow:
                self.hub.ending.wait(60)
                self.close_connection = True
            elif bad.moved_to:
                self._answer(302, b"", {"Location": bad.moved_to + self.path})
            elif bad.status:
                headers = {"Retry-After": bad.retry_after, "X-Error-Code": bad.error_code}
                self._answer(bad.status, b"no", {name: value for name, value in headers.items() if value})
            elif bad.text:
                self._answer(200, bad.text.encode(), {"Content-Type": "text/html"}, has_length=not bad.hides_length)
            elif name == "list":
                self._answer(200, json.dumps(self._list()).encode(), {"Content-Type": "application/json"})
            elif name not in self.hub.files:
                self._answer(404, b"no", {})
            else:
                self._send_file(name, bad, asked)

    def _list(self) -> object:
        files = self.hub.files
        if urlsplit(self.path).path.startswith("/api/v1/"):
            entries: list[dict[str, object]] = [{"Type": "tree", "Path": "folder", "Size": 0}]
            for name, data in files.items():
                sha256 = hashlib.sha256(data).hexdigest()
                entries.append({"Type": "blob", "Path": name, "Size": len(data), "Sha256": sha256})
            return {"Code": 200, "Data": {"Files": entries}}
        siblings: list[dict[str, object]] = []
        for name, data in files.items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": git_sha1(data)}
            if len(data) >= LFS_FROM_BYTES:
                lfs = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
                sibling["lfs"] = lfs
            siblings.append(sibling)
        return {"id": "someone/model", "sha": COMMIT, "siblings": siblings}

    def _send_file(self, name: str, bad: Bad, asked: Asked) -> None:
        data = self.hub.files[name]
        start = 0 if bad.ignores_range else asked.first_byte
        if start > len(data):
            self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        is_part = start > 0
        body = bytearray(data[start:])
        if bad.corrupt:
            body[len(body) // 2] ^= 1
        body += b"x" * bad.extra_bytes
        self.send_response(206 if is_part else 200)
        self._say_length(len(body), is_hidden=bad.hides_length)
        if is_part:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        end = max(0, int(len(data) * min(bad.cut, bad.stall)) - start) if min(bad.cut, bad.stall) < 1 else len(body)
        for first in range(0, end, self.hub.bytes_per_piece):
            piece = body[first : min(end, first + self.hub.bytes_per_piece)]
            self.wfile.write(piece)
            asked.sent_bytes.append(len(piece))
        if bad.stall < 1:
            self.hub.stalled.set()
            self.hub.ending.wait(60)
        if end < len(body):
            self.close_connection = True

    def _say_length(self, num_bytes: int, is_hidden: bool) -> None:
        if is_hidden:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(num_bytes))

    def _answer(self, status: int, body: bytes, headers: dict[str, str], has_length: bool = True) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self._say_length(len(body), is_hidden=not has_length)
        self.end_headers()
        self.wfile.write(body)
