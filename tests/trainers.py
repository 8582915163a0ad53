"""A trainer over a tiny pipeline and real pictures, ready for its first step, without the run around it."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path

import torch

from core.config import TrainConfig
from core.dataset.scan import scan_job
from core.families.base import Parts, family, use_as
from core.lora.network import add_network
from core.models import describe_base
from core.training.captions import captions_vary
from core.training.data import Example, Plan, examples_of
from core.training.device import make_accelerator
from core.training.encoding import Embeddings, Latents
from core.training.loop import StepResult, Trainer
from core.training.objective import NoiseSchedule
from core.training.optimizers import make_optimizer


def examples_in(config: TrainConfig) -> list[Example]:
    """The pictures of the settings as examples."""
    scan = scan_job(config.dataset.folder, config.dataset.edits, caption_extension=config.dataset.caption_extension)
    return examples_of(scan, config.dataset, prior_weight=config.loss.prior_weight)


@lru_cache(maxsize=1)
def _loaded(path: Path) -> Parts:
    base = describe_base(path)
    return family(base.family).load(base, torch.float32)


def make_trainer(config: TrainConfig) -> Trainer:
    """What a run makes before its first step, on the CPU."""
    accelerator, dtype = make_accelerator("cpu", "fp32")
    base = describe_base(config.model.base)
    model_family = family(base.family)
    parts = copy.deepcopy(_loaded(config.model.base))
    use_as(parts, config.model)
    network = add_network(parts, model_family, config.network, config.training.seed)
    examples = examples_in(config)
    latents = Latents(config.dataset)
    list(latents.encode(examples, base, model_family, parts, accelerator.device))
    embeddings = None
    if not (config.network.train_text_encoder or captions_vary(config.dataset)):
        embeddings = Embeddings()
        captions = [*(example.caption for example in examples), ""]
        list(embeddings.encode(captions, base, model_family, parts, dtype))
    plan = Plan(examples, config.training.batch_size, config.training.gradient_accumulation, config.training.seed)
    parts.denoiser.train()
    parts.text_encoder.train(config.network.train_text_encoder)
    return Trainer(
        config=config,
        family=model_family,
        parts=parts,
        network=network,
        plan=plan,
        latents=latents,
        embeddings=embeddings,
        optimizer=make_optimizer(network, config.optimizer, accelerator.device),
        noise_schedule=NoiseSchedule(parts.alphas_cumprod, parts.prediction),
        accelerator=accelerator,
        total_steps=plan.num_steps(config.training.epochs, config.training.max_steps),
    )


def take_steps(trainer: Trainer, number: int, first: int = 0) -> list[StepResult]:
    """So many steps of the run, from the first one that is asked for."""
    results = []
    for step, _, micro_batches in trainer.plan.steps(first):
        if step == first + number:
            break
        results.append(trainer.step(step, micro_batches))
    return results


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """The weights of now by their names in the file."""
    return {name: weight.detach().clone() for name, weight in trainer.network.named_parameters()}
