"""Where the files of a run lie now: its folder may have been moved, or copied from another machine."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from core.run_folder import RunFolder


def find_run(place: Path) -> RunFolder:
    """The run that a user means by a folder: the folder of a run wherever it was copied to, or an output folder.

    Raises:
        UserError: There is no run in that folder.
    """
    place = place.absolute()
    if (place / "config.toml").is_file() and (place / "events.jsonl").is_file():
        return RunFolder(place)
    return RunFolder.find(place)


def is_at_home(folder: RunFolder) -> bool:
    """Whether the folder lies as a run's folder must, so that the run can go on in it."""
    return folder.path.parent.name == "runs"


def name_of(path: Path) -> str:
    """The file name of a path that may have been written on Windows."""
    text = str(path)
    return PureWindowsPath(text).name if "/" not in text else path.name


def sample_file(image: Path, run_folder: Path | None) -> Path:
    """Where a preview lies now: first beside the run that is looked at, else where the run has put it."""
    if run_folder is not None and (near := run_folder / "samples" / name_of(image)).is_file():
        return near
    return image


def lora_file(path: Path, run_folder: Path | None) -> Path:
    """Where a LoRA file lies now: in the output folder that the run lies in, beside the run, or where it was put."""
    if run_folder is not None:
        name = name_of(path)
        folders = [run_folder, run_folder.parent]
        if run_folder.parent.name == "runs":
            folders.insert(0, run_folder.parent.parent)
        for folder in folders:
            if (near := folder / name).is_file():
                return near
    return path
