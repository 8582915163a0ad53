"""Where the subject of a picture is, so that a crop keeps it whole: head and body, not just the face.

The built-in detector needs no model. Others are ONNX files in a folder each, below `detectors` in the folder
of models, such as `detectors/anime_person/model.onnx`: downloaded, or put there by the user. Whatever is there is used;
where it finds nothing, the built-in one is asked.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from core.dataset.geometry import Box
from core.dataset.subject.base import Kind, Subject, SubjectDetector, box_to_keep
from core.dataset.subject.saliency import Saliency
from core.errors import UserError
from core.hub.folder import models_folder

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "BUILT_IN",
    "Kind",
    "Subject",
    "SubjectDetector",
    "detectors_in_use",
    "find_subject",
    "known_detectors",
    "load_detector",
]

BUILT_IN = Saliency.name
_MODEL = "model.onnx"


def find_subject(image: Image, detector: SubjectDetector | None = None) -> Box | None:
    """The box that a crop should keep whole; None when nothing stands out, where crops are best centred.

    Args:
        image: Upright RGB of any size; the box is in its pixels.
        detector: From `load_detector`; when not given, those that the user has, else the built-in one.

    Raises:
        UserError: A detector cannot be loaded, or fails on the picture.
    """
    if detector is not None:
        return box_to_keep(detector.find(image), image.size)
    own = [load_detector(name) for name in known_detectors() if name != BUILT_IN]
    found = box_to_keep([subject for each in own for subject in each.find(image)], image.size)
    return found or box_to_keep(Saliency().find(image), image.size)


def detectors_in_use() -> str:
    """What boxes depend on, as a text that changes whenever the user's detectors do. No model is loaded."""
    place = _detectors_folder()
    models = ((name, place / name / _MODEL) for name in known_detectors() if name != BUILT_IN)
    return "/".join([f"{BUILT_IN} {Saliency.version}", *(f"{name} {path.stat().st_mtime_ns}" for name, path in models)])


def known_detectors(folder: Path | None = None) -> list[str]:
    """Names of all detectors that are there: the built-in one, then those of the user's folder in order.

    Args:
        folder: Where the folders of the detectors are; `detectors` in the folder of models when not given.
    """
    place = folder or _detectors_folder()
    found = sorted(path.parent.name for path in place.glob(f"*/{_MODEL}")) if place.is_dir() else []
    return [BUILT_IN, *(name for name in found if name != BUILT_IN)]


def load_detector(name: str, folder: Path | None = None) -> SubjectDetector:
    """Load a detector by name; one that is loaded already is used again until its file changes.

    Raises:
        UserError: There is no such detector, or its model cannot be used.
    """
    if name == BUILT_IN:
        return Saliency()
    model = (folder or _detectors_folder()) / name / _MODEL
    if name in ("", ".", "..") or Path(name).name != name or not model.is_file():
        raise UserError(
            "There is no subject detector named {name}.",
            remedy="Choose another one, or put its model.onnx into the folder {folder}.",
            name=name,
            folder=model.parent,
        )
    return _loaded(model, model.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _loaded(model: Path, changed_ns: int) -> SubjectDetector:
    """The detector of a file as it was at that time."""
    from core.dataset.subject.yolo import Yolo

    return Yolo.load(model)


def _detectors_folder() -> Path:
    return models_folder() / "detectors"
