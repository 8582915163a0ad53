"""The starter pack's recipe at tiny sizes: every stage trains, resumes and leaves the demo character out."""

from __future__ import annotations

import math
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packaging"))

from starter import train_diffusion, train_tagger, train_vae  # noqa: E402
from starter.build import run_stage  # noqa: E402
from starter.character import TRAITS, TRIGGER, demo_character, resembles_demo_character, training_character  # noqa: E402
from starter.draw import render  # noqa: E402
from starter.models import load_vae, new_vae  # noqa: E402
from starter.others import other_captions, write_others  # noqa: E402
from starter.pack import pack_model  # noqa: E402
from starter.recipe import Recipe  # noqa: E402
from starter.score import PackTagger  # noqa: E402
from starter.tokenizer import load_tokenizer, write_tokenizer  # noqa: E402
from starter.training import FlatTraining, learning_rate, to_tensor  # noqa: E402
from starter.world import FINE_HEADWEAR, sample_character, tags_of  # noqa: E402

from tests.pictures import contents  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def thread_count() -> Iterator[None]:
    """The recipe trains on one thread; other tests get theirs back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A build of minutes made one of seconds; the tests below run its stages in order."""
    return Recipe(
        work=tmp_path_factory.mktemp("work"),
        pack=tmp_path_factory.mktemp("pack"),
        processes=1,
        vae_widths=(8, 8, 8, 8),
        vae_steps=3,
        vae_batch=2,
        vae_pictures=4,
        refine_steps=2,
        refine_batch=2,
        tagger_steps=2,
        tagger_shapes_steps=0,
        tagger_batch=6,
        tagger_round_trips=4,
        num_pictures=6,
        words_steps=2,
        words_batch=4,
        unet_widths=(16, 16, 16, 16),
        unet_groups=8,
        text_width=32,
        text_layers=1,
        diffusion_steps=4,
        diffusion_decay_steps=2,
        diffusion_batch=3,
        save_every=2,
    )


@pytest.fixture(scope="module")
def trained_vae(recipe: Recipe) -> Recipe:
    train_vae.train_vae(recipe)
    return recipe


@pytest.fixture(scope="module")
def words(trained_vae: Recipe) -> Recipe:
    write_tokenizer(trained_vae.tokenizer)
    train_diffusion.cache_latents(trained_vae)
    train_diffusion.train_words(trained_vae)
    return trained_vae


@contextmanager
def killed_at_first_save() -> Iterator[None]:
    """Ends a training by an exception right after its first checkpoint is on disk."""

    class KilledError(Exception):
        pass

    def save_and_die(training: FlatTraining, path: Path) -> None:
        save(training, path)
        raise KilledError

    save = FlatTraining.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FlatTraining, "save", save_and_die)
        with pytest.raises(KilledError):
            yield


def assert_same_state(first: Path, second: Path, steps: int) -> None:
    one, other = torch.load(first), torch.load(second)
    assert one["step"] == other["step"] == steps
    for key in ("value", "ema", "exp_avg", "exp_avg_sq"):
        assert torch.isfinite(one[key]).all()
        assert torch.equal(one[key], other[key])


def test_same_character_gives_same_picture() -> None:
    character = training_character(7, seed=1)
    picture = render(character)
    assert np.array_equal(picture, render(character))
    assert picture.shape == (128, 128, 3)
    assert not np.array_equal(picture, render(training_character(8, seed=1)))


def test_pictures_of_other_shapes_are_filled() -> None:
    character = replace(training_character(7, seed=1), background="white", garment_colour="red", garment="sweater")
    tall = render(character, 100, 250)
    assert tall.shape == (250, 100, 3)
    assert tall[-1, 50].tolist() != [255, 255, 255]  # The clothes go on to the lower edge.


@pytest.mark.parametrize("world", ["small", "full"])
def test_tags_are_unique_and_begin_with_the_kind_of_person(world: str) -> None:
    for seed in range(200):
        tags = tags_of(sample_character(random.Random(seed), world))
        assert len(tags) == len(set(tags))
        assert tags[0] in ("1girl", "1boy")
        assert all(tag.strip() for tag in tags)


