from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QInputMethodEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit, QPlainTextEdit, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from app.editors import (
    ChoiceEditor,
    FloatEditor,
    IntEditor,
    LinesEditor,
    NumberSpin,
    PathEditor,
    PathLine,
    SwitchEditor,
    TextEditor,
    path_of,
)
from app.form import Form
from app.widgets.base_model_picker import BaseModelEditor
from app.widgets.params_columns import TWO_COLUMNS_PX
from core import text
from core.config import TrainConfig, field_specs, with_values
from core.config.labels import number_text


class Holder:
    """A config and the form that edits it."""

    def __init__(self, qtbot: QtBot) -> None:
        self.config = TrainConfig()
        self.form = Form(self.change)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setWidget(self.form)
        self.area.resize(900, 700)
        qtbot.addWidget(self.area)
        self.form.show_config(self.config)
        self.form.set_defaults(TrainConfig())

    def change(self, changes: dict[str, Any]) -> None:
        self.config = with_values(self.config, changes)
        self.form.show_config(self.config)

    def input(self, key: str) -> Any:
        return self.form.row(key).editor.input()

    def type(self, qtbot: QtBot, key: str, typed: str) -> None:
        field = self.input(key)
        line = field.lineEdit() if isinstance(field, NumberSpin) else field
        line.selectAll()
        if typed.isascii():
            qtbot.keyClicks(line, typed)
        else:
            event = QInputMethodEvent()  # What an input method sends; keyClicks knows only ASCII.
            event.setCommitString(typed)
            QApplication.sendEvent(line, event)


@pytest.fixture
def holder(qtbot: QtBot) -> Holder:
    return Holder(qtbot)


def test_every_option_has_a_row_with_the_editor_of_its_kind(holder: Holder) -> None:
    kinds = {
        "bool": SwitchEditor,
        "int": IntEditor,
        "float": FloatEditor,
        "text": TextEditor,
        "lines": LinesEditor,
        "choice": ChoiceEditor,
        "path": PathEditor,
    }
    assert set(holder.form.specs) == {spec.key for spec in field_specs()}
    for spec in field_specs():
        wanted = BaseModelEditor if spec.widget == "model" else kinds[spec.kind]
        assert type(holder.form.row(spec.key).editor) is wanted, spec.key


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("network.rank", "32", 32),
        ("optimizer.learning_rate", "3e-4", 3e-4),
        ("optimizer.learning_rate", "0.0002", 2e-4),
        ("dataset.trigger_word", "mika 模型", "mika 模型"),
        ("training.max_steps", "600", 600),
    ],
)
def test_what_is_typed_reaches_the_config(qtbot: QtBot, holder: Holder, key: str, typed: str, value: object) -> None:
    holder.type(qtbot, key, typed)
    section, _, name = key.partition(".")
    assert getattr(getattr(holder.config, section), name) == value
    assert holder.form.problems == {}


def test_switch_choice_lines_and_path_reach_the_config(qtbot: QtBot, holder: Holder, tmp_path: Path) -> None:
    holder.input("dataset.flip").click()
    combo: QComboBox = holder.input("schedule.name")
    combo.setCurrentIndex(combo.findData("linear"))
    combo.activated.emit(combo.currentIndex())
    box: QPlainTextEdit = holder.input("sampling.prompts")
    qtbot.keyClicks(box, "mika, smile")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    qtbot.keyClicks(box, "mika, night")
    line: QLineEdit = holder.input("output.folder")
    qtbot.keyClicks(line, str(tmp_path))
    assert holder.config.output.folder == Path()  # a path half typed is no path
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert holder.config.dataset.flip
    assert holder.config.schedule.name == "linear"
    assert holder.config.sampling.prompts == ("mika, smile", "mika, night")
    assert holder.config.output.folder == tmp_path


@pytest.mark.parametrize(
    ("key", "typed", "allowed"),
    [
        ("network.rank", "9999", "a whole number, from 1, up to 512"),
        ("network.rank", "x", "a whole number, from 1, up to 512"),
        ("optimizer.learning_rate", "1e-4x", "a number, above 0, up to 1"),
        ("dataset.bucket_step", "12", "a multiple of 8"),
        ("output.name", "a/b", "a name without"),
    ],
)
def test_wrong_text_says_what_is_allowed_and_keeps_the_config(
    qtbot: QtBot, holder: Holder, key: str, typed: str, allowed: str
) -> None:
    before = holder.config
    row = holder.form.row(key)
    with qtbot.waitSignal(holder.form.problems_changed):
        row.entered.emit(typed)
    assert holder.config == before
    assert allowed in row.problem
    assert row.editor.input().property("state") == "error"
    assert list(holder.form.problems) == [key]


def test_wrong_text_stays_until_it_is_right_or_reset(qtbot: QtBot, holder: Holder) -> None:
    holder.type(qtbot, "network.rank", "9999")
    assert holder.config.network.rank == 999 or holder.config.network.rank == 99  # the last that was allowed
    holder.change({"training.seed": 7})
    spin: NumberSpin = holder.input("network.rank")
    assert spin.text() == "9999"
    holder.form.row("network.rank").reset_button.click()
    assert spin.text() == "16"
    assert holder.config.network.rank == 16
    assert holder.form.problems == {}
    assert spin.property("state") == ""


