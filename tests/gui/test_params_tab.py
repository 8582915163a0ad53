from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from app import editors, theme
from app.project import Project
from app.settings import Settings
from app.speed import remember_speed
from app.tabs.params import ParamsTab
from app.wording import duration_text, size_text
from core import text
from core.config import TrainConfig, load_config, with_values
from core.config.labels import differing
from core.demo import EPOCHS
from core.paths import STARTER_MODEL
from core.quick import quick_config


def open_tab(qtbot: QtBot, project: Project, settings: Settings) -> ParamsTab:
    tab = ParamsTab(project, settings)
    qtbot.addWidget(tab)
    tab.resize(1080, 760)
    with qtbot.waitExposed(tab):
        tab.show()
    return tab


@pytest.fixture
def tab(qtbot: QtBot, project: Project, settings: Settings, tiny_sd1: Path) -> ParamsTab:
    """The page with a base model chosen and no pictures yet."""
    project.change({"model.base": tiny_sd1})
    return open_tab(qtbot, project, settings)


def open_pictures(qtbot: QtBot, project: Project, folder: Path) -> None:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)


def drop(widget: QWidget, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    widget.dropEvent(
        QDropEvent(
            QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        )
    )


def test_three_answers_make_a_run_startable(qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path) -> None:
    assert not tab.start_button.isEnabled()
    assert tab.reason.text() == "Choose a folder with pictures first."
    qtbot.keyClicks(tab.quick.folder.line, str(pictures))
    with qtbot.waitSignal(project.records_changed):
        qtbot.keyClick(tab.quick.folder.line, Qt.Key.Key_Return)
    assert tab.quick.folder_info.text() == "6 pictures, 4 with a caption"
    tab.quick.epochs.lineEdit().selectAll()
    qtbot.keyClicks(tab.quick.epochs, "3")
    assert project.config.training.epochs == 3
    assert project.config.output.name == "pictures"
    assert tab.name.text() == "pictures"
    assert tab.reason.text() == ""
    with qtbot.waitSignal(tab.start_requested):
        tab.start_button.click()


def test_the_starter_model_is_chosen_when_nothing_is(qtbot: QtBot, project: Project, settings: Settings) -> None:
    if not STARTER_MODEL.is_dir():
        pytest.skip("the starter model is not built here")
    tab = open_tab(qtbot, project, settings)
    assert project.config.model.base == STARTER_MODEL
    assert "Stable Diffusion 1.x" in tab.quick.base.info.text()


def test_the_sum_has_the_numbers_of_the_run(qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path) -> None:
    open_pictures(qtbot, project, pictures)
    project.change({"training.epochs": 10, "training.batch_size": 1})
    assert tab.quick.sum.text() == "6 pictures × 10 repeats × 10 epochs ÷ batch 1 = 600 steps"
    assert "known after the first steps" in tab.quick.time.text()
    project.change({"dataset.repeats": 1, "training.epochs": 1})
    assert tab.quick.sum.text() == "6 pictures × 1 repeat × 1 epoch ÷ batch 1 = 6 steps"
    project.change({"training.batch_size": 4})
    assert tab.quick.sum.text().endswith("steps")
    assert "÷ batch 4 ≈" in tab.quick.sum.text()


def test_the_sum_knows_the_time_after_a_run(
    qtbot: QtBot, project: Project, settings: Settings, tab: ParamsTab, pictures: Path
) -> None:
    open_pictures(qtbot, project, pictures)
    project.change({"training.epochs": 10})
    remember_speed(settings, project.config, 2.0)
    tab.quick.refresh()
    assert tab.quick.time.text() == "About 20 min on this machine, going by the last run."
    project.change({"dataset.resolution": project.config.dataset.resolution * 2})
    assert tab.quick.time.text() == "About 1 h 20 min on this machine, worked out from a run with other settings."
    project.change({"model.base": pictures})
    assert "known after the first steps" in tab.quick.time.text()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nothing", "is missing"),
        (lambda folder: folder, "model_index.json"),
    ],
)
def test_a_wrong_base_model_is_explained_below_it(
    qtbot: QtBot, project: Project, tab: ParamsTab, tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    drop(tab.quick.base, make(tmp_path))
    assert said in tab.quick.base.info.text()
    assert tab.quick.base.info.property("role") == "error"
    assert not tab.start_button.isEnabled()
    assert tab.reason.text() == "This base model cannot be used."


def test_a_dropped_model_is_taken_and_remembered(
    qtbot: QtBot, project: Project, settings: Settings, tiny_sd1: Path
) -> None:
    tab = open_tab(qtbot, project, settings)
    drop(tab.quick.base, tiny_sd1 / "model_index.json")
    assert project.config.model.base == tiny_sd1
    assert tab.quick.base.combo.currentText() == tiny_sd1.name
    assert tab.quick.base.problem == ""
    again = open_tab(qtbot, project, settings)
    paths = [again.quick.base.combo.itemData(index) for index in range(again.quick.base.combo.count())]
    assert tiny_sd1 in paths


def test_a_folder_that_is_not_there_is_said_below_it(qtbot: QtBot, project: Project, tab: ParamsTab) -> None:
    qtbot.keyClicks(tab.quick.folder.line, "/no/such/folder")
    qtbot.keyClick(tab.quick.folder.line, Qt.Key.Key_Return)
    assert tab.quick.folder_info.text() == "There is no folder /no/such/folder."
    assert not tab.start_button.isEnabled()


def test_a_folder_without_pictures(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    open_pictures(qtbot, project, pictures)
    with qtbot.waitSignal(project.problem):
        drop(tab.quick.folder, tmp_path / "empty")
    assert "no picture" in tab.quick.folder_info.text()
    assert tab.quick.folder_info.property("role") == "error"
    assert tab.quick.folder.line.text() == str(tmp_path / "empty")
    assert tab.reason.text() == "This folder cannot be used."
    assert project.config.dataset.folder == pictures
    with qtbot.waitSignal(project.records_changed):
        drop(tab.quick.folder, pictures)
    assert tab.start_button.isEnabled()


def test_wrong_epochs_keep_the_last_good_number(qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path) -> None:
    open_pictures(qtbot, project, pictures)
    tab.quick.epochs.lineEdit().selectAll()
    qtbot.keyClicks(tab.quick.epochs, "0")
    assert project.config.training.epochs == 10
    assert "from 1, up to 10000" in tab.quick.epochs_info.text()
    assert not tab.start_button.isEnabled()
    tab.quick.epochs.stepBy(1)
    assert project.config.training.epochs == 1
    assert tab.start_button.isEnabled()


def test_a_new_folder_brings_its_choices_and_keeps_what_was_changed(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path, tmp_path: Path
) -> None:
    open_pictures(qtbot, project, pictures)
    project.change({"network.rank": 77, "training.epochs": 4})
    other = tmp_path / "10_yuki"
    other.mkdir()
    Image.new("RGB", (64, 64)).save(other / "a.png")
    open_pictures(qtbot, project, other)
    assert project.config.dataset.folder == other
    assert project.config.output.name == "yuki"
    assert project.config.network.rank == 77
    assert project.config.training.epochs == 4


def test_captions_that_come_later_bring_preview_prompts(
    qtbot: QtBot, project: Project, tab: ParamsTab, tmp_path: Path
) -> None:
    folder = tmp_path / "untagged"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (64, 64)).save(folder / f"{number}.png")
    open_pictures(qtbot, project, folder)
    assert project.config.sampling.prompts == ()
    project.change({"network.rank": 9})
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"1girl, number {number}", encoding="utf-8")
    with qtbot.waitSignal(project.config_changed):
        project.reload_captions([folder / f"{number}.png" for number in range(3)])
    assert project.config.sampling.prompts == ("1girl, number 0", "1girl, number 1", "1girl, number 2")
    assert project.config.network.rank == 9
    project.change({"sampling.prompts": ("mine",)})
    project.save_caption(folder / "0.png", "1boy")
    qtbot.waitUntil(lambda: not tab._choices._captions.isActive())
    assert project.config.sampling.prompts == ("mine",)


