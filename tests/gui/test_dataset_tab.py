"""The dataset page: the grid, captions that are never lost, filters, problems, and pictures read in the background."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QPixmap, QTextCursor, QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QComboBox
from pytestqt.qtbot import QtBot

from app.dataset_counts import summary
from app.project import Project
from app.settings import Settings
from app.tabs.dataset import CHECK, CONTENT, FIT, FOLDERS, NUMBERS, PICTURE, TAGS, WELCOME, DatasetTab
from app.tag_index import TagIndex
from app.widgets import thumbnails
from app.widgets.caption_editor import MODE_KEY
from app.widgets.card import two_lines
from app.widgets.thumbnails import PictureKey, PixmapCache, ThumbnailLoader, read_picture
from app.widgets.trained_preview import TrainedPreview
from core.dataset.records import ImageRecord, Scan
from core.paths import STARTER_TAGGER
from core.runner import LocalRun
from core.tagging.tag_files import tag_list

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def tab(qtbot: QtBot, project: Project, settings: Settings):
    settings.set_value(MODE_KEY, "text")
    made = DatasetTab(project, settings, LocalRun)
    qtbot.addWidget(made)
    made.resize(1060, 780)
    with qtbot.waitExposed(made):
        made.show()
    yield made
    made.shut_down()


@pytest.fixture
def open_tab(qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path) -> DatasetTab:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    return tab


def caption_file(pictures: Path, number: int) -> Path:
    return pictures / f"picture_{number}.txt"


def shown(tab: DatasetTab) -> list[str]:
    model = tab.grid.images
    return [model.index(row).data() for row in range(model.rowCount())]


# Opening


def test_without_a_folder_there_are_two_ways_to_begin(
    tab: DatasetTab, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tab._pages.currentIndex() == WELCOME
    chosen = []
    monkeypatch.setattr(DatasetTab, "choose_folder", lambda self: chosen.append("folder"))
    assert tab.open_choice.button.text() == "Open a folder of pictures"
    assert tab.demo_choice.button.text() == "Try the demo"


def test_demo_opens_a_copy_with_settings_that_train_it(qtbot: QtBot, tab: DatasetTab, project: Project) -> None:
    with qtbot.waitSignal(project.folder_changed, timeout=20000):
        tab.demo_choice.button.click()
    assert project.folder.is_relative_to(Path.home())
    others = [record for record in project.scan.records if record.is_regularization]
    assert len(project.scan.records) - len(others) == 30
    assert len(others) == 64
    assert all(record.path.is_relative_to(Path.home()) for record in others)
    assert project.config.dataset.folder == project.folder
    assert project.config.model.base.name == "model"
    assert project.config.dataset.trigger_word
    assert project.config.dataset.fit == "smart"
    shapes = {record.path: record.size_px for record in project.scan.records if not record.is_regularization}
    tall = {path for path, (width, height) in shapes.items() if height > width}
    assert len(tall) > 5
    assert all(project.edits(path).fit == ("crop" if path in tall else None) for path in shapes)


def test_settings_of_before_the_demo_come_back(qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path) -> None:
    project.change({"dataset.trigger_word": "mine", "training.epochs": 7})
    with qtbot.waitSignal(project.folder_changed, timeout=20000):
        project.open_demo()
    assert project.config.dataset.trigger_word != "mine"
    project.save()
    again = Project()
    with qtbot.waitSignal(again.folder_changed):
        again.open_folder(pictures)
    assert again.config.dataset.trigger_word == "mine"
    assert again.config.training.epochs == 7
    assert again.config.dataset.folder == pictures


def test_open_folder_fills_the_page(open_tab: DatasetTab, project: Project, pictures: Path) -> None:
    assert open_tab._pages.currentIndex() == CONTENT
    assert shown(open_tab) == [f"picture_{number}.png" for number in range(6)]
    assert open_tab.editor.record.path.name == "picture_0.png"
    assert open_tab.editor.text.toPlainText() == "1girl, red hair, number 0"
    assert "6 pictures" in open_tab.header.summary.text()
    assert "4 with captions" in open_tab.header.summary.text()
    assert open_tab.filter.only_buttons["uncaptioned"].text() == "No caption 2"
    assert project.config.dataset.folder == pictures


def test_names_in_every_script(qtbot: QtBot, tab: DatasetTab, project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "图片 pictures 🎨"
    folder.mkdir()
    Image.new("RGB", (32, 32)).save(folder / "少女 😀.png")
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)
    assert shown(tab) == ["少女 😀.png"]
    qtbot.waitUntil(lambda: tab.loader.get(tab.grid.thumbnail_key(project.scan.records[0])) is not None)


def test_folder_without_pictures_says_so(qtbot: QtBot, tab: DatasetTab, project: Project, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with qtbot.waitSignal(project.problem) as told:
        project.open_folder(tmp_path / "empty")
    assert "no picture" in told.args[0]
    assert told.args[1]
    assert tab._pages.currentIndex() == WELCOME


def test_folder_of_only_damaged_pictures_shows_why(
    qtbot: QtBot, tab: DatasetTab, project: Project, tmp_path: Path
) -> None:
    (tmp_path / "all broken").mkdir()
    (tmp_path / "all broken" / "one.png").write_bytes(b"no picture")
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(tmp_path / "all broken")
    assert tab._nothing._title.text() == "No pictures here"
    assert not tab.header.next_button.isVisible()
    qtbot.waitUntil(lambda: [finding.path.name for finding in tab.doctor.findings] == ["one.png"])
    assert tab.side.current == CHECK
    assert [card.isVisible() for card in tab.side.panel(CHECK).cards.values()] == [True]


def test_damaged_files_are_found_and_counted(qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path) -> None:
    (pictures / "broken.png").write_bytes(b"no picture")
    (pictures / "empty.jpg").write_bytes(b"")
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    assert len(shown(tab)) == 6
    qtbot.waitUntil(lambda: {"broken.png", "empty.jpg"} <= {finding.path.name for finding in tab.doctor.findings})
    qtbot.waitUntil(lambda: tab.side.buttons[CHECK].text() == f"Check {len(tab.doctor.to_look_at)}")


def test_the_problems_over_the_grid_are_those_that_the_check_asks_to_look_at(
    qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path
) -> None:
    seen = Image.effect_noise((600, 600), 80).convert("RGBA")
    seen.putalpha(Image.linear_gradient("L").resize(seen.size))
    seen.save(pictures / "seen through.png")
    (pictures / "seen through.txt").write_text("glass", encoding="utf-8")
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    glass = pictures / "seen through.png"
    qtbot.waitUntil(lambda: tab.doctor.problems_of(glass) == {"transparent"}, timeout=20000)  # Good to know.
    qtbot.waitUntil(lambda: not tab.doctor.is_running and tab.doctor.is_judged)
    wanted = len(tab.doctor.to_look_at)
    assert 0 < wanted < len(shown(tab))
    qtbot.waitUntil(lambda: tab.filter.only_buttons["problems"].text() == f"Problems {wanted}")
    assert tab.side.buttons[CHECK].text() == f"Check {wanted}"
    tab.filter.only_buttons["problems"].click()
    assert len(shown(tab)) == wanted


def test_a_wheel_that_scrolls_a_panel_changes_no_setting(qtbot: QtBot, open_tab: DatasetTab, project: Project) -> None:
    open_tab.grid.select_first()
    open_tab.open_crop_editor()
    for name in (PICTURE, TAGS, CHECK, FIT, NUMBERS, FOLDERS):
        open_tab.side.show_panel(name)
    fields = [*open_tab.findChildren(QAbstractSpinBox), *open_tab.findChildren(QComboBox)]
    assert {open_tab.side.panel(FIT).resolution, open_tab.crop_editor.fit} <= set(fields)
    for field in fields:
        field.clearFocus()
        before = field.text() if isinstance(field, QAbstractSpinBox) else field.currentText()
        for turn in (-120, 120):  # Down and up.
            place = QPointF(field.rect().center())
            wheel = QWheelEvent(
                place,
                field.mapToGlobal(place),
                QPoint(),
                QPoint(0, turn),
                Qt.MouseButton.NoButton,
                Qt.KeyboardModifier.NoModifier,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            )
            QApplication.sendEvent(field, wheel)
            assert not wheel.isAccepted()
        assert before == (field.text() if isinstance(field, QAbstractSpinBox) else field.currentText())
        assert field.focusPolicy() == Qt.FocusPolicy.StrongFocus  # The wheel gives no focus either.


def test_later_folder_wins(qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (32, 32)).save(other / "only.png")
    project.open_folder(pictures)
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(other)
    qtbot.waitUntil(lambda: not project.is_scanning)
    assert shown(tab) == ["only.png"]


# Captions


def test_caption_is_saved_on_moving_on(qtbot: QtBot, open_tab: DatasetTab, pictures: Path) -> None:
    open_tab.editor.text.setPlainText("blue hair, hat")
    assert open_tab.editor.is_edited
    open_tab.grid.move_by(1)
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "blue hair, hat"
    assert open_tab.editor.record.path.name == "picture_1.png"
    assert open_tab.grid.images.record(0).caption == "blue hair, hat"


def test_keys_inside_the_editor(qtbot: QtBot, open_tab: DatasetTab, pictures: Path) -> None:
    text = open_tab.editor.text
    open_tab.activateWindow()
    qtbot.waitUntil(open_tab.isActiveWindow)
    text.setFocus()
    qtbot.keyClick(text, Qt.Key.Key_Down, CONTROL)
    assert open_tab.editor.record.path.name == "picture_1.png"
    assert text.hasFocus()
    qtbot.keyClicks(text, "smile, ")
    qtbot.keyClick(text, Qt.Key.Key_S, CONTROL)
    assert caption_file(pictures, 1).read_text(encoding="utf-8") == "smile, 1girl, red hair, number 1"
    assert text.textCursor().position() == len("smile, ")
    qtbot.keyClick(text, Qt.Key.Key_Up, CONTROL)
    assert open_tab.editor.record.path.name == "picture_0.png"
    qtbot.keyClick(text, Qt.Key.Key_Escape)
    assert open_tab.grid.hasFocus()
    qtbot.keyClick(open_tab.grid, Qt.Key.Key_Right)
    assert open_tab.editor.record.path.name == "picture_1.png"


def test_caption_is_saved_when_the_focus_leaves(qtbot: QtBot, open_tab: DatasetTab, pictures: Path) -> None:
    open_tab.activateWindow()
    qtbot.waitUntil(open_tab.isActiveWindow)
    open_tab.editor.text.setFocus()
    qtbot.keyClicks(open_tab.editor.text, "new, ")
    open_tab.filter.search.setFocus()
    assert caption_file(pictures, 0).read_text(encoding="utf-8").startswith("new, 1girl")


def test_undo_returns_every_byte(qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path) -> None:
    file = caption_file(pictures, 0)
    original = b"\xef\xbb\xbf1girl,  red hair \r\n"
    file.write_bytes(original)
    project.reload_captions([pictures / "picture_0.png"])
    project.save_caption(pictures / "picture_0.png", "something else")
    project.save_caption(pictures / "picture_5.png", "was none")
    assert caption_file(pictures, 5).is_file()
    open_tab.editor.undo()
    assert not caption_file(pictures, 5).exists()
    open_tab.editor.undo()
    assert file.read_bytes() == original
    assert open_tab.editor.text.toPlainText() == "1girl, red hair"
    assert project.undo_name == ""


def test_undo_takes_back_what_is_typed_first(open_tab: DatasetTab, project: Project) -> None:
    open_tab.editor.text.setPlainText("typed")
    open_tab.editor.undo()
    assert open_tab.editor.text.toPlainText() == "1girl, red hair, number 0"
    assert not open_tab.editor.is_edited


def test_looking_at_pictures_writes_nothing(open_tab: DatasetTab, pictures: Path) -> None:
    before = {file: file.read_bytes() for file in pictures.iterdir()}
    for _ in range(8):
        open_tab.grid.move_by(1)
    open_tab.flush()
    assert {file: file.read_bytes() for file in pictures.iterdir()} == before


def test_text_that_cannot_be_written_stays(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("core.dataset.caption_edits.write_bytes", refuse)
    open_tab.editor.text.setPlainText("precious")
    with qtbot.waitSignal(project.problem) as told:
        open_tab.flush()
    assert "no right" in told.args[0]
    assert open_tab.editor.is_edited
    assert open_tab.editor.text.toPlainText() == "precious"


def test_caption_in_another_encoding_is_shown_and_marked(
    qtbot: QtBot, tab: DatasetTab, project: Project, pictures: Path
) -> None:
    caption_file(pictures, 0).write_bytes("少女, 红发".encode("gb18030"))
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    assert tab.editor.text.toPlainText() == "少女, 红发"
    assert tab.editor._problem.isVisible()
    tab.filter.only_buttons["problems"].click()
    assert "picture_0.png" in shown(tab)
    tab.editor.text.setPlainText("少女, 红发, 帽子")
    tab.flush()
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "少女, 红发, 帽子"
    assert not tab.editor._problem.isVisible()


def test_change_by_another_program_is_seen_on_rescan(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    open_tab.grid.move_by(2)
    caption_file(pictures, 2).write_text("from outside", encoding="utf-8")
    Image.new("RGB", (32, 32)).save(pictures / "a_new_one.png")
    with qtbot.waitSignal(project.records_changed):
        open_tab.rescan()
    assert open_tab.editor.record.path.name == "picture_2.png"
    assert open_tab.editor.text.toPlainText() == "from outside"
    assert len(shown(open_tab)) == 7


def test_rescan_keeps_what_is_typed(qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path) -> None:
    open_tab.editor.text.setPlainText("typed just now")
    with qtbot.waitSignal(project.records_changed):
        open_tab.rescan()
    assert open_tab.editor.text.toPlainText() == "typed just now"
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "typed just now"


# Filter


def test_filter_by_words_and_by_missing_captions(qtbot: QtBot, open_tab: DatasetTab) -> None:
    open_tab.filter.search.setText("RED number 3")
    qtbot.waitUntil(lambda: shown(open_tab) == ["picture_3.png"])
    assert open_tab.editor.record.path.name == "picture_3.png"
    open_tab.filter.search.setText("nothing like it")
    qtbot.waitUntil(lambda: open_tab._views.currentIndex() == 1)
    assert open_tab.editor.record is None
    open_tab._clear_button.click()
    assert len(shown(open_tab)) == 6
    open_tab.filter.only_buttons["uncaptioned"].click()
    assert shown(open_tab) == ["picture_4.png", "picture_5.png"]


def test_picture_stays_in_view_while_its_caption_is_written(open_tab: DatasetTab) -> None:
    open_tab.filter.only_buttons["uncaptioned"].click()
    open_tab.editor.text.setPlainText("now it has one")
    open_tab.flush()
    assert shown(open_tab) == ["picture_4.png", "picture_5.png"]
    assert open_tab.editor.record.path.name == "picture_4.png"


# Summary and texts


def record(name: str, size: tuple[int, int] = (512, 512), repeats: int = 0, caption: str | None = "x") -> ImageRecord:
    path = Path("/set") / name
    return ImageRecord(path=path, size_px=size, caption_path=path.with_suffix(".txt"), caption=caption, repeats=repeats)


def test_summary_of_folders_with_repeats() -> None:
    records = (record("10_kira/a.png", repeats=10), record("2_other/b.png", (1024, 768), repeats=2, caption=None))
    assert summary(Scan(folder=Path("/set"), records=records)) == (
        "2 pictures · 1 with captions · 512 × 512 to 1024 × 768 px · 10_kira: 10× per epoch · 2_other: 2× per epoch"
    )


def test_summary_of_a_flat_folder() -> None:
    scan = Scan(folder=Path("/set"), records=(record("a.png"),))
    assert summary(scan) == "1 picture · all with captions · 512 × 512 px · each 7× per epoch"
    assert summary(scan, repeats=1).endswith("each 1× per epoch")
    assert summary(Scan(folder=Path("/set"), records=())) == "No pictures"


def test_captions_break_intotwo_lines(open_tab: DatasetTab) -> None:
    metrics = open_tab.fontMetrics()
    for text in ("", "short", "one two three four five six seven " * 5, "x" * 500, "没有空格的很长的一句话" * 9):
        lines = two_lines(text, metrics, 150)
        assert len(lines) <= 2
        assert all(metrics.horizontalAdvance(line) <= 150 for line in lines)
        assert text.startswith(lines[0] if lines else "")


# Pictures in the background


def key(path: Path, side: int = 64, radius: int = 0) -> PictureKey:
    return PictureKey(path, 0.0, side, side, radius)


def test_picture_fits_its_box_and_stands_upright(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    image = Image.new("RGB", (400, 200), "white")
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees.
    image.save(path, exif=exif)
    assert read_picture(key(path)).size().toTuple() == (32, 64)
    assert read_picture(key(path, radius=6)).hasAlphaChannel()


def test_small_picture_is_not_enlarged(pictures: Path) -> None:
    assert read_picture(key(pictures / "picture_0.png", 512)).size().toTuple() == (64, 96)


@pytest.mark.parametrize("extension", ["png", "webp", "gif", "bmp", "avif"])
def test_every_format_is_shown(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"picture.{extension}"
    try:
        Image.new("RGB", (120, 60), "red").save(path)
    except (KeyError, OSError, ValueError):
        pytest.skip(f"this Pillow does not write {extension}")
    assert read_picture(key(path)).size().toTuple() == (64, 32)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0half"])
def test_unreadable_picture_gives_a_null_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    assert read_picture(key(path)).isNull()
    assert read_picture(key(tmp_path / "missing.png")).isNull()


def test_newest_request_is_read_first(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gate, order = threading.Event(), []

    def slow(wanted: PictureKey):
        gate.wait(10)
        order.append(wanted.path.name)
        return thumbnails.QImage(4, 4, thumbnails.QImage.Format.Format_RGB32)

    monkeypatch.setattr(thumbnails, "read_picture", slow)
    loader = ThumbnailLoader(num_threads=1)
    keys = [key(tmp_path / f"{number}") for number in range(5)]
    assert loader.get(keys[0]) is None
    qtbot.waitUntil(lambda: not loader._waiting)  # The thread holds the first one now.
    for wanted in keys[1:]:
        loader.get(wanted)
        loader.get(wanted)  # Asking twice reads once.
    gate.set()
    qtbot.waitUntil(lambda: all(loader.get(wanted) is not None for wanted in keys))
    assert order == ["0", "4", "3", "2", "1"]
    loader.shut_down()


def test_late_pictures_of_an_old_folder_are_ignored(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = threading.Event()

    def slow(wanted: PictureKey):
        gate.wait(10)
        return thumbnails.QImage(4, 4, thumbnails.QImage.Format.Format_RGB32)

    monkeypatch.setattr(thumbnails, "read_picture", slow)
    loader = ThumbnailLoader(num_threads=1)
    old, new = key(tmp_path / "old"), key(tmp_path / "new")
    loader.get(old)
    qtbot.waitUntil(lambda: not loader._waiting)
    loader.clear()
    gate.set()
    loader.get(new)
    with qtbot.waitSignal(loader.loaded) as heard:
        pass
    assert heard.args == [new]
    assert loader.cache.get(old) is None
    loader.shut_down()


def test_requests_that_were_scrolled_past_fall_out(qtbot: QtBot, tmp_path: Path) -> None:
    loader = ThumbnailLoader(num_threads=0)
    for number in range(thumbnails.MAX_WAITING + 40):
        loader.get(key(tmp_path / f"{number}"))
    assert len(loader._waiting) == len(loader._pending) == thumbnails.MAX_WAITING
    loader.get(key(tmp_path / "0"))  # May be asked for again.
    assert loader._waiting[-1][1].path.name == "0"


def test_cache_is_bounded_in_bytes(qtbot: QtBot, tmp_path: Path) -> None:
    cache = PixmapCache(limit_bytes=10 * 40 * 40 * 4)
    keys = [key(tmp_path / f"{number}") for number in range(30)]
    for wanted in keys:
        cache.put(wanted, QPixmap(40, 40))
        cache.get(keys[0])  # In use, and so kept.
    assert cache.num_bytes <= cache.limit_bytes
    assert len(cache) == 10
    assert cache.get(keys[0]) is not None
    assert cache.get(keys[1]) is None


def test_five_thousand_pictures_load_only_what_is_seen(qtbot: QtBot, open_tab: DatasetTab) -> None:
    asked = []
    open_tab.loader.clear()
    open_tab.loader._request = asked.append
    records = tuple(record(f"{number:05d}.png") for number in range(5000))
    open_tab.grid.images.set_records(records)
    open_tab.grid.viewport().repaint()
    assert open_tab.grid.images.rowCount() == 5000
    assert 0 < len(set(asked)) < 60


def test_as_trained_shows_grid_and_picture_as_the_trainer_sees_them(
    qtbot: QtBot, open_tab: DatasetTab, project: Project
) -> None:
    preview = open_tab.findChild(TrainedPreview)
    assert preview is not None and not preview.isVisible()
    qtbot.mouseClick(open_tab.filter.trained_button, Qt.MouseButton.LeftButton)
    assert open_tab.grid.is_as_trained and preview.isVisible() and project.view["as_trained"] is True
    qtbot.waitUntil(lambda: len(preview.images) == 1)
    first = preview.images
    open_tab.grid.move_by(1)
    qtbot.waitUntil(lambda: len(preview.images) == 1 and preview.images != first)
    qtbot.mouseClick(open_tab.editor.head.as_trained_button, Qt.MouseButton.LeftButton)
    assert not open_tab.grid.is_as_trained and not open_tab.filter.trained_button.isChecked()


def test_drops_are_left_to_the_window(open_tab: DatasetTab) -> None:
    text = open_tab.editor.text
    for widget in (text, text.viewport(), open_tab.filter.search, open_tab.grid.viewport()):
        assert not widget.acceptDrops()


def test_undo_by_key_in_the_grid(qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path) -> None:
    project.save_caption(pictures / "picture_0.png", "other")
    open_tab.activateWindow()
    qtbot.waitUntil(open_tab.isActiveWindow)
    open_tab.grid.setFocus()
    qtbot.keyClick(open_tab.grid, Qt.Key.Key_Z, CONTROL)
    assert open_tab.editor.text.toPlainText() == "1girl, red hair, number 0"


# Captions that another program writes


def type_at_end(tab: DatasetTab, words: str) -> None:
    tab.editor.text.setPlainText(tab.editor.text.toPlainText() + words)


def test_captions_changed_outside_are_read_when_the_page_is_shown(
    qtbot: QtBot, open_tab: DatasetTab, pictures: Path
) -> None:
    open_tab.hide()
    caption_file(pictures, 0).write_text("newer", encoding="utf-8")
    open_tab.show()
    qtbot.waitUntil(lambda: open_tab.editor.text.toPlainText() == "newer")


def test_captions_changed_outside_are_read_when_the_window_is_activated(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    qtbot.waitUntil(open_tab.isActiveWindow)
    caption_file(pictures, 3).write_text("newer", encoding="utf-8")
    QApplication.sendEvent(open_tab, QEvent(QEvent.Type.ActivationChange))
    qtbot.waitUntil(lambda: project.record(pictures / "picture_3.png").caption == "newer")


def test_many_captions_changed_outside_are_read_at_once(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    for number in range(6):
        caption_file(pictures, number).write_text("newer", encoding="utf-8")
    with qtbot.waitSignal(project.captions_changed) as heard:
        project.look_again()
    assert len(heard.args[0]) == 6 and {record.caption for record in project.scan.records} == {"newer"}


def test_an_edit_never_overwrites_what_another_program_wrote(open_tab: DatasetTab, pictures: Path) -> None:
    caption_file(pictures, 0).write_text("newer", encoding="utf-8")
    type_at_end(open_tab, ", smile")
    open_tab.flush()
    editor = open_tab.editor
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "newer"
    assert editor.text.toPlainText() == "1girl, red hair, number 0, smile"
    assert editor.conflict.isVisible()
    assert "newer" in editor.conflict._theirs.text()
    open_tab.flush()
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "newer"


def test_take_the_new_caption(open_tab: DatasetTab, pictures: Path) -> None:
    caption_file(pictures, 0).write_text("newer", encoding="utf-8")
    type_at_end(open_tab, ", smile")
    open_tab.flush()
    open_tab.editor.conflict.take_button.click()
    assert open_tab.editor.text.toPlainText() == "newer"
    assert not open_tab.editor.conflict.isVisible()
    assert not open_tab.editor.is_edited
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "newer"


def test_keep_my_caption_unless_the_file_changes_once_more(open_tab: DatasetTab, pictures: Path) -> None:
    caption_file(pictures, 0).write_text("newer", encoding="utf-8")
    type_at_end(open_tab, ", smile")
    open_tab.flush()
    caption_file(pictures, 0).write_text("newest", encoding="utf-8")
    open_tab.editor.conflict.keep_button.click()
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "newest"
    assert "newest" in open_tab.editor.conflict._theirs.text()
    open_tab.editor.conflict.keep_button.click()
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "1girl, red hair, number 0, smile"
    assert not open_tab.editor.conflict.isVisible()
    assert not open_tab.editor.is_edited


def test_an_open_question_waits_while_another_picture_is_shown(open_tab: DatasetTab, pictures: Path) -> None:
    caption_file(pictures, 0).write_text("newer", encoding="utf-8")
    type_at_end(open_tab, ", smile")
    open_tab.grid.move_by(1)
    assert open_tab.editor.record.path.name == "picture_1.png"
    assert open_tab.editor.text.toPlainText() == "1girl, red hair, number 1"
    assert not open_tab.editor.conflict.isVisible()
    open_tab.grid.move_by(-1)
    assert open_tab.editor.text.toPlainText() == "1girl, red hair, number 0, smile"
    assert open_tab.editor.conflict.isVisible()
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "newer"


def test_caption_deleted_outside_is_asked_about(open_tab: DatasetTab, pictures: Path) -> None:
    caption_file(pictures, 0).unlink()
    type_at_end(open_tab, ", smile")
    open_tab.flush()
    assert open_tab.editor.conflict._theirs.text() == "The file has no caption any more."
    assert not caption_file(pictures, 0).exists()


def test_refresh_while_typing_asks_at_once(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    type_at_end(open_tab, ", smile")
    caption_file(pictures, 0).write_text("newer", encoding="utf-8")
    project.look_again()
    qtbot.waitUntil(open_tab.editor.conflict.isVisible)
    assert open_tab.editor.text.toPlainText() == "1girl, red hair, number 0, smile"
    assert open_tab.editor._state.text() == "not saved yet"


def test_reading_the_folder_again_saves_first(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    type_at_end(open_tab, ", smile")
    caption_file(pictures, 1).write_text("newer", encoding="utf-8")
    with qtbot.waitSignal(project.records_changed):
        open_tab.header.rescan_button.click()
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "1girl, red hair, number 0, smile"
    assert open_tab.editor._state.text() == "saved"
    assert project.record(pictures / "picture_1.png").caption == "newer"


def test_reading_the_folder_again_keeps_the_question(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    type_at_end(open_tab, ", smile")
    caption_file(pictures, 0).write_text("newer", encoding="utf-8")
    with qtbot.waitSignal(project.records_changed):
        open_tab.header.rescan_button.click()
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "newer"
    assert open_tab.editor.conflict.isVisible()
    assert open_tab.editor.text.toPlainText() == "1girl, red hair, number 0, smile"


def test_undo_leaves_what_another_program_wrote(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    type_at_end(open_tab, ", smile")
    open_tab.flush()
    caption_file(pictures, 0).write_text("newer", encoding="utf-8")
    with qtbot.waitSignal(project.problem) as told:
        open_tab.editor.undo()
    assert "another program" in told.args[0]
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "newer"
    assert open_tab.editor.text.toPlainText() == "newer"


def test_demo_stays_in_reach(qtbot: QtBot, open_tab: DatasetTab, project: Project) -> None:
    assert open_tab.header.demo_button.isVisible()
    assert open_tab.header.demo_button.text() == "Try the demo"
    with qtbot.waitSignal(project.folder_changed, timeout=20000):
        open_tab.header.demo_button.click()
    others = [record for record in project.scan.records if record.is_regularization]
    assert len(project.scan.records) - len(others) == 30
    assert len(others) == 64
    assert all(record.path.is_relative_to(Path.home()) for record in others)


def test_tags_that_the_tagger_knows_are_suggested(qtbot: QtBot, open_tab: DatasetTab, project: Project) -> None:
    index = TagIndex.of(project)
    tags = tag_list(STARTER_TAGGER)
    rare = next(tag for tag in reversed(tags) if len(tag) > 5)
    qtbot.waitUntil(lambda: any(offer.tag.replace(" ", "_") == rare for offer in index.suggestions(rare[:5], 60)))


def test_typing_goes_on_and_nothing_is_overwritten_when_pictures_come_meanwhile(
    qtbot: QtBot, open_tab: DatasetTab, project: Project, pictures: Path
) -> None:
    text = open_tab.editor.text
    text.setFocus()
    text.moveCursor(QTextCursor.MoveOperation.End)
    qtbot.keyClicks(text, ", FFF")
    place = text.textCursor().position()
    Image.new("RGB", (32, 32)).save(pictures / "a_new_one.png")
    with qtbot.waitSignal(project.records_changed):
        project.look_again()
    assert text.textCursor().position() == place
    qtbot.keyClicks(text, ", GGG")
    assert text.toPlainText().endswith(", FFF, GGG")
    caption_file(pictures, 0).write_text("theirs", encoding="utf-8")
    Image.new("RGB", (32, 32)).save(pictures / "another_one.png")
    with qtbot.waitSignal(project.records_changed):
        project.look_again()
    assert open_tab.editor.conflict.isVisible()
    open_tab.flush()
    assert caption_file(pictures, 0).read_text(encoding="utf-8") == "theirs"
    assert text.toPlainText().endswith(", FFF, GGG")
