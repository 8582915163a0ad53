"""Trains the VAE on crops, folds the scale of its latents into its quant convolutions, and refines it."""

from __future__ import annotations

import filecmp
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from starter.character import training_character
from starter.draw import render
from starter.models import SCALING_FACTOR, load_vae, new_vae
from starter.training import (
    FlatTraining,
    learning_rate,
    random_for,
    run_processes,
    swap_folders,
    to_pictures,
    to_tensor,
)

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from numpy.typing import NDArray

    from starter.draw import Pixels
    from starter.recipe import Recipe
    from starter.world import Character

SEED = 5
HELD_OUT_SEED = 999
PEAK_RATE = 1.5e-3
REFINE_PEAK_RATE = 6e-4
COLOUR_HINT = 0.6  # The part of the training in which the first latent channels are pulled to plain colours.
FEATURE_WEIGHT = 8.0  # How much more an error counts at eyes, brows and mouth: 7 % of a picture of the small world.
LATENT_NOISE = 0.1  # The most noise that the refined decoder meets, because no UNet hits the latents exactly.
HOLD = 0.1  # What it costs to move latents from where they were, so that a UNet need not be trained from scratch.


def train_vae(recipe: Recipe) -> None:
    """Trains up to `vae_steps`, from the saved state on, then writes the finished VAE, whose refinement starts anew."""
    run_processes(recipe, train_vae_process)
    vae, training = new_training(recipe)
    training.flat.values.copy_(training.ema)
    pictures = to_tensor(training_pictures(recipe, 256))
    fold_scale(vae.eval(), latents_std(vae, pictures.to(recipe.device)))
    recipe.refine_state.unlink(missing_ok=True)
    write_vae(vae, recipe)


def write_vae(vae: AutoencoderKL, recipe: Recipe) -> None:
    """Writes the VAE in float16; the old one stays whole until the new one is. What another one had encoded goes."""
    new, weights = recipe.vae.with_name("vae.new"), "diffusion_pytorch_model.safetensors"
    vae.half().save_pretrained(new)
    is_same = (recipe.vae / weights).exists() and filecmp.cmp(new / weights, recipe.vae / weights, shallow=False)
    if not is_same:
        for cache in (*recipe.work.glob("latents_*.pt"), recipe.round_trips):
            cache.unlink(missing_ok=True)
    swap_folders(new, recipe.vae)


def new_training(recipe: Recipe) -> tuple[AutoencoderKL, FlatTraining]:
    """The VAE and its training, where the last run left it."""
    torch.manual_seed(SEED)
    vae = new_vae(recipe).to(recipe.device).train()
    training = FlatTraining(vae.parameters(), PEAK_RATE, weight_decay=1e-4, ema_limit=0.995)
    training.resume(recipe.vae_state)
    return vae, training


def train_vae_process(rank: int, recipe: Recipe) -> None:
    """The training loop of one process."""
    vae, training = new_training(recipe)
    pictures = training_pictures(recipe, recipe.vae_pictures)
    started, first_step, steps = time.monotonic(), training.step, recipe.vae_steps
    while training.step < steps:
        step = training.step
        crops = random_crops(pictures, recipe, step, rank).to(recipe.device)
        hint = max(0.0, 1 - step / steps / COLOUR_HINT)
        generator = torch.Generator(recipe.device).manual_seed(random_for(SEED, step, rank).getrandbits(62))
        with torch.autocast(recipe.device, torch.bfloat16):
            loss = vae_loss(vae, crops, hint, generator)
        torch.autograd.backward(loss)
        rate = learning_rate(step, steps, peak=PEAK_RATE, warm_up=100, decay_steps=steps, floor=0.03)
        training.update(rate, recipe.processes)
        if rank == 0 and training.step % 100 == 0:
            speed = (training.step - first_step) * recipe.processes * recipe.vae_batch / (time.monotonic() - started)
            print(f"vae {training.step}: loss {loss.item():.4f}, {speed:.1f} crops/s", flush=True)
        if rank == 0 and (training.step % recipe.save_every == 0 or training.step == steps):
            training.save(recipe.vae_state)


def refine_vae(recipe: Recipe) -> None:
    """Trains the finished VAE on whole pictures, up to `refine_steps`; its latents stay near to what they were.

    "Were" is in the VAE that is there when the stage begins: also one that was refined before. Variances of latents are
    not trained, because nothing in this recipe samples them.

    Crops are cheap; but a VAE whose attention and norms span all latents has then never met those of a whole picture.
    Here errors count most at the eyes and the mouth: so small, they hardly count in a mean over all pixels, and level
    mouths came out as arcs and blue eyes as purple ones.
    """
    run_processes(recipe, refine_vae_process)
    vae, training = new_refinement(recipe)
    training.flat.values.copy_(training.ema)
    write_vae(vae, recipe)


