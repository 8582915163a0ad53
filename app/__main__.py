"""`python -m app [FOLDER]` opens the window; with `--worker` it becomes a job's child process before Qt is imported."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path

SWITCH_S = 0.0005


def main() -> int:
    """Run the window until it is closed, or the worker until its job ends. Returns the exit code."""
    multiprocessing.freeze_support()
    if "--worker" in sys.argv[1:]:
        from core.worker import main as worker_main

        return worker_main()
    parser = argparse.ArgumentParser(prog="kiln-window", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder of pictures to open")
    return run_window(parser.parse_args().folder)


def run_window(folder: Path | None) -> int:
    """Open the window with a folder, or with the one of last time."""
    from PySide6.QtWidgets import QApplication

    from app import icons, theme
    from app.background import Collector
    from app.crash import CrashReporter
    from app.main_window import MainWindow
    from app.project import Project
    from app.settings import Settings

    # Threads that read folders and captions give way to the window this often; ten times as often as by default.
    sys.setswitchinterval(SWITCH_S)
    app = QApplication(sys.argv[:1])
    app.setApplicationName("Kiln")
    app.setDesktopFileName("kiln")
    app.setWindowIcon(icons.app_icon())
    reporter = CrashReporter()
    reporter.install()
    Collector(app)
    settings = Settings()
    theme.apply(app, settings.theme)
    project = Project()
    window = MainWindow(project, settings)
    reporter.reported.connect(window.show_crash)
    window.show()
    if folder is not None:
        project.open_folder(folder)
    else:
        project.reopen()
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())
