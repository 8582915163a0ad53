"""The demo on the command line: the main job from pictures to a LoRA, then an honest look at what was learned."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import __version__
from core.config import with_values
from core.console import duration
from core.control import Control
from core.dataset.edits import Concept, DatasetFile, save_dataset
from core.demo import DemoFacts, copy_demo, copy_others, demo_config, demo_dataset, demo_facts, with_others
from core.errors import UserError
from core.events import Event, Failed, Finished, Notice, StageProgress, StageStarted
from core.files import replacing, write_text
from core.jobs import Job, PrepareJob, TagJob, TrainJob, failure, run_to_end
from core.models import describe_base
from core.paths import STARTER_MODEL, STARTER_TAGGER, default_output_folder
from core.tagging.options import TagOptions
from core.text import tr

if TYPE_CHECKING:
    from PIL.Image import Image

    from core.config import TrainConfig

NUM_PICTURES = 16
FIRST_SEED = 7000
PREPARED_PX = 256
LEAST_LOSS_FALL = 0.20
MOST_TRAITS_BEFORE = 0.30
LEAST_TRAITS_AFTER = 0.60
LEAST_LOWER_UNTRIGGERED = 0.30
TIMESTEPS = (50, 200, 400, 600, 800, 950)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a model knows of the character.

    `held_out_loss` is the denoising error on pictures that were not trained, with fixed noise. `traits` maps each
    trait to the tagger's mean score over pictures drawn from fixed seeds; `traits_untriggered` the same without the
    trigger word in the prompt.
    """

    held_out_loss: float
    traits: dict[str, float]
    traits_untriggered: dict[str, float]
    pictures: list[Image]
    pictures_untriggered: list[Image]

    @property
    def trait_score(self) -> float:
        """Mean over all traits."""
        return sum(self.traits.values()) / len(self.traits)

    @property
    def trait_score_untriggered(self) -> float:
        """Mean over all traits without the trigger word."""
        return sum(self.traits_untriggered.values()) / len(self.traits_untriggered)


def demo(output: Path | None, control: Control) -> Iterator[Event]:
    """Prepare, tag and train the demo character, then compare before and after. Ends with `Finished` or `Failed`.

    Args:
        output: Where everything goes, a new or empty folder; None makes one in the user's documents.
        control: Stop is honoured between and within the parts.
    """
    try:
        yield from _demo(output, control)
    except Exception as error:  # The border of the job, as in `run_to_end`.
        yield failure(error)


def _demo(output: Path | None, control: Control) -> Iterator[Event]:
    began = time.monotonic()
    facts = demo_facts()
    folder = _empty_folder(output)
    prepared, edits = folder / "prepared", folder / "dataset.json"
    for job in first_jobs(folder, prepared):
        ended = yield from _part(job, control)
        if isinstance(ended, Failed) or control.stop_requested:
            yield ended if isinstance(ended, Failed) else Finished(output=folder, stopped=True)
            return
    others = copy_others(folder / "others")
    save_dataset(edits, with_others(DatasetFile(concepts=(Concept(folder=prepared),)), others))
    config = with_values(demo_config(prepared, folder), {"dataset.edits": edits})
    before = yield from _measure(config, None, facts, control)
    if before is None:
        yield Finished(output=folder, stopped=True)
        return
    ended = yield from _part(TrainJob(config=config), control)
    if isinstance(ended, Failed) or ended.stopped or ended.output is None:
        yield ended
        return
    trained_s = ended.elapsed_s
    after = yield from _measure(config, ended.output, facts, control)
    if after is None:
        yield Finished(output=ended.output, stopped=True)
        return
    sheet = folder / "before_after.png"
    with replacing(sheet) as temporary:
        contact_sheet(before, after, facts, config).save(temporary, format="PNG")
    learned = has_learned(before, after)
    text = summary(before, after, facts, config, ended.output, trained_s, time.monotonic() - began)
    write_text(folder / "summary.md", text)
    yield Notice(message=text)
    yield Notice(message=tr("Before and after: {path}", path=sheet))
    yield Notice(message=tr("Summary: {path}", path=folder / "summary.md"))
    if not learned:
        yield Failed(
            message=tr("The LoRA did not learn the character well enough."),
            remedy=tr("The figures are in {path}; please report them.", path=folder / "summary.md"),
        )
        return
    yield Finished(output=ended.output, elapsed_s=time.monotonic() - began)


