"""The training step against a plain diffusers + peft loop, memory against it, and the way to the first step.

Not a test; run it by hand.

    python tests/bench/bench_training.py [--family sd1|sdxl] [--precision bf16|fp32] [--pixels 128] [--pairs 8] [--tiny]
    python tests/bench/bench_training.py --memory [--family ...] [--precision ...] [--pixels ...]

For the step both programs compute with the same frozen full-size UNet of random weights and take one step each in turn,
so that a busy machine bends both alike; the median of the paired ratios is what counts. The plain loop is what a short
script would be: latents and text embeddings at hand, AdamW, `loss.backward()`, no more. With `--int8` Kiln keeps the
frozen weights in 8 bit.

For memory each program runs alone on a model folder of the full size, from opening it to the third step: Kiln as a run,
the other as the usual script, with the frozen parts in the number format of the computation, pictures and captions
encoded in every step.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
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
CONTEXT = {"sd1": 768, "sdxl": 2048}
TINY = {"block_out_channels": (32, 64, 64, 64), "norm_num_groups": 16, "attention_head_dim": 2}
FULL: dict[str, dict[str, Any]] = {
    "sd1": {"attention_head_dim": 8, "sample_size": 64},
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


def random_unet(family: str, tiny: bool, dtype: Any) -> Any:
    """A UNet of random weights in a number format, without a moment in which it is whole in another."""
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        shape = TINY if tiny else FULL[family]
        return UNet2DConditionModel(cross_attention_dim=CONTEXT[family], **shape).requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def sharing(module: Any) -> Any:
    """Another module over the same weights."""
    import itertools

    tensors = itertools.chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def conditioning(family: str, pixels: int) -> dict[str, Any]:
    """What the UNet is told, [1, ...] each."""
    import torch

    told = {"prompt_embeds": torch.randn(1, 77, CONTEXT[family])}
    if family == "sdxl":
        told["pooled_embeds"] = torch.randn(1, 1280)
        told["time_ids"] = torch.tensor([[float(pixels), pixels, 0, 0, pixels, pixels]])
    return told


def plain_step(unet: Any, family: str, latents: Any, told: dict[str, Any], dtype: Any) -> Callable[[], float]:
    """A step as a short script writes it: frozen weights in the format of the computation, LoRA weights in 32 bits."""
    import torch
    from diffusers import DDPMScheduler
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig

    from core.families.sd1 import FAMILY

    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(FAMILY.denoiser_targets)))
    cast_training_params(unet)
    trained = [weight for weight in unet.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-4)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    added = {"text_embeds": told["pooled_embeds"], "time_ids": told["time_ids"]} if family == "sdxl" else None

    def step() -> float:
        noise, timesteps = torch.randn_like(latents), torch.randint(0, 1000, (len(latents),))
        noisy = scheduler.add_noise(latents, noise, timesteps)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            prediction = unet(
                noisy, timesteps, encoder_hidden_states=told["prompt_embeds"], added_cond_kwargs=added
            ).sample
        loss = torch.nn.functional.mse_loss(prediction.float(), noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def kiln_step(
    unet: Any, family_name: str, latents: Any, told: dict[str, Any], precision: Any, *, int8: bool
) -> Callable[[], float]:
    """A step of Kiln's trainer on the same latents and embeddings."""
    import torch
    from diffusers import DDPMScheduler

    from core.config import NetworkConfig, TrainConfig
    from core.dataset.fitting import plan_fit
    from core.dataset.records import ImageRecord
    from core.families.base import Parts, family
    from core.lora.network import add_network
    from core.training.base_weights import pack_weights
    from core.training.data import Example, Plan
    from core.training.device import make_accelerator
    from core.training.encoding import Embeddings, Latents
    from core.training.loop import Trainer
    from core.training.objective import NoiseSchedule
    from core.training.optimizers import make_optimizer

    config = TrainConfig(network=NetworkConfig(rank=RANK, alpha=RANK, train_text_encoder=False))
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    parts = Parts(None, torch.nn.Identity(), unet, torch.nn.Identity(), {}, scheduler.alphas_cumprod, "epsilon")
    accelerator, _ = make_accelerator("cpu", precision)
    network = add_network(parts, family(family_name), config.network, 0)
    if int8:
        pack_weights(unet)
    size = (latents.shape[3] * 8, latents.shape[2] * 8)
    record = ImageRecord(path=Path("a.png"), size_px=size, caption_path=Path("a.txt"))
    plan = Plan([Example(record=record, plan=plan_fit(size, size), repeats=1, caption="a")], 1, 1, 0)
    cached, text = Latents(config.dataset), Embeddings()
    cached._tensors[record.path, plan.examples[0].plan, False] = latents[0]
    text._tensors["a"] = {name: tensor[0] for name, tensor in told.items() if name != "time_ids"}
    trainer = Trainer(
        config=config,
        family=family(family_name),
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


def lockstep(options: argparse.Namespace) -> None:
    """Print the paired ratios of wall and processor time."""
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[options.precision]
    latents, told = (
        torch.randn(1, 4, options.pixels // 8, options.pixels // 8),
        conditioning(options.family, options.pixels),
    )
    unet = random_unet(options.family, options.tiny, dtype)
    programs = [
        plain_step(sharing(unet), options.family, latents, told, dtype),
        kiln_step(unet, options.family, latents, told, options.precision, int8=options.int8),
    ]
    for step in programs:
        step()
    wall, processor = [], []
    for pair in range(options.pairs):
        spent: dict[int, tuple[float, float]] = {}
        for which in (0, 1) if pair % 2 else (1, 0):
            began, began_cpu = time.perf_counter(), time.process_time()
            programs[which]()
            spent[which] = time.perf_counter() - began, time.process_time() - began_cpu
        wall.append(spent[1][0] / spent[0][0])
        processor.append(spent[1][1] / spent[0][1])
        print(f"pair {pair}: plain {spent[0][0]:.2f} s, kiln {spent[1][0]:.2f} s", flush=True)
    for name, ratios in (("wall", wall), ("processor", processor)):
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"kiln / plain, {name} time per step: {middle:.3f} ({low:.3f} to {high:.3f})")


def write_model(family: str, folder: Path) -> None:
    """A model folder of the full size with random weights in fp16, part by part."""
    import json
    import shutil

    import torch
    from diffusers import AutoencoderKL, DDPMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    def put(module: Any, name: str) -> None:
        module.to(torch.float16).save_pretrained(folder / name)

    put(random_unet(family, False, torch.bfloat16), "unet")
    put(
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            sample_size=512 if family == "sd1" else 1024,
            scaling_factor=0.18215 if family == "sd1" else 0.13025,
        ),
        "vae",
    )
    from core.paths import STARTER_MODEL

    shutil.copytree(STARTER_MODEL / "tokenizer", folder / "tokenizer")
    small = CLIPTextConfig(
        hidden_size=768,
        intermediate_size=3072,
        projection_dim=768,
        num_attention_heads=12,
        bos_token_id=0,
        eos_token_id=2,
    )
    put(CLIPTextModel(small), "text_encoder")
    classes: dict[str, Any] = {
        "scheduler": ["diffusers", "DDPMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if family == "sdxl":
        shutil.copytree(STARTER_MODEL / "tokenizer", folder / "tokenizer_2")
        large = CLIPTextConfig(
            hidden_size=1280,
            intermediate_size=5120,
            projection_dim=1280,
            num_hidden_layers=32,
            num_attention_heads=20,
            hidden_act="gelu",
            bos_token_id=0,
            eos_token_id=2,
        )
        put(CLIPTextModelWithProjection(large), "text_encoder_2")
        classes |= {
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
        }
    DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(
        folder / "scheduler"
    )
    name = "StableDiffusionPipeline" if family == "sd1" else "StableDiffusionXLPipeline"
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name, **classes}), encoding="utf-8")


