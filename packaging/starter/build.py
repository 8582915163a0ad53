"""Rebuilds the starter pack: `python packaging/starter/build.py --work DIR [--stage STAGE ...] [--steps N]`.

Every stage goes on from where it was stopped; what depends on random numbers depends on the step alone. All stages
take some six hours on two idle CPU cores; `--device cuda` trains on a GPU (rendering needs PySide6 there as well,
unless the work folder brings the cached latents).

To train the model of a finished pack on, start with `--stage unpack` in an empty work folder; then ask for the stages.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # Waiting threads must not take the core from others.

from starter.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

PACK = Path(__file__).resolve().parents[2] / "resources" / "starter"
STAGES = (
    "vae",
    "refine",
    "tokenizer",
    "tagger",
    "latents",
    "words",
    "diffusion",
    "demo",
    "pack",
    "others",
    "score",
    "lora",
)
ON_REQUEST = ("unpack",)
STAGE_HELP = "may be given several times; default: all but unpack, which fills an empty work folder from the pack"
STEPS_OF = {
    "vae": "vae_steps",
    "refine": "refine_steps",
    "tagger": "tagger_steps",
    "latents": "num_pictures",
    "words": "words_steps",
    "diffusion": "diffusion_steps",
}


def run_stage(stage: str, recipe: Recipe) -> None:
    """Runs one stage; heavy libraries are imported by the stages that use them."""
    match stage:
        case "unpack":
            from starter.unpack import unpack_model

            unpack_model(recipe)
        case "vae":
            from starter.train_vae import train_vae

            train_vae(recipe)
        case "refine":
            from starter.train_vae import refine_vae

            refine_vae(recipe)
        case "tokenizer":
            from starter.tokenizer import write_tokenizer

            write_tokenizer(recipe.tokenizer)
        case "tagger":
            from starter.train_tagger import train_tagger

            train_tagger(recipe)
        case "latents":
            from starter.train_diffusion import cache_latents

            cache_latents(recipe)
        case "words":
            from starter.train_diffusion import train_words

            train_words(recipe)
        case "diffusion":
            from starter.train_diffusion import train_diffusion

            train_diffusion(recipe)
        case "demo":
            from starter.demo import write_demo

            write_demo(recipe.pack)
        case "pack":
            from starter.pack import pack_model, pack_tagger

            pack_model(recipe)
            pack_tagger(recipe)
        case "others":
            from starter.others import write_others

            write_others(recipe.pack)
        case "score":
            from starter.score import score_pack

            print(json.dumps(score_pack(recipe.pack), indent=1))
        case "lora":
            from starter.lora import make_lora

            print(json.dumps(make_lora(recipe), indent=1))


def is_done(stage: str, recipe: Recipe) -> bool:
    """True for stages that are made once and whose result is there."""
    finished = {"vae": recipe.vae / "config.json", "tokenizer": recipe.tokenizer / "vocab.json", "words": recipe.words}
    return stage in finished and finished[stage].exists()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the stages that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for training states, some 500 MB")
    parser.add_argument("--pack", type=Path, default=PACK, help="folder of the pack")
    parser.add_argument("--stage", choices=(*ON_REQUEST, *STAGES), action="append", help=STAGE_HELP)
    parser.add_argument("--steps", type=int, help="steps of the stages asked for (pictures for latents)")
    parser.add_argument("--decay-steps", type=int, help="last steps of diffusion, in which the learning rate falls")
    parser.add_argument("--world", choices=("small", "full"), default="small")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--processes", type=int, default=2, help="single-thread processes on a CPU; 1 on a GPU")
    parser.add_argument("--batch", type=int, help="pictures per process and step of diffusion")
    options = parser.parse_args(arguments)
    recipe = Recipe(
        work=options.work,
        pack=options.pack,
        world=options.world,
        device=options.device,
        processes=options.processes,
    )
    stages = options.stage or STAGES
    if options.steps is not None:
        recipe = replace(recipe, **{STEPS_OF[stage]: options.steps for stage in stages if stage in STEPS_OF})
    if options.decay_steps is not None:
        recipe = replace(recipe, diffusion_decay_steps=options.decay_steps)
    if options.batch is not None:
        recipe = replace(recipe, diffusion_batch=options.batch)
    recipe.work.mkdir(parents=True, exist_ok=True)
    for stage in stages:
        if is_done(stage, recipe) and not options.stage:
            continue
        print(f"--- {stage}", flush=True)
        run_stage(stage, recipe)


if __name__ == "__main__":
    main()