def new_refinement(recipe: Recipe) -> tuple[AutoencoderKL, FlatTraining]:
    """The VAE and its refinement, where the last run left it."""
    vae = load_vae(recipe).requires_grad_(True)
    training = FlatTraining(vae.parameters(), REFINE_PEAK_RATE, weight_decay=1e-4, ema_limit=0.995)
    training.resume(recipe.refine_state)
    return vae, training


def refine_vae_process(rank: int, recipe: Recipe) -> None:
    """The training loop of one process."""
    vae, training = new_refinement(recipe)
    started, first_step, steps = time.monotonic(), training.step, recipe.refine_steps
    if first_step >= steps:
        return
    samples = whole_pictures(recipe, rank)
    while training.step < steps:
        step = training.step
        rng = random_for(SEED, "refine", step, rank)
        chosen = rng.sample(range(len(samples.pictures)), recipe.refine_batch)
        generator = torch.Generator(recipe.device).manual_seed(rng.getrandbits(62))
        loss = refine_loss(vae, *samples.batch(chosen, recipe.device), generator)
        torch.autograd.backward(loss)
        training.update(
            learning_rate(step, steps, peak=REFINE_PEAK_RATE, warm_up=100, decay_steps=steps), recipe.processes
        )
        if rank == 0 and training.step % 100 == 0:
            speed = (training.step - first_step) * recipe.processes * recipe.refine_batch / (time.monotonic() - started)
            print(f"refine {training.step}: loss {loss.item():.4f}, {speed:.1f} pictures/s", flush=True)
        if rank == 0 and (training.step % recipe.save_every == 0 or training.step == steps):
            training.save(recipe.refine_state)


