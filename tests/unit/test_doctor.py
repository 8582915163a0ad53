"""The doctor finds every planted defect, says nothing about good pictures, and proposes only what helps."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest

from core.dataset import facts as measuring
from core.dataset.doctor import PROBLEMS, DoctorOptions, Finding, examine, orphan_captions
from core.dataset.edits import Crop, PictureEdits
from core.dataset.facts import ImageFacts, measure
from core.dataset.fitting import FitOptions
from core.dataset.records import ImageRecord, Problem
from core.dataset.scan import scan_folder
from core.paths import STARTER_DEMO
from core.text import set_language
from tests.hostile import make_good, make_hostile

SEEDS = range(100, 105) if os.environ.get("KILN_DOCTOR_FULL") else (100,)
FOLDER = Path("/set")


@pytest.fixture(autouse=True)
def no_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the subject is, the doctor does not ask."""
    monkeypatch.setattr(measuring, "find_subject", lambda image: None)


def words(caption: str) -> int:
    return 2 * len(caption.split())


def by_path(findings: list[Finding]) -> dict[Path, set[str]]:
    found: dict[Path, set[str]] = {}
    for one in findings:
        for path in (one.path, *one.others):
            found.setdefault(path, set()).add(one.problem)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_every_planted_defect_is_found_and_no_good_picture_is_blamed(tmp_path: Path, seed: int) -> None:
    good = make_good(tmp_path, seed, 200)
    planted = make_hostile(tmp_path, seed)
    scan = scan_folder(tmp_path)
    paths = [record.path for record in scan.records] + [problem.path for problem in scan.problems if problem.excludes]
    facts = {path: measure(path) for path in paths}
    options = DoctorOptions(count_tokens=words)
    findings = examine(scan.records, scan.problems, facts, options, orphan_captions([tmp_path]))
    found = by_path(findings)
    assert {path.name: found[path] for path in good if path in found} == {}
    assert {path.name: found.get(path, set()) for path in planted} == {
        path.name: codes for path, codes in planted.items()
    }
    assert found.keys() <= planted.keys()  # And nothing about the set as a whole, which is varied.
    unsafe = {"blurry", "dark", "bright", "jpeg_artefacts", "tiny", "near_duplicate"}
    assert not [one for one in findings if one.fix and one.fix.is_safe and one.problem in unsafe]
    excluded = [path for one in findings if one.fix and one.fix.is_safe for path in one.fix.exclude]
    assert not set(excluded) & set(good)


def test_the_starter_pictures_have_the_faults_they_were_given() -> None:
    scan = scan_folder(STARTER_DEMO)
    facts = {record.path: measure(record.path) for record in scan.records}
    options = DoctorOptions(fit=FitOptions(resolution=128))
    findings = examine(scan.records, scan.problems, facts, options, orphan_captions([STARTER_DEMO]))
    found = {(one.problem, one.path.name, *(path.name for path in one.others)) for one in findings}
    captions = {one for one in found if one[0] == "no_caption"}
    assert found - captions == {
        ("near_duplicate", "IMG_2041.JPG", "IMG_2041 (1).jpg"),
        ("near_duplicate", "miru_ref_02.png", "头像.png"),
    }


# --- judging, on facts that were never measured -----------------------------------------------------------------------


def record(name: str = "a.png", **values: object) -> ImageRecord:
    path = FOLDER / name
    defaults: dict[str, object] = {"size_px": (512, 512), "caption_path": path.with_suffix(".txt"), "caption": "1girl"}
    return ImageRecord(path=path, **{**defaults, **values})  # type: ignore[arg-type]


def sound(number: int = 0, **values: object) -> ImageFacts:
    """Facts of a picture that nothing is wrong with, unlike those of any other number."""
    rng = np.random.default_rng(number)
    defaults: dict[str, object] = {
        "size_px": (512, 512),
        "format": "PNG",
        "sharpness": 0.8,
        "brightness": (5, 20, 120, 230, 250),
        "phash": int.from_bytes(rng.bytes(8), "big"),
        "thumb": rng.bytes(192),
        "digest": f"{number:024x}",
        "background": tuple(int(level) for level in rng.integers(0, 256, 3)),
    }
    return ImageFacts(**{**defaults, **values})  # type: ignore[arg-type]


