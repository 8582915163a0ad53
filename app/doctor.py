"""What is wrong with the open dataset: pictures are measured in a child process and judged beside the window."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.background import Background
from app.caption_tokens import CaptionTokens, tokenizer_folder
from app.job_worker import JobWorker
from app.mending import mending_of
from app.project import Project
from core.config import TrainConfig
from core.dataset.doctor import DoctorOptions, Finding, examine
from core.dataset.doctor.orphans import orphans_of
from core.dataset.edits import Concept
from core.dataset.facts import ImageFacts
from core.dataset.fitting import FitOptions
from core.dataset.geometry import Box
from core.dataset.images import EXTENSIONS
from core.dataset.records import Scan
from core.events import Failed, Finished, PicturesMeasured, StageProgress
from core.jobs import CheckJob, Job
from core.runner import ChildRun, Run
from core.text import tr

START_MS = 600
"""A folder that was just opened is shown before it is measured."""
JUDGE_MS = 150
JUDGE_MEANWHILE_MS = 1500
"""Between two judgements while pictures are being measured."""

Stamp = tuple[float, int]
"""When a picture was changed, and its bytes."""


@dataclass(frozen=True, slots=True)
class _Judgement:
    """Findings, those of each picture, and how long it took to find them."""

    findings: tuple[Finding, ...] = ()
    of_picture: Mapping[Path, tuple[Finding, ...]] = field(default_factory=dict)
    elapsed_s: float = 0.0
    to_look_at: frozenset[Path] = frozenset()


class Doctor(QObject):
    """Follows the open dataset: measures what is new a moment after it appears, and judges again whenever that matters.

    Only files are read. When the user cancels or the child fails, it rests until `check_again` or another folder.
    """

    changed = Signal()
    progressed = Signal(int, int)  # pictures done, of how many; see `progress` for the time
    running_changed = Signal(bool)

    def __init__(
        self, project: Project, make_run: Callable[[Job], Run] = ChildRun, parent: QObject | None = None
    ) -> None:
        """Begin to follow a project.

        Args:
            project: Its pictures are examined.
            make_run: Makes the run of a job; the default starts a child process.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._project = project
        self._make_run = make_run
        self._background = Background(self)
        self._worker: JobWorker | None = None
        self._progress: StageProgress | None = None
        self._first_progress: StageProgress | None = None
        self._stamps: dict[Path, Stamp] = {}
        self._num_files = 0
        self._asked: dict[Path, tuple[Path, Stamp]] = {}
        self._facts: dict[Path, ImageFacts] = {}
        self._judgement = _Judgement()
        self._is_judged = False
        self._is_judging = False
        self._is_stale = False
        self._is_resting = False
        self._judged_for = self._options_key()
        self._starting = QTimer(self, singleShot=True, interval=START_MS)
        self._starting.timeout.connect(self._measure)
        self._waiting = QTimer(self, singleShot=True)
        self._waiting.timeout.connect(self._judge)
        project.folder_changed.connect(self._on_folder_changed)
        project.records_changed.connect(self._on_records_changed)
        project.captions_changed.connect(lambda _images: self._judge_soon())
        project.edits_changed.connect(lambda _images: self._judge_soon())
        project.config_changed.connect(self._on_config_changed)
        if project.scan is not None:
            self._on_records_changed()

    # What is known

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that was found, in the order of `PROBLEMS`."""
        return self._judgement.findings

    @property
    def to_look_at(self) -> frozenset[Path]:
        """The pictures with findings that are more than good to know."""
        return self._judgement.to_look_at

    def findings_of(self, image: Path) -> tuple[Finding, ...]:
        """What was found about one picture, groups of alike pictures that it belongs to among it."""
        return self._judgement.of_picture.get(image, ())

    def problems_of(self, image: Path) -> frozenset[str]:
        """The codes of what was found about one picture."""
        return frozenset(finding.problem for finding in self.findings_of(image))

    def subjects(self) -> dict[Path, Box | None]:
        """What a smart crop keeps whole, for all pictures that are measured."""
        return {image: facts.subject for image, facts in self._facts.items() if not facts.error}

    @property
    def is_running(self) -> bool:
        """Whether pictures are being measured."""
        return self._worker is not None

    @property
    def is_judged(self) -> bool:
        """Whether `findings` tell about the open dataset; before the first judgement they are empty."""
        return self._is_judged

    @property
    def num_unmeasured(self) -> int:
        """How many pictures nobody has looked at, because the user cancelled or the child failed."""
        return len(self._missing())

    @property
    def progress(self) -> tuple[int, int]:
        """Pictures done, of how many, in the run that goes on; (0, 0) before it has told."""
        return (self._progress.done, self._progress.total or 0) if self._progress else (0, 0)

    @property
    def seconds_left(self) -> float | None:
        """How long the run will take, by the pictures measured in it so far; None when that is not known.

        What is remembered from earlier comes at once and says nothing about the rest.
        """
        first, now = self._first_progress, self._progress
        if first is None or now is None or not now.total or now.done <= first.done:
            return None
        return (now.total - now.done) * (now.elapsed_s - first.elapsed_s) / (now.done - first.done)

    # What the user does

    def check_again(self) -> None:
        """Measure what is not measured yet and what could not be read, and judge again."""
        self._is_resting = False
        self._forget_errors()
        self._judge_soon()
        self._measure()

    def cancel(self) -> None:
        """End measuring after the pictures at hand; what is measured stays."""
        self._is_resting = True
        self._starting.stop()
        if self._worker is not None:
            self._worker.stop()

    def apply(self, findings: Iterable[Finding]) -> str:
        """Carry out the fixes of some findings as one step, as far as they still fit; see `mending_of`.

        Returns:
            The name of the step for undo, "" when there was nothing to do.
        """
        mending = mending_of(self._project, list(findings))
        if mending.captions:
            self._project.edit_captions(mending.name, mending.captions, mending.edits)
        elif mending.edits:
            self._project.edit_pictures(mending.name, mending.edits)
        self._waiting.start(JUDGE_MS)  # Whoever pressed the button waits for what comes of it.
        return mending.name

    def retranslate(self) -> None:
        """Say everything anew in the language in use; what could not be read is measured again for its sentence."""
        self._forget_errors()
        self._judge_soon()
        self._start_soon()

    def shut_down(self) -> None:
        """End the child at once and wait for its thread."""
        self._starting.stop()
        self._waiting.stop()
        self._is_resting = True
        if self._worker is not None:
            worker = self._worker
            self._worker = None
            worker.kill()
            worker.wait()

    # What the project says

    def _on_folder_changed(self) -> None:
        self._stamps.clear()
        self._facts.clear()
        self._asked = {}  # What a run for the folder of before still says is about nothing any more.
        self._is_resting = self._is_judged = False
        self._judgement = _Judgement()
        if self._worker is not None:
            self._worker.stop()
        self.changed.emit()

    def _on_records_changed(self) -> None:
        self._start_soon()
        self._judge_soon()

    def _on_config_changed(self) -> None:
        if self._options_key() != self._judged_for:
            self._judge_soon()

    def _options_key(self) -> tuple[object, ...]:
        """What of the settings matters to a judgement."""
        config = self._project.config
        dataset = config.dataset
        words = dataset.trigger_word, dataset.absorbed_tags, config.model.max_tokens, tokenizer_folder(config)
        return FitOptions.of(dataset), dataset.caption_extension, *words

    # Measuring

    def _start_soon(self) -> None:
        if not self._is_resting and self._worker is None:
            self._starting.start()

    def _files(self) -> dict[Path, Stamp]:
        """All files to be measured, as the scan saw them. Of those that it could not read, no stamp is known."""
        scan = self._project.scan
        if scan is None:
            return {}
        damaged = (problem.path for problem in scan.problems if problem.path.suffix.lower() in EXTENSIONS)
        return dict.fromkeys(damaged, (0.0, 0)) | {
            record.path: (record.changed_at, record.num_bytes) for record in scan.records
        }

    def _missing(self) -> dict[Path, Stamp]:
        files = self._files()
        self._num_files = len(files)
        return {image: stamp for image, stamp in files.items() if self._stamps.get(image) != stamp}

    def _forget_errors(self) -> None:
        for image in [image for image, facts in self._facts.items() if facts.error]:
            del self._facts[image]
            self._stamps.pop(image, None)
            self._asked.pop(image, None)  # The run that goes on has told about it already.

    def _measure(self) -> None:
        """Start the child for what is missing. While one runs, the rest waits for its end."""
        folder = self._project.folder
        if folder is None or self._worker is not None:
            return
        self._starting.stop()
        missing = self._missing()
        if not missing:
            return
        self._asked = {image: (image, stamp) for image, stamp in missing.items()}
        self._progress = self._first_progress = None
        worker = JobWorker(self._make_run(self._job(folder, missing)), self)
        worker.stage_progress.connect(self._on_progress)
        worker.pictures_measured.connect(self._on_measured)
        worker.job_finished.connect(self._on_end)
        worker.job_failed.connect(self._on_end)
        worker.finished.connect(worker.deleteLater)
        self._worker = worker
        self.running_changed.emit(True)
        worker.start()

    def _job(self, folder: Path, missing: Mapping[Path, Stamp]) -> CheckJob:
        """Names pictures only when not all are meant: thousands of paths take the window a moment to hand over."""
        if len(missing) < self._num_files:
            return CheckJob(folder=folder, images=tuple(missing))
        self._project.save()  # The job reads which folders there are.
        extension = self._project.config.dataset.caption_extension
        return CheckJob(folder=folder, edits=self._project.edits_file, caption_extension=extension)

    def _on_progress(self, event: StageProgress) -> None:
        self._first_progress = self._first_progress or event
        self._progress = event
        self.progressed.emit(event.done, event.total or 0)

    def _on_measured(self, event: PicturesMeasured) -> None:
        for values in event.facts:
            if (asked := self._asked.get(Path(values["path"]))) is not None:
                image, stamp = asked
                self._stamps[image] = stamp
                self._facts[image] = ImageFacts.from_json(values)
        if not self._waiting.isActive():
            self._waiting.start(max(JUDGE_MEANWHILE_MS, round(self._judgement.elapsed_s * 10_000)))

    def _on_end(self, event: Finished | Failed) -> None:
        if self._worker is None:  # The window is closing.
            return
        asked, self._asked = self._asked, {}
        self._worker = self._progress = None
        self.running_changed.emit(False)
        self._judge_soon()
        if isinstance(event, Failed) and asked:
            self._is_resting = True
            self._project.problem.emit(
                tr("The check of the pictures ended unexpectedly."),
                tr("What was checked so far is kept. Press Check again to go on."),
            )
        # What came or changed meanwhile. A file that was asked for in vain is gone; the next look will tell.
        elif self._missing().items() - asked.values():
            self._start_soon()

    # Judging

    def _judge_soon(self) -> None:
        """Judge when nothing has changed for a moment, which is longer for sets that take long to judge."""
        self._waiting.start(JUDGE_MS + round(self._judgement.elapsed_s * 3000))

    def _judge(self) -> None:
        scan = self._project.scan
        if scan is None:
            return
        if self._is_judging:
            self._is_stale = True
            return
        self._is_judging = True
        self._judged_for = self._options_key()
        facts, concepts, config = dict(self._facts), self._project.concepts, self._project.config
        self._background.start(
            lambda: _judged(scan, concepts, facts, config), lambda result: self._take(scan.folder, result)
        )

    def _take(self, folder: Path, result: _Judgement | Exception) -> None:
        self._is_judging = False
        if self._is_stale:
            self._is_stale = False
            self._judge_soon()
        if folder != self._project.folder:
            return
        if isinstance(result, Exception):
            self._project.tell(result)
            return
        self._judgement = result
        self._is_judged = True
        self.changed.emit()


def _judged(
    scan: Scan, concepts: tuple[Concept, ...], facts: Mapping[Path, ImageFacts], config: TrainConfig
) -> _Judgement:
    started = time.monotonic()
    tokens = CaptionTokens.of(config)
    options = DoctorOptions(
        fit=FitOptions.of(config.dataset),
        pictures=scan.pictures,
        count_tokens=_counting(scan, tokens),
        max_tokens=tokens.most,
    )
    orphans = orphans_of(scan, concepts, config.dataset.caption_extension)
    found = examine(scan.records, scan.problems, facts, options, orphans)
    of_picture: defaultdict[Path, list[Finding]] = defaultdict(list)
    for one in found:
        for image in (one.path, *one.others):
            of_picture[image].append(one)
    index = {image: tuple(ones) for image, ones in of_picture.items()}
    known = {record.path for record in scan.records}
    grave = {image for one in found if one.severity != "info" for image in (one.path, *one.others)} & known
    return _Judgement(tuple(found), index, time.monotonic() - started, frozenset(grave))


def _counting(scan: Scan, tokens: CaptionTokens) -> Callable[[str], int]:
    """Counts captions as they are trained; of pictures with equal captions, the one with the longest trigger word."""
    longest: defaultdict[str, int] = defaultdict(int)
    for record in scan.records:
        if record.caption:
            longest[record.caption] = max(longest[record.caption], tokens.count(record))
    return longest.__getitem__
