"""An ONNX model that looks at pictures, on the fastest device that truly works, with memory that suffices."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from core.dataset.parallel import num_cores
from core.errors import UserError, explain
from core.tagging.tag_files import damaged, missing
from core.text import tr

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CPU = "CPUExecutionProvider"
ACCELERATORS = {
    "CUDAExecutionProvider": "CUDA",
    "DmlExecutionProvider": "DirectML",
    "CoreMLExecutionProvider": "CoreML",
}
_SETTINGS = {
    "CUDAExecutionProvider": {
        "cudnn_conv_algo_search": "HEURISTIC",  # Trying all would take seconds for every new size of batch.
        "arena_extend_strategy": "kSameAsRequested",  # Doubling would take memory that others need.
    }
}
_BATCH_SIZE = 8  # On an accelerator; more pictures at once are hardly faster and need their memory.
_LARGEST_ERROR = 0.02  # Of a probability: half formats differ by a tenth of it, wrong kernels by more.
_DEFAULT_SIZE = 448  # Of all published taggers; used where the model leaves its input size open.
_OUT_OF_MEMORY = ("out of memory", "failed to allocate", "alloc_failed", "bad_alloc", "bad allocation", "8007000e")


class Form(NamedTuple):
    """How a kind of tagger takes its pictures, and what it gives."""

    layout: Literal["NHWC", "NCHW"]
    low: float
    """Value of black."""
    high: float
    """Value of white."""
    gives_logits: bool
    """Whether the sigmoid, which makes probabilities of scores, is left to the caller."""

    def shape(self, count: int, size: int) -> tuple[int, ...]:
        """Shape of a batch of square pictures."""
        return (count, size, size, 3) if self.layout == "NHWC" else (count, 3, size, size)


@dataclass(slots=True)
class OnnxModel:
    """A model in a session. `scores` may be called from `parallel_calls` threads at once."""

    session: Any
    form: Form
    size: int
    """Side of the pictures in pixels."""
    device: str
    note: str = ""
    batch_size: int = 1
    parallel_calls: int = 1
    num_scores: int = 0
    _turn: threading.Lock | None = field(default_factory=threading.Lock)
    """Held while an accelerator computes: DirectML takes one call at a time, and each call needs memory of the card."""

    def scores(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probabilities of a batch; where the memory is too small for all pictures at once, in halves.

        Args:
            batch: Pictures in the form of the model.

        Returns:
            [B, scores] 0 to 1.

        Raises:
            UserError: The memory does not suffice for one picture, or the model failed.
        """
        import numpy as np

        try:
            with self._turn or nullcontext():
                outputs = _run(self.session, batch)
        except Exception as error:  # onnxruntime's errors have no common type.
            if not _is_out_of_memory(error):
                raise explain(error) or UserError(
                    "The tagger failed while it looked at a picture ({device}).",
                    remedy="Try again; if it fails again, download the tagger once more or choose another one.",
                    device=self.device,
                ) from error
            if len(batch) == 1 or isinstance(self.session.get_inputs()[0].shape[0], int):
                raise UserError(
                    "The memory is not enough for this tagger ({device}).",
                    remedy="Close other programs, or choose a smaller tagger.",
                    device=self.device,
                ) from error
        else:
            return _sigmoid(outputs) if self.form.gives_logits else outputs
        half = (len(batch) + 1) // 2
        self.batch_size = min(self.batch_size, half)
        return np.concatenate([self.scores(batch[:half]), self.scores(batch[half:])])


def _run(session: Any, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """[B, scores] float32 of a batch, in the number format of the model, filled up where it wants a fixed number."""
    import numpy as np

    count = len(batch)
    entry = session.get_inputs()[0]
    if isinstance(entry.shape[0], int) and count < entry.shape[0]:
        batch = np.concatenate([batch, np.zeros((entry.shape[0] - count, *batch.shape[1:]), np.float32)])
    wanted = batch.astype(np.float16) if entry.type == "tensor(float16)" else batch
    output = session.run([session.get_outputs()[0].name], {entry.name: wanted})[0]
    return np.asarray(output[:count], np.float32)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    return np.asarray(1 / (1 + np.exp(-logits.clip(-30, 30))), np.float32)  # Beyond that float32 has no other numbers.


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)


# --- choosing the device ------------------------------------------------------------------------------------------


