"""The catalogue of models, the folder they lie in, and what counts as whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.errors import UserError
from core.hub import manifest
from core.hub.catalog import KINDS, folder_of, is_here, known_models, model_card
from core.hub.folder import default_models_folder, models_folder, models_folder_is_fixed, set_models_folder
from core.text import set_language

SD_TRAINER = {
    "wd-convnext-v3",
    "wd-swinv2-v3",
    "wd-vit-v3",
    "wd-eva02-large-tagger-v3",
    "wd-vit-large-tagger-v3",
    "wd14-convnextv2-v2",
    "wd14-swinv2-v2",
    "wd14-vit-v2",
    "wd14-moat-v2",
    "cl_tagger_1_01",
}


def test_all_taggers_of_sd_trainer_are_known_by_the_same_names() -> None:
    assert {card.key for card in known_models("tagger")} == SD_TRAINER


def test_every_kind_has_models_and_every_model_a_name_of_its_own() -> None:
    cards = known_models()
    assert {card.kind for card in cards} == set(KINDS)
    assert len({card.key for card in cards}) == len({card.title for card in cards}) == len(cards)
    assert sum((known_models(kind) for kind in KINDS), ()) == cards


@pytest.mark.parametrize("card", known_models(), ids=lambda card: card.key)
def test_a_card_is_complete(card: object) -> None:
    from core.hub.catalog import ModelCard

    assert isinstance(card, ModelCard)
    assert card.files and card.description and card.license
    for repo in (card.hugging_face, card.model_scope):
        assert repo is None or re.fullmatch(r"[\w.-]+/[\w.-]+", repo.name)
    assert set(card.sha256) <= set(card.files)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in card.sha256.values())
    assert not any(name.endswith((".bin", ".ckpt", ".pt", ".pkl", ".py")) for name in card.files)  # Nothing that runs.


def test_the_older_wd_taggers_are_those_of_version_2_0() -> None:
    assert {card.hugging_face.revision for card in known_models() if card.key.startswith("wd14-")} == {"v2.0"}


def test_descriptions_speak_the_language_in_use() -> None:
    english = model_card("wd-vit-v3").description
    set_language("zh")
    assert model_card("wd-vit-v3").description != english


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UserError) as caught:
        model_card("wd-vit-v4")
    assert "wd-vit-v3" in caught.value.remedy


def test_models_are_in_the_user_s_data_until_another_folder_is_chosen(tmp_path: Path) -> None:
    assert models_folder() == default_models_folder()
    chosen = tmp_path / "模型 😀 \udcff"
    set_models_folder(chosen)
    assert models_folder() == chosen and chosen.is_dir()
    assert folder_of(model_card("anime_head")) == chosen / "detectors" / "anime_head"


def test_the_environment_has_the_last_word_on_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_models_folder(tmp_path / "chosen")
    assert not models_folder_is_fixed()
    monkeypatch.setenv("KILN_MODELS", str(tmp_path / "fixed"))
    assert models_folder() == tmp_path / "fixed"
    assert models_folder_is_fixed()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"folder": 7}', "\x00"])
def test_a_damaged_choice_of_folder_is_the_usual_one(text: str) -> None:
    (default_models_folder().parent / "models.json").write_text(text)
    assert models_folder() == default_models_folder()


def test_detectors_go_where_they_are_looked_for() -> None:
    from core.dataset.subject import known_detectors

    card = model_card("anime_person")
    folder = folder_of(card)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"x")
    assert "anime_person" in known_detectors()


def test_a_model_is_here_only_when_the_list_says_so_and_sizes_agree(tmp_path: Path) -> None:
    card = model_card("wd-vit-v3")
    folder = folder_of(card, tmp_path)
    folder.mkdir(parents=True)
    for name in card.files:
        (folder / name).write_bytes(b"12345")
    assert not is_here(card, tmp_path)
    entries = [manifest.Entry(name, 5, card.sha256[name]) for name in card.files]
    manifest.write(folder, "another", "a test", entries)
    assert not is_here(card, tmp_path)
    manifest.write(folder, card.key, "a test", entries)
    assert is_here(card, tmp_path)
    (folder / "model.onnx").write_bytes(b"1234")
    assert not is_here(card, tmp_path)
    (folder / "model.onnx").unlink()
    assert not is_here(card, tmp_path)


def test_a_model_is_not_here_when_the_catalogue_wants_more_or_something_else(tmp_path: Path) -> None:
    card = model_card("wd-vit-v3")
    folder = folder_of(card, tmp_path)
    folder.mkdir(parents=True)
    for name in card.files:
        (folder / name).write_bytes(b"12345")
    right = {name: manifest.Entry(name, 5, card.sha256[name]) for name in card.files}
    for entries in (
        [],
        [right["model.onnx"]],
        [right["selected_tags.csv"], manifest.Entry("model.onnx", 5, "0" * 64)],
    ):
        manifest.write(folder, card.key, "a test", entries)
        assert not is_here(card, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"model": "m"}', '{"model": "m", "files": [{"name": "a"}]}', "\udcff"])
def test_a_damaged_list_means_that_the_model_is_not_here(tmp_path: Path, text: str) -> None:
    (tmp_path / manifest.NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert manifest.read(tmp_path, "m") == {}
