"""What steps and previews are fed with on a real pipeline: pictures, masks and captions, by every option of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from core.config import TrainConfig, with_values
from core.dataset.masks import mask_path
from core.errors import UserError
from core.families.base import use_as
from core.families.sd1 import FAMILY
from core.models import describe_base
from core.sampling import draw
from core.training.data import Shown
from tests.trainers import make_trainer, take_steps, weights

MakeConfig = Callable[..., TrainConfig]


def test_masked_places_do_not_count(make_config: MakeConfig, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a denoiser that is wrong on the right only, a mask over the right makes the loss zero."""
    wrong_on_the_right = torch.zeros(1, 4, 8, 8)
    wrong_on_the_right[..., 4:] = 1

    def answers(config: TrainConfig) -> float:
        trainer = make_trainer(config)
        example = trainer.plan.examples[0]
        batch = trainer._draw(0, 0, [0])
        monkeypatch.setattr(type(FAMILY), "predict", lambda *_: batch.noise + wrong_on_the_right)
        loss = float(trainer._loss([example], batch).mean().detach())
        monkeypatch.undo()
        return loss

    plain = make_config(loss__min_snr_gamma=0, dataset__masks="none")
    assert answers(plain) == pytest.approx(0.5)
    masked = with_values(plain, {"dataset.masks": "files", "dataset.unmasked_weight": 0.0})
    assert answers(masked) == pytest.approx(0.5)  # There is no mask yet.
    for picture in sorted(pictures.glob("*.png")):
        width, height = Image.open(picture).size
        mask = Image.new("L", (width, height), 0)
        mask.paste(255, (0, 0, width // 2, height))
        mask.save(mask_path(picture))
    assert answers(masked) == pytest.approx(0.0, abs=1e-6)
    little = with_values(masked, {"dataset.unmasked_weight": 0.25})
    assert answers(little) == pytest.approx(0.25 / 1.25, rel=0.01)
    assert answers(plain) == pytest.approx(0.5)


def test_pictures_that_change_are_encoded_in_each_step_with_the_vae_at_hand(make_config: MakeConfig) -> None:
    config = make_config(dataset__colour_jitter=True, dataset__random_crop=True, dataset__flip=True)
    trainer = make_trainer(config)
    (first,) = take_steps(trainer, 1)
    examples = trainer.plan.examples
    wide = next(
        index for index, example in enumerate(examples) if example.record.size_px[0] > example.record.size_px[1]
    )
    plain, jittered, left, right = (
        trainer.latents.batch(examples, [shown])
        for shown in (
            Shown(wide, False, ""),
            Shown(wide, False, "", colours=(1.1, 0.9, 1.1)),
            Shown(wide, False, "", place=(0.0, 0.5)),
            Shown(wide, False, "", place=(1.0, 0.5)),
        )
    )
    cached = make_trainer(with_values(config, {"dataset.colour_jitter": False, "dataset.random_crop": False}))
    assert take_steps(cached, 1)[0].loss != first.loss
    torch.testing.assert_close(plain, cached.latents.batch(examples, [Shown(wide, False, "")]), atol=0, rtol=0)
    middle = trainer.latents.batch(examples, [Shown(wide, False, "", place=(0.5, 0.5))])
    torch.testing.assert_close(middle, plain, atol=1e-6, rtol=0)
    for other in (jittered, left, right):
        assert float((other - plain).abs().max()) > 1e-3
    assert not torch.equal(left, right)


def test_a_picture_that_vanishes_while_it_is_encoded_in_each_step_is_named(
    make_config: MakeConfig, pictures: Path
) -> None:
    trainer = make_trainer(make_config(dataset__colour_jitter=True, training__batch_size=4))
    before = weights(trainer)
    next(pictures.glob("*.png")).unlink()
    with pytest.raises(UserError):
        take_steps(trainer, 1)
    assert all(torch.equal(weight, before[name]) for name, weight in weights(trainer).items())


def test_long_captions_are_read_in_pieces(make_config: MakeConfig) -> None:
    trainer = make_trainer(make_config(model__max_tokens=150, network__train_text_encoder=False))
    parts = trainer.parts
    tags = [f"tag{number}" for number in range(60)]
    long = ", ".join(tags)
    number, most = FAMILY.num_tokens(parts, long)
    assert most == 150 and number > 150
    (embeds,) = FAMILY.encode_captions(parts, [long])["prompt_embeds"]
    assert embeds.shape == (154, 16)
    ids = parts.tokenizer(long, add_special_tokens=False).input_ids
    start, end = parts.tokenizer.bos_token_id, parts.tokenizer.eos_token_id
    pieces = [[start, *ids[first : first + 75], end] for first in (0, 75)]
    expected = [parts.text_encoder(torch.tensor([piece])).last_hidden_state[0] for piece in pieces]
    torch.testing.assert_close(embeds, torch.cat(expected))
    (short,) = FAMILY.encode_captions(parts, ["miru"])["prompt_embeds"]
    parts.max_tokens = 75
    (first,) = FAMILY.encode_captions(parts, ["miru"])["prompt_embeds"]
    (empty,) = FAMILY.encode_captions(parts, [""])["prompt_embeds"]
    torch.testing.assert_close(short, torch.cat([first, empty]))
    assert FAMILY.num_tokens(parts, long)[1] == 75
    parts.max_tokens = 150
    assert len(take_steps(trainer, 1)) == 1


def test_embeddings_of_another_length_are_not_taken_from_the_cache(make_config: MakeConfig) -> None:
    for tokens, length in ((75, 77), (225, 231), (75, 77)):
        trainer = make_trainer(make_config(model__max_tokens=tokens, network__train_text_encoder=False))
        assert trainer.embeddings is not None
        assert trainer.embeddings.get([""], torch.device("cpu"))["prompt_embeds"].shape == (1, length, 16)


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_a", "euler", "ddim"])
def test_every_sampler_draws_with_the_prediction_of_the_settings(make_config: MakeConfig, sampler: str) -> None:
    config = make_config(
        sampling__sampler=sampler,
        model__prediction="v_prediction",
        model__zero_terminal_snr=True,
        model__max_tokens=150,
    )
    parts = FAMILY.load(describe_base(config.model.base), torch.float32)
    use_as(parts, config.model)
    pipeline = FAMILY.pipeline(parts)
    (image,) = draw(pipeline, ["miru, " * 60], [5], config.sampling)
    assert image.size == (64, 64)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    assert pipeline.scheduler.config.rescale_betas_zero_snr
    (again,) = draw(pipeline, ["miru, " * 60], [5], config.sampling)
    assert image.tobytes() == again.tobytes()


def test_previews_read_prompts_as_captions_are_read(make_config: MakeConfig) -> None:
    config = make_config(model__clip_skip=2)
    parts = FAMILY.load(describe_base(config.model.base), torch.float32)
    pipeline = FAMILY.pipeline(parts)
    plain = pipeline.encode_prompt(["miru"], "cpu", 1, True, None)[0]
    use_as(parts, config.model)
    skipped, unwanted = pipeline.encode_prompt(["miru"], "cpu", 1, True, ["bad"])
    assert not torch.equal(skipped, plain)
    torch.testing.assert_close(skipped, FAMILY.encode_captions(parts, ["miru"])["prompt_embeds"])
    torch.testing.assert_close(unwanted, FAMILY.encode_captions(parts, ["bad"])["prompt_embeds"])
