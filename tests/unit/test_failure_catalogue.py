"""The catalogue of known failures: true errors of libraries, systems and exit codes, and the entries as a whole."""

from __future__ import annotations

import errno
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import jobs, runner
from core.config import TrainConfig, field_specs, with_values
from core.control import Control
from core.errors import crash_failure
from core.events import Event, Failed
from core.failures import FAILURES, fixes_of, key_of_exit
from core.failures.ending import _BY_SIGNAL, _BY_WINDOWS_STATUS
from core.jobs import CheckJob, ConvertJob, Job, PrepareJob, ToolJob, TrainJob, failure
from core.text import catalogue
from core.tools.tasks import InspectTask
from tests.failing import assert_known, failed_by

ROOT = Path(__file__).resolve().parent.parent.parent


# Raised as they were seen


@pytest.mark.parametrize(
    ("error", "key"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 64.00 MiB. GPU 0 has a total", "out_of_memory"),
        ("MPS backend out of memory (MPS allocated: 17.9 GiB, other allocations: 1.1 GiB)", "out_of_memory"),
        ("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", "out_of_memory"),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "out_of_memory"),
        ("[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough memory", "memory"),
        ("std::bad_alloc", "memory"),
        ("CUDA error: no kernel image is available for execution on the device", "torch_too_old"),
        ("NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current", "torch_too_old"),
        ("The NVIDIA driver on your system is too old (found version 11040).", "driver_too_old"),
        ("CUDA driver version is insufficient for CUDA runtime version", "driver_too_old"),
        ("CUDA error: the provided PTX was compiled with an unsupported toolchain.", "driver_too_old"),
        ("CUDA-capable device(s) is/are busy or unavailable", "card_busy"),
        ("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU", "card_missing"),
        ("CUDA error: device-side assert triggered", "card_lost"),
        ("CUDA error: unspecified launch failure", "card_lost"),
        ("CUDA error: an illegal memory access was encountered", "card_lost"),
        ("CUDA error: unknown error", "card_lost"),
        ("Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.", "card_lost"),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "card_library"),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`", "card_library"),
        ("Unable to find a valid cuDNN algorithm to run convolution", "card_library"),
        ("Could not load library cudnn_cnn_infer64_8.dll. Error code 126", "card_library"),
        ("The operator 'aten::_linalg_eigh' is not currently implemented for the MPS device.", "mps_operator"),
        ("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64", "mps_operator"),
        ("\"addmm_impl_cpu_\" not implemented for 'Half'", "number_format"),
        ("[enforce fail at inline_container.cc:664] . unexpected pos 704 vs 598", "disk_full"),
        ("PytorchStreamWriter failed writing file data/12: file write failed", "disk_full"),
        ("received 0 items of ancdata", "too_many_files"),
    ],
)
def test_what_libraries_say_is_understood(error: str, key: str) -> None:
    assert_known(failure(RuntimeError(error)), key)
    # The same words at the end of the log of a process that gave up.
    log = f'loading\nTraceback (most recent call last):\n  File "x.py", line 1\nRuntimeError: {error}'
    assert crash_failure(1, log).failure == key
    assert crash_failure(-6, log).failure == key


def windows_error(number: int, code: int, place: str | None = None) -> OSError:
    """What Python raises on Windows; elsewhere its own number has to be put in."""
    error = OSError(code, "the system's words", place)
    error.winerror = number  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("number", "code", "place", "key"),
    [
        (1455, errno.EINVAL, None, "page_file"),
        (8, errno.ENOMEM, None, "memory"),
        (32, errno.EACCES, r"C:\out\a.safetensors", "file_locked"),
        (5, errno.EACCES, r"C:\Program Files\a", "no_right"),
        (112, errno.ENOSPC, r"D:\out\state.pt", "disk_full"),
        (53, errno.ENOENT, r"\\nas\pictures", "drive_gone"),
        (21, errno.EACCES, "E:\\", "drive_gone"),
        (206, errno.ENOENT, r"C:\long", "path_too_long"),
        (3, errno.ENOENT, "C:\\" + "long\\" * 50, "path_too_long"),
        (3, errno.ENOENT, r"C:\short", "file_missing"),
        (123, errno.EINVAL, r"C:\a:b", "name_refused"),
        (225, errno.EINVAL, r"C:\kiln\model.onnx", "virus_scanner"),
        (4551, errno.EINVAL, r"C:\kiln\python.exe", "virus_scanner"),
        (126, errno.EINVAL, r"C:\torch\lib\c10.dll", "library_blocked"),
        (1114, errno.EINVAL, None, "library_blocked"),
        (4, errno.EMFILE, None, "too_many_files"),
        (1, errno.EINVAL, r"Z:\out", "no_locks"),
    ],
)
def test_what_windows_says_is_understood(number: int, code: int, place: str | None, key: str) -> None:
    assert_known(failure(windows_error(number, code, place)), key)
    if place is None:
        assert_known(failure(RuntimeError(f"worker failed: OSError: [WinError {number}] 文字")), key)


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (
            ImportError("DLL load failed while importing _C: The specified module could not be found."),
            "library_blocked",
        ),
        (OSError("libcudart.so.12: cannot open shared object file: No such file or directory"), "library_blocked"),
        (OSError(errno.EINVAL, "Invalid argument", "/usb/a:b.txt"), "name_refused"),
        (OSError(errno.ESTALE, "Stale file handle", "/nas/out"), "drive_gone"),
        (OSError(errno.EROFS, "Read-only file system", "/cdrom/x"), "no_right"),
    ],
)
def test_what_other_systems_say_is_understood(error: Exception, key: str) -> None:
    assert_known(failure(error), key)


def test_a_wrong_clock() -> None:
    import ssl

    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate is not yet valid (_ssl.c:1006)"
    assert_known(failure(ssl.SSLCertVerificationError(1, text)), "clock_wrong")


def test_a_cause_is_understood_where_the_error_itself_says_nothing() -> None:
    def act() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "/out/a")
        except OSError as error:
            raise RuntimeError("could not save") from error

    assert_known(failed_by(act), "disk_full")


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("shape mismatch"), KeyError("cuda"), OSError()])
def test_what_nobody_knows_has_no_entry(error: Exception) -> None:
    failed = failure(error)
    assert (failed.known, failed.failure) == (False, "")


# The working process


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals of this kind")
@pytest.mark.parametrize(
    ("number", "key"),
    [
        (signal.SIGKILL, "killed"),
        (signal.SIGSEGV, "crashed"),
        (signal.SIGILL, "processor_too_old"),
        (signal.SIGTERM, "ended_from_outside"),
    ],
)
def test_a_killed_child_says_how_it_ended(
    number: signal.Signals, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "worker_command", lambda: ["/bin/sh", "-c", f"ulimit -c 0; kill -{number.value} $$"])
    *_, failed = runner.ChildRun(CheckJob(folder=tmp_path)).events()
    assert isinstance(failed, Failed)
    assert_known(failed, key)


@pytest.mark.skipif(sys.platform == "win32", reason="starts a shell")
def test_what_a_child_printed_before_its_end_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "ModuleNotFoundError: No module named 'pydantic'"
    monkeypatch.setattr(runner, "worker_command", lambda: ["/bin/sh", "-c", f'echo "{words}" >&2; exit 1'])
    *_, failed = runner.ChildRun(CheckJob(folder=tmp_path)).events()
    assert isinstance(failed, Failed)
    assert_known(failed, "package_missing")
    assert "pydantic" in failed.message
    assert words in failed.detail


@pytest.mark.parametrize(
    ("code", "key"),
    [
        (0xC0000005, "crashed"),
        (-1073741819, "crashed"),
        (0xC0000017, "memory"),
        (0xC000012D, "page_file"),
        (0xC0000409, "crashed"),
        (3221225786, "ended_from_outside"),
        (0xC0000135, "library_blocked"),
        (0xC000001D, "processor_too_old"),
        (137, "killed"),
        (-9, "killed"),
        (139, "crashed"),
        (-40, "crashed"),
        (1, ""),
        (0, ""),
        (3, ""),
    ],
)
def test_exit_codes_of_all_systems(code: int, key: str) -> None:
    assert key_of_exit(code) == key
    crash = crash_failure(code, "step 12\nstep 13")
    assert crash.failure == key
    assert crash.message
    assert crash.remedy
    assert "{" not in crash.message + crash.remedy


def test_an_unknown_end_is_admitted_with_its_code() -> None:
    assert "code 3" in crash_failure(3, "").message
    assert "0xC0000005" in crash_failure(-1073741819, "").message


# What failed


def failed_with(job: Job, error: Exception, monkeypatch: pytest.MonkeyPatch) -> Failed:
    """How a job ends that meets an error."""

    def fail(_job: Job, _control: Control) -> Iterator[Event]:
        raise error
        yield

    monkeypatch.setattr(jobs, "run_job", fail)
    (failed,) = jobs.run_to_end(job, Control())
    assert isinstance(failed, Failed)
    return failed


def test_only_a_training_is_to_be_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "out" / "a.safetensors"))
    assert "continue the run" in failed_with(TrainJob(config=TrainConfig()), full, monkeypatch).remedy
    tool = ToolJob(task=InspectTask(file=tmp_path / "a.safetensors"))
    convert = ConvertJob(source=tmp_path / "a.ckpt", target=tmp_path / "b")
    for job in (tool, convert, PrepareJob(folder=tmp_path, target=tmp_path / "new")):
        failed = failed_with(job, full, monkeypatch)
        assert failed.failure == "disk_full"
        assert "try again" in failed.remedy and "run" not in failed.remedy.split()


def test_no_remedy_of_other_work_speaks_of_a_training() -> None:
    words = re.compile(r"the run\b|last state|batch size|checkpointing|resolution", re.IGNORECASE)
    assert not [key for key, entry in FAILURES.items() if words.search(entry.remedy)]


@pytest.mark.skipif(sys.platform == "win32", reason="starts a shell")
@pytest.mark.parametrize("code", [3, 137, 139])
def test_a_child_that_died_says_what_to_do_with_its_work(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "worker_command", lambda: ["/bin/sh", "-c", f"exit {code}"])
    train = TrainJob(config=with_values(TrainConfig(), {"output.folder": tmp_path}))
    for job, is_training in ((train, True), (CheckJob(folder=tmp_path), False)):
        *_, failed = runner.ChildRun(job).events()
        assert isinstance(failed, Failed)
        assert ("ontinue the run" in failed.remedy) is is_training


def test_a_job_ended_by_force_is_begun_again_unless_it_is_a_training(tmp_path: Path) -> None:
    for job, said in ((TrainJob(config=TrainConfig()), "last state"), (CheckJob(folder=tmp_path), "Start it again")):
        assert said in jobs.stopped_at_once(job).remedy


# The catalogue as a whole


def test_every_entry_can_come_up_and_every_key_has_an_entry() -> None:
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "core").rglob("*.py"))
    raised = {key for key in FAILURES if f'failure="{key}"' in code}
    matched = {key for key, entry in FAILURES.items() if entry.match is not None}
    ended = {*_BY_SIGNAL.values(), *_BY_WINDOWS_STATUS.values()}
    assert set(FAILURES) == raised | matched | ended
    assert len(FAILURES) >= 25
    assert ended <= set(FAILURES)
    for key in ended | matched:
        assert FAILURES[key].message, key
        assert FAILURES[key].remedy, key
    used = set(re.findall(r'failure="([a-z_0-9]+)"', code))
    assert used <= set(FAILURES), used - set(FAILURES)


def test_every_sentence_of_the_catalogue_has_its_chinese() -> None:
    chinese = catalogue("zh_CN")
    for entry in FAILURES.values():
        remedies = (entry.remedy, entry.remedy_in_training)
        for text in (entry.title, entry.message, entry.why, *remedies, *(fix.title for fix in entry.fixes)):
            assert not text or text in chinese, (entry.key, text)
        assert entry.title
        assert entry.why


def test_every_change_of_a_way_out_is_allowed() -> None:
    keys = {spec.key for spec in field_specs()}
    for values in ({}, {"training.batch_size": 256, "training.gradient_accumulation": 256, "dataset.resolution": 4096}):
        config = with_values(TrainConfig(), values)
        for entry in FAILURES.values():
            for fix in fixes_of(entry.key, config):
                assert set(fix.changes) <= keys
                changed = with_values(config, dict(fix.changes))
                assert (changed != config) == bool(fix.changes)


def test_ways_out_that_change_nothing_are_left_out() -> None:
    config = with_values(TrainConfig(), {"training.batch_size": 4, "training.gradient_accumulation": 2})
    by_title = {fix.title: fix for fix in fixes_of("out_of_memory", config)}
    assert by_title["Set the batch size to 1"].changes == {
        "training.batch_size": 1,
        "training.gradient_accumulation": 8,
    }
    assert by_title["Lower the resolution"].changes == {"dataset.resolution": 384}
    assert "Let Kiln save memory by itself" not in by_title
    small = with_values(config, {"training.batch_size": 1, "training.gradient_checkpointing": True})
    small = with_values(small, {"dataset.resolution": 128})
    assert [fix.action for fix in fixes_of("out_of_memory", small)] == ["continue"]
    assert [fix.title for fix in fixes_of("out_of_memory", None)] == ["Continue"]
    assert fixes_of("", config) == fixes_of("no such key", config) == []


def test_half_the_learning_rate_leaves_a_frozen_text_encoder_alone() -> None:
    config = with_values(TrainConfig(), {"optimizer.learning_rate": 2e-4, "network.train_text_encoder": False})
    fix = fixes_of("not_a_number", config)[0]
    assert fix.changes == {"optimizer.learning_rate": 1e-4}
    trained = with_values(config, {"network.train_text_encoder": True, "optimizer.text_encoder_learning_rate": 8e-5})
    assert fixes_of("not_a_number", trained)[0].changes["optimizer.text_encoder_learning_rate"] == 4e-5
