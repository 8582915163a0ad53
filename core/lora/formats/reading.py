"""Reading a LoRA file of any program into kohya's and LyCORIS' names."""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.checkpoints.pickled import WRAPPERS, is_pickled, read_pickled_header, torch_safe_globals
from core.errors import UserError
from core.lora.formats.alphas import TextAlphas
from core.lora.formats.guessing import guess_family, may_be_kolors
from core.lora.formats.spelling import MAGNITUDE, Key, Spelling, read_key
from core.lora.keys import name_of, split_name
from core.lora.modules import READABLE, added_shape, by_module, kind_of, missing_leaf, rank_of, split_key
from core.models import FamilyName
from core.safetensors_header import read_header

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraFile:
    """A LoRA as a file has it, in kohya's and LyCORIS' names, in the file's number formats.

    `family` is a guess, see `guess_family`, where it was not given; where that is SDXL, `may_be_kolors` says that it is
    as likely Kolors. `lacks_alpha` says that nobody knows the strength
    that it was trained with: there are modules without an alpha, and no custom tells what that means. Everywhere else
    a missing alpha is filled in as the rank, as other programs read it. `left_out` are keys that mean nothing to Kiln.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    spelling: Spelling
    family: FamilyName | None
    lacks_alpha: bool = False
    left_out: tuple[str, ...] = ()
    may_be_kolors: bool = False

    def family_for(self, base: FamilyName) -> FamilyName | None:
        """What it is for, where it is to go with something of this family: the same, unless the file tells another."""
        return base if base == "kolors" and self.may_be_kolors else self.family


def read_lora(path: Path, alpha: float | None = None, family: FamilyName | None = None) -> LoraFile:
    """Read a LoRA file in any spelling.

    Args:
        path: A safetensors file, or a pickled one, which is read without running anything in it.
        alpha: For modules whose alpha is not in the file.
        family: What it was made for, where that is known; else it is guessed.

    Raises:
        UserError: The file is missing, damaged, unsafe, not complete, or no LoRA for these families.
    """
    if path.is_dir():
        raise UserError("{path} is not a LoRA.", remedy="Choose a LoRA file.", path=path)
    tensors, metadata = _pickled(path) if begins_pickled(path) else _safetensors(path)
    keys = {key: meaning for key in tensors if (meaning := read_key(key)) is not None}
    if not keys:
        raise UserError("{path} is not a LoRA.", remedy="Choose a LoRA file.", path=path)
    shapes = [(meaning, tuple(tensors[key].shape)) for key, meaning in keys.items()]
    is_given, family = family is not None, family or guess_family(shapes, metadata)
    renamed: dict[str, Tensor] = {}
    meanings: dict[str, Key] = {}
    for key, meaning in keys.items():
        module = name_of(meaning.part, meaning.path, family)
        leaf, tensor = meaning.leaf, tensors[key]
        if leaf == MAGNITUDE:
            leaf, tensor = "dora_scale", tensor.reshape(-1, 1)
        if (name := f"{module}.{leaf}") in renamed:
            raise UserError(
                "{path} holds {name} twice.", remedy="Save it again with the program it is from.", path=path, name=name
            )
        renamed[name] = tensor
        meanings[module] = meaning
    _check_whole(path, renamed)
    spelling = _spelling(keys)
    is_unknown = spelling == "diffsynth" or any(key.startswith("base_model.") or ".default." in key for key in keys)
    lacks_alpha = _fill_alphas(renamed, meanings, TextAlphas(path, metadata), alpha, is_unknown)
    return LoraFile(
        tensors=_shaped(renamed),
        metadata=metadata,
        spelling=spelling,
        family=family,
        lacks_alpha=lacks_alpha,
        left_out=tuple(key for key in tensors if key not in keys),
        may_be_kolors=not is_given and family == "sdxl" and may_be_kolors(keys.values(), metadata),
    )


def named_for(tensors: Mapping[str, Tensor], family: FamilyName) -> dict[str, Tensor]:
    """The same tensors in the names that kohya's files of a family have, whichever they are called by now."""
    found: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        module, _, leaf = key.partition(".")
        known = split_name(module)
        found[f"{name_of(*known, family)}.{leaf}" if known else key] = tensor
    return found


