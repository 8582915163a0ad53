"""Detectors in the form of YOLOv5 and YOLOv8 exports: one ONNX file each, run on the CPU.

Made for the anime person and anime head detectors of deepghs (imgutils), and fit for all exports with one picture in,
[1, 3, H, W] RGB from 0 to 1 with grey bars around, and one output: [1, 4 + classes, N] (YOLOv8) or
[1, N, 5 + classes] (YOLOv5, with objectness), boxes as centre and size in pixels of the input.
"""

from __future__ import annotations

import ast
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.dataset.subject.base import Kind, Subject
from core.errors import UserError, explain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats = NDArray[np.float32]

LABELS = "labels.json"
_DEFAULT_PX = 640  # Of all published ones; used where the model leaves its input size open.
_LEAST_SCORE = 0.3
_MOST_OVERLAP = 0.5
_BAR_GREY = 114
_KINDS: dict[str, Kind] = {
    "head": "head",
    "face": "face",
    "person": "person",
    "people": "person",
    "body": "person",
    "girl": "person",
    "boy": "person",
}
"""Part of the name of a class -> kind; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Yolo:
    """A loaded detector. `size_px` is width and height of the model's input; `kinds` are those of its classes.

    Several threads may call `find` at once.
    """

    name: str
    version: int
    session: Any
    size_px: tuple[int, int]
    kinds: tuple[Kind, ...]
    has_objectness: bool

    @classmethod
    def load(cls, model: Path) -> Yolo:
        """Load a model, with the names of its classes from `labels.json` beside it or from its metadata.

        The version is taken from the file's time and size, so that a newer file counts as another detector.

        Raises:
            UserError: The file cannot be read, or it is no detector of this form.
        """
        session = _session(model)
        size_px = _input_size(model, session)
        shape = _run(session, _blank(size_px), model.parent.name).shape
        if len(shape) != 3 or shape[0] != 1 or min(shape[1:]) < 5:
            raise _unfit(model)
        names = _class_names(model, session)
        has_objectness, num_classes = _form(shape, len(names))
        if num_classes < 1 or (names and len(names) != num_classes):
            raise _unfit(model)
        named = names or [model.parent.name] * num_classes
        return cls(
            name=model.parent.name,
            version=_version(model),
            session=session,
            size_px=size_px,
            kinds=tuple(_kind(name, model.parent.name) for name in named),
            has_objectness=has_objectness,
        )

    def find(self, image: Image) -> list[Subject]:
        """All subjects of an upright RGB picture of any size, the best first.

        Raises:
            UserError: The model fails on the picture.
        """
        import numpy as np

        batch, scale, (left, top) = _letterboxed(image, self.size_px)
        output = _run(self.session, batch, self.name)[0]
        rows = output if self.has_objectness else output.T
        first = 5 if self.has_objectness else 4
        scores = rows[:, first:] * rows[:, 4:5] if self.has_objectness else rows[:, first:]
        classes, best = scores.argmax(1), scores.max(1)
        likely = np.flatnonzero(best >= _LEAST_SCORE)
        centre, half = rows[likely, :2], rows[likely, 2:4] / 2
        boxes = (np.concatenate([centre - half, centre + half], 1) - [left, top, left, top]) / scale
        boxes = boxes.clip(0, [image.width, image.height, image.width, image.height])
        found = []
        for index in _without_doubles(boxes, best[likely], classes[likely]):
            x0, y0, x1, y1 = boxes[index].tolist()
            box = (math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))
            if box[0] < box[2] and box[1] < box[3]:
                kind = self.kinds[int(classes[likely[index]])]
                found.append(Subject(box=box, score=round(min(1.0, float(best[likely[index]])), 4), kind=kind))
        return found


def _letterboxed(image: Image, size_px: tuple[int, int]) -> tuple[Floats, float, tuple[int, int]]:
    """The picture as the model takes it, what it was scaled by, and where its upper left corner is."""
    import numpy as np
    from PIL import Image as Pillow

    scale = min(size_px[0] / image.width, size_px[1] / image.height)
    width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.convert("RGB").resize((width, height), Pillow.Resampling.BILINEAR, reducing_gap=2.0)
    left, top = (size_px[0] - width) // 2, (size_px[1] - height) // 2
    canvas = Pillow.new("RGB", size_px, (_BAR_GREY,) * 3)
    canvas.paste(small, (left, top))
    batch = np.asarray(canvas, np.float32).transpose(2, 0, 1)[None] / np.float32(255)
    return np.ascontiguousarray(batch), scale, (left, top)


def _without_doubles(boxes: NDArray[np.float64], scores: Floats, classes: NDArray[np.int64]) -> list[int]:
    """Indices by falling score, without boxes that overlap a better one of their class (non-maximum suppression)."""
    import numpy as np

    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (high - low).clip(0).prod(1)
        overlap = shared / np.maximum(area[best] + area[rest] - shared, 1e-9)
        order = rest[(overlap <= _MOST_OVERLAP) | (classes[rest] != classes[best])]
    return kept


# --- the model ----------------------------------------------------------------------------------------------------


def _session(model: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # What fails here is told in other words.
    try:
        # As bytes, for a path may hold what is no text.
        return onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common type.
        raise explain(error) or _damaged(model) from error


def _run(session: Any, batch: Floats, name: str) -> Floats:
    import numpy as np

    entry = session.get_inputs()[0]
    try:
        wanted = batch.astype(np.float16) if entry.type == "tensor(float16)" else batch
        return np.asarray(session.run([session.get_outputs()[0].name], {entry.name: wanted})[0], np.float32)
    except Exception as error:  # onnxruntime's errors have no common type.
        raise explain(error) or UserError(
            "The subject detector {name} failed while it looked at a picture.",
            remedy="Choose another detector, or download this one again.",
            name=name,
        ) from error


def _input_size(model: Path, session: Any) -> tuple[int, int]:
    """Width and height of the input.

    Raises:
        UserError: The model does not take one picture in this form.
    """
    entries = session.get_inputs()
    shape = entries[0].shape if entries else []
    if (
        len(entries) != 1
        or entries[0].type not in ("tensor(float)", "tensor(float16)")
        or len(shape) != 4
        or (isinstance(shape[0], int) and shape[0] != 1)
        or (isinstance(shape[1], int) and shape[1] != 3)
    ):
        raise _unfit(model)
    height, width = (side if isinstance(side, int) and side > 0 else _DEFAULT_PX for side in shape[2:])
    return width, height


def _form(shape: tuple[int, ...], num_names: int) -> tuple[bool, int]:
    """Whether a YOLOv5 output (with objectness, one row per box), and the number of classes."""
    _, rows, columns = shape
    if num_names:
        has_objectness = columns == 5 + num_names and rows != 4 + num_names
    else:
        has_objectness = columns < rows  # There are far more boxes than classes.
    return has_objectness, columns - 5 if has_objectness else rows - 4


def _class_names(model: Path, session: Any) -> list[str]:
    """The names of the classes in order; empty when nothing tells them.

    Raises:
        UserError: `labels.json` is damaged.
    """
    labels = model.with_name(LABELS)
    if labels.is_file():
        try:
            return _in_order(json.loads(labels.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise _damaged(labels) from error
    written = session.get_modelmeta().custom_metadata_map.get("names", "")
    try:
        return _in_order(ast.literal_eval(written)) if written else []
    except (ValueError, SyntaxError):  # Written by a tool with a form of its own; the folder's name tells then.
        return []


def _in_order(names: object) -> list[str]:
    """Names from a list, or from a table of numbers and names."""
    if isinstance(names, dict):
        return [str(names[number]) for number in sorted(names, key=int)]
    if isinstance(names, list | tuple):
        return [str(name) for name in names]
    raise ValueError("neither a list nor a table")


def _kind(name: str, folder: str) -> Kind:
    """The kind that the name of a class tells; if it tells none, that of the folder's name."""
    for words in (name.lower(), folder.lower()):
        for known, kind in _KINDS.items():
            if known in words:
                return kind
    return "subject"


def _version(model: Path) -> int:
    state = model.stat()
    return state.st_mtime_ns // 1_000_000 * 1000 + state.st_size % 1000


def _blank(size_px: tuple[int, int]) -> Floats:
    import numpy as np

    return np.zeros((1, 3, size_px[1], size_px[0]), np.float32)


def _damaged(path: Path) -> UserError:
    return UserError(
        "{file} in {folder} is damaged or incomplete.",
        remedy="Download the detector again; the download may have been cut off.",
        file=path.name,
        folder=path.parent,
    )


def _unfit(model: Path) -> UserError:
    return UserError(
        "{file} in {folder} is an ONNX model, but no detector that Kiln knows.",
        remedy="Use a YOLO detector for persons, heads or faces, exported to ONNX without its own filter of boxes.",
        file=model.name,
        folder=model.parent,
    )
