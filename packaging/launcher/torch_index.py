"""Asking package indexes for PyTorch: can they be reached, and which build do they list for this machine."""

from __future__ import annotations

import html
import os
import re
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.machine import numbers_of
from launcher.torch_choice import TORCH_VERSION, TorchSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.machine import Machine

OLDEST_TORCH = (2, 6)
PROBE_S = 5.0


def settle(choices: Sequence[TorchSource], machine: Machine, timeout_s: float = PROBE_S) -> list[TorchSource]:
    """The choices that can be reached now, with the exact version that their index lists for this machine.

    An index that answers but whose page is not understood or not read in time stays, with the usual version. All
    are asked at once, so this takes `timeout_s` at most, also where a connection hangs.
    """
    pages = fetch_all([page_of(choice.index) for choice in choices if needs_probe(choice.index)], timeout_s)
    settled = []
    for choice in choices:
        if not needs_probe(choice.index):
            settled.append(choice)
            continue
        page = pages.get(page_of(choice.index))
        if page is None:
            continue
        version = best_version(page, machine)
        if version is not None:
            settled.append(replace(choice, requirement=f"torch=={version}"))
        elif "torch-" not in page:
            settled.append(choice)  # Answers, but with a page of another kind: let pip judge.
    wanted = f"torch=={TORCH_VERSION}"
    return sorted(settled, key=lambda choice: not choice.requirement.startswith(wanted))  # stable: else best first


def needs_probe(index: str) -> bool:
    """Only a server can be out of reach; empty means plain pip, the rest are folders."""
    return index.startswith(("http://", "https://"))


def page_of(index: str) -> str:
    """Address of the page of the index that lists the torch packages."""
    return index.rstrip("/") + "/torch/"


def fetch_all(urls: Sequence[str], timeout_s: float) -> dict[str, str]:
    """The pages that answered within the time, with as much text as arrived; empty text where only the server is
    known to be there. Threads that hang are left behind: they are daemons and end with the launcher.
    """
    found: dict[str, str] = {}
    deadline = time.monotonic() + timeout_s
    threads = [threading.Thread(target=_fetch, args=(url, deadline, found), daemon=True) for url in set(urls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def _fetch(url: str, deadline: float, found: dict[str, str]) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "kiln-setup", "Accept": "text/html"})
    left_s = max(0.1, deadline - time.monotonic())
    try:
        with urllib.request.urlopen(request, timeout=left_s, context=trusted()) as answer:
            parts = bytearray()
            while time.monotonic() < deadline:
                part = answer.read(65536)
                if not part:
                    found[url] = parts.decode("utf-8", "replace")
                    return
                parts += part
            found[url] = ""  # It answers, only too slowly to read all of it.
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            found[url] = ""  # pip brings its own certificates, so it may well get through.


def trusted() -> ssl.SSLContext:
    """The system's certificates, or the bundle that pip was told to use."""
    names = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    bundle = next((os.environ[name] for name in names if os.path.isfile(os.environ.get(name, ""))), None)  # noqa: PTH113
    return ssl.create_default_context(cafile=bundle)


WHEEL = re.compile(
    r"torch-(?P<version>\d[\d.]*(?:\+[\w.]+)?)-(?P<python>cp\d+)-(?P<abi>cp\d+t?)-(?P<platform>[\w.]+)\.whl"
)


def best_version(page: str, machine: Machine) -> str | None:
    """The version to ask for ('2.13.0+cu130'): `TORCH_VERSION`, else the newest before it that Kiln can use."""
    tag = "cp{}{}".format(*machine.python)
    abi = tag + ("t" if machine.free_threaded else "")
    newest = numbers_of(TORCH_VERSION) or ()
    usable: dict[tuple[int, ...], str] = {}
    for wheel in WHEEL.finditer(urllib.parse.unquote(html.unescape(page))):
        if wheel["python"] != tag or wheel["abi"] != abi or not fits(wheel["platform"], machine):
            continue
        numbers = numbers_of(wheel["version"].split("+")[0])
        if numbers is not None and OLDEST_TORCH <= numbers <= newest:
            usable[numbers] = wheel["version"]
    return usable[max(usable)] if usable else None


def fits(platform_tag: str, machine: Machine) -> bool:
    """True if a wheel with this platform tag runs here."""
    processors: Mapping[str, tuple[str, ...]] = {"x86_64": ("x86_64", "amd64"), "arm64": ("aarch64", "arm64")}
    systems = {"linux": ("linux", "manylinux"), "win32": ("win",), "darwin": ("macosx",)}
    return platform_tag.startswith(systems.get(machine.system, ())) and platform_tag.endswith(
        processors.get(machine.processor, ())
    )