def _spelling(keys: Mapping[str, Key]) -> Spelling:
    """The one that most weights have; alphas look alike in several."""
    counts = Counter(key.spelling for key in keys.values() if key.leaf not in ("alpha", "dora_scale", MAGNITUDE))
    return counts.most_common(1)[0][0] if counts else next(iter(keys.values())).spelling


def _check_whole(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for module, leaves in by_module(tensors).items():
        if missing := missing_leaf(leaves):
            raise UserError(
                "{path} is not complete: {name} is missing.",
                remedy="Download it again, or save it again with the program it is from.",
                path=path,
                name=f"{module}.{missing}",
            )
        shapes = {leaf: tuple(tensor.shape) for leaf, tensor in leaves.items()}
        is_known = kind_of(leaves) in (*READABLE, "full")
        if (is_known and added_shape(shapes) is None) or math.prod(shapes.get("alpha", ())) != 1:
            raise UserError(
                "{path} is damaged: the sizes of {name} do not fit each other.",
                remedy="Download it again, or save it again with the program it is from.",
                failure="model_damaged",
                path=path,
                name=module,
            )


def _fill_alphas(
    tensors: dict[str, Tensor], meanings: Mapping[str, Key], texts: TextAlphas, alpha: float | None, is_unknown: bool
) -> bool:
    """Put in the alphas that are not among the tensors; whether some stay unknown."""
    import torch

    lacks = False
    for module, leaves in by_module(tensors).items():
        rank = rank_of(leaves)
        if rank is None or "alpha" in leaves:
            continue
        value = texts.of(meanings[module], rank)
        if value is None:
            value = alpha if alpha is not None else None if is_unknown else rank
        if value is None:
            lacks = True
        else:
            tensors[f"{module}.alpha"] = torch.tensor(float(value))
    return lacks


def _shaped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With numbers as numbers, and DoRA's lengths in as many dimensions as the weight has."""
    found: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        split = split_key(key)
        module, leaf = split if split else (key, "")
        if leaf == "alpha" and tensor.numel() == 1:
            found[key] = tensor.reshape(())
        elif leaf == "dora_scale" and tensor.ndim < (dims := _dims(tensors, module)):
            found[key] = tensor.reshape(*tensor.shape, *[1] * (dims - tensor.ndim))
        else:
            found[key] = tensor
    return found


def _dims(tensors: Mapping[str, Tensor], module: str) -> int:
    leaves = ("lora_down.weight", "lora_mid.weight", "hada_t1", "lokr_t2", "lokr_w2")
    return max((tensors[f"{module}.{leaf}"].ndim for leaf in leaves if f"{module}.{leaf}" in tensors), default=0)


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors.torch import load_file

    header = read_header(path)
    return load_file(path), dict(header.metadata)


def _pickled(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a pickled file; one that asks for anything but numbers is refused unread, by name."""
    import torch

    read_pickled_header(path)
    try:
        # As a file that is open: by its name torch may take it for one of another kind.
        with torch.serialization.safe_globals(torch_safe_globals()), path.open("rb") as file:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            "{path} is damaged.", remedy="Download the model again.", failure="model_damaged", path=path
        ) from error
    while isinstance(found, dict) and (inner := next((found[key] for key in WRAPPERS if key in found), None)):
        found = inner
    tensors = found if isinstance(found, dict) else {}
    return {str(key): value for key, value in tensors.items() if isinstance(value, torch.Tensor)}, {}


def begins_pickled(path: Path) -> bool:
    """Whether a file is a pickled one, whatever its name says."""
    try:
        with path.open("rb") as file:
            return is_pickled(file.read(9))
    except FileNotFoundError:
        return False  # The other reader has the words for it.
