"""Text encoder and UNet: caches latents, teaches the text encoder its words, then trains the UNet by denoising."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from starter.character import training_character
from starter.models import SCALING_FACTOR, load_vae, new_text_encoder, new_unet, signal_rates
from starter.tokenizer import MAX_TOKENS, load_tokenizer
from starter.training import (
    FlatTraining,
    learning_rate,
    random_for,
    run_processes,
    save_atomically,
    set_learning_rate,
    to_tensor,
)
from starter.world import EYES_STATES, EYEWEAR, SKINS, tags_of

if TYPE_CHECKING:
    import random

    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    from starter.recipe import Recipe

SEED = 3
CHARACTERS_SEED = 11
EMPTY_CAPTIONS = 0.1
DROPPED_TAGS = 0.05
SHORT_CAPTIONS = 0.15
# Where a prompt is silent on these it means light skin and open eyes with nothing before them. If captions dropped them
# like other tags, some open prompts would get dark skin or sunglasses, and guidance would make that many.
ALWAYS_NAMED = {*SKINS, *EYES_STATES, *EYEWEAR} - {"light skin", "open", ""}
FACE_WEIGHT = 2.0


# ---------------------------------------------------------------------------------------------- latents


def cache_latents(recipe: Recipe) -> None:
    """Encodes all training pictures once, a part per process; each picture is 2 KB of float16."""
    run_processes(recipe, cache_part)


def cache_part(rank: int, recipe: Recipe) -> None:
    """Caches the part of this process, unless it is there. Alone in this file it needs Qt."""
    from starter.draw import render

    first = recipe.num_pictures * rank // recipe.processes
    last = recipe.num_pictures * (rank + 1) // recipe.processes
    if recipe.latents(first).exists():
        return
    vae = load_vae(recipe)
    latents, tags = [], []
    for start in range(first, last, 32):
        characters = [
            training_character(index, CHARACTERS_SEED, recipe.world) for index in range(start, min(start + 32, last))
        ]
        tags += [tags_of(character) for character in characters]
        pictures = to_tensor([render(character, recipe.picture_px) for character in characters]).to(recipe.device)
        with torch.no_grad():
            latents.append((vae.encode(pictures).latent_dist.mode() * SCALING_FACTOR).half().cpu())
    save_atomically({"latents": torch.cat(latents), "tags": tags}, recipe.latents(first))


def load_latents(recipe: Recipe) -> tuple[Tensor, list[list[str]]]:
    """[N, 4, h, w] float16 latents, scaled for the UNet, and the tags of each picture."""
    numbers = sorted(int(path.stem.split("_")[1]) for path in recipe.work.glob("latents_*.pt"))
    parts = [torch.load(recipe.latents(number)) for number in numbers]
    return torch.cat([part["latents"] for part in parts]), [tags for part in parts for tags in part["tags"]]


def shuffled(tags: list[str], rng: random.Random) -> list[str]:
    """The tags in random order, the first one first, without a few of them, now and then without many.

    Complete captions name no eyes only where sunglasses hide them; a prompt that names none would mean sunglasses.
    Skin, eyes that are not open and what is before them are always named, so that silence means none of them.
    """
    rest = tags[1:]
    rng.shuffle(rest)
    dropped = rng.random() if rng.random() < SHORT_CAPTIONS else DROPPED_TAGS
    return [tags[0]] + [tag for tag in rest if rng.random() > dropped or tag in ALWAYS_NAMED]


# ---------------------------------------------------------------------------------------------- words


class WordsTask:
    """Captions whose tags the text encoder must name: each at its last token, all of them at the padding.

    It learns in minutes that "blue hair" and "blue eyes" are different things; the UNet alone would have to teach it
    that through noise.
    """

    def __init__(self, recipe: Recipe, tokenizer: CLIPTokenizer, num_captions: int = 12000) -> None:
        self.start, self.end = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.captions = [
            tags_of(training_character(index, CHARACTERS_SEED, recipe.world)) for index in range(num_captions)
        ]
        self.tags = sorted({tag for caption in self.captions for tag in caption})
        self.numbers = {tag: number for number, tag in enumerate(self.tags)}
        self.tokens = {tag: tokenizer(f"{tag},", add_special_tokens=False).input_ids for tag in self.tags}

    def batch(self, size: int, rng: random.Random) -> tuple[Tensor, Tensor, Tensor, list[int]]:
        """A batch of captions.

        Returns:
            [B, 77] token ids; [B, 77] the number of the tag that ends at a token, else -1; [B, tags] which tags are
            there; the length of each caption in tokens.
        """
        ids = torch.full((size, MAX_TOKENS), self.end)
        endings = torch.full((size, MAX_TOKENS), -1)
        present = torch.zeros(size, len(self.tags))
        lengths = []
        for row in range(size):
            caption = shuffled(self.captions[rng.randrange(len(self.captions))], rng)
            tokens = [self.start]
            for tag in caption:
                tokens += self.tokens[tag]
                endings[row, len(tokens) - 2] = self.numbers[tag]  # The last token is the comma.
                present[row, self.numbers[tag]] = 1
            tokens.pop()
            ids[row, : len(tokens)] = torch.tensor(tokens)
            lengths.append(len(tokens))
        return ids, endings, present, lengths


def train_words(recipe: Recipe) -> None:
    """Teaches a new text encoder its words; minutes on one thread, so it starts anew after a kill."""
    if recipe.device == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(SEED)
    tokenizer = load_tokenizer(recipe.tokenizer)
    text_encoder = new_text_encoder(recipe, tokenizer)
    task = WordsTask(recipe, tokenizer)
    at_endings = nn.Linear(recipe.text_width, len(task.tags)).to(recipe.device)
    at_padding = nn.Linear(recipe.text_width, len(task.tags)).to(recipe.device)
    parameters = [*text_encoder.parameters(), *at_endings.parameters(), *at_padding.parameters()]
    optimizer = torch.optim.AdamW(parameters, recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    for step in range(recipe.words_steps):
        rate = learning_rate(
            step, recipe.words_steps, peak=recipe.learning_rate, warm_up=50, decay_steps=recipe.words_steps * 0.4
        )
        set_learning_rate(optimizer, rate)
        rng = random_for(SEED, "words", step)
        ids, endings, present, lengths = task.batch(recipe.words_batch, rng)
        length = MAX_TOKENS if step % 4 == 0 else 56  # No caption is longer; all positions must be trained.
        places = torch.tensor([rng.randrange(end, length) for end in lengths])
        ids, endings, present = ids[:, :length].to(recipe.device), endings[:, :length].to(recipe.device), present
        with torch.autocast(recipe.device, torch.bfloat16):
            hidden = text_encoder(ids).last_hidden_state.float()
        is_ending = endings >= 0
        named = at_endings(hidden[is_ending])
        loss_endings = functional.cross_entropy(named, endings[is_ending])
        counted = at_padding(hidden[torch.arange(len(hidden)), places])
        loss_padding = functional.binary_cross_entropy_with_logits(counted, present.to(recipe.device), reduction="none")
        optimizer.zero_grad()
        torch.autograd.backward(loss_endings + 0.1 * loss_padding.sum(1).mean())
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if (step + 1) % 50 == 0:
            hits = (named.argmax(1) == endings[is_ending]).float().mean().item()
            print(f"words {step + 1}: loss {loss_endings.item():.4f}, named rightly {hits:.4f}", flush=True)
    save_atomically(text_encoder.state_dict(), recipe.words)


# ---------------------------------------------------------------------------------------------- denoising


def loss_weights(signal: Tensor) -> Tensor:
    """How much the error at each timestep counts, with a mean of 1.

    As min-SNR-5 for little noise, but more for much noise, where colours and layout are decided.

    Args:
        signal: [T] the part of the variance that is signal.
    """
    snr = signal / (1 - signal)
    weights = torch.where(snr < 1, snr.rsqrt().clamp(max=8), (5 / snr).clamp(max=1))
    return weights / weights.mean()


def place_weights(height: int, width: int) -> Tensor:
    """[height, width] how much the error at each place counts, with a mean of 1: most at the face.

    Eyes and mouth carry most of what tags name, yet fill a tenth of the latents. The middle and the size of the bump
    are those of faces in the mean picture of the small world; the full world has faces anywhere.
    """
    y = (torch.arange(height).view(-1, 1) + 0.5) / height
    x = (torch.arange(width).view(1, -1) + 0.5) / width
    weights = 1 + FACE_WEIGHT * torch.exp(-(((y - 0.48) / 0.18).square() + ((x - 0.5) / 0.25).square()))
    return weights / weights.mean()


def denoising_loss(prediction: Tensor, noise: Tensor, weights: Tensor, places: Tensor) -> Tensor:
    """The weighted mean squared error.

    Args:
        prediction: [B, 4, h, w] the UNet's.
        noise: [B, 4, h, w] what it should be.
        weights: [B] of the timesteps.
        places: [h, w] of the places.
    """
    return (weights * (places * (prediction - noise).square()).mean((1, 2, 3))).mean()


class Draw:
    """What a process draws for a step: which pictures, their captions, noise and timesteps."""

    def __init__(self, recipe: Recipe, rank: int, num_pictures: int) -> None:
        self.rank, self.size, self.num_pictures = rank, recipe.diffusion_batch, num_pictures
        self.total = recipe.diffusion_batch * recipe.processes
        self.epoch, self.order = -1, list(range(num_pictures))

    def pictures(self, step: int) -> list[int]:
        """The pictures of this step; each comes once per epoch."""
        indices = []
        for place in range(step * self.total + self.rank * self.size, step * self.total + (self.rank + 1) * self.size):
            if place // self.num_pictures != self.epoch:
                self.epoch = place // self.num_pictures
                self.order = list(range(self.num_pictures))
                random_for(SEED, "epoch", self.epoch).shuffle(self.order)
            indices.append(self.order[place % self.num_pictures])
        return indices

    def batch(self, step: int, latents: Tensor, tags: list[list[str]]) -> tuple[Tensor, list[str], Tensor, Tensor]:
        """[B, 4, h, w] latents, B captions, [B, 4, h, w] noise and [B] timesteps spread evenly over all processes."""
        slots = list(range(self.total))
        random_for(SEED, step).shuffle(slots)
        rng = random_for(SEED, step, self.rank)
        generator = torch.Generator().manual_seed(rng.getrandbits(62))
        indices = self.pictures(step)
        captions, timesteps = [], []
        for index, slot in zip(indices, slots[self.rank * self.size :], strict=False):
            captions.append("" if rng.random() < EMPTY_CAPTIONS else ", ".join(shuffled(tags[index], rng)))
            timesteps.append(int((slot + rng.random()) * 1000 / self.total))
        chosen = latents[indices].float()
        return chosen, captions, torch.randn(chosen.shape, generator=generator), torch.tensor(timesteps)


def train_diffusion(recipe: Recipe) -> None:
    """Trains the UNet up to `diffusion_steps`, from the saved state on.

    The text encoder stays as its words made it. Trained along, it soon forgets what the pictures do not ask of it: one
    garment lost its colours, and words of no picture became all the same, so that a trigger word could not be learned.
    """
    run_processes(recipe, train_diffusion_process)


def new_training(recipe: Recipe) -> tuple[UNet2DConditionModel, CLIPTextModel, FlatTraining]:
    """UNet, text encoder and the UNet's training, where the last run left it."""
    torch.manual_seed(SEED)
    text_encoder = new_text_encoder(recipe, load_tokenizer(recipe.tokenizer))
    text_encoder.load_state_dict(torch.load(recipe.words))
    unet = new_unet(recipe)
    training = FlatTraining(unet.parameters(), recipe.learning_rate, weight_decay=0.01, ema_limit=0.995)
    training.resume(recipe.diffusion_state)
    return unet, text_encoder, training