def test_demo_character_is_filtered_out() -> None:
    her = demo_character(random.Random(1))
    assert resembles_demo_character(her)
    assert not any(resembles_demo_character(training_character(number, seed=11)) for number in range(1000))
    plain = training_character(0, seed=11)
    assert resembles_demo_character(replace(plain, hair_colour="aqua", headwear="fox ears"))
    assert resembles_demo_character(
        replace(plain, hair_style="twin braids", neckwear="choker", garment="kimono", garment_colour="purple")
    )
    other = replace(plain, hair_colour="aqua", headwear="", hair_style="twin braids", garment="shirt", neckwear="")
    assert not resembles_demo_character(other)


def test_the_small_world_has_nothing_too_fine_and_one_colour_for_what_no_tag_gives_a_colour() -> None:
    drawn = [training_character(number, seed=11) for number in range(400)]
    colours = {(character.headwear, character.headwear_colour) for character in drawn if character.headwear == "beret"}
    assert colours == {("beret", "brown")}
    assert {character.second_colour for character in drawn} == {"white"}
    wide = [training_character(number, seed=11, world="full") for number in range(400)]
    worn = [{character.headwear for character in characters} for characters in (drawn, wide)]
    assert worn[1] - worn[0] == set(FINE_HEADWEAR)
    assert not [one for one in drawn if one.hair_style == "double bun" and one.headwear.endswith(" ears")]
    assert {one.hair_colour for one in wide} - {one.hair_colour for one in drawn} == {"white"}
    assert {one.eye_colour for one in wide} - {one.eye_colour for one in drawn} == {"brown"}
    assert {one.mouth for one in wide} - {one.mouth for one in drawn} == {":3"}
    assert len({character.headwear_colour for character in wide if character.headwear == "beret"}) > 3


def test_regularization_captions_leave_her_out() -> None:
    captions = [caption.split(", ") for caption in other_captions(64)]
    assert captions == [caption.split(", ") for caption in other_captions(64)]
    assert not any(TRIGGER in tags for tags in captions)
    assert all(len(set(tags) & set(TRAITS)) <= 1 for tags in captions)
    assert len({tuple(tags) for tags in captions}) > 50


def test_now_and_then_captions_leave_much_open() -> None:
    tags = tags_of(training_character(7, seed=1))
    captions = [train_diffusion.shuffled(tags, random.Random(seed)) for seed in range(400)]
    assert all(caption[0] == tags[0] and set(caption) <= set(tags) for caption in captions)
    droppable = set(tags[1:]) - train_diffusion.ALWAYS_NAMED
    short = sum(len(droppable & set(caption)) < 0.5 * len(droppable) for caption in captions)
    assert 0.04 < short / len(captions) < 0.12  # Half of fifteen in a hundred, more or less.


def test_captions_always_name_skin_eyes_state_and_eyewear() -> None:
    tags = ["1girl", "solo", "blue hair", "tan", "glasses", "closed eyes", "smile", "pink hoodie"]
    captions = [train_diffusion.shuffled(tags, random.Random(seed)) for seed in range(400)]
    assert all({"tan", "glasses", "closed eyes"} < set(caption) for caption in captions)
    assert any("blue hair" not in caption for caption in captions)


def test_learning_rate_rises_stays_and_falls() -> None:
    rates = [learning_rate(step, 100, peak=1.0, warm_up=10, decay_steps=20) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:80] == [1.0] * 71
    assert rates[-1] == pytest.approx(0.05)


