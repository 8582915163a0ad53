"""Where and in which number format to compute."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from core.errors import UserError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

    from core.families.base import Family, Parts

DeviceWish = Literal["auto", "cuda", "mps", "cpu"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]

VaePrecision = Literal["auto", "fp32", "bf16"]

_PROBE_PX = 128
_ALL_THREADS = torch.get_num_threads()
_FEW_PARAMETERS = 50_000_000
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def choose_device(wish: DeviceWish, precision: Precision = "auto") -> tuple[torch.device, torch.dtype]:
    """The device and the number format of frozen weights and matrix products.

    Raises:
        UserError: The wished device is not there, or cannot compute in the wished format.
    """
    mps = torch.backends.mps.is_available()
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if (wish == "cuda" and not torch.cuda.is_available()) or (wish == "mps" and not mps):
        raise UserError(
            "There is no {device} device that PyTorch can use.",
            remedy="Set the device to auto, or run: python packaging/launch.py doctor",
            failure="card_missing",
            device=wish,
        )
    if precision == "auto":
        precision = _best_precision(wish)
    if precision == "fp16" and wish == "cpu":
        raise UserError(
            "A processor cannot train in fp16.",
            remedy="Set the precision to auto, bf16 or fp32.",
            failure="number_format",
        )
    return torch.device(wish), _DTYPES[precision]


def _best_precision(device: str) -> Precision:
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "fp32"  # Apple's and most processors' half formats are slower or less exact.


def make_accelerator(wish: DeviceWish, precision: Precision) -> tuple[Accelerator, torch.dtype]:
    """The accelerator of this process (one of several under `accelerate launch`) and the number format.

    Raises:
        UserError: As `choose_device`.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs

    device, dtype = choose_device(wish, precision)
    # The library keeps one state per process; a second job in the same process may want another device or format.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    modes = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "no"}
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=modes[dtype],
        # While one process encodes pictures or draws previews, the others wait; thousands of pictures take long.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=12))],
    )
    if accelerator.device.type != device.type:
        raise UserError(
            "The settings ask for {device}, but the processes were launched for {other}.",
            remedy="Set the device to auto, or launch without --cpu.",
            device=device.type,
            other=accelerator.device.type,
        )
    return accelerator, dtype


def settle_vae(parts: Parts, family: Family, wish: VaePrecision, device: torch.device) -> bool:
    """Give the VAE the number format it computes in, after a look whether its answers are numbers there.

    bf16 halves its memory and time on cards that have it; fp16, in which many a VAE gives black pictures, is never
    used.

    Args:
        parts: Hold the VAE in float32, already on the device.
        family: Knows how to encode.
        wish: What the settings say; auto tries bf16 on cards that have it, and nowhere else.
        device: Where it computes.

    Returns:
        False when bf16 was tried and gave no numbers; the VAE then stays in float32.
    """
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if wish == "fp32" or (wish == "auto" and not has_bf16):
        return True
    vae: Any = parts.vae
    vae.to(torch.bfloat16)
    with torch.no_grad(), in_its_own_precision(vae):
        latents = family.encode_images(parts, _probe().to(device))
        pixels = vae.decode(latents / float(vae.config.scaling_factor), return_dict=False)[0]
    if bool(torch.isfinite(latents).all()) and bool(torch.isfinite(pixels).all()):
        return True
    vae.to(torch.float32)
    return False


def _probe() -> Tensor:
    """[1, 3, H, W] a picture with what is hard on a VAE: full black beside full white, plain areas, and noise."""
    pixels = torch.rand(1, 3, _PROBE_PX, _PROBE_PX, generator=torch.Generator().manual_seed(0)) * 2 - 1
    half = _PROBE_PX // 2
    pixels[..., :half, :half] = 1.0
    pixels[..., half:, half:] = -1.0
    return pixels


@contextlib.contextmanager
def in_its_own_precision(vae: Any) -> Iterator[None]:
    """Decode in the number format of the VAE's weights, whatever format everything else around computes in."""
    decode = vae.decode

    def decode_exactly(latents: Tensor, *arguments: Any, **options: Any) -> Any:
        with torch.autocast(latents.device.type, enabled=False):
            return decode(latents.to(vae.dtype), *arguments, **options)

    vae.decode = decode_exactly
    try:
        yield
    finally:
        del vae.decode


def choose_threads(denoiser: torch.nn.Module) -> int:
    """Set how many threads compute on the processor, by the size of the model alone, so that bits stay the same.

    The single operations of a small model are too short to be shared: on two cores, two threads took two and a half
    times as long as one.
    """
    num_parameters = sum(weight.numel() for weight in denoiser.parameters())
    threads = 1 if num_parameters < _FEW_PARAMETERS else _ALL_THREADS
    torch.set_num_threads(threads)
    return threads


def device_title(device: torch.device) -> str:
    """The device in words, for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return {"mps": "Apple GPU", "cpu": "CPU"}.get(device.type, device.type)


def precision_name(dtype: torch.dtype) -> str:
    """`bf16`, `fp16` or `fp32`."""
    return next(name for name, known in _DTYPES.items() if known == dtype)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory used so far: on the graphics card, or of this process when there is none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "linux":
        # Not getrusage, whose peak includes that of the program which started this one.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
