"""Taggers of the WD 1.4 family by SmilingWolf, and all that keep its contract: model.onnx and selected_tags.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from core.dataset.parallel import num_cores
from core.errors import UserError, explain
from core.tagging.base import Category, ScoredTag
from core.tagging.pixels import tagger_square

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

MODEL, TAGS = "model.onnx", "selected_tags.csv"
_DEFAULT_SIZE = 448  # Of all published ones; used where the model leaves its input size open.
_CATEGORIES: dict[int, Category] = {0: "general", 1: "artist", 3: "copyright", 4: "character", 5: "meta", 9: "rating"}
_ACCELERATORS = {
    "CUDAExecutionProvider": "CUDA",
    "DmlExecutionProvider": "DirectML",
    "CoreMLExecutionProvider": "CoreML",
}


@dataclass(slots=True)
class WD14:
    """A loaded tagger.

    The model takes [B, size, size, 3] float32 in BGR, 0 to 255, and gives [B, tags] probabilities in the order of the
    rows of the CSV file; the sigmoid is inside.
    """

    name: ClassVar[str] = "wd14"
    title: ClassVar[str] = "WD 1.4"

    session: Any
    size: int
    tags: list[tuple[str, Category]]
    device: str
    batch_size: int
    parallel_calls: int

    @classmethod
    def fits(cls, folder: Path) -> bool:
        """Whether one of the two files is there."""
        return (folder / MODEL).exists() or (folder / TAGS).exists()

    @classmethod
    def load(cls, folder: Path) -> WD14:
        """Load model and list of tags, on the fastest device that truly works.

        Raises:
            UserError: One of the files is missing or damaged, or they do not belong together.
        """
        tags = _read_tags(folder / TAGS)
        session, device = _open_session(_checked_model(folder / MODEL))
        size = _input_size(folder / MODEL, session)
        num_scores = _num_scores(folder / MODEL, session, size)
        if num_scores != len(tags):
            raise UserError(
                "{tags} lists {num_tags} tags, but {model} in {folder} gives {num_scores} scores.",
                remedy="Take both files from the same tagger; download them again if they should belong together.",
                tags=TAGS,
                model=MODEL,
                folder=folder,
                num_tags=len(tags),
                num_scores=num_scores,
            )
        fixed_batch = session.get_inputs()[0].shape[0]
        batch_size = fixed_batch if isinstance(fixed_batch, int) else 1 if device == "CPU" else 8
        calls = _parallel_calls() if device == "CPU" else min(8, num_cores())
        return cls(session, size, tags, device, batch_size, calls)

    def tag(self, images: Iterable[Image], *, least_score: float = 0.0) -> list[list[ScoredTag]]:
        """For each picture (RGB) all tags with at least that score, the most certain first."""
        import numpy as np

        found: list[list[ScoredTag]] = []
        squares = (tagger_square(image, self.size) for image in images)
        while batch := list(islice(squares, self.batch_size)):
            for scores in self._scores(np.stack(batch).astype(np.float32)):
                order = np.argsort(-scores, kind="stable")
                # Rounded so that float32's nearest to 0.35 is 0.35.
                certain = scores[order].astype(np.float64).round(7).tolist()
                found.append(
                    [
                        ScoredTag(self.tags[index][0], score, self.tags[index][1])
                        for index, score in zip(order.tolist(), certain, strict=True)
                        if score >= least_score
                    ]
                )
        return found

    def _scores(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """[B, tags] probabilities of a batch, which is filled up where the model wants a fixed number."""
        import numpy as np

        count = len(batch)
        entry = self.session.get_inputs()[0]
        if isinstance(entry.shape[0], int) and count < entry.shape[0]:
            batch = np.concatenate([batch, np.zeros((entry.shape[0] - count, *batch.shape[1:]), np.float32)])
        if entry.type == "tensor(float16)":
            batch = batch.astype(np.float16)
        try:
            output = self.session.run([self.session.get_outputs()[0].name], {entry.name: batch})[0]
        except Exception as error:  # onnxruntime's errors have no common type.
            raise explain(error) or UserError(
                "The tagger failed while it looked at a picture ({device}).",
                remedy="Try again; if it fails again, download the tagger once more or choose another one.",
                device=self.device,
            ) from error
        return np.asarray(output[:count], np.float32)


# --- files --------------------------------------------------------------------------------------------------------


def tag_list(folder: Path) -> tuple[str, ...]:
    """The names of all tags that a tagger knows, in the order of its file; ratings are none.

    Raises:
        UserError: The list is missing or damaged.
    """
    return tuple(name for name, category in _read_tags(folder / TAGS) if category != "rating")


def _read_tags(path: Path) -> list[tuple[str, Category]]:
    """(name, category) of every row, in order."""
    if not path.is_file():
        raise _missing(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [
                (row["name"], _CATEGORIES.get(int(row["category"]), "other"))
                for row in csv.DictReader(file, strict=True)
            ]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise _broken(path) from error
    if not rows or not all(name for name, _ in rows):
        raise _broken(path)
    return rows


def _checked_model(path: Path) -> Path:
    if not path.is_file():
        raise _missing(path)
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
        raise _broken(path)
    return path


def _missing(path: Path) -> UserError:
    return UserError(
        "The tagger in {folder} has no {file}.",
        remedy="Download the tagger again, or choose a folder that holds both model.onnx and selected_tags.csv.",
        folder=path.parent,
        file=path.name,
    )


def _broken(path: Path) -> UserError:
    return UserError(
        "{file} in {folder} is damaged, incomplete, or no part of a WD tagger.",
        remedy="Download the tagger again; the download may have been cut off.",
        file=path.name,
        folder=path.parent,
    )


# --- the session --------------------------------------------------------------------------------------------------


def _parallel_calls() -> int:
    """Pictures at once on a CPU. One thread each wastes least, but each needs the memory of its activations."""
    return min(4, num_cores())


def _open_session(path: Path) -> tuple[Any, str]:
    """(session, name of the device): an accelerator that gives the CPU's results in less time, else the CPU."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # What fails here is told in other words.
    on_cpu = _session(path, "CPUExecutionProvider")
    available = onnxruntime.get_available_providers()
    for provider, device in _ACCELERATORS.items():
        if provider in available:
            with suppress(Exception):  # A missing driver or library, an operator that is not there: then the next one.
                if provider == "CUDAExecutionProvider" and hasattr(onnxruntime, "preload_dlls"):
                    onnxruntime.preload_dlls()
                candidate = _session(path, provider)
                if candidate.get_providers()[0] == provider and _agrees(path, candidate, on_cpu):
                    return candidate, device
    return on_cpu, "CPU"


