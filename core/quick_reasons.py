"""What the quick form chose, in sentences, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core.config import TrainConfig
from core.config.labels import number_text, specs_by_key, value_of, value_text
from core.device import Device
from core.estimate_network import trains_text_encoder
from core.models import BaseModel
from core.quick import RunLength
from core.quick_facts import Facts
from core.text import sentences, tr

_LONGEST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Some options that were chosen together: a sentence that says what, and one that says why.

    `keys` are the options as `section.name`, the one that leads first, and `values` what they are now. With `is_own`
    the user set one of them, which stays as it is.
    """

    keys: tuple[str, ...]
    values: tuple[Any, ...]
    sentence: str
    why: str
    is_own: bool = False


def reasons(
    config: TrainConfig,
    chosen: TrainConfig | None,
    model: BaseModel,
    facts: Facts,
    device: Device | None,
    length: RunLength | None = None,
) -> tuple[Choice, ...]:
    """All choices in the order in which people ask.

    Args:
        config: The settings as they are.
        chosen: What Kiln chose; None where nobody knows, as with loaded settings, which all count as the user's.
        model: The base model.
        facts: What the pictures show.
        device: Where the run will compute; None while that is not known.
        length: The sum of the run, when there are pictures.
    """
    found = []
    for keys, sentence, why in _all(config, model, facts, device, length):
        values = tuple(value_of(config, key) for key in keys)
        own = [key for key in keys if chosen is None or value_of(config, key) != value_of(chosen, key)]
        if own:
            sentence, why = _own(config, chosen, own)
        found.append(Choice(keys=keys, values=values, sentence=sentence, why=why, is_own=bool(own)))
    return tuple(found)


_Reason = tuple[tuple[str, ...], str, str]


def _all(
    config: TrainConfig, model: BaseModel, facts: Facts, device: Device | None, length: RunLength | None
) -> Iterator[_Reason]:
    yield _trigger(config, facts)
    yield _resolution(config, model)
    yield _rank(config, model, facts)
    yield _rate(config, model)
    yield _repeats(config, facts, length)
    yield _batch(config, model, device)
    yield _text_encoder(config, model, facts)
    if model.family == "sdxl" and model.lineage:
        yield _clip_skip(model.lineage)
    yield _precision(config, device)
    yield _held_out(config, facts, length)
    yield _previews(config, facts)


def _own(config: TrainConfig, chosen: TrainConfig | None, own: list[str]) -> tuple[str, str]:
    sentence = tr("{title}: {value}, set by you.", title=_title(own[0]), value=_text(config, own[0]))
    if chosen is None:
        return sentence, tr("These settings were loaded, so Kiln leaves them as they are.")
    wanted = [f"{_title(key)} = {_text(chosen, key)}" for key in own]
    return sentence, tr("Kiln would take: {values}. What you set stays until you reset it.", values="; ".join(wanted))


def _trigger(config: TrainConfig, facts: Facts) -> _Reason:
    key = ("dataset.trigger_word",)
    word = config.dataset.trigger_word
    if not word:
        return (
            key,
            tr("No trigger word: the LoRA works whenever it is loaded."),
            tr(
                "A word of its own calls the character and leaves other prompts alone. The Tagger page proposes one, "
                "and names the tags that it is to stand for."
            ),
        )
    why = (
        tr("It comes from the name of the folder.")
        if word == facts.trigger
        else tr("It stands in front of every caption.")
    )
    return (
        key,
        tr("Trigger word: {word}.", word=word),
        sentences(why, tr("Write it in a prompt to call what the pictures have in common.")),
    )


def _resolution(config: TrainConfig, model: BaseModel) -> _Reason:
    side = config.dataset.resolution
    if config.dataset.fit == "buckets":
        shape = tr("Pictures keep their shape: each is brought to about as many pixels as such a square has.")
    else:
        shape = tr("Each picture is cut to a square around its subject.")
    return (
        ("dataset.resolution", "dataset.fit", "dataset.bucket_step"),
        tr("{pixels} px, the size this base model was made for.", pixels=side),
        sentences(tr("At other sizes it draws worse, and larger ones take more time and memory."), shape),
    )


