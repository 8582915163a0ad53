"""What a LoRA file holds: metadata, kinds, ranks, alphas, hashes, and how much it changes each block."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from core.control import Control
from core.events import Finished, LoraReported
from core.lora.delta import delta_weight
from core.lora.formats import LoraFile, read_lora
from core.lora.modules import by_module, kind_of, rank_of
from core.tools.files import header_of, number_format
from core.tools.low_rank import pair_norm
from core.tools.steps import Steps, ToolEvents
from core.tools.tasks import InspectTask
from core.tools.weights import pair_of

_CHUNK_BYTES = 1 << 22
_BLOCK = re.compile(
    r"lora_unet_((?:input|output)_blocks_\d+|middle_block_\d+"
    r"|(?:down|up)_blocks_\d+_(?:attentions|resnets|downsamplers|upsamplers)_\d+"
    r"|mid_block_(?:attentions|resnets)_\d+)|(lora_te\d?)"
)


def inspect(task: InspectTask, control: Control) -> ToolEvents:
    """Tell what a LoRA file holds, in one `LoraReported`.

    Raises:
        UserError: It is no LoRA, or damaged.
    """
    lora = read_lora(task.file)
    modules = by_module(lora.tensors)
    size = task.file.stat().st_size
    parts = -(-size // _CHUNK_BYTES)
    steps = Steps(control, "inspect", parts + 1 + (len(modules) if task.norms else 0))
    yield steps.begin()
    report = _described(task.file, lora, modules)
    hashing = _hashes(task.file)
    for found in hashing:
        report |= found
        yield from steps.done()
    if task.norms:
        blocks: dict[str, list[float]] = {}
        unmeasured = not_finite = 0
        for name, module in modules.items():
            norm = module_norm(module)
            if norm is None:
                unmeasured += 1
            elif not math.isfinite(norm):
                not_finite += 1
            else:
                blocks.setdefault(block_of(name), []).append(norm)
            yield from steps.done()
        report["blocks"] = [
            {"block": block, "modules": len(blocks[block]), "norm": math.hypot(*blocks[block])}
            for block in sorted(blocks, key=_place)
        ]
        report["norm"] = math.hypot(*(norm for norms in blocks.values() for norm in norms))
        report |= {"modules_unmeasured": unmeasured, "modules_not_finite": not_finite}
    yield LoraReported(tool="inspect", reports=(report,))
    yield Finished()


def block_of(module: str) -> str:
    """The part of the model that a module belongs to: a block of the denoiser, or a text encoder."""
    found = _BLOCK.match(module)
    return (found[1] or found[2]) if found else module


_ORDER = ("lora_te", "input", "down", "mid", "output", "up")


def _place(block: str) -> tuple[object, ...]:
    """Where a block comes: text encoders, then the denoiser as it is run through."""
    kind = next((index for index, start in enumerate(_ORDER) if block.startswith(start)), len(_ORDER))
    numbers = [int(word) for word in block.split("_") if word.isdecimal()]
    return (kind, numbers[:1], "sampler" in block, numbers[1:], block)


def module_norm(module: Mapping[str, Tensor]) -> float | None:
    """Frobenius norm of what a module adds to its weight; None of kinds that have none without the base model."""
    kind = kind_of(module)
    if "dora_scale" in module or kind not in ("lora", "loha", "lokr", "full"):
        return None
    if kind == "lora":
        return pair_norm(pair_of(module))
    return float(delta_weight(module).double().norm())


def _described(path: Path, lora: LoraFile, modules: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    kinds = Counter(("dora " if "dora_scale" in module else "") + kind_of(module) for module in modules.values())
    ranks = Counter(rank for module in modules.values() if (rank := rank_of(module)))
    alphas = Counter(f"{float(module['alpha']):g}" for module in modules.values() if "alpha" in module)
    parts = Counter(name.partition("_unet_")[0].partition("_text_")[0] for name in modules)
    denoiser, header = parts.pop("lora", 0), header_of(path)
    return {
        "file": str(path),
        "size_bytes": path.stat().st_size,
        "spelling": lora.spelling,
        "family": lora.family,
        "dtype": number_format(header) if header is not None else "",
        "modules": len(modules),
        "parts": ({"lora_unet": denoiser} if denoiser else {}) | dict(parts),
        "kinds": dict(kinds),
        "ranks": {str(rank): ranks[rank] for rank in sorted(ranks)},
        "alphas": {alpha: alphas[alpha] for alpha in sorted(alphas, key=float)},
        "lacks_alpha": lora.lacks_alpha,
        "metadata": dict(lora.metadata),
    }


def _hashes(path: Path) -> Iterator[dict[str, str]]:
    """The hashes by which programs and sites know a file, after each part that was read; complete after the last.

    `sha256` is that of the whole file, `autov2` its first 10 digits; `data_sha256` is that of all behind the header,
    which A1111 calls the model hash, and `autov3` its first 12.
    """
    whole, data = hashlib.sha256(), hashlib.sha256()
    header = header_of(path)
    start = header.data_start if header is not None else None
    place = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            whole.update(chunk)
            if start is not None and place + len(chunk) > start:
                data.update(memoryview(chunk)[max(start - place, 0) :])
            place += len(chunk)
            yield {}
    found = {"sha256": whole.hexdigest(), "autov2": whole.hexdigest()[:10]}
    if start is not None:
        found |= {"data_sha256": data.hexdigest(), "autov3": data.hexdigest()[:12]}
    yield found
