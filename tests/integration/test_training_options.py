"""Options of training on a real pipeline: each changes what it should, and only that."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from core.config import TrainConfig, with_values
from core.families.sd1 import FAMILY
from core.training import loop
from core.training.loop import NotANumberError, Trainer
from core.training.optimizers import restore_optimizer
from tests.small_networks import product
from tests.trainers import make_trainer, take_steps, weights

MakeConfig = Callable[..., TrainConfig]


def gradients(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, step: int = 0) -> dict[str, torch.Tensor]:
    """The gradient of a step, which is not taken."""
    found: dict[str, torch.Tensor] = {}

    def keep(*_: object) -> tuple[float, float]:
        for name, weight in trainer.network.named_parameters():
            assert weight.grad is not None
            found[name] = weight.grad.clone()
        return 0.0, 0.0

    monkeypatch.setattr(Trainer, "_update", keep)
    batches = next(iter(trainer.plan.steps(step)))[2]
    trainer.step(step, batches)
    monkeypatch.undo()
    return found


def assert_close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], atol: float = 0.0) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=atol, rtol=0, msg=name)


def test_a_batch_in_parts_has_the_gradient_of_the_whole(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(
        make_config(
            training__batch_size=3,
            training__gradient_accumulation=2,
            loss__multires_noise_levels=4,
            loss__kind="huber",
            loss__input_perturbation=0.1,
            dataset__caption_dropout=0.3,
            dataset__flip=True,
        )
    )
    take_steps(trainer, 1)  # So that both weights of each pair have gradients.
    whole = gradients(trainer, monkeypatch, 1)
    assert max(float(grad.abs().max()) for grad in whole.values()) > 1e-3
    for trainer.chunks in (2, 3, 99):
        assert_close(gradients(trainer, monkeypatch, 1), whole, atol=1e-6)


def test_a_step_that_fails_leaves_everything_as_it_was(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(training__batch_size=2, optimizer__ema_decay=0.9)
    trainer, whole = make_trainer(config), make_trainer(config)
    expected = take_steps(whole, 3)
    take_steps(trainer, 1)
    before, batches = weights(trainer), [[0, 1]]
    real, calls = FAMILY.predict, iter(range(10))

    def breaks(*arguments: object) -> torch.Tensor:
        if next(calls) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return real(*arguments)  # type: ignore[arg-type]

    trainer.chunks = 2
    with monkeypatch.context() as patch:
        patch.setattr(type(FAMILY), "predict", lambda self, *arguments: breaks(*arguments))
        with pytest.raises(torch.OutOfMemoryError):
            trainer.step(1, batches)
    for value in (math.nan, math.inf):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "per_sample_loss", lambda prediction, *_, v=value: prediction.mean(dim=(1, 2, 3)) * v)
            with pytest.raises(NotANumberError, match="no longer a number in step 2") as error:
                trainer.step(1, batches)
            assert error.value.failure == "not_a_number"
    assert_close(weights(trainer), before)
    assert all(weight.grad is None for _, weight in trainer.network.named_parameters())
    trainer.chunks = 1
    assert take_steps(trainer, 2, first=1) == expected[1:]
    assert_close(weights(trainer), weights(whole))


def test_a_gradient_too_large_for_fp16_leaves_the_step_out_but_not_for_ever(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(make_config())
    trainer.accelerator.scaler = scaler = torch.amp.GradScaler("cpu")
    take_steps(trainer, 1)
    before = weights(trainer)
    real = torch.nn.utils.clip_grad_norm_

    def overflowing(trained: list[torch.Tensor], limit: float) -> torch.Tensor:
        scaler._per_optimizer_states[id(trainer.optimizer)]["found_inf_per_device"][torch.device("cpu")].fill_(1.0)
        return real(trained, limit) * math.inf

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", overflowing)
        patch.setattr(loop, "MOST_LEFT_OUT", 2)
        assert [result.grad_norm for result in take_steps(trainer, 2)] == [None, None]
        with pytest.raises(NotANumberError):
            take_steps(trainer, 1)
    assert_close(weights(trainer), before)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "per_sample_loss", lambda prediction, *_: prediction.mean(dim=(1, 2, 3)) * math.nan)
        with pytest.raises(NotANumberError):
            take_steps(trainer, 1)
    assert take_steps(trainer, 1)[0].grad_norm is not None
    assert any(not torch.equal(weight, before[name]) for name, weight in weights(trainer).items())


def saved(state: Any) -> Any:
    """A state as it comes back from the disk."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer__name": "prodigy", "network__rank_dropout": 0.3, "optimizer__block_rates": ("mid_block=0.5",)},
        {"optimizer__name": "adamw_schedulefree", "network__max_norm": 0.5, "dataset__wildcards": True},
        {"optimizer__ema_decay": 0.9, "network__module_dropout": 0.3, "loss__timestep_sampling": "logit_normal"},
    ],
    ids=["prodigy", "schedule-free", "ema"],
)
def test_a_resumed_training_is_the_uninterrupted_one_to_the_bit(
    make_config: MakeConfig, options: dict[str, object]
) -> None:
    config = make_config(training__batch_size=2, **options)
    whole, again = make_trainer(config), make_trainer(config)
    take_steps(whole, 2)
    again.network.load_tensors(saved(weights(whole)))
    assert restore_optimizer(again.optimizer, saved(whole.optimizer.state_dict()))
    again.load_averaging_state(saved(whole.averaging_state()))
    with again.averaged():  # As a preview does.
        again.validation_loss(again.plan.examples[:1], 7, 1)
    assert take_steps(again, 2, first=2) == take_steps(whole, 2, first=2)
    assert_close(weights(again), weights(whole))
    with again.averaged(), whole.averaged():
        assert_close(weights(again), weights(whole))


