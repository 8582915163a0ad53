"""Kiln's settings in kohya's words and back, and the command that does both."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from core.cli import main
from core.config import TrainConfig, field_specs, load_config, save_config, with_values
from core.config.toml import read_toml
from core.imports import apply, read_settings, save_kohya, to_kohya_toml
from core.paths import STARTER_MODEL

DATA = Path(__file__).resolve().parent.parent / "data" / "settings"
HOME = Path("C:/kiln" if sys.platform == "win32" else "/kiln")

# One value for every option that kohya's scripts have a word for, none of them Kiln's default.
SAME_WORDS: dict[str, object] = {
    "model.base": HOME / "base model",
    "model.family": "sd2",
    "model.vae": HOME / "vae.safetensors",
    "model.clip_skip": 2,
    "model.prediction": "v_prediction",
    "model.zero_terminal_snr": True,
    "model.max_tokens": 150,
    "dataset.folder": HOME / "图片",
    "dataset.resolution": 640,
    "dataset.bucket_step": 32,
    "dataset.max_aspect": 3.0,
    "dataset.caption_extension": ".caption",
    "dataset.shuffle_tags": True,
    "dataset.keep_tags": 3,
    "dataset.caption_dropout": 0.1,
    "dataset.tag_dropout": 0.2,
    "dataset.flip": True,
    "dataset.caption_prefix": "anime,",
    "dataset.caption_suffix": ", best quality",
    "dataset.keep_separator": "|||",
    "dataset.wildcards": True,
    "dataset.caption_dropout_every_n_epochs": 5,
    "dataset.tag_warmup_steps": 100,
    "dataset.tag_warmup_min": 3,
    "dataset.colour_jitter": True,
    "dataset.random_crop": True,
    "dataset.no_upscale": True,
    "dataset.masks": "alpha",
    "network.rank": 24,
    "network.alpha": 12.5,
    "network.train_text_encoder": False,
    "network.dropout": 0.1,
    "network.rank_dropout": 0.2,
    "network.module_dropout": 0.3,
    "network.max_norm": 1.0,
    "network.start_from": HOME / "old.safetensors",
    "network.conv_rank": 6,
    "network.conv_alpha": 3.0,
    "network.block_ranks": ("down_blocks.1.attentions.0=8", "mid_block=0", "up_blocks.3.attentions.2=4"),
    "training.epochs": 7,
    "training.batch_size": 3,
    "training.gradient_accumulation": 2,
    "training.gradient_checkpointing": True,
    "training.precision": "bf16",
    "training.seed": 11,
    "training.vae_precision": "fp32",
    "training.base_weights": "int8",
    "training.compile": True,
    "loss.kind": "huber",
    "loss.huber_limit": 0.3,
    "loss.huber_schedule": "exponential",
    "loss.min_snr_gamma": 6.5,
    "loss.debiased": True,
    "loss.scale_v_prediction": True,
    "loss.prior_weight": 0.7,
    "loss.noise_offset": 0.06,
    "loss.random_noise_offset": True,
    "loss.adaptive_noise_scale": 0.01,
    "loss.multires_noise_levels": 6,
    "loss.multires_noise_discount": 0.25,
    "loss.input_perturbation": 0.1,
    "loss.random_input_perturbation": True,
    "loss.min_timestep": 50,
    "loss.max_timestep": 900,
    "optimizer.name": "prodigy",
    "optimizer.learning_rate": 0.8,
    "optimizer.text_encoder_learning_rate": 0.4,
    "optimizer.weight_decay": 0.05,
    "optimizer.beta1": 0.85,
    "optimizer.beta2": 0.95,
    "optimizer.epsilon": 1e-7,
    "optimizer.max_grad_norm": 0.5,
    "optimizer.growth": 1.5,
    "optimizer.arguments": ("d0=1e-05", "safeguard_warmup=True"),
    "optimizer.block_rates": ("down_blocks.1.attentions.0=0.5", "mid_block=0", "up_blocks.3.attentions.2=1.5"),
    "schedule.name": "polynomial",
    "schedule.warmup_steps": 40,
    "schedule.cycles": 3,
    "schedule.power": 2.0,
    "schedule.decay_steps": 20,
    "validation.pictures": 0,
    "sampling.prompts": ("1girl, 图", "a well-known place"),
    "sampling.negative_prompt": "blurry, bad hands",
    "sampling.at_start": False,
    "sampling.width": 448,
    "sampling.height": 576,
    "sampling.denoising_steps": 24,
    "sampling.guidance": 6.5,
    "sampling.seed": 99,
    "sampling.every_n_epochs": 3,
    "sampling.sampler": "euler_a",
    "output.folder": HOME / "output",
    "output.name": "my girl",
    "output.save_every_n_epochs": 3,
    "output.precision": "bf16",
    "output.save_every_n_steps": 200,
    "output.keep_last": 4,
    "output.epoch_states": 5,
    "output.tensorboard": True,
    "output.comment": 'with "quotes"',
}
# What kohya's scripts have no word for, only together with another value, or only from outside of the file.
NO_WORD = {
    "model.large_text_encoder",
    "dataset.trigger_word",  # It goes into the prefix.
    "dataset.absorbed_tags",
    "dataset.repeats",  # They are in the name of a folder.
    "dataset.edits",
    "dataset.fit",
    "dataset.crop_shape",
    "dataset.edge",
    "dataset.unmasked_weight",
    "network.train_denoiser",
    "network.kind",  # LyCORIS has words for these four, but none for rates and ranks of blocks.
    "network.dora",
    "network.rank_stabilized",
    "network.factor",
    "network.layers",
    "network.only",
    "network.leave_out",
    "output.sidecars",
    "training.max_steps",
    "training.device",
    "training.on_out_of_memory",
    "training.background",
    "loss.timestep_sampling",
    "optimizer.momentum",
    "optimizer.ema_decay",
    "schedule.min_factor",
    "validation.every_n_epochs",
    "validation.seed",
    "validation.timesteps",
    "validation.patience",
    "sampling.every_n_steps",
    "output.state_every_n_steps",
    "output.keep_states",
}


def there_and_back(config: TrainConfig, folder: Path) -> TrainConfig:
    path = folder / "out.toml"
    path.write_text(to_kohya_toml(config), encoding="utf-8")
    return apply(read_settings(path), TrainConfig())


def test_every_option_has_a_word_of_kohyas_or_is_listed_as_having_none() -> None:
    known = {spec.key for spec in field_specs()}
    assert set(SAME_WORDS) | NO_WORD == known
    assert not set(SAME_WORDS) & NO_WORD


def test_all_options_together_come_back_as_they_were(tmp_path: Path) -> None:
    config = with_values(TrainConfig(), SAME_WORDS)
    again = there_and_back(config, tmp_path)
    for key in SAME_WORDS:
        section, _, name = key.partition(".")
        assert getattr(getattr(again, section), name) == getattr(getattr(config, section), name), key


def test_the_defaults_come_back_as_they_were(tmp_path: Path) -> None:
    assert there_and_back(TrainConfig(), tmp_path) == TrainConfig()
    placed = with_values(TrainConfig(), {"model.base": HOME / "base", "dataset.folder": HOME / "pictures"})
    assert there_and_back(placed, tmp_path) == placed


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset.fit": "crop"},
        {"network.train_denoiser": False, "network.train_text_encoder": True},
        {"network.kind": "loha", "network.conv_rank": 0},
        {"network.kind": "lokr", "network.factor": 8, "network.conv_rank": 4, "network.conv_alpha": 2.0},
        {"network.dora": True, "network.conv_rank": 16, "network.rank_dropout": 0.1},
        {"network.rank_stabilized": True, "network.kind": "lokr", "network.max_norm": 1.0},
        {"network.conv_rank": 4, "network.conv_alpha": 2.0},
        {"model.family": "sd1"},
        {
            "model.family": "sdxl",
            "network.block_ranks": ("down_blocks.2.attentions.1=8", "mid_block.attentions.0=0"),
            "optimizer.block_rates": ("down_blocks.1.attentions.0=0.5", "up_blocks.0.attentions.2=0"),
        },
        {"network.block_ranks": ("mid_block=0",), "network.rank": 8},
        {"training.max_steps": 500, "training.epochs": 10000},
        {"training.precision": "fp32", "output.precision": "fp32"},
        {"schedule.min_factor": 0.1},
        {"schedule.name": "warmup_stable_decay", "schedule.min_factor": 0.2, "schedule.decay_steps": 50},
        {"optimizer.name": "sgd", "optimizer.momentum": 0.8},
        {"sampling.prompts": ("a",), "sampling.every_n_epochs": 0, "sampling.every_n_steps": 50},
        {"output.save_every_n_epochs": 0, "output.save_every_n_steps": 100, "output.keep_last": 3},
        {"loss.min_snr_gamma": 0.0},
        *({"optimizer.name": name} for name in ("adamw8bit", "lion", "adafactor", "dadaptation", "came")),
        {"optimizer.name": "adamw_schedulefree"},
        *({"sampling.prompts": ("a",), "sampling.sampler": name} for name in ("dpmpp_2m", "euler", "ddim")),
        *({"dataset.max_aspect": ratio} for ratio in (1.0, 1.5, 2.5, 4.0)),
        *({"schedule.name": name} for name in ("constant", "linear", "inverse_sqrt", "constant_with_warmup")),
    ],
    ids=str,
)
def test_other_values_come_back_as_they_were(tmp_path: Path, changes: dict[str, object]) -> None:
    config = with_values(TrainConfig(), {"model.base": HOME / "base", "dataset.folder": HOME / "p", **changes})
    again = there_and_back(config, tmp_path)
    for key, value in changes.items():
        section, _, name = key.partition(".")
        assert getattr(getattr(again, section), name) == value, key


def test_the_family_is_read_from_the_base_model() -> None:
    starter = with_values(TrainConfig(), {"model.base": STARTER_MODEL})
    assert 'model_train_type = "sd-lora"' in to_kohya_toml(starter)
    nowhere = with_values(TrainConfig(), {"model.base": HOME / "nowhere"})
    assert "model_train_type" not in to_kohya_toml(nowhere)


def test_kohya_does_not_train_kolors_and_blocks_of_another_family_have_no_word() -> None:
    kolors = to_kohya_toml(with_values(TrainConfig(), {"model.family": "kolors"}))
    assert "model_train_type" not in kolors and "# kohya's scripts do not train Kolors" in kolors
    sdxl = to_kohya_toml(
        with_values(TrainConfig(), {"model.family": "sdxl", "network.block_ranks": ("up_blocks.3.attentions.0=4",)})
    )
    assert "network.block_ranks =" in sdxl and "block_dims" not in sdxl


@pytest.mark.parametrize("step", [8, 64, 256])
@pytest.mark.parametrize("resolution", [64, 128, 500, 512, 768, 1024])
@pytest.mark.parametrize("aspect", [1.0, 1.37, 2.0, 3.0, 4.0])
def test_the_sides_of_buckets_are_ones_that_kohyas_scripts_can_use(
    tmp_path: Path, step: int, resolution: int, aspect: float
) -> None:
    values = {"dataset.max_aspect": aspect, "dataset.resolution": resolution, "dataset.bucket_step": step}
    (tmp_path / "out.toml").write_text(to_kohya_toml(with_values(TrainConfig(), values)), encoding="utf-8")
    written = read_toml(tmp_path / "out.toml")
    shortest, longest = written["min_bucket_reso"], written["max_bucket_reso"]
    assert shortest <= resolution <= longest
    assert resolution < step or shortest % step == longest % step == 0
    again = apply(read_settings(tmp_path / "out.toml"), TrainConfig())
    assert again.dataset.max_aspect == pytest.approx(aspect, abs=3 * step / shortest)


def test_what_kohya_has_no_word_for_is_said_in_a_comment() -> None:
    text = to_kohya_toml(
        with_values(TrainConfig(), {"dataset.absorbed_tags": ("red hair",), "optimizer.ema_decay": 0.9})
    )
    assert 'dataset.absorbed_tags = ["red hair"]' in text
    assert "optimizer.ema_decay = 0.9" in text
    assert "schedule.min_factor" not in text


def test_the_trigger_word_stands_in_front_of_every_caption() -> None:
    config = with_values(TrainConfig(), {"dataset.trigger_word": "yanami", "dataset.caption_prefix": "anime,"})
    assert 'caption_prefix = "anime, yanami,"' in to_kohya_toml(config)


def test_kept_tags_do_not_count_the_prefix_in_kiln_but_do_in_kohyas_scripts(tmp_path: Path) -> None:
    values = {"dataset.caption_prefix": "anime, flat", "dataset.keep_tags": 2, "dataset.trigger_word": "yanami"}
    text = to_kohya_toml(with_values(TrainConfig(), values))
    assert 'caption_prefix = "anime, flat, yanami,"' in text and "keep_tokens = 4" in text
    (tmp_path / "x.toml").write_text('caption_prefix = "anime, flat,"\nkeep_tokens = 3\n', encoding="utf-8")
    assert read_settings(tmp_path / "x.toml").config_changes["dataset.keep_tags"] == 1


def test_a_path_that_is_no_text_is_said_in_a_comment(tmp_path: Path) -> None:
    config = with_values(TrainConfig(), {"output.folder": HOME / "a\udcff"})
    save_kohya(config, tmp_path / "out.toml")
    assert "output_dir" not in read_toml(tmp_path / "out.toml")


def test_a_file_of_prompts_that_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out-prompts.txt").write_text("mine", encoding="utf-8")
    config = with_values(TrainConfig(), {"sampling.prompts": ("a",)})
    for _ in range(2):
        written = save_kohya(config, tmp_path / "out.toml")
        assert written[1].name == "out-prompts-2.txt"
    assert (tmp_path / "out-prompts.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(("folder", "written"), [("girl", "girl"), ("10_girl", "")])
def test_kohya_is_given_the_folder_that_holds_the_numbered_folders(folder: str, written: str) -> None:
    text = to_kohya_toml(with_values(TrainConfig(), {"dataset.folder": HOME / "data" / folder}))
    assert f'train_data_dir = "{(HOME / "data" / written).as_posix()}"' in text


def test_prompts_are_written_to_a_file_of_their_own(tmp_path: Path) -> None:
    config = with_values(TrainConfig(), {"sampling.prompts": ("a", "b"), "sampling.seed": 5})
    written = save_kohya(config, tmp_path / "out.toml")
    assert [path.name for path in written] == ["out.toml", "out-prompts.txt"]
    assert written[1].read_text(encoding="utf-8").startswith("a --w 512 --h 512 --d 5 --l 7 --s 20\nb --w")
    again = apply(read_settings(tmp_path / "out.toml"), TrainConfig())
    assert again.sampling == config.sampling


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_written_is_toml_in_every_language(tmp_path: Path, language: str) -> None:
    from core import text

    text.set_language("zh" if language == "zh" else "en")
    save_kohya(with_values(TrainConfig(), SAME_WORDS), tmp_path / "out.toml")
    assert read_toml(tmp_path / "out.toml")["network_dim"] == 24


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_shows_json_lines_in_a_pipe_and_writes_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "config.toml"
    assert main(["settings", str(DATA / "sd_trainer_beginner.toml"), "--to", str(target)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["source"] == "sd_trainer"
    rank = next(line for line in lines if line.get("key") == "network.rank")
    assert (rank["source_key"], rank["value"], rank["new_value"]) == ("network_dim", 32, 32)
    assert {line["kind"] for line in lines} == {"source", "mapped", "ignored", "path"}
    assert load_config(target).network.rank == 32


def test_further_folders_get_a_dataset_file_beside_the_settings(tmp_path: Path) -> None:
    target = tmp_path / "config.toml"
    assert main(["settings", str(DATA / "dataset.toml"), "--to", str(target)]) == 0
    config = load_config(target)
    assert config.dataset.edits == tmp_path / "config.dataset.json"
    assert config.dataset.folder.name == "girl"
    content = json.loads(config.dataset.edits.read_text(encoding="utf-8"))
    assert [Path(concept["folder"]).name for concept in content["concepts"]] == ["girl", "faces", "reg"]


def test_the_command_takes_kilns_settings_to_kohya(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_config(with_values(TrainConfig(), {"network.rank": 5}), tmp_path / "kiln.toml")
    assert main(["settings", str(tmp_path / "kiln.toml"), "--kohya", str(tmp_path / "kohya.toml")]) == 0
    assert read_toml(tmp_path / "kohya.toml")["network_dim"] == 5
    assert "kohya.toml" in capsys.readouterr().err


def test_paths_of_the_other_machine_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sd-models").mkdir()
    (tmp_path / "sd-models" / "anything.safetensors").touch()
    words = ["settings", str(DATA / "sd_trainer_expert.toml"), "--root", "D:/lora-scripts", str(tmp_path)]
    assert main(words) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["key"]: line["exists"] for line in lines if line["kind"] == "path"}["model.base"] is True


def test_files_that_exist_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "config.toml"
    target.write_text("mine", encoding="utf-8")
    assert main(["settings", str(DATA / "kohya_ss.json"), "--to", str(target)]) == 1
    assert target.read_text(encoding="utf-8") == "mine"
    assert "exists already" in capsys.readouterr().out


def test_a_file_that_is_something_else_fails_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.toml").write_text("[tool]\nname = 1\n", encoding="utf-8")
    assert main(["settings", str(tmp_path / "x.toml")]) == 1
    assert json.loads(capsys.readouterr().out)["kind"] == "failed"


def test_every_line_is_json_whatever_the_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.toml").write_text(
        "network_dim = nan\nlearning_rate = inf\nflip_aug = 2020-01-01\n", encoding="utf-8"
    )
    assert main(["settings", str(tmp_path / "x.toml")]) == 0

    def refuse(word: str) -> None:
        raise AssertionError(word)

    for line in capsys.readouterr().out.splitlines():
        json.loads(line, parse_constant=refuse)


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["settings", str(DATA / "sd_trainer_expert.toml")]) == 0
    shown = capsys.readouterr().out
    assert "network.rank = 64" in shown and "Left out (" in shown and "D:/lora-scripts" in shown
    assert "SECRET" not in shown
