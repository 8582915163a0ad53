"""Taking people and their things out of texts that leave this machine: names, folders, captions, access tokens.

The same thing gets the same stand-in everywhere (`<home>/<folder 1>/<file 2>.png`), so that a reader can still follow
what belongs together. Where it is not certain what a text means, more is taken out rather than less.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

_FILE_KINDS = (
    "png|jpe?g|webp|bmp|gif|avif|heic|heif|jfif|jxl|jp2|psd|svg|tga|tiff?|txt|caption|npz|safetensors|ckpt|pth?|bin|"
    "onnx|json|jsonl|toml|yaml|yml|csv|zip|tmp|lock|log"
)
_KIND = re.compile(rf"\.(?:{_FILE_KINDS})(?![A-Za-z0-9(]|\.\w)", re.IGNORECASE)
_LONGEST_NAME = 255

_OWN_NAME = re.compile(
    r"config\.toml|events\.jsonl|log\.txt|dataset\.json|runs|state|samples|cache|logs|previews|site-packages|\.venv|"
    r"unet|vae|text_encoder(_2)?|tokenizer(_2)?|scheduler|model_index\.json|vocab\.json|merges\.txt|model\.onnx|"
    r"(scheduler_|tokenizer_)?config\.json|tokenizer\.json|special_tokens_map\.json|"
    r"(model|diffusion_pytorch_model)(\.fp16)?\.safetensors|"
    r"(window|tag|train|prepare|check|download|sample)\.log|\.lock|"
    r"step_\d+(_\d+)?\.png|(state|step|epoch)[-_]?\d*\.(pt|json|safetensors)|\.kiln-\d+-[0-9a-f]+\.tmp|"
    r"\.{1,2}|[a-z_0-9]+\.py",
    re.IGNORECASE,
)
"""What Kiln and model folders call their files themselves: it says nothing about anybody."""

_SYSTEM = re.compile(
    r"/(usr|lib|lib32|lib64|bin|sbin|proc|sys|dev|etc)(/|$)|[A-Z]:/(windows|program files( \(x86\))?)(/|$)",
    re.IGNORECASE,
)
_HOME = re.compile(r"([A-Z]:)?/(home|users)/[^/]+", re.IGNORECASE)

# A folder may have spaces inside its name; where its path ends is known by a quote, a colon, an ending, or a space.
_FOLDERS = r"(?:[^\\/\n\"'<>|*?:]+[\\/]+)*"
_LAST = rf"(?:[^\\/\n\"'<>|*?:]{{0,200}}?\.(?:{_FILE_KINDS}|py)(?![A-Za-z0-9])|[^\s\\/\"'<>|*?:,;)\]}}]*)"
_START = r"(?<![\w.<>/\\-])(?:[A-Z]:[\\/]+|\\\\+|(?<!:)//+|/(?!/))(?=[^\s\\/])"
_PATH = re.compile(_START + _FOLDERS + _LAST, re.IGNORECASE)

_SECRETS = tuple(
    (re.compile(pattern, re.IGNORECASE), stand_in)
    for pattern, stand_in in (
        (r"\b(\w{1,20}://)[^\s/@]{1,500}@", r"\1"),
        (r"((?:authorization|bearer)[:= ]+)(?:bearer |basic )?[^\s\"',;<]{6,}", r"\1<token>"),
        (
            r"((?:token|secret|password|passwd|api[_-]?key|access[_-]?key|cookie)[\"']?\s*[:=]\s*[\"']?)"
            r"[^\s\"',;&<]{4,}",
            r"\1<token>",
        ),
        (r"\b(?:hf|sk|pk|ghp|gho|ghs|github_pat|glpat|xox[abp]|AKIA|ms)[-_]?[A-Z0-9_-]{16,}\b", "<token>"),
        (r"\beyJ[A-Z0-9_-]{8,}(?:\.[A-Z0-9_-]+)*", "<token>"),
        (r"\bGPU-[0-9a-f-]{8,}", "<id>"),
        (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "<id>"),
        (r"\b(?=[A-Z0-9]*\d)(?=[A-Z0-9]*[A-Z])[A-Z0-9]{32,}\b", "<token>"),
        (r"(?<![\w.+-])[\w.+-]{1,100}@[\w-]{1,100}(?:\.[\w-]{1,100})+", "<address>"),
        (r"\b(?!127\.0\.0\.1|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}\b(?![.\w])", "<address>"),
        (r"\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b", "<address>"),
    )
)
_LINK = re.compile(r"\b(?!file:)([a-z][a-z0-9+.-]{0,20}://)([^\s/\"'<>]+)(/[^\s\"'<>]*)?", re.IGNORECASE)
_KNOWN_HOSTS = re.compile(
    r"([\w-]+\.)*(huggingface\.co|hf-mirror\.com|modelscope\.cn|pypi\.org|pytorch\.org|github\.com|127\.0\.0\.1)(:\d+)?"
)
_CUT_OFF = re.compile(r"(truncated because[^\n:]{0,200}: ?).*")
"""What text encoders say of a long caption, with the caption."""

_COMMON = re.compile(
    r"root|users?|admin|administrator|kiln|tests?|owner|python|default|public|guest|home|ubuntu|debian|runner|nobody|"
    r"localhost|local|desktop|documents|pictures|images?|data|dataset|train|training|outputs?|models?|loras?|runs?|"
    r"downloads|temp|work|projects?|main|folder|file",
    re.IGNORECASE,
)
"""Names that are words of technical texts as well: they are taken out where they stand alone, not inside of others."""


class Anonymiser:
    """Knows what to hide, and the stand-ins given so far."""

    def __init__(
        self,
        *,
        people: Iterable[str] = (),
        words: Mapping[str, str] | None = None,
        texts: Iterable[str] = (),
        places: Mapping[str, str] | None = None,
        folders: Iterable[str] = (),
        files: Collection[str] = (),
    ) -> None:
        """Take up what is known beforehand.

        Args:
            people: Names of users and machines.
            words: Other words -> what stands for them; a run's name, for example.
            texts: Captions and prompts; a line that holds one is left out.
            places: Folders -> what stands for them. What lies below one whose stand-in ends in `/` is told as it is.
            folders: Names of folders that may be told without their paths; usual ones say nothing and stay.
            files: Names of files, which are found even where they have spaces and stand in the middle of a text.
        """
        all_words = {folder: "<folder>" for folder in folders if not _COMMON.fullmatch(folder)} | dict(words or {})
        self._words = [(_pattern(word), stand_in) for word, stand_in in all_words.items() if len(word.strip()) > 1]
        self._people = [_pattern(name) for name in sorted(set(people), key=len, reverse=True) if len(name.strip()) > 1]
        self._texts = sorted({text.strip() for text in texts if len(text.strip()) >= 6}, key=len, reverse=True)
        known = {_plain(place).rstrip("/"): stand_in for place, stand_in in (places or {}).items()}
        self._places = sorted(known.items(), key=lambda item: len(item[0]), reverse=True)
        self._place_patterns = [(_place_pattern(place), place) for place, _ in self._places if len(place) > 2]
        self._files = frozenset(files)
        self._folder_numbers: dict[str, int] = {}
        self._file_numbers: dict[str, int] = {}

    def path(self, path: Path | str) -> str:
        """What stands for a path, with `/` between its parts."""
        plain = _plain(str(path))
        for place, stand_in in self._places:
            if place and (plain == place or plain.startswith(place + "/")):
                rest = plain[len(place) :]
                return stand_in.rstrip("/") + (rest if stand_in.endswith("/") else self._parts(rest))
        if _SYSTEM.match(plain):
            return plain
        if home := _HOME.match(plain):
            return "<home>" + self._parts(plain[home.end() :])
        drive = re.match(r"[A-Za-z]:", plain)
        return (drive[0] if drive else "") + self._parts(plain[drive.end() :] if drive else plain)

    def text(self, text: str) -> str:
        """The text without anything that names people, places, files, captions or tokens."""
        text = self._without_texts(_readable(text))
        for pattern, stand_in in _SECRETS:
            text = pattern.sub(stand_in, text)
        text = _LINK.sub(_link, text)
        text = self._file_names(text)
        for pattern, place in self._place_patterns:
            text = pattern.sub(lambda match, place=place: self._told(place + match["rest"]), text)  # type: ignore[misc]
        return self.names(_PATH.sub(lambda match: self._told(match[0]), text))

    def names(self, text: str) -> str:
        """The text without the words and people that are known."""
        for pattern, stand_in in self._words:
            text = pattern.sub(stand_in, text)
        for pattern in self._people:
            text = pattern.sub("<user>", text)
        return text

    def secrets(self, text: str) -> str:
        """The text without tokens, passwords, addresses and people; all else stays."""
        text = _readable(text)
        for pattern, stand_in in _SECRETS:
            text = pattern.sub(stand_in, text)
        for pattern in self._people:
            text = pattern.sub("<user>", text)
        return text

    def file(self, name: str) -> str:
        """What stands for the name of a file."""
        if _OWN_NAME.fullmatch(name):
            return name
        stem, dot, ending = name.rpartition(".")
        stem = stem if dot else name
        number = self._file_numbers.setdefault(stem.casefold(), len(self._file_numbers) + 1)
        return f"<file {number}>" + (f".{ending.lower()}" if dot and _KIND.fullmatch("." + ending) else "")

    def _parts(self, rest: str) -> str:
        parts = rest.strip("/").split("/") if rest.strip("/") else []
        told = []
        for position, part in enumerate(parts):
            if _OWN_NAME.fullmatch(part) or part.startswith("<"):
                told.append(part)
            elif position == len(parts) - 1 and _KIND.search(part):
                told.append(self.file(part))
            else:
                number = self._folder_numbers.setdefault(part.casefold(), len(self._folder_numbers) + 1)
                told.append(f"<folder {number}>")
        return "".join("/" + part for part in told)

    def _without_texts(self, text: str) -> str:
        text = _CUT_OFF.sub(r"\1<caption>", text)
        found = [known for known in self._texts if known in text]
        for known in found:
            first, *more = known.splitlines()
            text = re.sub(rf"[^\n]*{re.escape(first)}[^\n]*", "<a line with a caption or prompt>", text)
            for line in more:
                text = text.replace(line, "<caption>") if len(line) >= 6 else text
        return text

    def _told(self, path: str) -> str:
        """What stands for a path in a text, where the name of its file may have been replaced already."""
        return self.path(path) + ("/" if path.endswith(("/", "\\")) else "")

    def _file_names(self, text: str) -> str:
        """Names of files that stand alone; those inside of a path follow with it."""
        pieces, end = [], 0
        for match in _KIND.finditer(text):
            line = text.rfind("\n", 0, match.start()) + 1
            start = max(line, end, match.start() - _LONGEST_NAME)
            before = text[start : match.end()]
            name = next((before[cut:] for cut in range(len(before)) if before[cut:] in self._files), "")
            if not name:
                name = re.split(r"[\s\\/\"'<>|*?:,;(\[{=]", before)[-1]
            if name.startswith(".") and len(name) == len(match[0]):
                continue  # An ending without a name.
            pieces += [text[end : match.end() - len(name)], self.file(name)]
            end = match.end()
        return "".join(pieces) + text[end:]


def _plain(path: str) -> str:
    """A path with single slashes forward, as one text for all the ways of writing it."""
    plain = re.sub(r"[\\/]+", "/", path)
    return plain[1:] if re.match("/[A-Za-z]:/", plain) else plain


def _place_pattern(place: str) -> re.Pattern[str]:
    """Finds a known folder and what lies in it: it may have spaces, and its end is known."""
    parts = r"[\\/]+".join(re.escape(part) for part in place.split("/"))
    flags = re.IGNORECASE if re.match("[A-Za-z]:", place) else 0
    return re.compile(rf"(?<![\w.<>/\\-]){parts}(?P<rest>(?:[\\/]+{_FOLDERS}{_LAST})?)(?![\w-])", flags)


def _link(match: re.Match[str]) -> str:
    """A web address: which server is worth knowing when everybody knows it, what was asked of it is not."""
    host = match[2] if _KNOWN_HOSTS.fullmatch(match[2]) else "<address>"
    return match[1] + host + ("/..." if match[3] else "")


def _pattern(word: str) -> re.Pattern[str]:
    """Finds a word: inside of others as well when it is one that nothing else is called."""
    word = word.strip()
    inside = not _COMMON.fullmatch(word) and (len(word) >= 5 or not word.isascii())
    body = re.escape(word)
    return re.compile(body if inside else rf"(?<![A-Za-z0-9]){body}(?![A-Za-z0-9])", re.IGNORECASE)


def _readable(text: str) -> str:
    """The text with the usual ways of hiding letters undone, so that names are found in them."""
    text = re.sub(r"file:/{1,3}(?=[A-Za-z]:|/?)", "file: /", text, flags=re.IGNORECASE)
    text = re.sub(r"(?:\\u[0-9a-fA-F]{4})+", _from_escapes, text)
    return re.sub(r"(?:%[0-9A-Fa-f]{2})+", _from_percents, text)


def _from_escapes(match: re.Match[str]) -> str:
    units = bytes.fromhex(match[0].replace("\\u", ""))
    decoded = units.decode("utf-16-be", "replace")
    return decoded if decoded.isprintable() else match[0]


def _from_percents(match: re.Match[str]) -> str:
    decoded = urllib.parse.unquote(match[0], errors="replace")
    return decoded if decoded.isprintable() and "\ufffd" not in decoded else match[0]