def test_a_step_tells_the_lengths_of_gradient_and_lora(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(make_config(optimizer__max_grad_norm=1e-3))
    found = gradients(trainer, monkeypatch)
    length = math.sqrt(sum(float(grad.square().sum()) for grad in found.values()))
    (result,) = take_steps(trainer, 1)
    assert result.grad_norm == pytest.approx(length, rel=1e-4)
    added = [product(module).detach() * module.alpha / 4 for module in trainer.network.modules]
    assert result.lora_norm == pytest.approx(math.sqrt(sum(float(one.square().sum()) for one in added)), rel=1e-4)
    assert result.lora_norm > 0


def test_no_pair_is_beyond_the_weight_limit_after_a_step(make_config: MakeConfig) -> None:
    limit = 0.02
    free = make_trainer(make_config())
    trainer = make_trainer(make_config(network__max_norm=limit))

    def largest(of: Trainer) -> float:
        return max(float((product(module) * module.alpha / 4).detach().norm()) for module in of.network.modules)

    take_steps(free, 1)
    take_steps(trainer, 1)
    assert largest(free) > 1.5 * limit
    assert limit * 0.999 < largest(trainer) < limit * 1.001


def test_the_averaged_weights_are_shown_and_the_own_ones_go_on(make_config: MakeConfig) -> None:
    trainer = make_trainer(make_config(optimizer__ema_decay=0.5))
    name, weight = next(iter(trainer.network.named_parameters()))
    average = weight.detach().clone()
    for step in range(3):
        take_steps(trainer, 1, first=step)
        decay = min(0.5, (2 + step) / (11 + step))
        average = decay * average + (1 - decay) * weight.detach()
    own = weights(trainer)
    with trainer.averaged():
        torch.testing.assert_close(weight.detach(), average, atol=1e-6, rtol=0)
        assert torch.equal(trainer.network.tensors()[name], weight.detach())
    assert_close(weights(trainer), own)
    again = make_trainer(trainer.config)
    again.load_averaging_state(trainer.averaging_state())
    with again.averaged():
        torch.testing.assert_close(dict(again.network.named_parameters())[name].detach(), average, atol=1e-6, rtol=0)


def test_the_validation_loss_asks_the_same_every_time_and_changes_nothing(make_config: MakeConfig) -> None:
    config = make_config(
        network__dropout=0.5, dataset__shuffle_tags=True, loss__noise_offset=0.5, loss__min_timestep=100
    )
    trainer = make_trainer(config)
    examples = trainer.plan.examples[:2]
    first = trainer.validation_loss(examples, 7, 2)
    random_state = torch.get_rng_state()
    assert trainer.validation_loss(examples, 7, 2) == first
    assert torch.equal(torch.get_rng_state(), random_state)
    assert trainer.parts.denoiser.training
    assert trainer.validation_loss(examples, 8, 2) != first
    single = trainer.validation_loss(examples[:1], 7, 2)
    assert single != first and trainer.validation_loss(examples[:1], 7, 1) != single
    other = make_trainer(with_values(config, {"training.seed": 43, "training.batch_size": 2}))
    assert other.validation_loss(examples, 7, 2) == first  # The LoRA adds nothing yet.
    take_steps(trainer, 2)
    assert trainer.validation_loss(examples, 7, 2) != first


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_pure_noise_can_be_learned(make_config: MakeConfig, prediction: str) -> None:
    config = make_config(model__zero_terminal_snr=True, model__prediction=prediction, loss__min_timestep=999)
    trainer = make_trainer(config)
    assert trainer.noise_schedule.prediction == prediction
    assert float(trainer.noise_schedule.alphas_cumprod[-1]) == 0
    (result,) = take_steps(trainer, 1)
    assert math.isfinite(result.loss)
    for kind in ({"loss.debiased": True}, {"loss.kind": "huber"}, {"loss.scale_v_prediction": True}):
        trainer.config = with_values(config, kind)
        assert math.isfinite(take_steps(trainer, 1, first=1)[0].loss)


def test_only_the_text_encoder_learns_when_asked(make_config: MakeConfig) -> None:
    trainer = make_trainer(make_config(network__train_denoiser=False))
    before = weights(trainer)
    take_steps(trainer, 2)
    assert all(name.startswith("lora_te_") for name in before)
    assert any(not torch.equal(weight, before[name]) for name, weight in weights(trainer).items())


def test_timesteps_outside_the_range_are_never_learned(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = type(FAMILY).predict
    trainer = make_trainer(make_config(loss__min_timestep=300, loss__max_timestep=320, training__batch_size=4))

    def spy(self: object, parts: object, latents: object, timesteps: torch.Tensor, told: object) -> torch.Tensor:
        seen.extend(timesteps.tolist())
        return real(self, parts, latents, timesteps, told)  # type: ignore[arg-type]

    monkeypatch.setattr(type(FAMILY), "predict", spy)
    take_steps(trainer, 2)
    assert len(seen) >= 8 and all(300 <= timestep < 320 for timestep in seen)
