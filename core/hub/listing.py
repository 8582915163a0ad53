"""What a source has of a model: names, sizes and hashes, asked for by HTTP."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from core.errors import UserError
from core.hub.catalog import ModelCard
from core.hub.sources import (
    Listing,
    Refusal,
    RemoteFile,
    Source,
    SourceError,
    bad_name,
    bad_token,
    endpoint_of,
    login_of,
    no_http_proxy,
    safe_name,
    title_of,
    wait_of,
)
from core.hub.waiting import Silence

if TYPE_CHECKING:
    import requests


def load_libraries() -> None:
    """Load what asking needs, which may take seconds on a slow disk; otherwise the first source would seem slow."""
    import requests  # noqa: F401
    from huggingface_hub import get_token  # noqa: F401


def list_files(card: ModelCard, source: Source, answer_s: float) -> Listing:
    """Ask a source for the files of a model. Blocks.

    Args:
        card: The model.
        source: Whom to ask.
        answer_s: How long each part of the question may take.

    Raises:
        Silence: It cannot be reached.
        Refusal: It answers with an error.
        SourceError: It lacks files, has other ones than Kiln knows, or answers with something else; or this machine is
            set up so that it cannot be asked.
    """
    try:
        listing = _list_model_scope(card, answer_s) if source == "modelscope" else _list_hub(card, source, answer_s)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = UserError(
            "{source} answers with something that is no list of files.",
            remedy="A login page or a proxy may be in between: open it in a browser, or choose another source.",
            source=title_of(source),
        )
        problem.__cause__ = error
        raise SourceError(problem) from error
    return listing


def ask(url: str, headers: Mapping[str, str], answer_s: float, silent_s: float) -> requests.Response:
    """Open a page or a file; its content is not read yet. Blocks.

    Passwords of `.netrc` are never sent, and headers never go on to another host.

    Raises:
        Silence: No answer.
        Refusal: An answer that is no success.
        SourceError: The proxy is of a kind that cannot be used.
    """
    import requests

    _check_proxy(url)
    try:
        response = requests.get(
            url,
            headers={"user-agent": "kiln", "accept-encoding": "identity", **headers},
            stream=True,
            timeout=(answer_s, silent_s),
            auth=lambda request: request,
        )
    except requests.RequestException as error:
        if isinstance(error, requests.exceptions.ProxyError) and " 407 " in str(error):
            raise Refusal(407) from error  # Of a tunnel there is no response, only these words.
        raise Silence(str(error)) from error
    if response.status_code not in (200, 206):
        response.close()
        is_missing = response.headers.get("X-Error-Code", "").endswith("NotFound")
        raise Refusal(404 if is_missing else response.status_code, wait_of(response.headers.get("Retry-After")))
    return response


def _check_proxy(url: str) -> None:
    """Refuse a proxy that the HTTP library cannot use; what it raises itself differs between versions."""
    from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    try:
        scheme = urlsplit(prepend_scheme_if_needed(proxy, "http")).scheme if proxy else "http"
    except ValueError as error:  # No address at all.
        raise no_http_proxy() from error
    if scheme not in ("http", "https"):
        raise no_http_proxy()


def _answer(url: str, headers: Mapping[str, str], answer_s: float) -> Any:
    """The JSON that a page consists of; errors are those of `ask`, and `ValueError` where it is something else."""
    import requests

    with ask(url, headers, answer_s, answer_s) as response:
        try:
            return response.json()
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise Silence(str(error)) from error


def _list_hub(card: ModelCard, source: Source, answer_s: float) -> Listing:
    address, repo = endpoint_of(source), card.hugging_face
    page = f"{address}/api/models/{repo.name}/revision/{quote(repo.revision, safe='')}?blobs=true"
    headers = login_of(source) or _token_header(source)
    try:
        answer = _answer(page, headers, answer_s)
    except Refusal as error:
        if error.status != 401 or not headers:
            raise
        headers = {}  # An outdated token is refused even where none is needed.
        answer = _answer(page, headers, answer_s)
    revision = str(answer.get("sha") or repo.revision)
    found = {}
    for entry in answer["siblings"]:
        path = str(entry["rfilename"])
        lfs = entry.get("lfs")
        found[path] = _remote(
            path,
            f"{address}/{repo.name}/resolve/{quote(revision, safe='')}/{quote(path, errors='replace')}",
            source,
            entry.get("size"),
            str(lfs["sha256"]) if lfs else "",
            "" if lfs else str(entry.get("blobId") or ""),
            headers,
        )
    return _chosen(card, source, f"{address}/{repo.name}@{revision}", found)


def _token_header(source: Source) -> dict[str, str]:
    """The user's token, which belongs to Hugging Face: a mirror is somebody else.

    Raises:
        SourceError: It cannot be one.
    """
    from huggingface_hub import get_token

    token = get_token() if source == "huggingface" else None
    if not token:
        return {}
    if not re.fullmatch(r"[!-~]+", token):
        raise bad_token()
    return {"authorization": f"Bearer {token}"}


def _list_model_scope(card: ModelCard, answer_s: float) -> Listing:
    assert card.model_scope is not None
    address = endpoint_of("modelscope")
    repo = f"{address}/api/v1/models/{card.model_scope.name}/repo"
    revision = quote(card.model_scope.revision, safe="")
    answer = _answer(f"{repo}/files?Revision={revision}&Recursive=true", {}, answer_s)
    found = {}
    for entry in answer["Data"]["Files"]:
        if entry["Type"] == "tree":
            continue
        path = str(entry["Path"])
        url = f"{repo}?Revision={revision}&FilePath={quote(path, safe='', errors='replace')}"
        found[path] = _remote(path, url, "modelscope", entry["Size"], str(entry.get("Sha256") or ""), "", {})
    return _chosen(card, "modelscope", f"{address}/models/{card.model_scope.name}", found)


def _remote(
    path: str, url: str, source: Source, size: object, sha256: str, git_sha1: str, headers: Mapping[str, str]
) -> RemoteFile:
    return RemoteFile(
        name=path,
        url=url,
        source=source,
        size_bytes=size if isinstance(size, int) else -1,
        sha256=sha256.lower(),
        git_sha1=git_sha1.lower(),
        headers=headers,
    )


def _chosen(card: ModelCard, source: Source, origin: str, found: Mapping[str, RemoteFile]) -> Listing:
    """Those files of a repository that make up the model, under their names on disk. Only these are looked at."""
    prefix = f"{card.sub_folder}/" if card.sub_folder else ""
    here = {path.removeprefix(prefix): file for path, file in found.items() if path.startswith(prefix)}
    names = list(card.files)
    for pattern in card.extras:
        depth = pattern.count("/")
        names += sorted(path for path in here if path.count("/") == depth and fnmatch.fnmatchcase(path, pattern))
    files: dict[str, RemoteFile] = {}  # By the name as systems see it that make no difference between a and A.
    for name in dict.fromkeys(names):
        if name not in here:
            raise SourceError(
                UserError(
                    "{source} does not have {file} of {title}.",
                    remedy="Choose another source, or a folder where you have the model.",
                    source=title_of(source),
                    file=name,
                    title=card.title,
                )
            )
        known = card.sha256.get(name, "")
        if known and here[name].sha256 not in ("", known):
            raise SourceError(
                UserError(
                    "{source} has another version of {file} of {title} than Kiln knows.",
                    remedy="Choose another source, or a folder where you have the model.",
                    source=title_of(source),
                    file=name,
                    title=card.title,
                )
            )
        file = replace(here[name], name=safe_name(name, source), sha256=known or here[name].sha256)
        if file.size_bytes < 0 or not (file.sha256 or file.git_sha1):
            raise ValueError(f"no size or no hash of {name!r}")
        if files.setdefault(name.casefold(), file) is not file:
            raise bad_name(name, source)
    return Listing(source=source, origin=origin, files=tuple(files.values()))
