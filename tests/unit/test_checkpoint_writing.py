"""Safetensors files written tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from core.checkpoints.convert import _new_folder, convert
from core.checkpoints.writing import Entry, tensor_writer, write_streamed
from core.control import Control
from core.errors import UserError
from core.jobs import ConvertJob
from core.safetensors_header import read_header


def test_what_is_written_is_what_safetensors_reads(tmp_path: Path) -> None:
    path = tmp_path / "模型 🎨.safetensors"
    tensors = {
        "a": torch.randn(3, 5, dtype=torch.float16),
        "b": torch.randn(7).bfloat16(),
        "long": torch.arange(3),
        "scalar": torch.tensor(2.5),
        "nothing": torch.zeros(0),
        "fp8": torch.randn(4).to(torch.float8_e4m3fn),
        "transposed": torch.randn(2, 3).T,
    }
    dtypes = {"a": "F16", "b": "BF16", "long": "I64", "scalar": "F32", "nothing": "F32", "fp8": "F8_E4M3"}
    written: list[int] = []

    write_streamed(
        path,
        [
            Entry(name, dtypes.get(name, "F32"), tuple(tensor.shape), lambda tensor=tensor: tensor)  # type: ignore[misc]
            for name, tensor in tensors.items()
        ],
        {"说明": "猫"},
        told=written.append,
    )

    read = load_file(path)
    assert all(torch.equal(read[name].view(-1), tensor.reshape(-1)) for name, tensor in tensors.items())
    assert {name: tensor.dtype for name, tensor in read.items()} == {n: t.dtype for n, t in tensors.items()}
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"说明": "猫"}
    assert sum(written) == sum(end - start for start, end in read_header(path).spans.values())


def test_numbers_are_cast_to_what_the_header_says(tmp_path: Path) -> None:
    write_streamed(tmp_path / "a.safetensors", [("x", "F16", (2,), lambda: torch.tensor([1.0, 2.0]))])

    assert load_file(tmp_path / "a.safetensors")["x"].dtype == torch.float16


def test_only_one_tensor_is_in_memory_at_a_time(tmp_path: Path) -> None:
    alive = 0
    most = 0

    class Counted(torch.Tensor):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def load() -> torch.Tensor:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return torch.zeros(4).as_subclass(Counted)

    write_streamed(tmp_path / "a.safetensors", [(str(number), "F32", (4,), load) for number in range(20)])

    assert most <= 2  # The next is loaded while the last is let go.


def _fails() -> torch.Tensor:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ([("a", "F32", (2,), lambda: torch.zeros(3))], ValueError),
        ([("a", "F32", (2,), lambda: torch.zeros(2)), ("a", "F32", (2,), lambda: torch.zeros(2))], ValueError),
        ([("a", "F32", (2,), lambda: torch.zeros(2)), ("b", "F32", (2,), _fails)], OSError),
    ],
    ids=["shape", "double", "disk"],
)
def test_a_failure_leaves_the_old_file(tmp_path: Path, entries: list[Entry], error: type[Exception]) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")

    with pytest.raises(error):
        write_streamed(path, entries)

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_whole_does_not_appear(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"

    with (
        pytest.raises(ValueError, match="1 tensors were not written"),
        tensor_writer(path, [("a", "F32", (1,)), ("b", "F32", (1,))]) as writer,
    ):
        writer.write("a", torch.zeros(1))

    assert not list(tmp_path.iterdir())


def test_half_a_model_goes_with_the_next_conversion_when_its_process_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ConvertJob(source=tmp_path / "none.ckpt", target=tmp_path / "new")
    with _new_folder(tmp_path / "model") as half:
        (half / "unet").mkdir()
        for is_alive in (True, False):
            monkeypatch.setattr(psutil, "pid_exists", lambda _pid, is_alive=is_alive: is_alive)
            with pytest.raises(UserError, match="missing"):
                list(convert(job, Control()))
            assert half.exists() is is_alive
        half.mkdir()