def test_loaded_settings_stay_as_they_are_and_open_their_folder(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path, tmp_path: Path, tiny_sd1: Path
) -> None:
    wanted = with_values(
        TrainConfig(),
        {
            "model.base": tiny_sd1,
            "dataset.folder": pictures,
            "optimizer.learning_rate": 3e-4,
            "output.name": "kept",
            "output.folder": tmp_path / "out",
        },
    )
    project.set_config(wanted)
    file = tmp_path / "settings.toml"
    assert tab.save_settings(file)
    project.set_config(TrainConfig())
    with qtbot.waitSignal(project.records_changed):
        assert tab.load_settings(file)
    assert project.config == wanted == load_config(file)
    assert project.folder == pictures
    assert tab.quick.folder_info.text() == "6 pictures, 4 with a caption"


def test_unreadable_settings_are_said_and_change_nothing(
    qtbot: QtBot, project: Project, tab: ParamsTab, tmp_path: Path
) -> None:
    before = project.config
    file = tmp_path / "settings.toml"
    file.write_text("[network]\nrank = 9999\n", encoding="utf-8")
    with qtbot.waitSignal(project.problem) as said:
        assert not tab.load_settings(file)
    assert "network.rank" in said.args[0]
    assert "from 1, up to 512" in said.args[1]
    assert project.config == before


