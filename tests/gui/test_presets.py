"""Presets on the settings page: what they would change, the way back, keeping and sharing."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.project import Project
from app.settings import Settings
from app.tabs.params import ParamsTab
from app.widgets.preset_dialog import PresetDialog
from core.presets import own_presets, save_preset


@pytest.fixture
def tab(qtbot: QtBot, project: Project, settings: Settings) -> ParamsTab:
    return open_tab(qtbot, project, settings)


def open_tab(qtbot: QtBot, project: Project, settings: Settings) -> ParamsTab:
    made = ParamsTab(project, settings)
    qtbot.addWidget(made)
    made.resize(1080, 760)
    with qtbot.waitExposed(made):
        made.show()
    return made


def open_presets(tab: ParamsTab) -> PresetDialog:
    tab.preset_bar.open_presets()
    assert tab.preset_bar.dialog is not None
    return tab.preset_bar.dialog


def choose(dialog: PresetDialog, title: str) -> None:
    titles = [dialog.list.item(row).text() for row in range(dialog.list.count())]
    dialog.list.setCurrentRow(titles.index(title))


def test_a_preset_says_what_it_would_change_then_changes_that_and_can_be_taken_back(
    project: Project, tab: ParamsTab
) -> None:
    project.change({"dataset.trigger_word": "mika", "loss.noise_offset": 0.05})
    before = project.config
    dialog = open_presets(tab)
    choose(dialog, "Style · 12 GB")
    keys = set(dialog.changes.keys)
    assert {"network.rank", "loss.noise_offset", "network.train_text_encoder"} <= keys
    assert dialog.summary.text() == f"Would change {len(keys)} options:"
    assert project.config == before
    dialog.use_button.click()
    assert (project.config.network.rank, project.config.loss.noise_offset) == (32, 0.0)
    assert project.config.dataset.trigger_word == "mika"
    assert tab.preset_bar.preset_button.text() == "Preset: Style · 12 GB"
    assert tab.preset_bar.changes_button.isHidden()
    assert tab.reset_button.text() == "Undo preset"
    tab.reset_button.click()
    assert project.config == before
    assert tab.preset_bar.preset_button.text() == "Preset: Kiln's choice"
    assert tab.reset_button.text() == "Reset all"


def test_differences_from_the_preset_are_listed_and_reset_one_by_one(project: Project, tab: ParamsTab) -> None:
    dialog = open_presets(tab)
    choose(dialog, "Character · 8 GB")
    dialog.apply()
    project.change({"network.rank": 48, "dataset.flip": True, "dataset.trigger_word": "mika"})
    assert tab.preset_bar.changes_button.text() == "2 changes"
    tab.preset_bar.open_changes()
    popup = tab.preset_bar.popup
    assert popup.heading.text() == "Changed from Character · 8 GB"
    assert set(popup.list.keys) == {"network.rank", "dataset.flip"}
    popup.list.reset_buttons["network.rank"].click()
    assert project.config.network.rank == 16
    assert popup.list.keys == ("dataset.flip",)
    popup.all_button.click()
    assert not project.config.dataset.flip
    assert not popup.isVisible()
    assert tab.preset_bar.changes_button.isHidden()
    assert project.config.dataset.trigger_word == "mika"


def test_a_field_goes_back_to_the_value_of_the_preset(project: Project, tab: ParamsTab) -> None:
    dialog = open_presets(tab)
    choose(dialog, "Object · 6 GB")
    dialog.apply()
    row = tab.form.row("dataset.flip")
    assert not row.reset_button.isEnabled()
    project.change({"dataset.flip": False})
    row.reset_button.click()
    assert project.config.dataset.flip


def test_the_chosen_preset_is_remembered(qtbot: QtBot, project: Project, settings: Settings, tab: ParamsTab) -> None:
    dialog = open_presets(tab)
    choose(dialog, "Object · 6 GB")
    dialog.apply()
    again = open_tab(qtbot, project, settings)
    assert again.preset_bar.preset_button.text() == "Preset: Object · 6 GB"


def test_settings_are_kept_renamed_and_deleted(qtbot: QtBot, project: Project, tab: ParamsTab) -> None:
    project.change({"network.rank": 48})
    dialog = open_presets(tab)
    dialog.save_as()
    form = dialog.question
    form.save_button.click()
    assert form.problem.text().startswith("The preset has no name.")
    form.name.setText("My 画风")
    form.author.setText("阿明")
    form.save_button.click()
    assert [preset.title for preset in own_presets()] == ["My 画风"]
    assert dialog.preset is not None
    assert dialog.preset.changes == {"network.rank": 48}
    assert "By 阿明" in dialog.description.text()
    assert tab.preset_bar.preset_button.text() == "Preset: My 画风"
    assert dialog.summary.text() == "Your settings are like this already."
    dialog.rename()
    dialog.question.name.setText("Other")
    dialog.question.save()
    assert tab.preset_bar.preset_button.text() == "Preset: Other"
    dialog.delete()
    dialog.question.buttons["keep"].click()
    assert len(own_presets()) == 1
    qtbot.waitUntil(lambda: dialog.question is None)
    dialog.delete()
    dialog.question.buttons["delete"].click()
    assert own_presets() == ()
    assert tab.preset_bar.preset_button.text() == "Preset: Kiln's choice"
    assert project.config.network.rank == 48


def test_kilns_own_presets_cannot_be_renamed_or_deleted(tab: ParamsTab) -> None:
    dialog = open_presets(tab)
    choose(dialog, "Style · 8 GB")
    assert not dialog.rename_action.isEnabled()
    assert not dialog.delete_action.isEnabled()
    assert dialog.share_action.isEnabled()
    choose(dialog, "Kiln's choice")
    assert not dialog.share_action.isEnabled()


def test_a_shared_preset_of_a_newer_version_says_what_it_leaves_out(tab: ParamsTab, tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text('format = 9\ntitle = "New"\n[settings.network]\nrank = 24\nspin = 1\n', encoding="utf-8")
    dialog = open_presets(tab)
    dialog.add_from(file)
    assert dialog.preset is not None
    assert dialog.preset.title == "New"
    assert "newer Kiln" in dialog.note.text()
    assert "network.spin" in dialog.note.text()
    (tmp_path / "bad.toml").write_text("x = 1\n", encoding="utf-8")
    dialog.add_from(tmp_path / "bad.toml")
    assert "is no preset" in dialog.note.text()


def test_a_preset_can_be_given_away(tab: ParamsTab, tmp_path: Path) -> None:
    preset = save_preset({"network.rank": 24}, title="Mika")
    dialog = open_presets(tab)
    choose(dialog, "Mika")
    dialog.share_to(preset, tmp_path / "给.toml")
    assert "rank = 24" in (tmp_path / "给.toml").read_text(encoding="utf-8")
    dialog.share_to(preset, tmp_path / "给.toml" / "below a file.toml")
    assert dialog.note.property("role") == "danger"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_is_cut_off(qtbot: QtBot, settings: Settings, tab: ParamsTab, clipped: object, language: str) -> None:
    settings.set_language(language)
    save_preset({"network.rank": 24}, title="A name that is as long as it can be, and then some more of it all")
    dialog = open_presets(tab)
    dialog.show()
    dialog.list.setCurrentRow(3)
    dialog.save_as()
    assert isinstance(dialog.question, QWidget)
    for window in (dialog, dialog.question):
        qtbot.waitUntil(lambda window=window: clipped(window) == [])
