"""The world of the starter model: what its characters can look like, and the tags that say so.

The `small` world (upper body, hardly any pose, plain backgrounds, no neckwear, no thin headwear, one colour for each
thing whose colour no tag names) is what two CPU cores can learn in a few hours. The `full` one has scenes, framings,
glances and accessories, and is for a GPU.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

World = Literal["small", "full"]

HAIR_COLOURS = {
    "black": "#34323f",
    "brown": "#7a4a2e",
    "blonde": "#f2cf6b",
    "red": "#c23a3a",
    "orange": "#ee8a3c",
    "pink": "#f59bbd",
    "purple": "#8d62c4",
    "blue": "#4a78d6",
    "aqua": "#6fd3d8",
    "green": "#57a862",
    "grey": "#a3a8b4",
    "white": "#f0f0f6",
}
EYE_COLOURS = {
    "blue": "#3f7fe0",
    "green": "#3fae5a",
    "red": "#d63a3f",
    "brown": "#8a5230",
    "purple": "#8f55cf",
    "yellow": "#e8b52a",
    "pink": "#ee6fa5",
    "aqua": "#35bfc6",
}
CLOTH_COLOURS = {
    "white": "#f4f4f6",
    "black": "#35353f",
    "red": "#cf3b40",
    "blue": "#3b66c4",
    "green": "#4a9a58",
    "yellow": "#efcb4d",
    "pink": "#f3a0bd",
    "purple": "#8a5fbe",
    "orange": "#ea8c3e",
    "brown": "#8a5c3c",
    "grey": "#9aa0aa",
}
SKINS = {"light skin": "#fde3d0", "pale skin": "#fff1e8", "tan": "#e5b084", "dark skin": "#b98058"}
PLAIN_BACKGROUNDS = {
    "white": "#ffffff",
    "grey": "#c9ccd3",
    "blue": "#a9cdf2",
    "pink": "#f9cfdd",
    "yellow": "#faecb0",
    "green": "#bfe3b9",
    "purple": "#d6c3ee",
    "orange": "#fbd3a8",
    "black": "#2a2a33",
}
SCENES = (
    "sky",
    "night",
    "sunset",
    "grass",
    "polka dot background",
    "striped background",
    "heart background",
    "gradient background",
    "starry background",
)
SCENE_COLOURS = ("blue", "pink", "yellow", "green", "purple", "orange")
HAIR_STYLES = (
    "short hair",
    "bob cut",
    "medium hair",
    "long hair",
    "twintails",
    "ponytail",
    "double bun",
    "twin braids",
    "spiky hair",
    "side ponytail",
    "wavy hair",
)
# Repeats are weights.
BOYS_HAIR_STYLES = ("short hair", "spiky hair", "medium hair", "ponytail", "short hair", "spiky hair", "wavy hair")
BANGS = ("blunt bangs", "swept bangs", "parted bangs", "hair between eyes")
GARMENTS = ("shirt", "hoodie", "serafuku", "sweater", "dress", "jacket", "suit", "kimono", "overalls")
BOYS_GARMENTS = ("shirt", "hoodie", "sweater", "jacket", "suit", "kimono", "overalls")
SECOND_COLOURS = ("white", "black", "red", "blue", "yellow")
HEADWEAR = (
    "cat ears",
    "rabbit ears",
    "fox ears",
    "hair bow",
    "hairband",
    "beret",
    "witch hat",
    "baseball cap",
    "crown",
    "halo",
    "horns",
    "hair flower",
    "headphones",
    "santa hat",
)
# In the small world what no tag gives a colour has always the same one: asked for a "beret", a small model that has
# seen it in eleven colours paints several at once.
HEADWEAR_COLOURS = {
    "hair bow": "red",
    "beret": "brown",
    "witch hat": "purple",
    "baseball cap": "blue",
    "hair flower": "yellow",
}
SECOND_COLOUR = "white"
# The tagger knows them; the small world's generator does not, because latents of 16 x 16 do not hold them: thin arcs,
# bows, petals and brims; white hair, whose edge is as light as what lies behind it; brown eyes, which take on the
# colours around theirs; a mouth of two arcs.
FINE_HEADWEAR = ("hairband", "headphones", "hair bow", "hair flower", "witch hat", "baseball cap")
HAIR_INSTEAD = {"white": "grey"}
EYES_INSTEAD = {"brown": "blue"}
MOUTH_INSTEAD = {":3": "smile"}
MOUTHS = {
    "smile": 0.28,
    "open mouth": 0.18,
    "frown": 0.1,
    "closed mouth": 0.16,
    "grin": 0.1,
    ":3": 0.09,
    ":o": 0.09,
}
EYES_STATES = {"open": 0.72, "closed eyes": 0.1, "one eye closed": 0.1, "half-closed eyes": 0.08}
EYEWEAR = {"": 0.7, "glasses": 0.18, "sunglasses": 0.06, "eyepatch": 0.06}
NECKWEAR = {"": 0.68, "scarf": 0.1, "choker": 0.07, "necktie": 0.08, "bowtie": 0.07}
FRAMINGS = {"portrait": 0.5, "upper body": 0.35, "full body": 0.15}
GAZES = {"front": 0.6, "left": 0.2, "right": 0.2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """All that decides a picture but its size. Empty strings stand for "none"; offsets are in 1/256 of a side."""

    gender: str
    hair_style: str
    bangs: str
    hair_colour: str
    has_ahoge: bool
    eye_colour: str
    eyes_state: str
    mouth: str
    has_blush: bool
    skin: str
    eyewear: str
    headwear: str
    headwear_colour: str
    garment: str
    garment_colour: str
    second_colour: str
    neckwear: str
    neckwear_colour: str
    has_earrings: bool
    background: str
    scene_colour: str
    framing: str
    gaze: str
    tilt_deg: float
    offset_x: float
    offset_y: float
    zoom: float
    seed: int
    # What no sampled character has: a second eye colour, a streak in the hair, ends of the braids in another colour.
    second_eye_colour: str = ""
    streak_colour: str = ""
    tips_colour: str = ""
    side_shift: float = 0.0  # In picture widths: she stands at the side and looks as before.


def weighted(rng: random.Random, weights: dict[str, float]) -> str:
    """One of the keys, as often as its weight says."""
    return rng.choices(list(weights), list(weights.values()))[0]


def sample_character(rng: random.Random, world: World = "small") -> Character:
    """A random character. The order of the draws is part of the recipe: it decides who is whom."""
    is_girl = rng.random() < 0.72
    character = Character(
        gender="1girl" if is_girl else "1boy",
        hair_style=rng.choice(HAIR_STYLES if is_girl else BOYS_HAIR_STYLES),
        bangs=rng.choice(BANGS),
        hair_colour=rng.choice(list(HAIR_COLOURS)),
        has_ahoge=rng.random() < 0.12,
        eye_colour=rng.choice(list(EYE_COLOURS)),
        eyes_state=weighted(rng, EYES_STATES),
        mouth=weighted(rng, MOUTHS),
        has_blush=rng.random() < 0.25,
        skin=rng.choices(list(SKINS), [0.62, 0.12, 0.13, 0.13])[0],
        eyewear=weighted(rng, EYEWEAR),
        headwear=rng.choice(HEADWEAR) if rng.random() < 0.5 else "",
        headwear_colour=rng.choice(list(CLOTH_COLOURS)),
        garment=rng.choice(GARMENTS if is_girl else BOYS_GARMENTS),
        garment_colour=rng.choice(list(CLOTH_COLOURS)),
        second_colour=rng.choice(SECOND_COLOURS),
        neckwear=weighted(rng, NECKWEAR),
        neckwear_colour=rng.choice(list(CLOTH_COLOURS)),
        has_earrings=rng.random() < 0.08,
        background=rng.choice(list(PLAIN_BACKGROUNDS)) if rng.random() < 0.62 else rng.choice(SCENES),
        scene_colour=rng.choice(SCENE_COLOURS),
        framing=weighted(rng, FRAMINGS),
        gaze=weighted(rng, GAZES),
        tilt_deg=0.0,
        offset_x=0.0,
        offset_y=0.0,
        zoom=1.0,
        seed=0,
    )
    if world == "full":
        return replace(
            character,
            tilt_deg=rng.uniform(-9, 9),
            offset_x=rng.uniform(-9, 9),
            offset_y=rng.uniform(-5, 6),
            zoom=rng.uniform(0.94, 1.06),
            seed=rng.randrange(1 << 30),
        )
    is_plain = character.background in PLAIN_BACKGROUNDS
    return replace(
        character,
        framing="upper body",
        gaze="front",
        neckwear="",
        has_earrings=False,
        has_ahoge=False,
        has_blush=False,
        background=character.background if is_plain else rng.choice(list(PLAIN_BACKGROUNDS)),
        tilt_deg=rng.uniform(-2, 2),
        offset_x=rng.uniform(-3, 3),
        offset_y=rng.uniform(-2, 2),
        zoom=rng.uniform(0.98, 1.02),
        seed=rng.randrange(1 << 30),
    )


def as_generated(character: Character) -> Character:
    """The character as the small world's generator learns it: nothing too fine, one colour where no tag names one."""
    has_ears_on_buns = character.headwear.endswith(" ears") and character.hair_style == "double bun"
    is_bare = character.headwear in FINE_HEADWEAR or has_ears_on_buns
    return replace(
        character,
        hair_colour=HAIR_INSTEAD.get(character.hair_colour, character.hair_colour),
        eye_colour=EYES_INSTEAD.get(character.eye_colour, character.eye_colour),
        mouth=MOUTH_INSTEAD.get(character.mouth, character.mouth),
        headwear="" if is_bare else character.headwear,
        headwear_colour=HEADWEAR_COLOURS.get(character.headwear, character.headwear_colour),
        second_colour=SECOND_COLOUR,
    )


