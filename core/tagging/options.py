"""What a person can choose about captions from a tagger, for the window, the command line and the job alike."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, field_validator

from core.config.base import Section, form
from core.text import tr

OnExisting = Literal["keep", "replace", "prepend", "append", "merge"]
Order = Literal["score", "name"]
FIELDS = ("trigger", "tags", "sentence")
"""What a template may name, in braces."""
TAGS_TEMPLATE, SENTENCE_TEMPLATE, BOTH_TEMPLATE = (
    "{trigger}, {tags}",
    "{trigger}, {sentence}",
    "{trigger}, {tags}. {sentence}",
)


def pair_of(text: str) -> tuple[str, str] | None:
    """The tag and what is written for it, from `old=new`; None when one of them is missing.

    The last `=` between two texts counts, but the face `=_=` stays whole.
    """
    places = (place for place, letter in enumerate(text) if letter == "=")
    pairs = [(old, new) for place in places if (old := text[:place].strip()) and (new := text[place + 1 :].strip())]
    return next((pair for pair in pairs if "=_=" in pair), pairs[-1] if pairs else None)


class TagOptions(Section):
    """How pictures become captions. Tags are named without regard to case, underscores and escaped brackets."""

    tagger: Path = Field(
        Path(),
        title="Tagger model",
        description="A folder with model.onnx and its list of tags; empty for the starter tagger.",
        json_schema_extra=form(widget="folder"),
    )
    captioner: Path = Field(
        Path(),
        title="Sentence model",
        description="A folder with a BLIP or Florence-2 model; needed where the template asks for {sentence}.",
        json_schema_extra=form(widget="folder"),
    )
    template: str = Field(
        TAGS_TEMPLATE,
        title="Form of a caption",
        description="{trigger}, {tags} and {sentence} are filled in; what is empty goes with the comma after it.",
        json_schema_extra=form(advanced=True),
    )
    threshold: float = Field(
        0.35, ge=0, le=1, title="Threshold", description="Tags with at least this score are written."
    )
    character_threshold: float = Field(
        0.85,
        ge=0,
        le=1,
        title="Threshold for characters",
        description="Names of characters need at least this score.",
        json_schema_extra=form(advanced=True),
    )
    copyright_threshold: float = Field(
        0.85,
        ge=0,
        le=1,
        title="Threshold for series",
        description="Names of series and works need at least this score.",
        json_schema_extra=form(advanced=True),
    )
    other_threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Threshold for the rest",
        description="Tags of all other kinds, for example artists and quality, need at least this score.",
        json_schema_extra=form(advanced=True),
    )
    mcut: bool = Field(
        False,
        title="Find the threshold for each picture",
        description="Cut general tags and characters at the widest gap between scores, instead of at their thresholds.",
        json_schema_extra=form(advanced=True),
    )
    ratings: bool = Field(
        False,
        title="Write the rating",
        description="Put the most certain rating (general, sensitive, ...) into the caption.",
        json_schema_extra=form(advanced=True),
    )
    characters: bool = Field(
        True,
        title="Write names of characters",
        description="Without it, names of characters and of their series are left out.",
        json_schema_extra=form(advanced=True),
    )
    trigger_word: str = Field("", title="Trigger word", description="Put in front of every caption.")
    add: tuple[str, ...] = Field((), title="Add", description="Tags that are written first in every caption.")
    exclude: tuple[str, ...] = Field(
        (), title="Leave out", description="Tags that are never written; * stands for any letters, as in *_background."
    )
    replace: tuple[str, ...] = Field(
        (), title="Replace", description="Tags to be written as other ones, each as old=new."
    )
    prune: tuple[str, ...] = Field(
        (),
        title="Leave to the trigger word",
        description="Tags of the character, taken out of all captions, so that the trigger word learns them.",
    )
    replace_underscores: bool = Field(
        True,
        title="Spaces for underscores",
        description="Write long hair, not long_hair.",
        json_schema_extra=form(advanced=True),
    )
    escape_brackets: bool = Field(
        False,
        title="Escape brackets",
        description="Write \\( for (. That is for prompts; in captions the backslash would be learned.",
        json_schema_extra=form(advanced=True),
    )
    order: Order = Field(
        "score",
        title="Order of tags",
        description="score puts the most certain first; name sorts them by name.",
        json_schema_extra=form(advanced=True),
    )
    on_existing: OnExisting = Field(
        "keep",
        title="When a caption exists",
        description=(
            "keep leaves it alone; replace writes the new one; prepend and append add the tags it lacks, before or "
            "after it; merge makes one list of both."
        ),
    )

    @field_validator("template")
    @classmethod
    def _names_known_fields(cls, template: str) -> str:
        from string import Formatter

        try:
            named = [
                (name, conversion, spec)
                for _, name, spec, conversion in Formatter().parse(template)
                if name is not None
            ]
        except ValueError as error:
            raise ValueError(tr("a text in which every brace is closed")) from error
        if not named or any(name not in FIELDS or conversion or spec for name, conversion, spec in named):
            raise ValueError(tr("a text with {tags} or {sentence}, perhaps with {trigger}, and with no other braces"))
        if not any(name in ("tags", "sentence") for name, _, _ in named):
            raise ValueError(tr("a text with {tags} or {sentence}, perhaps with {trigger}, and with no other braces"))
        return template

    @field_validator("replace")
    @classmethod
    def _are_pairs(cls, pairs: tuple[str, ...]) -> tuple[str, ...]:
        for pair in pairs:
            if pair_of(pair) is None:
                raise ValueError(tr("pairs such as long hair=very long hair"))
        return pairs

    @property
    def wants_tags(self) -> bool:
        """Whether a tagger is needed."""
        return "{tags}" in self.template

    @property
    def wants_sentence(self) -> bool:
        """Whether a sentence model is needed."""
        return "{sentence}" in self.template


ON_EXISTING: tuple[OnExisting, ...] = get_args(OnExisting)
ORDERS: tuple[Order, ...] = get_args(Order)
