"""Facts are measured right, remembered as long as they hold, and told in batches."""

from __future__ import annotations

import dataclasses
import io
import json
import multiprocessing
import os
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from core.control import Control
from core.dataset import checking, facts_cache, measures
from core.dataset import facts as measuring
from core.dataset.checking import check_folder
from core.dataset.edits import Concept, DatasetFile, save_dataset
from core.dataset.facts import ImageFacts, measure
from core.dataset.facts_cache import cache_file, get_many, put_many, stamp_of
from core.dataset.images import open_image
from core.errors import UserError
from core.events import Event, Finished, JobStarted, PicturesMeasured, StageProgress, StageStarted, from_line, to_line
from core.jobs import CheckJob, job_from_line, job_to_line, run_job
from tests import hostile, pictures

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")


@pytest.fixture(autouse=True)
def subject_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "find_subject", lambda image: (1, 2, image.width - 1, image.height))


def drawing(seed: int = 0, size: tuple[int, int] = (512, 640)) -> Image.Image:
    return hostile.flat_drawing(np.random.default_rng(seed), size)


def photo(seed: int = 0, size: tuple[int, int] = (512, 512)) -> Image.Image:
    return hostile.photo(np.random.default_rng(seed), size)


# --- one file -------------------------------------------------------------------------------------------------------


def test_the_facts_of_a_picture(tmp_path: Path) -> None:
    facts = measure(pictures.save(tmp_path / "a.png", drawing()))
    assert (facts.error, facts.size_px, facts.format, facts.frames, facts.orientation) == ("", (512, 640), "PNG", 1, 1)
    assert (facts.transparent_share, facts.jpeg_quality, facts.borders) == (0, 100, (0, 0, 0, 0))
    assert facts.subject == (1, 2, 511, 640)
    page = measure(pictures.save(tmp_path / "b.png", hostile.white_drawing(np.random.default_rng(0), (512, 512))))
    assert page.background == (255, 255, 255) and page.background_share > 0.9


