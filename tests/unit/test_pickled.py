"""Old checkpoints are read as data: names, shapes and places, and nothing in them is run."""

from __future__ import annotations

import collections
import os
import pickle
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from core.checkpoints.headers import read_numbers, read_weights_header
from core.checkpoints.pickled import read_pickled_header, torch_safe_globals
from core.errors import UserError

TENSORS = {
    "half": torch.randn(3, 4).half(),
    "brain": torch.tensor([1.5, -2.0, 3.25]).bfloat16(),
    "turned": torch.randn(3, 5).t(),
    "part": torch.arange(10.0)[4:7],
    "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    "fp8": torch.randn(4, 4).to(torch.float8_e4m3fn),
    "whole": torch.tensor(7),
    "nothing": torch.zeros(0, 3),
}


def refused(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        read_weights_header(path)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_names_shapes_formats_and_numbers_are_read(tmp_path: Path, is_zip: bool, protocol: int) -> None:
    path = tmp_path / "模型 😀.ckpt"
    tensors = {name: tensor for name, tensor in TENSORS.items() if is_zip or name != "fp8"}  # Younger than that form.
    value = {"state_dict": collections.OrderedDict(tensors), "global_step": 875000, "epoch": 3, "lr": [1.0]}
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    header = read_weights_header(path)
    assert header.shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert header.metadata == {"global_step": "875000", "epoch": "3"}
    formats = {"half": "F16", "brain": "BF16", "part": "F32", "whole": "I64"} | ({"fp8": "F8_E4M3"} if is_zip else {})
    assert {name: header.dtypes[name] for name in formats} == formats
    for name in ("half", "brain", "part", "parameter"):
        assert read_numbers(path, header, name) == TENSORS[name].detach().float().flatten().tolist()
    for name in ("turned", "fp8", "unknown"):
        assert read_numbers(path, header, name) is None


def test_a_state_dict_alone_and_nested_ones_are_read(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 3))
    torch.save(module.state_dict(), tmp_path / "a.pth")
    assert read_pickled_header(tmp_path / "a.pth").shapes == {"0.weight": (3, 2), "0.bias": (3,)}
    torch.save({"string_to_param": {"*": torch.zeros(4, 768)}, "name": "cat"}, tmp_path / "b.pt")
    header = read_pickled_header(tmp_path / "b.pt")
    assert (header.shapes, header.metadata) == ({"string_to_param.*": (4, 768)}, {"name": "cat"})


