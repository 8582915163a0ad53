"""What the user works on: the open folders with captions and decisions, and the settings of the next run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.background import Background
from app.caption_writer import Batch, CaptionWriter, turning, writing
from app.dataset_reading import (
    Arrival,
    Done,
    Look,
    Opened,
    Progress,
    Tell,
    look,
    open_dataset,
    read_again,
    same_caption,
)
from app.decisions import Decisions, View
from app.folder_watch import FolderWatch
from app.history import History, Step
from core.config import TrainConfig, validated, with_values
from core.dataset.caption_edits import Written, carry_out, intend
from core.dataset.caption_journal import DamagedJournalError
from core.dataset.captions import tidy
from core.dataset.edits import UNTOUCHED, Concept, PictureEdits, dataset_file_of, save_dataset
from core.dataset.records import ImageRecord, Scan
from core.errors import UserError, details, explain
from core.files import write_text
from core.paths import default_output_folder, user_data_folder
from core.text import tr

SAVE_DELAY_MS = 400


class Project(QObject):
    """The open dataset and the settings, for all pages. Pages change it here and hear of changes by its signals.

    `records_changed` follows every look that found other pictures, also the first one, which is announced by
    `folder_changed` before. What `glimpsed` tells of a folder that is being opened is only for the eye: until all of it
    is read, the dataset of before is open, or none. Everything done to captions, pictures and folders can be taken back
    by name.
    """

    folder_changed = Signal()
    records_changed = Signal()
    captions_changed = Signal(object)  # tuple of pictures
    edits_changed = Signal(object)  # tuple of pictures whose crops, exclusion, fit, turn or repeats changed
    concepts_changed = Signal()
    history_changed = Signal()
    writing_changed = Signal(str, int, int)  # what is being written, captions done, of how many; "" when it has ended
    config_changed = Signal()
    looked = Signal()  # after every look for changes by other programs
    scanning_changed = Signal(bool)
    glimpsed = Signal(object)  # `Arrival`: some pictures of the folder that is being opened
    scan_progressed = Signal(int, int)  # files that are read, of how many
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
        self._decisions: Decisions | None = None
        self._opening: Path | None = None
        self._positions: dict[Path, int] = {}
        self._background = Background(self)
        self._generation = 0
        self._is_scanning = False
        self._is_looking = False
        self._last_trouble = ""
        self._saved = ""  # What this window wrote last about the settings.
        self._num_writes = 0
        self._history = History()
        self._after_writing: list[Callable[[], object]] = []
        self._writer = CaptionWriter(self._background)
        self._writer.changed.connect(self.writing_changed)
        self._writer.changed.connect(self._on_writing_changed)
        self._writer.shown.connect(self._show_written)
        self._watch = FolderWatch(self)
        self._watch.changed.connect(self.look_again)
        self._saving = QTimer(self)
        self._saving.setSingleShot(True)
        self._saving.setInterval(SAVE_DELAY_MS)
        self._saving.timeout.connect(self._save_beside)
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
        """The pictures of the open dataset, or None when none is open or the first scan is not done."""
        return self._scan

    @property
    def folder(self) -> Path | None:
        """The open folder; with several, the first of them."""
        return self._scan.folder if self._scan else None

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """The folders of the open dataset."""
        return self._decisions.concepts if self._decisions else ()

    @property
    def edits_file(self) -> Path:
        """The dataset file that a job on the open folder must read, or `Path()`; `save` it before."""
        return self._decisions.file if self._decisions else Path()

    @property
    def last_folder(self) -> Path | None:
        """The folder that was open when the window was last closed."""
        return self._last_folder

    @property
    def is_scanning(self) -> bool:
        """Whether a scan that the user asked for is on its way."""
        return self._is_scanning

    @property
    def is_opening(self) -> bool:
        """Whether another folder is about to take the place of the open one, or of none."""
        return self._opening is not None and self._opening != self.folder

    def refuses_while_opening(self) -> bool:
        """Tell that nothing can be started, if that is so: the folder of before is no longer what the user sees."""
        if self.is_opening:
            self.problem.emit(
                tr("Another folder is being opened."), tr("Wait until its pictures are read, then start again.")
            )
        return self.is_opening

    @property
    def is_writing(self) -> bool:
        """Whether many captions are being written beside the window."""
        return self._writer.is_busy

    @property
    def positions(self) -> Mapping[Path, int]:
        """Where each picture is among the records of `scan`; another mapping when these are other pictures."""
        return self._positions

    def record(self, image: Path) -> ImageRecord | None:
        """What is known about a picture of the open dataset."""
        row = self._positions.get(image)
        return None if row is None or self._scan is None else self._scan.records[row]

    def edits(self, image: Path) -> PictureEdits:
        """What was decided about a picture of the open dataset."""
        return self._scan.edits(image) if self._scan else UNTOUCHED

    # Folders

    def open_folder(self, folder: Path) -> None:
        """Open the dataset of a folder, scanned in the background; a folder that cannot be read stays closed."""
        folder = folder.expanduser()
        self._start_scan(folder if folder.is_absolute() else Path.cwd() / folder, is_chosen=True)

    def reopen(self) -> bool:
        """Open the folder of last time; when it is gone, `problem` says so. Returns whether there was one."""
        if self._last_folder is None:
            return False
        self.open_folder(self._last_folder)
        return True

    def rescan(self) -> None:
        """Read the open folders again, every file of them, unless another folder is just being opened."""
        if self._scan is not None and self._opening is None:
            self._start_scan(self._scan.folder)

    def open_demo(self) -> None:
        """Open the user's own copy of the demo pictures, made on first use, with settings that train them.

        The settings of before come back when another folder is opened.
        """
        from core.demo import copy_demo, copy_others, demo_config, demo_dataset, with_others

        output = default_output_folder()
        try:
            pictures = copy_demo(demo_folder())
            others = copy_others(pictures.with_name("demo-others"))
            dataset_file = dataset_file_of(pictures)
            if not dataset_file.exists():
                save_dataset(dataset_file, with_others(demo_dataset(pictures), others))
            config = demo_config(pictures, output)
        except (UserError, OSError) as error:
            self.tell(error)
            return
        before = self._before_demo or (self._config, self._chosen)
        self.set_config(config, chosen=config)
        self._before_demo = before
        self.open_folder(pictures)

    def set_concepts(self, name: str, concepts: Sequence[Concept]) -> None:
        """Use other folders, or other settings for them; the first one stays the one that was opened.

        Args:
            name: What the user did, for undo.
            concepts: All folders, at least one.
        """
        if self._decisions is None or tuple(concepts) == self._decisions.concepts or self._is_refused():
            return
        self._history.add(Step(name=name, concepts=(self._decisions.concepts, tuple(concepts))))
        self._use_concepts(tuple(concepts))

    def _use_concepts(self, concepts: tuple[Concept, ...]) -> None:
        assert self._decisions is not None
        self._decisions.set_concepts(concepts)
        self._on_decided()
        self.concepts_changed.emit()
        self.history_changed.emit()
        self.rescan()

    def _is_refused(self) -> bool:
        """Tell why nothing can be decided, if that is so."""
        if self._decisions is not None and self._decisions.refusal:
            self.problem.emit(self._decisions.refusal, "")
            return True
        return False

    def _start_scan(self, folder: Path, *, is_chosen: bool = False) -> None:
        self._generation += 1
        self._is_scanning = True
        self._opening = folder if is_chosen else None
        generation, extension = self._generation, self._config.dataset.caption_extension
        decisions = self._decisions if self._decisions and self._decisions.folder == folder else None
        if decisions is None:
            self._save_decisions()
        dataset = decisions.dataset if decisions else None
        num_writes = self._num_writes

        def read(tell: Tell) -> Opened:
            return open_dataset(folder, dataset, extension, tell)

        def hear(told: Arrival | Progress) -> None:
            self._hear(generation, told)

        self._background.start_telling(read, hear, lambda result: self._take_scan(generation, num_writes, result))
        self.scanning_changed.emit(True)

    def _hear(self, generation: int, told: Arrival | Progress) -> None:
        if generation != self._generation:
            return  # Another folder was opened in the meantime.
        if isinstance(told, Arrival):
            self.glimpsed.emit(told)
        else:
            self.scan_progressed.emit(told.done, told.total)

    def _take_scan(self, generation: int, num_writes: int, result: Opened | Exception) -> None:
        if generation != self._generation:
            return  # Another folder was opened in the meantime.
        is_chosen, self._opening, self._is_scanning = self._opening is not None, None, False
        if isinstance(result, Exception):
            self.scanning_changed.emit(False)
            self.tell(result)
            return
        is_new = self._scan is None or self._scan.folder != result.scan.folder
        if not is_new and (num_writes != self._num_writes or self.is_writing):
            self._start_scan(result.scan.folder, is_chosen=is_chosen)  # What was read may be older than what is there.
            return
        self.scanning_changed.emit(False)
        if result.content is not None:
            self._decisions = Decisions(result.content, result.refusal)
        self._set_scan(result.scan, result.positions)
        if is_new:
            self._history.clear()
            for journal in result.journals:
                self._history.put_done(
                    Step(name=journal.name, journal=journal.path, num_in_journal=journal.num_files, is_earlier=True)
                )
            self.history_changed.emit()
            self._last_folder = result.scan.folder
            self._saving.start()
        if is_chosen:
            self._use_folder(result.scan.folder)
        if is_new:
            self.folder_changed.emit()
        self.records_changed.emit()
        if result.content is not None:
            self.concepts_changed.emit()
        if notice := result.notice or result.refusal:
            self.problem.emit(notice, "")

    def _use_folder(self, folder: Path) -> None:
        """Make the settings those of a folder; another one than the demo's brings back the settings of before it."""
        config, chosen = self._config, self._chosen
        if self._before_demo is not None and folder != demo_folder():
            if config.dataset.folder != folder:
                config, chosen = self._before_demo
            self._before_demo = None
        if config.dataset.folder != folder:
            self.set_config(with_values(config, {"dataset.folder": folder}), chosen=chosen)
        else:
            self._name_decisions()

    def _set_scan(self, scan: Scan, positions: dict[Path, int]) -> None:
        if self._decisions is not None and self._decisions.pictures != scan.pictures:
            # What was decided while the folders were read counts, too.
            scan = dataclasses.replace(scan, pictures=self._decisions.pictures)
        self._scan = scan
        self._positions = positions
        self._watch.watch(dict.fromkeys((*(concept.folder for concept in self.concepts), *scan.folders)))

    # Changes by other programs

    def look_again(self) -> None:
        """Look in the background whether other programs changed something, and take up what is new."""
        if self._scan is None or self._decisions is None or self._is_looking or self.is_scanning or self.is_writing:
            return
        self._is_looking = True
        scan, dataset, extension = self._scan, self._decisions.dataset, self._config.dataset.caption_extension
        num_writes, generation = self._num_writes, self._generation
        self._background.start(
            lambda: look(scan, dataset, extension),
            lambda result: self._take_look(num_writes, generation, result),
        )

    def _take_look(self, num_writes: int, generation: int, result: Look | Exception) -> None:
        self._is_looking = False
        if generation != self._generation or self._scan is None:
            return
        if isinstance(result, Exception):
            if str(result) != self._last_trouble:  # Told once, not with every look.
                self.tell(result)
            self._last_trouble = str(result)
            self.looked.emit()
            return
        self._last_trouble = ""
        if num_writes != self._num_writes or self.is_writing:
            self.look_again()  # What was seen may be older than what has been written since.
            return
        if result.scan is not None:
            self._set_scan(result.scan, result.positions)
            self.records_changed.emit()
        elif result.captions:
            self._replace_records(result.captions)
        self.looked.emit()

    # Decisions about pictures

    def edit_pictures(self, name: str, changes: Mapping[Path, PictureEdits]) -> None:
        """Decide something about pictures: leave them out, crop, turn, fit or repeat them. No file is touched.

        Args:
            name: What the user did, for undo.
            changes: What holds for each of the pictures from now on.
        """
        steps = self._differing(changes)
        if steps and not self._is_refused():
            self._history.add(Step(name=name, pictures=steps))
            self._use_edits({image: after for image, (_, after) in steps.items()})

    def _differing(self, changes: Mapping[Path, PictureEdits]) -> dict[Path, tuple[PictureEdits, PictureEdits]]:
        """What holds for pictures now and what would, for those where that is not the same."""
        pairs = ((image, self.edits(image), edits) for image, edits in changes.items())
        return {image: (before, after) for image, before, after in pairs if before != after}

    def _use_edits(self, changes: Mapping[Path, PictureEdits]) -> None:
        assert self._scan is not None and self._decisions is not None
        self._decisions.set_pictures(changes)
        self._scan = dataclasses.replace(self._scan, pictures=self._decisions.pictures)
        self._on_decided()
        self.edits_changed.emit(tuple(changes))
        self.history_changed.emit()

    # Captions

    def save_caption(self, image: Path, text: str) -> bool:
        """Write the caption of a picture, atomically. Returns whether it is on disk.

        When the file is not what the record says, because another program wrote it, nothing is written: the record
        takes up what is there, and `captions_changed` tells. In other cases `problem` says why.
        """
        record = self.record(image)
        if record is None or self.is_writing:
            return False
        now = read_again(record)
        if not same_caption(now, record):
            self._replace_records([now])
            if tidy(text) != (now.caption or ""):
                return False
            record = now
        if tidy(text) == (record.caption or "") and not record.caption_problem:
            return True
        self._num_writes += 1
        self._watch.expect()
        done = Done.of([record], carry_out(intend([record], {image: tidy(text)})))
        self._keep_written(tr("Edit the caption of {name}", name=image.name), done, self.folder)
        return not (done.written.foreign or done.written.failed)

    def edit_captions(
        self,
        name: str,
        texts: Mapping[Path, str],
        pictures: Mapping[Path, PictureEdits] | None = None,
        then: Callable[[Written | None], object] | None = None,
    ) -> None:
        """Write the captions of many pictures as one step; beside the window when there are many.

        Args:
            name: What the user did, for undo.
            texts: New caption of each picture.
            pictures: Decisions that belong to the same step.
            then: Called at the end with what was written, or with None when nothing could be touched.
        """
        decided = self._differing(pictures or {})
        if self._scan is None or (decided and self._is_refused()):
            if then is not None:
                then(None)
            return
        folder = self._scan.folder

        def batch() -> Batch:
            records = [record for image in texts if (record := self.record(image)) is not None]
            return Batch(name=name, number=len(records), records=records, work=writing(name, records, texts, folder))

        def end(result: Done | Exception) -> None:
            if isinstance(result, Done):
                self._keep_written(name, result, folder, decided)
            if then is not None:
                then(result.written if isinstance(result, Done) else None)

        self._write(batch, end)

    def waits_for_captions(self, act: Callable[[], object]) -> bool:
        """Whether captions are being written beside the window, so that a job would read old ones.

        Args:
            act: Called when that has ended, if it is so.
        """
        if self.is_writing:
            self._after_writing.append(act)
        return self.is_writing

    def _on_writing_changed(self, name: str, _done: int, _total: int) -> None:
        if not name and self._after_writing:
            QTimer.singleShot(0, self, self._go_on)  # The next batch begins before.

    def _go_on(self) -> None:
        if not self.is_writing:
            waiting, self._after_writing = self._after_writing, []
            for act in waiting:
                act()

    @property
    def undo_name(self) -> str:
        """What `undo` would take back, or ""."""
        return self._history.last.name if self._history.last else ""

    @property
    def undo_is_earlier(self) -> bool:
        """Whether `undo` would take back captions that were written before the dataset was opened."""
        return self._history.last is not None and self._history.last.is_earlier

    @property
    def redo_name(self) -> str:
        """What `redo` would do again, or ""."""
        return self._history.next.name if self._history.next else ""

    def undo(self) -> None:
        """Take back the last step: captions byte for byte, except those that another program has changed since."""
        if not self.is_writing and (step := self._history.take_last()) is not None:
            self._turn(step, back=True)

    def redo(self) -> None:
        """Do again what was taken back last."""
        if not self.is_writing and (step := self._history.take_next()) is not None:
            self._turn(step, back=False)

    def _turn(self, step: Step, *, back: bool) -> None:
        folder = self.folder

        def batch() -> Batch:
            records = self._scan.records if self._scan and step.num_captions else ()
            return Batch(name=step.name, number=step.num_captions, records=records, work=turning(step, back=back))

        self._write(batch, lambda result: self._take_turn(step, result, folder, back=back))

    def _take_turn(self, step: Step, result: Done | Exception, folder: Path | None, *, back: bool) -> None:
        """Put the step to the other side, or back where it was when captions could not be written."""
        if isinstance(result, Done):
            self._take_written(result)
        if folder != self.folder:
            return  # The history is that of another dataset by now.
        turned_put, rest_put = self._history.put_undone, self._history.put_done
        if not back:
            turned_put, rest_put = rest_put, turned_put
        if isinstance(result, Exception) or result.written.failed:
            if not isinstance(result, DamagedJournalError):  # That one would stand in the way of all earlier ones.
                rest_put(step)
            self.history_changed.emit()
            return
        turned_put(step)
        self.history_changed.emit()
        if step.pictures:
            self._use_edits({image: pair[0 if back else 1] for image, pair in step.pictures.items()})
        if step.concepts is not None:
            self._use_concepts(step.concepts[0 if back else 1])

    def reload_captions(self, images: Sequence[Path]) -> None:
        """Read the captions of some pictures from disk again, after something wrote them."""
        known = (self.record(image) for image in images)
        self._replace_records([read_again(record) for record in known if record is not None])

    def _write(self, batch: Callable[[], Batch], then: Callable[[Done | Exception], object]) -> None:
        """Write captions, one batch after the other; `then` gets the reason when that went wrong, which is told."""

        def begin() -> Batch:
            self._num_writes += 1
            made = batch()
            if made.is_large:
                self._watch.pause()
            else:
                self._watch.expect()
            return made

        def end(result: Done | Exception) -> None:
            if self._watch.is_paused:
                self._watch.resume()
            if isinstance(result, Exception):
                self.tell(result)
                self.rescan()  # Captions may be shown that never came to the disk.
            then(result)

        self._writer.write(begin, end)

    def _keep_written(
        self,
        name: str,
        done: Done,
        folder: Path | None,
        decided: Mapping[Path, tuple[PictureEdits, PictureEdits]] | None = None,
    ) -> None:
        """Take up what was written, and what was decided with it, as a step that can be taken back."""
        self._take_written(done)
        if folder != self.folder:
            return  # The history is that of another dataset by now.
        changes, journal, decided = done.written.changes, done.written.journal, decided or {}
        if journal is not None:
            self._history.add(Step(name=name, journal=journal, num_in_journal=len(changes), pictures=decided))
        elif changes or decided:
            self._history.add(Step(name=name, captions=changes, pictures=decided, num_bytes=done.num_bytes))
        self.history_changed.emit()
        if decided:
            self._use_edits({image: after for image, (_, after) in decided.items()})

    def _take_written(self, done: Done) -> None:
        """Take up what is in the captions now, and tell what could not be written."""
        self._num_writes += 1
        if done.written.error is not None:
            self.tell(done.written.error)
        if done.written.foreign:
            self._tell_foreign(done.written.foreign)
        self._show_written(done)

    def _show_written(self, done: Done) -> None:
        """Take up captions that are about to be on the disk: they are safe in a journal."""
        pairs = [pair for pair in done.records if pair[1].path in self._positions]
        self._replace_records([now for _, now in pairs], [known for known, _ in pairs])

    def _tell_foreign(self, captions: Sequence[Path]) -> None:
        if len(captions) == 1:
            message = tr("{name} was changed by another program, so it stays as it is.", name=captions[0].name)
        else:
            message = tr(
                "{number} captions were changed by another program, so they stay as they are; {name} is the first.",
                number=len(captions),
                name=captions[0].name,
            )
        self.problem.emit(message, "")

    def _replace_records(self, records: Sequence[ImageRecord], known: Sequence[ImageRecord] | None = None) -> None:
        """Take up captions, and tell of those that read differently now.

        Args:
            records: The pictures with their captions of now.
            known: What the records were made of, where that may not be what is known by now.
        """
        if not records or self._scan is None:
            return
        now = list(self._scan.records)
        different = []
        for number, record in enumerate(records):
            row = self._positions[record.path]
            if (record.caption, record.caption_problem) != (now[row].caption, now[row].caption_problem):
                different.append(record.path)
            if known is not None and known[number] is not now[row]:
                # Only the caption: what the folder says of the picture has changed since.
                record = dataclasses.replace(
                    now[row],
                    caption=record.caption,
                    caption_problem=record.caption_problem,
                    caption_changed_at=record.caption_changed_at,
                    caption_bytes=record.caption_bytes,
                )
            now[row] = record
        self._scan = dataclasses.replace(self._scan, records=tuple(now))
        if different:
            self.captions_changed.emit(tuple(different))

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
        config = self._with_decisions(config)
        if config != self._config:
            self._config = config
            self._saving.start()
            self.config_changed.emit()

    def _with_decisions(self, config: TrainConfig) -> TrainConfig:
        """The settings, naming the dataset file of the open folder when there is something in it that matters."""
        edits = config.dataset.edits
        if self._decisions is not None and config.dataset.folder == self._decisions.folder:
            edits = self._decisions.file
        elif edits != Path() and config.dataset.folder != self._config.dataset.folder:
            edits = Path()  # It was about the folder of before.
        return config if edits == config.dataset.edits else with_values(config, {"dataset.edits": edits})

    def _name_decisions(self) -> None:
        self.set_config(self._config, chosen=self._chosen)

    # The dataset file

    @property
    def view(self) -> View:
        """What the Dataset page wants to find again when this folder is opened the next time."""
        return self._decisions.view if self._decisions else {}

    def set_view(self, values: View) -> None:
        """Remember something about how the open dataset is looked at; this is no step that could be taken back."""
        if self._decisions is not None and {**self._decisions.view, **values} != self._decisions.view:
            self._decisions.set_view({**self._decisions.view, **values})
            self._saving.start()

    def _on_decided(self) -> None:
        self._saving.start()
        self._name_decisions()

    def _save_decisions(self) -> None:
        if self._decisions is None:
            return
        try:
            self._decisions.save()
        except (OSError, ValueError) as error:
            self.tell(error)

    # Memory between sessions

    def _save_beside(self) -> None:
        if self._decisions is not None:
            self._decisions.save_beside(self._background, self.tell)
        self._save_settings()

    def save(self) -> None:
        """Write decisions, settings and the last folder now; otherwise they are written a moment after each change."""
        self._saving.stop()
        self._save_decisions()
        self._save_settings()

    def _save_settings(self) -> None:
        values = {
            "version": 1,
            "folder": str(self._last_folder) if self._last_folder else None,
            "config": self._config.model_dump(mode="json"),
            "chosen": _dumped(self._chosen),
            "before_demo": [_dumped(config) for config in self._before_demo] if self._before_demo else None,
        }
        text = json.dumps(values, ensure_ascii=False, indent=2)
        if text == self._saved:
            return
        try:
            write_text(self._store, text)
            self._saved = text
        except OSError as error:
            self.tell(error)

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

    def tell(self, error: BaseException) -> None:
        """Tell the user of an error: in one sentence with its remedy when it is known, else as a crash."""
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
