"""Which device a model runs on is decided by what truly works, and memory that is too small halves the batch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from core.errors import UserError
from core.tagging import onnx_session
from core.tagging.onnx_session import CPU, Form, OnnxModel, open_model
from tests.taggers import TAGS, tiny_tagger

FORM = Form("NHWC", low=0, high=255, gives_logits=False)
NAMES = {"CUDA": "CUDAExecutionProvider", "DirectML": "DmlExecutionProvider", "CoreML": "CoreMLExecutionProvider"}


class FakeSession:
    """Sums up pictures of 8 x 8 pixels, in the way and the time of an imagined device."""

    def __init__(
        self,
        provider: str = CPU,
        *,
        error: float = 0,
        delay_s: float = 0,
        batch: int | str = "batch",
        most: int = 1000,
        message: str = "CUDA out of memory",
    ) -> None:
        self.provider, self.error, self.delay_s, self.most, self.message = provider, error, delay_s, most, message
        self.entry = SimpleNamespace(name="input", type="tensor(float)", shape=[batch, 8, 8, 3])
        self.calls: list[int] = []
        self.clock_s = [0.0]
        self.hold: Callable[[], object] = lambda: None

    def get_inputs(self) -> list[SimpleNamespace]:
        return [self.entry]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="output", shape=["batch", 2])]

    def get_providers(self) -> list[str]:
        return [self.provider]

    def run(self, _: object, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        batch = feed["input"]
        self.calls.append(len(batch))
        self.clock_s[0] += self.delay_s
        self.hold()
        if len(batch) > self.most:
            raise RuntimeError(self.message)
        sums = batch.reshape(len(batch), -1).sum(1) / 1e5
        return [np.stack([sums, sums + self.error], axis=1)]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """Opens a model on a machine with the given sessions by provider; a slow processor is always there."""

    def opened(
        sessions: dict[str, FakeSession | Exception], *, has_card: bool = True, cpu_s: float = 0.05, form: Form = FORM
    ) -> OnnxModel:
        clock_s = [0.0]
        all_sessions = {CPU: FakeSession(delay_s=cpu_s), **sessions}

        def open_session(_: Path, provider: str) -> FakeSession:
            session = all_sessions[provider]
            if isinstance(session, Exception):
                raise session
            session.clock_s = clock_s
            return session

        monkeypatch.setattr(onnx_session, "open_session", open_session)
        monkeypatch.setattr(onnx_session.time, "perf_counter", lambda: clock_s[0])
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(all_sessions))
        monkeypatch.setattr(onnx_session, "has_nvidia_card", lambda: has_card)
        path = tmp_path / "model.onnx"
        path.write_bytes(b"stands for a model")
        return open_model(path, form)

    return opened


@pytest.mark.parametrize(("device", "provider"), NAMES.items())
def test_an_accelerator_that_works_is_used(machine, device: str, provider: str) -> None:
    model = machine({provider: FakeSession(provider)})
    assert (model.device, model.note) == (device, "")
    assert model.batch_size == 8 and model.parallel_calls >= 1


def test_cuda_comes_before_directml(machine) -> None:
    both = {provider: FakeSession(provider) for provider in reversed(NAMES.values())}
    assert machine(both).device == "CUDA"


def test_the_next_accelerator_is_tried(machine) -> None:
    model = machine({NAMES["CUDA"]: RuntimeError("no cuDNN"), NAMES["DirectML"]: FakeSession("DmlExecutionProvider")})
    assert (model.device, model.note) == ("DirectML", "")


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (RuntimeError("cublas64_12.dll is missing"), "CUDA did not start"),
        (FakeSession(CPU), "CUDA did not start"),
        (FakeSession(NAMES["CUDA"], most=0), "CUDA did not start"),
        (FakeSession(NAMES["CUDA"], error=0.5), "CUDA gives wrong scores"),
        (FakeSession(NAMES["CUDA"], error=float("nan")), "CUDA gives wrong scores"),
        (FakeSession(NAMES["CUDA"], delay_s=0.6), "CUDA is slower"),
    ],
    ids=["does not load", "onnxruntime falls back", "no memory", "wrong", "not a number", "slow"],
)
def test_why_an_accelerator_is_not_used_is_told(machine, session: FakeSession | Exception, reason: str) -> None:
    model = machine({NAMES["CUDA"]: session})
    assert model.device == "CPU" and reason in model.note
    assert model.batch_size == 1 and model.parallel_calls >= 1


def test_a_small_difference_of_half_formats_is_no_error(machine) -> None:
    assert machine({NAMES["CUDA"]: FakeSession(NAMES["CUDA"], error=0.003)}).device == "CUDA"


def test_speed_is_that_of_a_batch(machine) -> None:
    # Eight pictures in a call that takes three times as long as one on the processor.
    assert machine({NAMES["CUDA"]: FakeSession(NAMES["CUDA"], delay_s=0.15)}, cpu_s=0.1).device == "CUDA"


@pytest.mark.parametrize("has_card", [True, False])
def test_an_nvidia_card_without_its_onnxruntime(machine, has_card: bool) -> None:
    model = machine({}, has_card=has_card)
    assert model.device == "CPU"
    assert ("onnxruntime-gpu" in model.note) == has_card


def test_an_onnxruntime_for_cuda_on_a_machine_without_card(machine) -> None:
    model = machine({NAMES["CUDA"]: FakeSession(CPU)}, has_card=False)
    assert (model.device, model.note) == ("CPU", "")


def test_logits_become_probabilities(machine) -> None:
    model = machine({})
    model.form = FORM._replace(gives_logits=True)
    sums = [[0.0, -np.inf], [1000.0, np.nan], [-1000.0, 2.0]]
    model.session.run = lambda *_: [np.array(sums, np.float32)]
    expected = [[0.5, 0], [1, np.nan], [0, 1 / (1 + np.exp(-2))]]
    assert model.scores(batch_of(3)) == pytest.approx(np.array(expected), abs=1e-6, nan_ok=True)


def test_wrong_logits_that_mean_the_same_are_no_error(machine) -> None:
    session = FakeSession(NAMES["CUDA"], error=0.5)
    assert machine({NAMES["CUDA"]: session}, form=FORM._replace(gives_logits=True)).device == "CPU"
    far = FORM._replace(gives_logits=True, low=2000, high=3000)
    assert machine({NAMES["CUDA"]: session}, form=far).device == "CUDA"


def test_asking_for_a_card_needs_none() -> None:
    assert isinstance(onnx_session.has_nvidia_card(), bool)


def test_a_missing_driver_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(onnx_session.ctypes, "CDLL", missing)
    assert not onnx_session.has_nvidia_card()


@pytest.mark.parametrize(("init", "number", "expected"), [(0, 2, True), (0, 0, False), (9, 1, False)])
def test_the_driver_s_answer_counts(monkeypatch: pytest.MonkeyPatch, init: int, number: int, expected: bool) -> None:
    def get_count(place: object) -> int:
        place._obj.value = number
        return 0

    library = SimpleNamespace(nvmlInit_v2=lambda: init, nvmlDeviceGetCount_v2=get_count)
    monkeypatch.setattr(onnx_session.ctypes, "CDLL", lambda _: library)
    assert onnx_session.has_nvidia_card() is expected


# --- memory ---------------------------------------------------------------------------------------------------------


def batch_of(number: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, FORM.shape(number, 8)).astype(np.float32)


@pytest.mark.parametrize(
    "message",
    ["CUDA out of memory", "Failed to allocate memory for requested buffer", "CUBLAS_STATUS_ALLOC_FAILED", "8007000E"],
)
def test_a_batch_that_is_too_large_is_halved(message: str) -> None:
    session = FakeSession(most=3, message=message)
    model = OnnxModel(session, FORM, 8, "CUDA", batch_size=8)
    pictures = batch_of(8)
    expected = OnnxModel(FakeSession(), FORM, 8, "CUDA").scores(pictures)
    assert np.array_equal(model.scores(pictures), expected)
    assert session.calls == [8, 4, 2, 2, 4, 2, 2] and model.batch_size == 2
    model.scores(pictures[:2])
    assert session.calls[-1] == 2


@pytest.mark.parametrize(("batch", "number"), [("batch", 1), (4, 4)])
def test_too_little_memory_for_the_smallest_batch_is_told(batch: int | str, number: int) -> None:
    model = OnnxModel(FakeSession(most=0, batch=batch), FORM, 8, "CUDA", batch_size=number)
    with pytest.raises(UserError, match="The memory is not enough for this tagger") as caught:
        model.scores(batch_of(number))
    assert caught.value.remedy and caught.value.__cause__ is not None


def test_another_failure_is_told_in_words() -> None:
    model = OnnxModel(FakeSession(most=0, message="CUDA failure 700"), FORM, 8, "CUDA")
    with pytest.raises(UserError, match="The tagger failed"):
        model.scores(batch_of(2))


@pytest.mark.parametrize("is_accelerator", [True, False])
def test_an_accelerator_takes_one_call_at_a_time(machine, is_accelerator: bool) -> None:
    from concurrent.futures import ThreadPoolExecutor

    session = FakeSession(NAMES["CUDA"] if is_accelerator else CPU)
    model = machine({session.provider: session})
    meeting = threading.Barrier(2, timeout=0.1 if is_accelerator else 30)
    met: list[bool] = []

    def hold() -> None:
        with suppress(threading.BrokenBarrierError):
            meeting.wait()
            met.append(True)

    session.hold = hold
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(model.scores, [batch_of(1)] * 2))
    assert len(met) == (0 if is_accelerator else 2)


# --- real sessions --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_an_accelerator_that_onnxruntime_only_names_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [NAMES["CUDA"], CPU])
    monkeypatch.setattr(onnx_session, "has_nvidia_card", lambda: True)
    model = open_model(tiny_tagger(tmp_path) / "model.onnx", FORM)
    assert model.device == "CPU" and "CUDA did not start" in model.note
    assert model.num_scores == len(TAGS)


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "gr\udcfcn 模型 🦊"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes only names that are text")
    assert open_model(tiny_tagger(folder) / "model.onnx", FORM).num_scores == len(TAGS)
