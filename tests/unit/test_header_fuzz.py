"""Whatever is in a file, reading what it is ends in a valid header or in words for the user."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from math import prod
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.checkpoints.headers import read_weights_header, weight_formats
from core.checkpoints.recognition import recognise
from core.errors import UserError
from core.safetensors_header import DTYPE_BITS
from tests.weight_files import SD1, write_weights


def cases(number: int) -> settings:
    """So many cases, always the same."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "model.ckpt"


@pytest.fixture(scope="module")
def safetensors(place: Path) -> bytes:
    few = dict.fromkeys(list(SD1)[:4], (2, 2))
    return write_weights(place.with_name("whole.safetensors"), few, metadata={"a": "b"}).read_bytes()


def saved(is_zip: bool) -> bytes:
    file = io.BytesIO()
    tensors = {"model.a": torch.ones(2, 3).half(), "model.b": torch.ones(4)}
    torch.save({"state_dict": tensors, "global_step": 5}, file, _use_new_zipfile_serialization=is_zip)
    return file.getvalue()


ZIP, OLD = saved(is_zip=True), saved(is_zip=False)
with zipfile.ZipFile(io.BytesIO(ZIP)) as _archive:
    PICKLE = _archive.read(next(name for name in _archive.namelist() if name.endswith("data.pkl")))


def check(path: Path, data: bytes) -> None:
    """Read a file; errors that are not the user's come out."""
    path.write_bytes(data)
    try:
        header = read_weights_header(path)
    except UserError:
        return
    assert header.shapes.keys() == header.dtypes.keys()
    for name, (start, end) in header.spans.items():
        assert 0 <= start <= end <= len(data)
        assert (end - start) * 8 == prod(header.shapes[name]) * DTYPE_BITS[header.dtypes[name]]
    assert all(side >= 0 for shape in header.shapes.values() for side in shape)
    recognise(header.shapes, header.metadata, path.stem)
    weight_formats(header)
    json.dumps([*header.shapes, header.metadata]).encode()


edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4)


def edited(data: bytes, changes: list[tuple[float, int]], length: float | None) -> bytes:
    """Some bytes are others, and some are missing at the end."""
    changed = bytearray(data)
    for where, value in changes:
        changed[int(where * len(changed))] = value
    return bytes(changed if length is None else changed[: int(length * len(changed))])


cuts = st.none() | st.none() | st.floats(0, 1)


@cases(500)
@given(changes=edits, length=cuts)
def test_damaged_safetensors_files(
    place: Path, safetensors: bytes, changes: list[tuple[float, int]], length: float
) -> None:
    check(place, edited(safetensors, changes, length))


values = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        4,
        2**63,
        10**400,
        0.5,
        1e400,
        "",
        "F16",
        "\ud800",
        "__metadata__",
        [],
        [[2]],
        [0, 4],
        {},
        {"a": "b"},
    ]
)
small = st.integers(-1, 6)
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F16", "F32", "I8", "F8_E4M3", "Q4", "BOOL"]) | values,
        "shape": st.lists(small | values, max_size=3) | values,
        "data_offsets": st.tuples(small, small) | values,
    }
)


@cases(500)
@given(
    header=st.dictionaries(st.sampled_from(["a", "b", "", "\ud800", "__metadata__"]), entries | values, max_size=3),
    num_bytes=st.integers(0, 24),
    length=st.none() | st.none() | st.integers(0, 2**64 - 1),
)
def test_safetensors_headers_of_any_content(place: Path, header: object, num_bytes: int, length: int | None) -> None:
    raw = json.dumps(header).encode()
    check(place, struct.pack("<Q", len(raw) if length is None else length) + raw + b"\0" * num_bytes)


@cases(400)
@given(data=st.sampled_from([ZIP, OLD]), changes=edits, length=cuts)
def test_damaged_old_checkpoints(place: Path, data: bytes, changes: list[tuple[float, int]], length: float) -> None:
    check(place, edited(data, changes, length))


opcodes = st.sampled_from(
    list(
        b"\x80\x95(012N\x88\x89JKM\x8a\x8bGX\x8c\x8dUTCB\x8e\x96]ael)t\x85\x86\x87}dsu\x8f\x90\x91qr\x94hjc\x93ioR\x81\x92bQ."
    )
)
programs = st.lists(opcodes | st.integers(0, 255), max_size=40).map(bytes)


@cases(600)
@given(start=st.floats(0, 1), program=programs, rest=st.floats(0, 1), is_zip=st.booleans())
def test_old_checkpoints_of_any_content(place: Path, start: float, program: bytes, rest: float, is_zip: bool) -> None:
    """The checksums of the zip are right: what is wrong is in the pickle alone."""
    data = PICKLE if is_zip else OLD
    data = data[: int(start * len(data))] + program + data[int(rest * len(data)) :]
    if is_zip:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a/data.pkl", data)
            archive.writestr("a/data/0", b"\0" * 12)
            archive.writestr("a/data/1", b"\0" * 16)
        data = file.getvalue()
    check(place, data)