def test_reset_all_keeps_the_three_answers(qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path) -> None:
    open_pictures(qtbot, project, pictures)
    project.change({"training.epochs": 7, "output.name": "mine"})
    before = project.config
    project.change({"network.rank": 3, "optimizer.learning_rate": 0.5, "dataset.flip": True})
    tab.form.row("training.seed").entered.emit("x")
    assert tab.form.problems
    tab.reset_button.click()
    assert not differing(before, project.config)
    assert tab.form.problems == {}


def test_quick_and_full_form_edit_the_same_settings(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path
) -> None:
    open_pictures(qtbot, project, pictures)
    tab.all_switch.click()
    assert tab.form.isVisible()
    tab.form.row("training.epochs").entered.emit("12")
    assert tab.quick.epochs.text() == "12"
    tab.quick.epochs.stepBy(1)
    assert tab.form.row("training.epochs").editor.input().text() == "13"


def test_a_wrong_field_keeps_the_run_from_starting(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path
) -> None:
    open_pictures(qtbot, project, pictures)
    assert tab.start_button.isEnabled()
    tab.form.row("network.rank").entered.emit("9999")
    assert not tab.start_button.isEnabled()
    assert tab.reason.text() == "Rank: Allowed: a whole number, from 1, up to 512."
    tab.form.row("network.rank").entered.emit("12")
    assert tab.start_button.isEnabled()


def test_a_wrong_name_says_what_is_allowed(qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path) -> None:
    open_pictures(qtbot, project, pictures)
    tab.name.selectAll()
    qtbot.keyClicks(tab.name, "a/b")
    assert project.config.output.name == "a"
    assert "a name without" in tab.reason.text()
    tab.name.clear()
    qtbot.keyClicks(tab.name, "mika v2")
    assert project.config.output.name == "mika v2"
    assert tab.start_button.isEnabled()


def test_changing_the_language_on_the_spot(
    qtbot: QtBot, project: Project, settings: Settings, tab: ParamsTab, pictures: Path
) -> None:
    open_pictures(qtbot, project, pictures)
    settings.set_language("zh")
    assert tab.start_button.text() == "开始训练"
    assert tab.quick.sum.text() == "6 张图片 × 重复 10 次 × 10 轮 ÷ 批次 1 = 600 步"
    tab.search.setText("学习率")
    assert "optimizer.learning_rate" in tab.form.shown_keys()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", [(1104, 776), (824, 592)])
def test_nothing_is_cut_off(
    qtbot: QtBot,
    project: Project,
    settings: Settings,
    tab: ParamsTab,
    pictures: Path,
    clipped: Callable[[QWidget], list[str]],
    language: text.Language,
    size: tuple[int, int],
) -> None:
    open_pictures(qtbot, project, pictures)
    tab.all_switch.setChecked(True)
    tab.advanced_switch.setChecked(True)
    tab.form.row("network.rank").entered.emit("9999")
    settings.set_language(language)
    tab.resize(*size)
    qtbot.waitUntil(lambda: clipped(tab) == [])


def test_the_theme_can_change_while_it_is_open(qtbot: QtBot, qapp: QApplication, tab: ParamsTab) -> None:
    light = tab.grab().toImage()
    theme.apply(qapp, "dark")
    dark = tab.grab().toImage()
    assert light.pixelColor(3, 3).lightness() > 200 > 100 > dark.pixelColor(3, 3).lightness()


needs_starter = pytest.mark.skipif(not STARTER_MODEL.is_dir(), reason="the starter model is not built here")


def type_folder(qtbot: QtBot, tab: ParamsTab, folder: Path) -> None:
    tab.quick.folder.line.selectAll()
    qtbot.keyClicks(tab.quick.folder.line, str(folder))
    qtbot.keyClick(tab.quick.folder.line, Qt.Key.Key_Return)


def shown_resets(tab: ParamsTab) -> list[str]:
    return [key for key, row in tab.form.rows.items() if row.reset_button.isEnabled()]