def _rank(config: TrainConfig, model: BaseModel, facts: Facts) -> _Reason:
    number, rank = facts.num_pictures, config.network.rank
    keys = ("network.rank", "network.alpha")
    of = {"character": tr("one character"), "style": tr("one style"), "object": tr("one object")}
    if not number:
        sentence = tr("Rank {rank}.", rank=rank)
    elif facts.target is None:
        pictures = tr("1 picture") if number == 1 else tr("{number} pictures", number=number)
        sentence = tr("Rank {rank}, for {pictures}.", rank=rank, pictures=pictures)
    else:
        pictures = tr("1 picture") if number == 1 else tr("{number} pictures", number=number)
        sentence = tr("Rank {rank}, because {pictures} of {what}.", rank=rank, pictures=pictures, what=of[facts.target])
    if model.is_starter:
        why = tr("The starter model is small: more would learn the pictures by heart.")
    elif facts.target == "style":
        why = tr("A style is in every part of a picture, so the LoRA must hold more.")
    elif rank <= 8:
        why = tr("With few pictures a small LoRA learns what they have in common, not the pictures themselves.")
    else:
        why = tr("That holds a character with its clothes. More makes larger files and learns by heart sooner.")
    return keys, sentence, sentences(why, tr("Alpha is the same, so the learning rate counts in full."))


def _rate(config: TrainConfig, model: BaseModel) -> _Reason:
    rate, text_rate = config.optimizer.learning_rate, config.optimizer.text_encoder_learning_rate
    keys = ("optimizer.learning_rate", "optimizer.text_encoder_learning_rate", "optimizer.name")
    sentence = tr("Learning rate {rate}.", rate=number_text(rate))
    if trains_text_encoder(config):
        sentence = tr(
            "Learning rate {rate}, text encoder {text_rate}.", rate=number_text(rate), text_rate=number_text(text_rate)
        )
    why = (
        tr("The starter model learns well at a rate that would burn a large model.")
        if model.is_starter
        else tr("A safe rate for this family. A higher one learns faster and ruins faces and hands.")
    )
    if config.training.batch_size > 1 and not model.is_starter:
        why = sentences(why, tr("It is raised a little, because larger batches are steadier."))
    return keys, sentence, why


def _repeats(config: TrainConfig, facts: Facts, length: RunLength | None) -> _Reason:
    keys = ("dataset.repeats",)
    if facts.has_own_repeats:
        return (
            keys,
            tr("Repeats as your folders say."),
            tr("A folder called 10_name shows each of its pictures 10 times per epoch."),
        )
    if length is None or not length.num_images:
        return keys, tr("Repeats by the number of pictures."), tr("They are known when the pictures are.")
    repeats = round(length.num_shown / length.num_images)
    sentence = (
        tr("Each picture once per epoch.")
        if repeats == 1
        else tr("Each picture {repeats} times per epoch.", repeats=repeats)
    )
    return (
        keys,
        sentence,
        tr(
            "Ten epochs then show about 1,500 pictures, which is enough for most LoRA. This run has {steps} steps.",
            steps=length.total_steps,
        ),
    )


def _batch(config: TrainConfig, model: BaseModel, device: Device | None) -> _Reason:
    training = config.training
    keys = (
        "training.batch_size",
        "training.gradient_accumulation",
        "training.gradient_checkpointing",
        "training.base_weights",
    )
    batch = (
        tr("One picture per step")
        if training.batch_size == 1
        else tr("{number} pictures per step", number=training.batch_size)
    )
    if training.base_weights == "int8":
        sentence = tr("{batch}, with checkpointing and 8-bit base weights to save memory.", batch=batch)
        why = tr(
            "Without them the run or its previews would not fit. Steps take longer; what is learned is nearly the same."
        )
    elif training.gradient_checkpointing:
        sentence = tr("{batch}, with checkpointing to save memory.", batch=batch)
        why = tr("Without it the run would not fit. Steps take about a third longer; what is learned is the same.")
    elif model.is_starter:
        sentence, why = (
            tr("{batch}.", batch=batch),
            tr("The starter model is so small that this fits everywhere and is steadier."),
        )
    elif device is None or device.kind != "cuda":
        sentence = tr("{batch}.", batch=batch)
        why = tr("On a processor more at once is no faster. On a card with room Kiln takes more.")
    else:
        sentence = tr("{batch}, which fits {device}.", batch=batch, device=device.title)
        why = tr("More pictures per step are steadier, and need more memory. No saver is needed, so steps are fast.")
    return keys, sentence, why


