"""A copy of a LoRA file with other metadata."""

from __future__ import annotations

import json
import struct
from typing import IO

from core.control import Control
from core.errors import UserError
from core.events import Finished
from core.files import replacing
from core.lora.file import model_hashes
from core.safetensors_header import Header
from core.tools import files
from core.tools.metadata import lora_header
from core.tools.steps import Steps, ToolEvents
from core.tools.tasks import EditTask

_CHUNK_BYTES = 1 << 22
_ALIGNMENT = 8


def edit(task: EditTask, control: Control) -> ToolEvents:
    """Write a copy of a file with other metadata, its tensors byte for byte where they were.

    The `sshs_` hashes, by which web UIs know a LoRA again, are computed anew where the file has them.

    Raises:
        UserError: It is no LoRA in safetensors form, or a key is not there; or the target exists.
    """
    target = files.as_safetensors(task.output)
    header = lora_header(task.file)
    metadata = dict(header.metadata)
    for key in task.remove:
        if key not in metadata:
            raise UserError(
                "{path} has no metadata {key}.", remedy="Look at what it has with inspect.", path=task.file, key=key
            )
        del metadata[key]
    metadata |= task.put
    if not {"sshs_model_hash", "sshs_legacy_hash"} & set(task.put) and "sshs_model_hash" in metadata:
        from safetensors.torch import load_file

        kept = {key: value for key, value in metadata.items() if key.startswith("ss_")}
        metadata |= model_hashes(load_file(task.file), kept)
    raw = _header_bytes(task, header, metadata)
    left = task.file.stat().st_size - header.data_start
    steps = Steps(control, "save", -(-left // _CHUNK_BYTES))
    yield steps.begin()
    files.refuse_existing(target)
    with replacing(target) as temporary, task.file.open("rb") as source, temporary.open("wb") as copy:
        copy.write(struct.pack("<Q", len(raw)) + raw)
        source.seek(header.data_start)
        while chunk := _read(source):
            copy.write(chunk)
            yield from steps.done()
    yield Finished(output=target)


def _read(source: IO[bytes]) -> bytes:
    return source.read(_CHUNK_BYTES)


def _header_bytes(task: EditTask, header: Header, metadata: dict[str, str]) -> bytes:
    table: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    for name, (start, end) in header.spans.items():
        table[name] = {
            "dtype": header.dtypes[name],
            "shape": list(header.shapes[name]),
            "data_offsets": [start - header.data_start, end - header.data_start],
        }
    raw = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    return raw + b" " * (-len(raw) % _ALIGNMENT)
