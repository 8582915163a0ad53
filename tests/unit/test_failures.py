"""Known failures, brought about as they happen to people, and told with a way out."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from core.config import TrainConfig, with_values
from core.dataset.scan import scan_folder, usable
from core.errors import explain
from core.failures import fixes_of
from core.jobs import failure
from core.locks import only_run
from core.models import describe_base
from core.paths import STARTER_MODEL
from core.run_folder import RunFolder
from core.training.job import claim
from tests.failing import assert_known, failed_by

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's own way to bring it about")


# Brought about


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Without the rights of an administrator, who may write everywhere."""
    if os.getuid() != 0:
        yield
        return
    modes = {part: part.stat().st_mode for part in folder.parents if part.is_relative_to(tempfile.gettempdir())}
    for part, mode in modes.items():
        part.chmod(mode | 0o555)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for part, mode in modes.items():
            part.chmod(mode)


@LINUX
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    with as_nobody(closed):
        failed = failed_by(lambda: (closed / "runs").mkdir())
    assert_known(failed, "no_right")
    assert str(closed / "runs") in failed.message


@LINUX
def test_a_full_disk() -> None:
    def fill() -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"\0" * 512)

    assert_known(failed_by(fill), "disk_full")


@LINUX
def test_a_file_limit_counts_as_a_full_disk(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        failed = failed_by(lambda: (tmp_path / "state.pt").write_bytes(b"\0" * 4096))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert_known(failed, "disk_full")


def test_no_space_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere/at/all"])
    assert_known(failed_by(tempfile.gettempdir), "temporary_full")
    monkeypatch.undo()
    place = os.path.join(tempfile.gettempdir(), "tmp1234")  # noqa: PTH118 - as a library names it
    assert_known(failure(OSError(errno.ENOSPC, "No space left on device", place)), "temporary_full")


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    assert_known(failed_by(lambda: (tmp_path / ("很" * 100)).write_text("x")), "path_too_long")


@LINUX
def test_a_file_that_another_program_holds(tmp_path: Path) -> None:
    program = tmp_path / "busy"
    shutil.copy("/bin/sleep", program)
    running = subprocess.Popen([str(program), "60"])
    try:
        assert_known(failed_by(lambda: program.open("r+b")), "file_locked")
    finally:
        running.kill()
        running.wait()


@LINUX
def test_a_drive_that_fails() -> None:
    def read() -> None:
        with Path("/proc/self/mem").open("rb", buffering=0) as file:
            file.read(1)

    assert_known(failed_by(read), "drive_gone")


@LINUX
def test_too_many_open_files(tmp_path: Path) -> None:
    import resource

    file = tmp_path / "file"
    file.write_text("x")
    explain(OSError())  # Whatever it has to import is imported now.
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            file.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert_known(failure(caught.value), "too_many_files")


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    failed = failed_by(lambda: (tmp_path / "out" / "runs").mkdir(parents=True))
    assert_known(failed, "file_in_the_way")
    assert f"{tmp_path / 'out'} is a file" in failed.message


def test_a_missing_file(tmp_path: Path) -> None:
    assert_known(failed_by(lambda: (tmp_path / "gone.safetensors").read_bytes()), "file_missing")


def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core import locks

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_lock", refuse)

    def lock() -> None:
        with only_run(tmp_path):
            pass

    failed = failed_by(lock)
    assert_known(failed, "no_locks")
    assert str(tmp_path) in failed.message


def test_a_run_that_is_going_on(tmp_path: Path) -> None:
    def lock_twice() -> None:
        with only_run(tmp_path), only_run(tmp_path):
            pass

    assert_known(failed_by(lock_twice), "run_locked")


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    config = with_values(TrainConfig(), {"output.folder": tmp_path, "output.name": "miru"})
    (tmp_path / "miru.safetensors").write_bytes(b"the one before")
    assert_known(failed_by(lambda: claim(RunFolder.of(config), config, resume=False)), "name_taken")


def test_main_memory_that_is_full() -> None:
    assert_known(failed_by(lambda: bytearray(1 << 62)), "memory")


def test_main_memory_that_is_full_for_torch() -> None:
    import torch

    assert_known(failed_by(lambda: torch.empty(1 << 50, dtype=torch.uint8)), "memory")


def test_a_card_that_torch_cannot_use() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    assert_known(failed_by(lambda: torch.zeros(1, device="cuda")), "card_missing")


def test_a_precision_that_the_device_lacks() -> None:
    import torch

    assert_known(failed_by(lambda: torch.linalg.eigh(torch.eye(2, dtype=torch.half))), "number_format")


def test_a_missing_package() -> None:
    failed = failed_by(lambda: importlib.import_module("kiln_no_such_package.part"))
    assert_known(failed, "package_missing")
    assert "kiln_no_such_package" in failed.message


def test_a_missing_8_bit_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("bitsandbytes.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    failed = failed_by(lambda: importlib.import_module("bitsandbytes.optim"))
    assert_known(failed, "optimizer_unavailable")
    config = with_values(TrainConfig(), {"optimizer.name": "adamw8bit"})
    assert fixes_of(failed.failure, config)[0].changes == {"optimizer.name": "adamw"}


@LINUX
def test_a_library_that_does_not_load() -> None:
    assert_known(failed_by(lambda: ctypes.CDLL("libkiln-nothing.so.9")), "library_blocked")


def test_a_missing_base_model(tmp_path: Path) -> None:
    assert_known(failed_by(lambda: describe_base(tmp_path / "no model")), "model_missing")
    assert_known(failed_by(lambda: describe_base(Path())), "model_missing")


def test_a_lora_in_place_of_a_base_model(tmp_path: Path) -> None:
    import numpy
    from safetensors.numpy import save_file

    save_file({"lora_unet_x.lora_down.weight": numpy.zeros((4, 8), "float32")}, tmp_path / "a.safetensors")
    assert_known(failed_by(lambda: describe_base(tmp_path / "a.safetensors")), "model_is_lora")


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert_known(failed_by(lambda: describe_base(tmp_path)), "model_unsuited")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the starter model, to be spoilt."""
    return Path(shutil.copytree(STARTER_MODEL, tmp_path / "model"))


def test_a_base_model_that_was_not_downloaded_to_its_end(model: Path) -> None:
    weights = next((model / "unet").glob("*.safetensors"))
    os.truncate(weights, weights.stat().st_size // 2)
    assert_known(failed_by(lambda: describe_base(model)), "model_damaged")
    from safetensors.numpy import load_file

    assert_known(failed_by(lambda: load_file(weights)), "model_damaged")


def test_a_base_model_without_one_of_its_parts(model: Path) -> None:
    shutil.rmtree(model / "vae")
    assert_known(failed_by(lambda: describe_base(model)), "model_incomplete")


def test_a_file_that_would_have_to_be_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants, hf_hub_download

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    failed = failed_by(lambda: hf_hub_download("openai/clip", "vocab.json", cache_dir=tmp_path))
    assert_known(failed, "not_offline")


@pytest.mark.parametrize("left", [(), ("vocab.json",), ("tokenizer_config.json",)])
def test_a_missing_tokenizer(model: Path, left: tuple[str, ...]) -> None:
    for file in (model / "tokenizer").iterdir():
        if file.name not in left:
            file.unlink()
    assert_known(failed_by(lambda: describe_base(model)), "tokenizer_missing")


def test_a_text_that_is_too_long_for_its_encoder() -> None:
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    tiny = CLIPTextConfig(vocab_size=64, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    encoder = CLIPTextModel(tiny)
    assert_known(failed_by(lambda: encoder(torch.zeros(1, 90, dtype=torch.long))), "text_too_long")


def test_pictures_that_are_missing_none_or_all_damaged(tmp_path: Path) -> None:
    assert_known(failed_by(lambda: usable(scan_folder(tmp_path / "gone"))), "pictures_missing")
    assert_known(failed_by(lambda: usable(scan_folder(tmp_path))), "no_pictures")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert_known(failed_by(lambda: usable(scan_folder(tmp_path))), "pictures_damaged")


def test_a_picture_with_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16)
    assert_known(failed_by(lambda: Image.open(tmp_path / "bomb.png")), "picture_too_large")


def test_a_picture_that_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    assert_known(failed_by(lambda: Image.open(tmp_path / "text.png")), "picture_damaged")
    Image.effect_noise((64, 64), 90).save(tmp_path / "half.png")
    os.truncate(tmp_path / "half.png", 900)
    assert_known(failed_by(lambda: Image.open(tmp_path / "half.png").load()), "picture_damaged")


def test_a_caption_in_another_code() -> None:
    assert_known(failed_by(lambda: "红发".encode("gbk").decode("utf-8")), "caption_encoding")
