"""The quick form's defaults against settings made by hand: starter model, demo pictures. Not a test; run it by hand.

    python tests/bench/bench_defaults.py [--target DIR] [--only NAME ...]

Every row trains on the same prepared and tagged pictures with the same trigger word and absorbed tags, then draws the
same sixteen pictures from the same seeds; the score is the tagger's mean over the character's traits, the figure of
`kiln demo`. The defaults are good when no row beats them by more than a twentieth. A row takes two to five minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: E402, F401 - sets how threads wait, before torch is imported
from core.demo import EPOCHS  # noqa: E402

NUM_PICTURES = 16
FIRST_SEED = 7000
MARGIN = 0.05
DEFAULTS = "defaults"
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    DEFAULTS: {},
    "demo": {"training.epochs": EPOCHS},
    "careful": {
        "network.rank": 16,
        "network.alpha": 16.0,
        "optimizer.learning_rate": 1e-3,
        "optimizer.text_encoder_learning_rate": 5e-4,
        "training.epochs": 12,
    },
    "small and fast": {
        "network.rank": 4,
        "network.alpha": 4.0,
        "optimizer.learning_rate": 4e-3,
        "optimizer.text_encoder_learning_rate": 1e-3,
        "training.epochs": 10,
    },
    "large, denoiser alone": {
        "network.rank": 32,
        "network.alpha": 32.0,
        "optimizer.learning_rate": 1e-3,
        "network.train_text_encoder": False,
        "training.epochs": 15,
    },
    "half alpha": {
        "network.rank": 16,
        "network.alpha": 8.0,
        "optimizer.learning_rate": 2e-3,
        "optimizer.text_encoder_learning_rate": 1e-3,
        "training.epochs": 12,
    },
    "bold and short": {
        "network.rank": 16,
        "network.alpha": 16.0,
        "optimizer.learning_rate": 3e-3,
        "optimizer.text_encoder_learning_rate": 2e-3,
        "training.epochs": 8,
    },
}


def prepared_pictures(target: Path) -> Path:
    """The demo's pictures as its own run trains them: cropped and tagged."""
    from core.control import Control
    from core.demo_run import first_jobs
    from core.events import Failed
    from core.jobs import run_to_end

    prepared = target / "prepared"
    if prepared.is_dir():
        return prepared
    for job in first_jobs(target, prepared):
        for event in run_to_end(job, Control()):
            if isinstance(event, Failed):
                raise SystemExit(event.message)
    return prepared


def trained(name: str, changes: Mapping[str, Any], pictures: Path, target: Path) -> tuple[Any, Path, float]:
    """Train with the defaults and these changes: the settings, the LoRA file and the seconds it took."""
    from core.config import with_values
    from core.control import Control
    from core.dataset.scan import scan_folder
    from core.demo import demo_facts
    from core.events import Failed, Finished
    from core.jobs import TrainJob, run_to_end
    from core.paths import STARTER_MODEL
    from core.quick import quick_config

    facts = demo_facts()
    config = quick_config(
        base=STARTER_MODEL,
        pictures=pictures,
        epochs=10,
        name=name.replace(" ", "_"),
        output=target,
        scan=scan_folder(pictures),
    )
    always = {
        "dataset.trigger_word": facts.trigger,
        "dataset.absorbed_tags": facts.absorbed_tags,
        "dataset.shuffle_tags": True,
        "sampling.prompts": (),
        "output.save_every_n_epochs": 0,
    }
    config = with_values(config, {**always, **changes})
    began = time.monotonic()
    for event in run_to_end(TrainJob(config=config), Control()):
        if isinstance(event, Failed):
            raise SystemExit(f"{name}: {event.message} {event.remedy}\n{event.detail}")
        if isinstance(event, Finished) and event.output is not None:
            return config, event.output, time.monotonic() - began
    raise SystemExit(f"{name}: no LoRA")


def scores_of(config: Any, lora: Path) -> tuple[float, float]:
    """The trait score with the trigger word in the prompt, and the denoising loss on held-out pictures."""
    import torch

    from core.demo import demo_facts
    from core.demo_run import held_out_loss, trait_scores
    from core.families.base import family
    from core.lora.file import load_lora
    from core.lora.network import add_from_file
    from core.models import describe_base
    from core.paths import STARTER_MODEL
    from core.sampling import draw
    from core.training.device import choose_threads

    facts = demo_facts()
    sd1 = family("sd1")
    parts = sd1.load(describe_base(STARTER_MODEL), torch.float32)
    choose_threads(parts.denoiser)
    add_from_file(parts, sd1, load_lora(lora))
    loss = held_out_loss(parts, sd1, config, facts)
    pipeline = sd1.pipeline(parts)
    prompts, drawn = list(facts.prompts), []
    for first in range(FIRST_SEED, FIRST_SEED + NUM_PICTURES, len(prompts)):
        drawn += draw(pipeline, prompts, range(first, first + len(prompts)), config.sampling)
    scores = trait_scores(drawn, facts.traits)
    return sum(scores.values()) / len(scores), loss


def line_of(name: str, row: Mapping[str, Any]) -> str:
    """One row of the table."""
    return (
        f"| {name} | {row['rank']} / {row['alpha']:g} | {row['rate']:g} | {row['text_rate']} | {row['epochs']} | "
        f"{row['score']:.3f} | {row['loss']:.4f} | {row['seconds']:.0f} s |"
    )


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, help="where the runs go; rows that are there already are not run again")
    parser.add_argument("--only", nargs="*", choices=tuple(SETTINGS), default=tuple(SETTINGS))
    options = parser.parse_args()
    target = options.target or Path(tempfile.mkdtemp(prefix="kiln_defaults_"))
    pictures = prepared_pictures(target)
    table = target / "rows.json"
    rows: dict[str, Any] = json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}
    for name in options.only:
        if name in rows:
            continue
        config, lora, seconds = trained(name, SETTINGS[name], pictures, target)
        score, loss = scores_of(config, lora)
        trains_text = config.network.train_text_encoder
        rows[name] = {
            "rank": config.network.rank,
            "alpha": config.network.alpha,
            "rate": config.optimizer.learning_rate,
            "text_rate": f"{config.optimizer.text_encoder_learning_rate:g}" if trains_text else "off",
            "epochs": config.training.epochs,
            "score": score,
            "loss": loss,
            "seconds": seconds,
        }
        table.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        print(line_of(name, rows[name]), flush=True)
    print("\n| settings | rank / alpha | rate | text encoder | epochs | trait score | held-out loss | time |")
    print("|---|---|---|---|---|---|---|---|")
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["score"]):
        print(line_of(name, row))
    if DEFAULTS in rows:
        best = max(row["score"] for row in rows.values())
        share = rows[DEFAULTS]["score"] / best
        print(f"\nThe defaults reach {share:.1%} of the best: {'good' if share >= 1 - MARGIN else 'TO BE CHANGED'}.")


if __name__ == "__main__":
    main()
