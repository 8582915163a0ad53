"""Noise and timesteps against their definitions."""

from __future__ import annotations

import pytest
import torch

from core.config import LossConfig
from core.errors import UserError
from core.training.noise import draw_noise, draw_timesteps, perturbed

LATENTS = torch.zeros(2, 4, 64, 64)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(latents: torch.Tensor = LATENTS, **options: object) -> torch.Tensor:
    return draw_noise(latents, LossConfig(**options), seeded())  # type: ignore[arg-type]


def shifts(**options: object) -> torch.Tensor:
    """How far each channel of each sample was moved as a whole."""
    difference = noise(**options) - noise()
    assert float(difference.std(dim=(2, 3)).max()) < 1e-5
    return difference.mean(dim=(2, 3))


def test_noise_offset_shifts_whole_channels() -> None:
    assert float(shifts(noise_offset=0.5).abs().max()) > 0.05
    torch.testing.assert_close(shifts(noise_offset=0.5), 2 * shifts(noise_offset=0.25), atol=1e-5, rtol=1e-3)


def test_a_random_noise_offset_is_a_part_of_it_that_differs_between_samples() -> None:
    generator = seeded()
    torch.randn(LATENTS.shape, generator=generator)
    part = torch.rand((2, 1, 1, 1), generator=generator)
    direction = torch.randn((2, 4, 1, 1), generator=generator)
    expected = (0.5 * part * direction)[:, :, 0, 0]
    torch.testing.assert_close(shifts(noise_offset=0.5, random_noise_offset=True), expected, atol=1e-5, rtol=1e-3)


def test_the_adaptive_scale_goes_by_the_mean_of_the_latents() -> None:
    latents = torch.full_like(LATENTS, -2.0)
    plain = noise(latents)
    offset = noise(latents, noise_offset=0.1) - plain
    more = noise(latents, noise_offset=0.1, adaptive_noise_scale=0.05) - plain
    torch.testing.assert_close(more, 2 * offset, atol=1e-5, rtol=1e-3)
    none = noise(latents, noise_offset=0.1, adaptive_noise_scale=-1.0)
    torch.testing.assert_close(none, plain)


def test_multires_noise_is_coarser_and_as_strong_and_takes_the_place_of_the_offset() -> None:
    coarse = noise(multires_noise_levels=6, multires_noise_discount=0.5, noise_offset=1.0)
    assert float(coarse.std()) == pytest.approx(1.0, abs=1e-4)
    torch.testing.assert_close(coarse, noise(multires_noise_levels=6, multires_noise_discount=0.5))

    def neighbours(values: torch.Tensor) -> float:
        return float((values[..., 1:] * values[..., :-1]).mean())

    assert abs(neighbours(noise())) < 0.02 and neighbours(coarse) > 0.05


def test_multires_noise_of_one_level_adds_noise_of_the_same_size() -> None:
    generator = seeded()
    first = torch.randn(LATENTS.shape, generator=generator)
    torch.rand((), generator=generator)
    both = first + torch.randn(LATENTS.shape, generator=generator)
    torch.testing.assert_close(noise(multires_noise_levels=1), both / both.std(), atol=1e-5, rtol=1e-4)


def test_input_perturbation_is_seen_and_not_to_be_answered() -> None:
    answer = noise()
    seen = perturbed(answer, LossConfig(input_perturbation=0.1), seeded(2))
    expected = 0.1 * torch.randn(LATENTS.shape, generator=seeded(2))
    torch.testing.assert_close(seen - answer, expected, atol=1e-5, rtol=1e-3)
    assert perturbed(answer, LossConfig(), seeded(2)) is answer
    random = perturbed(answer, LossConfig(input_perturbation=0.1, random_input_perturbation=True), seeded(2)) - answer
    assert all(float(sample.std()) < 0.1 for sample in random)
    assert abs(float(random[0].std()) - float(random[1].std())) > 1e-3


def drawn(number: int = 20_000, **options: object) -> torch.Tensor:
    return draw_timesteps(number, LossConfig(**options), 1000, seeded())  # type: ignore[arg-type]


@pytest.mark.parametrize("sampling", ["uniform", "logit_normal", "early", "late"])
def test_timesteps_stay_in_their_range_and_reach_its_ends(sampling: str) -> None:
    timesteps = drawn(timestep_sampling=sampling, min_timestep=200, max_timestep=210)
    assert timesteps.dtype == torch.int64
    assert set(timesteps.tolist()) == set(range(200, 210))


def test_timesteps_come_as_often_as_they_should() -> None:
    """Means and spreads of the distributions: 1/2 and 1/12, 2/3 and 1/18; the logistic of a normal has spread 0.208."""
    means = {"uniform": 500, "early": 1000 * 2 / 3, "late": 1000 / 3, "logit_normal": 500}
    spreads = {"uniform": 1000 / 12**0.5, "early": 1000 / 18**0.5, "late": 1000 / 18**0.5, "logit_normal": 208}
    for sampling, mean in means.items():
        timesteps = drawn(timestep_sampling=sampling).float()
        assert float(timesteps.mean()) == pytest.approx(mean, abs=8)
        assert float(timesteps.std()) == pytest.approx(spreads[sampling], abs=6)


def test_a_range_beyond_the_schedule_ends_with_it() -> None:
    assert int(drawn(max_timestep=9999).max()) == 999


@pytest.mark.parametrize("limits", [(500, 500), (600, 100), (1000, 2000)])
def test_an_empty_range_is_one_sentence(limits: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="No timestep is left to learn"):
        drawn(min_timestep=limits[0], max_timestep=limits[1])
