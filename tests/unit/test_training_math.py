"""Schedules, noise, targets and weights against their definitions."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from core.config import ScheduleConfig
from core.dataset.fitting import FitPlan
from core.training.encoding import content_mask
from core.training.objective import NoiseSchedule, draw_noise, min_snr_weights, per_sample_loss
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


def test_noise_offset_shifts_whole_channels() -> None:
    plain = draw_noise((1, 4, 64, 64), 0.0, torch.Generator().manual_seed(1))
    shifted = draw_noise((1, 4, 64, 64), 0.5, torch.Generator().manual_seed(1))
    difference = shifted - plain
    assert float(difference.std(dim=(2, 3)).max()) < 1e-6
    assert float(difference.abs().max()) > 0.05


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


def test_a_mask_is_the_share_of_each_cell_that_shows_the_picture() -> None:
    plan = FitPlan((64, 48), (64, 64), (0.0, -8.0, 64.0, 56.0))
    assert plan.content_px == (0, 8, 64, 56)
    mask = content_mask(plan, (8, 8), mirrored=False)
    assert mask[:, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    halves = content_mask(FitPlan((64, 56), (64, 64), (0.0, -4.0, 64.0, 60.0)), (8, 8), mirrored=False)
    assert halves[:, 3].tolist() == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.5])


def test_the_mask_of_a_mirrored_picture_is_mirrored() -> None:
    plan = FitPlan((48, 64), (64, 64), (0.0, 0.0, 64.0, 64.0))  # All that is filled in is on the right.
    plain, mirrored = (content_mask(plan, (8, 8), mirrored=flag) for flag in (False, True))
    assert plain[0].tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    assert torch.equal(mirrored, plain.flip(1))
