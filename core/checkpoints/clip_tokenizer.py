"""CLIP's tokenizer in the form that transformers reads, for models that come without one: single files.

Kiln ships the merges (`resources/models/clip`); the vocabulary follows from them. The folder is written once among the
user's files.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Literal

from core.dataset.tokens import CLIP_MERGES
from core.files import write_text
from core.paths import user_data_folder

_START, _END = "<|startoftext|>", "<|endoftext|>"
_VERSION = "1"
"""Changed whenever what is written changes."""


def clip_tokenizer(pad: Literal["<|endoftext|>", "!"]) -> Path:
    """A folder with CLIP's tokenizer.

    Args:
        pad: What fills up a short caption: the end for the CLIP of Stable Diffusion 1, `!` for OpenCLIP.

    Raises:
        OSError: It cannot be written.
    """
    folder = user_data_folder() / "tokenizers" / f"clip-{'end' if pad == _END else 'zero'}-{_VERSION}"
    if not all((folder / name).is_file() for name in _FILES):
        write_clip_tokenizer(folder, pad)
    return folder


_FILES = ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json")


def write_clip_tokenizer(folder: Path, pad: Literal["<|endoftext|>", "!"]) -> None:
    """Write CLIP's tokenizer into a folder.

    Raises:
        OSError: It cannot be written.
    """
    merges = gzip.decompress(CLIP_MERGES.read_bytes()).decode("utf-8")
    special = {"bos_token": _START, "eos_token": _END, "pad_token": pad, "unk_token": _END}
    config = {
        **special,
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
    }
    contents = (json.dumps(vocabulary(merges), ensure_ascii=False), merges, json.dumps(special), json.dumps(config))
    for name, content in zip(_FILES, contents, strict=True):
        write_text(folder / name, content)


def vocabulary(merges: str) -> dict[str, int]:
    """The id of every token: the 256 bytes, these at the end of a word, what each merge makes, start and end.

    Args:
        merges: A `merges.txt`, with its first line.
    """
    bytes_in_order = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 0x100 - len(bytes_in_order)
    characters = [chr(byte) for byte in bytes_in_order] + [chr(0x100 + number) for number in range(others)]
    merged = [line.replace(" ", "") for line in merges.splitlines()[1:] if line]
    tokens = [*characters, *(f"{character}</w>" for character in characters), *merged, _START, _END]
    return {token: number for number, token in enumerate(tokens)}
