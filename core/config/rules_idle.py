"""Options that have no effect while another one has certain values. Read by `core.config.rules`."""

from __future__ import annotations

from core.config.rules import FINDS_THE_RATE, Idle

IDLE: tuple[Idle, ...] = (
    Idle(("schedule.cycles",), "schedule.name", lambda value: value != "cosine_with_restarts"),
    Idle(("schedule.power",), "schedule.name", lambda value: value != "polynomial"),
    Idle(("schedule.decay_steps",), "schedule.name", lambda value: value != "warmup_stable_decay"),
    Idle(("schedule.warmup_steps",), "schedule.name", lambda value: value == "constant"),
    Idle(("schedule.min_factor",), "schedule.name", lambda value: value in ("constant", "constant_with_warmup")),
    Idle(("loss.huber_limit", "loss.huber_schedule"), "loss.kind", lambda value: value not in ("huber", "smooth_l1")),
    Idle(("loss.min_snr_gamma",), "loss.debiased", bool),
    Idle(("loss.scale_v_prediction",), "model.prediction", lambda value: value == "epsilon"),
    Idle(
        ("loss.noise_offset", "loss.random_noise_offset", "loss.adaptive_noise_scale"),
        "loss.multires_noise_levels",
        lambda value: value > 0,
    ),
    Idle(("loss.random_noise_offset", "loss.adaptive_noise_scale"), "loss.noise_offset", lambda value: value == 0),
    Idle(("loss.multires_noise_discount",), "loss.multires_noise_levels", lambda value: value == 0),
    Idle(("loss.random_input_perturbation",), "loss.input_perturbation", lambda value: value == 0),
    Idle(("optimizer.momentum",), "optimizer.name", lambda value: value != "sgd"),
    Idle(("optimizer.growth",), "optimizer.name", lambda value: value not in FINDS_THE_RATE),
    Idle(("optimizer.beta1",), "optimizer.name", lambda value: value in ("sgd", "adafactor")),
    Idle(("optimizer.beta2",), "optimizer.name", lambda value: value == "sgd"),
    Idle(("optimizer.epsilon",), "optimizer.name", lambda value: value in ("sgd", "lion", "adafactor", "came")),
    Idle(("optimizer.ema_decay",), "optimizer.name", lambda value: value == "adamw_schedulefree"),
    Idle(("optimizer.learning_rate", "optimizer.block_rates"), "network.train_denoiser", lambda value: not value),
    Idle(("optimizer.text_encoder_learning_rate",), "network.train_text_encoder", lambda value: not value),
    Idle(("dataset.crop_shape",), "dataset.fit", lambda value: value == "buckets"),
    Idle(("dataset.edge",), "dataset.fit", lambda value: value != "pad"),
    Idle(("dataset.max_aspect", "dataset.no_upscale"), "dataset.fit", lambda value: value != "buckets"),
    Idle(("dataset.tag_warmup_min",), "dataset.tag_warmup_steps", lambda value: value == 0),
    Idle(("dataset.unmasked_weight",), "dataset.masks", lambda value: value == "none"),
    Idle(
        ("validation.every_n_epochs", "validation.patience", "validation.timesteps", "validation.seed"),
        "validation.pictures",
        lambda value: value == 0,
    ),
    Idle(
        (
            "sampling.negative_prompt",
            "sampling.every_n_epochs",
            "sampling.every_n_steps",
            "sampling.at_start",
            "sampling.width",
            "sampling.height",
            "sampling.denoising_steps",
            "sampling.guidance",
            "sampling.sampler",
            "sampling.seed",
        ),
        "sampling.prompts",
        lambda value: not value,
    ),
    Idle(("output.epoch_states",), "output.save_every_n_epochs", lambda value: value == 0),
)