@pytest.mark.parametrize("name", sorted({*pictures.ODD, *pictures.HOSTILE}))
def test_nothing_makes_measuring_fail_and_what_opens_has_its_size(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    {**pictures.ODD, **pictures.HOSTILE}[name](path)
    facts = measure(path)
    if name in pictures.ODD:
        assert (facts.error, facts.size_px) == ("", (96, 64))
    else:
        with pytest.raises(UserError) as caught:
            open_image(path)
        assert (facts.message, facts.remedy) == (caught.value.message, caught.value.remedy)
        assert facts.error == ("truncated" if "cut off" in facts.message else "unreadable")


def test_what_is_no_file_gives_an_error(tmp_path: Path) -> None:
    assert measure(tmp_path / "missing.png").error == "unreadable"
    assert measure(tmp_path).error == "unreadable"
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        assert measure(tmp_path / "pipe.png").error == "unreadable"  # And nobody waited for a writer.
    assert measure(pictures.save(tmp_path / "scan.tiff", drawing())).error == "format"


def test_a_file_that_goes_while_it_is_measured_gives_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pictures.save(tmp_path / "a.png")
    image = open_image(path)
    path.unlink()
    monkeypatch.setattr(measuring, "open_image", lambda path: image)
    facts = measure(path)
    assert facts.error == "unreadable" and "changed" in facts.message


def test_the_form_of_the_file(tmp_path: Path) -> None:
    pictures.rotated(tmp_path / "turned.jpg", 6)
    pictures.animated_gif(tmp_path / "moving.gif")
    pictures.palette_transparent_png(tmp_path / "palette.png")
    pictures.save(tmp_path / "opaque.png", drawing().convert("RGBA"))
    assert measure(tmp_path / "turned.jpg").orientation == 6
    assert measure(tmp_path / "moving.gif").frames == 3
    assert measure(tmp_path / "palette.png").transparent_share == 0.5
    assert measure(tmp_path / "opaque.png").transparent_share == 0


def test_facts_survive_json_and_other_values_are_refused(tmp_path: Path) -> None:
    for facts in (measure(pictures.save(tmp_path / "a.jpg", drawing())), measure(tmp_path / "missing.png")):
        again = ImageFacts.from_json(json.loads(json.dumps(facts.to_json(), allow_nan=False)))
        assert again == facts
    for values in ({}, {"error": ""}, {**facts.to_json(), "thumb": 7}, {**facts.to_json(), "size_px": 3}, "no", 7):
        with pytest.raises(ValueError):
            ImageFacts.from_json(values)  # type: ignore[arg-type]


def test_equal_pixels_have_one_digest_whatever_the_format(tmp_path: Path) -> None:
    image = drawing()
    paths = [pictures.save(tmp_path / name, image) for name in ("a.png", "a.bmp")]
    other = image.copy()
    other.putpixel((3, 3), (1, 2, 3))
    assert len({measure(path).digest for path in paths}) == 1
    assert measure(pictures.save(tmp_path / "other.png", other)).digest != measure(paths[0]).digest


# --- measures -------------------------------------------------------------------------------------------------------


def grey(image: Image.Image) -> measures.Grey:
    return np.asarray(image.convert("L"))


def test_sharpness_falls_with_blur_and_not_with_plain_areas() -> None:
    for image in (drawing(), photo(), hostile.line_art(np.random.default_rng(0), (512, 512))):
        values = [measures.sharpness(grey(image.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 2, 4, 8)]
        assert values == sorted(values, reverse=True) and values[0] > 0.3 and values[-1] < 0.15
    assert measures.sharpness(np.full((300, 300), 200, np.uint8)) == 1
    assert measures.sharpness(np.zeros((5, 5), np.uint8)) == 1


def test_brightness_levels() -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    assert measures.brightness(ramp) == (0, 1, 99, 197, 199)
    assert measures.clipped(ramp) == (0.02, 0.0)


@pytest.mark.parametrize("quality", [3, 10, 25, 50, 75, 90, 100])
def test_the_quality_of_a_jpeg_is_found(quality: int) -> None:
    with Image.open(io.BytesIO(pictures.encoded(photo(), "JPEG", quality=quality))) as saved:
        estimate = measures.jpeg_quality(saved.quantization)  # type: ignore[attr-defined]
    assert abs(estimate - quality) <= (10 if quality < 25 else 1)  # Below, the divisors end at 255.


def test_blocks_show_wherever_the_grid_begins_and_enlarged_pixels_are_none() -> None:
    image = photo()
    bad = Image.open(io.BytesIO(pictures.encoded(image, "JPEG", quality=8))).convert("RGB")
    assert measures.blockiness(grey(bad)) > 1
    assert measures.blockiness(grey(bad.crop((3, 5, 400, 400)))) > 1
    assert measures.blockiness(grey(image)) < 0.1
    assert measures.blockiness(grey(hostile.pixel_art(np.random.default_rng(1), (512, 512)))) < 0.1
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::8] = 20
    assert measures.blockiness(stripes) < 0.1


@pytest.mark.parametrize("bars", [(0, 40, 0, 40), (60, 0, 60, 0), (30, 30, 30, 30), (0, 0, 0, 90), (0, 20, 0, 35)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255)])
def test_bars_are_found_to_the_pixel(bars: measures.Borders, colour: tuple[int, int, int]) -> None:
    image = photo(size=(480, 600))
    left, top, right, bottom = bars
    framed = Image.new("RGB", (480 + left + right, 600 + top + bottom), colour)
    framed.paste(image, (left, top))
    found = measures.flat_borders(np.asarray(framed))
    assert all(0 <= at - bar <= 1 if bar else at == 0 for at, bar in zip(found, bars, strict=True)), found


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_dark_grey_bars_of_four_percent_are_found_in_a_jpeg(quality: int) -> None:
    framed = Image.new("RGB", (640, 528), (45, 45, 45))
    framed.paste(photo(size=(640, 480)), (0, 24))
    saved = Image.open(io.BytesIO(pictures.encoded(framed, "JPEG", quality=quality))).convert("RGB")
    left, top, right, bottom = measures.flat_borders(np.asarray(saved))
    assert (left, right) == (0, 0) and abs(top - 24) <= 1 and abs(bottom - 24) <= 1


def test_plain_backgrounds_are_no_bars() -> None:
    rng = np.random.default_rng(4)
    for style in (hostile.white_drawing, hostile.flat_landscape, hostile.stripes, hostile.night, hostile.line_art):
        for _ in range(4):
            assert measures.flat_borders(np.asarray(style(rng, (512, 640)))) == (0, 0, 0, 0), style.__name__
    page = Image.new("RGB", (500, 500), "white")
    ImageDraw.Draw(page).polygon([(100, 120), (400, 120), (250, 400)], fill="navy")  # A straight edge above.
    assert measures.flat_borders(np.asarray(page)) == (0, 0, 0, 0)
    assert measures.flat_borders(np.full((200, 200, 3), 7, np.uint8)) == (0, 0, 0, 0)


def test_the_hash_holds_through_resizing_recompression_and_a_slight_crop() -> None:
    def distance(one: Image.Image, other: Image.Image) -> int:
        return bin(measures.perceptual_hash(one) ^ measures.perceptual_hash(other)).count("1")

    image = photo(size=(800, 600))
    small = Image.open(io.BytesIO(pictures.encoded(image.resize((333, 250)), "JPEG", quality=40)))
    assert distance(image, small) <= 4
    assert distance(image, image.crop((8, 6, 792, 594))) <= 8
    assert distance(image, photo(1, (800, 600))) >= 16


