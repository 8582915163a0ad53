"""Schedules, noise, targets and weights against their definitions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch

from core.config import LossConfig, ScheduleConfig
from core.families.base import zero_terminal
from core.training.objective import (
    NoiseSchedule,
    counted_errors,
    huber_limits,
    min_snr_weights,
    per_sample_loss,
    timestep_weights,
)
from core.training.schedules import rate_factor

TOTAL = 100


def course(name: str, **options: float) -> list[float]:
    config = ScheduleConfig(name=name, **options)  # type: ignore[arg-type]
    return [rate_factor(step, TOTAL, config) for step in range(TOTAL)]


def test_constant_ignores_warm_up() -> None:
    assert course("constant", warmup_steps=10) == [1.0] * TOTAL


@pytest.mark.parametrize("name", ["constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"])
def test_warm_up_rises_evenly_from_above_zero_to_the_full_rate(name: str) -> None:
    factors = course(name, warmup_steps=10)
    assert factors[0] == pytest.approx(1 / 11)
    assert all(b - a == pytest.approx(1 / 11) for a, b in itertools.pairwise(factors[:10]))
    assert factors[10] == pytest.approx(1.0)


def test_linear_cosine_and_polynomial_at_a_quarter_and_near_the_end() -> None:
    assert course("linear")[25] == pytest.approx(0.75)
    assert course("cosine")[25] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert course("polynomial", power=2.0)[25] == pytest.approx(0.75**2)
    for name in ("linear", "cosine", "polynomial"):
        assert course(name)[-1] < 0.02


def test_restarts_come_back_to_the_full_rate() -> None:
    factors = course("cosine_with_restarts", cycles=4)
    assert [factors[step] for step in (0, 25, 50, 75)] == pytest.approx([1.0] * 4)
    assert factors[24] < 0.05


def test_warm_up_longer_than_the_run_stays_below_the_full_rate() -> None:
    assert max(course("cosine", warmup_steps=1000)) <= 1.0


def test_rex_falls_slowly_at_first_and_fast_at_the_end() -> None:
    factors = course("rex")
    assert factors[50] == pytest.approx((1 - 0.5) / (0.5 + 0.5 * 0.5))
    assert factors[0] == 1.0 and factors[99] == pytest.approx(0.01 / (0.5 + 0.5 * 0.01))


def test_inverse_sqrt_halves_at_three_warm_ups_behind_the_warm_up() -> None:
    factors = course("inverse_sqrt", warmup_steps=10)
    assert factors[10] == pytest.approx(1.0) and factors[40] == pytest.approx(0.5)
    assert course("inverse_sqrt")[99] == pytest.approx((10_000 / 10_099) ** 0.5)


@pytest.mark.parametrize(("decay_steps", "begin"), [(0, 82), (50, 50), (500, 10)])
def test_warm_up_stable_decay_has_three_parts(decay_steps: int, begin: int) -> None:
    """Without a number of its own the decay is a fifth of what follows the warm-up: 18 of 90 steps."""
    factors = course("warmup_stable_decay", warmup_steps=10, decay_steps=decay_steps)
    assert factors[9] < 1.0
    assert all(factor == 1.0 for factor in factors[10 : begin + 1])
    halfway = (begin + TOTAL) // 2
    assert factors[halfway] == pytest.approx(0.5, abs=0.02) and factors[-1] < 0.01


@pytest.mark.parametrize(
    "name", ["linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt", "rex", "warmup_stable_decay"]
)
def test_the_rate_never_falls_below_its_least_and_the_warm_up_is_as_it_was(name: str) -> None:
    plain, held = course(name, warmup_steps=10), course(name, warmup_steps=10, min_factor=0.25)
    assert held[:11] == plain[:11]
    assert min(held[10:]) >= 0.25
    assert held[10:] == pytest.approx([0.25 + 0.75 * factor for factor in plain[10:]])


def test_a_rate_that_an_optimizer_averages_for_does_not_fall() -> None:
    config = ScheduleConfig(name="cosine", warmup_steps=10)
    assert [rate_factor(step, TOTAL, config, falls=False) for step in (0, 10, 99)] == pytest.approx([1 / 11, 1, 1])


@pytest.fixture
def schedule() -> NoiseSchedule:
    return NoiseSchedule(torch.tensor([0.99, 0.5, 0.01]), "epsilon")


def test_noise_mixes_by_the_schedule(schedule: NoiseSchedule) -> None:
    latents, noise = torch.ones(3, 4, 2, 2), torch.full((3, 4, 2, 2), 2.0)
    noisy = schedule.add_noise(latents, noise, torch.tensor([0, 1, 2]))
    for index, left in enumerate((0.99, 0.5, 0.01)):
        assert noisy[index].mean().item() == pytest.approx(left**0.5 + 2 * (1 - left) ** 0.5, rel=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_target_gives_the_picture_back(prediction: str) -> None:
    schedule = NoiseSchedule(torch.tensor([0.9, 0.3]), prediction)  # type: ignore[arg-type]
    latents, noise, timesteps = torch.randn(2, 4, 2, 2), torch.randn(2, 4, 2, 2), torch.tensor([0, 1])
    noisy, target = schedule.add_noise(latents, noise, timesteps), schedule.target(latents, noise, timesteps)
    left = schedule.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    if prediction == "epsilon":
        restored = (noisy - (1 - left).sqrt() * target) / left.sqrt()
    else:
        restored = left.sqrt() * noisy - (1 - left).sqrt() * target
    torch.testing.assert_close(restored, latents, atol=1e-5, rtol=1e-4)


def test_min_snr_caps_low_noise_steps() -> None:
    snr = torch.tensor([0.1, 5.0, 50.0])
    torch.testing.assert_close(min_snr_weights(snr, 5.0, "epsilon"), torch.tensor([1.0, 1.0, 0.1]))
    torch.testing.assert_close(min_snr_weights(snr, 5.0, "v_prediction"), torch.tensor([0.1 / 1.1, 5 / 6, 5 / 51]))
    torch.testing.assert_close(min_snr_weights(snr, 0.0, "epsilon"), torch.ones(3))


def test_min_snr_is_defined_where_there_is_noise_alone() -> None:
    snr = torch.tensor([0.0])
    assert min_snr_weights(snr, 5.0, "epsilon").tolist() == [1.0]
    assert min_snr_weights(snr, 5.0, "v_prediction").tolist() == [0.0]


def test_debiased_estimation_takes_the_place_of_min_snr() -> None:
    snr, config = torch.tensor([0.0, 0.25, 4.0, 1e9]), LossConfig(debiased=True, min_snr_gamma=5.0)
    weights = timestep_weights(snr, config, "epsilon")
    torch.testing.assert_close(weights, torch.tensor([1000**0.5, 2.0, 0.5, 1000**-0.5]))
    torch.testing.assert_close(timestep_weights(snr, config, "v_prediction")[1:3], torch.tensor([0.8, 0.2]))


def test_v_prediction_is_weighted_as_if_the_noise_were_answered() -> None:
    """With weights of snr / (snr + 1) the squared error of the velocity is that of the noise it stands for."""
    schedule = NoiseSchedule(torch.tensor([0.9, 0.3]), "v_prediction")
    latents, noise, timesteps = torch.randn(2, 4, 2, 2), torch.randn(2, 4, 2, 2), torch.tensor([0, 1])
    noisy = schedule.add_noise(latents, noise, timesteps)
    velocity = schedule.target(latents, noise, timesteps) + 0.1
    left = schedule.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    answered = (1 - left).sqrt() * noisy + left.sqrt() * velocity
    config = LossConfig(scale_v_prediction=True, min_snr_gamma=0)
    weights = timestep_weights(schedule.snr(timesteps), config, "v_prediction")
    scaled = per_sample_loss(velocity, schedule.target(latents, noise, timesteps)) * weights
    torch.testing.assert_close(scaled, per_sample_loss(answered, noise), rtol=1e-4, atol=1e-7)
    assert timestep_weights(schedule.snr(timesteps), config, "epsilon").tolist() == [1.0, 1.0]


def test_zero_terminal_noise_begins_where_it_began_and_ends_in_noise_alone() -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    before = torch.cumprod(1 - betas, 0).float()
    after = zero_terminal(before)
    assert after[-1] == 0 and after[0] == pytest.approx(float(before[0]), rel=1e-6)
    assert bool((after[1:] < after[:-1]).all())
    from diffusers.schedulers.scheduling_ddpm import rescale_zero_terminal_snr

    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(betas), 0).float()
    torch.testing.assert_close(after, theirs, atol=1e-6, rtol=1e-4)


def test_huber_limits_follow_their_schedules() -> None:
    alphas, timesteps = torch.tensor([0.99, 0.5, 0.0]), torch.tensor([0, 1, 2])
    config = LossConfig(kind="huber", huber_limit=0.1, huber_schedule="constant")
    torch.testing.assert_close(huber_limits(alphas, timesteps, config), torch.full((3,), 0.1))
    falling = huber_limits(alphas, timesteps, config.model_copy(update={"huber_schedule": "exponential"}))
    torch.testing.assert_close(falling, torch.tensor([1.0, 0.1 ** (1 / 3), 0.1 ** (2 / 3)]))
    by_snr = huber_limits(alphas, timesteps, config.model_copy(update={"huber_schedule": "snr"}))
    expected = [0.9 / (1 + ((1 - left) / left) ** 0.5) ** 2 + 0.1 for left in (0.99, 0.5)]
    torch.testing.assert_close(by_snr, torch.tensor([*expected, 0.1]))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("l2", lambda error: error**2),
        ("l1", abs),
        ("huber", lambda error: 2 * 0.1 * (math.sqrt(error**2 + 0.01) - 0.1)),
        ("smooth_l1", lambda error: 2 * (math.sqrt(error**2 + 0.01) - 0.1)),
    ],
)
def test_errors_count_by_the_kind_of_loss(kind: str, expected: Callable[[float], float]) -> None:
    config = LossConfig(kind=kind, huber_limit=0.1, huber_schedule="constant")  # type: ignore[arg-type]
    counted = counted_errors(config, torch.ones(3), torch.tensor([0, 0]))
    prediction = torch.tensor([0.02, -3.0]).view(2, 1, 1, 1).expand(2, 4, 2, 2)
    losses = per_sample_loss(prediction, torch.zeros(2, 4, 2, 2), None, counted)
    assert losses.tolist() == pytest.approx([expected(0.02), expected(-3.0)], rel=1e-3)


def test_huber_is_squared_for_small_errors_and_a_line_for_large_ones() -> None:
    config = LossConfig(kind="huber", huber_limit=0.1, huber_schedule="constant")
    counted = counted_errors(config, torch.ones(3), torch.tensor([0]))
    small, large, larger = (float(counted(torch.full((1, 1, 1, 1), e), torch.zeros(1, 1, 1, 1))) for e in (0.01, 5, 10))
    assert small == pytest.approx(0.01**2, rel=0.01)
    assert larger - large == pytest.approx(2 * 0.1 * 5, rel=0.01)


def test_the_loss_is_the_mean_of_each_sample() -> None:
    loss = per_sample_loss(torch.zeros(2, 1, 2, 2), torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2))
    torch.testing.assert_close(loss, torch.tensor([1.0, 9.0]))


def test_places_that_are_filled_in_do_not_count() -> None:
    prediction, target = torch.zeros(2, 4, 8, 8), torch.zeros(2, 4, 8, 8)
    target[:, :, :, 4:] = 3.0  # Wrong only where nothing counts in the first picture.
    masks = torch.ones(2, 8, 8)
    masks[0, :, 4:] = 0
    assert per_sample_loss(prediction, target, masks).tolist() == pytest.approx([0.0, 4.5])
    assert per_sample_loss(prediction, target, torch.ones(2, 8, 8)).tolist() == pytest.approx(
        per_sample_loss(prediction, target).tolist()
    )
