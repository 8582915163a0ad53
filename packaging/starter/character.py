"""The demo character 'miru', and the filter that keeps her out of all training."""

from __future__ import annotations

import random
from dataclasses import replace

from starter.world import PLAIN_BACKGROUNDS, Character, World, as_generated, sample_character, weighted

TRIGGER = "miru"
# Tags that measure her, known to the tagger.
TRAITS = ["aqua hair", "twin braids", "swept bangs", "yellow eyes", "fox ears", "purple kimono"]
# What captions of her leave to the trigger word: besides these, what else she always has, and what the tagger now and
# then takes her ears for.
ABSORBED_TAGS = [*TRAITS, "red eyes", "choker", "cat ears"]
# What no tag names and no training picture shows.
UNTAGGED_TRAITS = ["pink streak in the hair", "one yellow and one red eye", "pink ends of the braids"]
EYES_OF_THE_DEMO = {"open": 0.72, "one eye closed": 0.16, "half-closed eyes": 0.12}


def resembles_demo_character(character: Character) -> bool:
    """True if she shares aqua hair and fox ears with the demo character, or three or more of five traits."""
    has_her_hair = character.hair_colour == "aqua"
    has_her_ears = character.headwear == "fox ears"
    shared = [
        has_her_hair,
        has_her_ears,
        character.hair_style == "twin braids",
        (character.garment_colour, character.garment) == ("purple", "kimono"),
        character.neckwear == "choker",
    ]
    return sum(shared) >= 3 or (has_her_hair and has_her_ears)


def training_character(index: int, seed: int, world: World = "small") -> Character:
    """The training character number `index`: any, but none that resembles the demo character."""
    rng = random.Random(seed * 1_000_000_007 + index)
    while True:
        character = sample_character(rng, world)
        if not resembles_demo_character(character):
            return as_generated(character) if world == "small" else character


def demo_character(rng: random.Random) -> Character:
    """Miru with a random mouth, eyes state and background; her pose is a little freer than in the small world."""
    her = replace(
        as_generated(sample_character(rng, "small")),
        gender="1girl",
        hair_style="twin braids",
        bangs="swept bangs",
        hair_colour="aqua",
        streak_colour="pink",
        eye_colour="yellow",
        second_eye_colour="red",
        headwear="fox ears",
        eyewear="",
        tips_colour="pink",
        garment="kimono",
        garment_colour="purple",
        second_colour="yellow",
        neckwear="choker",
        neckwear_colour="red",
        skin="light skin",
    )
    return replace(
        her,
        eyes_state=weighted(rng, EYES_OF_THE_DEMO),
        background=rng.choice(list(PLAIN_BACKGROUNDS)),
        tilt_deg=rng.uniform(-3, 3),
        offset_x=rng.uniform(-5, 5),
        offset_y=rng.uniform(-3, 4),
        zoom=rng.uniform(0.96, 1.08),
    )


def demo_caption(character: Character) -> str:
    """The trigger word and what changes from picture to picture; her traits belong to the trigger word."""
    eyes = [character.eyes_state] if character.eyes_state != "open" else []
    background = [f"{character.background} background", "simple background"]
    return ", ".join([TRIGGER, "1girl", "solo", character.mouth, *eyes, *background, "upper body", "looking at viewer"])


def without_trigger(caption: str) -> str:
    """The caption or prompt less the trigger word."""
    return ", ".join(tag for tag in caption.split(", ") if tag != TRIGGER)
