"""The training step against a plain diffusers + peft loop, and the way to the first step. Not a test; run it by hand.

    python tests/bench/bench_training.py [--pixels 128] [--pairs 8] [--tiny]

Both programs hold the same full-size SD 1.5 UNet with random weights and take one step each in turn, so that a busy
machine bends both alike; the median of the paired ratios is what counts. The plain loop is what a short script would
be: latents and text embeddings at hand, AdamW, `loss.backward()`, no more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import core  # noqa: E402 - sets how threads wait, before torch is imported

RANK = 16


def full_size_unet(tiny: bool) -> Any:
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    if tiny:
        return UNet2DConditionModel(
            block_out_channels=(32, 64, 64, 64), norm_num_groups=16, attention_head_dim=2, cross_attention_dim=768
        )
    return UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)


def plain_step(unet: Any, latents: Any, embeds: Any) -> Callable[[], float]:
    """A step as a short script writes it."""
    import torch
    from diffusers import DDPMScheduler
    from peft import LoraConfig

    from core.families.sd1 import FAMILY

    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(FAMILY.denoiser_targets)))
    trained = [weight for weight in unet.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-4)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")

    def step() -> float:
        noise, timesteps = torch.randn_like(latents), torch.randint(0, 1000, (len(latents),))
        noisy = scheduler.add_noise(latents, noise, timesteps)
        prediction = unet(noisy, timesteps, encoder_hidden_states=embeds).sample
        loss = torch.nn.functional.mse_loss(prediction, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    return step


def kiln_step(unet: Any, latents: Any, embeds: Any) -> Callable[[], float]:
    """A step of Kiln's trainer on the same latents and embeddings."""
    import torch
    from diffusers import DDPMScheduler

    from core.config import NetworkConfig, TrainConfig
    from core.dataset.fitting import plan_fit
    from core.dataset.records import ImageRecord
    from core.families.base import Parts
    from core.families.sd1 import FAMILY
    from core.lora.network import add_network
    from core.training.data import Example, Plan
    from core.training.device import make_accelerator
    from core.training.encoding import Embeddings, Latents
    from core.training.loop import Trainer
    from core.training.objective import NoiseSchedule
    from core.training.optimizers import make_optimizer

    unet.requires_grad_(False)
    config = TrainConfig(network=NetworkConfig(rank=RANK, alpha=RANK, train_text_encoder=False))
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    parts = Parts(None, torch.nn.Identity(), unet, torch.nn.Identity(), {}, scheduler.alphas_cumprod, "epsilon")
    accelerator, _ = make_accelerator("cpu", "fp32")
    network = add_network(parts, FAMILY, config.network, 0)
    size = (latents.shape[3] * 8, latents.shape[2] * 8)
    record = ImageRecord(path=Path("a.png"), size_px=size, caption_path=Path("a.txt"))
    plan = Plan([Example(record=record, plan=plan_fit(size, size), repeats=1, caption="a")], 1, 1, 0)
    cached, text = Latents(config.dataset), Embeddings()
    cached._tensors[record.path, plan.examples[0].plan, False] = latents[0]
    text._tensors["a"] = {"prompt_embeds": embeds[0]}
    trainer = Trainer(
        config=config,
        family=FAMILY,
        parts=parts,
        network=network,
        plan=plan,
        latents=cached,
        embeddings=text,
        optimizer=make_optimizer(network, config.optimizer, accelerator.device),
        noise_schedule=NoiseSchedule(parts.alphas_cumprod, "epsilon"),
        accelerator=accelerator,
        total_steps=1000,
    )
    unet.train()
    count = iter(range(10**6))
    return lambda: trainer.step(next(count), [[0]]).loss


def lockstep(pixels: int, pairs: int, tiny: bool) -> None:
    """Print the paired ratios of wall and processor time."""
    import torch

    latents, embeds = torch.randn(1, 4, pixels // 8, pixels // 8), torch.randn(1, 77, 768)
    programs = [plain_step(full_size_unet(tiny), latents, embeds), kiln_step(full_size_unet(tiny), latents, embeds)]
    for step in programs:
        step()
    wall, processor = [], []
    for pair in range(pairs):
        spent: dict[int, tuple[float, float]] = {}
        for which in (0, 1) if pair % 2 else (1, 0):
            began, began_cpu = time.perf_counter(), time.process_time()
            programs[which]()
            spent[which] = time.perf_counter() - began, time.process_time() - began_cpu
        wall.append(spent[1][0] / spent[0][0])
        processor.append(spent[1][1] / spent[0][1])
        print(f"pair {pair}: plain {spent[0][0]:.2f} s, kiln {spent[1][0]:.2f} s")
    for name, ratios in (("wall", wall), ("processor", processor)):
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"kiln / plain, {name} time per step: {middle:.3f} ({low:.3f} to {high:.3f})")


def first_step() -> None:
    """Print what a run on the starter model and the demo pictures needs until its first step, cold and cached."""
    from core.config import with_values
    from core.demo import copy_demo, demo_config
    from core.events import Event, StageProgress, StageStarted, StepDone
    from core.jobs import TrainJob
    from core.runner import ChildRun

    with tempfile.TemporaryDirectory() as folder:
        import os

        os.environ["KILN_HOME"] = str(Path(folder) / "home")
        pictures = copy_demo(Path(folder) / "pictures")
        for name in ("cold", "cached"):
            config = with_values(
                demo_config(pictures, Path(folder) / name), {"training.max_steps": 20, "sampling.prompts": ()}
            )
            began = time.perf_counter()
            steps: list[StepDone] = []
            caching = [0.0, 0.0]
            first = 0.0
            event: Event
            for event in ChildRun(TrainJob(config=config)).events():
                now = time.perf_counter() - began
                if isinstance(event, StageStarted) and event.stage == "cache":
                    caching[0] = now
                if isinstance(event, StageProgress) and event.stage == "cache":
                    caching[1] = now
                if isinstance(event, StepDone):
                    first = first or now
                    steps.append(event)
            per_step = (steps[-1].elapsed_s - steps[4].elapsed_s) / (len(steps) - 5)
            print(
                f"{name}: first step after {first:.1f} s; {30 / (caching[1] - caching[0]):.1f} pictures/s encoded; "
                f"{per_step:.3f} s/step; peak {steps[-1].peak_memory_bytes / 1e6:.0f} MB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--tiny", action="store_true", help="a small UNet, to try the benchmark itself")
    options = parser.parse_args()
    print(f"Kiln {core.__version__}")
    lockstep(options.pixels, options.pairs, options.tiny)
    first_step()


if __name__ == "__main__":
    main()
