"""What words of other programs become in Kiln: rates, optimizers, schedules, blocks, buckets, prompts, LoRA files."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.config import TrainConfig, field_specs
from core.config.toml import literal
from core.errors import UserError
from core.imports import Imported, apply, read_settings
from core.imports.blocks import block_weights, layout_of
from core.imports.optimizers import FURTHER
from core.imports.previews import prompt_of, prompts_of
from core.lora.keys import module_names
from core.models import FAMILY_NAMES


def read(folder: Path, text: str, name: str = "settings.toml") -> Imported:
    (folder / name).write_text(text, encoding="utf-8")
    return read_settings(folder / name)


def changes_of(folder: Path, **values: object) -> dict[str, object]:
    text = "".join(f"{name} = {literal(value)}\n" for name, value in {"flip_aug": True, **values}.items())
    return read(folder, text).config_changes


def ignored_of(imported: Imported) -> dict[str, str]:
    return {item.source_key: item.reason for item in imported.ignored}


# --- rates --------------------------------------------------------------------------------------------------------

RATES = ("optimizer.learning_rate", "optimizer.text_encoder_learning_rate")
PARTS = ("network.train_denoiser", "network.train_text_encoder")


@pytest.mark.parametrize(
    ("values", "rates", "parts"),
    [
        ({"learning_rate": 1e-4}, (1e-4, 1e-4), (None, None)),
        ({"learning_rate": 1e-4, "text_encoder_lr": 1e-5}, (1e-4, 1e-5), (None, None)),
        ({"learning_rate": 1e-4, "unet_lr": 2e-4, "text_encoder_lr": 1e-5}, (2e-4, 1e-5), (None, None)),
        ({"learning_rate": 1e-4, "unet_lr": "", "text_encoder_lr": ""}, (1e-4, 1e-4), (None, None)),
        ({"unet_lr": "2e-4", "text_encoder_lr": 0}, (2e-4, None), (None, False)),
        ({"unet_lr": 0, "text_encoder_lr": "1e-5"}, (None, 1e-5), (False, None)),
        ({"learning_rate": 1e-4, "unet_lr": 0, "text_encoder_lr": 0}, (1e-4, 1e-4), (None, None)),
        ({"unet_lr": 1e-4, "text_encoder_lr": [1e-5, 2e-5]}, (1e-4, 1e-5), (None, None)),
        ({"unet_lr": 1e-4, "network_train_unet_only": True}, (1e-4, None), (None, False)),
        ({"unet_lr": 1e-4, "network_train_text_encoder_only": True}, (1e-4, None), (False, None)),
        ({"unet_lr": 1e-4, "text_encoder_lr": 0, "network_train_unet_only": False}, (1e-4, None), (None, False)),
    ],
)
def test_each_part_learns_at_the_rate_that_kohyas_scripts_would_use(
    tmp_path: Path,
    values: dict[str, object],
    rates: tuple[float | None, float | None],
    parts: tuple[bool | None, bool | None],
) -> None:
    changes = changes_of(tmp_path, **values)
    assert tuple(changes.get(key) for key in RATES) == rates
    assert tuple(changes.get(key) for key in PARTS) == parts


def test_two_text_encoders_learn_at_the_rate_of_the_first(tmp_path: Path) -> None:
    imported = read(tmp_path, "unet_lr = 1e-4\ntext_encoder_lr = [2e-5, 1e-5]\n")
    assert imported.config_changes["optimizer.text_encoder_learning_rate"] == 2e-5
    notes = {item.source_key: item.note for item in imported.mapped}
    assert notes["text_encoder_lr"] == "Kiln trains both text encoders of SDXL alike." and not notes["unet_lr"]


def test_two_flags_that_exclude_each_other_leave_one_part_to_train(tmp_path: Path) -> None:
    changes = changes_of(tmp_path, network_train_unet_only=True, network_train_text_encoder_only=True)
    assert [changes[key] for key in PARTS] == [True, False]


# --- optimizers and schedules -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name", "further"),
    [
        ("AdamW", "adamw", ()),
        ("torch.optim.AdamW", "adamw", ()),
        ("torch.optim.adamw.AdamW", "adamw", ()),
        ("AdamW8bit", "adamw8bit", ()),
        ("bitsandbytes.optim.adamw.AdamW8bit", "adamw8bit", ()),
        ("PagedAdamW8bit", "adamw8bit", ("is_paged=True",)),
        ("Lion", "lion", ()),
        ("Lion8bit", "lion", ()),
        ("AdaFactor", "adafactor", ()),
        ("Prodigy", "prodigy", ()),
        ("prodigyopt.Prodigy", "prodigy", ()),
        ("DAdaptation", "dadaptation", ()),
        ("DAdaptAdam", "dadaptation", ()),
        ("DAdaptLion", "dadaptation", ()),
        ("AdamWScheduleFree", "adamw_schedulefree", ()),
        ("SCHEDULE_FREE_ADAMW", "adamw_schedulefree", ()),
        ("LoraEasyCustomOptimizer.came.CAME", "came", ()),
        ("pytorch_optimizer.CAME", "came", ()),
        ("SGDNesterov", "sgd", ("nesterov=True",)),
        ("torch.optim.SGD", "sgd", ()),
    ],
)
def test_optimizers_are_known_by_all_their_spellings(
    tmp_path: Path, words: str, name: str, further: tuple[str, ...]
) -> None:
    changes = changes_of(tmp_path, optimizer_type=words)
    assert changes["optimizer.name"] == name
    assert changes.get("optimizer.arguments", ()) == further


def test_every_optimizer_of_kiln_can_be_imported() -> None:
    choices = next(spec.choices for spec in field_specs() if spec.key == "optimizer.name")
    assert set(FURTHER) == set(choices)


@pytest.mark.parametrize("value", [["weight_decay=0.1", "betas=0.8, 0.95", "eps=1e-6", "d_coef=2", "d0=1e-5"], None])
def test_options_of_the_optimizer_are_read_from_lists_and_tables(tmp_path: Path, value: list[str] | None) -> None:
    table = "\n[optimizer_args]\nweight_decay = 0.1\nbetas = [0.8, 0.95]\neps = 1e-6\nd_coef = 2\nd0 = '1e-5'\n"
    options = f"optimizer_args = {literal(value)}\n" if value else table
    changes = read(tmp_path, f'optimizer_type = "Prodigy"\n{options}').config_changes
    assert {key: number for key, number in changes.items() if key.startswith("optimizer.")} == {
        "optimizer.name": "prodigy",
        "optimizer.weight_decay": 0.1,
        "optimizer.beta1": 0.8,
        "optimizer.beta2": 0.95,
        "optimizer.epsilon": 1e-6,
        "optimizer.growth": 2.0,
        "optimizer.arguments": ("d0=1e-5",),
    }


def test_an_argument_that_the_optimizer_lacks_would_stop_the_run_and_is_left_out(tmp_path: Path) -> None:
    imported = read(tmp_path, 'optimizer_type = "AdamW"\noptimizer_args = ["d0=1", "amsgrad=True", "lonely"]\n')
    assert imported.config_changes["optimizer.arguments"] == ("amsgrad=True",)
    assert set(ignored_of(imported)) == {"optimizer_args: d0", "optimizer_args: lonely"}


def test_further_arguments_are_ones_that_the_optimizers_take() -> None:
    library = pytest.importorskip("pytorch_optimizer")
    classes = {
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
        "lion": library.Lion,
        "adafactor": library.AdaFactor,
        "prodigy": library.Prodigy,
        "dadaptation": library.DAdaptAdam,
        "adamw_schedulefree": library.ScheduleFreeAdamW,
        "came": library.CAME,
    }
    for name, optimizer in classes.items():
        assert set(FURTHER[name]) <= set(inspect.signature(optimizer).parameters), name


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"lr_scheduler": "constant"}, {"schedule.name": "constant"}),
        ({"lr_scheduler": "cosine_with_min_lr"}, {"schedule.name": "cosine"}),
        ({"lr_scheduler": "adafactor"}, {"schedule.name": "constant"}),
        (
            {"lr_scheduler": "cosine", "lr_scheduler_type": "LoraEasyCustomOptimizer.Rex.RexAnnealingWarmRestarts"},
            {"schedule.name": "rex"},
        ),
        ({"lr_warmup_steps": 50}, {"schedule.warmup_steps": 50}),
        ({"lr_warmup_steps": 0.05, "max_train_steps": 1000}, {"schedule.warmup_steps": 50}),
        ({"warmup_ratio": 0.1, "max_train_steps": 1000}, {"schedule.warmup_steps": 100}),
        ({"lr_decay_steps": 0.2, "max_train_steps": 1000}, {"schedule.decay_steps": 200}),
        ({"lr_scheduler_num_cycles": "3", "lr_scheduler_power": 2}, {"schedule.cycles": 3, "schedule.power": 2.0}),
        ({"max_train_steps": 500}, {"training.max_steps": 500, "training.epochs": 10000}),
        ({"max_train_steps": 500, "max_train_epochs": 4}, {"training.epochs": 4}),
        ({"max_train_steps": 500, "max_train_epochs": ""}, {"training.max_steps": 500}),
    ],
)
def test_schedules_and_lengths_mean_the_same(
    tmp_path: Path, values: dict[str, object], expected: dict[str, object]
) -> None:
    changes = changes_of(tmp_path, **values)
    assert {key: changes.get(key) for key in expected} == expected


def test_of_steps_and_epochs_the_epochs_count(tmp_path: Path) -> None:
    imported = read(tmp_path, "max_train_steps = 500\nmax_train_epochs = 4\n")
    assert "training.max_steps" not in imported.config_changes
    assert "max_train_steps" in ignored_of(imported)


# --- families -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "family"),
    [
        ({"model_train_type": "sd-lora"}, "sd1"),
        ({"model_train_type": "sd-lora", "v2": False}, "sd1"),
        ({"model_train_type": "sd-lora", "v2": True}, "sd2"),
        ({"model_train_type": "sdxl-lora"}, "sdxl"),
        ({"LoRA_type": "Standard", "sdxl": True, "v2": False}, "sdxl"),
        ({"LoRA_type": "Standard", "sdxl": False, "v2": True}, "sd2"),
        ({"LoRA_type": "Standard", "sdxl": False, "v2": False}, None),
        ({"v2": True, "v_parameterization": True}, "sd2"),
    ],
)
def test_the_family_is_what_the_file_says(tmp_path: Path, values: dict[str, object], family: str | None) -> None:
    imported = read(tmp_path, "".join(f"{name} = {literal(value)}\n" for name, value in values.items()))
    assert imported.config_changes.get("model.family") == family
    assert all(item.is_harmless for item in imported.ignored)


@pytest.mark.parametrize(
    ("values", "name", "said"),
    [
        ({"model_train_type": "flux-lora"}, "model_train_type", "is for Flux."),
        ({"model_train_type": "sd3-lora"}, "model_train_type", "is for Stable Diffusion 3."),
        ({"model_train_type": "something-new"}, "model_train_type", "is for something-new."),
        ({"model_train_type": "sdxl-finetune"}, "model_train_type", "LoRAs and nothing else"),
        ({"flux1_checkbox": True}, "flux1_checkbox", "is for Flux."),
        ({"model_train_type": "sdxl-lora", "v2": True}, "v2", "model_train_type counts instead."),
    ],
)
def test_other_families_and_contradictions_are_named(
    tmp_path: Path, values: dict[str, object], name: str, said: str
) -> None:
    text = "".join(f"{key} = {literal(value)}\n" for key, value in {"network_dim": 8, **values}.items())
    assert said in ignored_of(read(tmp_path, text))[name]


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("STABLE_DIFFUSION_15", "sd1"),
        ("STABLE_DIFFUSION_21", "sd2"),
        ("STABLE_DIFFUSION_XL_10_BASE", "sdxl"),
        ("STABLE_DIFFUSION_15_INPAINTING", None),
        ("FLUX_DEV_1", None),
        (["strange"], None),
    ],
)
def test_model_types_of_onetrainer(tmp_path: Path, kind: object, family: str | None) -> None:
    text = json.dumps({"__version": 9, "training_method": "LORA", "model_type": kind})
    imported = read(tmp_path, text, "settings.json")
    assert imported.config_changes.get("model.family") == family
    assert ("model_type" in ignored_of(imported)) is (family is None)


# --- blocks -------------------------------------------------------------------------------------------------------


def test_block_weights_name_the_parts_that_kohyas_numbers_stand_for(tmp_path: Path) -> None:
    arguments = ["down_lr_weight=9,2,3,9,4,5,9,6,7,9,9,9", "mid_lr_weight=8", "up_lr_weight=9,9,9,1,2,3,4,5,6,7,8,0"]
    changes = changes_of(tmp_path, network_args=arguments)
    assert changes["optimizer.block_rates"] == (
        "down_blocks.0.attentions.0=2",
        "down_blocks.0.attentions.1=3",
        "down_blocks.1.attentions.0=4",
        "down_blocks.1.attentions.1=5",
        "down_blocks.2.attentions.0=6",
        "down_blocks.2.attentions.1=7",
        "mid_block=8",
        "up_blocks.1.attentions.1=2",  # The one before has the weight 1, which needs no word.
        "up_blocks.1.attentions.2=3",
        "up_blocks.2.attentions.0=4",
        "up_blocks.2.attentions.1=5",
        "up_blocks.2.attentions.2=6",
        "up_blocks.3.attentions.0=7",
        "up_blocks.3.attentions.1=8",
        "up_blocks.3.attentions.2=0",
    )


def test_a_curve_gives_twelve_weights(tmp_path: Path) -> None:
    lines = changes_of(tmp_path, down_lr_weight="sine+0.25")["optimizer.block_rates"]
    assert isinstance(lines, tuple)
    assert lines[0] == f"down_blocks.0.attentions.0={math.sin(math.pi / 2 / 11) + 0.25:.4g}"
    down = [float(line.partition("=")[2]) for line in lines]
    assert down == sorted(down) and len(down) == 6
    falling = changes_of(tmp_path, down_lr_weight="cosine+0.25")["optimizer.block_rates"]
    assert isinstance(falling, tuple)
    assert falling[0] == f"down_blocks.0.attentions.0={math.sin(math.pi / 2 * 10 / 11) + 0.25:.4g}"


def test_too_few_weights_leave_the_rest_as_it_is(tmp_path: Path) -> None:
    assert changes_of(tmp_path, down_lr_weight="0,0.5")["optimizer.block_rates"] == ("down_blocks.0.attentions.0=0.5",)


def test_weights_below_the_threshold_are_nothing(tmp_path: Path) -> None:
    changes = changes_of(tmp_path, mid_lr_weight="0.2", block_lr_zero_threshold="0.3")
    assert changes["optimizer.block_rates"] == ("mid_block=0",)


def test_block_weights_that_are_switched_off_change_nothing(tmp_path: Path) -> None:
    changes = changes_of(tmp_path, enable_block_weights=False, mid_lr_weight="0.2")
    assert "optimizer.block_rates" not in changes


def test_lines_of_kiln_become_kohyas_weights_when_it_has_a_word_for_them() -> None:
    lines = ("down_blocks.1=0.5", "down_blocks.1.attentions.0=0.25", "mid_block=0", "up_blocks=2")
    sd1 = layout_of("sd1")
    weights = block_weights(lines, sd1)
    assert weights is not None
    down, middle, up = weights
    assert down == [1, 1, 1, 1, 0.25, 0.5, 1, 1, 1, 1, 1, 1]
    assert middle == [0] and up == [1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    assert block_weights(("down_blocks.1.attentions.0.transformer_blocks.0.attn1=0.5",), sd1) is None
    assert block_weights(("down_blocks.1",), sd1) is None
    assert block_weights(("up_blocks.3=0.5",), layout_of("sdxl")) is None
    assert block_weights(lines, layout_of("sdxl")) == (
        [1, 1, 1, 1, 0.25, 0.5, 1, 1, 1],
        [1, 0, 1],
        [2, 2, 2, 2, 2, 2, 1, 1, 1],
    )


def test_the_lists_of_sdxl_count_its_own_blocks(tmp_path: Path) -> None:
    arguments = ["down_lr_weight=9,9,9,9,2,3,9,4,5", "mid_lr_weight=9,6,9", "up_lr_weight=1,2,3,4,5,6,9,9,9"]
    lines = (
        "down_blocks.1.attentions.0=2",
        "down_blocks.1.attentions.1=3",
        "down_blocks.2.attentions.0=4",
        "down_blocks.2.attentions.1=5",
        "mid_block.attentions.0=6",
        "up_blocks.0.attentions.1=2",
        "up_blocks.0.attentions.2=3",
        "up_blocks.1.attentions.0=4",
        "up_blocks.1.attentions.1=5",
        "up_blocks.1.attentions.2=6",
    )
    assert changes_of(tmp_path, model_train_type="sdxl-lora", network_args=arguments)["optimizer.block_rates"] == lines
    assert changes_of(tmp_path, network_args=arguments)["optimizer.block_rates"] == lines  # Three in the middle.
    numbers = ["8"] * 23
    numbers[5], numbers[11], numbers[18] = "1", "2", "3"
    dims = f"block_dims={','.join(numbers)}"
    expected = ("down_blocks.1.attentions.0=1", "mid_block.attentions.0=2", "up_blocks.1.attentions.2=3")
    for kind in ({"model_train_type": "sdxl-lora"}, {"sdxl": True}, {}):
        changes = changes_of(tmp_path, network_dim=8, network_args=[dims], **kind)
        assert changes["network.block_ranks"] == expected
    text = f'model_train_type = "sd-lora"\nnetwork_dim = 8\nnetwork_args = ["{dims}"]\n'
    assert "take 25 ranks" in ignored_of(read(tmp_path, text))["network_args: block_dims"]


def test_the_parts_that_the_lists_stand_for_are_in_the_base_models() -> None:
    for family in FAMILY_NAMES:
        paths = [module.path for module in module_names(family).values() if module.part == "denoiser"]
        with_pairs = {path.partition(".transformer_blocks.")[0] for path in paths if ".attn1." in path}
        parts = set(layout_of(family).places.values()) - {"mid_block"} | {"mid_block.attentions.0"}
        assert parts == with_pairs


# --- pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "side"),
    [("512,512", 512), ("512", 512), (640, 640), ([512, 768], 627), ("512x768", 627), ("(512, 512)", 512)],
)
def test_a_resolution_becomes_the_side_of_a_square(tmp_path: Path, value: object, side: int) -> None:
    assert changes_of(tmp_path, resolution=value)["dataset.resolution"] == side


@pytest.mark.parametrize(
    ("least", "most", "side", "aspect"),
    [(256, 1024, 512, 4.0), (384, 768, 512, 1.78), (512, 512, 512, 1.0), (362, 724, 512, 2.0), (600, 700, 512, 1.0)],
)
def test_the_limits_of_buckets_become_the_longest_shape(
    tmp_path: Path, least: int, most: int, side: int, aspect: float
) -> None:
    changes = changes_of(tmp_path, resolution=side, enable_bucket=True, min_bucket_reso=least, max_bucket_reso=most)
    assert changes["dataset.max_aspect"] == aspect and changes["dataset.fit"] == "buckets"


@pytest.mark.parametrize(("size", "shape"), [("512,512", "1:1"), ("512,768", "2:3"), ("768,576", "4:3")])
def test_without_buckets_pictures_are_cropped_to_the_one_shape(tmp_path: Path, size: str, shape: str) -> None:
    changes = changes_of(tmp_path, resolution=size, enable_bucket=False)
    assert (changes["dataset.fit"], changes["dataset.crop_shape"]) == ("crop", shape)


def test_an_ending_without_its_dot_gets_one(tmp_path: Path) -> None:
    assert changes_of(tmp_path, caption_extension="caption")["dataset.caption_extension"] == ".caption"


@pytest.mark.parametrize(
    ("values", "masks"),
    [
        ({"masked_loss": True, "alpha_mask": True}, "alpha"),
        ({"masked_loss": True}, "files"),
        ({"alpha_mask": True}, "alpha"),
    ],
)
def test_masks(tmp_path: Path, values: dict[str, object], masks: str) -> None:
    assert changes_of(tmp_path, **values)["dataset.masks"] == masks


def test_regularization_pictures_are_a_folder_beside_the_pictures(tmp_path: Path) -> None:
    imported = read(tmp_path, 'train_data_dir = "girl"\nreg_data_dir = "women"\n')
    learned, prior = imported.concepts
    assert learned.folder == tmp_path / "girl" and not learned.is_regularization
    assert prior.folder == tmp_path / "women" and prior.is_regularization


# --- prompts ------------------------------------------------------------------------------------------------------


def test_a_prompt_line_is_split_at_its_options() -> None:
    prompt = prompt_of("1girl, well-known --N bad hands, blurry --w 515 --H 700 --d 42 --cn pose.png")
    assert prompt.words == "1girl, well-known"
    assert prompt.options == {"n": "bad hands, blurry", "w": "515", "h": "700", "d": "42", "cn": "pose.png"}


def test_prompt_files_in_toml_and_json_are_read() -> None:
    toml = '[prompt]\nwidth = 640\n[[prompt.subset]]\nprompt = "a"\nseed = 3\n[[prompt.subset]]\nprompt = "b"\n'
    first, second = prompts_of(toml, ".toml")
    assert (first.words, first.options) == ("a", {"w": 640, "d": 3})
    assert (second.words, second.options) == ("b", {"w": 640})
    (only,) = prompts_of(json.dumps([{"prompt": "c", "sample_steps": 5, "negative_prompt": "n"}]), ".json")
    assert (only.words, only.options) == ("c", {"s": 5, "n": "n"})


def test_values_of_prompts_are_brought_to_what_kiln_draws(tmp_path: Path) -> None:
    changes = changes_of(tmp_path, sample_prompts="1girl --w 515 --h 20 --l 7.5 --s 5000 --d 3")
    assert changes["sampling.prompts"] == ("1girl",)
    assert (changes["sampling.width"], changes["sampling.height"]) == (512, 64)
    assert (changes["sampling.denoising_steps"], changes["sampling.guidance"]) == (200, 7.5)


def test_a_second_value_of_an_option_of_prompts_is_named(tmp_path: Path) -> None:
    imported = read(tmp_path, 'flip_aug = true\nsample_prompts = "a --d 1\\nb --d 2\\n# c\\n"\n')
    assert imported.config_changes["sampling.prompts"] == ("a", "b")
    assert imported.config_changes["sampling.seed"] == 1
    assert "sample_prompts 2: --d" in ignored_of(imported)


def test_previews_that_are_off_are_off(tmp_path: Path) -> None:
    assert changes_of(tmp_path, enable_preview=False, sample_prompts="1girl")["sampling.prompts"] == ()


def test_a_text_that_is_no_list_of_prompts_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("word\n" * 500, encoding="utf-8")
    imported = read(tmp_path, 'flip_aug = true\nsample_prompts = "novel.txt"\n')
    assert "sampling.prompts" not in imported.config_changes
    assert "500" in ignored_of(imported)["sample_prompts"]


# --- LoRA files ---------------------------------------------------------------------------------------------------


def lora(folder: Path, metadata: dict[str, str] | None, *, rank: int = 4, text_encoder: bool = True) -> Path:
    path = folder / "a LoRA 文件.safetensors"
    names = ["lora_unet_mid_block_attentions_0_proj_in"] + [
        "lora_te_text_model_encoder_layers_0_mlp_fc1"
    ] * text_encoder
    save_file({f"{name}.lora_down.weight": torch.zeros(rank, 8) for name in names}, path, metadata)
    return path


def test_the_metadata_of_a_lora_file_tells_how_it_was_trained(tmp_path: Path) -> None:
    metadata = {
        "ss_output_name": "yanami",
        "ss_base_model_version": "sd_v1",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "32",
        "ss_network_alpha": "16.0",
        "ss_learning_rate": "0.0001",
        "ss_unet_lr": "0.0002",
        "ss_text_encoder_lr": "None",
        "ss_lr_scheduler": "cosine",
        "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1,betas=(0.9, 0.99))",
        "ss_num_epochs": "12",
        "ss_max_train_steps": "1800",
        "ss_batch_size_per_device": "3",
        "ss_resolution": "(512, 768)",
        "ss_min_snr_gamma": "None",
        "ss_noise_offset": "0.05",
        "ss_shuffle_caption": "True",
        "ss_mixed_precision": "bf16",
        "ss_clip_skip": "None",
        "ss_seed": "7",
        "ss_network_args": json.dumps({"rank_dropout": "0.1", "conv_dim": "4"}),
        "ss_dataset_dirs": json.dumps({"10_yanami": {"n_repeats": 10, "img_count": 30}}),
        "ss_tag_frequency": "{}",
        "ss_sd_model_name": "base.safetensors",
        "sshs_model_hash": "0123",
        "modelspec.trigger_phrase": "yanami anna",
    }
    imported = read_settings(lora(tmp_path, metadata))
    config = apply(imported, TrainConfig())
    assert imported.source == "lora_file"
    assert (config.output.name, config.dataset.trigger_word) == ("yanami", "yanami anna")
    assert (config.network.rank, config.network.alpha, config.network.rank_dropout) == (32, 16.0, 0.1)
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.weight_decay, optimizer.beta2) == ("adamw8bit", 0.1, 0.99)
    assert (optimizer.learning_rate, optimizer.text_encoder_learning_rate) == (2e-4, 1e-4)
    assert (config.training.epochs, config.training.batch_size, config.training.seed) == (12, 3, 7)
    assert (config.dataset.resolution, config.dataset.repeats, config.dataset.shuffle_tags) == (627, 10, True)
    assert (config.loss.min_snr_gamma, config.loss.noise_offset, config.model.clip_skip) == (0.0, 0.05, 1)
    assert {"ss_sd_model_name", "ss_tag_frequency", "sshs_model_hash"} <= set(ignored_of(imported))
    assert config.network.conv_rank == 4


def test_kilns_own_lora_files_can_be_read_back(tmp_path: Path) -> None:
    from core.lora.metadata import Progress, lora_metadata

    config = apply(
        read(tmp_path, "network_dim = 8\nnetwork_alpha = 4\nmax_train_epochs = 3\nseed = 5\n"), TrainConfig()
    )
    progress = Progress(step=3, epoch=1, total_steps=9, batches_per_epoch=3, num_devices=1, started_at=0.0, now=1.0)
    metadata = lora_metadata(config, [], progress, v_prediction=False, precision="no")
    imported = read_settings(lora(tmp_path, metadata, rank=8))
    again = apply(imported, TrainConfig())
    assert (again.network, again.training.epochs, again.training.seed) == (config.network, 3, 5)
    assert not [item for item in imported.ignored if "does not know" in item.reason]


def test_a_lora_without_metadata_still_shows_its_rank_and_parts(tmp_path: Path) -> None:
    changes = read_settings(lora(tmp_path, None, rank=6, text_encoder=False)).config_changes
    assert changes == {"network.rank": 6, "network.train_text_encoder": False, "network.train_denoiser": True}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"hada_w1_b": (4, 8)}, {"network.kind": "loha", "network.rank": 4}),
        ({"lokr_w1": (2, 2), "lokr_w2_b": (3, 8)}, {"network.kind": "lokr", "network.rank": 3}),
        ({"lokr_w1": (2, 2), "lokr_w2": (4, 4)}, {"network.kind": "lokr"}),
        ({"lora_down.weight": (5, 8), "dora_scale": (1, 8)}, {"network.rank": 5, "network.dora": True}),
        ({"lora_down.weight": (5, 8, 3, 3)}, {"network.conv_rank": 5}),
    ],
)
def test_the_weights_of_a_file_show_its_kind(
    tmp_path: Path, weights: dict[str, tuple[int, ...]], expected: dict[str, object]
) -> None:
    path = tmp_path / "x.safetensors"
    name = "lora_unet_mid_block_resnets_0_conv1"
    save_file({f"{name}.{end}": torch.zeros(shape) for end, shape in weights.items()}, path)
    changes = read_settings(path).config_changes
    assert {key: value for key, value in changes.items() if "train_" not in key} == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"ss_base_model_version": "sd_v1"}, ("sd1", None)),
        ({"ss_base_model_version": "sd_v2_v", "ss_v2": "True"}, ("sd2", "v_prediction")),
        ({"ss_base_model_version": "sdxl_base_v0-9", "ss_v2": "False"}, ("sdxl", None)),
        ({"ss_base_model_version": "sdxl_base_v1-0", "modelspec.prediction_type": "v"}, ("sdxl", "v_prediction")),
        ({"ss_base_model_version": "kolors_v1", "modelspec.prediction_type": "epsilon"}, ("kolors", "auto")),
        ({"ss_v2": "True"}, ("sd2", None)),
    ],
)
def test_a_lora_says_what_it_was_made_for(
    tmp_path: Path, metadata: dict[str, str], expected: tuple[str, str | None]
) -> None:
    changes = read_settings(lora(tmp_path, metadata)).config_changes
    assert (changes["model.family"], changes.get("model.prediction")) == expected


def test_a_lora_of_another_family_says_so(tmp_path: Path) -> None:
    imported = read_settings(lora(tmp_path, {"ss_base_model_version": "flux1"}))
    assert "this file is for Flux" in ignored_of(imported)["ss_base_model_version"]
    assert "model.family" not in imported.config_changes


def test_a_lora_that_says_nothing_is_told_so(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="how it was trained"):
        read_settings(tmp_path / "x.safetensors")


def test_a_cut_off_lora_file_is_told_so(tmp_path: Path) -> None:
    path = lora(tmp_path, {"ss_seed": "1"})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="not complete"):
        read_settings(path)


def test_a_lora_under_another_name_is_known_by_its_content(tmp_path: Path) -> None:
    path = lora(tmp_path, {"ss_seed": "1"}).rename(tmp_path / "x.bin")
    assert read_settings(path).config_changes["training.seed"] == 1


def test_settings_inside_a_lora_of_onetrainer_are_read(tmp_path: Path) -> None:
    embedded = {"training_method": "LORA", "lora_rank": 12, "learning_rate": 0.0005}
    changes = read_settings(lora(tmp_path, {"ot_config": json.dumps(embedded)})).config_changes
    assert (changes["network.rank"], changes["optimizer.learning_rate"]) == (12, 0.0005)


# --- networks -----------------------------------------------------------------------------------------------------

LYCORIS = {"network_module": "lycoris.kohya", "network_dim": 8, "network_alpha": 4}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"network_args": ["algo=locon"]}, {"kind": "lora", "conv_rank": 8, "conv_alpha": 4.0}),
        ({"network_args": ["algo=loha", "conv_dim=4", "conv_alpha=1"]}, {"kind": "loha", "conv_rank": 4}),
        ({"network_args": ["algo=lokr", "factor=8", "conv_dim=0"]}, {"kind": "lokr", "factor": 8, "conv_rank": 0}),
        ({"lycoris_algo": "lokr", "lokr_factor": 4}, {"kind": "lokr", "factor": 4, "conv_rank": 8}),
        ({"network_args": ["algo=lora", "dora_wd=True"]}, {"kind": "lora", "dora": True}),
        ({"network_args": ["algo=loha", "dora_wd=True"]}, {"kind": "loha", "dora": False}),
        ({"network_args": ["rs_lora=true", "preset=attn-mlp"]}, {"rank_stabilized": True, "conv_rank": 0}),
        ({"network_args": ["preset=attn-only"]}, {"layers": "attention", "conv_rank": 0}),
        ({"network_args": ["algo=diag-oft"]}, {"kind": "lora"}),
        ({"network_module": "networks.lora", "network_args": ["conv_dim=6", "conv_alpha=0"]},
         {"kind": "lora", "conv_rank": 6, "conv_alpha": 6.0}),
        ({"network_module": "networks.lora"}, {"kind": "lora", "conv_rank": 0}),
        ({"network_module": "networks.lora", "network_args": ["exclude_patterns=.*ff.*"]}, {"leave_out": ("*ff*",)}),
    ],
)  # fmt: skip
def test_networks_are_what_they_are_there(
    tmp_path: Path, values: dict[str, object], expected: dict[str, object]
) -> None:
    everything = {"train_data_dir": "a", "max_train_epochs": 3, "pretrained_model_name_or_path": "b", **LYCORIS}
    text = "".join(f"{name} = {literal(value)}\n" for name, value in {**everything, **values}.items())
    imported = read(tmp_path, text)
    network = apply(imported, TrainConfig()).network
    assert {name: getattr(network, name) for name in expected} == expected
    assert not [item for item in imported.ignored if "does not know" in item.reason]


def test_the_ranks_of_blocks_are_kohyas_twenty_five(tmp_path: Path) -> None:
    numbers = [1, 8, 8, 1, 4, 8, 1, 8, 8, 1, 1, 1, 2, 1, 1, 1, 8, 8, 8, 8, 8, 0, 8, 8, 16]
    changes = changes_of(tmp_path, network_dim=8, network_args=[f"block_dims={','.join(map(str, numbers))}"])
    assert changes["network.block_ranks"] == (
        "down_blocks.1.attentions.0=4",
        "mid_block=2",
        "up_blocks.2.attentions.2=0",
        "up_blocks.3.attentions.2=16",
    )
    imported = read(tmp_path, 'network_dim = 8\nnetwork_args = ["block_dims=1,2,3", "block_alphas=1,1,1"]\n')
    assert set(ignored_of(imported)) == {"network_args: block_dims", "network_args: block_alphas"}


def test_patterns_that_are_more_than_names_are_left_out_with_a_reason(tmp_path: Path) -> None:
    imported = read(tmp_path, 'network_dim = 8\nnetwork_args = ["exclude_patterns=(a|b)", "include_patterns=x"]\n')
    assert "and (a|b) is more" in ignored_of(imported)["network_args: exclude_patterns"]
    assert "brings layers back" in ignored_of(imported)["network_args: include_patterns"]


def test_onetrainer_s_networks_are_read(tmp_path: Path) -> None:
    values = {
        "__version": 9,
        "training_method": "LORA",
        "peft_type": "LOHA",
        "lora_rank": 4,
        "layer_filter": "attn1,ff",
    }
    path = tmp_path / "x.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    changes = read_settings(path).config_changes
    assert (changes["network.kind"], changes["network.only"]) == ("loha", ("*attn1*", "*ff*"))
    values = {**values, "peft_type": "LORA", "lora_decompose": True, "layer_filter": "attentions", "compile": True}
    values["vae"] = {"model_name": "vae.safetensors", "weight_dtype": "FLOAT_32"}
    path.write_text(json.dumps(values), encoding="utf-8")
    changes = read_settings(path).config_changes
    assert (changes["network.kind"], changes["network.dora"], changes["network.only"]) == ("lora", True, ())
    assert changes["training.compile"] is True and Path(str(changes["model.vae"])).name == "vae.safetensors"


# --- OneTrainer ---------------------------------------------------------------------------------------------------


def test_the_folders_of_onetrainer_may_be_in_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "concepts.json").write_text(json.dumps([{"path": "girl", "balancing": 2}]), encoding="utf-8")
    values = {"__version": 9, "training_method": "LORA", "concept_file_name": "concepts.json", "concepts": None}
    imported = read(tmp_path, json.dumps(values), "settings.json")
    assert imported.config_changes["dataset.folder"] == tmp_path / "girl"
    assert imported.concepts[0].repeats == 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"save_every": 3, "save_every_unit": "STEP"}, {"output.save_every_n_steps": 3}),
        ({"save_every": 3, "save_every_unit": "NEVER"}, {"output.save_every_n_epochs": 0}),
        ({"sample_after": 2, "sample_after_unit": "EPOCH"}, {"sampling.every_n_epochs": 2}),
        ({"ema": "OFF", "ema_decay": 0.99}, {"optimizer.ema_decay": 0.0}),
        ({"loss_weight_fn": "DEBIASED_ESTIMATION"}, {"loss.debiased": True, "loss.min_snr_gamma": 0.0}),
        ({"loss_weight_fn": "CONSTANT", "loss_weight_strength": 5}, {"loss.min_snr_gamma": 0.0}),
        ({"resolution": "512x768"}, {"dataset.resolution": 627}),
        ({"optimizer": {"optimizer": "PRODIGY", "d_coef": 2, "beta3": None}}, {"optimizer.growth": 2.0}),
        ({"output_model_destination": "C:\\\\loras\\\\x.safetensors"}, {"output.name": "x"}),
    ],
)
def test_words_of_onetrainer(tmp_path: Path, values: dict[str, object], expected: dict[str, object]) -> None:
    text = json.dumps({"__version": 9, "training_method": "LORA", **values})
    changes = read(tmp_path, text, "settings.json").config_changes
    assert {key: changes.get(key) for key in expected} == expected
