"""What options mean for each other: each rule fires, stays silent, and is gone after its way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.config import (
    TrainConfig,
    load_config,
    rules_families,
    rules_learning,
    rules_networks,
    rules_running,
    with_values,
)
from core.config.labels import specs_by_key
from core.config.rules import Facts, Rule, conflicts, idle_options, refuse_contradictions
from core.config.rules_idle import IDLE
from core.control import Control
from core.errors import UserError
from core.jobs import TrainJob
from core.text import set_language
from core.training.job import train

SHORT = Facts(num_pictures=30, total_steps=100)
LONG = Facts(num_pictures=30, total_steps=5000)

CASES: list[tuple[str, dict[str, Any], Facts, dict[str, Any], Facts]] = [
    # said, what makes it hold, what nearly does
    ("Neither the denoiser", {"network.train_denoiser": False, "network.train_text_encoder": False}, LONG,
     {"network.train_denoiser": False}, LONG),
    ("not before the last", {"loss.min_timestep": 500, "loss.max_timestep": 500}, LONG,
     {"loss.min_timestep": 400, "loss.max_timestep": 500}, LONG),
    ("cannot train in fp16", {"training.precision": "fp16", "training.device": "cpu"}, LONG,
     {"training.precision": "bf16", "training.device": "cpu"}, LONG),
    ("NVIDIA cards only", {"optimizer.name": "adamw8bit", "training.device": "mps"}, LONG,
     {"optimizer.name": "adamw8bit", "training.device": "auto"}, LONG),
    ("nothing to answer from", {"model.zero_terminal_snr": True, "model.prediction": "epsilon"}, LONG,
     {"model.zero_terminal_snr": True, "model.prediction": "v_prediction"}, LONG),
    ("make sure that the base model", {"model.zero_terminal_snr": True}, LONG,
     {"model.zero_terminal_snr": True, "model.prediction": "v_prediction"}, LONG),
    ("far below 1 keeps it", {"optimizer.name": "prodigy"}, LONG,
     {"optimizer.name": "prodigy", "optimizer.learning_rate": 1.0, "optimizer.text_encoder_learning_rate": 0.05}, LONG),
    ("far below 1 keeps it", {"optimizer.name": "dadaptation", "optimizer.learning_rate": 1.0}, LONG,
     {"optimizer.name": "dadaptation", "optimizer.learning_rate": 1.0, "network.train_text_encoder": False}, LONG),
    ("falls apart within", {"optimizer.learning_rate": 0.1}, LONG, {"optimizer.learning_rate": 0.01}, LONG),
    ("falls apart within", {"optimizer.name": "lion", "optimizer.learning_rate": 0.5}, LONG,
     {"optimizer.name": "sgd", "optimizer.learning_rate": 0.5}, LONG),
    ("Lion takes larger", {"optimizer.name": "lion", "optimizer.learning_rate": 1e-3}, LONG,
     {"optimizer.name": "lion", "optimizer.learning_rate": 1e-4}, LONG),
    ("rate of zero", {"optimizer.text_encoder_learning_rate": 0.0}, LONG,
     {"optimizer.text_encoder_learning_rate": 0.0, "network.train_text_encoder": False}, LONG),
    ("rate of zero", {"optimizer.text_encoder_learning_rate": 0.0, "network.train_denoiser": False}, LONG,
     {"optimizer.text_encoder_learning_rate": 1e-6}, LONG),
    ("faster than the denoiser", {"optimizer.text_encoder_learning_rate": 2e-4}, LONG,
     {"optimizer.text_encoder_learning_rate": 1e-4}, LONG),
    ("is set, but the text encoder",
     {"network.train_text_encoder": False, "optimizer.text_encoder_learning_rate": 1e-5}, LONG,
     {"network.train_text_encoder": False}, LONG),
    ("needs no schedule", {"optimizer.name": "adamw_schedulefree"}, LONG,
     {"optimizer.name": "adamw_schedulefree", "schedule.name": "constant_with_warmup"}, LONG),
    ("an average of its own", {"optimizer.name": "adamw_schedulefree", "optimizer.ema_decay": 0.9}, LONG,
     {"optimizer.ema_decay": 0.9}, LONG),
    ("without gradient clipping", {"optimizer.name": "adafactor"}, LONG,
     {"optimizer.name": "adafactor", "optimizer.max_grad_norm": 0.0}, LONG),
    ("Rates of blocks are set", {"optimizer.block_rates": ("mid_block=0",), "network.train_denoiser": False}, LONG,
     {"optimizer.block_rates": ("mid_block=0",)}, LONG),
    ("Alpha is 4 times the rank", {"network.alpha": 64.0}, LONG, {"network.alpha": 32.0}, LONG),
    ("counts 128 times less", {"network.rank": 128, "network.alpha": 1.0}, LONG,
     {"network.rank": 16, "network.alpha": 1.0}, LONG),
    ("More than half of the LoRA", {"network.rank_dropout": 0.6}, LONG, {"network.rank_dropout": 0.5}, LONG),
    ("takes the place of the noise offset", {"loss.noise_offset": 0.05, "loss.multires_noise_levels": 6}, LONG,
     {"loss.multires_noise_levels": 6}, LONG),
    ("noise offset above 0.2", {"loss.noise_offset": 0.3}, LONG, {"loss.noise_offset": 0.2}, LONG),
    ("makes pictures soft", {"loss.input_perturbation": 0.4}, LONG, {"loss.input_perturbation": 0.3}, LONG),
    ("takes the place of Min-SNR", {"loss.debiased": True}, LONG,
     {"loss.debiased": True, "loss.min_snr_gamma": 0.0}, LONG),
    ("means nothing for an epsilon", {"loss.scale_v_prediction": True, "model.prediction": "epsilon"}, LONG,
     {"loss.scale_v_prediction": True}, LONG),
    ("Only 50 timesteps", {"loss.min_timestep": 950}, LONG, {"loss.min_timestep": 900}, LONG),
    ("cost time and teach nothing", {"loss.prior_weight": 0.0}, LONG, {"loss.prior_weight": 0.1}, LONG),
    ("embeddings cannot be cached", {"dataset.shuffle_tags": True, "network.train_text_encoder": False}, LONG,
     {"dataset.shuffle_tags": True}, LONG),
    ("embeddings cannot be cached",
     {"dataset.wildcards": True, "dataset.tag_dropout": 0.1, "network.train_text_encoder": False}, LONG,
     {"network.train_text_encoder": False}, LONG),
    ("Keep tags has an effect", {"dataset.keep_tags": 3}, LONG,
     {"dataset.keep_tags": 3, "dataset.tag_dropout": 0.1}, LONG),
    ("keep separator has an effect", {"dataset.keep_separator": "|||"}, LONG,
     {"dataset.keep_separator": "|||", "dataset.shuffle_tags": True}, LONG),
    ("hardly learns words", {"dataset.caption_dropout": 0.6}, LONG, {"dataset.caption_dropout": 0.5}, LONG),
    ("every epoch is without", {"dataset.caption_dropout_every_n_epochs": 1}, LONG,
     {"dataset.caption_dropout_every_n_epochs": 2}, LONG),
    ("encoded anew", {"dataset.colour_jitter": True}, LONG, {"dataset.flip": True}, LONG),
    ("nothing to crop", {"dataset.random_crop": True, "dataset.fit": "pad"}, LONG, {"dataset.random_crop": True}, LONG),
    ("besides the masks", {"dataset.masks": "alpha", "dataset.fit": "pad"}, LONG, {"dataset.masks": "alpha"}, LONG),
    ("masks change nothing", {"dataset.masks": "files", "dataset.unmasked_weight": 1.0}, LONG,
     {"dataset.unmasked_weight": 1.0}, LONG),
    ("warm-up is as long as the run of 100", {"schedule.warmup_steps": 100}, SHORT, {"schedule.warmup_steps": 100},
     LONG),
    ("has no warm-up", {"schedule.name": "constant", "schedule.warmup_steps": 10}, LONG,
     {"schedule.warmup_steps": 10}, LONG),
    ("Restarts are set", {"schedule.cycles": 3}, LONG,
     {"schedule.cycles": 3, "schedule.name": "cosine_with_restarts"}, LONG),
    ("tag warm-up is longer", {"dataset.tag_warmup_steps": 200}, SHORT, {"dataset.tag_warmup_steps": 200}, LONG),
    ("after 500 steps at the latest", {"training.max_steps": 500}, LONG, {"training.epochs": 500}, LONG),
    ("10 of 30 pictures are held out", {"validation.pictures": 10}, LONG, {"validation.pictures": 7}, LONG),
    ("Early stop needs", {"validation.patience": 5, "validation.pictures": 0}, LONG, {"validation.patience": 5}, LONG),
    ("no preview prompts", {"sampling.every_n_steps": 100}, LONG,
     {"sampling.every_n_steps": 100, "sampling.prompts": ("a",)}, LONG),
    ("reads all captions once", {"model.family": "kolors", "dataset.shuffle_tags": True, "dataset.tag_dropout": 0.1},
     LONG, {"model.family": "sdxl", "dataset.shuffle_tags": True}, LONG),
    ("reads all captions once", {"dataset.wildcards": True}, Facts(family="kolors"),
     {"dataset.caption_dropout": 0.1}, Facts(family="kolors")),
    ("is of the family Stable Diffusion XL", {"model.family": "sd1"}, Facts(family="sdxl"),
     {"model.family": "sdxl"}, Facts(family="sdxl")),
    ("Of Kolors only the denoiser", {"model.family": "kolors", "network.train_denoiser": False}, LONG,
     {"network.train_denoiser": False}, LONG),
    ("text encoder of Kolors is not trained", {"model.family": "kolors"}, LONG,
     {"model.family": "kolors", "network.train_text_encoder": False}, LONG),
    ("is for LoRA alone", {"network.dora": True, "network.kind": "lokr"}, LONG, {"network.dora": True}, LONG),
    ("rank-stabilized scale every update counts 16 times", {"network.rank_stabilized": True, "network.alpha": 64.0},
     LONG, {"network.rank_stabilized": True}, LONG),
    ("alpha of convolutions is 4 times", {"network.conv_rank": 4, "network.conv_alpha": 16.0}, LONG,
     {"network.conv_rank": 8, "network.conv_alpha": 16.0}, LONG),
    ("holds as much as a LoRA of rank 1024", {"network.kind": "loha", "network.rank": 32}, LONG,
     {"network.kind": "loha"}, LONG),
    ("rank dropout does nothing in these", {"network.kind": "lokr", "network.rank_dropout": 0.1}, LONG,
     {"network.kind": "loha", "network.rank_dropout": 0.1}, LONG),
    ("Nothing is saved on the way", {"output.keep_last": 2, "output.save_every_n_epochs": 0}, LONG,
     {"output.keep_last": 2, "output.save_every_n_epochs": 0, "output.save_every_n_steps": 50}, LONG),
]  # fmt: skip


def config_of(changes: dict[str, Any]) -> TrainConfig:
    return with_values(TrainConfig(), changes)


def said(config: TrainConfig, facts: Facts) -> list[str]:
    return [conflict.sentence for conflict in conflicts(config, facts)]


def all_rules() -> tuple[Rule, ...]:
    return (*rules_learning.RULES, *rules_networks.RULES, *rules_running.RULES, *rules_families.RULES)


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_rule_fires_stays_silent_and_its_way_out_ends_it(
    case: tuple[str, dict[str, Any], Facts, dict[str, Any], Facts],
) -> None:
    words, changes, facts, near, near_facts = case
    config = config_of(changes)
    (conflict,) = [found for found in conflicts(config, facts) if words in found.sentence]
    assert conflict.changes
    assert conflict.button
    mended = with_values(config, conflict.changes)
    assert not any(words in sentence for sentence in said(mended, facts))
    assert not any(found.level == "error" for found in conflicts(mended, facts))
    assert not any(words in sentence for sentence in said(config_of(near), near_facts))


def test_every_rule_has_a_case_and_known_options() -> None:
    fired = {conflict.rule for _, changes, facts, _, _ in CASES for conflict in conflicts(config_of(changes), facts)}
    assert set(all_rules()) <= fired
    assert len(all_rules()) >= 25
    for rule in all_rules():
        assert set(rule.keys) <= set(specs_by_key())


def test_the_defaults_contradict_nothing() -> None:
    assert conflicts(TrainConfig(), LONG) == ()
    assert conflicts(TrainConfig()) == ()


def test_the_worst_comes_first() -> None:
    config = config_of({"training.max_steps": 10, "network.alpha": 500.0, "loss.min_timestep": 1000})
    levels = [conflict.level for conflict in conflicts(config)]
    assert levels == sorted(levels, key=["error", "warning", "info"].index)
    assert set(levels) == {"error", "warning", "info"}


def test_a_run_with_an_error_is_refused_in_the_same_words_and_a_warning_is_not() -> None:
    config = config_of({"training.precision": "fp16", "training.device": "cpu"})
    with pytest.raises(UserError) as caught:
        refuse_contradictions(config)
    (conflict,) = conflicts(config)
    assert caught.value.message == conflict.sentence
    assert "Set Precision to Automatic." in caught.value.remedy
    refuse_contradictions(config_of({"network.alpha": 500.0}))


def test_rules_speak_chinese() -> None:
    set_language("zh")
    (conflict,) = conflicts(config_of({"network.alpha": 64.0}))
    assert "4" in conflict.sentence
    assert conflict.button == "将「网络 Alpha」设为 16"
    assert idle_options(TrainConfig())["schedule.cycles"][1] == "「学习率调度器」为「余弦」时不起作用。"


def test_an_option_without_effect_names_what_switches_it_off() -> None:
    idle = idle_options(TrainConfig())
    assert idle["schedule.cycles"] == ("schedule.name", "No effect while Schedule is Cosine.")
    assert idle["loss.random_noise_offset"] == ("loss.noise_offset", "No effect while Noise offset is 0.")
    assert idle["sampling.width"][0] == "sampling.prompts"
    awake = config_of({"schedule.name": "cosine_with_restarts", "sampling.prompts": ("a",)})
    assert "schedule.cycles" not in idle_options(awake)
    assert "sampling.width" not in idle_options(awake)


def test_options_of_other_networks_say_that_they_do_nothing() -> None:
    idle = idle_options(TrainConfig())
    assert idle["network.conv_alpha"][0] == "network.conv_rank"
    assert idle["network.factor"][0] == "network.kind"
    assert "network.max_norm" not in idle and "network.conv_rank" not in idle
    chosen = idle_options(config_of({"network.dora": True, "network.layers": "attention"}))
    assert chosen["network.max_norm"][0] == "network.dora"
    assert chosen["network.conv_rank"][0] == "network.layers"
    assert "network.factor" not in idle_options(config_of({"network.kind": "lokr"}))
    text_alone = idle_options(config_of({"network.train_denoiser": False}))
    assert {"network.only", "network.leave_out", "network.block_ranks", "network.layers"} <= set(text_alone)


def test_no_option_is_idle_because_of_itself_and_all_are_known() -> None:
    for idle in IDLE:
        assert idle.because in specs_by_key()
        assert set(idle.keys) <= set(specs_by_key()) - {idle.because}


def test_a_job_with_a_contradiction_ends_before_anything_is_read(tmp_path: Path) -> None:
    config = config_of({"output.folder": tmp_path / "out", "loss.min_timestep": 1000})
    with pytest.raises(UserError, match="no timestep is left"):
        next(train(TrainJob(config=config), Control()))
    assert not (tmp_path / "out").exists()


def test_a_file_with_a_contradiction_still_loads(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[loss]\nmin_timestep = 1000\n", encoding="utf-8")
    assert load_config(tmp_path / "a.toml").loss.min_timestep == 1000
