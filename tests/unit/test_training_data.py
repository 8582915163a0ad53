"""What is shown in which step: repeats, buckets, captions, order."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from core.config import DatasetConfig
from core.dataset.edits import Crop, PictureEdits
from core.dataset.fitting import plan_fit
from core.dataset.records import ImageRecord, Scan
from core.training.captions import caption_now, full_caption
from core.training.data import Example, Plan, examples_of, show


def record(name: str = "a.png", caption: str | None = "1girl, aqua hair, smile", **values: object) -> ImageRecord:
    path = Path("/pictures") / name
    return ImageRecord(
        path=path,
        size_px=values.pop("size_px", (640, 480)),  # type: ignore[arg-type]
        caption_path=path.with_suffix(".txt"),
        caption=caption,
        **values,  # type: ignore[arg-type]
    )


def example(name: str, size_px: tuple[int, int] = (512, 512), repeats: int = 1) -> Example:
    return Example(record=record(name), plan=plan_fit((640, 480), size_px), repeats=repeats, caption=name)


def test_a_flat_folder_repeats_by_number_and_a_named_one_as_it_says() -> None:
    scan = Scan(folder=Path("/pictures"), records=(record("a.png"), record("b.png", repeats=3)))
    assert [item.repeats for item in examples_of(scan, DatasetConfig())] == [7, 3]
    assert [item.repeats for item in examples_of(scan, DatasetConfig(repeats=2))] == [2, 3]


def test_pictures_go_to_buckets_or_to_one_square() -> None:
    scan = Scan(folder=Path("/pictures"), records=(record(size_px=(640, 480)), record(size_px=(400, 800))))
    wide, tall = (item.size_px for item in examples_of(scan, DatasetConfig()))
    assert wide[0] > wide[1]
    assert tall[0] < tall[1]
    assert {item.size_px for item in examples_of(scan, DatasetConfig(fit="crop"))} == {(512, 512)}


def test_what_was_decided_about_pictures_is_trained() -> None:
    records = tuple(record(f"{name}.png", size_px=(1000, 1000)) for name in "abc")
    edits = {
        records[0].path: PictureEdits(excluded=True),
        records[1].path: PictureEdits(repeats=4, crops=(Crop(box=(0, 0, 600, 600)), Crop(box=(0, 0, 400, 800)))),
    }
    examples = examples_of(Scan(folder=Path("/pictures"), records=records, pictures=edits), DatasetConfig(repeats=2))
    assert [(item.record.path.name, item.repeats) for item in examples] == [("b.png", 4), ("b.png", 4), ("c.png", 2)]
    assert examples[0].plan.box == (0, 0, 600, 600)
    assert examples[1].size_px[0] < examples[1].size_px[1]


def test_smart_crops_follow_the_subject_and_have_the_same_size_without_it() -> None:
    scan = Scan(folder=Path("/pictures"), records=(record(size_px=(1000, 500)),))
    config = DatasetConfig(fit="smart")
    (middle,), (smart,) = examples_of(scan, config), examples_of(scan, config, {record().path: (900, 0, 1000, 500)})
    assert middle.size_px == smart.size_px == (512, 512)
    assert middle.plan.box == (250, 0, 750, 500) and smart.plan.box == (500, 0, 1000, 500)


def test_regularization_pictures_are_shown_as_often_as_the_others_with_a_weight_of_their_own() -> None:
    learned = tuple(record(f"{n}.png") for n in range(10))
    prior = tuple(record(f"prior {n}.png", is_regularization=True, class_tokens="girl", caption=None) for n in range(5))
    scan = Scan(folder=Path("/pictures"), records=learned + prior)
    examples = examples_of(scan, DatasetConfig(repeats=3, trigger_word="miru"), prior_weight=0.5)
    assert [item.repeats for item in examples] == [3] * 10 + [6] * 5
    assert [item.weight for item in examples] == [1.0] * 10 + [0.5] * 5
    assert {item.caption for item in examples[10:]} == {"girl"}
    assert examples[0].caption.startswith("miru")


def test_regularization_pictures_keep_the_tags_that_are_absorbed() -> None:
    config = DatasetConfig(trigger_word="miru", absorbed_tags=("aqua hair",))
    assert full_caption(record(is_regularization=True), config) == "1girl, aqua hair, smile"


def test_regularization_pictures_are_never_called_by_the_trigger_word() -> None:
    config = DatasetConfig(trigger_word="miru, red_dress")
    prior = record(caption="1girl,  Miru, red dress, smile", is_regularization=True)
    assert full_caption(prior, config) == "1girl, smile"
    plain = record(caption="1girl,  smile", is_regularization=True)
    assert full_caption(plain, config) == "1girl,  smile"


def test_a_folder_may_have_a_trigger_word_of_its_own() -> None:
    config = DatasetConfig(trigger_word="miru")
    assert full_caption(record(trigger_word="kara"), config) == "kara, 1girl, aqua hair, smile"


@pytest.mark.parametrize(
    ("caption", "options", "expected"),
    [
        ("1girl, smile", {}, "1girl, smile"),
        ("1girl, smile", {"trigger_word": "miru"}, "miru, 1girl, smile"),
        ("1girl, miru", {"trigger_word": "miru"}, "1girl, miru"),
        (None, {"trigger_word": "miru"}, "miru"),
        (None, {}, "folder words"),
        ("", {"trigger_word": " miru "}, "miru, folder words"),
        ("1girl, Aqua_Hair, smile", {"absorbed_tags": ("aqua hair",), "trigger_word": "miru"}, "miru, 1girl, smile"),
    ],
)
def test_captions_as_they_are_trained(caption: str | None, options: dict[str, object], expected: str) -> None:
    words = "folder words" if "folder words" in expected else ""
    config = DatasetConfig(**options)  # type: ignore[arg-type]
    assert full_caption(record(caption=caption, class_tokens=words), config) == expected


def test_every_picture_is_shown_as_often_as_it_should_and_batches_are_full_and_of_one_size() -> None:
    examples = [example(f"{n}", (512, 512) if n % 3 else (448, 576), repeats=1 + n % 2) for n in range(10)]
    plan = Plan(examples, 4, 1, 42)
    batches = plan.batches(0)
    assert all(len(batch) == 4 for batch in batches)
    assert all(len({examples[index].size_px for index in batch}) == 1 for batch in batches)
    shown = Counter(itertools.chain.from_iterable(batches))
    assert all(shown[index] >= item.repeats for index, item in enumerate(examples))
    assert sum(shown.values()) - sum(item.repeats for item in examples) < 2 * 4


def test_a_bucket_smaller_than_the_batch_is_filled_from_itself() -> None:
    assert Plan([example("a")], 4, 1, 0).batches(0) == [[0, 0, 0, 0]]


def test_epochs_have_orders_of_their_own_and_the_seed_repeats_them() -> None:
    plan = Plan([example(f"{n}") for n in range(20)], 2, 1, 42)
    assert plan.batches(0) != plan.batches(1)
    assert plan.batches(1) == Plan(plan.examples, 2, 1, 42).batches(1)
    assert plan.batches(0) != Plan(plan.examples, 2, 1, 43).batches(0)


@pytest.mark.parametrize("first_step", [0, 1, 3, 4, 7, 11])
def test_steps_continue_where_they_were(first_step: int) -> None:
    plan = Plan([example(f"{n}") for n in range(10)], 2, 2, 42)
    assert plan.steps_per_epoch == 3
    whole = list(itertools.islice(plan.steps(0), 15))
    assert list(itertools.islice(plan.steps(first_step), 15 - first_step)) == whole[first_step:]
    assert [(step, epoch, len(batches)) for step, epoch, batches in whole[:4]] == [
        (0, 0, 2),
        (1, 0, 2),
        (2, 0, 1),
        (3, 1, 2),
    ]


def test_the_number_of_steps_is_cut_off_only_when_asked() -> None:
    plan = Plan([example(f"{n}") for n in range(10)], 2, 1, 42)
    assert (plan.num_steps(3, 0), plan.num_steps(3, 7), plan.num_steps(3, 99)) == (15, 7, 15)


def test_the_fingerprint_follows_captions_and_order_but_not_the_place() -> None:
    plan = Plan([example("a"), example("b")], 1, 1, 0)
    assert plan.fingerprint() == Plan([example("a"), example("b")], 4, 2, 9).fingerprint()
    assert plan.fingerprint() != Plan([example("b"), example("a")], 1, 1, 0).fingerprint()


def test_chances_of_captions() -> None:
    chance = random.Random(1)
    caption = "miru, a, b, c, d, e"
    item = example(caption)
    assert caption_now(item, DatasetConfig(), chance) == caption
    assert caption_now(item, DatasetConfig(caption_dropout=1.0), chance) == ""
    shuffled = {caption_now(item, DatasetConfig(shuffle_tags=True), chance) for _ in range(20)}
    assert len(shuffled) > 10
    assert all(text.startswith("miru, ") and sorted(text) == sorted(caption) for text in shuffled)
    dropped = [caption_now(item, DatasetConfig(tag_dropout=0.5), chance) for _ in range(200)]
    assert all(text.startswith("miru") for text in dropped)
    mean = sum(text.count(",") for text in dropped) / 200
    assert 2.0 < mean < 3.0


def test_mirroring_happens_half_of_the_time_and_only_when_asked() -> None:
    plan = Plan([example("a")], 1, 1, 42)
    assert not any(show(plan, DatasetConfig(), step, 0, [0])[0].mirrored for step in range(50))
    mirrored = sum(show(plan, DatasetConfig(flip=True), step, 0, [0])[0].mirrored for step in range(400))
    assert 150 < mirrored < 250


def test_the_colours_and_the_place_of_a_showing_are_drawn_only_when_asked() -> None:
    plan = Plan([example("a")], 1, 1, 42)
    plain = show(plan, DatasetConfig(), 3, 0, [0])[0]
    assert (plain.place, plain.colours) == (None, None)
    varied = [show(plan, DatasetConfig(random_crop=True, colour_jitter=True), step, 0, [0])[0] for step in range(200)]
    places = [item.place for item in varied if item.place is not None]
    factors = [factor for item in varied for factor in item.colours or ()]
    assert len(places) == 200 and len(factors) == 600
    assert all(0 <= value <= 1 for place in places for value in place)
    assert min(factors) < 0.92 and max(factors) > 1.08 and all(0.9 <= factor <= 1.1 for factor in factors)
    assert [item.caption for item in varied] == [plain.caption] * 200
    smart = show(plan, DatasetConfig(random_crop=True, fit="smart"), 3, 0, [0])[0]
    assert smart.place is None


def test_epochs_without_captions_come_as_often_as_they_should() -> None:
    plan = Plan([example("a"), example("b")], 1, 1, 42)
    config = DatasetConfig(caption_dropout_every_n_epochs=3)
    captions = [show(plan, config, step, 0, [0])[0].caption for step in range(12)]
    assert captions == ["a"] * 4 + [""] * 2 + ["a"] * 4 + [""] * 2
