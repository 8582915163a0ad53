"""Where models come from: Hugging Face, a mirror of it, ModelScope; their addresses, and what their refusals mean."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from core.errors import UserError
from core.hub import manifest
from core.hub.catalog import ModelCard

Source = Literal["huggingface", "mirror", "modelscope"]
Wish = Literal["auto", "huggingface", "mirror", "modelscope"]

_ENDPOINTS: dict[Source, tuple[str, str]] = {
    "huggingface": ("KILN_HUGGINGFACE", "https://huggingface.co"),
    "mirror": ("KILN_HF_MIRROR", "https://hf-mirror.com"),
    "modelscope": ("KILN_MODELSCOPE", "https://www.modelscope.cn"),
}
"""Of each source the variable that overrides its address, and the address."""

_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_OWN = re.compile(rf"\.lock|{re.escape(manifest.NAME)}|\.kiln-.*", re.IGNORECASE)
"""What Kiln itself puts into a model's folder."""
_MOST_BYTES = 240  # Of a name; most file systems have 255, and Kiln may add some.


class SourceError(Exception):
    """A source cannot give a model; another one may. `problem` is what the user reads when none can."""

    def __init__(self, problem: UserError) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Refusal(Exception):  # noqa: N818 - becomes a SourceError, or a wait
    """A server answered, but not with what was asked for. `wait_s` is how long it wants to be left alone."""

    def __init__(self, status: int, wait_s: float | None = None) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.wait_s = wait_s

    @property
    def is_passing(self) -> bool:
        """Whether the same question may be answered later."""
        return self.status in (408, 425, 429) or self.status >= 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file at a source. `name` is where it goes below the model's folder, with `/`.

    One of `sha256` and `git_sha1` (that of git, over a header and the content) is known. `headers` are for `url` only.
    """

    name: str
    url: str
    source: Source
    size_bytes: int
    sha256: str = ""
    git_sha1: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a model at a source, all of one revision."""

    source: Source
    origin: str
    files: tuple[RemoteFile, ...]


def endpoint_of(source: Source) -> str:
    """The address of a source, without a login and without a slash at its end.

    `HF_ENDPOINT` is the mirror unless it is Hugging Face.
    """
    parts = urlsplit(_address(source))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def login_of(source: Source) -> dict[str, str]:
    """The header for the name and the password that stand in the address of a source; none where none do."""
    login = urlsplit(_address(source)).netloc.rpartition("@")[0]
    return {"authorization": f"Basic {base64.b64encode(unquote(login).encode()).decode()}"} if login else {}


def title_of(source: Source) -> str:
    """What a source is called; of a mirror the host and the port."""
    if source == "mirror":
        return urlsplit(endpoint_of(source)).netloc or endpoint_of(source)
    return "Hugging Face" if source == "huggingface" else "ModelScope"


def sources_for(card: ModelCard, wish: Wish) -> tuple[Source, ...]:
    """The sources to try for a model, in order. With `HF_ENDPOINT` set, that mirror comes first.

    Raises:
        UserError: The source that is wanted does not have the model.
    """
    if wish == "auto":
        first: tuple[Source, ...] = ("mirror", "huggingface") if _has_own_mirror() else ("huggingface", "mirror")
        return (*first, "modelscope") if card.model_scope else first
    if wish == "modelscope" and card.model_scope is None:
        raise UserError(
            "{title} is not on ModelScope.", remedy="Choose Hugging Face or its mirror instead.", title=card.title
        )
    return (wish,)


def refused(refusal: Refusal, card: ModelCard, source: Source) -> SourceError:
    """The error for an answer that is no success, with what helps."""
    problem: UserError
    if refusal.status in (401, 403):
        problem = UserError(
            "{source} gives {title} only to those who accepted its licence there.",
            remedy="Accept it on {page}, set HF_TOKEN to your access token, and download from Hugging Face.",
            source=title_of(source),
            title=card.title,
            page=card.page,
        )
    elif refusal.status in (404, 410):
        problem = UserError(
            "{source} does not have {title}.",
            remedy="Choose another source, or a folder where you have the model.",
            source=title_of(source),
            title=card.title,
        )
    elif refusal.status == 407:
        problem = UserError(
            "The proxy of this machine wants a name and a password.",
            remedy="Put them into HTTPS_PROXY, in the form http://name:password@host:port.",
        )
    elif refusal.status == 429:
        problem = UserError(
            "{source} gets too many requests from this address.",
            remedy="Try again in some minutes, or choose another source.",
            source=title_of(source),
        )
    else:
        problem = UserError(
            "{source} answers with the error {status}.",
            remedy="Try again later, or choose another source.",
            source=title_of(source),
            status=refusal.status,
        )
    problem.__cause__ = refusal
    return SourceError(problem)


def wait_of(value: str | None) -> float | None:
    """The seconds of a `Retry-After` header, which is a number or a date."""
    import email.utils
    import time

    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def safe_name(name: str, source: Source) -> str:
    """A file's name as a source gives it, once it is sure that it stays within its folder on every system.

    Raises:
        SourceError: It does not, some system cannot have such a file, or Kiln has one of that name there.
    """
    for part in name.split("/"):
        is_odd = part in ("", ".", "..") or part[-1] in ". " or len(part.encode()) > _MOST_BYTES
        if is_odd or _FORBIDDEN.search(part) or _RESERVED.fullmatch(part) or _OWN.fullmatch(part):
            raise bad_name(name, source)
    return name


def bad_name(name: str, source: Source) -> SourceError:
    """The error for a file that cannot be kept under its name."""
    return SourceError(
        UserError(
            "{source} names a file that cannot be kept in the model's folder: {name}.",
            remedy="Nothing was downloaded; choose another source.",
            source=title_of(source),
            name=repr(name)[:200],
        )
    )


def check_online() -> None:
    """Heed the switch that turns all downloads off.

    Raises:
        UserError: It is set.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in ("1", "ON", "YES", "TRUE"):
        raise UserError(
            "Downloads are turned off on this machine by HF_HUB_OFFLINE.",
            remedy="Remove that variable and start Kiln again.",
        )


def _address(source: Source) -> str:
    variable, address = _ENDPOINTS[source]
    own = os.environ.get("HF_ENDPOINT", "") if source == "mirror" and _has_own_mirror() else ""
    return os.environ.get(variable) or own or address


def _has_own_mirror() -> bool:
    return urlsplit(os.environ.get("HF_ENDPOINT", "")).netloc not in ("", "huggingface.co")


def no_http_proxy() -> SourceError:
    """The error for a proxy of another kind, such as SOCKS, which needs a library that Kiln does not bring."""
    return SourceError(
        UserError(
            "The proxy of this machine is no HTTP proxy, and Kiln cannot use others, such as SOCKS.",
            remedy="Set HTTPS_PROXY to the http:// address of your proxy, or remove ALL_PROXY; "
            "most programs offer HTTP beside SOCKS.",
        )
    )


def bad_token() -> SourceError:
    """The error for an access token that cannot be sent."""
    return SourceError(
        UserError(
            "Your access token for Hugging Face has a character that no token has.",
            remedy="Copy it again from huggingface.co/settings/tokens into HF_TOKEN, without quotes and spaces.",
        )
    )
