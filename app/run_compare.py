"""Reads two runs beside the window and shows them side by side, on a page that is built when it is first needed."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QStackedWidget

from app.latest import Latest
from app.past_runs import PastRun
from app.run_follower import read_events
from app.run_record import RunRecord
from app.shown_run import readable_config
from app.widgets.compare_view import CompareView
from app.widgets.thumbnails import ThumbnailLoader
from core.config import TrainConfig
from core.run_folder import RunFolder

_Read = tuple[RunRecord, TrainConfig | None]


class RunCompare(QObject):
    """`back_clicked` asks to leave the comparison."""

    back_clicked = Signal()

    def __init__(self, pages: QStackedWidget, loader: ThumbnailLoader) -> None:
        """Compare nothing yet.

        Args:
            pages: Gets the page of the comparison.
            loader: Reads the pictures beside the window.
        """
        super().__init__(pages)
        self._pages = pages
        self._loader = loader
        self._latest = Latest(self)
        self.view: CompareView | None = None

    def compare(self, first: PastRun, second: PastRun) -> None:
        """Compare two runs; long ones take a moment."""
        names = first.name, second.name
        folders = first.folder, second.folder
        self._latest.start(lambda: (_read(folders[0]), _read(folders[1])), lambda read: self._show(names, read))

    def retranslate(self) -> None:
        """Take up the language in use."""
        if self.view is not None:
            self.view.retranslate()

    def _show(self, names: tuple[str, str], read: tuple[_Read, _Read] | Exception) -> None:
        if isinstance(read, Exception):
            raise read
        if self.view is None:
            self.view = CompareView(self._loader)
            self.view.back_clicked.connect(self.back_clicked)
            self._pages.addWidget(self.view)
        (first, first_config), (second, second_config) = read
        self.view.show_runs(names, (first, second), (first_config, second_config))
        self._pages.setCurrentWidget(self.view)


def _read(folder: RunFolder) -> _Read:
    record = RunRecord()
    record.folder = folder.path
    for event in read_events(folder.events)[0]:
        record.add(event)
    return record, readable_config(folder)
