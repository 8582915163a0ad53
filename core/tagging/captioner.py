"""Models that describe a picture in a sentence: BLIP and Florence-2, as transformers itself knows them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from core.errors import UserError, explain
from core.tagging.base import Seen

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

CONFIG, WEIGHTS = "config.json", ("model.safetensors", "model.safetensors.index.json")
_TASK = "<DETAILED_CAPTION>"
"""What Florence-2 is asked for: two or three sentences. A paragraph would be cut off by most text encoders."""
_MOST_TOKENS = {"blip": 75, "florence2": 256}
_NUM_BEAMS = 3
_GPU_BATCH_SIZE = 8

# What these models begin with whatever they see; in captions it would be learned.
_OPENINGS = re.compile(
    r"(the|this) (image|picture|photo) (shows|depicts|features|is of) "
    r"|in (the|this) (image|picture|photo),? (we|you) can see "
    r"|araf\w* ",  # A word of BLIP's own; its training texts had names there.
    re.IGNORECASE,
)


@dataclass(slots=True)
class Captioner:
    """A loaded model with its preparation of pictures and its words."""

    name: ClassVar[str] = "captioner"
    title: ClassVar[str] = "BLIP, Florence-2"
    gives: ClassVar[Literal["tags", "sentence"]] = "sentence"

    model: Any
    processor: Any
    kind: str
    """`blip` or `florence2`."""
    place: torch.device
    dtype: torch.dtype
    device: str
    note: str = ""
    batch_size: int = 1
    parallel_calls: int = 1
    _turn: threading.Lock = field(default_factory=threading.Lock)
    """Held while the model works, which takes all cores or the whole card."""

    @classmethod
    def fits(cls, folder: Path) -> bool:
        """Whether the folder's config.json is that of such a model."""
        return _model_type(folder) in _MOST_TOKENS

    @classmethod
    def load(cls, folder: Path) -> Captioner:
        """Load model and words, on the graphics card where there is one. Nothing of the folder is run as a program.

        Raises:
            UserError: A file is missing, damaged or of another kind, or the memory does not suffice.
        """
        import transformers
        from transformers.utils.logging import disable_progress_bar

        from core.training.device import choose_device, device_title

        kind = _model_type(folder)
        if not any((folder / name).is_file() for name in WEIGHTS):
            raise UserError(
                "The sentence model in {folder} has no {file}.",
                remedy="Download it again with its safetensors file; weights of other kinds may hold programs and are "
                "not opened.",
                folder=folder,
                file=WEIGHTS[0],
            )
        disable_progress_bar()  # Kiln tells progress itself.
        place, dtype = choose_device("auto")
        kinds = {
            "blip": transformers.BlipForConditionalGeneration,
            "florence2": transformers.Florence2ForConditionalGeneration,
        }
        try:
            processor = transformers.AutoProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            model, report = kinds[kind].from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
            model = model.eval().to(place)
        except Exception as error:  # transformers raises whatever it stumbles over in a file.
            known = explain(error)
            raise (_unusable(folder) if known is None or known.failure == "model_damaged" else known) from error
        if report["missing_keys"] or report["mismatched_keys"]:  # These weights would be random.
            raise _unusable(folder)
        on_gpu = place.type == "cuda"
        batch_size, calls = (_GPU_BATCH_SIZE, 4) if on_gpu else (1, 1)
        return cls(
            model, processor, kind, place, dtype, device_title(place), batch_size=batch_size, parallel_calls=calls
        )

    def look(self, images: Iterable[Image]) -> list[Seen]:
        """A sentence about each picture (RGB): the same one each time, because nothing is left to chance.

        Raises:
            UserError: The model failed, or the memory does not suffice.
        """
        images = iter(images)
        seen: list[Seen] = []
        while batch := list(islice(images, self.batch_size)):
            seen.extend(Seen(sentence=tidy(text)) for text in self._described(batch))
        return seen

    def _described(self, images: list[Image]) -> list[str]:
        """What the model writes about a batch; in halves where the memory is too small for all at once."""
        try:
            return self._generated(images)
        except Exception as error:  # torch's errors have no common type.
            explained = explain(error)
            is_memory = "out of memory" in str(error).lower() or isinstance(error, MemoryError)
            if not is_memory:
                raise explained or UserError(
                    "The sentence model failed while it looked at a picture ({device}).",
                    remedy="Try again; if it fails again, download the model once more or choose another one.",
                    device=self.device,
                ) from error
            if len(images) == 1:
                raise UserError(
                    "The memory is not enough for this sentence model ({device}).",
                    remedy="Close other programs, or choose a smaller model.",
                    device=self.device,
                ) from error
        half = (len(images) + 1) // 2
        self.batch_size = min(self.batch_size, half)
        return self._described(images[:half]) + self._described(images[half:])

    def _generated(self, images: list[Image]) -> list[str]:
        import torch

        wish = {"text": [_TASK] * len(images)} if self.kind == "florence2" else {}
        inputs = self.processor(images=images, return_tensors="pt", **wish)
        with self._turn, torch.inference_mode():
            inputs = inputs.to(self.place, self.dtype)
            tokens = self.model.generate(
                **inputs, max_new_tokens=_MOST_TOKENS[self.kind], num_beams=_NUM_BEAMS, do_sample=False
            )
        texts: list[str] = self.processor.batch_decode(tokens, skip_special_tokens=True)
        return texts


def tidy(text: str) -> str:
    """One line without what these models begin with whatever they see."""
    line = " ".join(text.split())
    opening = _OPENINGS.match(line)
    if opening is None or opening.end() == len(line):
        return line
    rest = line[opening.end() :]
    return rest[0].upper() + rest[1:] if line[0].isupper() else rest


def _model_type(folder: Path) -> str:
    """The kind of model that config.json names, or ""."""
    kind = _config(folder).get("model_type")
    return kind if isinstance(kind, str) else ""


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):  # Then it is no folder of such a model.
        return {}
    return config if isinstance(config, dict) else {}


def _unusable(folder: Path) -> UserError:
    """For files that transformers cannot read, or not without a program that came with them."""
    if "auto_map" in _config(folder):
        return UserError(
            "The sentence model in {folder} needs a program of its own, and Kiln runs none from a download.",
            remedy="Take one that does without, for example florence-community/Florence-2-base.",
            folder=folder,
        )
    return UserError(
        "The sentence model in {folder} is damaged or not complete.",
        remedy="Download it again, with all of its files.",
        folder=folder,
    )


TAGGER = Captioner
