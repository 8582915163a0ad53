"""Presets: what ships is sound, what the user keeps survives, and files of others are read with care."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import estimate as estimates
from core.config import TrainConfig, with_values
from core.config.labels import differing
from core.config.rules import Facts, conflicts
from core.errors import UserError
from core.models import FAMILY_NAMES, FamilyName
from core.presets import (
    PERSONAL,
    add_preset,
    applied,
    delete_preset,
    own_changes,
    own_folder,
    own_presets,
    read_preset,
    rename_preset,
    save_preset,
    share_preset,
    shipped_presets,
)
from core.quick import ROOM
from core.text import set_language
from tests.full_size import full_shape, full_size


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "家 home"))
    return tmp_path


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_each_purpose_and_memory_has_a_preset_that_contradicts_nothing(family: FamilyName) -> None:
    presets = shipped_presets(family)
    titles = [preset.title for preset in presets]
    assert titles[:4] == ["Character · 6 GB", "Character · 8 GB", "Character · 12 GB", "Character · 24 GB"]
    assert len(presets) == 12
    for preset in presets:
        assert not preset.left_out
        assert not preset.is_own
        config = applied(preset, TrainConfig(), TrainConfig())
        assert not [found for found in conflicts(config, Facts(family=family)) if found.level != "info"]


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_each_preset_fits_the_card_that_it_is_for(family: FamilyName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "shape_of", lambda base, vae: full_shape(base.family))
    base = full_size(family)
    basis = with_values(TrainConfig(), {"dataset.resolution": base.native_size_px})
    for preset in shipped_presets(family):
        estimate = estimates.estimate_memory(applied(preset, basis, basis), base, "cuda")
        assert estimate.run_bytes <= ROOM * preset.memory_gb * 2**30, preset.key


def test_shipped_presets_speak_both_languages() -> None:
    english = [(preset.title, preset.description) for preset in shipped_presets("sd1")]
    set_language("zh")
    chinese = [(preset.title, preset.description) for preset in shipped_presets("sd1")]
    assert all(one != other for one, other in zip(english, chinese, strict=True))
    assert chinese[0][0] == "角色 · 6 GB"


def test_a_preset_takes_the_place_of_all_but_what_is_personal() -> None:
    preset = next(preset for preset in shipped_presets("sd1") if preset.title == "Style · 8 GB")
    basis = with_values(TrainConfig(), {"dataset.resolution": 640})
    current = with_values(
        TrainConfig(),
        {"network.rank": 99, "dataset.trigger_word": "mika", "sampling.prompts": ("a",), "output.name": "mine"},
    )
    config = applied(preset, basis, current)
    assert config.network.rank == 32
    assert config.dataset.resolution == 640
    assert (config.dataset.trigger_word, config.sampling.prompts, config.output.name) == ("mika", ("a",), "mine")
    assert set(differing(applied(None, basis, current), basis)) <= PERSONAL


def test_what_is_saved_comes_back_without_paths(tmp_path: Path) -> None:
    config = with_values(
        TrainConfig(),
        {
            "model.base": tmp_path / "secret",
            "dataset.folder": tmp_path / "secret",
            "output.folder": tmp_path / "secret",
            "network.start_from": tmp_path / "secret" / "a.safetensors",
            "network.rank": 24,
            "training.epochs": 20,
            "optimizer.learning_rate": 3e-4,
            "optimizer.arguments": ("a=1", "b=2"),
            "sampling.negative_prompt": 'bad "hands"',
        },
    )
    saved = save_preset(
        own_changes(config, TrainConfig()), title="我的 · Mika / v1 😀", description="两行\n文字", author="阿明"
    )
    assert saved.path.parent == own_folder()
    assert "secret" not in saved.path.read_text(encoding="utf-8")
    (found,) = own_presets()
    assert (found.title, found.description, found.author) == ("我的 · Mika / v1 😀", "两行\n文字", "阿明")
    assert found.changes == saved.changes
    assert found.changes["training.epochs"] == 20
    assert found.is_own
    again = applied(found, TrainConfig(), config)
    assert again == config


def test_names_must_be_new_and_not_empty() -> None:
    first = save_preset({}, title="One")
    with pytest.raises(UserError, match="already a preset one"):
        save_preset({}, title=" one ")
    with pytest.raises(UserError, match="no name"):
        save_preset({}, title="  ")
    second = save_preset({}, title="Two")
    with pytest.raises(UserError, match="already"):
        rename_preset(second, "ONE")
    renamed = rename_preset(second, "Three")
    assert [preset.title for preset in own_presets()] == ["One", "Three"]
    assert rename_preset(renamed, "Three") == renamed
    delete_preset(first)
    assert [preset.title for preset in own_presets()] == ["Three"]


@pytest.mark.parametrize("title", ["NUL", "a/b\\c:d", "角" * 80, "...", "x" * 300])
def test_any_title_makes_a_file_name(title: str) -> None:
    preset = save_preset({"network.rank": 4}, title=title)
    assert preset.path.is_file()
    assert own_presets()[0].title == title[:80]


def test_two_titles_with_one_file_name_keep_two_files() -> None:
    save_preset({"network.rank": 4}, title="a?b")
    save_preset({"network.rank": 5}, title="a*b")
    assert {preset.changes["network.rank"] for preset in own_presets()} == {4, 5}


def test_a_shipped_preset_is_never_removed() -> None:
    preset = shipped_presets("sd1")[0]
    delete_preset(preset)
    assert preset.path.is_file()


def test_a_shared_file_can_be_added_elsewhere(tmp_path: Path) -> None:
    mine = save_preset({"network.rank": 24}, title="Mika", author="阿明")
    share_preset(mine, tmp_path / "给你.toml")
    added = add_preset(tmp_path / "给你.toml")
    assert added.title == "Mika (2)"
    assert (added.author, added.changes) == ("阿明", {"network.rank": 24})
    assert len(own_presets()) == 2


def test_a_preset_of_a_newer_version_loads_what_is_known_and_says_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text(
        'format = 9\ntitle = "New"\nmagic = 3\n[settings]\nloose = 1\n[settings.network]\nrank = 24\nspin = 2\n'
        '[settings.training]\nmin_snr_gamma = 3.0\nbatch_size = 9999\n[settings.output]\nfolder = "/home/other"\n',
        encoding="utf-8",
    )
    preset = read_preset(file)
    assert preset.changes == {"network.rank": 24, "loss.min_snr_gamma": 3.0}
    said = "\n".join(preset.left_out)
    for words in ("newer Kiln", "no option loose", "no option network.spin", "batch_size cannot be 9999"):
        assert words in said
    assert "output.folder is not taken" in said


@pytest.mark.parametrize("content", ["", "[network]\nrank = 4\n", 'format = "x"\n[settings]\n', "format = 1\n"])
def test_a_file_that_is_no_preset_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.toml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="no preset"):
        add_preset(tmp_path / "a.toml")


def test_a_damaged_preset_does_not_hide_the_others() -> None:
    save_preset({}, title="Good")
    (own_folder() / "bad.toml").write_bytes(b"\xff\xfe[[[")
    assert [preset.title for preset in own_presets()] == ["Good"]