def _session(path: Path, provider: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if provider == "CPUExecutionProvider":
        # Calls run on threads of their own; the session adds the threads for the remaining cores. Threads that wait
        # do not spin: the cores are needed to decode the next pictures.
        options.intra_op_num_threads = num_cores() - _parallel_calls() + 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    elif provider == "DmlExecutionProvider":
        options.enable_mem_pattern = False  # DirectML demands it.
    providers = list(dict.fromkeys([provider, "CPUExecutionProvider"]))
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no common type.
        raise explain(error) or _broken(path) from error


def _agrees(path: Path, candidate: Any, on_cpu: Any) -> bool:
    """Whether an accelerator gives the CPU's scores for a picture of noise, and is no slower."""
    import time

    import numpy as np

    size = _input_size(path, on_cpu)
    batch = np.random.default_rng(0).uniform(0, 255, (1, size, size, 3)).astype(np.float32)
    scores, seconds = [], []
    for session in (on_cpu, candidate):
        tagger = WD14(session, size, [], "", 1, 1)
        tagger._scores(batch)  # The first call compiles.
        started = time.perf_counter()
        scores.append(tagger._scores(batch))
        seconds.append(time.perf_counter() - started)
    return bool(np.abs(scores[0] - scores[1]).max() < 0.02) and seconds[1] <= seconds[0]


def _input_size(path: Path, session: Any) -> int:
    """Side of the input in pixels.

    Raises:
        UserError: The model does not take pictures in this form.
    """
    entry = session.get_inputs()[0]
    shape = entry.shape
    known = [side for side in shape[1:3] if isinstance(side, int) and side > 0]
    if (
        len(session.get_inputs()) != 1
        or entry.type not in ("tensor(float)", "tensor(float16)")
        or len(shape) != 4
        or (isinstance(shape[3], int) and shape[3] != 3)
        or len(set(known)) > 1
        or (known and known[0] < 8)
    ):
        raise UserError(
            "{file} in {folder} is an ONNX model, but no WD tagger: it does not take pictures in their form.",
            remedy="Choose the folder of a WD tagger, with model.onnx and selected_tags.csv.",
            file=path.name,
            folder=path.parent,
        )
    return known[0] if known else _DEFAULT_SIZE


def _num_scores(path: Path, session: Any, size: int) -> int:
    """How many scores the model gives per picture; asked of the model itself where its file does not say."""
    import numpy as np

    shape = session.get_outputs()[0].shape
    if shape and len(shape) == 2 and isinstance(shape[1], int):
        return shape[1]
    scores = WD14(session, size, [], "CPU", 1, 1)._scores(np.zeros((1, size, size, 3), np.float32))
    if scores.ndim != 2:
        raise _broken(path)
    return int(scores.shape[1])


TAGGER = WD14
