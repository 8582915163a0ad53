"""The metadata of a LoRA file tells every option truly, under kohya's names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.config import TrainConfig, with_values
from core.config.model import OptimizerName
from core.lora.formats.guessing import guess_family
from core.lora.metadata import BaseFacts, Progress, lora_metadata
from core.models import FamilyName

PROGRESS = Progress(step=3, epoch=1, total_steps=9, batches_per_epoch=3, num_devices=1, started_at=0.0, now=1.0)


def metadata(**options: Any) -> dict[str, str]:
    config = with_values(TrainConfig(), {name.replace("__", ".", 1): value for name, value in options.items()})
    return lora_metadata(config, [], PROGRESS, v_prediction=False, precision="no")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"network__train_denoiser": False}, {"ss_unet_lr": "None"}),
        ({"network__rank_dropout": 0.1}, {"ss_network_args": '{"rank_dropout": "0.1"}'}),
        (
            {"model__max_tokens": 225, "model__zero_terminal_snr": True},
            {"ss_max_token_length": "225", "ss_zero_terminal_snr": "True"},
        ),
        (
            {"loss__kind": "huber", "loss__huber_limit": 0.2},
            {"ss_loss_type": "huber", "ss_huber_c": "0.2", "ss_huber_schedule": "snr"},
        ),
        ({"loss__kind": "l1"}, {"ss_loss_type": "l1", "ss_huber_c": "None", "ss_huber_schedule": "None"}),
        ({"loss__debiased": True}, {"ss_debiased_estimation": "True", "ss_min_snr_gamma": "None"}),
        (
            {"loss__noise_offset": 0.1, "loss__random_noise_offset": True},
            {"ss_noise_offset": "0.1", "ss_noise_offset_random_strength": "True"},
        ),
        (
            {"loss__noise_offset": 0.1, "loss__multires_noise_levels": 6},
            {"ss_noise_offset": "None", "ss_multires_noise_iterations": "6", "ss_multires_noise_discount": "0.3"},
        ),
        ({"loss__input_perturbation": 0.1}, {"ss_ip_noise_gamma": "0.1", "ss_ip_noise_gamma_random_strength": "False"}),
        (
            {"loss__min_timestep": 100, "loss__prior_weight": 0.5},
            {"modelspec.timestep_range": "100,1000", "ss_prior_loss_weight": "0.5"},
        ),
        ({"dataset__colour_jitter": True}, {"ss_color_aug": "True", "ss_cache_latents": "False"}),
        ({"dataset__random_crop": True}, {"ss_random_crop": "True", "ss_cache_latents": "False"}),
        ({"dataset__no_upscale": True}, {"ss_bucket_no_upscale": "True", "ss_cache_latents": "True"}),
        (
            {"dataset__tag_warmup_steps": 50, "dataset__tag_warmup_min": 3},
            {"ss_token_warmup_step": "50", "ss_token_warmup_min": "3"},
        ),
        ({"dataset__caption_dropout_every_n_epochs": 4}, {"ss_caption_dropout_every_n_epochs": "4"}),
        ({"output__comment": "为了 test"}, {"ss_training_comment": "为了 test"}),
        ({"schedule__name": "rex"}, {"ss_lr_scheduler": "rex"}),
        ({"network__max_norm": 1.0}, {"ss_scale_weight_norms": "1.0"}),
        (
            {"network__max_norm": 1.0, "network__dora": True},  # It limits no DoRA.
            {
                "ss_scale_weight_norms": "None",
                "ss_network_module": "lycoris.kohya",
                "ss_network_args": (
                    '{"algo": "locon", "preset": "attn-mlp", "dora_wd": "True", "wd_on_output": "False"}'
                ),
            },
        ),
        ({"model__vae": "/vae/xl 😀.safetensors"}, {"ss_vae_name": "xl 😀.safetensors"}),
        (
            {"network__conv_rank": 4, "network__conv_alpha": 1.0},
            {"ss_network_args": '{"conv_dim": "4", "conv_alpha": "1"}'},
        ),
        (
            {"network__rank_stabilized": True},
            {
                "ss_network_module": "lycoris.kohya",
                "ss_network_args": '{"algo": "locon", "preset": "attn-mlp", "rs_lora": "True"}',
            },
        ),
        (
            {"network__kind": "loha", "network__conv_rank": 2},
            {
                "ss_network_module": "lycoris.kohya",
                "ss_network_args": '{"algo": "loha", "preset": "full", "conv_dim": "2", "conv_alpha": "1"}',
            },
        ),
        (
            {"network__kind": "lokr", "network__factor": 8},
            {
                "ss_network_module": "lycoris.kohya",
                "ss_network_args": '{"algo": "lokr", "preset": "attn-mlp", "factor": "8"}',
            },
        ),
        (
            {"network__layers": "attention", "network__block_ranks": ("mid_block.resnets=4", "up_blocks.0=8")},
            {"ss_network_args": '{"layers": "attention", "block_ranks": "mid_block.resnets=4,up_blocks.0=8"}'},
        ),
    ],
)
def test_an_option_is_told_truly(options: dict[str, Any], expected: dict[str, str]) -> None:
    told, plain = metadata(**options), metadata()
    assert {key: told[key] for key in expected} == expected
    assert {key for key in told if told[key] != plain.get(key)} <= set(expected)


@pytest.mark.parametrize(
    ("family", "v_prediction", "version", "is_v2", "architecture"),
    [
        ("sd1", False, "sd_v1", "False", "stable-diffusion-v1/lora"),
        ("sd2", False, "sd_v2", "True", "stable-diffusion-v2-512/lora"),
        ("sd2", True, "sd_v2_v", "True", "stable-diffusion-v2-768-v/lora"),
        ("sdxl", True, "sdxl_base_v1-0", "False", "stable-diffusion-xl-v1-base/lora"),
        ("kolors", False, "kolors_v1", "False", "kolors/lora"),
    ],
)
def test_the_base_model_is_told_as_kohya_and_the_model_spec_do(
    family: FamilyName, v_prediction: bool, version: str, is_v2: str, architecture: str
) -> None:
    base = BaseFacts(family=family, zero_terminal_snr=v_prediction, hashes=("01234567", "ab" * 32))
    told = lora_metadata(TrainConfig(), [], PROGRESS, v_prediction=v_prediction, precision="no", base=base)
    assert (told["ss_base_model_version"], told["ss_v2"]) == (version, is_v2)
    assert told["modelspec.architecture"] == architecture
    assert told["modelspec.prediction_type"] == ("v" if v_prediction else "epsilon")
    assert told["ss_zero_terminal_snr"] == str(v_prediction)
    assert (told["ss_sd_model_hash"], told["ss_new_sd_model_hash"]) == ("01234567", "ab" * 32)
    assert ("modelspec.encoder_layer" in told) == (family != "kolors")
    assert (told["ss_clip_skip"] == "None") == (told["ss_text_encoder_lr"] == "None") == (family == "kolors")
    assert guess_family([], told) == family


def test_hashes_that_are_not_known_are_left_out() -> None:
    assert not {key for key in metadata() if "hash" in key}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("adamw", {}, "torch.optim.adamw.AdamW(weight_decay=0.01,betas=(0.9, 0.999))"),
        ("sgd", {"momentum": 0.5}, "torch.optim.sgd.SGD(weight_decay=0.01,momentum=0.5)"),
        (
            "prodigy",
            {"growth": 2.0, "arguments": ("d0 = 1e-5", "betas=(0.9, 0.99)")},
            "pytorch_optimizer.optimizer.prodigy.Prodigy(weight_decay=0.01,betas=(0.9, 0.99),d_coef=2.0,d0=1e-5)",
        ),
    ],
)
def test_the_optimizer_is_told_with_its_class(name: OptimizerName, options: dict[str, Any], expected: str) -> None:
    changes = {f"optimizer__{key}": value for key, value in options.items()}
    assert metadata(optimizer__name=name, **changes)["ss_optimizer"] == expected


@pytest.mark.parametrize("name", OptimizerName.__args__)  # type: ignore[attr-defined]
def test_the_class_that_is_told_is_the_one_that_trains(name: OptimizerName) -> None:
    if name == "adamw8bit":
        pytest.importorskip("bitsandbytes")
    import torch

    from core.training.optimizers import make_optimizer
    from tests.small_networks import config_of, small_network

    optimizer = type(make_optimizer(small_network(), config_of(name), torch.device("cpu")))
    told = metadata(optimizer__name=name)["ss_optimizer"]
    assert told.startswith(f"{optimizer.__module__}.{optimizer.__name__}(")


def test_all_values_are_strings_and_nested_ones_json() -> None:
    told = metadata(network__module_dropout=0.2)
    assert all(isinstance(value, str) for value in told.values())
    assert json.loads(told["ss_network_args"]) == {"module_dropout": "0.2"}
