"""The configuration: bounds, sentences about mistakes, TOML and its comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import TrainConfig, field_specs, load_config, save_config, to_toml, with_values
from core.config.migrations import migrated
from core.errors import UserError
from core.text import set_language


def test_a_config_survives_its_file_with_any_text(tmp_path: Path) -> None:
    config = with_values(
        TrainConfig(),
        {
            "dataset.folder": tmp_path / "图 片 😀",
            "dataset.trigger_word": 'a "quoted" \\ word\ttab',
            "sampling.prompts": ("一, 二", 'with "quotes"'),
            "optimizer.learning_rate": 1e-7,
            "network.alpha": 1.0,
            "output.name": "丹炉 v1.0",
        },
    )
    path = tmp_path / "设置.toml"
    save_config(config, path)
    assert load_config(path) == config


def test_every_option_is_in_the_file_under_its_description() -> None:
    lines = to_toml(TrainConfig()).splitlines()
    for spec in field_specs():
        position = next(index for index, line in enumerate(lines) if line.startswith(f"{spec.name} = "))
        assert position > 0
        assert f"# {spec.description}" in lines


def test_relative_paths_belong_to_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[dataset]\nfolder = "pictures"\n', encoding="utf-8")
    config = load_config(tmp_path / "a.toml")
    assert config.dataset.folder == tmp_path / "pictures"
    assert config.output.folder == Path()


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home 家"))
    (tmp_path / "a.toml").write_text('[dataset]\nfolder = "~/图"\n[output]\nfolder = "~no one"\n', encoding="utf-8")
    config = load_config(tmp_path / "a.toml")
    assert config.dataset.folder == tmp_path / "home 家" / "图"
    assert config.output.folder == tmp_path / "~no one"


def test_rules_for_names_are_told_in_the_user_s_language() -> None:
    set_language("zh")
    for name, word in {"a/b": "不含", "nul": "设备", "角" * 67: "字节"}.items():
        with pytest.raises(UserError, match=word):
            with_values(TrainConfig(), {"output.name": name})


def test_a_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf[network]\nrank = 4\n")
    assert load_config(tmp_path / "a.toml").network.rank == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[network]\nrank = 0\n", ["network.rank", "from 1", "up to 512"]),
        ('[network]\nrank = "many"\n', ["network.rank", "'many'", "whole number"]),
        ("[network]\nranc = 4\n", ["network.ranc", "network.rank"]),
        ("[network]\nnetwork_dim = 4\n", ["network.network_dim", "network.rank"]),
        ("[network]\nrank = true\n", ["network.rank", "True", "whole number"]),
        ("[optimizer]\nlearning_rate = true\n", ["optimizer.learning_rate", "True", "a number"]),
        ("[netwrok]\nrank = 4\n", ["no section netwrok", "mean network"]),
        ("[foo]\nrank = 4\n", ["no section foo", "dataset, network"]),
        ("rank = 4\n", ["no option rank", "network.rank"]),
        ("output = 3\n", ["output cannot be 3", "Write [output]"]),
        ('[training]\nprecision = "fp8"\n', ["training.precision", "bf16, fp16, fp32"]),
        ('[output]\nname = "a/b"\n', ["output.name", "without /"]),
        ('[output]\nname = "con.txt"\n', ["output.name", "Windows"]),
        (f'[output]\nname = "{"角" * 67}"\n', ["output.name", "200 bytes"]),
        ("[optimizer]\nlearning_rate = nan\n", ["optimizer.learning_rate"]),
        ("[network\nrank = 4\n", ["TOML", "line 1"]),
        ("network = 4\n", ["network"]),
    ],
)
def test_a_mistake_is_one_sentence_that_says_which_and_what_is_allowed(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_config(tmp_path / "a.toml")
    for word in said:
        assert word in str(caught.value)
    assert caught.value.remedy


def test_a_file_that_is_no_utf8_or_missing_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes("名 = 1".encode("gbk"))
    with pytest.raises(UserError, match="UTF-8"):
        load_config(tmp_path / "a.toml")
    with pytest.raises(UserError, match="missing"):
        load_config(tmp_path / "b.toml")
    with pytest.raises(UserError, match="cannot be read"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "name", ["a/b", "a\\b", "a:b", "", " a", "a.", "..", "a\nb", "x" * 201, "角" * 67, "NUL", "com1", "Aux.v2", "LPT¹"]
)
def test_a_name_is_a_file_name_on_every_system(name: str) -> None:
    with pytest.raises(UserError):
        with_values(TrainConfig(), {"output.name": name})


def test_text_from_a_command_line_becomes_the_option_s_type() -> None:
    config = with_values(
        TrainConfig(), {"network.rank": "8", "dataset.flip": "true", "optimizer.learning_rate": "1e-3"}
    )
    assert (config.network.rank, config.dataset.flip, config.optimizer.learning_rate) == (8, True, 1e-3)
    with pytest.raises(UserError, match="whole number"):
        with_values(TrainConfig(), {"network.rank": "true"})


def test_a_renamed_option_keeps_old_files_loading() -> None:
    renamed = {"network.dim": "network.rank"}
    assert migrated({"network": {"dim": 4}}, renamed) == {"network": {"rank": 4}}
    assert migrated({"network": {"dim": 4, "rank": 8}}, renamed) == {"network": {"rank": 8}}


def test_every_default_is_within_its_own_bounds_and_every_option_is_explained() -> None:
    for spec in field_specs():
        assert spec.title
        assert spec.description.endswith((".", "?"))
        if spec.kind in ("int", "float"):
            assert spec.minimum is not None, f"{spec.key} has no lower bound"