class Runs:
    """Asks whoever opens it to make a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"echo > '{self.mark}'",)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_malicious_checkpoint_runs_nothing_and_is_refused_by_name(tmp_path: Path, is_zip: bool) -> None:
    mark = tmp_path / "mark"
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {"a": torch.ones(2)}, "more": Runs(mark)}, path, _use_new_zipfile_serialization=is_zip)
    error = refused(path)
    assert error.failure == "model_unsafe"
    assert f"asks to run {os.system.__module__}.system" in error.message
    assert not mark.exists()
    torch.load(path, weights_only=False)  # It would have.
    assert mark.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_bare_pickle_runs_nothing_either(tmp_path: Path, protocol: int) -> None:
    mark, path = tmp_path / "mark", tmp_path / "evil.bin"
    path.write_bytes(pickle.dumps(Runs(mark), protocol=protocol))
    assert "system" in refused(path).message
    path.write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
    assert "not a checkpoint" in refused(path).message
    assert not mark.exists()


def zip_of(path: Path, data: bytes, *, storage: bytes = b"\0" * 64, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("any name/data.pkl", data)
        archive.writestr("any name/data/0", storage)
    return path


def global_(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


TENSOR = (
    b"\x80\x02}X\x01\0\0\0a" + global_("torch._utils", "_rebuild_tensor_v2") + b"(("
    b"X\x07\0\0\0storage" + global_("torch", "FloatStorage") + b"X\x01\0\0\x000X\x03\0\0\0cpuK\x10tQ"
    b"K\0K\x04K\x04\x86K\x04K\x01\x86\x89" + global_("collections", "OrderedDict") + b")RtRs."
)
"""A tensor of 4 x 4 numbers in a storage of 16, as PyTorch writes it."""


def test_a_tensor_by_hand_is_read(tmp_path: Path) -> None:
    assert read_pickled_header(zip_of(tmp_path / "a.ckpt", TENSOR)).shapes == {"a": (4, 4)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\0K\x04K\x04\x86", b"K\x01K\x04K\x04\x86"),  # Begins too late.
        (b"K\x04K\x04\x86K\x04K\x01", b"K\x04K\x05\x86K\x04K\x01"),
        (b"K\x04K\x04\x86", b"J\xff\xff\xff\xffK\x04\x86"),
        (b"K\x04K\x04\x86", b"K\x04]\x86"),
        (b"K\x04K\x04\x86K\x04K\x01\x86", b"J\0\0\0\x40K\x04\x86K\0K\0\x86"),  # One number, shown four billion times.
        (b"X\x01\0\0\x000", b"X\x01\0\0\x001"),  # A storage that is not there.
        (b"FloatStorage", b"QInt8Storage"),
        (b"K\x10tQ", b"K\x10Q"),
        (b")RtRs.", b")RtR"),
        (b"}X\x01\0\0\0a", b"}X\xff\xff\xff\xffa"),
        (b"}X", b"}r\xff\xff\xff\xffj\xfe\xff\xff\xffX"),
        (b"}X\x01\0\0\0a", b"}X\x03\0\0\0\xed\xa0\x80"),  # Half a pair of surrogates.
        (b"}X\x01\0\0\0a", b"}\x8b\x10'\0\0" + b"\x7f" * 10_000),  # A number with thousands of digits.
        (b"\x80\x02", b"\x80\x02)" + b"2\x86" * 200 + b"}2s"),  # A key that is pairs of pairs of pairs …
    ],
)
def test_a_pickle_that_makes_no_sense_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    assert old in TENSOR
    error = refused(zip_of(tmp_path / "a.ckpt", TENSOR.replace(old, new)))
    assert error.failure in ("model_damaged", "model_unsafe")


def test_dictionaries_that_hold_each_other_are_refused(tmp_path: Path) -> None:
    many = b"".join(b"J" + number.to_bytes(4, "little") + b"h\0" for number in range(3000))
    data = b"\x80\x02}q\0(" + many + b"u."
    assert "damaged" in str(refused(zip_of(tmp_path / "a.ckpt", data)))


def test_two_files_of_one_name_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.ckpt", TENSOR)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("any name/data.pkl", TENSOR)
    assert "damaged" in str(refused(path))


@pytest.mark.parametrize(
    ("module", "name"),
    [("builtins", "eval"), ("torch", "load"), ("torch._utils", "_rebuild_device_tensor_from_numpy"), ("os", "path")],
)
def test_every_name_that_is_not_on_the_list_is_refused(tmp_path: Path, module: str, name: str) -> None:
    for data in (global_(module, name), b"X" + bytes([len(module), 0, 0, 0]) + module.encode(), b"(i"):
        if data.startswith(b"X"):
            data += b"X" + bytes([len(name), 0, 0, 0]) + name.encode() + b"\x93"
        elif data == b"(i":
            data += f"{module}\n{name}\n".encode()
        error = refused(zip_of(tmp_path / "a.ckpt", b"\x80\x04" + data + b"."))
        assert f"{module}.{name}" in error.message
        assert error.failure == "model_unsafe"


def test_harmless_names_make_nothing(tmp_path: Path) -> None:
    called = b"\x80\x02" + global_("torch", "FloatStorage") + b")R."
    assert refused(zip_of(tmp_path / "a.ckpt", called)).failure == "model_damaged"


def test_zips_that_pytorch_cannot_map_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    assert "damaged" in str(refused(zip_of(path, TENSOR, compression=zipfile.ZIP_DEFLATED)))
    assert "damaged" in str(refused(zip_of(path, TENSOR, storage=b"\0" * 60)))
    zip_of(path, TENSOR)
    path.write_bytes(path.read_bytes()[:-30])
    assert "damaged" in str(refused(path))
    path.write_bytes(b"PK")
    assert "damaged" in str(refused(path))
    path.write_bytes(b"")
    assert "damaged" in str(refused(path))


def test_old_files_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(40)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in (3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert refused(path).failure == "model_damaged"


def test_what_old_training_programs_left_is_read_here_and_by_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    callback = type("ModelCheckpoint", (), {"__module__": "pytorch_lightning.callbacks.model_checkpoint"})
    monkeypatch.setattr(sys.modules[callback.__module__], "ModelCheckpoint", callback, raising=False)
    path = tmp_path / "sd-v1-4.ckpt"
    left = {callback: {"best": numpy.float64(0.25), "monitor": "loss"}}
    torch.save({"state_dict": {"a": torch.ones(2)}, "callbacks": left, "global_step": 470000}, path)
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"):
        monkeypatch.delitem(sys.modules, name)
    header = read_pickled_header(path)
    assert (header.shapes, header.metadata) == ({"a": (2,)}, {"global_step": "470000"})
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    with torch.serialization.safe_globals(torch_safe_globals()):
        assert torch.load(path, weights_only=True, mmap=True)["state_dict"]["a"].tolist() == [1, 1]


def test_a_zip_that_claims_more_than_the_file_holds_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"a.weight": torch.zeros(64, 64)}, path)
    assert read_pickled_header(path).shapes == {"a.weight": (64, 64)}
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data/0")).encode()
    raw = bytearray(path.read_bytes())
    entry = raw.rfind(name) - 46
    raw[entry + 20 : entry + 28] = (1 << 30).to_bytes(4, "little") * 2
    path.write_bytes(raw)
    refused(path)


def test_a_tuple_as_a_key_is_refused_before_anything_makes_its_hash(tmp_path: Path) -> None:
    nested: Any = ()
    for _ in range(200):
        nested = (nested, nested)  # 2^200 steps for a hash.
    body = pickle.dumps(nested, 2)[2:-1]
    path = tmp_path / "a.ckpt"
    torch.save({"a": torch.zeros(2)}, path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in files if name.endswith("data.pkl"))
    files[name] = b"\x80\x02}" + body + b"K\x01s."
    with zipfile.ZipFile(path, "w") as archive:
        for place, data in files.items():
            archive.writestr(place, data)
    refused(path)
