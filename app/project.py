"""What the user works on: the open folder with its captions, and the settings of the next run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import deque
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.background import Background
from core.config import TrainConfig, validated, with_values
from core.dataset.captions import CaptionChange, bytes_of, read_caption, tidy, undo, write_caption
from core.dataset.records import ImageRecord, Scan
from core.errors import UserError, details, explain
from core.files import write_text
from core.paths import default_output_folder, user_data_folder
from core.text import tr

MAX_UNDO = 500
SAVE_DELAY_MS = 400
MAX_SINGLE_CHANGES = 50  # With more captions changed outside, the folder is read as a whole.


class Project(QObject):
    """The open folder and the settings, for all pages. Pages change it here and hear of changes by its signals.

    `records_changed` follows every scan, also the first one of a folder, which is announced by `folder_changed` before.
    """

    folder_changed = Signal()
    records_changed = Signal()
    caption_changed = Signal(Path)
    config_changed = Signal()
    scanning_changed = Signal(bool)
    problem = Signal(str, str)
    crashed = Signal(str)  # an unknown error in the background, as a traceback

    def __init__(self, store: Path | None = None, parent: QObject | None = None) -> None:
        """Read what was open last; nothing is scanned until `open_folder` or `reopen`.

        Args:
            store: JSON file for the last folder and the settings; by default in the user's data folder.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._store = store or user_data_folder() / "project.json"
        self._config = TrainConfig()
        self._chosen: TrainConfig | None = TrainConfig()
        self._before_demo: tuple[TrainConfig, TrainConfig | None] | None = None
        self._last_folder: Path | None = None
        self._scan: Scan | None = None
        self._positions: dict[Path, int] = {}
        self._background = Background(self)
        self._generation = 0
        self._pending: int | None = None
        self._is_rereading = False
        self._edits: deque[tuple[Path, CaptionChange]] = deque(maxlen=MAX_UNDO)
        self._saving = QTimer(self)
        self._saving.setSingleShot(True)
        self._saving.setInterval(SAVE_DELAY_MS)
        self._saving.timeout.connect(self.save)
        self._load()
        if self._config.output.folder == Path():
            self._config = with_values(self._config, {"output.folder": default_output_folder()})

    # What is open

    @property
    def config(self) -> TrainConfig:
        """The settings of the next run."""
        return self._config

    @property
    def chosen(self) -> TrainConfig | None:
        """What Kiln chose by itself: where the settings differ from it, the user changed them. None: not known."""
        return self._chosen

    @property
    def scan(self) -> Scan | None:
        """The pictures of the open folder, or None when none is open or the first scan is not done."""
        return self._scan

    @property
    def folder(self) -> Path | None:
        """The open folder."""
        return self._scan.folder if self._scan else None

    @property
    def last_folder(self) -> Path | None:
        """The folder that was open when the window was last closed."""
        return self._last_folder

    @property
    def is_scanning(self) -> bool:
        """Whether a scan is on its way."""
        return self._pending is not None

    def record(self, image: Path) -> ImageRecord | None:
        """What is known about a picture of the open folder."""
        row = self._positions.get(image)
        return None if row is None or self._scan is None else self._scan.records[row]

    # Folders

    def open_folder(self, folder: Path) -> None:
        """Scan a folder in the background and make it the open one; a folder that cannot be read stays closed."""
        folder = folder.expanduser()
        self._start_scan(folder if folder.is_absolute() else Path.cwd() / folder, is_chosen=True)

    def reopen(self) -> bool:
        """Open the folder of last time; when it is gone, `problem` says so. Returns whether there was one."""
        if self._last_folder is None:
            return False
        self.open_folder(self._last_folder)
        return True

    def rescan(self) -> None:
        """Read the open folder again."""
        if self._scan is not None:
            self._start_scan(self._scan.folder)

    def open_demo(self) -> None:
        """Open the user's own copy of the demo pictures, made on first use, with settings that train them.

        The settings of before come back when another folder is opened.
        """
        from core.demo import copy_demo, demo_config

        output = default_output_folder()
        try:
            pictures = copy_demo(demo_folder())
            config = demo_config(pictures, output)
        except (UserError, OSError) as error:
            self._tell(error)
            return
        before = self._before_demo or (self._config, self._chosen)
        self.set_config(config, chosen=config)
        self._before_demo = before
        self.open_folder(pictures)

    def _start_scan(self, folder: Path, *, is_chosen: bool = False) -> None:
        self._generation += 1
        self._pending = self._generation
        generation, extension = self._generation, self._config.dataset.caption_extension
        self._background.start(
            lambda: _scan(folder, extension), lambda result: self._take_scan(generation, is_chosen, result)
        )
        self.scanning_changed.emit(True)

    def _take_scan(self, generation: int, is_chosen: bool, result: Scan | Exception) -> None:
        if generation != self._generation:
            return  # Another folder was opened in the meantime.
        self._pending = None
        self.scanning_changed.emit(False)
        if isinstance(result, Exception):
            self._tell(result)
            return
        is_new = self._scan is None or self._scan.folder != result.folder
        self._set_scan(result)
        if is_new:
            self._edits.clear()
            self._last_folder = result.folder
            self._saving.start()
        if is_chosen:
            self._use_folder(result.folder)
        if is_new:
            self.folder_changed.emit()
        self.records_changed.emit()

    def _use_folder(self, folder: Path) -> None:
        """Make the settings those of a folder; another one than the demo's brings back the settings of before it."""
        config, chosen = self._config, self._chosen
        if self._before_demo is not None and folder != demo_folder():
            if config.dataset.folder != folder:
                config, chosen = self._before_demo
            self._before_demo = None
        if config.dataset.folder != folder:
            self.set_config(with_values(config, {"dataset.folder": folder}), chosen=chosen)

    def _set_scan(self, scan: Scan) -> None:
        self._scan = scan
        self._positions = {record.path: row for row, record in enumerate(scan.records)}

    # Captions

    def save_caption(self, image: Path, text: str) -> bool:
        """Write the caption of a picture, atomically. Returns whether it is on disk.

        When the file is not what the record says, because another program wrote it, nothing is written: the record
        takes up what is there, and `caption_changed` tells. In other cases `problem` says why.
        """
        record = self.record(image)
        if record is None:
            return False
        now = _read_again(record)
        if not same_caption(now, record):
            self._replace_record(now)
            if tidy(text) != (now.caption or ""):
                return False
            record = now
        if tidy(text) == (record.caption or "") and not record.caption_problem:
            return True
        try:
            change = write_caption(record.caption_path, tidy(text))
        except (UserError, OSError) as error:
            self._tell(error)
            return False
        self._edits.append((image, change))
        self.reload_captions([image])
        return True

    @property
    def can_undo_caption(self) -> bool:
        """Whether there is a caption edit to take back."""
        return bool(self._edits)

    def undo_caption(self) -> Path | None:
        """Put the last edited caption back byte for byte, unless another program has changed it since.

        Returns its picture, or None when nothing was put back.
        """
        if not self._edits:
            return None
        image, change = self._edits.pop()
        try:
            if bytes_of(change.path) != change.after.encode():
                self.reload_captions([image])
                self.problem.emit(
                    tr("{name} was changed by another program, so it stays as it is.", name=change.path.name), ""
                )
                return None
            undo(change)
        except OSError as error:
            self._edits.append((image, change))
            self._tell(error)
            return None
        self.reload_captions([image])
        return image

    def reload_captions(self, images: list[Path]) -> None:
        """Read the captions of some pictures from disk again, after something wrote them."""
        for image in images:
            record = self.record(image)
            if record is None:
                continue
            self._replace_record(_read_again(record))

    def refresh_captions(self) -> None:
        """Look in the background whether another program changed captions, and take up those that are new."""
        if self._scan is None or self._is_rereading or self.is_scanning:
            return
        self._is_rereading = True
        records = self._scan.records
        self._background.start(lambda: _changed_captions(records), self._take_changed)

    def _take_changed(self, result: list[Path] | Exception) -> None:
        self._is_rereading = False
        if isinstance(result, Exception):
            self._tell(result)
        elif len(result) > MAX_SINGLE_CHANGES:
            self.rescan()
        else:
            self.reload_captions(result)

    def forget_edits(self) -> None:
        """Make caption edits final, because something else writes captions now."""
        self._edits.clear()

    def _replace_record(self, record: ImageRecord) -> None:
        assert self._scan is not None
        row = self._positions[record.path]
        records = (*self._scan.records[:row], record, *self._scan.records[row + 1 :])
        self._scan = dataclasses.replace(self._scan, records=records)
        self.caption_changed.emit(record.path)

    # Settings of the next run

    def change(self, changes: dict[str, Any]) -> None:
        """Change some settings.

        Args:
            changes: `section.name` -> new value.

        Raises:
            UserError: A key is unknown or a value is not allowed; nothing is changed.
        """
        self.set_config(with_values(self._config, changes), chosen=self._chosen)

    def set_config(self, config: TrainConfig, *, chosen: TrainConfig | None = None) -> None:
        """Take other settings as a whole.

        Args:
            config: The settings.
            chosen: What Kiln chose of them by itself; None when nobody knows, as with settings of a file or a run.
        """
        if chosen != self._chosen:
            self._chosen = chosen
            self._saving.start()
        if config != self._config:
            self._config = config
            self._saving.start()
            self.config_changed.emit()

    # Memory between sessions

    def save(self) -> None:
        """Write the last folder and the settings now; otherwise they are written a moment after each change."""
        self._saving.stop()
        values = {
            "version": 1,
            "folder": str(self._last_folder) if self._last_folder else None,
            "config": self._config.model_dump(mode="json"),
            "chosen": _dumped(self._chosen),
            "before_demo": [_dumped(config) for config in self._before_demo] if self._before_demo else None,
        }
        try:
            write_text(self._store, json.dumps(values, ensure_ascii=False, indent=2))
        except OSError as error:
            self._tell(error)

    def _load(self) -> None:
        if not self._store.exists():
            return
        try:
            values = json.loads(self._store.read_text(encoding="utf-8"))
            folder = values.get("folder")
            self._last_folder = Path(folder) if folder else None
            self._config = validated(values["config"])
            self._chosen = _read(values.get("chosen"))
            if before := values.get("before_demo"):
                config, chosen = before if isinstance(before, list) else (before, None)
                self._before_demo = validated(config), _read(chosen)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
            kept = self._store.with_suffix(".damaged.json")
            with contextlib.suppress(OSError):
                self._store.replace(kept)
            QTimer.singleShot(0, self, lambda: self._tell_damaged(kept))

    def _tell_damaged(self, kept: Path) -> None:
        self.problem.emit(
            tr("The settings of last time could not be read, so Kiln starts with the usual ones."),
            tr("The old file was kept as {path}.", path=kept),
        )

    def _tell(self, error: BaseException) -> None:
        known = explain(error)
        if known is None:
            self.crashed.emit(details(error))
        else:
            self.problem.emit(known.message, known.remedy)


def demo_folder() -> Path:
    """Where the user's own copy of the demo pictures is."""
    return default_output_folder() / "demo"


def _dumped(config: TrainConfig | None) -> dict[str, Any] | None:
    return config.model_dump(mode="json") if config else None


def _read(values: dict[str, Any] | None) -> TrainConfig | None:
    return validated(values) if values else None


def same_caption(one: ImageRecord, other: ImageRecord) -> bool:
    """Whether two records of a picture hold the same caption; a missing one is the same as an empty one."""
    unreadable = [record.caption is None and bool(record.caption_problem) for record in (one, other)]
    return (one.caption or "") == (other.caption or "") and unreadable[0] == unreadable[1]


def _read_again(record: ImageRecord) -> ImageRecord:
    caption, problem = read_caption(record.caption_path)
    return dataclasses.replace(record, caption=caption, caption_problem=problem)


def _changed_captions(records: tuple[ImageRecord, ...]) -> list[Path]:
    return [record.path for record in records if not same_caption(_read_again(record), record)]


def _scan(folder: Path, caption_extension: str) -> Scan:
    from core.dataset.scan import scan_folder

    return scan_folder(folder, caption_extension=caption_extension)