def is_as_chosen(project: Project, pictures: Path) -> bool:
    """Whether the settings are what Kiln chooses for the starter model and these pictures."""
    output = project.config.output.folder
    wanted = quick_config(base=STARTER_MODEL, pictures=pictures, epochs=10, output=output, scan=project.scan)
    return not differing(wanted, project.config)


@needs_starter
@pytest.mark.parametrize("mistyped", [False, True])
def test_a_first_folder_gets_what_suits_the_starter_model(
    qtbot: QtBot, project: Project, settings: Settings, pictures: Path, mistyped: bool
) -> None:
    tab = open_tab(qtbot, project, settings)
    shown = {key: row.line.accessibleName() for key, row in tab.quick.chosen.rows.items()}
    assert shown["network.rank"] == "Rank 8."
    assert shown["optimizer.learning_rate"].startswith("Learning rate 0.002")
    if mistyped:
        type_folder(qtbot, tab, pictures / "nowhere")
        assert set(shown_resets(tab)) <= {"dataset.folder", "model.base", "output.folder"}
    with qtbot.waitSignal(project.records_changed):
        type_folder(qtbot, tab, pictures)
    assert is_as_chosen(project, pictures)
    assert len(project.config.sampling.prompts) == 3
    assert not [key for key in shown_resets(tab) if key.startswith(("optimizer", "network", "sampling"))]


@needs_starter
def test_a_folder_after_the_demo_gets_what_suits_it(
    qtbot: QtBot, project: Project, settings: Settings, pictures: Path, tmp_path: Path
) -> None:
    tab = open_tab(qtbot, project, settings)
    with qtbot.waitSignal(project.records_changed):
        project.open_demo()
    assert project.config.training.epochs == EPOCHS
    assert "Tag them first" in tab.quick.folder_info.text()  # Captions of regularization pictures alone do not help.
    assert project.config.dataset.trigger_word
    assert not [key for key in shown_resets(tab) if key.startswith(("dataset.trigger", "dataset.absorbed", "sampling"))]
    open_pictures(qtbot, project, pictures)
    assert is_as_chosen(project, pictures)
    assert project.config.output.name == "pictures"
    other = tmp_path / "yuki"
    other.mkdir()
    Image.new("RGB", (64, 64)).save(other / "a.png")
    open_pictures(qtbot, project, other)
    assert project.config.output.name == "yuki"
    assert is_as_chosen(project, other)


@needs_starter
def test_what_the_user_changed_is_known_in_the_next_session(
    qtbot: QtBot, project: Project, settings: Settings, pictures: Path, tiny_sd1: Path
) -> None:
    open_tab(qtbot, project, settings)
    open_pictures(qtbot, project, pictures)
    project.change({"network.rank": 20, "sampling.prompts": ("mine",)})
    project.save()
    again = Project()
    open_tab(qtbot, again, settings)
    again.change({"model.base": tiny_sd1})
    assert again.config.network.rank == 20
    assert again.config.sampling.prompts == ("mine",)
    assert again.config.optimizer.learning_rate == 1e-4
    with qtbot.waitSignal(again.records_changed):
        again.reopen()
    again.change({"model.base": STARTER_MODEL})
    assert again.config.optimizer.learning_rate == 2e-3
    assert again.config.network.rank == 20
    assert again.config.sampling.prompts == ("mine",)


@needs_starter
def test_a_mistyped_folder_can_be_corrected_to_the_open_one(qtbot: QtBot, project: Project, settings: Settings) -> None:
    tab = open_tab(qtbot, project, settings)
    with qtbot.waitSignal(project.records_changed):
        project.open_demo()
    demo, before = project.config.dataset.folder, project.config
    type_folder(qtbot, tab, Path("/nowhere/pics"))
    assert tab.quick.folder_info.property("role") == "error"
    with qtbot.waitSignal(project.records_changed):
        type_folder(qtbot, tab, demo)
    assert tab.quick.folder.line.text() == str(demo)
    assert project.config == before
    assert tab.start_button.isEnabled()


def test_reset_all_can_be_undone_until_something_else_is_changed(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path
) -> None:
    open_pictures(qtbot, project, pictures)
    project.change({"network.rank": 3, "dataset.trigger_word": "mika"})
    before = project.config
    tab.reset_button.click()
    assert project.config.network.rank == 8
    assert tab.reset_button.text() == "Undo reset"
    tab.reset_button.click()
    assert project.config == before
    assert tab.reset_button.text() == "Reset all"
    tab.reset_button.click()
    project.change({"training.epochs": 3})
    assert tab.reset_button.text() == "Reset all"
    tab.reset_button.click()  # Nothing to reset, nothing to undo.
    assert tab.reset_button.text() == "Reset all"


