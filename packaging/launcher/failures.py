"""Known technical failures of a set-up, in the user's words."""

from __future__ import annotations

import re
import sys

from launcher.commands import launcher_command
from launcher.errors import SetupError
from launcher.messages import text

PATTERNS: tuple[tuple[str, str], ...] = (
    ("disk_full", r"No space left on device|\[Errno 28\]|WinError 112|Disk quota exceeded|\[Errno 122\]"),
    ("no_venv", r"ensurepip is not\s+available|No module named '?(venv|ensurepip)\b|python3-venv"),
    ("in_use", r"WinError 32|being used by another process|Text file busy"),
    ("no_links", r"(Operation not permitted|Function not implemented|not supported).*lib64"),
    ("long_path", r"WinError 206|File name too long|enabling-long-paths|Windows Long Path support"),
    ("permission", r"Permission denied|Access is denied|WinError 5\b|\[Errno 13\]|Read-only file system|拒绝访问"),
    ("proxy", r"ProxyError|Cannot connect to proxy|407 Proxy Authentication"),
    ("certificate", r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|SSLError"),
    ("damaged", r"DO NOT MATCH THE HASHES|incomplete-download|IncompleteRead|BadZipFile|has an invalid wheel"),
    (
        "network",
        r"name resolution|getaddrinfo failed|nodename nor servname|Name or service not known|NameResolutionError"
        r"|NewConnectionError|ConnectTimeoutError|Read timed out|ReadTimeoutError|Connection (refused|reset|aborted)"
        r"|Network is unreachable|No route to host|RemoteDisconnected|Max retries exceeded|ProtocolError",
    ),
    ("server", r"HTTP error [45]\d\d|\b(403|404|50\d) (Client|Server) Error"),
    ("no_package", r"No matching distribution found|Could not find a version that satisfies"),
    ("conflict", r"ResolutionImpossible|conflicting dependencies"),
    ("no_runtime", r"WinError (126|1114)|DLL load failed|VCRUNTIME|Visual C\+\+ Redistributable"),
    ("build", r"Failed building wheel|Failed to build|subprocess-exited-with-error|Microsoft Visual C\+\+ 14"),
    ("old_system", r"GLIBC(XX)?_\d[\d.]*'? not found|cannot open shared object file"),
)
"""Kind of failure and what its output looks like; the first that is found counts."""

KINDS = (*(kind for kind, _ in PATTERNS), "memory", "unknown")

OTHER_SOURCE_MAY_HELP = frozenset({"network", "server", "no_package", "damaged", "certificate", "proxy", "unknown"})
"""Failures after which another package index is worth a try."""


def classify(output: str, returncode: int = 1) -> str:
    """The kind of failure that this output of pip, venv or an import shows."""
    if returncode in (-9, 137):
        return "memory"
    return next((kind for kind, pattern in PATTERNS if re.search(pattern, output)), "unknown")


def explain(kind: str, output: str = "") -> SetupError:
    """The sentence and the remedy for a kind of failure."""
    values = {
        "detail": last_error(output),
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "venv_package": f"python3.{sys.version_info[1]}-venv",
        "command": launcher_command("setup", "--fresh"),
    }
    return SetupError(text(f"fail_{kind}", **values), text(f"help_{kind}", **values), kind=kind)


def last_error(output: str) -> str:
    """The line of the output that says most: pip's last ERROR line, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR:", "error:"))]
    return (errors or lines or [""])[-1].removeprefix("ERROR:").strip()
