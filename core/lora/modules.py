"""The tensors of a LoRA file by module: which belong together, and what kind of network they are. Without torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]
ModuleKind = Literal["lora", "loha", "lokr", "full", "norm", "oft", "glora", "ia3", "unknown"]
"""What a module holds: a pair (with `lora_mid` in between, too); LyCORIS' LoHa and LoKr; a whole difference of the
weight; one of a norm or a bias alone; and kinds of LyCORIS that Kiln knows by name only."""
READABLE: frozenset[ModuleKind] = frozenset({"lora", "loha", "lokr"})
"""Kinds that Kiln draws with and trains on; the tools compute `full` as well."""

OTHER_LEAVES = frozenset({"diff", "diff_b", "w_norm", "b_norm"})
"""Differences of whole weights and of biases, which may stand beside any kind."""

_LEAF = re.compile(
    r"(lora_(?:down|up|mid)\.weight|alpha|dora_scale|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)"
    r"|diff(?:_b)?|[wb]_norm|oft_(?:blocks|diag)|rescale|[ab][12]\.weight|bm\.weight|on_input)"
)
_KINDS: tuple[tuple[str, ModuleKind], ...] = (
    ("lora_", "lora"),
    ("hada_", "loha"),
    ("lokr_", "lokr"),
    ("oft_", "oft"),
    ("a1.", "glora"),
    ("on_input", "ia3"),
    ("w_norm", "norm"),
    ("b_norm", "norm"),
)
_T = TypeVar("_T")


def split_key(key: str) -> tuple[str, str] | None:
    """The module's name and what of it a tensor is (`lora_down.weight`, `alpha` ...), of a key in kohya's names."""
    module, _, leaf = key.partition(".")
    return (module, leaf) if _LEAF.fullmatch(leaf) else None


def by_module(tensors: Mapping[str, _T]) -> dict[str, dict[str, _T]]:
    """Module name -> what of it -> the tensor, or its shape; keys of another kind are left out."""
    found: dict[str, dict[str, _T]] = {}
    for key, value in tensors.items():
        if split := split_key(key):
            found.setdefault(split[0], {})[split[1]] = value
    return found


def kind_of(leaves: Iterable[str]) -> ModuleKind:
    """What kind of network a module holds, by the names of its tensors."""
    there = set(leaves)
    for start, kind in _KINDS:
        if any(leaf.startswith(start) for leaf in there):
            return kind
    return "full" if "diff" in there else "norm" if "diff_b" in there else "unknown"


def missing_leaf(leaves: Iterable[str]) -> str | None:
    """A tensor that a module needs and does not have; None when it is whole."""
    there = set(leaves)
    needed: dict[ModuleKind, tuple[str, ...]] = {
        "lora": ("lora_down.weight", "lora_up.weight"),
        "loha": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
        "lokr": tuple(
            leaf
            for whole in ("lokr_w1", "lokr_w2")
            if whole not in there
            for leaf in ((f"{whole}_a", f"{whole}_b") if there & {f"{whole}_a", f"{whole}_b"} else (whole,))
        ),
    }
    return next((leaf for leaf in needed.get(kind_of(there), ()) if leaf not in there), None)


def rank_of(module: Mapping[str, Tensor] | Mapping[str, Shape]) -> int | None:
    """The inner width of a module, by its tensors or their shapes; None where it has none: whole LoKr factors.

    Where both factors of a LoKr have one, it is that of the second, as in ComfyUI.
    """
    for leaf in ("lora_down.weight", "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if leaf in module:
            found = module[leaf]
            shape = found if isinstance(found, tuple) else found.shape
            return int(shape[0])
    return None


def scale_of(module: Mapping[str, Tensor]) -> float:
    """The factor on what the tensors of a module give: alpha / rank, or 1 where one of the two is missing."""
    rank = rank_of(module)
    return float(module["alpha"]) / rank if rank and "alpha" in module else 1.0


def added_shape(leaves: Mapping[str, Shape]) -> Shape | None:
    """The shape of what a module adds, [out, in, ...], where LoHa and LoKr may have convolutions flat: [out, in k k].

    None where its tensors do not fit each other, or it is of a kind that Kiln cannot compute.
    """
    try:
        return _SHAPES[kind_of(leaves)](leaves)
    except (KeyError, IndexError, ValueError):
        return None


def _shape_of_pair(leaves: Mapping[str, Shape]) -> Shape | None:
    down, up = leaves["lora_down.weight"], leaves["lora_up.weight"]
    inner, *window = down[1:] if (middle := leaves.get("lora_mid.weight")) is None else (down[1], *middle[2:])
    joined = [(up[1], down[0])] if middle is None else [(up[1], middle[0]), (middle[1], down[0])]
    # One place alone is widened, and narrowed where the middle has the window.
    is_point = prod(up[2:]) == 1 and (middle is None or prod(down[2:]) == 1)
    return (up[0], inner, *window) if is_point and all(first == second for first, second in joined) else None


def _shape_of_loha(leaves: Mapping[str, Shape]) -> Shape | None:
    first, second = (
        _shape_of_product(*(leaves.get(f"hada_{part.format(number)}", ()) for part in ("w{}_a", "w{}_b", "t{}")))
        for number in (1, 2)
    )
    return first if first == second else None


def _shape_of_lokr(leaves: Mapping[str, Shape]) -> Shape | None:
    first, second = (
        leaves.get(f"lokr_w{number}")
        or _shape_of_product(leaves[f"lokr_w{number}_a"], leaves[f"lokr_w{number}_b"], core)
        for number, core in ((1, ()), (2, leaves.get("lokr_t2", ())))
    )
    return (first[0] * second[0], first[1] * second[1], *second[2:]) if first and second else None


def _shape_of_product(a: Shape, b: Shape, core: Shape) -> Shape | None:
    """Of two factors [out, rank] and [rank, in, ...]; with a core [rank, rank, ...], [rank, out] and [rank, in]."""
    if core:
        return (a[1], b[1], *core[2:]) if (a[0], b[0]) == core[:2] else None
    return (a[0], *b[1:]) if a[1] == b[0] else None


_SHAPES: dict[ModuleKind, Callable[[Mapping[str, Shape]], Shape | None]] = {
    "lora": _shape_of_pair,
    "loha": _shape_of_loha,
    "lokr": _shape_of_lokr,
    "full": lambda leaves: leaves["diff"],
}


def kind_name(kind: ModuleKind) -> str:
    """What a kind is called in the literature, which is the same in every language."""
    names = {"lora": "LoRA", "loha": "LoHa", "lokr": "LoKr", "oft": "OFT", "glora": "GLoRA", "ia3": "IA3"}
    return names.get(kind, kind)
