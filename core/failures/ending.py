"""Failures of the working process as a whole: it ended without a word, and its exit code is what is left."""

from __future__ import annotations

from core.failures.changes import CONTINUE, DOCTOR, LOWER_RESOLUTION, SMALL_BATCH
from core.failures.entry import Failure

ENTRIES = (
    Failure(
        key="killed",
        title="The system ended the run",
        message="The system ended the working process, most likely for lack of memory.",
        why="When memory runs out, the system ends the program that uses most of it.",
        remedy="Close other programs and try again.",
        remedy_in_training="Close other programs and continue the run, or start a new one with a lower resolution.",
        fixes=(CONTINUE, SMALL_BATCH, LOWER_RESOLUTION),
    ),
    Failure(
        key="crashed",
        title="The working process crashed",
        message="The working process crashed ({code}).",
        why="A fault in a driver or a library, faulty memory, or overclocking can do that.",
        remedy="Try again. If it happens again, update the graphics driver and take back any overclocking.",
        remedy_in_training="Continue the run from its last state. If it happens again, update the graphics driver and "
        "take back any overclocking.",
        fixes=(CONTINUE, DOCTOR),
    ),
    Failure(
        key="processor_too_old",
        title="The processor lacks an instruction",
        message="The processor does not know an instruction that a library uses ({code}).",
        why="The installed packages were made for newer processors.",
        remedy="Run the set-up again: python packaging/launch.py setup --fresh",
        fixes=(DOCTOR,),
    ),
    Failure(
        key="ended_from_outside",
        title="The working process was ended from outside",
        message="Somebody or the system asked the working process to end.",
        why="That happens at logging off, at shutting down, and when a console window or a task is closed.",
        remedy="Start it again whenever you like.",
        remedy_in_training="Continue it from its last state whenever you like.",
        fixes=(CONTINUE,),
    ),
)

_UNSIGNED = 1 << 32
_BY_SIGNAL = {
    1: "ended_from_outside",  # SIGHUP: the terminal was closed
    2: "ended_from_outside",  # SIGINT
    3: "ended_from_outside",  # SIGQUIT
    4: "processor_too_old",  # SIGILL
    6: "crashed",  # SIGABRT: a library gave up
    7: "crashed",  # SIGBUS
    8: "crashed",  # SIGFPE
    9: "killed",  # SIGKILL
    10: "crashed",  # SIGBUS on macOS
    11: "crashed",  # SIGSEGV
    15: "ended_from_outside",  # SIGTERM
    24: "ended_from_outside",  # SIGXCPU
    25: "disk_full",  # SIGXFSZ: a limit on file sizes
}
_BY_WINDOWS_STATUS = {
    0xC0000005: "crashed",  # access violation
    0xC0000006: "drive_gone",  # in-page error: a mapped file could not be read
    0xC0000017: "memory",  # no memory
    0xC000001D: "processor_too_old",  # illegal instruction
    0xC000009A: "memory",  # insufficient resources
    0xC00000FD: "crashed",  # stack overflow
    0xC000012D: "page_file",  # commitment limit
    0xC000012F: "library_blocked",  # a DLL that is no DLL
    0xC0000135: "library_blocked",  # a DLL was not found
    0xC0000139: "library_blocked",  # a DLL lacks an entry point
    0xC000013A: "ended_from_outside",  # Ctrl+C, or the console was closed
    0xC0000142: "library_blocked",  # a DLL failed to start
    0xC0000374: "crashed",  # heap corruption
    0xC0000409: "crashed",  # fail fast: stack overrun, or abort()
    0xC0000417: "crashed",  # invalid argument to the C runtime
    0xC000041D: "crashed",  # an exception in a callback
    0xC06D007E: "library_blocked",  # a delayed DLL was not found
    0xC06D007F: "library_blocked",  # a delayed DLL lacks a procedure
    0x40010004: "ended_from_outside",  # the debugger or the session ended it
    0xE06D7363: "crashed",  # a C++ exception that nobody caught
}


def key_of_exit(code: int) -> str:
    """The failure that an exit code means, or an empty text.

    Args:
        code: As `subprocess` tells it: negative for a signal; on Windows a status, as signed or unsigned number.
            A shell between tells a signal as 128 and its number.
    """
    if -64 <= code < 0:
        return _BY_SIGNAL.get(-code, "crashed")
    if code % _UNSIGNED in _BY_WINDOWS_STATUS:
        return _BY_WINDOWS_STATUS[code % _UNSIGNED]
    return _BY_SIGNAL.get(code - 128, "") if code > 128 else ""


def code_text(code: int) -> str:
    """An exit code as one looks for it: Windows' own in hexadecimal."""
    if -64 <= code < 0 or 0 <= code < 256:
        return str(code)
    return f"0x{code % _UNSIGNED:08X}"
