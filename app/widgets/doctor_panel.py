"""What the doctor says about the dataset, and what mends it at one press."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.doctor import Doctor
from app.project import Project
from app.widgets.card import Card, button, label
from app.widgets.empty_state import EmptyState
from app.widgets.problem_card import ProblemCard, num_fixed
from app.wording import duration_text
from core.dataset.doctor import PROBLEMS, Finding, ProblemCode
from core.text import tr

_SEVERITIES = ("danger", "warning", "info")
_ORDER = sorted(PROBLEMS, key=lambda code: _SEVERITIES.index(PROBLEMS[code].severity))


class DoctorPanel(QWidget):
    """Progress on top, then a card for each kind of problem, the worst first; or that there is nothing to mend."""

    filter_requested = Signal(str)
    picture_requested = Signal(Path)

    def __init__(self, project: Project, doctor: Doctor, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._doctor = doctor
        self._mended = ""
        self._groups: dict[ProblemCode, list[Finding]] = {}
        self.cards: dict[ProblemCode, ProblemCard] = {}
        self._build_status()
        self._build_clear()
        self._list = QWidget()
        self._list.setProperty("role", "scrolled")
        self._column = QVBoxLayout(self._list)
        self._column.setContentsMargins(0, 0, theme.SPACE_XS, 0)
        self._column.setSpacing(theme.SPACE_S)
        self._column.addStretch(1)
        self._area = QScrollArea()
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidgetResizable(True)
        self._area.setWidget(self._list)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._area)
        self._pages.addWidget(self.clear_state)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE_S)
        layout.addWidget(self._status)
        layout.addWidget(self._done)
        layout.addWidget(self._pages, 1)
        doctor.changed.connect(self._show)
        doctor.running_changed.connect(lambda _running: self._show())
        doctor.progressed.connect(lambda _done, _total: self._show_progress())
        project.history_changed.connect(self._show_done)
        project.records_changed.connect(self._show)
        self.retranslate()

    def _build_status(self) -> None:
        self._status = Card()
        self.headline = label(role="strong", wrap=True)
        self.again_button = QToolButton()
        icons.set_icon(self.again_button, "refresh", 16, "muted")
        self.again_button.clicked.connect(self._doctor.check_again)
        self._note = label(role="small", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel_button = button(icon="stop")
        self.cancel_button.clicked.connect(self._doctor.cancel)
        self.fix_button = button(kind="primary", icon="sparkles")
        self.fix_button.clicked.connect(self._fix_safe)
        texts = QVBoxLayout()
        texts.setSpacing(theme.SPACE_XS)
        texts.addWidget(self.headline)
        texts.addWidget(self._note)
        head = QHBoxLayout()
        head.addLayout(texts, 1)
        head.addWidget(self.again_button, 0, Qt.AlignmentFlag.AlignTop)
        body = self._status.body
        body.addLayout(head)
        body.addWidget(self.bar)
        body.addWidget(self.cancel_button, 0, Qt.AlignmentFlag.AlignLeft)
        body.addWidget(self.fix_button)
        self._done = QFrame()
        self._done.setProperty("role", "toast")
        self._done_text = label(wrap=True)
        self.undo_button = button(kind="quiet", icon="undo")
        self.undo_button.clicked.connect(self._project.undo)
        row = QHBoxLayout(self._done)
        row.setContentsMargins(theme.SPACE_M, theme.SPACE_XS, theme.SPACE_XS, theme.SPACE_XS)
        row.addWidget(self._done_text, 1)
        row.addWidget(self.undo_button)
        self._done.hide()

    def _build_clear(self) -> None:
        self.clear_state = EmptyState("check-circle")
        self.clear_button = button(icon="refresh")
        self.clear_button.clicked.connect(self._doctor.check_again)
        self.clear_state.add(self.clear_button)

    # What the user does

    def _fix_safe(self) -> None:
        self._mend(self._safe())

    def _fix(self, problem: ProblemCode) -> None:
        self._mend(self._groups.get(problem, []))

    def _mend(self, findings: list[Finding]) -> None:
        self._mended = self._doctor.apply(findings)
        self._show_done()

    def _choose(self, path: Path) -> None:
        """Show a picture; of another file, the folder that it is in."""
        if self._project.record(path) is not None:
            self.picture_requested.emit(path)
        else:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))

    # What is shown

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Catch up with what happened while nobody looked."""
        super().showEvent(event)
        self._show()

    def _show(self) -> None:
        if not self.isVisible():
            return
        self._groups = {}
        for finding in self._doctor.findings:
            self._groups.setdefault(finding.problem, []).append(finding)
        for problem in _ORDER:
            self._show_group(problem)
        self._show_status()
        self._show_progress()
        self._show_done()

    def _show_group(self, problem: ProblemCode) -> None:
        found = self._groups.get(problem)
        card = self.cards.get(problem)
        if found and card is None:
            card = self.cards[problem] = ProblemCard(problem)
            card.fix_requested.connect(self._fix)
            card.show_requested.connect(lambda code: self.filter_requested.emit(f"problem:{code}"))
            card.file_chosen.connect(self._choose)
            before = [self.cards[code] for code in _ORDER if code in self.cards]
            self._column.insertWidget(before.index(card), card)
        if card is not None:
            card.setVisible(bool(found))
            if found:
                shows_pictures = any(self._project.record(finding.path) is not None for finding in found)
                card.set_findings(tuple(found), shows_pictures=shows_pictures)

    def _show_status(self) -> None:
        running, scan = self._doctor.is_running, self._project.scan
        total = len(scan.records) if scan else 0
        unmeasured = 0 if running else self._doctor.num_unmeasured
        is_clear = self._doctor.is_judged and not running and not unmeasured and not self._groups
        self._status.setVisible(scan is not None and not is_clear)
        self._pages.setCurrentWidget(self.clear_state if is_clear else self._area)
        self.clear_state.set_texts(
            tr("{n} pictures, nothing to mend", n=f"{total:,}") if total != 1 else tr("1 picture, nothing to mend"),
            tr("The check found nothing wrong with the pictures that are trained, nor with their captions."),
        )
        self.headline.setText(self._headline(running))
        if not running:
            checked = f"{max(0, total - unmeasured):,}"
            words = tr("Pictures checked: {n} of {total}", n=checked, total=f"{total:,}")
            self._note.setText(words if unmeasured else tr("All pictures are checked: {n}", n=f"{total:,}"))
        self.bar.setVisible(running)
        self.cancel_button.setVisible(running)
        self.again_button.setVisible(not running)
        number = num_fixed(self._safe())
        self.fix_button.setVisible(bool(number))
        self.fix_button.setText(tr("Fix all safe ones ({n})", n=f"{number:,}"))

    def _headline(self, running: bool) -> str:
        if running:
            return tr("Checking the pictures…")
        number = len(self._doctor.to_look_at)
        if number == 1:
            return tr("1 picture to look at")
        if number:
            return tr("{n} pictures to look at", n=f"{number:,}")
        if any(PROBLEMS[code].severity != "info" for code in self._groups):
            return tr("Something to look at")
        if self._groups:
            return tr("Nothing has to be mended. This is good to know:")
        return tr("Not checked yet")

    def _show_progress(self) -> None:
        if not self._doctor.is_running:
            return
        done, total = self._doctor.progress
        self.bar.setRange(0, total)  # Without a total, it moves to and fro.
        self.bar.setValue(done)
        parts = [tr("{done} of {total}", done=f"{done:,}", total=f"{total:,}")] if total else [tr("Starting…")]
        if (left := self._doctor.seconds_left) is not None:
            parts.append(tr("{time} left", time=duration_text(left)))
        self._note.setText(" · ".join(parts))

    def _show_done(self) -> None:
        """Offer the way back for as long as the last thing that was done is a fix from here."""
        name = self._project.undo_name
        self._done.setVisible(bool(name) and name == self._mended)
        self._done_text.setText(name)

    def _safe(self) -> list[Finding]:
        found = self._doctor.findings
        return [finding for finding in found if finding.fix is not None and finding.fix.is_safe]

    def retranslate(self) -> None:
        """Take up the language in use; the doctor's own sentences follow when it has judged anew."""
        self.again_button.setToolTip(tr("Check again"))
        self.again_button.setAccessibleName(tr("Check again"))
        self.cancel_button.setText(tr("Cancel"))
        self.clear_button.setText(tr("Check again"))
        self.undo_button.setText(tr("Undo"))
        self.fix_button.setToolTip(
            tr("Does what is certain and can be taken back: unreadable files, exact copies, bars at the edges")
        )
        self._show()