def many(number: int, **values: object) -> tuple[list[ImageRecord], dict[Path, ImageFacts]]:
    records = [record(f"{index:05d}.png") for index in range(number)]
    return records, {one.path: sound(index, **values) for index, one in enumerate(records)}


def judged(records: list[ImageRecord], facts: dict[Path, ImageFacts] | None = None, **options: object) -> list[Finding]:
    few = {"least_images": 0, **options}
    return examine(records, [], facts or {}, DoctorOptions(**few))  # type: ignore[arg-type]


def codes(findings: list[Finding]) -> list[str]:
    return [one.problem for one in findings]


def test_a_sound_picture_and_an_empty_set_give_nothing() -> None:
    one = record()
    assert judged([one], {one.path: sound()}) == []
    assert judged([]) == []


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"sharpness": 0.1}, "blurry"),
        ({"brightness": (0, 0, 5, 20, 30)}, "dark"),
        ({"brightness": (200, 205, 230, 250, 255)}, "bright"),
        ({"jpeg_quality": 12}, "jpeg_artefacts"),
        ({"blockiness": 1.5}, "jpeg_artefacts"),
        ({"orientation": 6}, "rotated"),
        ({"transparent_share": 0.3}, "transparent"),
        ({"frames": 8}, "animated"),
        ({"error": "truncated", "message": "m", "remedy": "r"}, "truncated"),
        ({"error": "unreadable", "message": "m", "remedy": "r"}, "unreadable"),
    ],
)
def test_each_fault_gives_its_finding_and_a_picture_that_is_left_out_none(values: dict[str, object], code: str) -> None:
    one = record()
    facts = {one.path: sound(**values)}
    (found,) = judged([one], facts)
    assert (found.problem, found.path, found.severity) == (code, one.path, PROBLEMS[found.problem].severity)
    assert found.message and found.remedy
    assert judged([one], facts, pictures={one.path: PictureEdits(excluded=True)}) == []


def test_what_the_scan_found_keeps_its_sentence_and_gets_its_code() -> None:
    problems = [
        Problem(path=FOLDER / name, message=name, remedy="r", excludes=excludes)
        for name, excludes in (("a.heic", True), ("b.png", True), ("c.png", True), ("set.json", False))
    ]
    facts = {FOLDER / "b.png": ImageFacts(error="truncated", message="other words", remedy="other")}
    found = examine([], problems, facts, DoctorOptions())
    assert {(one.problem, one.message) for one in found} == {
        ("truncated", "b.png"),
        ("not_readable_format", "a.heic"),
        ("unusable", "c.png"),
        ("unusable", "set.json"),
    }


def test_small_pictures_by_how_much_they_are_enlarged() -> None:
    sizes = {"a.png": (512, 512), "b.png": (400, 400), "c.png": (200, 200), "d.png": (505, 505)}
    found = judged([record(name, size_px=size) for name, size in sizes.items()])
    assert [(one.problem, one.path.name) for one in found] == [("tiny", "c.png"), ("upscaled", "b.png")]
    assert "2.6" in found[0].message and found[0].fix is not None and not found[0].fix.is_safe


def test_of_a_picture_with_crops_the_crops_are_judged() -> None:
    one = record(size_px=(2000, 2000))
    edits = PictureEdits(crops=(Crop(box=(0, 0, 1000, 1000)), Crop(box=(0, 0, 150, 150))))
    assert codes(judged([one], pictures={one.path: edits})) == ["tiny"]


def test_bars_are_trimmed_where_they_are_after_a_turn() -> None:
    one = record(size_px=(640, 800))
    facts = {one.path: sound(size_px=(640, 800), borders=(0, 100, 0, 60))}

    def found(edits: PictureEdits) -> list[Finding]:
        return judged([one], facts, pictures={one.path: edits})

    (plain,) = found(PictureEdits())
    assert plain.fix is not None and plain.fix.crop == ((one.path, (0, 100, 640, 740)),) and plain.fix.is_safe
    (turned,) = found(PictureEdits(turn=90))
    assert turned.fix is not None and turned.fix.crop == ((one.path, (60, 0, 700, 640)),)
    assert found(PictureEdits(crops=(Crop(box=(0, 99, 640, 741)),))) == []
    (reaching,) = found(PictureEdits(crops=(Crop(box=(0, 50, 640, 740)),)))
    assert (reaching.problem, reaching.fix) == ("letterbox", None)