# --- the cache ------------------------------------------------------------------------------------------------------


def a_file(folder: Path, name: str = "a.png") -> tuple[Path, facts_cache.Stamp, ImageFacts]:
    path = pictures.save(folder / name)
    stamp = stamp_of(path)
    assert stamp is not None
    return path, stamp, measure(path)


def test_facts_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path, stamp, facts = a_file(tmp_path)
    assert get_many({path: stamp}) == {}
    put_many([(path, stamp, facts)])
    assert get_many({path: stamp, tmp_path / "b.png": stamp}) == {path: facts}
    os.utime(path, ns=(stamp[0], stamp[0] + 1000))
    changed = stamp_of(path)
    assert changed is not None and changed != stamp
    assert get_many({path: changed}) == {}
    put_many([(path, changed, dataclasses.replace(facts, frames=2))])
    assert get_many({path: changed})[path].frames == 2


def test_another_version_of_the_measures_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, stamp, facts = a_file(tmp_path)
    put_many([(path, stamp, facts)])
    monkeypatch.setattr("core.dataset.facts.FACTS_VERSION", 1000)
    assert get_many({path: stamp}) == {}


def test_errors_are_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    put_many([(path, (1, 2), measure(path))])
    assert get_many({path: (1, 2)}) == {}


@pytest.mark.parametrize("content", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 5000], ids=["text", "cut"])
def test_a_damaged_database_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path, stamp, facts = a_file(tmp_path)
    cache_file().write_bytes(content)
    assert get_many({path: stamp}) == {}
    put_many([(path, stamp, facts)])
    assert get_many({path: stamp}) == {path: facts}


def test_damage_in_the_middle_costs_only_the_memory(tmp_path: Path) -> None:
    path, stamp, facts = a_file(tmp_path)
    put_many([(tmp_path / f"{index}.png", stamp, facts) for index in range(300)])
    data = bytearray(cache_file().read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    cache_file().write_bytes(data)
    assert get_many({tmp_path / "7.png": stamp}) == {}
    put_many([(path, stamp, facts)])
    assert get_many({path: stamp}) == {path: facts}


def test_an_entry_that_is_no_facts_is_as_good_as_none(tmp_path: Path) -> None:
    path, stamp, facts = a_file(tmp_path)
    put_many([(path, stamp, facts)])
    with sqlite3.connect(cache_file()) as database:
        database.execute("UPDATE facts SET facts = '[1, 2'")
    database.close()
    assert get_many({path: stamp}) == {}


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, stamp, facts = a_file(tmp_path)
    for home in (path, path / "deeper", Path("/dev/null/x")):  # A file is where the folder should be.
        monkeypatch.setenv("KILN_HOME", str(home))
        put_many([(path, stamp, facts)])
        assert get_many({path: stamp}) == {}
    (tmp_path / "home" / "facts.sqlite3").mkdir(parents=True)
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "home"))
    put_many([(path, stamp, facts)])
    assert get_many({path: stamp}) == {}


def test_a_locked_database_costs_time_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, stamp, facts = a_file(tmp_path)
    put_many([(path, stamp, facts)])
    monkeypatch.setattr(facts_cache, "_WAIT_S", 0.01)
    other = sqlite3.connect(cache_file())
    other.execute("BEGIN EXCLUSIVE")
    assert get_many({path: stamp}) == {}
    put_many([(path, stamp, facts)])
    other.rollback()
    other.close()
    assert get_many({path: stamp}) == {path: facts}


def test_the_number_of_entries_is_bounded_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, stamp, facts = a_file(tmp_path)
    paths = [tmp_path / f"{index}.png" for index in range(150)]
    put_many([(path, stamp, facts) for path in paths[:100]])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3 * 86_400)
    assert len(get_many(dict.fromkeys(paths[:30], stamp))) == 30  # Used today, so these stay.
    monkeypatch.setattr(facts_cache, "MAX_BYTES", 50_000)
    put_many([(path, stamp, facts) for path in paths[100:]])
    left = get_many(dict.fromkeys(paths, stamp))
    assert len(left) == 120
    assert {*paths[:30], *paths[100:]} <= left.keys()


def _write(home: str, number: int, facts: ImageFacts) -> None:
    os.environ["KILN_HOME"] = home
    for index in range(20):
        put_many([(Path(f"/p/{number}-{index}-{part}.png"), (1, 1), facts) for part in range(10)])


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    _, _, facts = a_file(tmp_path)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(os.environ["KILN_HOME"], number, facts)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    every = [
        Path(f"/p/{number}-{index}-{part}.png") for number in range(3) for index in range(20) for part in range(10)
    ]
    assert len(get_many(dict.fromkeys(every, (1, 1)))) == len(every)


