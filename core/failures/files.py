"""Failures of disks, folders, rights and names."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from core.failures.changes import DOCTOR, FEWER_FILES, FREE_SPACE, OPEN_FOLDER, OTHER_OUTPUT, RETRY
from core.failures.entry import Failure, Trouble, both, either, named, numbered, said, thing_in_the_way

_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None))
_GONE = (
    errno.EIO,
    errno.ENXIO,
    errno.ENODEV,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    getattr(errno, "ESTALE", None),
    getattr(errno, "EHOSTDOWN", None),
    getattr(errno, "EREMOTEIO", None),
)
_GONE_WINDOWS = (15, 20, 21, 23, 51, 53, 55, 59, 64, 67, 121, 433, 483, 1117, 1167, 1231, 1232, 1256)
_TOO_LONG_WINDOWS = 240
"""From here on Windows says of a folder that it does not exist, where long paths are not allowed."""


def _is_temporary(trouble: Trouble) -> bool:
    if "No usable temporary directory" in trouble.text:
        return True
    if not numbered(_FULL, windows=(39, 112))(trouble) or not trouble.place:
        return False
    # A folder that the user chose may lie there as well; what libraries make for themselves is called tmp….
    place, temporary = Path(trouble.place), Path(_temporary_folder())
    return temporary in place.parents and place.relative_to(temporary).parts[0].startswith("tmp")


def _temporary_folder() -> str:
    """Where libraries put temporary files, or the place that was wished for when there is none that works."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return os.environ.get("TMPDIR") or os.environ.get("TEMP") or "/tmp"


def _is_too_long(trouble: Trouble) -> bool:
    if trouble.number == errno.ENAMETOOLONG or trouble.windows_number == 206:
        return True
    return trouble.windows_number == 3 and len(trouble.place) >= _TOO_LONG_WINDOWS


ENTRIES = (
    Failure(
        key="temporary_full",
        title="No space for temporary files",
        message="There is no space left for temporary files in {place}.",
        why="Libraries keep files there for a moment, and its disk is full or may not be written.",
        remedy="Free some space there, or set the variable TMPDIR (on Windows: TEMP) to a folder on another disk.",
        fixes=(FREE_SPACE, RETRY),
        match=_is_temporary,
        place=lambda trouble: trouble.place or _temporary_folder(),
    ),
    Failure(
        key="disk_full",
        title="The disk is full",
        message="The disk is full: {place} could not be written.",
        why="States, LoRA files and previews of a run add up, and other programs write on the same disk.",
        remedy="Free some space or choose a folder on another disk, then try again.",
        remedy_in_training="Free some space or choose another output folder, then continue the run.",
        fixes=(FREE_SPACE, FEWER_FILES, OTHER_OUTPUT),
        match=either(
            numbered(_FULL, windows=(39, 112)),
            both(named("RuntimeError"), said(r"PytorchStreamWriter", r"inline_container.*unexpected pos")),
            said(r"No space left on device"),
        ),
    ),
    Failure(
        key="path_too_long",
        title="The path is too long",
        message="The path {place} is too long.",
        why="Windows takes 260 signs unless long paths are allowed, and no system more than 255 bytes in one name.",
        remedy="Choose a shorter name or folder.",
        fixes=(OTHER_OUTPUT,),
        match=_is_too_long,
    ),
    Failure(
        key="file_locked",
        title="Another program holds the file",
        message="Another program holds {place}.",
        why="Programs that show, copy, search or scan a file can keep others from it meanwhile.",
        remedy="Close the program that has it open, such as a picture viewer or a cloud drive, and try again.",
        fixes=(RETRY,),
        match=numbered((errno.EBUSY, errno.ETXTBSY), windows=(32, 33)),
    ),
    Failure(
        key="virus_scanner",
        title="A virus scanner is in the way",
        message="Windows or a virus scanner keeps Kiln from {place}.",
        why="It takes the file for dangerous, or lets only certain programs run or write there.",
        remedy="Allow Kiln's folder in the virus scanner, bring back what it took away, and try again.",
        fixes=(RETRY, DOCTOR),
        match=numbered(windows=(225, 226, 1260, 4551)),
    ),
    Failure(
        key="no_right",
        title="No right to the folder",
        message="Kiln has no right to open {place}.",
        why="The folder or file belongs to another user or to the system, is write-protected, or Windows guards it "
        "against programs it does not know.",
        remedy="Give yourself the right to it, or choose a folder of your own, for example in your documents.",
        fixes=(OTHER_OUTPUT, RETRY),
        match=numbered((errno.EACCES, errno.EPERM, errno.EROFS), windows=(5, 19)),
    ),
    Failure(
        key="drive_gone",
        title="The drive does not answer",
        message="The drive of {place} does not answer.",
        why="A network drive lost its connection, a drive was unplugged or fell asleep, or it is failing.",
        remedy="Check the drive and the connection to it, then try again; a folder on this machine is safer.",
        remedy_in_training="Check the drive and the connection to it, then continue the run; a folder on this machine "
        "is safer.",
        fixes=(RETRY, OTHER_OUTPUT),
        match=numbered(_GONE, windows=_GONE_WINDOWS),
    ),
    Failure(
        key="no_locks",
        title="The disk knows no locks",
        message="The disk of {place} cannot lock files, so that two runs could spoil each other's work.",
        why="Some network drives do not know locks.",
        remedy="Choose an output folder on a drive of this machine.",
        fixes=(OTHER_OUTPUT,),
        match=numbered((errno.ENOLCK, errno.EOPNOTSUPP), windows=(1, 50)),
    ),
    Failure(
        key="too_many_files",
        title="Too many open files",
        message="The system allows no more open files.",
        why="Each program may open only so many files at once, and this limit is reached.",
        remedy="Close other programs and try again; on Linux and macOS, ulimit -n raises the limit.",
        fixes=(RETRY,),
        match=either(
            numbered((errno.EMFILE, errno.ENFILE), windows=(4,)),
            said(r"too many open files", r"received \d+ items of ancdata"),
        ),
    ),
    Failure(
        key="file_in_the_way",
        title="A file is in the way",
        message="{place} is a file where a folder is needed.",
        why="A file has the name that a folder should get.",
        remedy="Choose another folder.",
        fixes=(OTHER_OUTPUT,),
        match=numbered((errno.ENOTDIR, errno.EEXIST)),
        place=thing_in_the_way,
    ),
    Failure(
        key="name_refused",
        title="The name is not allowed there",
        message="The disk cannot keep a file of this name: {place}.",
        why="Disks differ in the signs that they allow in names; Windows and USB sticks refuse : * ? and some others.",
        remedy="Choose another name or folder.",
        fixes=(OTHER_OUTPUT,),
        match=both(numbered((errno.EILSEQ, errno.EINVAL), windows=(123, 161)), lambda trouble: bool(trouble.place)),
    ),
    Failure(
        key="file_missing",
        title="A file is missing",
        message="{place} is missing.",
        why="It was moved, renamed or deleted, or its drive is not there.",
        remedy="Check that the file was not moved or renamed.",
        fixes=(RETRY, OPEN_FOLDER),
        match=both(numbered((errno.ENOENT,), windows=(2, 3)), lambda trouble: bool(trouble.place)),
    ),
)
