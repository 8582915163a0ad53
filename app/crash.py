"""Errors nobody foresaw: written to a log file and shown, and the window lives on."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import sys
import threading
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from app.widgets.card import button
from app.widgets.message_dialog import MessageDialog
from core.errors import details
from core.paths import user_data_folder
from core.text import tr

_log = logging.getLogger("kiln.window")

_WIDTH = 720
"""Of the dialog: its five buttons stand in one row."""


def log_path() -> Path:
    """Where the window writes what it did not foresee."""
    return user_data_folder() / "logs" / "window.log"


class CrashReporter(QObject):
    """Takes errors from any thread, logs them, and tells the window."""

    reported = Signal(str)

    def install(self) -> None:
        """Take over from Python, which would print the error where nobody looks."""
        with contextlib.suppress(OSError):  # Without a log the dialog still shows everything.
            log_path().parent.mkdir(parents=True, exist_ok=True)
            handler = logging.handlers.RotatingFileHandler(
                log_path(), maxBytes=1_000_000, backupCount=1, encoding="utf-8"
            )
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
            _log.addHandler(handler)
        sys.excepthook = self._take
        threading.excepthook = self._take_from_thread

    def report(self, text: str) -> None:
        """Log and show a traceback."""
        _log.error(text)
        if sys.stderr is not None:  # Under pythonw there is none.
            print(text, file=sys.stderr)
        self.reported.emit(text)

    def _take(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            QGuiApplication.quit()
            return
        self.report(details(error))

    def _take_from_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            self.report(details(args.exc_value))


class CrashDialog(MessageDialog):
    """One sentence, what to do, and the technical text to copy."""

    def __init__(self, detail: str, parent: QWidget | None = None) -> None:
        super().__init__(
            "error",
            "danger",
            tr("Kiln met an error it did not expect."),
            tr(
                "Your pictures and captions are safe, and you can go on working. If it happens again, report it "
                "together with the details."
            ),
            parent,
        )
        self.setFixedWidth(_WIDTH)
        self._detail = QPlainTextEdit(detail)
        self._detail.setReadOnly(True)
        self._detail.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._detail.setFixedHeight(220)
        self._detail.hide()
        self.body.addWidget(self._detail)
        more = button(tr("Details"), kind="quiet", icon="chevron-down")
        more.clicked.connect(lambda: self._detail.setVisible(self._detail.isHidden()))
        copy = button(tr("Copy details"), icon="copy")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(detail))
        logs = button(tr("Open log folder"), icon="folder")
        logs.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_path().parent))))
        report = button(tr("Report a problem…"), icon="upload")
        report.clicked.connect(self._report)
        for action in (more, copy, logs, report):
            action.setAutoDefault(False)
        self.row.insertWidget(0, more)
        self.row.addWidget(copy)
        self.row.addWidget(logs)
        self.row.addWidget(report)
        self.add_button("close", tr("Close"), "primary", default=True)

    def _report(self) -> None:
        from app.widgets.report_dialog import ReportDialog

        ReportDialog(None, self).open()
