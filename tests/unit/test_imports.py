"""Settings of other programs: every option is mapped or ignored with a reason, and each format gives what it says.

The files in tests/data/settings are written after the documented formats; beside each is what Kiln makes of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.config import TrainConfig, field_specs, with_values
from core.config.toml import literal
from core.dataset.edits import DatasetFile
from core.errors import UserError
from core.imports import Imported, OwnSettingsError, apply, dataset_file, read_settings, rerooted
from core.imports.encoding import MAX_BYTES

DATA = Path(__file__).resolve().parent.parent / "data" / "settings"
GOLDEN = (
    "sd_trainer_beginner.toml",
    "sd_trainer_expert.toml",
    "sd_trainer_preset.toml",
    "kohya_sections.toml",
    "kohya_ss.json",
    "lora_easy.toml",
    "onetrainer.json",
    "dataset.toml",
)

# What people bring: the options of SD-Trainer's beginner page, those that it adds silently, and the others of kohya's
# scripts. Values are as SD-Trainer or kohya's scripts write them when the option is in use.
BEGINNER_PAGE: dict[str, object] = {
    "pretrained_model_name_or_path": "./sd-models/model.safetensors",
    "train_data_dir": "./train/aki",
    "reg_data_dir": "./train/reg",
    "resolution": "512,512",
    "output_name": "aki",
    "output_dir": "./output",
    "save_every_n_epochs": 2,
    "max_train_epochs": 10,
    "train_batch_size": 1,
    "unet_lr": "1e-4",
    "text_encoder_lr": "1e-5",
    "lr_scheduler": "cosine_with_restarts",
    "lr_warmup_steps": 0,
    "lr_scheduler_num_cycles": 1,
    "optimizer_type": "AdamW8bit",
    "enable_preview": True,
    "sample_prompts": "1girl --n bad --w 512 --h 768 --l 7 --s 24 --d 1337",
    "sample_sampler": "euler_a",
    "sample_every_n_epochs": 2,
    "network_weights": "./output/old.safetensors",
    "network_dim": 32,
    "network_alpha": 32,
    "shuffle_caption": True,
    "keep_tokens": 0,
    "mixed_precision": "fp16",
    "no_half_vae": True,
    "xformers": True,
    "cache_latents": True,
}
ADDED_SILENTLY: dict[str, object] = {
    "enable_bucket": True,
    "min_bucket_reso": 256,
    "max_bucket_reso": 1024,
    "save_model_as": "safetensors",
    "save_precision": "fp16",
    "learning_rate": 1e-4,
    "network_module": "networks.lora",
    "network_train_unet_only": False,
    "network_train_text_encoder_only": False,
    "logging_dir": "./logs",
    "caption_extension": ".txt",
    "max_token_length": 255,
    "seed": 1337,
    "prior_loss_weight": 1,
    "clip_skip": 2,
    "persistent_data_loader_workers": True,
}
OTHERS: dict[str, object] = {
    "model_train_type": "sd-lora",
    "vae": "./sd-models/vae.pt",
    "resume": "./output/state",
    "v2": True,
    "v_parameterization": True,
    "scale_v_pred_loss_like_noise_pred": True,
    "bucket_reso_steps": 64,
    "bucket_no_upscale": True,
    "save_state": True,
    "save_last_n_epochs": 3,
    "save_last_n_epochs_state": 2,
    "gradient_checkpointing": True,
    "gradient_accumulation_steps": 2,
    "loss_type": "huber",
    "min_snr_gamma": 5,
    "network_dropout": 0.1,
    "scale_weight_norms": 1,
    "weighted_captions": True,
    "keep_tokens_separator": "|||",
    "caption_dropout_rate": 0.1,
    "caption_dropout_every_n_epochs": 4,
    "caption_tag_dropout_rate": 0.1,
    "noise_offset": 0.05,
    "multires_noise_iterations": 6,
    "multires_noise_discount": 0.3,
    "color_aug": True,
    "flip_aug": True,
    "random_crop": True,
    "full_fp16": True,
    "full_bf16": True,
    "sdpa": True,
    "lowram": True,
    "cache_latents_to_disk": True,
    "cache_text_encoder_outputs": True,
    "cache_text_encoder_outputs_to_disk": True,
    "vae_batch_size": 2,
    "log_with": "tensorboard",
    "log_prefix": "run",
    "log_tracker_name": "run",
    "wandb_api_key": "SECRET",
    "ddp_timeout": 30,
    "ddp_gradient_as_bucket_view": True,
    "ddp_static_graph": True,
    "base_weights": ["a.safetensors"],
    "base_weights_multiplier": [0.5],
    "network_args": ["conv_dim=4"],
    "optimizer_args": ["weight_decay=0.02"],
    "lycoris_algo": "locon",
    "lokr_factor": 8,
    "dylora_unit": 4,
    "enable_block_weights": True,
    "down_lr_weight": "sine",
    "mid_lr_weight": "1",
    "up_lr_weight": "cosine",
    "prodigy_d0": 1e-6,
    "prodigy_d_coef": 2,
}
IN_NETWORK_ARGS = (
    "conv_dim=4",
    "conv_alpha=1",
    "algo=locon",
    "dropout=0.1",
    "factor=8",
    "unit=4",
    "train_norm=True",
    "down_lr_weight=sine",
)
IN_KOHYA_SS: dict[str, object] = {"LoRA_type": "LyCORIS/LoHa", "epoch": 8, "conv_alphas": "4"}
"""What the form of kohya_ss calls otherwise than the scripts do; there, empty texts and 0 stand for nothing."""
ALL_KEYS = {**BEGINNER_PAGE, **ADDED_SILENTLY, **OTHERS}


def toml_of(values: dict[str, object]) -> str:
    return "".join(f"{name} = {literal(value)}\n" for name, value in values.items())


def read(folder: Path, text: str, name: str = "settings.toml") -> Imported:
    (folder / name).write_text(text, encoding="utf-8")
    return read_settings(folder / name)


def sources_of(imported: Imported) -> set[str]:
    return {item.source_key for item in (*imported.mapped, *imported.ignored)}


def reason_of(imported: Imported, source_key: str) -> str:
    return next(item.reason for item in imported.ignored if item.source_key == source_key)


def described(path: Path) -> dict[str, object]:
    """An import as plain values; paths inside the test data are relative to them."""
    imported = read_settings(path)

    def plain(value: object) -> object:
        if isinstance(value, Path):
            return os.path.relpath(value, DATA).replace(os.sep, "/") if value.is_absolute() else value.as_posix()
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value

    return {
        "source": imported.source,
        "config_changes": {key: plain(value) for key, value in sorted(imported.config_changes.items())},
        "notes": {f"{item.source_key} -> {item.key}": item.note for item in imported.mapped if item.note},
        "ignored": {item.source_key: item.reason for item in imported.ignored if not item.is_harmless},
        "harmless": sorted(item.source_key for item in imported.ignored if item.is_harmless),
        "concepts": [
            {key: plain(value) for key, value in concept.model_dump(exclude_defaults=True).items()}
            for concept in imported.concepts
        ],
        "paths": {item.key: plain(item.path) for item in imported.paths},
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_a_file_of_each_program_gives_what_it_says(name: str) -> None:
    expected = json.loads((DATA / f"{name}.expected.json").read_text(encoding="utf-8"))
    assert described(DATA / name) == expected


@pytest.mark.parametrize("name", list(ALL_KEYS))
def test_every_option_alone_is_mapped_or_ignored_with_a_reason(tmp_path: Path, name: str) -> None:
    values = {"optimizer_type": "AdamW8bit"} if name.startswith("prodigy") else {}
    values = {"optimizer_type": "Prodigy"} if name == "prodigy_d0" else values
    imported = read(tmp_path, toml_of({**values, "keep_tokens": 1, name: ALL_KEYS[name]}))
    found = [source for source in sources_of(imported) if source == name or source.startswith(f"{name}: ")]
    assert found
    for item in imported.ignored:
        assert item.reason.endswith(".") and "does not know" not in item.reason


def test_all_options_together_are_mapped_or_ignored_and_give_a_config(tmp_path: Path) -> None:
    imported = read(tmp_path, toml_of(ALL_KEYS))
    assert {name for name in ALL_KEYS if not name.endswith("_args")} <= sources_of(imported)
    assert not [item for item in imported.ignored if "does not know" in item.reason]
    assert apply(imported, TrainConfig()).network.rank == 32
    assert imported.source == "sd_trainer"


def test_an_option_is_not_mapped_and_ignored_at_once(tmp_path: Path) -> None:
    imported = read(tmp_path, toml_of(ALL_KEYS))
    both = {item.source_key for item in imported.mapped} & {item.source_key for item in imported.ignored}
    assert both == set()


@pytest.mark.parametrize("argument", IN_NETWORK_ARGS)
def test_options_of_the_network_are_mapped_or_ignored_with_a_reason(tmp_path: Path, argument: str) -> None:
    imported = read(tmp_path, toml_of({"network_dim": 8, "network_args": [argument]}))
    source = f"network_args: {argument.partition('=')[0]}"
    assert source in sources_of(imported)
    assert not [item for item in imported.ignored if "does not know" in item.reason]


@pytest.mark.parametrize(
    ("name", "key"), [("LoRA_type", "network.kind"), ("epoch", "training.epochs"), ("conv_alphas", "")]
)
def test_options_that_only_kohya_ss_calls_so_are_mapped_or_ignored_with_a_reason(
    tmp_path: Path, name: str, key: str
) -> None:
    values = {"LoRA_type": "Standard", "max_resolution": "512,512", "network_dim": 8, name: IN_KOHYA_SS[name]}
    imported = read(tmp_path, json.dumps(values), "settings.json")
    assert imported.source == "kohya_ss"
    assert [item.key for item in imported.mapped if item.source_key == name] == [key] * bool(key)
    assert key or reason_of(imported, name).endswith(".")
    assert not [item for item in imported.ignored if "does not know" in item.reason]


def test_what_is_empty_in_kohya_ss_is_not_set(tmp_path: Path) -> None:
    values = {"LoRA_type": "Standard", "max_resolution": "512,512", "network_dim": 8, "max_train_epochs": ""}
    assert "training.epochs" not in read(tmp_path, json.dumps({**values, "epoch": 0}), "a.json").config_changes
    assert read(tmp_path, json.dumps({**values, "epoch": 8}), "b.json").config_changes["training.epochs"] == 8


def test_an_argument_of_the_optimizer_is_split_at_its_first_equals_sign(tmp_path: Path) -> None:
    imported = read(tmp_path, toml_of({"network_dim": 8, "optimizer_args": ["weight_decay=0.02", "odd=a=b"]}))
    assert imported.config_changes["optimizer.weight_decay"] == 0.02
    assert "optimizer_args: odd" in sources_of(imported)


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    imported = read(tmp_path, "network_dim = 8\nmagic_dust = 3\n")
    assert reason_of(imported, "magic_dust") == "Kiln does not know this option."


def test_keys_of_services_are_never_kept(tmp_path: Path) -> None:
    imported = read(tmp_path, toml_of({**ALL_KEYS, "huggingface_token": "hf_SECRET"}))
    assert "SECRET" not in repr(imported)
    assert "hf_SECRET" not in repr(read_settings(DATA / "onetrainer.json"))


@pytest.mark.parametrize("name", GOLDEN)
def test_every_change_is_within_the_limits_of_the_settings(name: str) -> None:
    imported = read_settings(DATA / name)
    changes = dict(imported.config_changes)
    assert with_values(TrainConfig(), changes)
    assert set(changes) <= {spec.key for spec in field_specs()}


def test_applying_keeps_what_the_file_does_not_say(tmp_path: Path) -> None:
    config = with_values(TrainConfig(), {"network.rank": 4, "dataset.trigger_word": "yanami"})
    imported = read(tmp_path, "network_alpha = 2\n")
    applied = apply(imported, config)
    assert (applied.network.rank, applied.network.alpha, applied.dataset.trigger_word) == (4, 2.0, "yanami")


def test_what_a_whole_run_leaves_out_is_what_its_scripts_do(tmp_path: Path) -> None:
    imported = read(tmp_path, toml_of({"train_data_dir": "x", "pretrained_model_name_or_path": "y"}))
    config = apply(imported, with_values(TrainConfig(), {"dataset.flip": True, "network.dropout": 0.5}))
    assert config.loss.min_snr_gamma == 0 and config.dataset.flip is False and config.network.dropout == 0
    assert (config.network.rank, config.network.alpha) == (4, 1.0)
    assert (config.training.max_steps, config.training.epochs) == (1600, 10000)
    assert config.dataset.caption_extension == ".caption" and config.schedule.name == "constant"
    assumed = {item.key for item in imported.mapped if item.is_assumed}
    assert "loss.min_snr_gamma" in assumed and "dataset.flip" not in assumed  # Kiln's own default is no news.


def test_a_few_options_are_no_whole_run(tmp_path: Path) -> None:
    imported = read(tmp_path, "network_dim = 8\nflip_aug = true\n")
    assert imported.config_changes == {"network.rank": 8, "dataset.flip": True}


# --- paths --------------------------------------------------------------------------------------------------------


def test_paths_are_found_beside_the_file_and_in_the_folder_of_the_trainer(tmp_path: Path) -> None:
    trainer = tmp_path / "训练器 🔥"
    (trainer / "train" / "aki").mkdir(parents=True)
    (trainer / "config" / "autosave").mkdir(parents=True)
    text = toml_of({"train_data_dir": "./train/aki", "output_dir": "./output", "network_dim": 8})
    imported = read(trainer / "config" / "autosave", text)
    assert imported.config_changes["dataset.folder"] == trainer / "train" / "aki"
    assert imported.config_changes["output.folder"] == trainer / "output"
    assert {path.key: path.exists for path in imported.paths} == {"dataset.folder": True, "output.folder": False}


def test_a_folder_that_is_elsewhere_now_is_replaced_everywhere(tmp_path: Path) -> None:
    for name in ("train/yanami", "train/reg", "sd-models"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "sd-models" / "anything.safetensors").touch()
    imported = read_settings(DATA / "sd_trainer_expert.toml")
    assert imported.missing_root == Path("D:/lora-scripts")
    moved = rerooted(imported, Path("D:/lora-scripts"), tmp_path)
    assert moved.config_changes["model.base"] == tmp_path / "sd-models" / "anything.safetensors"
    assert moved.config_changes["dataset.folder"] == tmp_path / "train" / "yanami"
    assert [concept.folder for concept in moved.concepts] == [tmp_path / "train/yanami", tmp_path / "train/reg"]
    assert {path.key for path in moved.paths if not path.exists} == {"output.folder"}
    assert moved.missing_root is None


def test_what_is_still_where_it_was_stays_there(tmp_path: Path) -> None:
    (tmp_path / "old" / "base").mkdir(parents=True)
    text = toml_of(
        {
            "pretrained_model_name_or_path": (tmp_path / "old" / "base").as_posix(),
            "train_data_dir": (tmp_path / "old" / "girl").as_posix(),
        }
    )
    imported = read(tmp_path, text)
    assert imported.missing_root == tmp_path / "old"
    moved = rerooted(imported, tmp_path / "old", tmp_path / "new")
    assert moved.config_changes["model.base"] == tmp_path / "old" / "base"
    assert moved.config_changes["dataset.folder"] == tmp_path / "new" / "girl"


def test_of_missing_paths_without_a_common_folder_the_first_is_asked_for(tmp_path: Path) -> None:
    text = toml_of({"pretrained_model_name_or_path": "/gone-1/a/base", "train_data_dir": "/gone-2/b/girl"})
    imported = read(tmp_path, text)
    assert imported.missing_root is not None and imported.missing_root.name == "a"


def test_backslashes_and_the_case_of_windows_names_do_not_matter(tmp_path: Path) -> None:
    imported = read(tmp_path, "train_data_dir = 'd:\\Pictures\\girl'\nnetwork_dim = 8\n")
    if sys.platform == "win32":
        pytest.skip("There it is a path of this machine.")
    moved = rerooted(imported, Path("D:/pictures"), tmp_path)
    assert moved.config_changes["dataset.folder"] == tmp_path / "girl"


@pytest.mark.skipif(sys.platform == "win32", reason="there it is a path of this machine")
def test_paths_of_another_system_are_named_as_missing_but_nothing_is_written_there() -> None:
    imported = read_settings(DATA / "sd_trainer_expert.toml")
    before = with_values(TrainConfig(), {"model.base": Path("/mine"), "dataset.folder": Path("/pictures")})
    now = apply(replace(imported, config_changes={**imported.config_changes, "output.folder": Path("D:/out")}), before)
    assert now.model.base == imported.config_changes["model.base"] != before.model.base
    assert now.dataset.folder == imported.config_changes["dataset.folder"] != before.dataset.folder
    assert now.output.folder == Path()
    assert now.network.rank == 64
    assert dataset_file(imported) is None


@pytest.mark.parametrize(("name", "is_taken"), [("user/model-v1.5", False), ("sub/model.ckpt", True), ("./a/b", True)])
def test_the_name_of_a_model_on_a_hub_is_no_path(tmp_path: Path, name: str, is_taken: bool) -> None:
    imported = read(tmp_path, toml_of({"pretrained_model_name_or_path": name, "network_dim": 8}))
    assert ("model.base" in imported.config_changes) is is_taken
    (tmp_path / name).mkdir(parents=True)
    assert read_settings(tmp_path / "settings.toml").config_changes["model.base"] == tmp_path / name


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes among files")
def test_a_pipe_is_no_settings_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.toml")
    with pytest.raises(UserError):
        read_settings(tmp_path / "x.toml")


def test_prompts_are_read_after_their_folder_was_found(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("1girl --d 5\n", encoding="utf-8")
    text = 'network_dim = 8\nsample_prompts = "Z:/gone/prompts.txt"\n'
    imported = read(tmp_path, text)
    assert "sampling.prompts" not in imported.config_changes
    moved = rerooted(imported, Path("Z:/gone"), tmp_path)
    assert moved.config_changes["sampling.prompts"] == ("1girl",)
    assert moved.config_changes["sampling.seed"] == 5


# --- folders ------------------------------------------------------------------------------------------------------


def test_folders_of_a_dataset_file_become_a_dataset_file_of_kiln() -> None:
    content = dataset_file(read_settings(DATA / "dataset.toml"))
    assert isinstance(content, DatasetFile)
    girl, faces, reg = content.concepts
    assert (girl.folder.name, girl.repeats, girl.class_word) == ("girl", 10, "hatsune miku")
    assert (faces.folder.name, faces.repeats) == ("faces", 1000)
    assert (reg.folder.name, reg.repeats, reg.is_regularization) == ("reg", 1, True)


def test_one_plain_folder_needs_no_dataset_file(tmp_path: Path) -> None:
    text = '[[datasets]]\nresolution = 512\n[[datasets.subsets]]\nimage_dir = "girl"\nnum_repeats = 3\n'
    imported = read(tmp_path, text)
    assert dataset_file(imported) is None
    assert imported.config_changes["dataset.folder"] == tmp_path / "girl"
    assert imported.config_changes["dataset.repeats"] == 3


def test_repeats_of_a_dataset_file_overrule_the_name_of_the_folder(tmp_path: Path) -> None:
    text = '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "10_girl"\nnum_repeats = 3\n'
    (concept,) = read(tmp_path, text).concepts
    assert concept.repeats == 3


def test_a_dataset_file_in_json_reads_alike(tmp_path: Path) -> None:
    values = {"datasets": [{"resolution": 512, "subsets": [{"image_dir": "girl", "num_repeats": 2}]}]}
    imported = read(tmp_path, json.dumps(values), "dataset.json")
    assert imported.source == "kohya_dataset" and imported.config_changes["dataset.repeats"] == 2


def test_the_dataset_file_that_settings_name_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "data.toml").write_text('[[datasets]]\n[[datasets.subsets]]\nimage_dir = "girl"\n', encoding="utf-8")
    imported = read(tmp_path, 'network_dim = 8\ndataset_config = "data.toml"\n')
    assert imported.config_changes["dataset.folder"] == tmp_path / "girl"
    assert "dataset_config" in sources_of(imported)


def test_a_dataset_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    imported = read(tmp_path, 'network_dim = 8\ndataset_config = "data.toml"\n')
    assert "not there" in reason_of(imported, "dataset_config")


# --- damaged and strange files ------------------------------------------------------------------------------------


def test_chinese_windows_text_and_marks_are_read(tmp_path: Path) -> None:
    text = 'network_dim = 8\noutput_name = "八奈见"\n'
    for number, data in enumerate((text.encode("gbk"), text.encode("utf-8-sig"), text.encode("utf-16"))):
        path = tmp_path / f"{number}.toml"
        path.write_bytes(data)
        assert read_settings(path).config_changes["output.name"] == "八奈见"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02binary",
        b"\xff\xff\xff",
        b"{",
        b'{"network_dim": 8',
        b"[" * 5000,
        b"{" + b'"a":{' * 5000,
        b"network_dim = ",
        b"network_dim = 8\nnetwork_dim = 9\n",
        b"[project]\nname = 'x'\nversion = '1'\ndescription = 'y'\n",
        b"[1, 2, 3]",
        b'[{"prompt": "x"}]',
        b"null",
        b"just some words",
        b"network_dim = " + b"9" * 5000,
        b"x" * (MAX_BYTES + 1),
    ],
    ids=range(16),
)
def test_what_is_no_settings_file_is_told_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "设置.toml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_settings(path)
    assert "设置.toml" in caught.value.message and caught.value.remedy


def test_a_missing_file_and_a_folder_are_told_in_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UserError) as caught:
            read_settings(path)
        assert str(path) in caught.value.message


def test_kilns_own_settings_need_no_import(tmp_path: Path) -> None:
    with pytest.raises(OwnSettingsError):
        read(tmp_path, "[network]\nrank = 8\n[training]\nepochs = 3\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network_dim", "nan"),
        ("network_dim", "inf"),
        ("network_dim", "'many'"),
        ("network_dim", "true"),
        ("network_dim", "[1, 2]"),
        ("network_alpha", "-nan"),
        ("learning_rate", "nan"),
        ("unet_lr", "'fast'"),
        ("resolution", "'wide'"),
        ("resolution", "'0,512'"),
        ("resolution", "nan"),
        ("max_train_epochs", "1.5"),
        ("shuffle_caption", "'perhaps'"),
        ("min_bucket_reso", "'x'"),
        ("lr_scheduler", "'zigzag'"),
        ("lr_warmup_steps", "'x'"),
        ("optimizer_type", "'Magic'"),
        ("mixed_precision", "'fp4'"),
        ("loss_type", "'love'"),
        ("caption_extension", "'.png'"),
        ("output_name", "'CON'"),
        ("sample_sampler", "'magic'"),
        ("sample_prompts", "'missing.txt'"),
        ("output_dir", "3"),
        ("output_dir", "'a\\u0000b'"),
        ("down_lr_weight", "'sideways'"),
        ("token_warmup_step", "0.5"),
        ("lr_warmup_steps", "0.1"),
    ],
)
def test_a_value_that_does_not_fit_is_left_out_with_a_reason(tmp_path: Path, name: str, value: str) -> None:
    value = value.replace("'", '"')
    imported = read(tmp_path, f"keep_tokens = 1\nflip_aug = true\n{name} = {value}\n")
    assert reason_of(imported, name)
    changes = {key for key in imported.config_changes if not key.startswith("dataset.")}
    assert not changes


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("network_dim = 5000", "network.rank", 512),
        ("network_dim = 0", "network.rank", 1),
        ("train_batch_size = 1000", "training.batch_size", 256),
        ("keep_tokens = -1", "dataset.keep_tags", 0),
        ("clip_skip = 12", "model.clip_skip", 4),
        ("max_token_length = 255", "model.max_tokens", 225),
        ("bucket_reso_steps = 30", "dataset.bucket_step", 24),
        ("noise_offset = 3.5", "loss.noise_offset", 1.0),
    ],
)
def test_a_value_beyond_the_limits_is_brought_inside(tmp_path: Path, text: str, key: str, value: object) -> None:
    imported = read(tmp_path, f"flip_aug = true\n{text}\n")
    assert imported.config_changes[key] == value
    note = next(item.note for item in imported.mapped if item.key == key)
    assert note or "255" in text


def test_no_damage_to_a_file_is_more_than_a_sentence(tmp_path: Path) -> None:
    """Bytes are changed, cut out and doubled at random; what comes out can be applied, or is an error with a remedy."""
    chance = random.Random(7)
    files = [(DATA / name).read_bytes() for name in GOLDEN]
    num_read = 0
    for number in range(150):
        data = bytearray(chance.choice(files))
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(data))
            change = chance.randrange(4)
            if change == 0:
                data[place] = chance.randrange(256)
            elif change == 1:
                del data[place : place + chance.randint(1, 40)]
            elif change == 2:
                data[place:place] = chance.choice((b"nan", b"-1", b"[]", b'""', b"1e999", b"{}", b"true", b"\n"))
            else:
                data[place:place] = data[place : place + 30]
        path = tmp_path / f"{number}.toml"
        path.write_bytes(data)
        with contextlib.suppress(UserError):
            imported = read_settings(path)
            num_read += 1
            assert apply(imported, TrainConfig())
    assert num_read > 10


def test_strange_values_in_every_option_are_taken_or_ignored(tmp_path: Path) -> None:
    strange = (
        "nan",
        "-1",
        "1e300",
        '""',
        "[]",
        "[[]]",
        "{}",
        "true",
        '"😀"',
        '"1e-4"',
        "1979-05-27T07:32:00Z",
        '"a=b=c"',
    )
    for number, value in enumerate(strange):
        text = "".join(f"{name} = {value}\n" for name in ALL_KEYS)
        imported = read(tmp_path, text, f"{number}.toml")
        assert apply(imported, TrainConfig())
