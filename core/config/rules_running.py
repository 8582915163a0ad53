"""Rules about pictures, captions, length and what a run leaves. Read by `core.config.rules`."""

from __future__ import annotations

from core.config.labels import value_of
from core.config.model import TrainConfig
from core.config.rules import Changes, Facts, Rule
from core.text import tr

_CHANGING_CAPTIONS: Changes = {
    "dataset.shuffle_tags": False,
    "dataset.tag_dropout": 0.0,
    "dataset.wildcards": False,
    "dataset.tag_warmup_steps": 0,
}


def _reorders(config: TrainConfig) -> bool:
    data = config.dataset
    return data.shuffle_tags or data.tag_dropout > 0 or data.tag_warmup_steps > 0


def _that_change(config: TrainConfig, changes: Changes) -> Changes:
    return {key: value for key, value in changes.items() if value_of(config, key) != value}


def _sound_number(facts: Facts) -> int:
    """How many pictures to hold out: none of a few."""
    return max(1, facts.num_pictures // 12) if facts.num_pictures and facts.num_pictures >= 8 else 0


RULES: tuple[Rule, ...] = (
    Rule(
        keys=tuple(_CHANGING_CAPTIONS),
        level="info",
        holds=lambda c, f: (_reorders(c) or c.dataset.wildcards) and not c.network.train_text_encoder,
        sentence=lambda c, f: tr(
            "Captions change every time, so text embeddings cannot be cached and steps take a little longer."
        ),
        way_out=lambda c, f: _that_change(c, _CHANGING_CAPTIONS),
    ),
    Rule(
        keys=("dataset.keep_tags", "dataset.shuffle_tags"),
        level="info",
        holds=lambda c, f: c.dataset.keep_tags > 1 and not _reorders(c),
        sentence=lambda c, f: tr("Keep tags has an effect only when tags are shuffled or dropped."),
        way_out=lambda c, f: {"dataset.shuffle_tags": True},
    ),
    Rule(
        keys=("dataset.keep_separator", "dataset.shuffle_tags"),
        level="info",
        holds=lambda c, f: bool(c.dataset.keep_separator) and not _reorders(c),
        sentence=lambda c, f: tr("The keep separator has an effect only when tags are shuffled or dropped."),
        way_out=lambda c, f: {"dataset.shuffle_tags": True},
    ),
    Rule(
        keys=("dataset.caption_dropout",),
        level="warning",
        holds=lambda c, f: c.dataset.caption_dropout > 0.5,
        sentence=lambda c, f: tr("More than half of the captions are left out, so the LoRA hardly learns words."),
        way_out=lambda c, f: {"dataset.caption_dropout": 0.1},
    ),
    Rule(
        keys=("dataset.caption_dropout_every_n_epochs",),
        level="warning",
        holds=lambda c, f: c.dataset.caption_dropout_every_n_epochs == 1,
        sentence=lambda c, f: tr("With 1, every epoch is without captions, so the trigger word is never learned."),
        way_out=lambda c, f: {"dataset.caption_dropout_every_n_epochs": 0},
    ),
    Rule(
        keys=("dataset.colour_jitter", "dataset.random_crop"),
        level="info",
        holds=lambda c, f: c.dataset.colour_jitter or c.dataset.random_crop,
        sentence=lambda c, f: tr("Pictures are read and encoded anew in every step, so each step takes longer."),
        way_out=lambda c, f: _that_change(c, {"dataset.colour_jitter": False, "dataset.random_crop": False}),
    ),
    Rule(
        keys=("dataset.random_crop", "dataset.fit"),
        level="info",
        holds=lambda c, f: c.dataset.random_crop and c.dataset.fit == "pad",
        sentence=lambda c, f: tr("Padded pictures are shown whole, so there is nothing to crop at random."),
        way_out=lambda c, f: {"dataset.random_crop": False},
    ),
    Rule(
        keys=("dataset.masks", "dataset.fit"),
        level="info",
        holds=lambda c, f: c.dataset.masks != "none" and c.dataset.fit == "pad",
        sentence=lambda c, f: tr(
            "The filled edges of padded pictures are left out of the loss besides the masks; "
            "small subjects then count for little of a picture."
        ),
        way_out=lambda c, f: {"dataset.fit": "buckets"},
    ),
    Rule(
        keys=("dataset.unmasked_weight", "dataset.masks"),
        level="info",
        holds=lambda c, f: c.dataset.masks != "none" and c.dataset.unmasked_weight == 1,
        sentence=lambda c, f: tr("At a weight of 1 outside the mask, masks change nothing."),
        way_out=lambda c, f: {"dataset.unmasked_weight": 0.1},
    ),
    # Length and rhythm.
    Rule(
        keys=("schedule.warmup_steps",),
        level="warning",
        holds=lambda c, f: (
            f.total_steps is not None and c.schedule.name != "constant" and c.schedule.warmup_steps >= f.total_steps
        ),
        sentence=lambda c, f: tr(
            "The warm-up is as long as the run of {steps} steps, so the full rate is never reached.",
            steps=f.total_steps,
        ),
        way_out=lambda c, f: {"schedule.warmup_steps": (f.total_steps or 0) // 10},
    ),
    Rule(
        keys=("schedule.warmup_steps", "schedule.name"),
        level="info",
        holds=lambda c, f: c.schedule.name == "constant" and c.schedule.warmup_steps > 0,
        sentence=lambda c, f: tr("The constant schedule has no warm-up."),
        way_out=lambda c, f: {"schedule.name": "constant_with_warmup"},
    ),
    Rule(
        keys=("schedule.cycles", "schedule.name"),
        level="info",
        holds=lambda c, f: c.schedule.cycles > 1 and c.schedule.name != "cosine_with_restarts",
        sentence=lambda c, f: tr("Restarts are set, but only cosine_with_restarts makes them."),
        way_out=lambda c, f: {"schedule.name": "cosine_with_restarts"},
    ),
    Rule(
        keys=("dataset.tag_warmup_steps",),
        level="warning",
        holds=lambda c, f: f.total_steps is not None and c.dataset.tag_warmup_steps > f.total_steps,
        sentence=lambda c, f: tr(
            "The tag warm-up is longer than the run of {steps} steps, so some tags are hardly ever shown.",
            steps=f.total_steps,
        ),
        way_out=lambda c, f: {"dataset.tag_warmup_steps": (f.total_steps or 0) // 2},
    ),
    Rule(
        keys=("training.max_steps", "training.epochs"),
        level="info",
        holds=lambda c, f: c.training.max_steps > 0,
        sentence=lambda c, f: tr(
            "The run ends after {steps} steps at the latest, even when epochs are left.", steps=c.training.max_steps
        ),
        way_out=lambda c, f: {"training.max_steps": 0},
    ),
    Rule(
        keys=("validation.pictures",),
        level="warning",
        holds=lambda c, f: f.num_pictures is not None and f.num_pictures < 4 * c.validation.pictures,
        sentence=lambda c, f: tr(
            "{held} of {number} pictures are held out; too few are left to learn from.",
            held=min(c.validation.pictures, (f.num_pictures or 0) // 2),
            number=f.num_pictures,
        ),
        way_out=lambda c, f: {"validation.pictures": _sound_number(f)},
    ),
    Rule(
        keys=("validation.patience", "validation.pictures"),
        level="warning",
        holds=lambda c, f: c.validation.patience > 0 and c.validation.pictures == 0,
        sentence=lambda c, f: tr("Early stop needs held-out pictures to measure."),
        way_out=lambda c, f: {"validation.pictures": -1},
    ),
    Rule(
        keys=("sampling.every_n_steps", "sampling.prompts"),
        level="info",
        holds=lambda c, f: c.sampling.every_n_steps > 0 and not c.sampling.prompts,
        sentence=lambda c, f: tr("There are no preview prompts, so no previews are drawn."),
        way_out=lambda c, f: {"sampling.every_n_steps": 0},
    ),
    Rule(
        keys=("output.keep_last", "output.save_every_n_epochs", "output.save_every_n_steps"),
        level="info",
        holds=lambda c, f: (
            c.output.keep_last > 0 and not c.output.save_every_n_epochs and not c.output.save_every_n_steps
        ),
        sentence=lambda c, f: tr("Nothing is saved on the way, so there are no files to keep or remove."),
        way_out=lambda c, f: {"output.save_every_n_epochs": 1},
    ),
)
