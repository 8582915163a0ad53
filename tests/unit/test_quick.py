"""The quick form: names and settings chosen from the pictures."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from core import estimate as estimates
from core import quick, quick_facts
from core.config import TrainConfig, validated, with_values
from core.config.model import LONGEST_NAME_BYTES, is_device_name
from core.config.rules import Facts as RuleFacts
from core.config.rules import conflicts
from core.dataset.edits import Concept, Crop, Dataset, PictureEdits
from core.dataset.records import ImageRecord, Scan
from core.dataset.scan import scan_dataset, scan_folder
from core.dataset.statistics import tag_counts
from core.device import Device
from core.lora.metadata import Progress, lora_metadata
from core.models import BaseModel, FamilyName
from core.paths import STARTER_MODEL
from core.quick import free_name, quick_config, run_length, suggested_name
from core.quick_facts import Facts, facts_of
from core.quick_prompts import preview_prompts
from core.quick_reasons import reasons
from core.training.data import examples_of
from tests.full_size import full_shape, full_size
from tests.pictures import good_folder


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("10_miru", "miru"),
        ("2024_summer", "2024_summer"),
        ("7_", "7_"),
        ("10_a_b c", "a_b c"),
        ("我的 图片 😀", "我的 图片 😀"),
        ("a: b?.", "a_ b_"),
        ("...", "my_lora"),
        ("", "my_lora"),
        ("nul", "my_nul"),
        ("10_COM1.old", "my_COM1.old"),
        ("caf\udce9", "caf_"),
    ],
)
def test_a_name_is_suggested_from_the_folder(folder: str, name: str) -> None:
    assert suggested_name(Path(folder)) == name
    assert validated({"output": {"name": name}}).output.name == name


@pytest.mark.parametrize("folder", ["角" * 80, "a" * 179 + ". b", "x" * 178 + "角"])
def test_a_long_name_is_cut_to_what_file_systems_take(folder: str, tmp_path: Path) -> None:
    name = suggested_name(Path(folder))
    assert 170 < len(name.encode()) <= LONGEST_NAME_BYTES
    assert validated({"output": {"name": name}}).output.name == name
    longest = "角" * 66 + "ab"
    assert len(longest.encode()) == LONGEST_NAME_BYTES
    (tmp_path / f"{longest}.safetensors").touch()
    assert free_name(longest, tmp_path) == "角" * 66 + "-2"


@pytest.mark.parametrize(("name", "is_one"), [("Con", True), ("aux .txt", True), ("con_1", False), ("COM10", False)])
def test_device_names_are_known(name: str, is_one: bool) -> None:
    assert is_device_name(name) is is_one


@pytest.mark.parametrize(("folder", "told"), [("10_miru", "10_miru"), ("2024_summer", "3_2024_summer")])
def test_the_file_tells_the_folder_with_its_true_repeats(tmp_path: Path, folder: str, told: str) -> None:
    config = validated({"dataset": {"folder": good_folder(tmp_path / folder, 2), "repeats": 3}})
    metadata = told_by(config)
    repeats = int(told.partition("_")[0])
    assert json.loads(metadata["ss_dataset_dirs"]) == {told: {"n_repeats": repeats, "img_count": 2}}
    assert list(json.loads(metadata["ss_tag_frequency"])) == [told]
    assert metadata["ss_mixed_precision"] == "no"
    assert metadata["ss_training_started_at"] == "1000.0"


def test_the_file_tells_regularization_and_crops_as_they_are(tmp_path: Path) -> None:
    scan, config = with_regularization(tmp_path)
    crops = (Crop(box=(0, 0, 40, 40)), Crop(box=(0, 0, 30, 30)))
    cropped = scan.records[2].path  # The first of the pictures to learn.
    scan = dataclasses.replace(scan, pictures={cropped: PictureEdits(crops=crops, repeats=2)})
    metadata = told_by(config, scan)
    # Two crops twice, the other picture ten times; the two others as often, together.
    assert (metadata["ss_num_train_images"], metadata["ss_num_reg_images"]) == ("14", "14")
    assert json.loads(metadata["ss_dataset_dirs"]) == {
        "2_miru": {"n_repeats": 2, "img_count": 1},
        "10_miru": {"n_repeats": 10, "img_count": 1},
    }
    assert json.loads(metadata["ss_reg_dataset_dirs"]) == {"7_a prior": {"n_repeats": 7, "img_count": 2}}
    assert json.loads(metadata["ss_tag_frequency"]) == {
        "2_miru": {"1girl": 1, "number 0": 1},
        "10_miru": {"1girl": 1, "number 1": 1},
    }


def test_answers_are_drawn_from_the_pictures_to_learn_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = BaseModel(path=tmp_path, family="sd1", title="", size_bytes=1, native_size_px=512)
    monkeypatch.setattr(quick, "describe_base", lambda path: base)
    scan, _ = with_regularization(tmp_path)

    def answers(scan: Scan) -> TrainConfig:
        return quick_config(base=tmp_path, pictures=scan.folder, epochs=1, output=tmp_path, scan=scan)

    config = answers(scan)
    assert config.dataset.trigger_word == "miru" and config.sampling.prompts == ("miru, 1girl, number 0",)
    first, second = (record.path for record in scan.records if not record.is_regularization)
    config = answers(dataclasses.replace(scan, pictures={first: PictureEdits(excluded=True)}))
    assert config.sampling.prompts == ("miru, 1girl, number 1",)
    out = {path: PictureEdits(excluded=True) for path in (first, second)}
    config = answers(dataclasses.replace(scan, pictures=out))
    assert (config.dataset.trigger_word, config.sampling.prompts) == ("", ())


def test_a_class_word_is_no_trigger_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = BaseModel(path=tmp_path, family="sd1", title="", size_bytes=1, native_size_px=512)
    monkeypatch.setattr(quick, "describe_base", lambda path: base)
    folder = good_folder(tmp_path / "flat", 1)
    scan = scan_dataset(Dataset((Concept(folder=folder, class_word="girl"),), {}))
    config = quick_config(base=tmp_path, pictures=folder, epochs=1, output=tmp_path, scan=scan)
    assert config.dataset.trigger_word == ""


def with_regularization(tmp_path: Path) -> tuple[Scan, TrainConfig]:
    """A folder of two pictures to learn, after one of two regularization pictures."""
    folder, prior = good_folder(tmp_path / "10_miru", 2), good_folder(tmp_path / "a prior", 2)
    dataset = Dataset((Concept(folder=prior, class_word="girl", is_regularization=True), Concept(folder=folder)), {})
    return scan_dataset(dataset), validated({"dataset": {"folder": folder}})


def told_by(config: TrainConfig, scan: Scan | None = None) -> dict[str, str]:
    examples = examples_of(scan or scan_folder(config.dataset.folder), config.dataset)
    progress = Progress(
        step=1, epoch=1, total_steps=1, batches_per_epoch=1, num_devices=1, started_at=1000.0, now=2000.0
    )
    return lora_metadata(config, examples, progress, v_prediction=False, precision="no")


def test_the_name_of_one_sub_folder_is_no_trigger_word_for_the_rest(tmp_path: Path) -> None:
    folder = good_folder(tmp_path / "pictures", 2)
    good_folder(folder / "10_extra", 1)
    config = quick_config(base=STARTER_MODEL, pictures=folder, epochs=1, output=tmp_path, scan=scan_folder(folder))
    assert config.dataset.trigger_word == ""
    named = good_folder(tmp_path / "5_miru", 2)
    config = quick_config(base=STARTER_MODEL, pictures=named, epochs=1, output=tmp_path, scan=scan_folder(named))
    assert config.dataset.trigger_word == "miru"


SD15 = BaseModel(path=Path("sd15"), family="sd1", title="", size_bytes=1, native_size_px=512)
GIRL = "1girl, solo, blue hair, long hair, blue eyes, red dress"


def scan_of(captions: list[str | None], **more: object) -> Scan:
    """Pictures that are nowhere, with these captions."""
    records = [
        ImageRecord(
            path=Path("pictures", f"{number}.png"),
            size_px=(512, 512),
            caption_path=Path("pictures", f"{number}.txt"),
            caption=caption,
            **more,  # type: ignore[arg-type]
        )
        for number, caption in enumerate(captions)
    ]
    return Scan(folder=Path("pictures"), records=tuple(records))


def chosen(
    monkeypatch: pytest.MonkeyPatch, scan: Scan, device: Device | None = None, *, need: int = 1, saved: int = 1
) -> TrainConfig:
    """What is chosen for a base model whose runs need so many bytes, or `saved` with checkpointing."""

    def estimate(config: TrainConfig, *_more: object) -> object:
        per_picture = saved if config.training.gradient_checkpointing else need
        return estimates.MemoryEstimate(1, per_picture * config.training.batch_size, "train", ())

    monkeypatch.setattr(quick, "describe_base", lambda path: SD15)
    monkeypatch.setattr(quick, "estimate_memory", estimate)
    monkeypatch.setattr(estimates, "estimate_memory", estimate)
    return quick_config(base=SD15.path, pictures=scan.folder, epochs=10, output=Path("out"), scan=scan, device=device)


@pytest.mark.parametrize(
    ("captions", "target"),
    [
        ([GIRL] * 12, "character"),
        ([f"1girl, number {number}" for number in range(12)], "style"),
        (["teapot, red lid, table"] * 12, "object"),
        (["A very long sentence about a person who stands in a wide field of flowers."] * 12, None),
        (["1girl, one", "1girl, two"], None),
        ([None] * 12, None),
    ],
)
def test_the_tags_say_what_is_trained(captions: list[str | None], target: str | None) -> None:
    assert facts_of(scan_of(captions)).target == target


@pytest.mark.parametrize(("word", "target"), [("girl", "character"), ("画风", "style"), ("miru", None)])
def test_the_class_word_says_what_is_trained(word: str, target: str | None) -> None:
    assert facts_of(scan_of([None] * 3, class_tokens=word)).target == target


@pytest.mark.parametrize(
    ("captions", "rank", "trains_text_encoder"),
    [
        ([GIRL] * 30, 16, True),
        ([GIRL] * 6, 8, True),
        ([GIRL] * 150, 32, True),
        ([f"1girl, number {number}" for number in range(30)], 32, False),
    ],
)
def test_the_rank_follows_what_is_trained(
    monkeypatch: pytest.MonkeyPatch, captions: list[str | None], rank: int, trains_text_encoder: bool
) -> None:
    network = chosen(monkeypatch, scan_of(captions)).network
    assert (network.rank, network.alpha, network.train_text_encoder) == (rank, rank, trains_text_encoder)


@pytest.mark.parametrize(("number", "repeats"), [(3, 10), (10, 10), (30, 5), (50, 3), (100, 2), (200, 1), (900, 1)])
def test_repeats_make_a_sound_number_of_steps(monkeypatch: pytest.MonkeyPatch, number: int, repeats: int) -> None:
    scan = scan_of([GIRL] * number)
    config = chosen(monkeypatch, scan)
    assert config.dataset.repeats == repeats
    if 15 <= number <= 200:
        assert 1400 <= number * repeats * config.training.epochs / config.training.batch_size <= 2000


def test_a_folder_keeps_its_own_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, scan_of([GIRL] * 30, repeats=10)).dataset.repeats == 0


GIB = 2**30


@pytest.mark.parametrize(
    ("total", "need", "saved", "batch", "checkpointing"),
    [
        (24 * GIB, GIB, GIB, 4, False),
        (12 * GIB, GIB, GIB, 2, False),
        (8 * GIB, GIB, GIB, 1, False),
        (24 * GIB, 9 * GIB, GIB, 2, False),
        (24 * GIB, 15 * GIB, GIB, 1, False),
        (4 * GIB, 5 * GIB, GIB, 1, True),
    ],
)
def test_batch_and_savers_follow_the_card(
    monkeypatch: pytest.MonkeyPatch, total: int, need: int, saved: int, batch: int, checkpointing: bool
) -> None:
    card = Device(kind="cuda", name="a card", total_bytes=total)
    config = chosen(monkeypatch, scan_of([GIRL] * 60), card, need=need, saved=saved)
    training = config.training
    assert (training.batch_size, training.gradient_checkpointing) == (batch, checkpointing)
    assert config.optimizer.learning_rate == pytest.approx(1e-4 * batch**0.5, rel=0.01)


@pytest.mark.parametrize(
    ("family", "learns", "guidance"), [("sd2", True, 7.0), ("sdxl", False, 6.0), ("kolors", False, 5.0)]
)
def test_larger_families_keep_their_text_encoder_and_get_their_own_size(
    monkeypatch: pytest.MonkeyPatch, family: FamilyName, learns: bool, guidance: float
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SD15", dataclasses.replace(SD15, family=family, native_size_px=1024))
    config = chosen(monkeypatch, scan_of([GIRL] * 30))
    assert config.dataset.resolution == config.sampling.width == 1024
    assert config.network.train_text_encoder is learns
    assert config.sampling.guidance == guidance


@pytest.mark.parametrize(
    ("family", "gigabytes", "batch", "checkpointing", "weights"),
    [
        ("sd1", 4, 1, True, "full"),
        ("sd1", 6, 1, False, "full"),
        ("sd1", 12, 2, False, "full"),
        ("sd2", 6, 1, True, "full"),
        ("sd2", 8, 1, False, "full"),
        ("sd2", 12, 2, False, "full"),
        ("sdxl", 6, 1, True, "int8"),
        ("sdxl", 8, 1, True, "int8"),  # All weights would fit, their previews would not.
        ("sdxl", 12, 2, True, "full"),
        ("sdxl", 16, 1, False, "full"),
        ("sdxl", 24, 2, False, "full"),
        ("kolors", 6, 1, True, "int8"),
        ("kolors", 8, 1, True, "int8"),
        ("kolors", 12, 2, True, "full"),
        ("kolors", 24, 2, False, "full"),
    ],
)
def test_cards_of_all_sizes_get_what_fits_them(
    monkeypatch: pytest.MonkeyPatch, family: FamilyName, gigabytes: int, batch: int, checkpointing: bool, weights: str
) -> None:
    base, scan = full_size(family, "Pony" if family == "sdxl" else ""), scan_of([GIRL] * 30)
    monkeypatch.setattr(quick, "describe_base", lambda path: base)
    monkeypatch.setattr(estimates, "shape_of", lambda base, vae: full_shape(base.family))
    card = Device(kind="cuda", name="a card", total_bytes=gigabytes * GIB)
    config = quick_config(base=base.path, pictures=scan.folder, epochs=10, output=Path("out"), scan=scan, device=card)
    training, dataset = config.training, config.dataset
    assert (training.batch_size, training.gradient_checkpointing, training.base_weights) == (
        batch,
        checkpointing,
        weights,
    )
    assert (dataset.resolution, dataset.fit, dataset.bucket_step) == (base.native_size_px, "buckets", 64)
    assert config.model.clip_skip == 1
    assert not [found for found in conflicts(config, RuleFacts(family=family)) if found.level != "info"]
    estimate = estimates.estimate_memory(config, base, "cuda")
    assert estimate.run_bytes <= 0.85 * gigabytes * GIB
    if gigabytes > 6:
        assert estimate.peak_bytes <= 0.97 * gigabytes * GIB  # With previews.
    told = {choice.keys[0]: choice for choice in reasons(config, config, base, facts_of(scan), card)}
    said = told["training.batch_size"].sentence
    assert ("checkpointing" in said, "8-bit" in said) == (checkpointing, weights == "int8")
    assert ("model.clip_skip" in told) is (family == "sdxl")
    text = told["network.train_text_encoder"]
    if family == "sdxl":
        assert text.sentence == "Both text encoders stay as they are."
        assert told["model.clip_skip"].why.startswith("Pony was made with it")
    elif family == "kolors":
        assert "6 billion" in text.why
    else:
        assert text.sentence == "The text encoder learns too."


def test_few_pictures_are_not_spent_on_large_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Device(kind="cuda", total_bytes=24 * GIB)
    assert chosen(monkeypatch, scan_of([GIRL] * 5), card).training.batch_size == 1


def facts_with(captions: list[str], target: str) -> Facts:
    return Facts(
        num_pictures=len(captions),
        num_shown=len(captions),
        target=target,  # type: ignore[arg-type]
        captions=tuple(captions),
        counts=tuple(tag_counts(captions)),
    )


def test_prompts_show_the_character_from_near_from_afar_and_in_other_clothes() -> None:
    prompts = preview_prompts(facts_with([GIRL] * 5, "character"), "miru")
    assert len(prompts) == 3
    assert all(prompt.startswith("miru, 1girl, solo, ") and "blue hair" in prompt for prompt in prompts)
    assert "portrait" in prompts[0] and "full body" in prompts[1]
    assert "red dress" in prompts[0] and "red dress" in prompts[1]
    assert "red dress" not in prompts[2] and "white shirt" in prompts[2]


def test_prompts_leave_to_the_trigger_word_what_it_stands_for() -> None:
    prompts = preview_prompts(facts_with([GIRL] * 5, "character"), "miru", ("blue_hair", "Blue eyes"))
    assert not any("blue hair" in prompt or "blue eyes" in prompt for prompt in prompts)
    assert all("long hair" in prompt for prompt in prompts)


@pytest.mark.parametrize("target", ["style", "object"])
def test_prompts_of_other_kinds_have_the_trigger_word_first(target: str) -> None:
    prompts = preview_prompts(facts_with(["teapot, red lid"] * 5, target), "zkpot")
    assert len(set(prompts)) == 3
    assert all(prompt.startswith("zkpot, ") for prompt in prompts)
    assert all(("teapot" in prompt) is (target == "object") for prompt in prompts)


def test_without_captions_the_trigger_word_is_the_prompt() -> None:
    assert preview_prompts(Facts(), "miru") == ("miru",)
    assert preview_prompts(Facts(), "") == ()


def test_the_sum_leaves_out_what_is_held_out(tmp_path: Path) -> None:
    scan = scan_of([GIRL] * 30)
    config = validated({"dataset": {"folder": scan.folder, "repeats": 5}, "training": {"epochs": 10}})
    length = run_length(config, scan)
    assert (length.num_images, length.num_held_out, length.num_shown) == (28, 2, 140)
    assert length.total_steps == 1400
    none = run_length(validated({**config.model_dump(), "validation": {"pictures": 0}}), scan)
    assert (none.num_images, none.num_held_out, none.total_steps) == (30, 0, 1500)


def test_reasons_tell_the_choices_and_leave_the_users_own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = scan_of([GIRL] * 30)
    config = chosen(monkeypatch, scan)
    facts = facts_of(scan)
    length = run_length(config, scan)
    told = {choice.keys[0]: choice for choice in reasons(config, config, SD15, facts, None, length)}
    assert told["network.rank"].sentence == "Rank 16, because 30 pictures of one character."
    assert told["dataset.repeats"].sentence == "Each picture 5 times per epoch."
    assert told["validation.pictures"].sentence == "2 pictures are only measured, not trained."
    assert not any(choice.is_own for choice in told.values())
    assert all(choice.sentence and choice.why for choice in told.values())
    mine = validated({**config.model_dump(), "network": {**config.network.model_dump(), "rank": 64}})
    own = {choice.keys[0]: choice for choice in reasons(mine, config, SD15, facts, None, length)}
    assert [key for key, choice in own.items() if choice.is_own] == ["network.rank"]
    assert own["network.rank"].sentence == "Rank: 64, set by you."
    assert "Rank = 16" in own["network.rank"].why
    assert own["network.rank"].values[0] == 64


def test_an_empty_choice_is_called_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    config = chosen(monkeypatch, scan_of([GIRL] * 30))
    for mine, before, sentence, why in (
        ("miru", "", "Trigger word: miru, set by you.", "Trigger word = empty."),
        ("", "miru", "Trigger word: empty, set by you.", "Trigger word = miru."),
    ):
        told = reasons(
            with_values(config, {"dataset.trigger_word": mine}),
            with_values(config, {"dataset.trigger_word": before}),
            SD15,
            Facts(),
            None,
        )
        assert told[0].sentence == sentence
        assert why in told[0].why


def test_previews_at_other_times_are_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_values(chosen(monkeypatch, scan_of([GIRL] * 30)), {"sampling.prompts": ("miru",)})
    told = {choice.keys[0]: choice for choice in reasons(config, config, SD15, Facts(), None)}
    assert told["sampling.prompts"].sentence == "1 preview after each epoch."
    assert "tags" not in told["sampling.prompts"].why  # there are none
    rarely = with_values(config, {"sampling.every_n_epochs": 5})
    told = {choice.keys[0]: choice for choice in reasons(rarely, config, SD15, Facts(), None)}
    assert told["sampling.prompts"].sentence == "Preview every: 5 epochs, set by you."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sampling.every_n_epochs": 1}, "2 previews after each epoch."),
        ({"sampling.every_n_epochs": 4}, "2 previews after every 4 epochs."),
        ({"sampling.every_n_epochs": 0, "sampling.every_n_steps": 76}, "2 previews after every 76 steps."),
        ({"sampling.every_n_epochs": 0, "sampling.at_start": True}, "2 previews at the start and at the end."),
        ({"sampling.every_n_epochs": 0, "sampling.at_start": False}, "2 previews at the end."),
    ],
)
def test_when_previews_are_drawn_is_told(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], sentence: str
) -> None:
    config = chosen(monkeypatch, scan_of([GIRL] * 30))
    config = with_values(config, {"sampling.prompts": ("miru", "1girl"), **changes})
    told = {choice.keys[0]: choice.sentence for choice in reasons(config, config, SD15, Facts(), None)}
    assert told["sampling.prompts"] == sentence


def test_the_facts_of_a_data_set_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = scan_of([GIRL] * 3)
    first = facts_of(scan)
    monkeypatch.setattr(quick_facts, "_facts_of", lambda _scan: pytest.fail("found again"))
    assert facts_of(scan) is first


def test_loaded_settings_all_count_as_the_users() -> None:
    config = TrainConfig()
    told = reasons(config, None, SD15, Facts(), None, None)
    assert all(choice.is_own for choice in told)
