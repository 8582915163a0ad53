"""What decides a build: one dataclass, and the files that the stages leave for each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from starter.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Settings of a build; steps are optimizer updates. What the shipped pack was made with, its card tells."""

    work: Path
    pack: Path
    world: World = "small"
    picture_px: int = 128
    device: str = "cpu"
    processes: int = 2

    vae_widths: tuple[int, ...] = (16, 32, 64, 128)
    vae_steps: int = 14000
    vae_batch: int = 12
    vae_crop_px: int = 64
    vae_pictures: int = 6000
    refine_steps: int = 10000  # More steps on whole pictures.
    refine_batch: int = 4

    tagger_steps: int = 2600
    tagger_shapes_steps: int = 1500  # More steps, mostly on pictures that are not square.
    tagger_batch: int = 48
    tagger_round_trips: int = 2400

    num_pictures: int = 24576
    words_steps: int = 600
    words_batch: int = 64

    unet_widths: tuple[int, ...] = (64, 80, 96, 96)
    unet_groups: int = 16
    text_width: int = 128
    text_layers: int = 3
    diffusion_steps: int = 8000
    diffusion_decay_steps: int = 2500
    diffusion_batch: int = 16
    learning_rate: float = 1e-3
    save_every: int = 200

    @property
    def latents_px(self) -> int:
        """The side of the latents: the VAE shrinks by 8."""
        return self.picture_px // 8

    @property
    def vae(self) -> Path:
        """The finished VAE, a diffusers folder."""
        return self.work / "vae"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's folder."""
        return self.work / "tokenizer"

    @property
    def tagger(self) -> Path:
        """The finished tagger: `model.onnx` and `selected_tags.csv`."""
        return self.work / "tagger"

    @property
    def vae_state(self) -> Path:
        """Where VAE training goes on from."""
        return self.work / "vae_state.pt"

    @property
    def refine_state(self) -> Path:
        """Where the refinement of the VAE goes on from."""
        return self.work / "refine_state.pt"

    @property
    def tagger_state(self) -> Path:
        """Where tagger training goes on from."""
        return self.work / "tagger_state.pt"

    @property
    def round_trips(self) -> Path:
        """Pictures that went through the VAE, which the tagger is trained on."""
        return self.work / "tagger_round_trips.pt"

    @property
    def words(self) -> Path:
        """The text encoder after it learned its words."""
        return self.work / "words.pt"

    @property
    def diffusion_state(self) -> Path:
        """Where the training of text encoder and UNet goes on from."""
        return self.work / "diffusion_state.pt"

    def latents(self, first: int) -> Path:
        """The cached latents and tags of the training characters from number `first` on."""
        return self.work / f"latents_{first}.pt"
