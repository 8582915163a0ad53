"""The options of the tagger: what is remembered, what belongs to a folder, models, and the fold with the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.project import Project
from app.settings import Settings
from app.widgets.tag_options import TagOptionsForm
from app.widgets.tagger_models import ModelBox
from core.tagging.options import ORDERS, SENTENCE_TEMPLATE, TAGS_TEMPLATE, TagOptions
from tests.taggers import tiny_tagger

KEEP, REPLACE = 0, 1
TAGS, SENTENCE, BOTH, OWN = range(4)


@pytest.fixture
def make_form(qtbot: QtBot, project: Project, settings: Settings) -> Callable[[], TagOptionsForm]:
    def make() -> TagOptionsForm:
        form = TagOptionsForm(project, settings)
        qtbot.addWidget(form)
        form.resize(320, 700)
        form.show()
        return form

    return make


def test_without_a_choice_they_are_the_usual_ones(make_form) -> None:
    assert make_form().options() == TagOptions()


def test_options_are_remembered(make_form, tmp_path: Path) -> None:
    form = make_form()
    form.threshold.slider.setValue(60)
    assert form.threshold.value == 0.6
    form.threshold.number.setValue(0.5)
    assert form.threshold.slider.value() == 50
    form.exclude.setText("solo， red hair,")
    form.add_words.setText("masterpiece")
    form.replace.setText("grey=gray, half")
    form.more.scores["character_threshold"].set_value(0.7)
    form.more.switches["mcut"].click()
    form.more.switches["replace_underscores"].click()
    form.more.order.setCurrentIndex(ORDERS.index("name"))
    form.set_tagger(tmp_path)
    expected = TagOptions(
        tagger=tmp_path,
        threshold=0.5,
        character_threshold=0.7,
        exclude=("solo", "red hair"),
        add=("masterpiece",),
        replace=("grey=gray",),
        mcut=True,
        replace_underscores=False,
        order="name",
    )
    assert form.options() == expected
    assert make_form().options() == expected


def test_write_at_once_is_remembered(make_form) -> None:
    form = make_form()
    assert form.at_once.isChecked()
    form.at_once.click()
    assert not make_form().at_once.isChecked()


def test_trigger_word_is_the_projects(make_form, project: Project) -> None:
    form = make_form()
    form.trigger.setText("kira_v1")
    form.trigger.editingFinished.emit()
    assert project.config.dataset.trigger_word == "kira_v1"
    project.change({"dataset.trigger_word": "kira_v2"})
    assert form.options().trigger_word == "kira_v2"


def test_what_happens_to_captions_and_traits_is_chosen_anew_for_each_folder(
    qtbot: QtBot, make_form, project: Project, pictures: Path, tmp_path: Path
) -> None:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(pictures)
    form = make_form()
    form.existing.setCurrentIndex(REPLACE)
    form.set_prune(("red hair",))
    form.threshold.set_value(0.5)
    assert make_form().options().on_existing == "keep"
    shutil.copytree(pictures, tmp_path / "next")
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(tmp_path / "next")
    assert (form.options().on_existing, form.options().prune, form.options().threshold) == ("keep", (), 0.5)


def test_a_tag_is_left_out_and_taken_back_in_whatever_its_spelling(make_form) -> None:
    form = make_form()
    form.exclude.setText("blurry, Long Hair")
    form.toggle_excluded("long_hair")
    assert form.exclude.words == ("blurry",)
    form.toggle_excluded("long_hair")
    assert form.exclude.words == ("blurry", "long hair")


def test_half_a_pair_does_not_count_and_is_said(make_form) -> None:
    form = make_form()
    form.replace.setText("grey=gray, blue=")
    form.replace.editingFinished.emit()
    assert form.options().replace == ("grey=gray",)
    assert form._half.isVisible()
    form.replace.setText("grey=gray, blue=azure")
    assert not form._half.isVisible()


def test_form_of_a_caption(make_form) -> None:
    more = make_form().more
    assert more.own_template.isHidden()
    more.template.setCurrentIndex(SENTENCE)
    assert more.values["template"] == SENTENCE_TEMPLATE
    assert not more.captioner.isHidden()
    more.template.setCurrentIndex(OWN)
    more.own_template.setText("a photo of {trigger}, {tags}")
    assert more.values["template"] == "a photo of {trigger}, {tags}"
    more.own_template.setText("a photo of {nobody}")
    assert more.values["template"] == "a photo of {trigger}, {tags}"
    assert not more._wrong.isHidden()
    more.template.setCurrentIndex(TAGS)
    assert more.values["template"] == TAGS_TEMPLATE
    assert more.captioner.isHidden()


def test_what_is_missing_is_said(make_form, tmp_path: Path) -> None:
    form = make_form()
    assert form.problem == ""
    form.set_tagger(tmp_path)
    assert "not complete" in form.problem
    form.set_tagger(tiny_tagger(tmp_path / "good"))
    assert form.problem == ""
    form.more.template.setCurrentIndex(SENTENCE)
    assert "sentence model" in form.problem


def test_models_that_are_here_can_be_chosen(
    qtbot: QtBot, make_form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.model_store import ModelState, unread_states

    first, *_ = unread_states("tagger")
    here = ModelState(first.card, tiny_tagger(tmp_path / "here"), is_here=True)
    monkeypatch.setattr("app.model_store.model_states", lambda kind: (here,))
    choice: ModelBox = make_form().model
    choice.refresh()
    qtbot.waitUntil(lambda: choice.box.findText(first.card.title) > 0)
    choice.box.setCurrentIndex(choice.box.findText(first.card.title))
    with qtbot.waitSignal(choice.changed):
        choice.box.activated.emit(choice.box.currentIndex())
    assert choice.folder == here.folder
    assert choice.is_usable


def test_a_folder_of_ones_own(qtbot: QtBot, make_form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = make_form()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    form.model.box.activated.emit(form.model.box.findText("A folder I have…"))
    assert form.options().tagger == tmp_path
    assert form.model.box.currentText() == tmp_path.name
    assert form.model._problem.isVisible()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    form.model.box.activated.emit(form.model.box.findText("A folder I have…"))
    assert form.options().tagger == tmp_path


def test_more_models_are_asked_for(qtbot: QtBot, make_form) -> None:
    form = make_form()
    with qtbot.waitSignal(form.models_requested) as asked:
        form.model.box.activated.emit(form.model.box.findText("Get more models…"))
    assert asked.args == ["tagger"]
    assert form.model.box.currentText() == "Starter tagger"
    form.use_model("captioner", Path("somewhere"))
    assert form.options().captioner == Path("somewhere")