def test_one_bar_alone_is_not_trimmed_without_a_look() -> None:
    one = record(size_px=(640, 800))
    (found,) = judged([one], {one.path: sound(size_px=(640, 800), borders=(0, 100, 0, 0))})
    assert found.fix is not None and not found.fix.is_safe


def test_white_behind_a_transparent_picture_is_no_bar() -> None:
    one = record()
    assert codes(judged([one], {one.path: sound(borders=(99, 0, 99, 0), transparent_share=0.4)})) == ["transparent"]


def test_equal_pixels_are_safe_to_drop_and_the_one_with_a_caption_stays() -> None:
    records = [record("a.png", caption=None, caption_problem="x"), record("b.png"), record("c.png")]
    found = judged(records, {one.path: sound() for one in records})
    (group,) = [one for one in found if one.problem == "duplicate"]
    assert (group.path.name, [path.name for path in group.others]) == ("b.png", ["c.png", "a.png"])
    assert group.fix is not None and group.fix.exclude == group.others and group.fix.is_safe
    assert "near_duplicate" not in codes(found)


def test_of_equal_pixels_the_one_with_decisions_stays_and_it_is_not_safe() -> None:
    records = [record("a.png"), record("b.png", caption=None), record("c.png")]
    facts = {one.path: sound() for one in records}
    decided = {records[1].path: PictureEdits(repeats=3)}
    (group,) = (one for one in judged(records, facts, pictures=decided) if one.problem == "duplicate")
    assert group.path.name == "b.png" and group.fix is not None and not group.fix.is_safe
    alike = {one.path: PictureEdits(repeats=3) for one in records}
    (group,) = (one for one in judged(records, facts, pictures=alike) if one.problem == "duplicate")
    assert group.path.name == "a.png" and group.fix is not None and group.fix.is_safe


def test_regularization_pictures_are_compared_with_each_other_only() -> None:
    records = [record("a.png"), record("b.png", is_regularization=True)]
    near = dataclasses.replace(sound(), digest="near")
    assert judged(records, {one.path: sound() for one in records}) == []
    assert judged(records, {records[0].path: sound(), records[1].path: near}) == []
    records.append(record("c.png", is_regularization=True))
    (found,) = judged(records, {one.path: sound() for one in records})
    assert (found.path.name, [path.name for path in found.others]) == ("b.png", ["c.png"])


def test_of_alike_pictures_the_largest_then_the_sharpest_stays() -> None:
    look = sound()
    records = [record(f"{name}.png") for name in "abcd"]
    facts = {
        records[0].path: look,
        records[1].path: dataclasses.replace(look, size_px=(800, 800), digest="b", phash=look.phash ^ 0b111),
        records[2].path: dataclasses.replace(look, size_px=(800, 800), digest="c", sharpness=0.9),
        records[3].path: dataclasses.replace(look, digest="d", phash=look.phash ^ (2**20 - 1)),  # Too far.
    }
    (found,) = judged(records, facts)
    assert (found.problem, found.path.name) == ("near_duplicate", "c.png")
    assert {path.name for path in found.others} == {"a.png", "b.png"}
    assert found.fix is not None and found.fix.exclude == found.others and not found.fix.is_safe


@pytest.mark.parametrize(
    "other",
    [{"thumb": bytes(reversed(sound().thumb))}, {"size_px": (512, 768)}, {"phash": sound().phash ^ 0xFFFF}],
    ids=["colours", "shape", "hash"],
)
def test_alike_means_hash_and_colours_and_shape(other: dict[str, object]) -> None:
    records = [record("a.png"), record("b.png")]
    facts = {records[0].path: sound(), records[1].path: sound(digest="b", **other)}
    assert judged(records, facts) == []


def test_captions() -> None:
    records = [
        record("a.png", caption=None),
        record("b.png", caption="", caption_problem="b.txt is empty."),
        record("c.png", caption="长发", caption_problem="c.txt is not UTF-8."),
        record("d.png", caption=None, caption_problem="d.txt is too long."),
        record("e.png", caption="word " * 90),
        record("f.png", caption_path=FOLDER / "e.txt"),
        record("g.png", caption=None, is_regularization=True),
    ]
    found = judged(records, count_tokens=words)
    assert {(one.problem, one.path.name) for one in found} == {
        ("no_caption", "a.png"),
        ("empty_caption", "b.png"),
        ("caption_not_utf8", "c.png"),
        ("caption_unreadable", "d.png"),
        ("caption_too_long", "e.png"),
        ("shared_caption", "f.png"),
    }
    (old,) = [one for one in found if one.problem == "caption_not_utf8"]
    assert old.fix is not None and old.fix.captions == ((FOLDER / "c.png", "长发"),) and old.fix.is_safe


