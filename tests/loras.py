"""LoRA files of every kind with random weights, for tests, and what they change computed in the plainest way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
"""Module name in kohya's files -> shape of its weight."""


def random_lora(
    shapes: Shapes, *, kind: str = "lora", rank: int = 2, alpha: float = 1.0, size: float = 0.2, seed: int = 0
) -> dict[str, Tensor]:
    """A module of one kind (lora, tucker, dora, loha, lokr, full) for each weight."""
    generator = torch.Generator().manual_seed(seed)

    def new(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * size

    found: dict[str, Tensor] = {}
    for name, (out, inner, *window) in shapes.items():
        ones = [1] * len(window)
        parts: dict[str, Tensor] = {}
        if kind in ("lora", "dora"):
            parts = {"lora_down.weight": new(rank, inner, *window), "lora_up.weight": new(out, rank, *ones)}
        elif kind == "tucker":
            parts = {"lora_down.weight": new(rank, inner, *ones), "lora_up.weight": new(out, rank, *ones)}
            if window:
                parts["lora_mid.weight"] = new(rank, rank, *window)
        elif kind == "loha":
            columns = inner * (window[0] * window[1] if window else 1)
            for number in (1, 2):
                parts |= {f"hada_w{number}_a": new(out, rank), f"hada_w{number}_b": new(rank, columns)}
        elif kind == "lokr":
            parts = {"lokr_w1": new(2, 2), "lokr_w2_a": new(out // 2, rank)}
            parts["lokr_w2_b"] = new(rank, inner // 2 * (window[0] * window[1] if window else 1))
        elif kind == "full":
            parts = {"diff": new(out, inner, *window)}
        if kind == "dora":
            parts["dora_scale"] = new(1, inner, *ones).abs() + 1
        if kind != "full":
            parts["alpha"] = torch.tensor(alpha)
        found |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
    return found


def write_lora(path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float32, **metadata: str) -> Path:
    """A LoRA file."""
    save_file(
        {name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}, path, metadata=metadata or None
    )
    return path


def changes(tensors: Mapping[str, Tensor], shapes: Shapes) -> dict[str, Tensor]:
    """What a file in kohya's names adds to each weight, [out, columns] in float64; not for DoRA."""
    found: dict[str, Tensor] = {}
    for name in dict.fromkeys(key.partition(".")[0] for key in tensors):
        own = {key.partition(".")[2]: value.double() for key, value in tensors.items() if key.partition(".")[0] == name}
        out = shapes[name][0]
        if "lora_mid.weight" in own:
            middle = own["lora_mid.weight"]
            whole = torch.zeros(shapes[name], dtype=torch.float64)
            for first in range(middle.shape[0]):
                for second in range(middle.shape[1]):
                    outer = torch.outer(
                        own["lora_up.weight"][:, first].flatten(), own["lora_down.weight"][second].flatten()
                    )
                    whole += outer[:, :, None, None] * middle[first, second]
            rank = middle.shape[0]
        elif "lora_up.weight" in own:
            whole = own["lora_up.weight"].flatten(1) @ own["lora_down.weight"].flatten(1)
            rank = own["lora_down.weight"].shape[0]
        elif "hada_w1_a" in own:
            whole = (own["hada_w1_a"] @ own["hada_w1_b"]) * (own["hada_w2_a"] @ own["hada_w2_b"])
            rank = own["hada_w1_b"].shape[0]
        elif "lokr_w1" in own:
            second = (own["lokr_w2_a"] @ own["lokr_w2_b"]).reshape(out // 2, shapes[name][1] // 2, -1)
            rows = [torch.cat([a * second for a in row], 1) for row in own["lokr_w1"]]
            whole, rank = torch.cat(rows, 0), own["lokr_w2_b"].shape[0]
        else:
            whole, rank = own["diff"], 1
            own["alpha"] = torch.tensor(1.0)
        found[name] = whole.reshape(out, -1) * (float(own.get("alpha", rank)) / rank)
    return found


def furthest(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """The largest difference of two sets of changes, as a share of the largest value."""
    assert list(first) and set(first) == set(second)
    return max(float((first[name] - second[name]).abs().max() / second[name].abs().max()) for name in first)


def names(tensors: Iterable[str]) -> set[str]:
    """The modules that keys belong to."""
    return {key.partition(".")[0] for key in tensors}
