"""The quick form's memory bar, its sentences, and the list of base models."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from app import quick_choices, run_sum
from app.project import Project
from app.quick_choices import QuickChoices
from app.settings import Settings
from app.speed import remember_speed, remembered_duration
from app.widgets import base_model_picker, quick_form
from app.widgets.base_model_list import ACTION, HEADER, KIND_ROLE
from app.widgets.base_model_picker import BaseModelPicker
from app.widgets.quick_form import QuickForm
from app.widgets.quick_words import notes_text, sum_text
from core import text
from core.checkpoints.answers import answer_for
from core.config import TrainConfig, with_values
from core.device import Device
from core.model_places import FoundModel, added_folders
from core.models import BaseModel
from core.paths import STARTER_MODEL
from core.quick import RunLength

GIB = 2**30


class Machine:
    """The device that the window is told of."""

    def __init__(self) -> None:
        self.device = Device(kind="cuda", name="RTX 4060", total_bytes=8 * GIB, free_bytes=7 * GIB)

    def __call__(self, wish: str = "auto") -> Device:
        return self.device


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(quick_form, "training_device", made)
    monkeypatch.setattr(quick_choices, "training_device", made)
    return made


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> list[FoundModel]:
    """What a search finds; nothing of this machine."""
    models: list[FoundModel] = []
    monkeypatch.setattr(base_model_picker, "remembered_models", list)
    monkeypatch.setattr(base_model_picker, "search", lambda: list(models))
    return models


@pytest.fixture
def form(qtbot: QtBot, project: Project, settings: Settings, pictures: Path, tiny_sd1: Path) -> QuickForm:
    project.change({"model.base": tiny_sd1})
    choices = QuickChoices(project)
    made = QuickForm(project, settings)
    choices.setParent(made)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    with qtbot.waitExposed(made):
        made.show()
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    qtbot.waitUntil(lambda: made.memory.isVisible())
    return made


def sentence(form: QuickForm, key: str) -> str:
    return form.chosen.rows[key].line.accessibleName()


def test_the_memory_bar_follows_the_fields(project: Project, form: QuickForm) -> None:
    assert form.memory.state == "fits"
    assert form.memory.sentence.text().endswith("of the 8 GB of RTX 4060.")
    project.change({"dataset.resolution": 4096, "training.batch_size": 128, "training.on_out_of_memory": "stop"})
    assert form.memory.state == "too_much"
    assert form.memory.remedy.isVisible()
    assert form.memory.remedy.text()
    project.change({"dataset.resolution": 64, "training.batch_size": 1})
    assert form.memory.state == "fits"
    assert not form.memory.remedy.isVisible()


def test_the_memory_bar_follows_what_other_programs_take(qtbot: QtBot, form: QuickForm, machine: Machine) -> None:
    machine.device = dataclasses.replace(machine.device, free_bytes=GIB // 4)
    form._ask_device()
    qtbot.waitUntil(lambda: form.memory.state == "tight")
    assert "closing other programs helps" in form.memory.sentence.text()


def test_a_memory_that_nobody_knows_has_no_bar(qtbot: QtBot, form: QuickForm, machine: Machine) -> None:
    machine.device = Device(kind="cpu")
    form._ask_device()
    qtbot.waitUntil(lambda: form.memory.state == "unknown")
    assert not form.memory.bar.isVisible()
    assert form.memory.sentence.text().startswith("Needs about")


def test_a_sentence_opens_to_its_reason_and_leads_to_the_option(qtbot: QtBot, form: QuickForm) -> None:
    assert sentence(form, "network.rank") == "Rank 8, for 6 pictures."
    row = form.chosen.rows["network.rank"]
    assert not row.why.isVisible()
    row.line.setFocus()
    qtbot.keyClick(row.line, Qt.Key.Key_Space)
    assert row.why.isVisible() and "learns what they have in common" in row.why.text()
    assert not row.reset_button.isVisible()
    with qtbot.waitSignal(form.option_requested) as asked:
        row.option_button.click()
    assert asked.args == ["network.rank"]
    row.line.click()
    assert not row.why.isVisible()


def test_what_the_user_set_is_said_and_can_be_given_back(project: Project, form: QuickForm) -> None:
    project.change({"network.rank": 77})
    row = form.chosen.rows["network.rank"]
    assert sentence(form, "network.rank") == "Rank: 77, set by you."
    row.line.click()
    assert "Rank = 8" in row.why.text()
    project.change({"training.epochs": 3})
    assert project.config.network.rank == 77
    row.reset_button.click()
    assert (project.config.network.rank, project.config.network.alpha) == (8, 8.0)
    assert sentence(form, "network.rank") == "Rank 8, for 6 pictures."
    assert row.is_open and not row.reset_button.isVisible()


def test_previews_take_up_the_users_trigger_word(qtbot: QtBot, project: Project, form: QuickForm) -> None:
    assert not any("yuki" in prompt for prompt in project.config.sampling.prompts)
    project.change({"dataset.trigger_word": "yuki"})
    assert all(prompt.startswith("yuki, ") for prompt in project.config.sampling.prompts)
    assert len(project.config.sampling.prompts) == 3
    project.change({"sampling.prompts": ("mine",), "dataset.trigger_word": "rei"})
    assert project.config.sampling.prompts == ("mine",)


def test_sentences_stand_in_two_columns_where_there_is_room(qtbot: QtBot, form: QuickForm) -> None:
    def num_columns() -> int:
        return len({row.x() for row in form.chosen.rows.values()})

    qtbot.waitUntil(lambda: num_columns() == 2)
    form.resize(560, 900)
    qtbot.waitUntil(lambda: num_columns() == 1)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [1000, 620])
def test_nothing_is_cut_off(
    qtbot: QtBot, form: QuickForm, clipped: Callable[[QWidget], list[str]], language: text.Language, width: int
) -> None:
    text.set_language(language)
    form.retranslate()
    for row in form.chosen.rows.values():
        row.line.click()
    form.resize(width, form.sizeHint().height())
    form.adjustSize()
    form.resize(width, form.heightForWidth(width))
    qtbot.waitUntil(lambda: clipped(form) == [])


@pytest.fixture
def picker(qtbot: QtBot, found: list[FoundModel], tiny_sd1: Path) -> BaseModelPicker:
    found += [
        FoundModel(path=tiny_sd1, place="ComfyUI", title=tiny_sd1.name, size_bytes=1_000_000, family="sd1"),
        FoundModel(path=Path("/models/one.safetensors"), place="ComfyUI", title="one", size_bytes=2, problem="No use."),
    ]
    made = BaseModelPicker(offers_more=True)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(lambda: made.combo.findText("one") >= 0)
    return made


def rows(picker: BaseModelPicker) -> list[tuple[str, str]]:
    items = picker._items
    return [(items.item(row).data(KIND_ROLE), items.item(row).text()) for row in range(items.rowCount())]


def test_models_are_listed_by_place_with_what_else_can_be_done(picker: BaseModelPicker, tiny_sd1: Path) -> None:
    titles = rows(picker)
    assert titles[:2] == [(HEADER, "In Kiln"), ("model", "Kiln Starter (small, for trying out)")]
    assert titles[2:5] == [(HEADER, "ComfyUI"), ("model", tiny_sd1.name), ("model", "one")]
    assert titles[5:] == [(ACTION, "Download a model…"), (ACTION, "Look in another folder…")]


def test_a_model_that_is_of_no_use_is_listed_and_cannot_be_chosen(picker: BaseModelPicker) -> None:
    item = picker._items.item(picker.combo.findText("one"))
    assert not item.flags() & Qt.ItemFlag.ItemIsEnabled
    assert "No use." in item.toolTip()
    assert not picker._items.item(0).flags() & Qt.ItemFlag.ItemIsSelectable


def test_a_model_of_the_list_is_chosen(qtbot: QtBot, picker: BaseModelPicker, tiny_sd1: Path) -> None:
    with qtbot.waitSignal(picker.chosen) as chosen:
        picker.combo.activated.emit(picker.combo.findText(tiny_sd1.name))
    assert chosen.args == [tiny_sd1]
    assert picker.combo.currentText() == tiny_sd1.name
    assert picker.problem == ""


def test_a_path_can_be_typed_or_pasted(qtbot: QtBot, picker: BaseModelPicker, tiny_sd1: Path) -> None:
    picker.line.selectAll()
    with qtbot.waitSignal(picker.chosen) as chosen:
        picker.line.insert(f'"{tiny_sd1 / "model_index.json"}"')  # Qt types no Chinese.
        qtbot.keyClick(picker.line, Qt.Key.Key_Return)
    assert chosen.args == [tiny_sd1]
    picker.line.selectAll()
    qtbot.keyClicks(picker.line, "/no/such/model")
    qtbot.keyClick(picker.line, Qt.Key.Key_Return)
    assert picker.path == Path("/no/such/model")
    assert "is missing" in picker.problem
    picker.line.selectAll()
    qtbot.keyClick(picker.line, Qt.Key.Key_Delete)
    qtbot.keyClick(picker.line, Qt.Key.Key_Return)
    assert picker.path == Path("/no/such/model")
    assert picker.combo.currentText() == "model"


def test_what_no_file_says_is_asked_once_and_kept_for_the_file(
    qtbot: QtBot, picker: BaseModelPicker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "模型 two.safetensors"
    file.write_bytes(bytes(1000))

    def described_now(path: Path) -> BaseModel:
        answer = answer_for(path)
        return BaseModel(
            path=path,
            family="sd2",
            title="two",
            size_bytes=1000,
            native_size_px=768,
            prediction=answer.prediction if answer else None,
            zero_terminal_snr=bool(answer and answer.zero_terminal_snr),
            is_prediction_unsure=answer is None,
        )

    monkeypatch.setattr(base_model_picker, "describe_base", described_now)
    picker.show_path(file)
    assert picker.question.isVisible()
    with qtbot.waitSignal(picker.chosen) as chosen:
        qtbot.mouseClick(picker.question.zero_button, Qt.MouseButton.LeftButton)
    assert chosen.args == [file]
    assert not picker.question.zero_button.isVisible()
    assert picker.question.change_button.isVisible()
    assert "zero-terminal" in picker.info.text()
    assert picker.model is not None and picker.model.prediction == "v_prediction" and picker.model.zero_terminal_snr
    file.rename(tmp_path / "elsewhere.safetensors")
    picker.show_path(tmp_path / "elsewhere.safetensors")
    assert not picker.question.zero_button.isVisible()
    qtbot.mouseClick(picker.question.change_button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(picker.chosen):
        qtbot.mouseClick(picker.question.noise_button, Qt.MouseButton.LeftButton)
    assert picker.model.prediction == "epsilon"


def test_what_speaks_against_a_model_stands_below_it(picker: BaseModelPicker, monkeypatch: pytest.MonkeyPatch) -> None:
    model = BaseModel(
        path=Path("ssd"), family="sdxl", title="", size_bytes=1, native_size_px=1024, warnings=("Half a model.",)
    )
    monkeypatch.setattr(base_model_picker, "describe_base", lambda path: model)
    picker.show_path(Path("ssd"))
    assert picker.warnings.isVisible() and picker.warnings.text() == "Half a model."


def test_the_list_leads_to_downloads_and_other_folders(
    qtbot: QtBot, picker: BaseModelPicker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[FoundModel]
) -> None:
    with qtbot.waitSignal(picker.more_requested):
        picker.combo.activated.emit(picker.combo.findText("Download a model…"))
    assert picker.combo.currentText() == ""
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_arguments: str(tmp_path))
    found.append(FoundModel(path=tmp_path / "new", place=str(tmp_path), title="new"))
    picker.combo.activated.emit(picker.combo.findText("Look in another folder…"))
    qtbot.waitUntil(lambda: picker.combo.findText("new") >= 0)
    assert added_folders() == [tmp_path]


def test_what_is_being_typed_survives_a_search_that_ends(qtbot: QtBot, picker: BaseModelPicker) -> None:
    picker.activateWindow()
    picker.line.setFocus()
    qtbot.waitUntil(picker.line.hasFocus)
    picker.line.selectAll()
    qtbot.keyClicks(picker.line, "/models/my")
    picker.look_again()
    assert picker.line.text() == "/models/my"


def test_a_model_that_vanished_is_no_error(qtbot: QtBot, picker: BaseModelPicker, tmp_path: Path) -> None:
    picker.offer([tmp_path / "gone"])
    picker.look_again()
    qtbot.waitUntil(lambda: not picker._search.is_busy)
    assert picker.problem == "" or picker.path == Path()


def test_a_path_that_no_system_takes_is_said_to_be_none(picker: BaseModelPicker) -> None:
    picker.show_path(Path("/models") / ("x" * 5000))
    assert picker.model is None
    assert picker.problem


def test_a_chosen_model_that_vanished_is_told_when_the_page_is_shown_again(
    form: QuickForm, project: Project, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(STARTER_MODEL, base)
    project.change({"model.base": base})
    assert not form.base.problem
    form.hide()
    base.rename(tmp_path / "elsewhere")
    told: list[str] = []
    form.checked.connect(lambda: told.append(form.reason))
    form.show()
    assert form.base.problem
    assert told[-1] == "This base model cannot be used."
    form.hide()
    (tmp_path / "elsewhere").rename(base)
    form.show()
    assert not form.base.problem


def test_the_starter_model_is_what_one_begins_with(picker: BaseModelPicker) -> None:
    assert picker.first_usable == STARTER_MODEL


def seconds_of(settings: Settings, config: TrainConfig, steps: int) -> float | None:
    found = remembered_duration(settings, config, steps)
    return found.seconds if found else None


def test_the_time_comes_from_the_nearest_run(settings: Settings) -> None:
    config = TrainConfig()
    assert remembered_duration(settings, config, 100) is None
    remember_speed(settings, config, 2.0)
    remember_speed(settings, with_values(config, {"training.batch_size": 4}), 6.0)
    same = remembered_duration(settings, config, 100)
    assert same is not None and (same.seconds, same.is_scaled) == (200.0, False)
    larger = remembered_duration(settings, with_values(config, {"training.batch_size": 8}), 100)
    assert larger is not None and (larger.seconds, larger.is_scaled) == (1200.0, True)
    checkpointed = seconds_of(settings, with_values(config, {"training.gradient_checkpointing": True}), 100)
    assert checkpointed == pytest.approx(800 / 3)


def test_a_newer_time_replaces_the_older_and_other_models_have_their_own(settings: Settings) -> None:
    config = TrainConfig()
    remember_speed(settings, config, 2.0)
    remember_speed(settings, config, 1.0)
    assert seconds_of(settings, config, 10) == 10.0
    assert seconds_of(settings, with_values(config, {"model.base": Path("other")}), 10) is None
    assert seconds_of(settings, with_values(config, {"training.device": "cpu"}), 10) is None
    settings.set_value("speed/known", "[{damaged")
    assert seconds_of(settings, config, 10) is None
    remember_speed(settings, config, 3.0)
    assert seconds_of(settings, config, 10) == 30.0


def test_many_pictures_are_counted_beside_the_window(
    qtbot: QtBot, project: Project, form: QuickForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    count = run_sum.run_length

    def counted(*arguments: object) -> object:
        threads.append(threading.current_thread().name)
        return count(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run_sum, "MANY", 3)
    monkeypatch.setattr(run_sum, "run_length", counted)
    project.change({"training.epochs": 7})
    qtbot.waitUntil(lambda: "× 7 epochs" in form.sum.text())
    assert threads == ["background"]
    assert form.sum.text().endswith("= 420 steps")


@pytest.mark.parametrize(
    ("batch", "limit", "said", "note"),
    [
        (1, 0, "= 1400 steps", ""),
        (1, 4, "= 1400 steps, limited to 4", "The limit of steps ends the run earlier. "),
        (1, 1400, "= 1400 steps", ""),
        (3, 0, "≈ 470 steps", "Rounded, because in each epoch the last batch is filled up. "),
        (3, 4, "≈ 470 steps, limited to 4", "The limit of steps ends the run earlier. "),
    ],
)
def test_a_limit_of_steps_is_no_result_of_the_sum(batch: int, limit: int, said: str, note: str) -> None:
    config = with_values(TrainConfig(), {"training.batch_size": batch, "training.epochs": 10})
    per_epoch = -(-140 // batch)
    length = RunLength(
        num_images=28,
        num_shown=140,
        epochs=10,
        batch_size=batch,
        steps_per_epoch=per_epoch,
        total_steps=min(per_epoch * 10, limit) if limit else per_epoch * 10,
    )
    sum_said = f"28 pictures × 5 repeats × 10 epochs ÷ batch {batch} {said}"
    assert sum_text(config, length) == sum_said
    assert notes_text(config, length, None).startswith(note + "How long that takes")