def _text_encoder(config: TrainConfig, model: BaseModel, facts: Facts) -> _Reason:
    keys = ("network.train_text_encoder",)
    if trains_text_encoder(config):
        return (
            keys,
            tr("The text encoder learns too."),
            tr("So the trigger word becomes a word of its own. It costs little memory."),
        )
    if model.family == "kolors":
        why = tr("Kolors reads captions with a language model of 6 billion weights, which is needed only once.")
        return keys, tr("The text encoder stays as it is."), why
    if facts.target == "style":
        why = tr("A style is in how things are drawn, not in a word.")
    elif model.family == "sdxl":
        why = tr("They know most words already, and what they say is kept instead of computed in every step.")
    else:
        why = tr("That saves memory, and its answers can be kept instead of computed in every step.")
    if model.family == "sdxl":
        return keys, tr("Both text encoders stay as they are."), why
    return keys, tr("The text encoder stays as it is."), why


def _clip_skip(lineage: str) -> _Reason:
    return (
        ("model.clip_skip",),
        tr("The usual layer of both text encoders, which people call clip skip 2."),
        tr("{lineage} was made with it, as all models of the SDXL kind: there 1 and 2 are the same.", lineage=lineage),
    )


def _precision(config: TrainConfig, device: Device | None) -> _Reason:
    keys = ("training.precision", "training.device")
    if device is not None and device.kind == "cuda":
        return (
            keys,
            tr("Computes in 16 bits on {device}.", device=device.title),
            tr("Half the memory and twice the speed of 32 bits; the LoRA itself is kept in 32 bits."),
        )
    return (
        keys,
        tr("Computes in 32 bits on the processor.") if device and device.kind == "cpu" else tr("Computes in 32 bits."),
        tr("A processor gains nothing from fewer bits. With an NVIDIA card Kiln takes 16 bits."),
    )


def _held_out(config: TrainConfig, facts: Facts, length: RunLength | None) -> _Reason:
    keys = ("validation.pictures",)
    number = length.num_held_out if length is not None else 0
    if number:
        sentence = (
            tr("1 picture is only measured, not trained.")
            if number == 1
            else tr("{number} pictures are only measured, not trained.", number=number)
        )
        return keys, sentence, tr("They show when the LoRA begins to learn by heart, and which epoch is the best.")
    return (
        keys,
        tr("All pictures are trained, none is held out."),
        tr("From 24 pictures on, one in twelve is held out to measure what is learned."),
    )


def _previews(config: TrainConfig, facts: Facts) -> _Reason:
    keys = ("sampling.prompts", "sampling.every_n_epochs")
    prompts = config.sampling.prompts
    if not prompts:
        return keys, tr("No previews yet."), tr("They come with captions or a trigger word.")
    head = tr("Made from your tags:") if facts.captions else tr("What is drawn:")
    listed = [f"{number}. {prompt}" for number, prompt in enumerate(prompts, 1)]
    return keys, _rhythm(config), "\n".join([head, *listed])


def _rhythm(config: TrainConfig) -> str:
    """How many previews are drawn, and when."""
    sampling = config.sampling
    number = len(sampling.prompts)
    previews = tr("1 preview") if number == 1 else tr("{number} previews", number=number)
    if sampling.every_n_epochs == 1:
        return tr("{previews} after each epoch.", previews=previews)
    if sampling.every_n_epochs:
        return tr("{previews} after every {number} epochs.", previews=previews, number=sampling.every_n_epochs)
    if sampling.every_n_steps:
        return tr("{previews} after every {number} steps.", previews=previews, number=sampling.every_n_steps)
    if sampling.at_start:
        return tr("{previews} at the start and at the end.", previews=previews)
    return tr("{previews} at the end.", previews=previews)


def _title(key: str) -> str:
    return tr(specs_by_key()[key].title)


def _text(config: TrainConfig, key: str) -> str:
    """The value of an option, shortened where it is long."""
    text = value_text(specs_by_key()[key], value_of(config, key))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