def tags_of(character: Character) -> list[str]:
    """The tags of a picture of this character, in a fixed order, the kind of person first."""
    shows_eyes = character.eyewear != "sunglasses"
    shows_second_eye = shows_eyes and character.eyes_state not in ("closed eyes", "one eye closed")
    hides_wink = character.eyewear == "eyepatch" and character.eyes_state == "one eye closed"
    is_plain = character.background in PLAIN_BACKGROUNDS
    tags = [character.gender, "solo", character.hair_style, f"{character.hair_colour} hair", character.bangs]
    optional = {
        "ahoge": character.has_ahoge,
        f"{character.eye_colour} eyes": shows_eyes and character.eyes_state != "closed eyes",
        f"{character.second_eye_colour} eyes": bool(character.second_eye_colour) and shows_second_eye,
        character.eyes_state: shows_eyes and character.eyes_state != "open" and not hides_wink,
        character.mouth: True,
        "blush": character.has_blush,
        character.skin: character.skin != "light skin",
        character.eyewear: bool(character.eyewear),
        character.headwear: bool(character.headwear),
        f"{character.garment_colour} {character.garment}": True,
        character.neckwear: bool(character.neckwear),
        "earrings": character.has_earrings,
        f"{character.background} background": is_plain,
        "simple background": is_plain,
        character.background: not is_plain,
        character.framing: True,
        "looking at viewer": character.gaze == "front",
        "looking to the side": character.gaze != "front",
    }
    return tags + [tag for tag, holds in optional.items() if holds]