def test_a_number_is_not_rewritten_while_it_is_typed(qtbot: QtBot, holder: Holder) -> None:
    line: QLineEdit = holder.input("optimizer.learning_rate")
    holder.type(qtbot, "optimizer.learning_rate", "0.00020")
    assert line.text() == "0.00020"
    assert holder.config.optimizer.learning_rate == pytest.approx(2e-4)


def test_reset_button_only_where_something_changed(qtbot: QtBot, holder: Holder) -> None:
    row = holder.form.row("network.rank")
    assert not row.reset_button.isEnabled()
    holder.change({"network.rank": 8})
    assert row.reset_button.isEnabled()
    row.reset_button.click()
    assert not row.reset_button.isEnabled()
    assert holder.config.network.rank == 16


def test_search_finds_by_kohyas_name_and_in_both_languages(holder: Holder) -> None:
    for words in ("network_dim", "网络维度", "rank inner"):
        holder.form.search(words)
        assert "network.rank" in holder.form.shown_keys(), words
        assert "dataset.folder" not in holder.form.shown_keys(), words
    text.set_language("zh")
    holder.form.retranslate()
    holder.form.search("learning rate")
    assert "optimizer.learning_rate" in holder.form.shown_keys()
    holder.form.search("no such thing at all")
    assert holder.form.shown_keys() == []
    assert not holder.form.nothing_found.isHidden()
    holder.form.search("")
    assert "dataset.folder" in holder.form.shown_keys()


def test_advanced_options_wait_for_the_switch_or_a_search(holder: Holder) -> None:
    assert "optimizer.beta1" not in holder.form.shown_keys()
    holder.form.search("beta")
    assert "optimizer.beta1" in holder.form.shown_keys()
    holder.form.search("")
    holder.form.show_advanced(True)
    assert set(holder.form.shown_keys()) == {spec.key for spec in field_specs()}


def test_two_columns_when_wide(qtbot: QtBot, holder: Holder) -> None:
    holder.area.resize(TWO_COLUMNS_PX + 100, 900)
    with qtbot.waitExposed(holder.area):
        holder.area.show()
    lefts = {card.x() for card in holder.form.cards.values() if card.isVisible()}
    assert len(lefts) == 2
    holder.area.resize(TWO_COLUMNS_PX - 200, 900)
    qtbot.waitUntil(lambda: len({card.x() for card in holder.form.cards.values() if card.isVisible()}) == 1)


def test_the_wheel_leaves_fields_alone_that_have_no_focus(qtbot: QtBot, holder: Holder) -> None:
    holder.form.settle()  # Rows that come later could move the focus.
    with qtbot.waitActive(holder.area):
        holder.area.show()
        holder.area.activateWindow()
    before = holder.config
    for key in ("network.rank", "schedule.name", "training.epochs"):
        turn_wheel(holder.input(key))
        assert holder.config == before, key
    spin: NumberSpin = holder.input("network.rank")
    spin.setFocus()
    qtbot.waitUntil(spin.hasFocus)
    turn_wheel(spin)
    assert holder.config.network.rank == 15


def turn_wheel(widget: QWidget) -> None:
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(widget.mapToGlobal(QPoint(5, 5))),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def test_arrows_go_to_the_next_multiple(qtbot: QtBot) -> None:
    spin = NumberSpin(64, 4096, 64)
    qtbot.addWidget(spin)
    spin.set_text("500")
    spin.stepBy(1)
    assert spin.text() == "512"
    spin.set_text("500")
    spin.stepBy(-1)
    assert spin.text() == "448"
    spin.set_text("64")
    spin.stepBy(-1)
    assert spin.text() == "64"


def test_dropping_a_picture_gives_its_folder(qtbot: QtBot, tmp_path: Path) -> None:
    line = PathLine(wants_folder=True)
    qtbot.addWidget(line)
    picture = tmp_path / "图 1.png"
    picture.write_bytes(b"x")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(picture))])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    with qtbot.waitSignal(line.chosen) as chosen:
        line.dropEvent(event)
    assert chosen.args == [tmp_path]
    assert line.line.text() == str(tmp_path)


def test_numbers_and_paths_as_people_write_them() -> None:
    assert [number_text(value) for value in (1e-4, 5e-5, 1.5e-4, 0.05, 7.0, 0.0, 16.0)] == [
        "1e-4",
        "5e-5",
        "1.5e-4",
        "0.05",
        "7",
        "0",
        "16",
    ]
    assert path_of('"/a b/c"') == Path("/a b/c")
    assert path_of("file:///a%20b") == Path("/a b")
    assert path_of("~/x") == Path.home() / "x"
    assert path_of("  ") == Path()


def test_changing_the_language_changes_titles_and_keeps_values(holder: Holder) -> None:
    text.set_language("zh")
    holder.form.retranslate()
    row = holder.form.row("optimizer.learning_rate")
    assert row.title.text() == "学习率"
    combo: QComboBox = holder.input("schedule.name")
    assert combo.currentText() == "余弦"
    assert combo.currentData() == "cosine"
