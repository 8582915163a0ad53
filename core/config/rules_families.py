"""Rules about what some kinds of base models cannot do. Read by `core.config.rules`."""

from __future__ import annotations

from core.config.labels import choice_label, value_of
from core.config.model import TrainConfig
from core.config.rules import Changes, Facts, Rule
from core.text import tr

_CHANGING_CAPTIONS: Changes = {
    "dataset.shuffle_tags": False,
    "dataset.tag_dropout": 0.0,
    "dataset.wildcards": False,
    "dataset.tag_warmup_steps": 0,
}


def _is_kolors(config: TrainConfig, facts: Facts) -> bool:
    return (facts.family or config.model.family) == "kolors"


def _changed(config: TrainConfig) -> Changes:
    return {key: value for key, value in _CHANGING_CAPTIONS.items() if value_of(config, key) != value}


RULES: tuple[Rule, ...] = (
    Rule(
        keys=("model.family", "model.base"),
        level="error",
        holds=lambda c, f: f.family is not None and c.model.family not in ("auto", f.family),
        sentence=lambda c, f: tr("The base model is of the family {family}.", family=choice_label(str(f.family))),
        way_out=lambda c, f: {"model.family": "auto"},
    ),
    Rule(
        keys=tuple(_CHANGING_CAPTIONS),
        level="error",
        holds=lambda c, f: _is_kolors(c, f) and bool(_changed(c)),
        sentence=lambda c, f: tr(
            "Kolors reads all captions once, before the first step, so they cannot change from step to step."
        ),
        way_out=lambda c, f: _changed(c),
    ),
    Rule(
        keys=("network.train_denoiser", "model.family"),
        level="error",
        holds=lambda c, f: _is_kolors(c, f) and not c.network.train_denoiser,
        sentence=lambda c, f: tr("Of Kolors only the denoiser can be trained."),
        way_out=lambda c, f: {"network.train_denoiser": True},
    ),
    Rule(
        keys=("network.train_text_encoder", "model.family"),
        level="info",
        holds=lambda c, f: _is_kolors(c, f) and c.network.train_text_encoder,
        sentence=lambda c, f: tr("The text encoder of Kolors is not trained; the LoRA changes the denoiser alone."),
        way_out=lambda c, f: {"network.train_text_encoder": False},
    ),
)
