"""The card that gets models: what is here, how a download goes and ends, and the ways around it."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QProxyStyle, QStyle, QStyleHintReturn, QStyleOption, QWidget
from pytestqt.qtbot import QtBot

from app.model_store import model_states
from app.widgets.download_card import DownloadCard
from core.events import DownloadProgress, Event, Failed, Finished, Notice, StageStarted
from core.hub import manifest
from core.hub.catalog import folder_of, known_models, model_card
from core.hub.folder import models_folder
from core.jobs import DownloadJob, Job
from core.runner import LocalRun, Run
from core.text import set_language
from tests.hub_server import Bad, serving

FIRST = known_models("tagger")[0].key
WORKING: list[Event] = [
    StageStarted(stage="connect"),
    Notice(level="warning", message="Hugging Face does not answer. Kiln tries hf-mirror.com instead."),
    StageStarted(stage="download", total=1000),
    DownloadProgress(file="model.onnx", done_bytes=250, total_bytes=1000, bytes_per_s=10.0),
]
REFUSED = Failed(message="It is gated.", remedy="Accept the licence.", detail="Traceback", known=True)


def put(key: str, root: Path | None = None) -> Path:
    """A finished download."""
    card = model_card(key)
    folder = folder_of(card, root)
    folder.mkdir(parents=True)
    for name in card.files:
        (folder / name).write_bytes(b"model")
    entries = [manifest.Entry(name, 5, card.sha256.get(name, "0" * 64)) for name in card.files]
    manifest.write(folder, key, "a test", entries)
    return folder


@pytest.fixture
def make(qtbot: QtBot) -> Callable[..., DownloadCard]:
    """Makes a card with these runs, shown and read."""

    def build(*runs: Run, kind: str = "tagger", make_run: Callable[[Job], Run] | None = None) -> DownloadCard:
        waiting = list(runs)
        card = DownloadCard(kind, make_run or (lambda _job: waiting.pop(0)))  # type: ignore[arg-type]
        qtbot.addWidget(card)
        card.resize(600, 560)
        card.show()
        qtbot.waitExposed(card)
        at_rest(qtbot, card)
        return card

    return build


def at_rest(qtbot: QtBot, card: DownloadCard) -> None:
    qtbot.waitUntil(lambda: not card._background._waiting)


def ended(qtbot: QtBot, card: DownloadCard) -> None:
    qtbot.waitUntil(lambda: not card.is_running)
    at_rest(qtbot, card)


def test_all_models_of_the_kind_are_listed_with_what_is_here(make: Callable[..., DownloadCard]) -> None:
    put("wd-swinv2-v3")
    card = make()
    states = card.list.rows.states
    assert [state.card.key for state in states] == [found.key for found in known_models("tagger")]
    assert [state.card.key for state in states if state.is_here] == ["wd-swinv2-v3"]
    card.select("wd-swinv2-v3")
    assert card.start_button.text() == "Use this model"
    card.select(FIRST)
    assert card.start_button.text() == "Download 379 MB"
    index = card.list.currentIndex()
    spoken = card.list.rows.data(index, Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == "WD ViT v3, The fastest of version 3; a good start on every machine., 379 MB"


def test_a_download_shows_progress_speed_and_time_left(
    qtbot: QtBot, make: Callable[..., DownloadCard], waiting_run: type
) -> None:
    jobs: list[Job] = []
    run = waiting_run(WORKING)

    def make_run(job: Job) -> Run:
        jobs.append(job)
        return run

    card = make(make_run=make_run)
    card.sources.setCurrentIndex(card.sources.findData("mirror"))
    qtbot.mouseClick(card.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: card.progress.bar.value() == 250)
    assert jobs == [DownloadJob(model=FIRST, source="mirror")]
    assert card.progress.numbers.text() == "250 B of 1.0 KB · 10 B per second · 75 s left"
    assert card.progress.headline.text() == "WD ViT v3"
    assert card.outcome.message.text() == "Hugging Face does not answer. Kiln tries hf-mirror.com instead."
    assert not card.start_button.isVisible() and not card.list.isEnabled() and not card.change_button.isEnabled()
    card.request_stop()
    ended(qtbot, card)


def test_cancel_asks_once_and_says_what_is_kept(
    qtbot: QtBot, make: Callable[..., DownloadCard], waiting_run: type
) -> None:
    run = waiting_run(WORKING)
    card = make(run)
    card.start()
    qtbot.waitUntil(lambda: card.progress.bar.value() == 250)
    ready: list[str] = []
    card.model_ready.connect(lambda key, _folder: ready.append(key))
    qtbot.mouseClick(card.progress.cancel_button, Qt.MouseButton.LeftButton)
    card.request_stop()
    ended(qtbot, card)
    assert run.commands == ["stop"]
    assert card.outcome.message.text().startswith("Cancelled. What came so far is kept")
    assert not ready and card.start_button.isVisible()


def test_a_failure_is_told_with_its_remedy_and_can_be_tried_again(
    qtbot: QtBot, make: Callable[..., DownloadCard], fake_run: type
) -> None:
    folder = folder_of(model_card(FIRST))
    card = make(fake_run([REFUSED]), fake_run([Finished(output=folder)]))
    card.start()
    ended(qtbot, card)
    assert (card.outcome.message.text(), card.outcome.remedy.text()) == ("It is gated.", "Accept the licence.")
    assert not card.outcome.detail.isVisible()
    qtbot.mouseClick(card.outcome.detail_button, Qt.MouseButton.LeftButton)
    assert card.outcome.detail.isVisible() and card.outcome.detail.toPlainText() == "Traceback"
    card.select("wd14-vit-v2")  # Looking around in between changes nothing about what is tried again.
    with qtbot.waitSignal(card.model_ready) as ready:
        qtbot.mouseClick(card.outcome.again_button, Qt.MouseButton.LeftButton)
    assert ready.args == [FIRST, folder]
    ended(qtbot, card)
    assert card.outcome.message.text() == "WD ViT v3 is ready."
    assert not card.outcome.again_button.isVisible() and not card.outcome.detail.isVisible()


def test_a_model_that_is_here_is_ready_without_any_run(qtbot: QtBot, make: Callable[..., DownloadCard]) -> None:
    folder = put(FIRST)
    card = make()
    card.list.setFocus()
    with qtbot.waitSignal(card.model_ready) as ready:
        qtbot.keyClick(card.list, Qt.Key.Key_Return)
    assert ready.args == [FIRST, folder]
    assert not card.is_running


def test_a_model_that_is_here_can_be_checked_without_choosing_it(
    qtbot: QtBot, make: Callable[..., DownloadCard], fake_run: type
) -> None:
    folder = put(FIRST)
    jobs: list[Job] = []

    def make_run(job: Job) -> Run:
        jobs.append(job)
        return fake_run([Finished(output=folder)])  # type: ignore[no-any-return]

    card = make(make_run=make_run)
    assert card.check_button.isVisible()
    card.select("wd14-vit-v2")
    assert not card.check_button.isVisible()
    card.select(FIRST)
    with qtbot.assertNotEmitted(card.model_ready):
        qtbot.mouseClick(card.check_button, Qt.MouseButton.LeftButton)
        ended(qtbot, card)
    assert jobs == [DownloadJob(model=FIRST, source="auto")]
    assert card.outcome.message.text() == "WD ViT v3 is ready."


def test_one_click_selects_and_two_confirm(qtbot: QtBot, make: Callable[..., DownloadCard]) -> None:
    class OneClick(QProxyStyle):
        """As on some desktops."""

        def styleHint(  # noqa: N802 - Qt's name
            self,
            hint: QStyle.StyleHint,
            option: QStyleOption | None = None,
            widget: QWidget | None = None,
            returnData: QStyleHintReturn | None = None,  # noqa: N803 - Qt's name
        ) -> int:
            if hint == QStyle.StyleHint.SH_ItemView_ActivateItemOnSingleClick:
                return 1
            return super().styleHint(hint, option, widget, returnData)

    folder = put(known_models("tagger")[2].key)
    card = make()
    style = OneClick("Fusion")
    card.list.setStyle(style)
    place = card.list.visualRect(card.list.rows.index(2)).center()
    with qtbot.assertNotEmitted(card.model_ready):
        qtbot.mouseClick(card.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert card.list.chosen is not None and card.list.chosen.folder == folder
    with qtbot.waitSignal(card.model_ready):
        qtbot.mouseDClick(card.list.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_download_that_was_cut_off_can_go_on(make: Callable[..., DownloadCard]) -> None:
    folder = folder_of(model_card(FIRST))
    folder.mkdir(parents=True)
    (folder / ".kiln-0123456789abcdef.part").write_bytes(bytes(2000))
    card = make()
    assert card.start_button.text() == "Go on with the download"
    assert model_states("tagger")[0].waiting_bytes == 2000


def test_a_folder_the_user_has_is_handed_on(
    qtbot: QtBot, make: Callable[..., DownloadCard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = make()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    with qtbot.waitSignal(card.folder_chosen) as chosen:
        qtbot.mouseClick(card.have_button, Qt.MouseButton.LeftButton)
    assert chosen.args == [tmp_path]


def test_models_can_be_kept_elsewhere(
    qtbot: QtBot, make: Callable[..., DownloadCard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "模型 😀"
    put("wd-vit-large-tagger-v3", place)
    card = make()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(place))
    qtbot.mouseClick(card.change_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: any(state.is_here for state in card.list.rows.states))
    assert models_folder() == place and card._place.text() == str(place)
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    qtbot.mouseClick(card.open_button, Qt.MouseButton.LeftButton)
    at_rest(qtbot, card)
    assert opened == [str(place)]


def test_a_folder_that_cannot_be_used_is_refused_in_words(
    qtbot: QtBot, make: Callable[..., DownloadCard], fake_run: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    card = make(fake_run([REFUSED]))
    card.start()
    ended(qtbot, card)
    assert card.outcome.again_button.isVisible()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "file"))
    qtbot.mouseClick(card.change_button, Qt.MouseButton.LeftButton)
    at_rest(qtbot, card)
    assert "is a file where a folder is needed" in card.outcome.message.text()
    assert not card.outcome.again_button.isVisible()  # It would start the download again.


def test_a_disk_that_could_not_be_read_is_told_until_it_can(
    qtbot: QtBot, make: Callable[..., DownloadCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_kind: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/models")

    card = make()
    with monkeypatch.context() as broken:
        broken.setattr("app.widgets.download_card.model_states", unreadable)
        card.refresh()
        at_rest(qtbot, card)
    assert card.outcome.isVisible() and "/models" in card.outcome.message.text()
    card.refresh()
    at_rest(qtbot, card)
    assert not card.outcome.isVisible()


def test_looking_at_models_reads_no_file(make: Callable[..., DownloadCard], monkeypatch: pytest.MonkeyPatch) -> None:
    card = make()

    def read(*_: object, **__: object) -> str:
        raise AssertionError("the window's thread waits for the disk")

    monkeypatch.setattr(Path, "read_text", read)
    card.select("wd14-vit-v2")
    assert card.list.chosen is not None and card.list.chosen.card.key == "wd14-vit-v2"


def test_a_folder_set_by_the_environment_cannot_be_changed(
    make: Callable[..., DownloadCard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILN_MODELS", str(tmp_path))
    card = make()
    assert not card.change_button.isEnabled() and "KILN_MODELS" in card.change_button.toolTip()


def test_the_card_is_reached_by_the_keyboard(qtbot: QtBot, make: Callable[..., DownloadCard]) -> None:
    card = make()
    card.activateWindow()
    card.list.setFocus()
    met: list[QWidget | None] = []
    for _ in range(7):
        qtbot.keyClick(card.focusWidget() or card, Qt.Key.Key_Tab)
        met.append(card.focusWidget())
    order = [card.sources, card.have_button, card.start_button, card.change_button, card.open_button]
    assert [widget for widget in met if widget in order] == order


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["tagger", "captioner", "base", "detector"])
def test_every_kind_and_language_fits(
    qtbot: QtBot,
    make: Callable[..., DownloadCard],
    clipped: Callable[[QWidget], list[str]],
    fake_run: type,
    kind: str,
    language: str,
) -> None:
    card = make(fake_run([REFUSED]), kind=kind)
    set_language("zh" if language == "zh" else "en")
    card.retranslate()
    card.start()
    ended(qtbot, card)
    assert card.outcome.again_button.isVisible()
    assert not clipped(card)


def test_a_real_download_from_a_server_that_cuts(
    qtbot: QtBot, make: Callable[..., DownloadCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("HF_HOME", os.environ["KILN_HOME"])
    data = random.Random(1).randbytes(300_000)
    with serving({"cl_tagger_1_01/model.onnx": data, "cl_tagger_1_01/tag_mapping.json": b"{}"}) as hub:
        monkeypatch.setenv("KILN_HUGGINGFACE", hub.url)
        hub.bad["cl_tagger_1_01/model.onnx"] = [Bad(cut=0.9)]
        card = make(make_run=LocalRun)
        card.select("cl_tagger_1_01")
        with qtbot.waitSignal(card.model_ready, timeout=15_000) as ready:
            card.start()
    assert (ready.args[1] / "model.onnx").read_bytes() == data
    ended(qtbot, card)
    assert card.list.chosen is not None and card.list.chosen.is_here
