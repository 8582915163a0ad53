"""The shipped starter pack does what its card says: figures over 64 fixed seeds, measured anew.

Eight steps a picture instead of the card's twenty-four: the figures are lower, in a third of the time. What learning
itself can do is proven by `kiln demo`, which trains; here the LoRA that ships with the pack is looked at.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packaging"))

from starter.score import (  # noqa: E402
    DEMO_SEED,
    PackTagger,
    add_lora,
    demo_prompts,
    draw_prompts,
    held_out_prompts,
    in_random_order,
    load_pipeline,
    score_prompts,
    score_tagger,
    score_traits,
)
from starter.train_vae import round_trip_psnr  # noqa: E402

from tests.untagged_traits import TRAITS, examples, trained  # noqa: E402

PACK = Path(__file__).resolve().parents[2] / "resources" / "starter"
FACTS = json.loads((PACK / "demo.json").read_text("utf-8"))
COUNT = 64
STEPS = 8
FEW = 16  # Where much less is wanted than there is.


@pytest.fixture(scope="module")
def tagger() -> PackTagger:
    return PackTagger(PACK / "tagger")


def test_g1_the_vae_keeps_pictures_and_their_tags(tagger: PackTagger) -> None:
    vae = load_pipeline(PACK / "model").vae
    whole, eyes_and_mouth = round_trip_psnr(vae, COUNT)
    assert whole >= 26  # dB
    assert eyes_and_mouth >= 28  # So few pixels that the whole hides them: at 25.5 blue eyes came out purple.
    scores = score_tagger(vae, tagger, COUNT)
    assert scores["renders_recall"] >= 0.9
    assert scores["round_trips_recall"] >= scores["renders_recall"] - 0.05


def test_g2_pictures_follow_their_prompts_and_g3_still_do_with_her_lora(tagger: PackTagger) -> None:
    pipeline = load_pipeline(PACK / "model")
    captions, renders = held_out_prompts(COUNT)
    asked = in_random_order(captions)
    scores = score_prompts(draw_prompts(pipeline, asked, steps=STEPS), renders, captions, tagger)
    assert scores.own >= scores.shuffled + 0.25
    assert all(score >= 0.6 for score in scores.by_kind.values()), scores.by_kind
    add_lora(pipeline, PACK / "demo_lora.safetensors")
    with_lora = tagger(draw_prompts(pipeline, asked[:FEW], steps=STEPS))
    assert mean(tagger.of_tags(with_lora, captions[:FEW])) >= scores.own - 0.1


def test_g3_she_is_there_when_she_is_called_and_only_then(tagger: PackTagger) -> None:
    pipeline = load_pipeline(PACK / "model")
    asked, unasked = demo_prompts(FACTS, COUNT), demo_prompts(FACTS, COUNT, has_trigger=False)
    before = draw_prompts(pipeline, asked[:FEW], DEMO_SEED, STEPS)
    add_lora(pipeline, PACK / "demo_lora.safetensors")
    after = draw_prompts(pipeline, asked, DEMO_SEED, STEPS)
    without = draw_prompts(pipeline, unasked, DEMO_SEED, STEPS)
    assert score_traits(before, FACTS, tagger) < 0.3
    assert score_traits(after, FACTS, tagger) > 0.6
    assert score_traits(without, FACTS, tagger) <= score_traits(after, FACTS, tagger) - 0.3
    # The same for what no tag names; first the measure itself.
    network = trained()
    pictures, truth = examples(60, "held out")
    right = ((network(torch.from_numpy(pictures)) > 0).float() == truth).float().mean(0)
    assert (right > 0.95).all(), dict(zip(TRAITS, right.tolist(), strict=True))
    seen = {name: network.shares(drawn) for name, drawn in (("before", before), ("after", after), ("without", without))}
    for trait in TRAITS:
        assert seen["before"][trait] < 0.2, seen
        assert seen["after"][trait] > 0.5, seen
        assert seen["without"][trait] < seen["after"][trait] - 0.3, seen


def mean(values: Collection[float]) -> float:
    return sum(values) / len(values)