def train_diffusion_process(rank: int, recipe: Recipe) -> None:
    """The training loop of one process."""
    tokenizer = load_tokenizer(recipe.tokenizer)
    unet, text_encoder, training = new_training(recipe)
    latents, tags = load_latents(recipe)
    draw = Draw(recipe, rank, len(tags))
    signal = signal_rates(recipe.device)
    weights = loss_weights(signal)
    places = place_weights(*latents.shape[2:]) if recipe.world == "small" else torch.ones(latents.shape[2:])
    places = places.to(recipe.device)
    started, first_step = time.monotonic(), training.step
    mean_loss = torch.zeros(())
    while training.step < recipe.diffusion_steps:
        step = training.step
        clean, captions, noise, timesteps = draw.batch(step, latents, tags)
        clean, noise, timesteps = clean.to(recipe.device), noise.to(recipe.device), timesteps.to(recipe.device)
        tokens = tokenizer(
            captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
        ).input_ids.to(recipe.device)
        rates = signal[timesteps].view(-1, 1, 1, 1)
        noisy = rates.sqrt() * clean + (1 - rates).sqrt() * noise
        with torch.no_grad(), torch.autocast(recipe.device, torch.bfloat16):
            hidden = text_encoder(tokens).last_hidden_state
        with torch.autocast(recipe.device, torch.bfloat16):
            prediction = unet(noisy, timesteps, hidden).sample.float()
        loss = denoising_loss(prediction, noise, weights[timesteps], places)
        torch.autograd.backward(loss)
        rate = learning_rate(
            step,
            recipe.diffusion_steps,
            peak=recipe.learning_rate,
            warm_up=200,
            decay_steps=recipe.diffusion_decay_steps,
        )
        training.update(rate, recipe.processes)
        mean_loss = mean_loss.lerp(loss.detach().cpu(), max(0.01, 1 / (training.step - first_step)))
        if rank == 0 and training.step % 50 == 0:
            speed = (training.step - first_step) * draw.total / (time.monotonic() - started)
            print(f"diffusion {training.step}: loss {mean_loss.item():.4f}, {speed:.1f} pictures/s", flush=True)
        if rank == 0 and (training.step % recipe.save_every == 0 or training.step == recipe.diffusion_steps):
            training.save(recipe.diffusion_state)


def load_trained(recipe: Recipe) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """The text encoder, and the UNet with the averaged weights of the saved state."""
    unet, text_encoder, training = new_training(recipe)
    training.flat.values.copy_(training.ema)
    return unet.eval(), text_encoder.eval()
