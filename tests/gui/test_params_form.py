"""The full form: rows on demand, search with marks, contradictions with a way out, options without effect."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QScrollArea
from pytestqt.qtbot import QtBot

from app.form import Form
from app.widgets.params_words import MarkedLabel, is_found
from core import text
from core.config import TrainConfig, field_specs, with_values
from core.config.groups import GROUPS
from core.config.labels import specs_by_key
from core.config.rules import Facts, conflicts, idle_options
from core.text import catalogue


class Holder:
    """A config, its rules, and the form that edits it."""

    def __init__(self, qtbot: QtBot) -> None:
        self.config = TrainConfig()
        self.form = Form(self.change)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setWidget(self.form)
        self.area.resize(900, 700)
        qtbot.addWidget(self.area)
        self.show()

    def change(self, changes: dict[str, Any]) -> None:
        self.config = with_values(self.config, changes)
        self.show()

    def show(self) -> None:
        self.form.show_config(self.config)
        self.form.show_rules(conflicts(self.config, Facts()), idle_options(self.config))


@pytest.fixture
def holder(qtbot: QtBot) -> Holder:
    return Holder(qtbot)


def test_every_option_is_in_one_group_and_every_heading_has_its_chinese() -> None:
    grouped = [key for group in GROUPS for key in group.keys]
    assert sorted(grouped) == sorted(spec.key for spec in field_specs())
    for group in GROUPS:
        alone = sum(other.section == group.section for other in GROUPS) == 1
        assert bool(group.title) != alone
        assert alone or group.title in catalogue("zh_CN")


def test_rows_are_made_when_they_are_to_be_seen(qtbot: QtBot, holder: Holder) -> None:
    assert holder.form.rows == {}
    with qtbot.waitExposed(holder.area):
        holder.area.show()
    qtbot.waitUntil(lambda: set(holder.form.shown_keys()) <= set(holder.form.rows))
    assert "optimizer.beta1" not in holder.form.rows
    holder.form.show_advanced(True)
    qtbot.waitUntil(lambda: len(holder.form.rows) == len(holder.form.specs))
    first = GROUPS[1].keys
    qtbot.waitUntil(
        lambda: [holder.form.rows[key].y() for key in first] == sorted({holder.form.rows[key].y() for key in first})
    )


@pytest.mark.parametrize(
    "words", ["network_dim", "NETWORK_DIM", "网络维度", "wlwd", "wangluoweidu", "rank inner", "网络 rank"]
)
def test_rank_is_found_by_all_its_names(words: str) -> None:
    assert is_found(specs_by_key()["network.rank"], words.casefold().split())
    assert not is_found(specs_by_key()["dataset.flip"], words.casefold().split())


@pytest.mark.parametrize(
    ("words", "found", "not_found"),
    [
        ("noise", "loss.noise_offset", "network.train_denoiser"),
        ("offset noise", "loss.noise_offset", "model.clip_skip"),
        ("8bit", "optimizer.name", "training.batch_size"),
        ("学习率", "optimizer.learning_rate", "network.rank"),
        ("snr", "loss.min_snr_gamma", "network.rank"),
    ],
)
def test_words_are_found_where_they_begin_and_names_by_any_part(words: str, found: str, not_found: str) -> None:
    assert is_found(specs_by_key()[found], words.split())
    assert not is_found(specs_by_key()[not_found], words.split())


def test_every_name_of_other_trainers_finds_its_option() -> None:
    for spec in field_specs():
        for name in spec.also:
            assert is_found(spec, name.casefold().split()), (spec.key, name)


def test_found_words_are_marked_and_a_foreign_name_is_told(qtbot: QtBot, holder: Holder) -> None:
    with qtbot.waitExposed(holder.area):
        holder.area.show()
    holder.form.search("rank")
    holder.form.settle()
    row = holder.form.row("network.rank")
    assert row.title.marked() == [(0, 4)]
    row.title.setText("Denoiser noise")
    row.title.mark(["noise"])
    assert row.title.marked() == [(9, 14)]
    row.retranslate()
    holder.form.search("network_dim")
    holder.form.settle()
    assert row.title.marked() == []
    assert row._names is not None
    assert row._names.isVisible()
    assert row._names.text() == "Elsewhere called network_dim."
    holder.form.search("")
    holder.form.settle()
    assert not row._names.isVisible()


def test_marks_are_painted_behind_the_words_of_every_line(qtbot: QtBot) -> None:
    label = MarkedLabel(role="small", wrap=True)
    qtbot.addWidget(label)
    label.setText("one rate and another rate, and the last rate of them all")
    label.resize(120, 90)
    label.mark(["rate"])
    grounds = label._grounds(label.marked())
    assert len(label.marked()) == 3
    assert len(grounds) == 3
    assert len({round(ground.y()) for ground in grounds}) > 1
    before = label.grab().toImage()
    label.mark([])
    assert label.grab().toImage() != before


def test_only_what_was_changed(holder: Holder) -> None:
    holder.form.show_changed_only(True)
    assert holder.form.shown_keys() == []
    assert holder.form.nothing_found.text() == "Nothing was changed."
    holder.change({"network.rank": 8, "optimizer.beta1": 0.8})
    assert holder.form.shown_keys() == ["network.rank", "optimizer.beta1"]
    holder.change({"network.rank": 16})
    assert "network.rank" in holder.form.shown_keys()  # it does not vanish under the mouse
    holder.form.show_changed_only(False)
    holder.form.show_changed_only(True)
    assert holder.form.shown_keys() == ["optimizer.beta1"]


def test_a_contradiction_is_said_at_the_field_and_its_button_ends_it(qtbot: QtBot, holder: Holder) -> None:
    with qtbot.waitExposed(holder.area):
        holder.area.show()
    holder.change({"network.alpha": 64.0})
    holder.form.settle()
    (notice,) = holder.form.row("network.alpha").conflicts
    assert "4 times the rank" in notice.sentence.text()
    assert notice.way_out.text() == "Set Alpha to 16"
    assert holder.form.row("network.rank").conflicts == []
    qtbot.mouseClick(notice.way_out, Qt.MouseButton.LeftButton)
    assert holder.config.network.alpha == 16
    holder.form.settle()
    assert holder.form.row("network.alpha").conflicts == []


def test_a_serious_contradiction_brings_up_an_option_for_experts(holder: Holder) -> None:
    assert "loss.min_timestep" not in holder.form.shown_keys()
    holder.change({"loss.min_timestep": 1000})
    assert "loss.min_timestep" in holder.form.shown_keys()
    assert len(holder.form.row("loss.min_timestep").conflicts) == 1
    holder.change({"loss.min_timestep": 0})
    assert "loss.min_timestep" not in holder.form.shown_keys()


def test_a_wrong_text_is_gone_after_the_way_out(holder: Holder) -> None:
    holder.change({"network.alpha": 64.0})
    row = holder.form.row("network.alpha")
    row.entered.emit("many")
    assert row.problem
    row.conflicts[0].way_out.click()
    assert row.problem == ""
    assert row.editor.input().text() == "16"


def test_an_option_without_effect_is_greyed_with_the_reason(qtbot: QtBot, holder: Holder) -> None:
    row = holder.form.row("schedule.cycles")
    assert row.is_idle
    assert row.idle_reason == "No effect while Schedule is Cosine."
    with qtbot.waitSignal(holder.form.asked) as asked:
        row._idle.click()
    assert asked.args == ["schedule.name"]
    holder.change({"schedule.name": "cosine_with_restarts"})
    assert not row.is_idle
    assert row.idle_reason == ""


def test_rules_are_said_again_in_another_language(holder: Holder) -> None:
    holder.change({"network.alpha": 64.0})
    row, cycles = holder.form.row("network.alpha"), holder.form.row("schedule.cycles")
    text.set_language("zh")
    holder.form.retranslate()
    holder.show()
    assert "4 倍" in row.conflicts[0].sentence.text()
    assert cycles.idle_reason.endswith("不起作用。")
    assert holder.form.groups[GROUPS[1]].heading.text() == "文件夹与重复"
