"""Failures of memory, graphics card, driver and installed packages."""

from __future__ import annotations

import errno

from core.failures.changes import (
    ADAPT,
    AUTO_DEVICE,
    AUTO_PRECISION,
    CHECKPOINTING,
    CONTINUE,
    DOCTOR,
    EXACT,
    LOWER_RESOLUTION,
    ON_PROCESSOR,
    PLAIN_ADAMW,
    RETRY,
    SMALL_BATCH,
)
from core.failures.entry import Failure, Trouble, either, named, numbered, said


def _is_bitsandbytes(trouble: Trouble) -> bool:
    if trouble.package == "bitsandbytes" or "libbitsandbytes" in trouble.text:
        return True
    return "bitsandbytes" in trouble.text and not trouble.names.isdisjoint({"ImportError", "RuntimeError", "OSError"})


MEMORY = (
    Failure(
        key="page_file",
        title="Page file too small",
        message="Windows has no virtual memory left to give.",
        why="Windows promises memory only as far as main memory and page file reach together, and loading a model asks "
        "for much at once.",
        remedy="Close other programs, and let Windows manage the size of the page file: look for Advanced system "
        "settings, Performance, Advanced, Virtual memory. Then restart Windows.",
        fixes=(RETRY,),
        match=either(numbered(windows=(1455,)), said(r"paging file is too small", r"页面文件太小")),
    ),
    Failure(
        key="memory",
        title="Main memory is full",
        message="This machine ran out of memory.",
        why="The model, the pictures and all open programs together need more main memory than there is.",
        remedy="Close other programs and try again.",
        remedy_in_training="Close other programs or lower the resolution.",
        fixes=(RETRY, SMALL_BATCH, LOWER_RESOLUTION),
        match=either(
            named("MemoryError"),
            numbered((errno.ENOMEM,), windows=(8, 14)),
            said(r"DefaultCPUAllocator", r"can.?t allocate memory", r"cannot allocate memory", r"bad.?alloc"),
        ),
    ),
    Failure(
        key="out_of_memory",
        title="The graphics card's memory is full",
        message="The memory is not enough for these settings.",
        why="The base model, the pictures of one step and what other programs show together need more memory than the "
        "graphics card has.",
        remedy="Close other programs that use the graphics card and try again, or choose a smaller size.",
        remedy_in_training="Set the batch size to 1, turn gradient checkpointing on, or lower the resolution.",
        fixes=(ADAPT, LOWER_RESOLUTION, CONTINUE, CHECKPOINTING, SMALL_BATCH),
        match=either(
            named("OutOfMemoryError"),
            said(r"out of memory", r"STATUS_ALLOC_FAILED", r"OUT_OF_MEMORY"),
        ),
    ),
)

