"""The window of the LoRA tools: forms make tasks, files are dropped, and what came of it is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QAbstractItemView, QLineEdit
from pytestqt.qtbot import QtBot
from safetensors.torch import load_file, save_file

from app.lora_tools import LoraToolsDialog
from app.main_window import MainWindow
from app.project import Project
from app.settings import Settings
from app.widgets.lora_tool_fields import ChoiceField, NumberField, OutputField, PathField
from app.widgets.lora_tool_form import ToolForm
from app.widgets.lora_tool_list import LorasField
from app.widgets.lora_tool_metadata import KEY, VALUE, MetadataChanges, MetadataField
from core.control import Command
from core.events import Event, Failed, Finished, Notice, StageProgress, StageStarted
from core.jobs import ConvertJob, Job, ToolJob
from core.runner import LocalRun
from core.safetensors_header import read_header
from core.text import set_language
from core.tools import tasks
from tests.loras import random_lora, write_lora

NAME = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
LORA = random_lora({NAME: (8, 768)})


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return write_lora(tmp_path / "画 a.safetensors", random_lora({NAME: (8, 768)}, rank=4, alpha=2.0))


def write_base(path: Path) -> Path:
    """A file of weights that is no LoRA."""
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4, 4, 3, 3)}, path)
    return path


@pytest.fixture
def dialog(qtbot: QtBot) -> LoraToolsDialog:
    made = LoraToolsDialog(LocalRun)
    qtbot.addWidget(made)
    made.show()
    return made


def choose(dialog: LoraToolsDialog, tool: str) -> None:
    dialog.list.setCurrentRow(list(dialog.tools).index(tool))


def drop(dialog: LoraToolsDialog, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    dialog.dropEvent(
        QDropEvent(
            QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        )
    )


def run(qtbot: QtBot, dialog: LoraToolsDialog) -> None:
    qtbot.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    assert dialog.is_running
    qtbot.waitUntil(lambda: not dialog.is_running, timeout=20_000)


def test_a_dropped_file_is_inspected(qtbot: QtBot, dialog: LoraToolsDialog, lora: Path) -> None:
    assert not dialog.start_button.isEnabled()
    drop(dialog, lora)
    run(qtbot, dialog)
    assert (
        "Stable Diffusion 1" in dialog.report.toPlainText() and "mid_block_attentions_0" in dialog.report.toPlainText()
    )
    assert dialog.report.isVisible() and not dialog.open_button.isVisible()
    set_language("zh")
    dialog.retranslate()
    set_language("en")
    assert "适用于" in dialog.report.toPlainText()
    choose(dialog, "verify")
    assert not dialog.report.isVisible()


def test_a_lora_is_shrunk_beside_itself(qtbot: QtBot, dialog: LoraToolsDialog, lora: Path) -> None:
    choose(dialog, "resize")
    drop(dialog, lora)
    fields = dialog.form.fields
    rank, output = fields["rank"], fields["output"]
    assert isinstance(rank, NumberField) and isinstance(output, OutputField)
    rank.box.setValue(2)
    target = lora.with_name("画 a-small.safetensors")
    assert output.value() == target
    run(qtbot, dialog)
    assert load_file(target)[f"{NAME}.lora_down.weight"].shape[0] == 2
    assert str(target) in dialog.outcome.message.text() and "The rank is now 2" in dialog.outcome.message.text()
    assert dialog.open_button.isVisible()


def test_what_is_wrong_is_told_before_the_start(dialog: LoraToolsDialog, lora: Path) -> None:
    choose(dialog, "convert")
    drop(dialog, lora)
    fields = dialog.form.fields
    file, output = fields["file"], fields["output"]
    assert isinstance(file, PathField) and isinstance(output, OutputField)
    assert dialog.start_button.isEnabled() and not dialog.status.isVisible()
    output.line.setText(str(lora))
    assert "exists already" in dialog.status.text() and not dialog.start_button.isEnabled()
    file.line.setText(str(lora.with_name("gone.safetensors")))
    assert "does not exist" in dialog.status.text() and dialog.status.isVisible()
    file.line.setText("/")  # On the way to a whole path; it has no name to propose another one by.
    file.line.setText(str(lora))
    assert output.value() == lora.with_name("画 a-converted.safetensors") and dialog.start_button.isEnabled()


def test_another_name_is_proposed_for_the_next_time(qtbot: QtBot, dialog: LoraToolsDialog, lora: Path) -> None:
    choose(dialog, "convert")
    drop(dialog, lora)
    for ending in ("", "-2"):
        assert dialog.form.fields["output"].value() == lora.with_name(f"画 a-converted{ending}.safetensors")
        run(qtbot, dialog)
    assert not dialog.status.isVisible() and dialog.start_button.isEnabled()


def test_a_lora_of_a_model_folder_is_proposed_as_a_file(dialog: LoraToolsDialog, lora: Path, tmp_path: Path) -> None:
    for name in ("xl 1.0", "tuned 1.5"):
        (tmp_path / name).mkdir()
    choose(dialog, "extract")
    drop(dialog, tmp_path / "xl 1.0", tmp_path / "tuned 1.5")  # Both at once, in this order.
    assert dialog.form.fields["original"].value() == tmp_path / "xl 1.0"
    assert dialog.form.fields["output"].value() == tmp_path / "tuned 1.5-lora.safetensors"
    choose(dialog, "bake")
    drop(dialog, tmp_path / "xl 1.0", lora)
    assert isinstance(task_of(dialog.form), tasks.BakeTask)
    assert dialog.form.fields["output"].value() == tmp_path / "xl 1.0-merged"


def metadata_of(qtbot: QtBot, dialog: LoraToolsDialog, file: Path) -> MetadataField:
    """The table of a file, read."""
    choose(dialog, "edit")
    drop(dialog, file)
    field = dialog.form.fields["changes"]
    assert isinstance(field, MetadataField)
    qtbot.waitUntil(lambda: field.add_button.isEnabled() or bool(field.problem()))
    return field


def set_cell(field: MetadataField, row: int, column: int, text: str) -> None:
    item = field.table.item(row, column)
    assert item is not None
    item.setText(text)


def test_metadata_are_changed_in_a_table(qtbot: QtBot, dialog: LoraToolsDialog, tmp_path: Path) -> None:
    told = {"ss_b": "two\nlines", "ss_a": "1", "ss_c": "3"}
    file = write_lora(tmp_path / "a.safetensors", LORA, **told)
    field = metadata_of(qtbot, dialog, file)
    assert field.rows() == sorted(told.items())
    assert dialog.form.job() is None and not dialog.start_button.isEnabled() and not dialog.status.isVisible()
    set_cell(field, 1, VALUE, "x=y")
    field.add("modelspec.author")
    set_cell(field, 3, VALUE, "画")
    field.table.selectRow(2)
    field.remove_selected()
    assert field.value() == MetadataChanges({"ss_b": "x=y", "modelspec.author": "画"}, ("ss_c",))
    assert "Changed: 1, added: 1, removed: 1." in field.hint.text()
    run(qtbot, dialog)
    written = dialog._output
    assert written is not None
    assert read_header(written).metadata == {"ss_a": "1", "ss_b": "x=y", "modelspec.author": "画"}
    field.reset()
    assert field.value() is None and field.rows() == sorted(told.items())


def test_a_usual_key_is_explained_and_offered_while_it_is_not_there(
    qtbot: QtBot, dialog: LoraToolsDialog, lora: Path
) -> None:
    field = metadata_of(qtbot, dialog, lora)
    field.add_menu.aboutToShow.emit()
    offered = {action.text().partition("\t")[0]: action for action in field.add_menu.actions()}
    assert "Who made it." in offered["modelspec.author"].text()
    offered["modelspec.author"].trigger()
    assert field.rows() == [("modelspec.author", "")] and "Who made it." in field.hint.text()
    field.add_menu.aboutToShow.emit()
    assert not any(action.text().startswith("modelspec.author") for action in field.add_menu.actions())


def test_a_line_needs_a_key_of_its_own(qtbot: QtBot, dialog: LoraToolsDialog, lora: Path) -> None:
    field = metadata_of(qtbot, dialog, lora)
    field.add("")
    assert field.value() is None and not field.problem()  # Nothing is wrong with a line that is still empty.
    set_cell(field, 0, VALUE, "x")
    assert "The value x has no key." in dialog.status.text() and not dialog.start_button.isEnabled()
    field.add("ss_a")
    set_cell(field, 0, KEY, "ss_a")
    assert "ss_a is there twice." in dialog.status.text()
    set_cell(field, 0, KEY, "ss_b")
    assert dialog.start_button.isEnabled() and not dialog.status.isVisible()


def test_enter_ends_the_typing_and_starts_nothing(qtbot: QtBot, dialog: LoraToolsDialog, tmp_path: Path) -> None:
    told = {"ss_a": "1", "ss_b": "two\nlines", "ss_long": "x" * 40_000}
    file = write_lora(tmp_path / "a.safetensors", LORA, **told)
    field = metadata_of(qtbot, dialog, file)
    set_cell(field, 0, VALUE, "2")
    assert dialog.start_button.isEnabled()
    for row in (0, 1):  # Typing nothing into lines changes none of them.
        field.table.setCurrentCell(row, VALUE)
        item = field.table.item(row, VALUE)
        assert item is not None
        field.table.editItem(item)
        editor = field.table.findChild(QLineEdit)
        assert editor is not None
        qtbot.keyClick(editor, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: field.table.state() != QAbstractItemView.State.EditingState)
        assert not dialog.is_running
    assert field.value() == MetadataChanges({"ss_a": "2"}, ())
    too_long = field.table.item(2, VALUE)
    assert too_long is not None and not too_long.flags() & Qt.ItemFlag.ItemIsEditable


def test_what_is_no_lora_has_no_metadata_to_edit(qtbot: QtBot, dialog: LoraToolsDialog, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"no model")
    field = metadata_of(qtbot, dialog, tmp_path / "a.safetensors")
    assert "is not a safetensors file" in dialog.status.text()
    assert not field.add_button.isEnabled() and not dialog.start_button.isEnabled()


def test_a_file_goes_along_from_tool_to_tool(dialog: LoraToolsDialog, lora: Path, tmp_path: Path) -> None:
    base, other = write_base(tmp_path / "base.safetensors"), write_lora(tmp_path / "b.safetensors", LORA)
    drop(dialog, lora)
    for tool in ("verify", "convert", "resize", "merge", "bake", "edit"):
        choose(dialog, tool)
        assert dialog.form.chosen()["lora"] == lora, tool
    choose(dialog, "verify")
    drop(dialog, base)
    choose(dialog, "bake")
    assert task_of(dialog.form) == tasks.BakeTask(
        base=base, loras=(tasks.Weighted(file=lora),), output=tmp_path / "base-merged.safetensors"
    )
    choose(dialog, "convert")
    file = dialog.form.fields["file"]
    assert isinstance(file, PathField)
    file.line.setText(str(other))
    for tool in ("inspect", "merge"):  # What was chosen in a tool stays there, what was only offered does not.
        choose(dialog, tool)
        assert dialog.form.chosen()["lora"] == (lora if tool == "inspect" else other)
        choose(dialog, "convert")


def test_a_warning_is_shown_while_the_tool_works(qtbot: QtBot, lora: Path) -> None:
    class Warned(Waiting):
        def events(self) -> Iterator[Event]:
            yield Notice(level="warning", message="Mind this.")
            assert self.asked.wait(20)
            yield Finished(output=lora)

    dialog = LoraToolsDialog(Warned)
    qtbot.addWidget(dialog)
    dialog.show()
    drop(dialog, lora)
    dialog.start()
    qtbot.waitUntil(lambda: dialog.outcome.message.text() == "Mind this.")
    assert dialog.is_running and dialog.outcome.message.property("role") == "warning"
    dialog.cancel()
    qtbot.waitUntil(lambda: not dialog.is_running)
    assert "Mind this." in dialog.outcome.message.text() and dialog.outcome.message.property("role") == "warning"


def test_a_failure_while_closing_is_read_first(qtbot: QtBot, lora: Path) -> None:
    class Failing(Waiting):
        def events(self) -> Iterator[Event]:
            assert self.asked.wait(20)
            yield Failed(message="The disk is full.", remedy="Make room.", detail="")

    dialog = LoraToolsDialog(Failing)
    qtbot.addWidget(dialog)
    dialog.show()
    drop(dialog, lora)
    dialog.start()
    dialog.reject()
    qtbot.waitUntil(lambda: not dialog.is_running)
    assert dialog.isVisible() and "disk is full" in dialog.outcome.message.text()


def task_of(form: ToolForm) -> tasks.ToolTask | None:
    job = form.job()
    return job.task if isinstance(job, ToolJob) else None


def test_every_form_makes_its_task(qtbot: QtBot, dialog: LoraToolsDialog, lora: Path, tmp_path: Path) -> None:
    other, base = write_lora(tmp_path / "b.safetensors", LORA), write_base(tmp_path / "base.safetensors")
    expected = {
        "inspect": tasks.InspectTask,
        "verify": tasks.VerifyTask,
        "convert": tasks.ConvertTask,
        "resize": tasks.ResizeTask,
        "merge": tasks.MergeTask,
        "bake": tasks.BakeTask,
        "extract": tasks.ExtractTask,
        "edit": tasks.EditTask,
    }
    dropped = {"inspect": (lora,), "verify": (base,), "merge": (other,), "extract": (base, lora)}
    assert list(dialog.tools) == [*expected, "model"]
    assert dialog.form.job() is None and not dialog.start_button.isEnabled()
    for tool, kind in expected.items():
        choose(dialog, tool)
        drop(dialog, *dropped.get(tool, ()))
        if tool == "edit":
            metadata_of(qtbot, dialog, lora).add("ss_output_name")
        assert isinstance(task_of(dialog.form), kind), tool
    verify = task_of(dialog.tools["verify"][1])
    assert isinstance(verify, tasks.VerifyTask) and verify.base == base
    edit = task_of(dialog.tools["edit"][1])
    assert isinstance(edit, tasks.EditTask) and edit.put == {"ss_output_name": ""} and edit.file == lora
    merge = task_of(dialog.tools["merge"][1])
    assert isinstance(merge, tasks.MergeTask) and [item.file for item in merge.loras] == [lora, other]
    bake = task_of(dialog.tools["bake"][1])
    assert isinstance(bake, tasks.BakeTask) and (bake.base, bake.loras[0].file) == (base, lora)


def test_a_base_model_is_written_in_another_form(dialog: LoraToolsDialog, tmp_path: Path) -> None:
    choose(dialog, "model")
    (tmp_path / "old.ckpt").write_bytes(b"")
    (tmp_path / "a model").mkdir()
    drop(dialog, tmp_path / "old.ckpt")
    assert dialog.form.job() == ConvertJob(
        source=tmp_path / "old.ckpt", target=tmp_path / "old-converted.safetensors", to="file"
    )
    form = dialog.form.fields["to"]
    assert isinstance(form, ChoiceField)
    form.box.setCurrentIndex(1)
    job = dialog.form.job()
    assert isinstance(job, ConvertJob) and (job.to, job.target.name) == ("folder", "old-converted")


def test_a_file_is_taken_out_of_the_list(dialog: LoraToolsDialog, lora: Path) -> None:
    choose(dialog, "merge")
    drop(dialog, lora, lora)
    field = dialog.form.fields["loras"]
    assert isinstance(field, LorasField)
    field._rows[0][2].setValue(-0.5)
    value = field.value()
    assert value is not None and [item["strength"] for item in value] == [-0.5, 1.0]
    for entry in list(field._rows):
        field._remove(entry)
    assert field.value() is None and not dialog.start_button.isEnabled()


class Waiting:
    """A run that works until it is asked to stop."""

    def __init__(self, _job: Job) -> None:
        self.asked = threading.Event()

    def events(self) -> Iterator[Event]:
        yield StageStarted(stage="compute", total=10)
        yield StageProgress(stage="compute", done=2, total=10, elapsed_s=4.0)
        assert self.asked.wait(20)
        yield Finished(stopped=True)

    def send(self, command: Command) -> None:
        self.asked.set()

    def kill(self) -> None:
        self.asked.set()


def test_closing_cancels_first(qtbot: QtBot, lora: Path) -> None:
    dialog = LoraToolsDialog(Waiting)
    qtbot.addWidget(dialog)
    dialog.show()
    drop(dialog, lora)
    dialog.start()
    qtbot.waitUntil(lambda: "About" in dialog.status.text())
    assert dialog.bar.isVisible() and not dialog.stack.isEnabled()
    dialog.reject()
    assert dialog.isVisible()
    qtbot.waitUntil(lambda: not dialog.isVisible())


def test_the_program_ends_with_a_tool_at_work(qtbot: QtBot, lora: Path) -> None:
    dialog = LoraToolsDialog(Waiting)
    qtbot.addWidget(dialog)
    drop(dialog, lora)
    dialog.start()
    dialog.shut_down()
    qtbot.waitUntil(lambda: not dialog.is_running)


def test_the_sidebar_opens_the_tools_in_both_languages(qtbot: QtBot, project: Project, settings: Settings) -> None:
    window = MainWindow(project, settings)
    qtbot.addWidget(window)
    window.show()
    qtbot.mouseClick(window.sidebar.tools_button, Qt.MouseButton.LeftButton)
    assert window.tools is not None and window.tools.isVisible()
    assert window.tools.list.item(0).text() == "Inspect"
    settings.set_language("zh")
    assert window.tools.list.item(0).text() == "查看"
    set_language("en")