def first_jobs(folder: Path, prepared: Path) -> list[Job]:
    """Copy the demo's pictures to a folder, and the jobs that bring them to `prepared`, cropped and with captions."""
    pictures, chosen = copy_demo(folder / "pictures"), folder / "pictures.json"
    save_dataset(chosen, demo_dataset(pictures))
    return [
        PrepareJob(folder=pictures, edits=chosen, target=prepared, resolution=PREPARED_PX, fit="smart", bucket_step=16),
        TagJob(folder=prepared, options=TagOptions(trigger_word=demo_facts().trigger)),
    ]


def _part(job: Job, control: Control) -> Generator[Event, None, Finished | Failed]:
    """All events of a job but its last, which is returned."""
    for event in run_to_end(job, control):
        if isinstance(event, (Finished, Failed)):
            return event
        yield event
    raise AssertionError("a job ends with Finished or Failed")


def _empty_folder(wish: Path | None) -> Path:
    folder = (wish or default_output_folder() / "demo").expanduser().absolute()
    if wish is None:
        number = 2
        while folder.exists() and any(folder.iterdir()):
            folder = folder.with_name(f"demo-{number}")
            number += 1
    elif folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            "{folder} is not empty.", remedy="Choose a new folder for the demo; nothing is overwritten.", folder=folder
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def has_learned(before: Measured, after: Measured) -> bool:
    """Whether the held-out loss fell and the traits are there now, but not without the trigger word; all clearly."""
    return (
        1 - after.held_out_loss / before.held_out_loss >= LEAST_LOSS_FALL
        and before.trait_score < MOST_TRAITS_BEFORE
        and after.trait_score > LEAST_TRAITS_AFTER
        and after.trait_score - after.trait_score_untriggered >= LEAST_LOWER_UNTRIGGERED
    )


def _measure(
    config: TrainConfig, lora: Path | None, facts: DemoFacts, control: Control
) -> Generator[Event, None, Measured | None]:
    """Measure the starter model, with the LoRA when given; the generator returns nothing after a stop."""
    yield StageStarted(stage="load")
    from core.families.base import family
    from core.lora.file import load_lora
    from core.lora.network import add_from_file
    from core.sampling import draw
    from core.training.device import choose_threads

    model_family = family("sd1")
    import torch

    parts = model_family.load(describe_base(STARTER_MODEL), torch.float32)
    choose_threads(parts.denoiser)
    if lora is not None:
        add_from_file(parts, model_family, load_lora(lora))
    loss = held_out_loss(parts, model_family, config, facts)
    pipeline = model_family.pipeline(parts)
    yield StageStarted(stage="sample", total=2 * NUM_PICTURES)
    drawn: list[list[Image]] = [[], []]
    prompts = list(facts.prompts)
    for kind, asked in enumerate((prompts, [without_trigger(prompt, facts.trigger) for prompt in prompts])):
        for first in range(0, NUM_PICTURES, len(asked)):
            if control.stop_requested:
                return None
            seeds = range(FIRST_SEED + first, FIRST_SEED + first + len(asked))
            drawn[kind] += draw(pipeline, asked, seeds, config.sampling)
            yield StageProgress(stage="sample", done=sum(map(len, drawn)), total=2 * NUM_PICTURES)
    return Measured(
        held_out_loss=loss,
        traits=trait_scores(drawn[0], facts.traits),
        traits_untriggered=trait_scores(drawn[1], facts.traits),
        pictures=drawn[0],
        pictures_untriggered=drawn[1],
    )


def without_trigger(prompt: str, trigger: str) -> str:
    """The prompt less the trigger word."""
    return ", ".join(tag for tag in prompt.split(", ") if tag != trigger)


def held_out_loss(parts: Any, model_family: Any, config: TrainConfig, facts: DemoFacts) -> float:
    """Mean denoising error over pictures that are in no training set, at fixed timesteps with fixed noise."""
    import torch

    from core.dataset.scan import scan_folder
    from core.training.data import examples_of
    from core.training.objective import NoiseSchedule, per_sample_loss
    from core.training.pixels import pixels_of

    examples = examples_of(scan_folder(facts.held_out), config.dataset)
    schedule = NoiseSchedule(parts.alphas_cumprod, parts.prediction)
    pixels = torch.stack([pixels_of(example, mirrored=False) for example in examples])
    latents = model_family.encode_images(parts, pixels)
    generator = torch.Generator().manual_seed(FIRST_SEED)
    losses = []
    with torch.no_grad():
        conditioning = model_family.encode_captions(parts, [example.caption for example in examples])
        for timestep in TIMESTEPS:
            timesteps = torch.full((len(examples),), timestep)
            noise = torch.randn(latents.shape, generator=generator)
            noisy = schedule.add_noise(latents, noise, timesteps)
            prediction = model_family.predict(parts, noisy, timesteps, conditioning)
            losses.append(per_sample_loss(prediction, schedule.target(latents, noise, timesteps)).mean())
    return float(torch.stack(losses).mean())