@needs_starter
def test_reset_all_keeps_what_the_demo_needs(qtbot: QtBot, project: Project, settings: Settings) -> None:
    tab = open_tab(qtbot, project, settings)
    with qtbot.waitSignal(project.records_changed):
        project.open_demo()
    before = project.config
    project.change({"network.rank": 3})
    tab.reset_button.click()
    assert project.config == before


def test_a_card_grows_with_what_is_wrong_in_a_found_option(
    qtbot: QtBot, project: Project, settings: Settings, clipped: Callable[[QWidget], list[str]]
) -> None:
    tab = open_tab(qtbot, project, settings)
    tab.all_switch.click()
    qtbot.keyClicks(tab.search, "rank")
    tab.search.clear()
    qtbot.keyClicks(tab.search, "learning")
    row = tab.form.row("optimizer.learning_rate")
    field = row.editor.input()
    qtbot.waitUntil(lambda: row.isVisible() and clipped(tab) == [])
    height, field_height = row.height(), field.height()
    field.selectAll()
    qtbot.keyClicks(field, "abc")
    qtbot.waitUntil(lambda: row.height() > height)
    qtbot.waitUntil(lambda: clipped(tab) == [])
    assert field.height() == field_height


def test_the_sum_says_why_it_is_rounded_and_stays_away_when_epochs_are_wrong(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path
) -> None:
    open_pictures(qtbot, project, pictures)
    assert "Rounded" not in tab.quick.time.text()
    project.change({"training.batch_size": 7})
    assert tab.quick.time.text().startswith("Rounded, because in each epoch the last batch is filled up.")
    project.change({"training.max_steps": 5})
    assert tab.quick.time.text().startswith("The limit of steps ends the run earlier.")
    tab.quick.epochs.lineEdit().selectAll()
    qtbot.keyClicks(tab.quick.epochs, "-5")
    assert tab.quick.sum.text() == "Pictures × repeats × epochs ÷ batch = steps"
    assert tab.quick.time.text() == "The sum appears when the number of epochs is right."


def test_one_file_that_cannot_be_used(qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path) -> None:
    (pictures / "broken.png").write_bytes(b"nothing")
    open_pictures(qtbot, project, pictures)
    assert tab.quick.folder_info.text() == "6 pictures, 4 with a caption, files that cannot be used: 1"


def test_browsing_starts_at_a_place_of_the_user(
    qtbot: QtBot, project: Project, tab: ParamsTab, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[Path] = []

    def choose(_parent: object, _title: str, start: str, *_more: object) -> str:
        starts.append(Path(start))
        return ""

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", choose)
    monkeypatch.setattr(editors, "_last_place", [])
    folder = tab.quick.folder
    type_folder(qtbot, tab, Path("/nowhere/pics"))
    folder.button.click()
    type_folder(qtbot, tab, pictures / "gone" / "deeper")
    folder.button.click()
    with qtbot.waitSignal(project.records_changed):
        type_folder(qtbot, tab, pictures)
    type_folder(qtbot, tab, Path("/nowhere/pics"))
    folder.button.click()
    assert starts == [Path.home(), pictures, pictures]


def test_sizes_and_durations() -> None:
    assert [size_text(number) for number in (12, 1_234_567, 718_844, 4_270_000_000)] == [
        "12 B",
        "1.2 MB",
        "719 KB",
        "4.3 GB",
    ]
    assert [duration_text(seconds) for seconds in (0.2, 45, 720, 3900)] == ["1 s", "45 s", "12 min", "1 h 05 min"]


def test_the_search_field_stays_where_it_is_while_results_shrink(qtbot: QtBot, tab: ParamsTab) -> None:
    def top_px() -> int:
        return tab.search.mapTo(tab, QPoint(0, 0)).y()

    tab.all_switch.click()
    tab.form.settle()
    bar = tab.area.verticalScrollBar()
    qtbot.waitUntil(lambda: 0 < bar.value() < bar.maximum())
    before = top_px()
    with qtbot.waitSignal(bar.rangeChanged):
        tab.search.setText("network_dim")
    qtbot.waitUntil(lambda: len(tab.form.shown_keys()) == 1)
    qtbot.waitUntil(lambda: abs(top_px() - before) <= theme.SPACE_M)
