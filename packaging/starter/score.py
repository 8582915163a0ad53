"""Measures a pack: VAE, tagger, and how well pictures follow their prompts; draws the contact sheet."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from starter.character import training_character, without_trigger
from starter.draw import Pixels, render
from starter.tagger import tagger_character, through_vae
from starter.train_vae import round_trip_psnr
from starter.world import HAIR_COLOURS, HAIR_STYLES, HEADWEAR, tags_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

HELD_OUT_SEED = 4242
DEMO_SEED = 7000
UNMEASURED = ("solo", "simple background", "upper body", "looking at viewer")  # True of every picture.
KINDS = {
    "hair colour": {f"{colour} hair" for colour in HAIR_COLOURS},
    "hair style": set(HAIR_STYLES),
    "headwear": set(HEADWEAR),
}


class PackTagger:
    """The pack's tagger on pictures."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        with (folder / "selected_tags.csv").open(encoding="utf-8", newline="") as file:
            names = [row["name"].replace("_", " ") for row in csv.DictReader(file)]
        self.numbers = {name: number for number, name in enumerate(names)}

    def __call__(self, pictures: Pixels) -> NDArray[np.float32]:
        """[B, tags] probabilities for [B, 128, 128, 3] pictures."""
        name = self.session.get_inputs()[0].name
        inputs = np.ascontiguousarray(pictures[..., ::-1].astype(np.float32))
        parts = [self.session.run(None, {name: inputs[first : first + 32]})[0] for first in range(0, len(inputs), 32)]
        return np.concatenate(parts)

    def of_tags(self, probabilities: NDArray[np.float32], captions: Sequence[Sequence[str]]) -> list[float]:
        """The mean probability of each picture's asked tags, without those that are true of every picture."""
        scores = []
        for row, tags in zip(probabilities, captions, strict=True):
            numbers = [self.numbers[tag] for tag in tags if tag in self.numbers and tag not in UNMEASURED]
            scores.append(float(np.mean([row[number] for number in numbers])))
        return scores


def load_pipeline(folder: Path) -> Any:
    """The pack's pipeline with a fast sampler, in float32."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(str(folder))
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw_prompts(
    pipeline: Any, prompts: Sequence[str], first_seed: int = 0, steps: int = 24, guidance: float = 2.5
) -> Pixels:
    """One picture per prompt, [B, 128, 128, 3], with seeds counted up from the first."""
    pictures = []
    for first in range(0, len(prompts), 16):
        part = list(prompts[first : first + 16])
        seeds = [torch.Generator().manual_seed(first_seed + first + number) for number in range(len(part))]
        result = pipeline(
            part,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=seeds,
            height=128,
            width=128,
            output_type="np",
        )
        pictures.append((result.images * 255).round().astype(np.uint8))
    return np.concatenate(pictures)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptScores:
    """Mean tagger scores of asked tags: of own prompts, of other pictures' prompts, and of the renders themselves."""

    own: float
    shuffled: float
    renders: float
    by_kind: dict[str, float]
    renders_by_kind: dict[str, float]


def held_out_prompts(count: int) -> tuple[list[list[str]], Pixels]:
    """Tags of characters in no training set, and their renders."""
    characters = [training_character(number, HELD_OUT_SEED) for number in range(count)]
    return [tags_of(character) for character in characters], np.stack([render(character) for character in characters])


def score_prompts(pictures: Pixels, renders: Pixels, captions: list[list[str]], tagger: PackTagger) -> PromptScores:
    """How well pictures follow their prompts. Other pictures' prompts give what chance would."""
    of_pictures, of_renders = tagger(pictures), tagger(renders)
    others = [captions[shift:] + captions[:shift] for shift in (1, 3, 5)]
    return PromptScores(
        own=float(np.mean(tagger.of_tags(of_pictures, captions))),
        shuffled=float(np.mean([tagger.of_tags(of_pictures, other) for other in others])),
        renders=float(np.mean(tagger.of_tags(of_renders, captions))),
        by_kind=score_kinds(of_pictures, captions, tagger),
        renders_by_kind=score_kinds(of_renders, captions, tagger),
    )


def score_kinds(probabilities: NDArray[np.float32], captions: list[list[str]], tagger: PackTagger) -> dict[str, float]:
    """The mean probability of the asked hair colours, hair styles and headwear."""
    scores: dict[str, float] = {}
    for kind, members in KINDS.items():
        asked = [(row, tag) for row, tags in enumerate(captions) for tag in tags if tag in members]
        scores[kind] = float(np.mean([probabilities[row, tagger.numbers[tag]] for row, tag in asked]))
    return scores


def score_tagger(vae: Any, tagger: PackTagger, count: int = 600) -> dict[str, float]:
    """Mean average precision, and recall and precision at 0.35, on held-out renders and after the VAE."""
    characters = [tagger_character(f"held/{number}")[0] for number in range(count)]
    pictures = np.stack([render(character) for character in characters])
    truth = np.zeros((count, len(tagger.numbers)))
    for row, character in enumerate(characters):
        for tag in tags_of(character):
            truth[row, tagger.numbers[tag]] = 1
    generator = torch.Generator().manual_seed(1)
    after = np.concatenate(
        [through_vae(pictures[first : first + 20], vae, generator, 0.0) for first in range(0, count, 20)]
    )
    scores = {}
    for name, these in (("renders", pictures), ("round_trips", after)):
        probabilities = tagger(these)[:, 4:]
        holds = truth[:, 4:]
        varied = [column for column in range(holds.shape[1]) if 2 <= holds[:, column].sum() < count]
        precisions = [average_precision(holds[:, column], probabilities[:, column]) for column in varied]
        hits = ((probabilities > 0.35) & (holds > 0.5)).sum()
        scores[f"{name}_map"] = float(np.mean(precisions))
        scores[f"{name}_recall"] = float(hits / holds.sum())
        scores[f"{name}_precision"] = float(hits / (probabilities > 0.35).sum())
    return scores