def trait_scores(pictures: Sequence[Image], traits: Sequence[str]) -> dict[str, float]:
    """The tagger's mean score of each trait over the pictures."""
    from core.tagging.base import load_tagger

    totals = dict.fromkeys(traits, 0.0)
    for seen in load_tagger(STARTER_TAGGER).look(list(pictures)):
        for tag in seen.tags:
            name = tag.name.replace("_", " ")
            if name in totals:
                totals[name] += tag.score / len(pictures)
    return totals


def contact_sheet(before: Measured, after: Measured, facts: DemoFacts, config: TrainConfig) -> Image:
    """Three rows of the same seeds: before, after, and after without the trigger word; with headings."""
    from PIL import Image as Images
    from PIL import ImageDraw, ImageFont

    columns, cell, heading, gap = 8, config.sampling.width, 26, 6
    rows = [
        (f"Before training, prompt with “{facts.trigger}”", before.pictures),
        (f"After training, prompt with “{facts.trigger}”", after.pictures),
        (f"After training, the same prompts without “{facts.trigger}”", after.pictures_untriggered),
    ]
    width = columns * (cell + gap) + gap
    sheet = Images.new("RGB", (width, len(rows) * (heading + cell + gap) + gap), "#16181d")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for row, (title, pictures) in enumerate(rows):
        top = gap + row * (heading + cell + gap)
        pen.text((gap, top + 3), title, font=font, fill="#e6e8ee")
        for column, picture in enumerate(pictures[:columns]):
            sheet.paste(picture, (gap + column * (cell + gap), top + heading))
    return sheet


def summary(
    before: Measured,
    after: Measured,
    facts: DemoFacts,
    config: TrainConfig,
    lora: Path,
    trained_s: float,
    total_s: float,
) -> str:
    """One page of Markdown: what was done, the figures as they are, and what they mean."""
    fall = 1 - after.held_out_loss / before.held_out_loss
    lower = after.trait_score - after.trait_score_untriggered
    lines = [
        tr("# Kiln demo: a new character, “{trigger}”", trigger=facts.trigger),
        "",
        tr(
            "Trained on 30 pictures of her and 64 of others in {trained} ({total} with everything).",
            trained=duration(trained_s),
            total=duration(total_s),
        ),
        tr("LoRA file: {path} ({size} MB)", path=lora, size=f"{lora.stat().st_size / 1e6:.2f}"),
        "",
        tr("| measured on {number} pictures drawn from fixed seeds | before | after |", number=NUM_PICTURES),
        "|---|---|---|",
        tr(
            "| denoising loss on pictures of her that were not trained | {before} | {after} |",
            before=f"{before.held_out_loss:.4f}",
            after=f"{after.held_out_loss:.4f}",
        ),
        *(f"| {trait} | {before.traits[trait]:.2f} | {after.traits[trait]:.2f} |" for trait in facts.traits),
        f"| {tr('mean of her traits')} | {before.trait_score:.2f} | {after.trait_score:.2f} |",
        f"| {tr('the same without the trigger word')} | {before.trait_score_untriggered:.2f} | "
        f"{after.trait_score_untriggered:.2f} |",
        "",
        tr(
            "The loss fell by {fall} % ({least} % wanted). Her traits are at {score} (more than {wanted} wanted), and "
            "{lower} lower without the trigger word ({gap} wanted):",
            fall=f"{100 * fall:.0f}",
            least=f"{100 * LEAST_LOSS_FALL:.0f}",
            score=f"{after.trait_score:.2f}",
            wanted=f"{LEAST_TRAITS_AFTER:.2f}",
            lower=f"{lower:.2f}",
            gap=f"{LEAST_LOWER_UNTRIGGERED:.2f}",
        )
        + " "
        + (tr("the character was learned.") if has_learned(before, after) else tr("the character was NOT learned.")),
        "",
        tr(
            "Settings: rank {rank}, learning rate {rate}, batch {batch}, {epochs} epochs, seed {seed}. Kiln {version}.",
            rank=config.network.rank,
            rate=config.optimizer.learning_rate,
            batch=config.training.batch_size,
            epochs=config.training.epochs,
            seed=config.training.seed,
            version=__version__,
        ),
        "",
    ]
    return "\n".join(lines)