def test_ten_thousand_entries_come_and_go_quickly(tmp_path: Path) -> None:
    _, stamp, facts = a_file(tmp_path)
    paths = [tmp_path / f"a folder with a long name {index}.png" for index in range(10_000)]
    started = time.process_time()
    put_many([(path, stamp, facts) for path in paths])
    found = get_many(dict.fromkeys(paths, stamp))
    assert time.process_time() - started < 4  # About 0.5 s together; the rest is for a machine that is busy.
    assert len(found) == 10_000


# --- the job --------------------------------------------------------------------------------------------------------


def run(job: CheckJob, control: Control | None = None) -> list[Event]:
    events = list(run_job(job_from_line(job_to_line(job)), control or Control()))
    return [from_line(to_line(event)) for event in events]


def told(events: list[Event]) -> dict[Path, ImageFacts]:
    batches = [event.facts for event in events if isinstance(event, PicturesMeasured)]
    return {Path(values["path"]): ImageFacts.from_json(values) for batch in batches for values in batch}


def test_a_check_tells_the_facts_of_every_picture_and_the_second_one_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path / "图 片 🦊")
    (folder / "bad.jpg").write_bytes(b"")
    pictures.cut(folder / "cut.png")
    events = run(CheckJob(folder=folder))
    assert isinstance(events[0], JobStarted) and (events[0].job, events[0].num_images) == ("check", 8)
    assert events[1] == StageStarted(stage="check", total=8)
    facts = told(events)
    assert facts == {path: measure(path) for path in facts}
    assert {path.name: one.error for path, one in facts.items() if one.error} == {
        "bad.jpg": "unreadable",
        "cut.png": "truncated",
    }
    last = [event for event in events if isinstance(event, StageProgress)][-1]
    assert (last.done, last.total) == (8, 8)
    assert isinstance(events[-1], Finished) and not events[-1].stopped

    measured: list[Path] = []
    monkeypatch.setattr(checking, "measure", lambda path: measured.append(path) or measure(path))
    changed = folder / "p03.png"
    pictures.save(changed, pictures.scene((77, 77)))
    again = told(run(CheckJob(folder=folder)))
    assert again.keys() == facts.keys() and again[changed].size_px == (77, 77)
    assert {path.name for path in measured} == {"p03.png", "bad.jpg", "cut.png"}


def test_only_the_named_pictures(tmp_path: Path) -> None:
    folder = pictures.good_folder(tmp_path)
    wanted = (folder / "p02.png", folder / "gone.png")
    facts = told(run(CheckJob(folder=folder, images=wanted)))
    assert {path: one.error for path, one in facts.items()} == {wanted[0]: "", wanted[1]: "unreadable"}


def test_all_folders_of_the_dataset_file(tmp_path: Path) -> None:
    folders = [pictures.good_folder(tmp_path / name, 2) for name in ("a", "b")]
    save_dataset(tmp_path / "set.json", DatasetFile(concepts=tuple(Concept(folder=folder) for folder in folders)))
    facts = told(run(CheckJob(folder=folders[0], edits=tmp_path / "set.json")))
    assert {path.parent for path in facts} == set(folders) and len(facts) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \xff.png")
    pictures.save(path)
    for _ in range(2):  # Measured, then remembered.
        assert told(run(CheckJob(folder=tmp_path)))[path].error == ""
    stamp = stamp_of(path)
    assert stamp is not None and path in get_many({path: stamp})


def test_a_stop_ends_in_the_middle_and_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures.good_folder(tmp_path, 60)
    monkeypatch.setattr(checking, "_BATCH", 5)
    control = Control()
    events: list[Event] = []
    for event in check_folder(CheckJob(folder=folder), control):
        events.append(event)
        if isinstance(event, PicturesMeasured):
            control.ask("stop")
    facts = told(events)
    assert 0 < len(facts) < 60
    assert isinstance(events[-1], Finished) and events[-1].stopped
    remembered = get_many({path: stamp for path in folder.glob("*.png") if (stamp := stamp_of(path)) is not None})
    assert remembered == facts


def test_pictures_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures.good_folder(tmp_path, 23)
    monkeypatch.setattr(checking, "_BATCH", 10)
    monkeypatch.setattr(checking, "_BATCH_S", 1000.0)
    for _ in range(2):  # Measured, then remembered.
        sizes = [len(event.facts) for event in run(CheckJob(folder=folder)) if isinstance(event, PicturesMeasured)]
        assert sizes == [10, 10, 3]


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        run(CheckJob(folder=tmp_path))