def test_orphans(tmp_path: Path) -> None:
    for name in ("a.png", "a.txt", "B.PNG", "b.txt", "c.txt", "d.TXT", ".e.txt", "f.caption", "g.txt", "g.heic"):
        (tmp_path / name).write_bytes(b"x")
    found = orphan_captions([tmp_path, tmp_path / "not there"])
    assert [path.name for path in found] == ["c.txt", "d.TXT"]
    assert [path.name for path in orphan_captions([tmp_path], ".caption")] == ["f.caption"]
    assert codes(examine([], [], {}, DoctorOptions(), found)) == ["orphan_caption", "orphan_caption"]


@pytest.mark.parametrize(("number", "expected"), [(9, ["too_few"]), (10, []), (300, []), (301, ["too_many"])])
def test_the_number_of_pictures(number: int, expected: list[str]) -> None:
    records = [record(f"{index}.png") for index in range(number)]
    found = examine(records, [], {}, DoctorOptions())
    assert codes(found) == expected
    assert all(one.path == FOLDER for one in found)


@pytest.mark.parametrize(("number", "said"), [(1, "set has only 1 picture."), (2, "set has only 2 pictures.")])
def test_few_pictures_are_counted_in_words_that_fit(number: int, said: str) -> None:
    records = [record(f"{index}.png", size_px=(600, 1100)) for index in range(number)]
    assert examine(records, [], {}, DoctorOptions())[0].message.endswith(said)


def test_a_single_picture_is_no_set_of_one_shape() -> None:
    assert codes(examine([record(size_px=(600, 1100))], [], {}, DoctorOptions())) == ["too_few"]


def test_each_concept_is_counted_by_itself_and_regularization_not() -> None:
    records = [record(f"{index}.png") for index in range(12)]
    records += [record(f"style/{index}.png", concept=1) for index in range(4)]
    records += [record(f"class/{index}.png", concept=2, is_regularization=True) for index in range(4)]
    found = examine(records, [], {}, DoctorOptions())
    assert [(one.problem, one.path) for one in found] == [("too_few", FOLDER / "style")]


def test_one_background_is_told_from_many() -> None:
    records, facts = many(20, background_share=0.9)
    assert judged(records, facts, least_images=10) == []
    for index, one in enumerate(records[:17]):
        facts[one.path] = sound(index, background_share=0.9, background=(250 - index % 5, 250, 248))
    assert codes(judged(records, facts, least_images=10)) == ["one_background"]
    for index, one in enumerate(records[:17]):  # The same colour, but on hardly any of the border.
        facts[one.path] = sound(index, background_share=0.2, background=(250, 250, 250))
    assert judged(records, facts, least_images=10) == []


def test_one_long_shape() -> None:
    records = [record(f"{index}.png", size_px=(600, 1100)) for index in range(19)]
    assert codes(judged([*records, record()], least_images=10)) == ["one_shape"]
    assert judged([record(f"{index}.png") for index in range(20)], least_images=10) == []


def test_ten_thousand_pictures_with_many_alike_take_no_time() -> None:
    records, facts = many(10_000)
    for index, one in enumerate(records[:3000]):  # A thousand groups of three.
        facts[one.path] = dataclasses.replace(sound(index // 3), digest=str(index))
    same = dataclasses.replace(sound(9_999), digest="")
    for index, one in enumerate(records[5000:7000]):  # And a film.
        facts[one.path] = dataclasses.replace(same, digest=f"film {index}")
    started = time.process_time()
    found = judged(records, facts, most_images=20_000)
    assert time.process_time() - started < 4  # About 0.5 s; the rest is for a machine that is busy.
    assert codes(found) == ["near_duplicate"] * 1001
    assert max(len(one.others) for one in found) == 2000


def test_titles_are_asked_for_in_the_language_in_use() -> None:
    english = [kind.title() for kind in PROBLEMS.values()]
    set_language("zh")
    chinese = [kind.title() for kind in PROBLEMS.values()]
    assert len(set(english)) == len(set(chinese)) == len(PROBLEMS)
    assert not set(english) & set(chinese)