@dataclass(frozen=True, slots=True)
class WholePictures:
    """What the VAE is refined on: renders, where their eyes and mouths are, and their latents so far."""

    pictures: Pixels  # [N, H, W, 3]
    features: Tensor  # [N, 1, H, W], true or false
    latents: Tensor  # [N, 4, h, w] float16, scaled for the UNet

    def batch(self, chosen: list[int], device: str) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 3, H, W] pictures in [-1, 1], their [B, 1, H, W] weights and [B, 4, h, w] latents."""
        weights = 1 + (FEATURE_WEIGHT - 1) * self.features[chosen].float()
        return (
            to_tensor(self.pictures[chosen]).to(device),
            (weights / weights.mean()).to(device),
            self.latents[chosen].float().to(device),
        )


def whole_pictures(recipe: Recipe, rank: int) -> WholePictures:
    """The share of one process."""
    vae = load_vae(recipe)  # As the last finished stage left it, also in a run that goes on.
    numbers = range(rank, recipe.vae_pictures, recipe.processes)
    characters = [training_character(number, SEED, recipe.world) for number in numbers]
    pictures, features = drawn_with_features(characters)
    with torch.no_grad():
        latents = [
            (vae.encode(to_tensor(part).to(recipe.device)).latent_dist.mode() * SCALING_FACTOR).half().cpu()
            for part in np.array_split(pictures, math.ceil(len(pictures) / 32))
        ]
    return WholePictures(pictures, torch.from_numpy(features)[:, None], torch.cat(latents))


def drawn_with_features(characters: list[Character]) -> tuple[Pixels, NDArray[np.bool_]]:
    """[N, H, W, 3] renders, and [N, H, W] where their eyes, brows and mouths are."""
    pictures = np.stack([render(character) for character in characters])
    return pictures, np.stack([features_of(*one) for one in zip(characters, pictures, strict=True)])


def features_of(character: Character, picture: Pixels) -> NDArray[np.bool_]:
    """[H, W] true where eyes, brows and mouth are: where the picture changes with them, and two pixels around."""
    others = (
        render(replace(character, eyes_state=eyes_state, mouth=mouth))
        for eyes_state, mouth in (("open", "grin"), ("closed eyes", "frown"))
    )
    changes = np.any([(other != picture).any(-1) for other in others], axis=0)
    around = functional.max_pool2d(torch.from_numpy(changes)[None].float(), 5, stride=1, padding=2)
    places: NDArray[np.bool_] = around[0].bool().numpy()
    return places


def refine_loss(
    vae: AutoencoderKL, pictures: Tensor, weights: Tensor, old_latents: Tensor, generator: torch.Generator
) -> Tensor:
    """The weighted error of the pictures after a noisy round trip, and what it costs to move latents.

    Args:
        vae: The model.
        pictures: [B, 3, H, W] in [-1, 1].
        weights: [B, 1, H, W] how much the error counts at each pixel; where it counts more, latents move at less cost.
        old_latents: [B, 4, h, w] what the latents were, scaled for the UNet.
        generator: Draws the noise, of a different strength for each picture.
    """
    with torch.autocast(pictures.device.type, torch.bfloat16):
        latents = vae.encode(pictures).latent_dist.mode() * SCALING_FACTOR
        strength = LATENT_NOISE * torch.rand((len(latents), 1, 1, 1), generator=generator, device=latents.device)
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        decoded = vae.decode((latents + strength * noise) / SCALING_FACTOR).sample
    moved = (latents.float() - old_latents).square() / functional.adaptive_avg_pool2d(weights, latents.shape[-2:])
    loss: Tensor = picture_error(decoded.float(), pictures, weights) + HOLD * moved.mean()
    return loss


def training_pictures(recipe: Recipe, count: int) -> Pixels:
    """[N, H, W, 3] renders of the first characters that the VAE is trained on."""
    return np.stack([render(training_character(number, SEED, recipe.world)) for number in range(count)])


def random_crops(pictures: Pixels, recipe: Recipe, step: int, rank: int) -> Tensor:
    """[B, 3, crop, crop] in [-1, 1]; three of four are more likely from the middle than from the corners."""
    rng = random_for(SEED, "crops", step, rank)
    size, room = recipe.vae_crop_px, pictures.shape[1] - recipe.vae_crop_px
    crops = []
    for _ in range(recipe.vae_batch):
        picture = pictures[rng.randrange(len(pictures))]
        draw = rng.triangular if rng.random() < 0.75 else rng.uniform
        top, left = round(draw(0, room)), round(draw(0, room))
        crops.append(picture[top : top + size, left : left + size])
    return to_tensor(crops)


def vae_loss(vae: AutoencoderKL, crops: Tensor, hint: float, generator: torch.Generator) -> Tensor:
    """The error of the pictures and a little KL.

    Args:
        vae: The model.
        crops: [B, 3, H, W] in [-1, 1].
        hint: How strongly latent channels 0 to 2 are pulled to the colours of their blocks; colours come much earlier
            with it.
        generator: Draws the noise of the latents.
    """
    mean, log_variance = vae.quant_conv(vae.encoder(crops)).float().chunk(2, 1)
    log_variance = log_variance.clamp(-20, 10)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    decoded = vae.decoder(vae.post_quant_conv(mean + torch.exp(0.5 * log_variance) * noise)).float()
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    colours = (mean[:, :3] - 2 * functional.avg_pool2d(crops, 8)).square().mean()
    loss: Tensor = picture_error(decoded, crops, torch.ones_like(crops[:, :1])) + 1e-4 * divergence + hint * colours
    return loss


def picture_error(decoded: Tensor, pictures: Tensor, weights: Tensor) -> Tensor:
    """Absolute and squared error, error of edges and of coarse colours, of [B, 3, H, W] in [-1, 1].

    Args:
        decoded: What came out.
        pictures: What was wanted.
        weights: [B, 1, H, W] how much the error counts at each pixel.
    """
    error = decoded - pictures
    rows = weights[..., 1:, :] * (error[..., 1:, :] - error[..., :-1, :]).abs()
    columns = weights[..., 1:] * (error[..., 1:] - error[..., :-1]).abs()
    coarse = functional.avg_pool2d(weights, 4) * functional.avg_pool2d(error, 4).abs()
    return (weights * (error.abs() + error.square())).mean() + rows.mean() + columns.mean() + coarse.mean()


@torch.no_grad()
def latents_std(vae: AutoencoderKL, pictures: Tensor) -> float:
    """The standard deviation of the latents of [B, 3, H, W] pictures."""
    return torch.cat([vae.encode(part).latent_dist.mode() for part in torch.split(pictures, 32)]).std().item()


@torch.no_grad()
def fold_scale(vae: AutoencoderKL, std: float) -> None:
    """Scales the latents so that SD 1.5's factor 0.18215 gives them a standard deviation of 1; pictures stay.

    Args:
        vae: Changed in place.
        std: The standard deviation of its latents so far.
    """
    factor = 1 / (std * SCALING_FACTOR)
    channels = vae.config.latent_channels
    vae.quant_conv.weight[:channels] *= factor
    vae.quant_conv.bias[:channels] *= factor
    vae.quant_conv.bias[channels:] += 2 * math.log(factor)  # These are logarithms of variances.
    vae.post_quant_conv.weight /= factor
    vae.register_to_config(scaling_factor=SCALING_FACTOR)


@torch.no_grad()
def round_trip_psnr(vae: AutoencoderKL, num_pictures: int = 64) -> tuple[float, float]:
    """Mean peak signal-to-noise ratios in dB of held-out renders after a round trip.

    Returns:
        That of whole pictures, and that of eyes, brows and mouth alone.
    """
    characters = [training_character(number, HELD_OUT_SEED) for number in range(num_pictures)]
    pictures, features = drawn_with_features(characters)
    decoded = np.concatenate(
        [
            to_pictures(vae.decode(vae.encode(part).latent_dist.mode()).sample)
            for part in torch.split(to_tensor(pictures).to(vae.device), 8)
        ]
    )
    errors = np.square((decoded.astype(np.float64) - pictures) / 255).mean(-1)
    at_features = (errors * features).sum((1, 2)) / features.sum((1, 2))
    whole, part = (float((-10 * np.log10(error)).mean()) for error in (errors.mean((1, 2)), at_features))
    return whole, part