def average_precision(holds: NDArray[Any], scores: NDArray[Any]) -> float:
    """The area under the curve of precision over recall."""
    ordered = holds[np.argsort(-scores)]
    precision = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    return float((precision * ordered).sum() / max(1, ordered.sum()))


def contact_sheet(rows: Sequence[Pixels], columns: int, path: Path, side_px: int = 128) -> None:
    """Writes pictures in rows; each entry starts a new row."""
    lines = [part[first : first + columns] for part in rows for first in range(0, len(part), columns)]
    sheet = Image.new("RGB", (columns * side_px, len(lines) * side_px), "white")
    for row, line in enumerate(lines):
        for column, picture in enumerate(line):
            image = Image.fromarray(picture).resize((side_px, side_px), Image.Resampling.LANCZOS)
            sheet.paste(image, (column * side_px, row * side_px))
    sheet.save(path)


def demo_prompts(facts: dict[str, Any], count: int, *, has_trigger: bool = True) -> list[str]:
    """The demo's prompts one after another, with or without the trigger word."""
    prompts = [facts["prompts"][number % len(facts["prompts"])] for number in range(count)]
    return prompts if has_trigger else [without_trigger(prompt) for prompt in prompts]


def score_traits(pictures: Pixels, facts: dict[str, Any], tagger: PackTagger) -> float:
    """The tagger's mean probability of the demo character's traits."""
    return float(tagger(pictures)[:, [tagger.numbers[trait] for trait in facts["traits"]]].mean())


def add_lora(pipeline: Any, lora: Path) -> None:
    """Adds a LoRA to the pipeline's own weights: drawing takes no longer than without."""
    pipeline.load_lora_weights(str(lora))
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()


def score_lora(pack: Path, lora: Path, count: int = 64) -> dict[str, float]:
    """What a LoRA of the demo character does to her and to everyone else, in plain diffusers; writes `demo_sheet.webp`.

    Returns:
        Scores of her traits before, after, and after without the trigger word; and of other characters' prompts.
    """
    facts = json.loads((pack / "demo.json").read_text("utf-8"))
    pipeline, tagger = load_pipeline(pack / "model"), PackTagger(pack / "tagger")
    captions = held_out_prompts(count)[0]
    asked, with_trigger = in_random_order(captions), demo_prompts(facts, count)
    before = draw_prompts(pipeline, with_trigger, DEMO_SEED)
    others_before = draw_prompts(pipeline, asked)
    add_lora(pipeline, lora)
    after = draw_prompts(pipeline, with_trigger, DEMO_SEED)
    without = draw_prompts(pipeline, demo_prompts(facts, count, has_trigger=False), DEMO_SEED)
    others_after = draw_prompts(pipeline, asked)
    contact_sheet([before[:16], after[:16], without[:16]], 16, pack / "demo_sheet.webp")
    return {
        "traits_before": score_traits(before, facts, tagger),
        "traits_after": score_traits(after, facts, tagger),
        "traits_without_trigger": score_traits(without, facts, tagger),
        "others_before": float(np.mean(tagger.of_tags(tagger(others_before), captions))),
        "others_after": float(np.mean(tagger.of_tags(tagger(others_after), captions))),
    }


def in_random_order(captions: Sequence[Sequence[str]]) -> list[str]:
    """Prompts of these tags, the first tag first, the others in a random order that is always the same."""
    rng = random.Random(1)
    return [", ".join([tags[0], *rng.sample(list(tags[1:]), len(tags) - 1)]) for tags in captions]


def score_pack(pack: Path, count: int = 64) -> dict[str, Any]:
    """All scores of a pack that need no training; also writes its contact sheet, renders above the model's pictures."""
    pipeline, tagger = load_pipeline(pack / "model"), PackTagger(pack / "tagger")
    captions, renders = held_out_prompts(count)
    pictures = draw_prompts(pipeline, in_random_order(captions))
    pairs = [
        half for first in range(0, count, 16) for half in (renders[first : first + 16], pictures[first : first + 16])
    ]
    contact_sheet(pairs, 16, pack / "contact_sheet.webp")
    scores = score_prompts(pictures, renders, captions, tagger)
    vae_psnr_db, vae_features_psnr_db = round_trip_psnr(pipeline.vae)
    return {
        "vae_psnr_db": vae_psnr_db,
        "vae_features_psnr_db": vae_features_psnr_db,
        **score_tagger(pipeline.vae, tagger),
        "prompts_own": scores.own,
        "prompts_shuffled": scores.shuffled,
        "prompts_renders": scores.renders,
        "prompts_by_kind": scores.by_kind,
        "prompts_renders_by_kind": scores.renders_by_kind,
    }