CARD = (
    Failure(
        key="torch_too_old",
        title="PyTorch is too old for the card",
        message="The installed PyTorch does not support this graphics card.",
        why="PyTorch holds programs for certain generations of cards, and this card is of another one: newer, or much "
        "older.",
        remedy="Update the graphics driver, then run the set-up again: python packaging/launch.py setup",
        fixes=(DOCTOR, ON_PROCESSOR),
        match=said(
            r"no kernel image is available",
            r"sm_\d+ is not compatible",
            r"not compatible with the current PyTorch installation",
        ),
    ),
    Failure(
        key="driver_too_old",
        title="The graphics driver is too old",
        message="The graphics driver is too old for the installed PyTorch.",
        why="PyTorch was made for a newer driver than the one on this machine, or the driver was updated and the "
        "machine was not restarted since.",
        remedy="Restart the machine; if that does not help, install the newest driver from nvidia.com.",
        fixes=(DOCTOR, ON_PROCESSOR),
        match=said(
            r"NVIDIA driver on your system is too old",
            r"CUDA driver version is insufficient",
            r"unsupported toolchain",
            r"forward compatibility was attempted",
            r"driver/library version mismatch",
            r"cudaErrorInsufficientDriver",
        ),
    ),
    Failure(
        key="card_busy",
        title="The graphics card is taken",
        message="Another program keeps the graphics card for itself.",
        why="The card is set to serve one program at a time, or a program that hangs still holds it.",
        remedy="Close other programs that compute on the card, such as an image generator, and try again.",
        fixes=(RETRY,),
        match=said(r"busy or unavailable", r"cudaErrorDevicesUnavailable", r"CUDA_ERROR_DEVICE_UNAVAILABLE"),
    ),
    Failure(
        key="card_missing",
        title="No graphics card to compute on",
        message="PyTorch finds no graphics card that it can compute on.",
        why="There is none from NVIDIA, its driver is not installed, or PyTorch was installed without support for it.",
        remedy="Set the device to auto, or run: python packaging/launch.py doctor",
        fixes=(AUTO_DEVICE, DOCTOR),
        match=said(
            r"no CUDA GPUs are available",
            r"Torch not compiled with CUDA",
            r"Found no NVIDIA driver",
            r"no CUDA-capable device",
            r"invalid device ordinal",
        ),
    ),
    Failure(
        key="card_lost",
        title="The graphics card stopped working",
        message="The graphics card stopped in the middle of its work.",
        why="Heat, overclocking, a weak power supply, a driver that was reset or sleep can do that; so can a fault of "
        "the card.",
        remedy="Try again. If it happens again, restart the machine, update the driver and take back any overclocking.",
        remedy_in_training="Continue the run from its last state. If it happens again, restart the machine, update the "
        "driver and take back any overclocking.",
        fixes=(CONTINUE, DOCTOR),
        match=said(
            r"device-side assert",
            r"unspecified launch failure",
            r"illegal (memory access|instruction|address)",
            r"misaligned address",
            r"launch timed out",
            r"GPU is lost",
            r"fallen off the bus",
            r"uncorrectable ECC",
            r"\bXid\b",
            r"CUDA error: unknown error",
            r"CUDA error: hardware",
        ),
    ),
    Failure(
        key="card_library",
        title="A library of the graphics card failed",
        message="A library of the graphics card (cuDNN or cuBLAS) failed.",
        why="Most often it had too little memory for itself; otherwise another version of it is in the system's path.",
        remedy="Try again. If it fails again, check the installation.",
        remedy_in_training="Set the batch size to 1. If it fails again, check the installation.",
        fixes=(SMALL_BATCH, DOCTOR),
        match=said(
            r"cudnn.{0,40}(error|status|fail)",
            r"CUDNN_STATUS",
            r"CUBLAS_STATUS",
            r"could not load library .*cudnn",
            r"valid cuDNN algorithm",
            r"CUSOLVER_STATUS",
        ),
    ),
    Failure(
        key="mps_operator",
        title="Not possible on Apple's graphics",
        message="Apple's graphics chip cannot compute a part of this training.",
        why="PyTorch does not have every operation for it yet.",
        remedy="Train on the processor, or use other settings, for example the optimizer adamw.",
        fixes=(PLAIN_ADAMW, ON_PROCESSOR),
        match=said(
            r"not (currently )?(implemented|supported) (for|on|by) (the )?MPS",
            r"MPS (framework|backend|device) (doesn't|does not) support",
        ),
    ),
    Failure(
        key="number_format",
        title="The device cannot compute in this precision",
        message="The device cannot compute in the chosen precision.",
        why="PyTorch has no half precision for a part of this training on this device.",
        remedy="Set the precision to auto or fp32.",
        fixes=(AUTO_PRECISION, EXACT),
        match=said(r"not implemented for '(Half|BFloat16|Float8\w*)'"),
    ),
)

PACKAGES = (
    Failure(
        key="optimizer_unavailable",
        title="The optimizer does not load",
        message="The library for 8-bit optimizers (bitsandbytes) is missing or does not work here.",
        why="Some optimizers come in packages that are not a part of Kiln, and not all of them run on every machine.",
        remedy="Choose the optimizer adamw: it gives the same LoRA and needs a little more memory.",
        fixes=(PLAIN_ADAMW, DOCTOR),
        match=_is_bitsandbytes,
    ),
    Failure(
        key="library_blocked",
        title="A program library does not load",
        message="A program library that Kiln needs does not load.",
        why="On Windows the Microsoft Visual C++ Redistributable may be missing or too old, or a virus scanner took "
        "the file away; elsewhere libraries of different versions are mixed.",
        remedy="Install the newest Microsoft Visual C++ Redistributable (x64), then run the set-up again: "
        "python packaging/launch.py setup --fresh",
        fixes=(DOCTOR,),
        match=either(
            said(
                r"DLL load failed",
                r"c10\.dll",
                r"cannot open shared object file",
                r"undefined symbol",
                r"version .GLIBC\w*_[\d.]+. not found",
                r"static TLS block",
                r"Library not loaded",
            ),
            numbered(windows=(126, 127, 182, 193, 1114)),
        ),
    ),
    Failure(
        key="package_missing",
        title="A part of the installation is missing",
        message="The installation is not complete: the package {package} is missing.",
        why="The set-up was interrupted, or something removed or replaced a package.",
        remedy="Run the set-up again: python packaging/launch.py setup --fresh",
        fixes=(DOCTOR,),
        match=lambda trouble: bool(trouble.package) and not trouble.names.isdisjoint({"ModuleNotFoundError"}),
    ),
)

ENTRIES = MEMORY + CARD + PACKAGES