def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text(
        f"""
import os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, {str(Path(train_vae.__file__).parents[1])!r})
from starter.recipe import Recipe
from starter.training import run_processes
signal.signal(signal.SIGINT, signal.SIG_IGN)  # As for what a shell runs in the background.

def wait(rank, recipe):
    os.write(sys.stdout.fileno(), b"started\\n")  # One write: two processes share the pipe.
    threading.Event().wait(300)

if __name__ == "__main__":
    run_processes(Recipe(work=Path({str(tmp_path)!r}), pack=Path("none")), wait)
""",
        encoding="utf-8",
    )
    with subprocess.Popen([sys.executable, "-B", str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        limit = threading.Timer(120, parent.kill)
        limit.start()
        started = [parent.stdout.readline() for _ in range(2)]
        limit.cancel()
        parent.kill()
        assert started == ["started\n"] * 2
        output, _ = parent.communicate(timeout=60)  # Its output ends when the last process that holds it has ended.
        assert output == ""


def test_tokenizer_takes_any_word(words: Recipe) -> None:
    tokenizer = load_tokenizer(words.tokenizer)
    assert tokenizer.decode(tokenizer("miru, aqua hair, 丹炉").input_ids, skip_special_tokens=True).strip()
    assert tokenizer.eos_token_id not in tokenizer("丹炉 zxqj").input_ids[1:-1]
    assert len(tokenizer("aqua hair").input_ids) == 4  # Words of the world are one token each.


def test_vae_resumed_equals_uninterrupted(trained_vae: Recipe, tmp_path: Path) -> None:
    again = replace(trained_vae, work=tmp_path)
    with killed_at_first_save():
        train_vae.train_vae_process(0, again)
    train_vae.train_vae_process(0, again)
    assert_same_state(again.vae_state, trained_vae.vae_state, steps=3)


def test_folding_the_scale_keeps_the_pictures(recipe: Recipe) -> None:
    torch.manual_seed(0)
    vae = new_vae(recipe).eval()
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before = vae.encode(pictures).latent_dist
        decoded = vae.decode(before.mean).sample
        train_vae.fold_scale(vae, std=0.4)
        after = vae.encode(pictures).latent_dist
        assert torch.allclose(after.mean * 0.18215, before.mean / 0.4, atol=1e-5)
        assert torch.allclose(after.std * 0.18215, before.std / 0.4, rtol=1e-4)
        assert torch.allclose(vae.decode(after.mean).sample, decoded, atol=1e-5)


def test_the_vae_is_refined_and_goes_on_after_a_kill(trained_vae: Recipe, tmp_path: Path) -> None:
    killed, whole = (replace(trained_vae, work=tmp_path / name, save_every=1) for name in ("killed", "whole"))
    for recipe in (killed, whole):
        shutil.copytree(trained_vae.vae, recipe.vae)
    before = load_vae(killed).state_dict()
    with killed_at_first_save():
        train_vae.refine_vae(killed)
    assert torch.load(killed.refine_state)["step"] == 1
    train_vae.refine_vae(killed)
    train_vae.refine_vae(whole)
    assert_same_state(killed.refine_state, whole.refine_state, steps=2)
    after = load_vae(killed).state_dict()
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    # Two steps on so few weights of the quant convolution may be lost in float16.
    assert changed | {"quant_conv"} == {"encoder", "quant_conv", "post_quant_conv", "decoder"}
    train_vae.refine_vae(killed)  # Nothing is left to do.
    assert all(torch.equal(value, after[name]) for name, value in load_vae(killed).state_dict().items())


def test_eyes_and_mouth_are_found_where_they_are() -> None:
    plain = replace(training_character(7, seed=1), eyewear="", eyes_state="open", mouth="smile", garment_colour="red")
    places = train_vae.features_of(plain, render(plain))
    assert 0.04 < places.mean() < 0.1
    changed = {
        name: (render(replace(plain, **{name: value})) != render(plain)).any(-1)
        for name, value in (("eye_colour", "red"), ("mouth", ":3"), ("garment_colour", "blue"))
    }
    assert all(change.any() for change in changed.values())
    assert not (changed["eye_colour"] & ~places).any()
    assert not (changed["mouth"] & ~places).any()
    assert not (changed["garment_colour"] & places).any()
    aside = replace(plain, offset_x=plain.offset_x + 20)
    moved = np.argwhere(train_vae.features_of(aside, render(aside))).mean(0) - np.argwhere(places).mean(0)
    assert moved.tolist() == pytest.approx([0, 12.6], abs=1)  # Ten pixels, and the glance to that side.


def test_errors_of_pictures_count_by_place() -> None:
    wanted, weights = torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    weights[..., :8] = 3
    left, right = wanted.clone(), wanted.clone()
    left[..., 2:6, 2:6] = right[..., 2:6, 10:14] = 0.5
    errors = [train_vae.picture_error(decoded, wanted, weights).item() for decoded in (left, right)]
    assert errors[0] == pytest.approx(3 * errors[1])
    assert train_vae.picture_error(wanted, wanted, weights).item() == 0


def test_refining_holds_latents_where_they_were_but_least_at_the_face(recipe: Recipe) -> None:
    torch.manual_seed(0)
    vae = new_vae(recipe).eval()
    pictures, weights = torch.rand(1, 3, 32, 32) * 2 - 1, torch.ones(1, 1, 32, 32)
    weights[..., :16] = 4

    def loss(old_latents: torch.Tensor) -> float:
        generator = torch.Generator().manual_seed(1)
        return train_vae.refine_loss(vae, pictures, weights, old_latents, generator).item()

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        latents = (vae.encode(pictures).latent_dist.mode() * 0.18215).float()
    at_face, elsewhere = latents.clone(), latents.clone()
    at_face[..., :2] += 1
    elsewhere[..., 2:] += 1
    costs = [loss(moved) - loss(latents) for moved in (at_face, elsewhere)]
    assert costs[1] == pytest.approx(train_vae.HOLD / 2, rel=1e-2)
    assert costs[0] == pytest.approx(costs[1] / 4, rel=1e-2)


def test_refining_meets_noise_of_its_own_at_each_step(recipe: Recipe) -> None:
    vae, pictures = new_vae(recipe).eval(), torch.rand(1, 3, 32, 32) * 2 - 1
    old_latents, weights = torch.zeros(1, 4, 4, 4), torch.ones(1, 1, 32, 32)
    with torch.no_grad():
        losses = [
            train_vae.refine_loss(vae, pictures, weights, old_latents, torch.Generator().manual_seed(seed)).item()
            for seed in (1, 1, 2)
        ]
    assert losses[0] == losses[1] != losses[2]


def test_two_processes_share_the_pictures(trained_vae: Recipe) -> None:
    whole = train_vae.whole_pictures(trained_vae, rank=0)
    halves = [train_vae.whole_pictures(replace(trained_vae, processes=2), rank) for rank in (0, 1)]
    assert np.array_equal(np.concatenate([half.pictures for half in halves]), whole.pictures[[0, 2, 1, 3]])


def test_a_batch_has_the_weights_and_the_latents_of_its_pictures(trained_vae: Recipe) -> None:
    pictures, weights, latents = train_vae.whole_pictures(trained_vae, rank=0).batch([2, 0], "cpu")
    characters = [training_character(number, train_vae.SEED) for number in (2, 0)]
    assert torch.equal(pictures, to_tensor([render(character) for character in characters]))
    places = np.stack([train_vae.features_of(character, render(character)) for character in characters])
    assert np.array_equal(weights[:, 0] > 1, places)
    assert weights.mean().item() == pytest.approx(1)
    assert (weights.max() / weights.min()).item() == pytest.approx(train_vae.FEATURE_WEIGHT)
    with torch.no_grad():
        wanted = load_vae(trained_vae).encode(pictures).latent_dist.mode() * 0.18215
    assert torch.allclose(latents, wanted, atol=2e-2)


def test_what_another_vae_encoded_goes(trained_vae: Recipe, tmp_path: Path) -> None:
    recipe = replace(trained_vae, work=tmp_path)
    shutil.copytree(trained_vae.vae, recipe.vae)
    caches = (recipe.latents(0), recipe.latents(3), recipe.round_trips)
    for cache in caches:
        cache.write_bytes(b"old")
    train_vae.write_vae(load_vae(recipe), recipe)
    assert all(cache.exists() for cache in caches)
    vae = load_vae(recipe)
    vae.decoder.conv_in.bias.data += 1
    train_vae.write_vae(vae, recipe)
    assert not any(cache.exists() for cache in caches)


def test_a_new_vae_is_refined_anew(trained_vae: Recipe, tmp_path: Path) -> None:
    recipe = replace(trained_vae, work=tmp_path)
    train_vae.train_vae(recipe)
    train_vae.refine_vae(recipe)
    train_vae.train_vae(replace(recipe, vae_steps=4))
    assert not recipe.refine_state.exists()


def test_trained_vae_has_the_scale_of_sd15(trained_vae: Recipe) -> None:
    assert load_vae(trained_vae).config.scaling_factor == 0.18215


def test_diffusion_resumed_equals_uninterrupted(words: Recipe, tmp_path: Path) -> None:
    train_diffusion.train_diffusion(words)
    uninterrupted = words.diffusion_state.rename(tmp_path / "uninterrupted.pt")
    with killed_at_first_save():
        train_diffusion.train_diffusion(words)
    assert torch.load(words.diffusion_state)["step"] == 2
    train_diffusion.train_diffusion(words)
    assert_same_state(words.diffusion_state, uninterrupted, steps=4)


def test_packed_model_loads_as_a_pipeline(words: Recipe) -> None:
    from diffusers import StableDiffusionPipeline
    from safetensors import safe_open

    train_diffusion.train_diffusion(words)  # Goes on only if no other test did it.
    pack_model(words)
    pack_model(words)  # Replaces the first one.
    pipeline = StableDiffusionPipeline.from_pretrained(str(words.pack / "model"))
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("1girl", num_inference_steps=1, height=64, width=64).images[0]
    assert image.size == (64, 64)
    assert [path.name for path in words.pack.iterdir()] == ["model"]
    write_others(words.pack, count=2)
    assert sorted(path.name for path in (words.pack / "demo_others").iterdir()) == [
        "other_01.txt", "other_01.webp", "other_02.txt", "other_02.webp",
    ]  # fmt: skip
    with safe_open(words.pack / "model" / "text_encoder" / "model.safetensors", "pt") as file:
        assert all(key.startswith("text_model.") for key in file.keys())  # noqa: SIM118


def test_errors_count_most_at_the_face() -> None:
    weights = train_diffusion.place_weights(16, 16)
    assert weights.mean().item() == pytest.approx(1)
    assert divmod(int(weights.argmax()), 16) == (7, 7)
    assert weights[7, 7] > 2 * weights[0, 0] and weights[0, 0] > 0.5
    noise, at_face, in_corner = torch.zeros(3, 1, 4, 16, 16)
    at_face[..., 7, 7] = in_corner[..., 0, 0] = 1
    face, corner = (
        train_diffusion.denoising_loss(wrong, noise, torch.ones(1), weights).item() for wrong in (at_face, in_corner)
    )
    assert face / corner == pytest.approx((weights[7, 7] / weights[0, 0]).item())


def test_a_packed_model_is_trained_on_without_its_states(words: Recipe, tmp_path: Path) -> None:
    train_diffusion.train_diffusion(words)
    train_tagger.train_tagger(words)
    built = replace(words, pack=tmp_path / "pack")
    again = replace(built, work=tmp_path / "again")
    for folder in (built.pack, again.work):
        folder.mkdir()
    run_stage("pack", built)
    packed = contents(built.pack)
    run_stage("unpack", again)
    run_stage("pack", again)
    assert contents(again.pack) == packed
    pictures = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    tagged = PackTagger(again.tagger)(pictures)
    state = torch.load(again.tagger_state)
    train_tagger.train_tagger(replace(again, tagger_steps=0))  # Exports what was unpacked.
    assert np.allclose(PackTagger(again.tagger)(pictures), tagged, atol=1e-4)
    assert state["step"] == 0
    for stage in ("refine", "tagger", "latents", "diffusion"):
        run_stage(stage, again)
    assert torch.load(again.tagger_state)["step"] == again.tagger_steps
    assert torch.load(again.diffusion_state)["step"] == again.diffusion_steps
    assert torch.load(again.refine_state)["step"] == again.refine_steps


def test_unpacking_leaves_a_folder_alone_that_is_not_empty(recipe: Recipe, tmp_path: Path) -> None:
    latents = replace(recipe, work=tmp_path).latents(0)
    latents.write_bytes(b"of another VAE")
    with pytest.raises(FileExistsError, match="is not empty"):
        run_stage("unpack", replace(recipe, work=tmp_path))
    assert contents(tmp_path) == {latents.name: b"of another VAE"}


def test_denoising_needs_no_qt() -> None:
    code = "import sys; import starter.train_diffusion, starter.pack; assert 'PySide6' not in sys.modules"
    packaging = Path(__file__).resolve().parents[2] / "packaging"
    subprocess.run([sys.executable, "-c", code], cwd=packaging, check=True)


def test_tagger_trains_resumes_and_keeps_the_contract(trained_vae: Recipe) -> None:
    train_tagger.train_tagger(trained_vae)
    train_tagger.train_tagger(replace(trained_vae, tagger_shapes_steps=1))
    assert torch.load(trained_vae.tagger_state)["step"] == 3
    tagger = PackTagger(trained_vae.tagger)
    probabilities = tagger(np.zeros((2, 128, 128, 3), np.uint8))
    assert probabilities.shape == (2, len(tagger.numbers))
    assert np.isfinite(probabilities).all()
    assert list(tagger.numbers)[:4] == ["general", "sensitive", "questionable", "explicit"]
    assert "miru" not in tagger.numbers


def test_every_stage_learns_within_two_hundred_steps(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stages of a build one after another, small but with all their parts: each error falls clearly."""
    small = replace(
        recipe,
        work=tmp_path / "work",
        pack=tmp_path / "pack",
        vae_steps=200,
        vae_crop_px=32,
        vae_pictures=16,
        refine_steps=100,
        tagger_steps=100,
        tagger_batch=3,
        num_pictures=32,
        words_steps=200,
        words_batch=8,
        diffusion_steps=100,
        diffusion_decay_steps=50,
        diffusion_batch=4,
        save_every=200,
    )
    small.work.mkdir()
    small.pack.mkdir()
    untrained = train_vae.round_trip_psnr(new_vae(small), 8)
    run_stage("vae", small)
    rough = train_vae.round_trip_psnr(load_vae(small), 8)
    for stage in ("refine", "tokenizer", "tagger", "latents", "words", "diffusion", "pack"):
        run_stage(stage, small)
    losses = losses_by_stage(capsys.readouterr().out)
    refined = train_vae.round_trip_psnr(load_vae(small), 8)
    assert rough[0] > untrained[0] + 0.5
    assert refined[0] > rough[0] + 0.5
    num_tags = len(PackTagger(small.tagger).numbers)
    assert losses["tagger"][-1] < 0.5 * num_tags * math.log(2)  # Untrained, each tag costs that logarithm.
    assert losses["words"][-1] < 0.5 * losses["words"][0]
    assert losses["diffusion"][-1] < 0.95 * losses["diffusion"][0]
    assert sorted(path.name for path in small.pack.iterdir()) == ["model", "tagger"]


def losses_by_stage(printed: str) -> dict[str, list[float]]:
    """The losses that each stage told of, in order."""
    losses: dict[str, list[float]] = {}
    for stage, loss in re.findall(r"^(\w+) \d+: loss ([\d.]+)", printed, re.MULTILINE):
        losses.setdefault(stage, []).append(float(loss))
    return losses
