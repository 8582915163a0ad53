"""Rules about what is learned and how: network, loss, optimizer, schedule. Read by `core.config.rules`."""

from __future__ import annotations

from typing import Any

from core.config.model import TrainConfig
from core.config.rules import FINDS_THE_RATE, Changes, Rule
from core.text import tr

_USUAL_TEXT_RATE = 5e-5


def _own_rates(config: TrainConfig) -> Changes:
    changes: dict[str, Any] = {"optimizer.learning_rate": 1.0}
    if config.network.train_text_encoder:
        changes["optimizer.text_encoder_learning_rate"] = 1.0
    return changes


def _is_far_below_one(config: TrainConfig) -> bool:
    if config.network.train_denoiser and config.optimizer.learning_rate < 0.1:
        return True
    # A share of the other rate may be small on purpose; one from AdamW is far smaller.
    return config.network.train_text_encoder and 0 < config.optimizer.text_encoder_learning_rate < 0.01


RULES: tuple[Rule, ...] = (
    # What cannot run.
    Rule(
        keys=("network.train_denoiser", "network.train_text_encoder"),
        level="error",
        holds=lambda c, f: not c.network.train_denoiser and not c.network.train_text_encoder,
        sentence=lambda c, f: tr("Neither the denoiser nor the text encoder is trained, so nothing would be learned."),
        way_out=lambda c, f: {"network.train_denoiser": True},
    ),
    Rule(
        keys=("loss.min_timestep", "loss.max_timestep"),
        level="error",
        holds=lambda c, f: c.loss.min_timestep >= c.loss.max_timestep,
        sentence=lambda c, f: tr("The first timestep is not before the last one, so no timestep is left to learn."),
        way_out=lambda c, f: {"loss.min_timestep": 0},
    ),
    Rule(
        keys=("training.precision", "training.device"),
        level="error",
        holds=lambda c, f: c.training.precision == "fp16" and c.training.device == "cpu",
        sentence=lambda c, f: tr("A processor cannot train in fp16."),
        way_out=lambda c, f: {"training.precision": "auto"},
    ),
    Rule(
        keys=("optimizer.name", "training.device"),
        level="error",
        holds=lambda c, f: c.optimizer.name == "adamw8bit" and c.training.device in ("cpu", "mps"),
        sentence=lambda c, f: tr("AdamW 8-bit works on NVIDIA cards only."),
        way_out=lambda c, f: {"optimizer.name": "adamw"},
    ),
    Rule(
        keys=("model.zero_terminal_snr", "model.prediction"),
        level="error",
        holds=lambda c, f: c.model.zero_terminal_snr and c.model.prediction == "epsilon",
        sentence=lambda c, f: tr(
            "Zero-terminal SNR works with v_prediction models only; at its last timestep an "
            "epsilon model has nothing to answer from."
        ),
        way_out=lambda c, f: {"model.zero_terminal_snr": False},
    ),
    # Rates and optimizers.
    Rule(
        keys=("optimizer.learning_rate", "optimizer.text_encoder_learning_rate", "optimizer.name"),
        level="warning",
        holds=lambda c, f: c.optimizer.name in FINDS_THE_RATE and _is_far_below_one(c),
        sentence=lambda c, f: tr(
            "This optimizer finds the rate itself: a learning rate far below 1 keeps it from learning."
        ),
        way_out=lambda c, f: _own_rates(c),
    ),
    Rule(
        keys=("optimizer.learning_rate", "optimizer.name"),
        level="warning",
        holds=lambda c, f: c.optimizer.name not in (*FINDS_THE_RATE, "sgd") and c.optimizer.learning_rate > 0.01,
        sentence=lambda c, f: tr("With this learning rate the LoRA falls apart within a few steps."),
        way_out=lambda c, f: {"optimizer.learning_rate": 3e-5 if c.optimizer.name == "lion" else 1e-4},
    ),
    Rule(
        keys=("optimizer.learning_rate", "optimizer.name"),
        level="warning",
        holds=lambda c, f: c.optimizer.name == "lion" and 2e-4 < c.optimizer.learning_rate <= 0.01,
        sentence=lambda c, f: tr("Lion takes larger steps than AdamW; a third to a tenth of its rate is usual."),
        way_out=lambda c, f: {"optimizer.learning_rate": 3e-5},
    ),
    Rule(
        keys=("optimizer.text_encoder_learning_rate", "network.train_text_encoder"),
        level="warning",
        holds=lambda c, f: c.network.train_text_encoder and c.optimizer.text_encoder_learning_rate == 0,
        sentence=lambda c, f: tr("The text encoder is trained at a rate of zero: it takes memory and learns nothing."),
        way_out=lambda c, f: (
            {"network.train_text_encoder": False}
            if c.network.train_denoiser
            else {"optimizer.text_encoder_learning_rate": _USUAL_TEXT_RATE}
        ),
    ),
    Rule(
        keys=("optimizer.text_encoder_learning_rate",),
        level="warning",
        holds=lambda c, f: (
            c.network.train_text_encoder
            and c.network.train_denoiser
            and c.optimizer.name not in FINDS_THE_RATE
            and c.optimizer.text_encoder_learning_rate > c.optimizer.learning_rate
        ),
        sentence=lambda c, f: tr("The text encoder is trained faster than the denoiser; it then forgets other words."),
        way_out=lambda c, f: {"optimizer.text_encoder_learning_rate": c.optimizer.learning_rate / 2},
    ),
    Rule(
        keys=("optimizer.text_encoder_learning_rate", "network.train_text_encoder"),
        level="info",
        holds=lambda c, f: (
            not c.network.train_text_encoder and c.optimizer.text_encoder_learning_rate not in (0, _USUAL_TEXT_RATE)
        ),
        sentence=lambda c, f: tr("A learning rate for the text encoder is set, but the text encoder is not trained."),
        way_out=lambda c, f: {"network.train_text_encoder": True},
    ),
    Rule(
        keys=("schedule.name", "optimizer.name"),
        level="info",
        holds=lambda c, f: (
            c.optimizer.name == "adamw_schedulefree" and c.schedule.name not in ("constant", "constant_with_warmup")
        ),
        sentence=lambda c, f: tr("Schedule-free AdamW needs no schedule; only the warm-up of this one is used."),
        way_out=lambda c, f: {"schedule.name": "constant_with_warmup" if c.schedule.warmup_steps else "constant"},
    ),
    Rule(
        keys=("optimizer.ema_decay", "optimizer.name"),
        level="info",
        holds=lambda c, f: c.optimizer.name == "adamw_schedulefree" and c.optimizer.ema_decay > 0,
        sentence=lambda c, f: tr("Schedule-free AdamW keeps an average of its own, so the EMA is not used."),
        way_out=lambda c, f: {"optimizer.ema_decay": 0.0},
    ),
    Rule(
        keys=("optimizer.max_grad_norm", "optimizer.name"),
        level="info",
        holds=lambda c, f: c.optimizer.name in ("adamw_schedulefree", "adafactor") and c.optimizer.max_grad_norm > 0,
        sentence=lambda c, f: tr("This optimizer is usually used without gradient clipping."),
        way_out=lambda c, f: {"optimizer.max_grad_norm": 0.0},
    ),
    Rule(
        keys=("optimizer.block_rates", "network.train_denoiser"),
        level="info",
        holds=lambda c, f: bool(c.optimizer.block_rates) and not c.network.train_denoiser,
        sentence=lambda c, f: tr("Rates of blocks are set, but the denoiser is not trained."),
        way_out=lambda c, f: {"optimizer.block_rates": ()},
    ),
    # The network.
    Rule(
        keys=("network.alpha", "network.rank"),
        level="warning",
        holds=lambda c, f: not c.network.rank_stabilized and c.network.alpha > 2 * c.network.rank,
        sentence=lambda c, f: tr(
            "Alpha is {factor} times the rank: every update counts that much more, and the LoRA easily falls apart.",
            factor=f"{c.network.alpha / c.network.rank:.3g}",
        ),
        way_out=lambda c, f: {"network.alpha": float(c.network.rank)},
    ),
    Rule(
        keys=("network.alpha", "network.rank"),
        level="info",
        holds=lambda c, f: (
            not c.network.rank_stabilized
            and c.network.alpha * 16 < c.network.rank
            and c.optimizer.name not in FINDS_THE_RATE
        ),
        sentence=lambda c, f: tr(
            "Alpha is far below the rank: every update counts {factor} times less, which wants a higher learning rate.",
            factor=f"{c.network.rank / c.network.alpha:.3g}",
        ),
        way_out=lambda c, f: {"network.alpha": c.network.rank / 2},
    ),
    Rule(
        keys=("network.dropout", "network.rank_dropout", "network.module_dropout"),
        level="warning",
        holds=lambda c, f: max(c.network.dropout, c.network.rank_dropout, c.network.module_dropout) > 0.5,
        sentence=lambda c, f: tr("More than half of the LoRA is left out in each step; it will hardly learn."),
        way_out=lambda c, f: {
            f"network.{name}": 0.1
            for name in ("dropout", "rank_dropout", "module_dropout")
            if getattr(c.network, name) > 0.5
        },
    ),
    # Noise and loss.
    Rule(
        keys=("loss.noise_offset", "loss.multires_noise_levels"),
        level="warning",
        holds=lambda c, f: c.loss.noise_offset > 0 and c.loss.multires_noise_levels > 0,
        sentence=lambda c, f: tr("Multires noise takes the place of the noise offset; only one of them is used."),
        way_out=lambda c, f: {"loss.noise_offset": 0.0},
    ),
    Rule(
        keys=("loss.noise_offset",),
        level="warning",
        holds=lambda c, f: c.loss.noise_offset > 0.2,
        sentence=lambda c, f: tr("A noise offset above 0.2 makes pictures too dark or too bright."),
        way_out=lambda c, f: {"loss.noise_offset": 0.1},
    ),
    Rule(
        keys=("loss.input_perturbation",),
        level="warning",
        holds=lambda c, f: c.loss.input_perturbation > 0.3,
        sentence=lambda c, f: tr("So much input perturbation makes pictures soft; 0.1 is usual."),
        way_out=lambda c, f: {"loss.input_perturbation": 0.1},
    ),
    Rule(
        keys=("loss.debiased", "loss.min_snr_gamma"),
        level="info",
        holds=lambda c, f: c.loss.debiased and c.loss.min_snr_gamma > 0,
        sentence=lambda c, f: tr(
            "Debiased estimation takes the place of Min-SNR; only one of them can weight the loss."
        ),
        way_out=lambda c, f: {"loss.min_snr_gamma": 0.0},
    ),
    Rule(
        keys=("loss.scale_v_prediction", "model.prediction"),
        level="info",
        holds=lambda c, f: c.loss.scale_v_prediction and c.model.prediction == "epsilon",
        sentence=lambda c, f: tr("Scaling the v-prediction loss means nothing for an epsilon model."),
        way_out=lambda c, f: {"loss.scale_v_prediction": False},
    ),
    Rule(
        keys=("model.zero_terminal_snr", "model.prediction"),
        level="info",
        holds=lambda c, f: c.model.zero_terminal_snr and c.model.prediction == "auto",
        sentence=lambda c, f: tr(
            "Zero-terminal SNR is only for v_prediction models; make sure that the base model is one."
        ),
        way_out=lambda c, f: {"model.prediction": "v_prediction"},
    ),
    Rule(
        keys=("loss.min_timestep", "loss.max_timestep"),
        level="warning",
        holds=lambda c, f: 0 < c.loss.max_timestep - c.loss.min_timestep < 100,
        sentence=lambda c, f: tr(
            "Only {number} timesteps are learned, a small part of what makes a picture.",
            number=c.loss.max_timestep - c.loss.min_timestep,
        ),
        way_out=lambda c, f: {"loss.min_timestep": 0, "loss.max_timestep": 1000},
    ),
    Rule(
        keys=("loss.prior_weight",),
        level="info",
        holds=lambda c, f: c.loss.prior_weight == 0,
        sentence=lambda c, f: tr("At a weight of 0, pictures of regularization folders cost time and teach nothing."),
        way_out=lambda c, f: {"loss.prior_weight": 1.0},
    ),
)
