"""The frame of the window: pages, language, theme, messages, dropped folders, closing, and what it remembers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QCoreApplication, QMimeData, QPoint, QPointF, QRect, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QLabel, QWidget
from pytestqt.exceptions import TimeoutError as NeverTrueError
from pytestqt.qtbot import QtBot

from app import icons, theme
from app.crash import CrashDialog, CrashReporter, log_path
from app.job_worker import JobWorker
from app.main_window import DATASET, PARAMS, TAGGER, TITLE_BAR_PX, TRAINING, MainWindow
from app.project import Project
from app.settings import Settings
from core.errors import UserError
from core.events import Failed, Finished, Notice, StageProgress, StepDone


@pytest.fixture
def window(qtbot: QtBot, project: Project, settings: Settings, starting, waiting_run) -> MainWindow:
    made = MainWindow(project, settings, starting(waiting_run([])))
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    return made


def opened(qtbot: QtBot, project: Project, folder: Path) -> None:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)


# Pages


def test_new_window_leaves_room_for_its_title_bar(window: MainWindow) -> None:
    screen = QGuiApplication.primaryScreen().availableGeometry()
    assert window.y() >= screen.y()
    assert window.y() + TITLE_BAR_PX + window.height() <= screen.y() + screen.height()


def test_keys_choose_pages(qtbot: QtBot, window: MainWindow) -> None:
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    for key, page in (
        (Qt.Key.Key_2, TAGGER),
        (Qt.Key.Key_3, PARAMS),
        (Qt.Key.Key_4, TRAINING),
        (Qt.Key.Key_1, DATASET),
    ):
        qtbot.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
        assert window.page == page
        assert window.sidebar.buttons[page].isChecked()


def test_pages_are_built_when_there_is_time(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: window.tagger is not None and window.params is not None)
    assert window.training is None
    assert window.page == DATASET
    window.show_page(TRAINING)
    assert window.training is not None


def test_start_in_params_starts_the_training_page(qtbot: QtBot, window: MainWindow) -> None:
    window.show_page(PARAMS)
    window.show_page(TRAINING)
    started = []
    window.training.start = lambda: started.append(True)
    window.show_page(PARAMS)
    window.params.start_requested.emit()
    assert started == [True]
    assert window.page == TRAINING


def test_dataset_leads_on(qtbot: QtBot, window: MainWindow, project: Project, pictures: Path) -> None:
    opened(qtbot, project, pictures)
    window.dataset.header.next_button.click()
    assert window.page == TAGGER
    window.show_page(DATASET)
    for number in (4, 5):
        project.save_caption(pictures / f"picture_{number}.png", "1girl")
    window.dataset.header.next_button.click()
    assert window.page == PARAMS


# Language and theme


def test_language_switches_everything_at_once(qtbot: QtBot, window: MainWindow, settings: Settings) -> None:
    window.show_page(TAGGER)
    with qtbot.waitSignal(settings.language_changed):
        window.sidebar.language_button.click()
    assert settings.language == "zh"
    assert [button.text().strip() for button in window.sidebar.buttons] == ["数据集", "打标", "参数", "训练"]
    assert window.sidebar.language_button.text() == "English"
    box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
    qtbot.addWidget(box)
    assert box.button(QDialogButtonBox.StandardButton.Cancel).text() == "取消"
    assert Settings().language == "zh"
    window.sidebar.language_button.click()
    assert window.sidebar.buttons[DATASET].text().strip() == "Dataset"


def test_the_dialog_that_chooses_files_speaks_the_language_in_use(qtbot: QtBot, settings: Settings) -> None:
    settings.set_language("zh")
    dialog = QFileDialog()
    qtbot.addWidget(dialog)
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.show()
    shown = [label.text() for label in dialog.findChildren(QLabel) if label.isVisible()]
    assert any("查找范围" in text for text in shown) and any("文件类型" in text for text in shown)
    assert not [text for text in shown if re.search("[A-Za-z]{3}", text)]
    assert QCoreApplication.translate("QAbstractFileIconProvider", "Folder") == "文件夹"
    settings.set_language("en")
    assert QCoreApplication.translate("QAbstractFileIconProvider", "Folder") == "Folder"


def test_theme_is_chosen_and_remembered(qtbot: QtBot, window: MainWindow, settings: Settings) -> None:
    with qtbot.waitSignal(theme.signals.changed):
        window.sidebar.set_theme("dark")
    assert theme.tokens().dark
    assert QApplication.palette().window().color().name() == theme.DARK.background
    assert Settings().theme == "dark"
    with qtbot.waitSignal(theme.signals.changed):
        window.sidebar.set_theme("light")
    assert not theme.tokens().dark


@pytest.mark.parametrize("tokens", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(tokens: theme.Tokens) -> None:
    pairs = [(tokens.text, place) for place in (tokens.background, tokens.surface, tokens.accent_soft, tokens.raised)]
    pairs += [(tokens.muted, place) for place in (tokens.background, tokens.surface, tokens.sidebar, tokens.hover)]
    pairs += [(tokens.on_accent, tokens.accent), (tokens.danger, tokens.surface), (tokens.danger, tokens.danger_soft)]
    pairs += [(tokens.warning, tokens.warning_soft), (tokens.success, tokens.surface)]
    too_weak = [(front, back) for front, back in pairs if contrast(front, back) < 4.5]
    assert not too_weak


def contrast(first: str, second: str) -> float:
    """Contrast ratio of WCAG 2."""
    low, high = sorted(luminance(value) for value in (first, second))
    return (high + 0.05) / (low + 0.05)


def luminance(value: str) -> float:
    colour = theme.colour(value)
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_icons_follow_the_theme(qtbot: QtBot, window: MainWindow) -> None:
    button = window.dataset.header.rescan_button
    light = button.icon().pixmap(18, 18).toImage()
    window.sidebar.set_theme("dark")
    assert button.icon().pixmap(18, 18).toImage() != light


def test_unknown_icon_is_empty(qapp: QApplication) -> None:
    assert icons.icon("no such drawing").isNull()


def settled(qtbot: QtBot, window: MainWindow, clipped: Callable[[QWidget], list[str]]) -> list[str]:
    """What is cut off once everything has come from the background and has its place."""
    with contextlib.suppress(NeverTrueError):
        qtbot.waitUntil(lambda: clipped(window) == [], timeout=3000)
    return clipped(window)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", [(1280, 800), (1000, 640)], ids=["1280x800", "1000x640"])
def test_nothing_is_cut_off(
    qtbot: QtBot, window: MainWindow, settings: Settings, project: Project, pictures: Path, clipped, language, size
) -> None:
    window.resize(*size)
    settings.set_language(language)
    found = {"welcome": clipped(window)}
    (pictures / "broken.png").write_bytes(b"no picture")
    opened(qtbot, project, pictures)
    for panel in window.dataset.side.buttons:
        window.dataset.side.show_panel(panel)
        found[panel] = settled(qtbot, window, clipped)
    window.dataset.grid.select_first()
    window.dataset.open_crop_editor()
    found["crop editor"] = settled(qtbot, window, clipped)
    window.show_page(TAGGER)
    found["tagger"] = settled(qtbot, window, clipped)
    window.show_problem(
        "The disk is full: C:/Users/someone/Documents/Kiln/output could not be written.", "Free it. " * 9
    )
    found["message"] = settled(qtbot, window, clipped)  # The machine answers at any time; its bar is arranged anew.
    assert window.width() <= size[0] and window.height() <= size[1]
    assert not {place: texts for place, texts in found.items() if texts}


# Messages


def test_problem_is_shown_with_its_remedy_until_closed(qtbot: QtBot, window: MainWindow, project: Project) -> None:
    project.problem.emit("The disk is full.", "Free some space.")
    (toast,) = window.toasts.toasts
    assert (toast.message, toast.remedy) == ("The disk is full.", "Free some space.")
    assert window.toasts.isVisible()
    assert window.rect().contains(QRect(window.toasts.mapTo(window, QPoint()), window.toasts.size()))
    toast.leave()
    assert not window.toasts.isVisible()


def test_messages_leave_the_start_button_free(qtbot: QtBot, window: MainWindow) -> None:
    window.show_page(PARAMS)
    window.show_message("success", "demo is in the queue.")
    assert window.params is not None
    footer = window.params.footer
    place = QRect(window.toasts.mapTo(window, QPoint()), window.toasts.size())
    assert not place.intersects(QRect(footer.mapTo(window, QPoint()), footer.size()))
    window.show_page(DATASET)
    qtbot.waitUntil(lambda: window.toasts.mapTo(window, QPoint()).y() > place.y())


def test_messages_make_room_and_do_not_repeat(qtbot: QtBot, window: MainWindow) -> None:
    for text in ("one", "two", "two", "three", "four"):
        window.show_problem(text, "")
    assert [toast.message for toast in window.toasts.toasts] == ["two", "three", "four"]


def test_folder_that_is_missing_is_told(qtbot: QtBot, window: MainWindow, project: Project, tmp_path: Path) -> None:
    with qtbot.waitSignal(project.problem):
        project.open_folder(tmp_path / "not there")
    assert project.folder is None
    assert window.toasts.toasts[0].remedy


def test_unknown_error_is_logged_and_shown_once(qtbot: QtBot, window: MainWindow, monkeypatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    reporter = CrashReporter()
    reporter.install()
    reporter.reported.connect(window.show_crash)
    for _ in range(2):
        try:
            raise ZeroDivisionError("in a slot")
        except ZeroDivisionError as error:
            sys.excepthook(type(error), error, error.__traceback__)
    assert len(window.findChildren(CrashDialog)) == 1
    assert "ZeroDivisionError: in a slot" in log_path().read_text(encoding="utf-8")


# Dropped folders


def drag(window: MainWindow, path: Path) -> tuple[bool, QMimeData]:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDragEnterEvent(
        QPoint(300, 300), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(window, event)
    return event.isAccepted(), mime


def drop(window: MainWindow, mime: QMimeData) -> None:
    event = QDropEvent(
        QPointF(300, 300), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(window, event)


@pytest.mark.parametrize("what", ["folder", "picture in it"])
def test_dropped_folder_opens(qtbot: QtBot, window: MainWindow, project: Project, pictures: Path, what: str) -> None:
    window.show_page(TAGGER)
    accepted, mime = drag(window, pictures if what == "folder" else pictures / "picture_0.png")
    assert accepted
    with qtbot.waitSignal(project.folder_changed):
        drop(window, mime)
    assert project.folder == pictures
    assert window.page == DATASET
    assert window.windowTitle() == "pictures - Kiln"


def test_other_drags_are_left_alone(window: MainWindow, tmp_path: Path) -> None:
    accepted, _ = drag(window, tmp_path / "not there")
    assert not accepted


# Closing


@pytest.fixture
def training(window: MainWindow) -> SimpleNamespace:
    """A training that runs until it is asked to end."""
    asked: list[str] = []
    made = SimpleNamespace(is_running=True, asked=asked)
    made.request_stop = lambda: asked.append("stop")
    made.request_pause = lambda: asked.append("pause")
    made.force_stop = lambda: asked.append("force")
    made.shut_down = lambda: asked.append("shut down")
    window.training = made
    yield made
    made.is_running = False


def press(window: MainWindow, name: str) -> None:
    window.question.buttons[name].click()


def test_closing_without_a_run_closes(window: MainWindow) -> None:
    assert window.close()
    assert window.question is None


def test_closing_during_a_run_asks_and_keeps_running(window: MainWindow, training: SimpleNamespace) -> None:
    assert not window.close()
    assert not window.close()  # Asking twice opens one question.
    press(window, "keep")
    assert window.isVisible()
    assert training.asked == []
    assert window.question is None
    window.close()
    window.question.reject()  # Escape keeps it running too.
    assert training.asked == []


@pytest.mark.parametrize("wish", ["stop", "pause", "force"])
def test_closing_waits_for_the_run_to_end(
    qtbot: QtBot, window: MainWindow, training: SimpleNamespace, wish: str
) -> None:
    window.close()
    press(window, wish)
    assert training.asked == [wish]
    assert window.isVisible()
    training.is_running = False
    window._on_running_changed(TRAINING, False)
    qtbot.waitUntil(lambda: not window.isVisible())


def test_closing_while_tagging_stops_the_tagger(
    qtbot: QtBot, window: MainWindow, project: Project, pictures: Path
) -> None:
    opened(qtbot, project, pictures)
    window.show_page(TAGGER)
    window.tagger.start()
    assert window.sidebar.buttons[TAGGER].is_busy
    assert not window.close()
    press(window, "stop")
    qtbot.waitUntil(lambda: not window.isVisible())
    assert not window.tagger.is_running


# What is remembered


def test_geometry_is_remembered(qtbot: QtBot, window: MainWindow, project: Project) -> None:
    window.setGeometry(20, 30, 1010, 640)
    window.close()
    again = MainWindow(project, Settings())
    qtbot.addWidget(again)
    assert again.height() == 640  # The test's screen is too narrow for any width but the least.


def test_geometry_of_a_lost_screen_is_not_used(
    qtbot: QtBot, window: MainWindow, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.setGeometry(20, 30, 1010, 640)
    window.close()
    monkeypatch.setattr("app.main_window._is_on_a_screen", lambda frame: False)
    again = MainWindow(project, Settings())
    qtbot.addWidget(again)
    screen = QGuiApplication.primaryScreen().availableGeometry()
    room = screen.height() - TITLE_BAR_PX
    assert again.size().toTuple() == (min(1280, max(screen.width(), 960)), min(800, max(room, 600)))


def test_project_remembers_folder_and_settings(qtbot: QtBot, project: Project, pictures: Path) -> None:
    opened(qtbot, project, pictures)
    project.change({"training.epochs": 33})
    project.save()
    again = Project()
    assert again.config.training.epochs == 33
    assert again.last_folder == pictures
    with qtbot.waitSignal(again.folder_changed):
        assert again.reopen()
    assert again.folder == pictures


def test_project_refuses_values_that_are_not_allowed(qtbot: QtBot, project: Project) -> None:
    before = project.config
    with pytest.raises(UserError), qtbot.assertNotEmitted(project.config_changed):
        project.change({"training.epochs": 0})
    assert project.config is before


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"config": {"training": {"epochs": "many"}}}), "\udcff"])
def test_damaged_project_is_kept_and_told(qtbot: QtBot, tmp_path: Path, content: str) -> None:
    store = tmp_path / "project.json"
    store.write_bytes(content.encode("utf-8", "surrogateescape"))
    project = Project(store)
    told = []
    project.problem.connect(lambda message, remedy: told.append((message, remedy)))
    qtbot.waitUntil(lambda: bool(told))
    assert store.with_suffix(".damaged.json").read_bytes() == content.encode("utf-8", "surrogateescape")
    project.save()
    assert Project(store).config == project.config


# Jobs


def test_worker_repeats_every_event_as_its_signal(qtbot: QtBot, fake_run) -> None:
    step = StepDone(step=1, total_steps=2, epoch=1, total_epochs=1, loss=0.1, learning_rate=1e-4, elapsed_s=1.0)
    events = [StageProgress(stage="tag", done=1), Notice(message="look"), step, Finished()]
    worker = JobWorker(fake_run(events))
    heard, steps, ends = [], [], []
    worker.happened.connect(heard.append)
    worker.step_done.connect(steps.append)
    worker.job_finished.connect(ends.append)
    with qtbot.waitSignal(worker.finished):
        worker.start()
    qtbot.waitUntil(lambda: len(ends) == 1)
    assert heard == events
    assert steps == [step]


def test_worker_passes_wishes_on(qtbot: QtBot, fake_run) -> None:
    run = fake_run([])
    worker = JobWorker(run)
    worker.stop()
    worker.send("sample")
    worker.kill()
    assert run.commands == ["stop", "sample"]
    assert run.was_killed


def test_run_that_breaks_ends_as_failed(qtbot: QtBot, fake_run) -> None:
    class Broken(fake_run):
        def events(self):
            yield Notice(message="so far so good")
            raise ZeroDivisionError("inside")

    worker = JobWorker(Broken([]))
    with qtbot.waitSignal(worker.job_failed) as heard:
        worker.start()
    assert isinstance(heard.args[0], Failed)
    assert "ZeroDivisionError" in heard.args[0].detail
    assert worker.wait(5000)


def test_worker_mode_never_imports_qt() -> None:
    code = (
        "import sys; sys.argv = ['kiln', '--worker']\n"
        "from app.__main__ import main\n"
        "code = main()\n"
        "print('code', code, 'PySide6' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input="no job\n", capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert "code 1 False" in done.stderr
    assert json.loads(done.stdout)["kind"] == "failed"


def test_every_icon_that_is_asked_for_is_drawn() -> None:
    asked = re.compile(r'icon="([a-z-]+)"|set_icon\([^,]+, "([a-z-]+)"|(?:EmptyState|Choice|_tool)\("([a-z-]+)"')
    names = {
        next(filter(None, found.groups()))
        for file in (Path(icons.__file__).parent).rglob("*.py")
        for found in asked.finditer(file.read_text(encoding="utf-8"))
    }
    assert names
    assert not {name for name in names if not (icons.FOLDER / f"{name}.svg").is_file()}


def test_folder_of_last_time_that_is_gone_is_told(qtbot: QtBot, project: Project, pictures: Path) -> None:
    opened(qtbot, project, pictures)
    project.save()
    pictures.rename(pictures.with_name("moved"))
    again = Project()
    with qtbot.waitSignal(again.problem):
        again.reopen()
    assert again.folder is None


def test_closing_asks_once_about_a_caption_that_waits_for_a_choice(
    qtbot: QtBot, window: MainWindow, project: Project, pictures: Path
) -> None:
    opened(qtbot, project, pictures)
    (pictures / "picture_0.txt").write_text("newer", encoding="utf-8")
    window.dataset.editor.text.setPlainText("mine")
    window.show_page(TAGGER)
    assert not window.close()
    assert window.page == DATASET
    assert window.dataset.editor.conflict.isVisible()
    assert window.close()
    assert (pictures / "picture_0.txt").read_text(encoding="utf-8") == "newer"