def plain_run(folder: Path, family: str, pixels: int, precision: str) -> None:
    """The usual script on a model folder: three steps, then what it took."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    from core.training.device import peak_memory_bytes

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    began = time.perf_counter()
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=dtype).requires_grad_(False)
    vae: Any = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32)
    encoders = [CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", dtype=dtype)]
    if family == "sdxl":
        second = CLIPTextModelWithProjection.from_pretrained(folder, subfolder="text_encoder_2", dtype=dtype)
        encoders.append(second)
    unet.train()
    told = conditioning(family, pixels)
    latents = torch.zeros(1, 4, pixels // 8, pixels // 8)
    step = plain_step(unet, family, latents, told, dtype)
    for _ in range(3):
        with torch.no_grad():
            latents.copy_(vae.encode(torch.rand(1, 3, pixels, pixels)).latent_dist.mode() * vae.config.scaling_factor)
            for encoder in encoders:
                encoder(torch.ones(1, 77, dtype=torch.long), output_hidden_states=True)
        step()
    print(f"plain: peak {peak_memory_bytes(torch.device('cpu')) / 1e9:.2f} GB, {time.perf_counter() - began:.0f} s")


def memory(options: argparse.Namespace) -> None:
    """Print the peak of both programs, each alone."""
    import os

    from PIL import Image

    from core.config import with_values
    from core.events import Failed, StepDone
    from core.jobs import TrainJob
    from core.quick import quick_config
    from core.runner import ChildRun

    with tempfile.TemporaryDirectory(dir=options.scratch or None) as scratch:
        folder = Path(scratch)
        os.environ["KILN_HOME"] = str(folder / "home")
        model = folder / "model"
        # In a process of its own: what making the model takes is no part of what is measured.
        words = [sys.executable, __file__, "--write", str(model), "--family", options.family]
        subprocess.run(words, check=True)
        words = ["--plain", str(model), "--family", options.family, "--pixels", str(options.pixels)]
        subprocess.run([sys.executable, __file__, *words, "--precision", options.precision], check=True)
        (folder / "pictures").mkdir()
        for number in range(3):
            Image.effect_noise((options.pixels, options.pixels), 60).convert("RGB").save(
                folder / "pictures" / f"{number}.png"
            )
            (folder / "pictures" / f"{number}.txt").write_text("1girl, solo", encoding="utf-8")
        changes: dict[str, object] = {
            "dataset.resolution": options.pixels,
            "network.rank": RANK,
            "network.train_text_encoder": False,
            "training.max_steps": 3,
            "training.precision": options.precision,
            "training.device": "cpu",
            "training.base_weights": "int8" if options.int8 else "full",
            "sampling.prompts": (),
        }
        config = quick_config(base=model, pictures=folder / "pictures", epochs=1, output=folder / "out", name="a")
        began = time.perf_counter()
        for event in ChildRun(TrainJob(config=with_values(config, changes))).events():
            if isinstance(event, Failed):
                raise SystemExit(f"{event.message} {event.detail}")
            if isinstance(event, StepDone) and event.step == 3:
                peak = event.peak_memory_bytes / 1e9
                print(f"kiln: peak {peak:.2f} GB, {time.perf_counter() - began:.0f} s")


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
    parser.add_argument("--family", choices=("sd1", "sdxl"), default="sd1")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--int8", action="store_true", help="Kiln keeps the frozen weights in 8 bit")
    parser.add_argument("--tiny", action="store_true", help="a small UNet, to try the benchmark itself")
    parser.add_argument("--memory", action="store_true", help="measure memory, each program alone")
    parser.add_argument("--scratch", default="", help="a folder with room for the model")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_model(options.family, options.write)
    elif options.plain:
        plain_run(options.plain, options.family, options.pixels, options.precision)
    elif options.memory:
        memory(options)
    else:
        print(f"Kiln {core.__version__}")
        lockstep(options)
        if options.family == "sd1" and not options.int8:
            first_step()


if __name__ == "__main__":
    main()