def open_model(path: Path, form: Form) -> OnnxModel:
    """Load a model on an accelerator that gives the processor's results in less time, else on the processor.

    Raises:
        UserError: The file is missing or damaged, or the model does not take pictures in this form.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # What fails here is told in other words.
    _check_file(path)
    calls = parallel_calls()
    session = open_session(path, CPU)
    on_cpu = OnnxModel(session, form, _input_size(path, session, form), "CPU", parallel_calls=calls, _turn=None)
    on_cpu.batch_size = _fixed_batch(session) or 1
    on_cpu.num_scores = _num_scores(path, on_cpu)
    reasons: list[str] = []
    available = onnxruntime.get_available_providers()
    for provider, device in ACCELERATORS.items():
        if provider in available:
            candidate = OnnxModel(None, form, on_cpu.size, device, num_scores=on_cpu.num_scores)
            candidate.parallel_calls = min(16, num_cores())
            reason = _reason_against(path, provider, candidate, on_cpu)
            if not reason:
                return candidate
            if device != "CUDA" or has_nvidia_card():  # onnxruntime names CUDA on every machine, if it is made for it.
                reasons.append(reason)
    if not ACCELERATORS.keys() & set(available) and has_nvidia_card():
        reasons.append(
            tr(
                "The tagger does not use the NVIDIA card, because the installed onnxruntime is made for processors; "
                "install onnxruntime-gpu in its place."
            )
        )
    on_cpu.note = " ".join(reasons[:1])
    return on_cpu


def _reason_against(path: Path, provider: str, candidate: OnnxModel, on_cpu: OnnxModel) -> str:
    """Give the candidate its session and put it to the proof: why it is not used, or ""."""
    import numpy as np

    form, device = candidate.form, candidate.device
    try:
        candidate.session = open_session(path, provider)
        if candidate.session.get_providers()[0] != provider:  # onnxruntime takes the processor without an error.
            raise RuntimeError(f"{provider} did not start")
        candidate.batch_size = _fixed_batch(candidate.session) or _BATCH_SIZE
        noise = np.random.default_rng(0).uniform(form.low, form.high, form.shape(1, on_cpu.size)).astype(np.float32)
        expected, cpu_s = _timed(on_cpu, noise)
        # One call uses some of the cores; several calls at once use all of them.
        cpu_s *= _cpu_threads() / num_cores()
        scores, device_s = _timed(candidate, np.repeat(noise, candidate.batch_size, axis=0))
    except Exception:  # A driver or library is missing, an operator is not there, ...: onnxruntime has no common type.
        return tr(
            "{device} did not start, so the tagger runs on the processor; update the graphics driver and onnxruntime.",
            device=device,
        )
    # Written so that "not a number" is an error too.
    if scores.shape[1:] != expected.shape[1:] or not np.abs(scores - expected).max() <= _LARGEST_ERROR:
        return tr(
            "{device} gives wrong scores, so the tagger runs on the processor; update the graphics driver.",
            device=device,
        )
    if device_s / len(scores) > cpu_s:
        return tr("The tagger runs on the processor, because {device} is slower with it.", device=device)
    return ""


def _timed(model: OnnxModel, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """The scores and the seconds of the second call; the first one compiles."""
    model.scores(batch)
    started = time.perf_counter()
    scores = model.scores(batch)
    return scores, time.perf_counter() - started


def has_nvidia_card() -> bool:
    """Whether the NVIDIA driver names a card. Asked of the driver's own library, because PyTorch takes long to load."""
    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        count = ctypes.c_uint()
        return nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False


# --- sessions -----------------------------------------------------------------------------------------------------


def parallel_calls() -> int:
    """Pictures at once on a processor. One thread each wastes least, but each needs the memory of its activations."""
    return min(4, num_cores())


def _cpu_threads() -> int:
    """Threads of one call on a processor: together with the other calls they take all cores."""
    return num_cores() - parallel_calls() + 1


def open_session(path: Path, provider: str) -> Any:
    """A session on one kind of device; onnxruntime itself falls back to the processor where that does not start.

    Raises:
        UserError: The file is damaged.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Threads that wait do not spin: the cores are needed to decode the next pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider == CPU:
        options.intra_op_num_threads = _cpu_threads()
        options.inter_op_num_threads = 1
    elif provider == "DmlExecutionProvider":
        options.enable_mem_pattern = False  # DirectML demands it.
    elif provider == "CUDAExecutionProvider" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # From the packages of NVIDIA, or on Windows from PyTorch.
    try:
        str(path).encode()
    except UnicodeEncodeError:  # A path that is no text; then only a model in one file can be read.
        model: str | bytes = path.read_bytes()
    else:
        model = str(path)
    providers = [provider, CPU] if provider != CPU else [CPU]
    settings = [_SETTINGS.get(name, {}) for name in providers]
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers, provider_options=settings)
    except Exception as error:  # onnxruntime's errors have no common type.
        raise explain(error) or damaged(path) from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise missing(path)
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"version https://git-lfs"):
        raise UserError(
            "{file} in {folder} is only a pointer to the real file, left by git.",
            remedy="Download the file itself, for example with the download button of its page.",
            file=path.name,
            folder=path.parent,
        )
    if not head.strip(b"\0"):
        raise damaged(path)


def _fixed_batch(session: Any) -> int | None:
    """The number of pictures that a model wants in every call, if it wants a certain one."""
    count = session.get_inputs()[0].shape[0]
    return count if isinstance(count, int) else None


def _input_size(path: Path, session: Any, form: Form) -> int:
    """Side of the input in pixels.

    Raises:
        UserError: The model does not take pictures in this form.
    """
    entry = session.get_inputs()[0]
    sides, channels = (slice(1, 3), 3) if form.layout == "NHWC" else (slice(2, 4), 1)
    known = [side for side in entry.shape[sides] if isinstance(side, int) and side > 0]
    if (
        len(session.get_inputs()) != 1
        or entry.type not in ("tensor(float)", "tensor(float16)")
        or len(entry.shape) != 4
        or (isinstance(entry.shape[channels], int) and entry.shape[channels] != 3)
        or len(set(known)) > 1
        or (known and known[0] < 8)
    ):
        raise UserError(
            "{file} in {folder} is an ONNX model, but no tagger of this kind: it takes other input than pictures.",
            remedy="Choose the folder of a WD tagger or of cl_tagger, with all the files that belong to it.",
            file=path.name,
            folder=path.parent,
        )
    return known[0] if known else _DEFAULT_SIZE


def _num_scores(path: Path, model: OnnxModel) -> int:
    """How many scores the model gives per picture; asked of the model itself where its file does not say."""
    import numpy as np

    shape = model.session.get_outputs()[0].shape
    if shape and len(shape) == 2 and isinstance(shape[1], int):
        return shape[1]
    scores = model.scores(np.zeros(model.form.shape(1, model.size), np.float32))
    if scores.ndim != 2:
        raise damaged(path)
    return int(scores.shape[1])
