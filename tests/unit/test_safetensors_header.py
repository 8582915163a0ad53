"""The header of a safetensors file is read as strictly as the format is."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from core.errors import UserError
from core.safetensors_header import read_header
from tests.weight_files import SDXL, write_weights


def file_of(path: Path, header: object, num_bytes: int = 8, *, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + b"\0" * num_bytes)
    return path


def entry(start: int = 0, end: int = 8, shape: object = (2, 2), dtype: object = "F16") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def refused(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        read_header(path)
    assert caught.value.remedy and caught.value.failure
    return caught.value


def test_names_shapes_formats_and_places_are_those_of_the_file(tmp_path: Path) -> None:
    tensors = {
        "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
        "b 名": torch.tensor([1.5, -2.0]).to(torch.float8_e4m3fn),
        "empty": torch.zeros(0),
        "one": torch.tensor(3, dtype=torch.int64),
    }
    path = tmp_path / "模型 😀.safetensors"
    save_file(tensors, path, metadata={"title": "é"})
    header = read_header(path)
    assert header.shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert header.dtypes == {"a": "F32", "b 名": "F8_E4M3", "empty": "F32", "one": "I64"}
    assert header.metadata == {"title": "é"}
    start, end = header.spans["a"]
    assert start >= header.data_start
    assert struct.unpack("<6f", path.read_bytes()[start:end]) == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry(0, 6)},  # Too few bytes for the shape.
        {"a": entry(0, 8), "b": entry(4, 12)},  # Bytes of two tensors.
        {"a": entry(0, 8), "b": entry(12, 20)},  # A gap.
        {"a": entry(8, 16)},
        {"a": entry(8, 0)},
        {"a": entry(-8, 0)},
        {"a": entry(shape=(-2, -2))},
        {"a": entry(shape=(2.0, 2))},
        {"a": entry(shape=(True, 4))},
        {"a": entry(shape="22")},
        {"a": entry(shape=[[2, 2]])},
        {"a": entry(0, 2**70, shape=(2**69,))},
        {"a": entry(shape=[1] * 1000)},
        {"a": entry(dtype="Q4_K")},
        {"a": entry(dtype=["F16"])},
        {"a": {"dtype": "F16", "shape": [4]}},
        {"a": [1, 2]},
        {"a": None},
        {"__metadata__": {"steps": 5}, "a": entry()},
        {"__metadata__": "text", "a": entry()},
        {"\ud800": entry()},
        [],
        b"{" + b'"a":{' * 100_000,
        b"{" + b" " * 50,
        b'{"a": ' + b"9" * 6000 + b"}",
        b'{"a": {"dtype": "F16", "dtype": "F16", "shape": [4], "data_offsets": [0, 8]}}',
        b"\xff\xfe{}",
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path, header: object) -> None:
    path = file_of(tmp_path / "a.safetensors", header)
    refused(path)
    with pytest.raises((SafetensorError, OSError)):  # The library says the same, if not as clearly.
        safe_open(path, framework="np")


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    one = b'"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}'
    refused(file_of(tmp_path / "a.safetensors", b"{" + one + b", " + one + b"}"))


@pytest.mark.parametrize("length", [0, 1, 2**60, 2**64 - 1, 101 * 1024 * 1024])
def test_a_header_of_an_impossible_length_is_refused(tmp_path: Path, length: int) -> None:
    assert "not a safetensors file" in str(refused(file_of(tmp_path / "a.safetensors", {"a": entry()}, length=length)))


def test_too_little_and_too_much_data_are_told(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.safetensors", {"a": entry()}, 5)
    assert "is not complete" in str(refused(path))
    assert "does not fit" in str(refused(file_of(path, {"a": entry()}, 9)))
    path.write_bytes(path.read_bytes()[:20])
    assert "is not complete" in str(refused(path))
    path.unlink()
    assert refused(path).failure == "file_missing"


def test_gguf_and_unknown_formats_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"GGUF\x03\0\0\0" + b"\0" * 100)
    error = refused(path)
    assert "GGUF" in error.message and "fp16, bf16, fp32 or fp8" in error.remedy
    assert "Q4_K" in refused(file_of(path, {"a": entry(dtype="Q4_K")})).message


def test_a_header_of_full_size_holds_all_its_tensors(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "xl.safetensors", SDXL)
    header = read_header(path)
    assert header.shapes == dict(SDXL)
    assert max(end for _, end in header.spans.values()) == path.stat().st_size
