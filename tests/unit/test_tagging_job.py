"""The tagging job: captions beside their pictures, nothing lost, everything can be taken back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from core.control import Control
from core.dataset.edits import Concept, DatasetFile, save_dataset
from core.dataset.records import ImageRecord, Scan
from core.errors import UserError
from core.events import Event, Finished, JobStarted, Notice, PictureTagged, StageProgress, StageStarted
from core.jobs import TagJob, TagOptions
from core.tagging import job as tagging
from core.tagging.backup import CaptionBackup, Undone, backup_folder, undo_tagging
from core.tagging.base import ScoredTag
from core.tagging.job import tag_folder
from tests import pictures
from tests.taggers import tiny_tagger

# pytest shows warnings again that the program has silenced.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")


class WidthTagger:
    """Says how wide a picture is; no model needed."""

    device, batch_size, parallel_calls = "CPU", 2, 2

    def __init__(self) -> None:
        self.looked_at = 0

    def tag(self, images: Iterable[Image.Image], *, least_score: float = 0.0) -> list[list[ScoredTag]]:
        images = list(images)
        self.looked_at += len(images)
        return [
            [
                ScoredTag("explicit", 0.99, "rating"),
                ScoredTag(f"width_{image.width}", 0.9, "general"),
                ScoredTag("miru_(kiln)", 0.8, "character"),
                ScoredTag("solo", 0.5, "general"),
            ]
            for image in images
        ]


@pytest.fixture
def tagger(monkeypatch: pytest.MonkeyPatch) -> WidthTagger:
    loaded = WidthTagger()
    monkeypatch.setattr(tagging, "load_tagger", lambda folder: loaded)
    return loaded


def run(folder: Path, control: Control | None = None, **options: object) -> list[Event]:
    return list(tag_folder(TagJob(folder=folder, options=TagOptions.model_validate(options)), control or Control()))


def output_of(events: list[Event]) -> Path | None:
    finished = events[-1]
    assert isinstance(finished, Finished)
    return finished.output


def tagged(events: list[Event]) -> dict[str, tuple[str, bool]]:
    return {event.image.name: (event.caption, event.written) for event in events if isinstance(event, PictureTagged)}


def notices(events: list[Event]) -> dict[str, str]:
    return {event.image.name: event.message for event in events if isinstance(event, Notice) and event.image}


def captions(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in pictures.contents(folder).items() if name.endswith(".txt")}


def test_a_fresh_folder(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path / "图片 🦊", 5, captions=False)
    events = run(folder, trigger_word="miru")
    assert events[0] == JobStarted(job="tag", num_images=5)
    assert [event.stage for event in events if isinstance(event, StageStarted)] == ["load", "tag"]
    assert [event.done for event in events if isinstance(event, StageProgress)] == [1, 2, 3, 4, 5]
    assert all(event.total == 5 for event in events if isinstance(event, StageProgress))
    assert list(tagged(events)) == [f"p0{index}.png" for index in range(5)]
    assert tagged(events)["p00.png"] == ("miru, width 96, solo", True)
    assert (folder / "p01.txt").read_bytes() == b"miru, width 64, solo"
    backup = output_of(events)
    assert backup is not None and backup.parent == backup_folder()
    undone = undo_tagging(backup)
    assert captions(folder) == {} and len(undone.removed) == 5


def test_captions_lie_beside_their_pictures(tmp_path: Path, tagger: WidthTagger) -> None:
    for place in ("train/10_train/a.png", "train/2_x y/a.b.png", "train/a.png", "train/other/a.png"):
        pictures.save(tmp_path / "train" / place)
    run(tmp_path / "train" / "train")
    assert sorted(captions(tmp_path)) == sorted(
        str(Path("train/train") / name) for name in (Path("10_train/a.txt"), Path("2_x y/a.b.txt"), Path("a.txt"))
    )


def test_trigger_words_go_where_they_belong(tmp_path: Path, tagger: WidthTagger) -> None:
    folders = [tmp_path / name for name in ("one", "two", "prior")]
    for folder in folders:
        pictures.save(folder / "a.png")
    concepts = (
        Concept(folder=folders[0]),
        Concept(folder=folders[1], trigger_word="kara"),
        Concept(folder=folders[2], trigger_word="kara", is_regularization=True),
    )
    save_dataset(tmp_path / "d.json", DatasetFile(concepts=concepts))
    job = TagJob(folder=folders[0], edits=tmp_path / "d.json", options=TagOptions(trigger_word="miru"))
    list(tag_folder(job, Control()))
    assert [(folder / "a.txt").read_text() for folder in folders] == [
        "miru, width 96, solo",
        "kara, width 96, solo",
        "width 96, solo",
    ]


def test_a_picture_is_never_written_over(tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = pictures.save(tmp_path / "a.png")
    before = pictures.contents(tmp_path)
    record = ImageRecord(path=picture, size_px=(96, 64), caption_path=picture)
    monkeypatch.setattr(tagging, "scan_job", lambda *_, **__: Scan(folder=tmp_path, records=(record,)))
    with pytest.raises(ValueError, match="written over the picture"):
        run(tmp_path, on_existing="replace")
    assert pictures.contents(tmp_path) == before


OLD: dict[str, bytes] = {
    "p00.txt": b"old, solo",
    "p01.txt": pictures.GBK_CAPTION.encode("gbk"),
    "p02.txt": b"",
    "p03.txt": b"\xef\xbb\xbfold with mark\r\n",
    "p04.txt": b"\xff\x00\x01broken",
}


def folder_with_captions(place: Path) -> Path:
    folder = pictures.good_folder(place, 6, captions=False)
    for name, data in OLD.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("on_existing", "expected"),
    [
        ("keep", {"p00.txt": b"old, solo", "p01.txt": OLD["p01.txt"], "p03.txt": OLD["p03.txt"]}),
        ("replace", {"p00.txt": b"width 96, solo", "p01.txt": b"width 64, solo", "p03.txt": b"width 120, solo"}),
        (
            "append",
            {
                "p00.txt": b"old, solo, width 96",
                "p01.txt": (pictures.GBK_CAPTION + ", width 64, solo").encode(),
                "p03.txt": b"old with mark, width 120, solo",
            },
        ),
        (
            "prepend",
            {
                "p00.txt": b"width 96, solo, old",
                "p01.txt": ("width 64, solo, " + pictures.GBK_CAPTION).encode(),
                "p03.txt": b"width 120, solo, old with mark",
            },
        ),
    ],
)
def test_existing_captions(tmp_path: Path, tagger: WidthTagger, on_existing: str, expected: dict[str, bytes]) -> None:
    folder = folder_with_captions(tmp_path / "in")
    events = run(folder, on_existing=on_existing)
    now = captions(folder)
    assert {name: now[name] for name in expected} == expected
    assert now["p02.txt"] == b"width 80, solo"  # An empty caption is none.
    assert now["p05.txt"] == b"width 64, solo"
    if on_existing == "replace":
        assert now["p04.txt"] == b"width 48, solo"
    else:
        assert now["p04.txt"] == OLD["p04.txt"]
        assert "not a text file" in notices(events)["p04.png"]
    if on_existing == "keep":
        assert tagger.looked_at == 2
        assert tagged(events)["p01.png"] == (pictures.GBK_CAPTION, False)
    backup = output_of(events)
    assert backup is not None
    undo_tagging(backup)
    assert captions(folder) == OLD


def test_nothing_to_do_loads_no_tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "load_tagger", lambda folder: pytest.fail("loaded"))
    folder = pictures.good_folder(tmp_path, 3)
    events = run(folder)
    assert output_of(events) is None
    assert [written for _, written in tagged(events).values()] == [False] * 3
    assert not backup_folder().exists()


def test_the_same_captions_again_write_nothing(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 3)
    run(folder, on_existing="replace")
    events = run(folder, on_existing="replace")
    assert output_of(events) is None and [written for _, written in tagged(events).values()] == [False] * 3


def test_bad_pictures_are_named_and_the_others_tagged(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path / "in", 4, captions=False)
    pictures.write_all(folder, pictures.HOSTILE)
    events = run(folder)
    assert list(tagged(events)) == [f"p0{index}.png" for index in range(4)]
    assert set(notices(events)) == set(pictures.HOSTILE)
    last = [event for event in events if isinstance(event, StageProgress)][-1]
    assert last.done == last.total and isinstance(events[-1], Finished)


def test_every_odd_picture_is_tagged(tmp_path: Path, tagger: WidthTagger) -> None:
    pictures.write_all(tmp_path, pictures.ODD)
    events = run(tmp_path)
    assert set(tagged(events)) == set(pictures.ODD)
    assert {caption for caption, _ in tagged(events).values()} == {"width 96, solo"}


def test_two_pictures_with_one_caption_are_tagged_once(tmp_path: Path, tagger: WidthTagger) -> None:
    pictures.save(tmp_path / "a.jpg")
    pictures.save(tmp_path / "a.png", pictures.scene((50, 50)))
    events = run(tmp_path, on_existing="append")
    assert captions(tmp_path) == {"a.txt": b"width 96, solo"}
    assert "share one caption" in notices(events)["a.png"]


def test_character_names_by_their_own_threshold(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 1, captions=False)
    run(folder, character_threshold=0.75, exclude=("solo", "never there"), replace_underscores=False)
    assert captions(folder) == {"p00.txt": b"width_96, miru_(kiln)"}


def test_no_tag_at_all_writes_no_empty_caption(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 2, captions=False)
    events = run(folder, threshold=1, character_threshold=1)
    assert captions(folder) == {} and output_of(events) is None
    assert "reached the threshold" in notices(events)["p00.png"]
    run(folder, threshold=1, character_threshold=1, trigger_word="miru")
    assert captions(folder) == {"p00.txt": b"miru", "p01.txt": b"miru"}


def test_a_caption_written_meanwhile_is_kept(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 12, captions=False)
    events = []
    for event in tag_folder(TagJob(folder=folder), Control()):
        events.append(event)
        if isinstance(event, StageProgress) and event.done == 2:
            (folder / "p11.txt").write_text("by hand", encoding="utf-8")
    assert (folder / "p11.txt").read_text(encoding="utf-8") == "by hand"
    assert tagged(events)["p11.png"] == ("by hand", False)


def test_stopping_leaves_old_or_new_captions(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 30)
    before, control, events = captions(folder), Control(), []
    for event in tag_folder(TagJob(folder=folder, options=TagOptions(on_existing="replace")), control):
        events.append(event)
        if isinstance(event, StageProgress) and event.done == 7:
            control.ask("stop")
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.stopped and finished.output is not None
    now = captions(folder)
    changed = [name for name in now if now[name] != before[name]]
    assert changed == [f"p0{index}.txt" for index in range(7)]
    assert sorted(path.suffix for path in folder.iterdir()) == [".png"] * 30 + [".txt"] * 30
    undo_tagging(finished.output)
    assert captions(folder) == before


# --- places that cannot be written ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "words"), [(30, "cannot be written"), (13, "cannot be written"), (28, "disk is full")]
)
def test_a_folder_that_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    folder = pictures.good_folder(tmp_path, 2)
    before = pictures.contents(folder)

    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(tagging, "load_tagger", lambda folder: pytest.fail("loaded"))
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=words):
        run(folder, on_existing="replace")
    assert pictures.contents(folder) == before


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    real = os.replace

    def replace(source: str, target: str) -> None:
        if Path(target).name == name:
            raise OSError(number, os.strerror(number), str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)


def test_one_locked_caption_does_not_end_the_run(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path, 4)
    before = captions(folder)
    fail_at(monkeypatch, "p01.txt", 13)
    events = run(folder, on_existing="replace")
    assert "could not be written" in notices(events)["p01.png"]
    assert [name for name, data in captions(folder).items() if data == before[name]] == ["p01.txt"]
    backup = output_of(events)
    assert backup is not None
    monkeypatch.undo()
    undo_tagging(backup)
    assert captions(folder) == before


def test_a_full_disk_ends_the_run_in_words(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path, 4)
    before = captions(folder)
    fail_at(monkeypatch, "p02.txt", 28)
    events = []
    with pytest.raises(UserError, match="disk is full"):
        events.extend(tag_folder(TagJob(folder=folder, options=TagOptions(on_existing="replace")), Control()))
    assert captions(folder)["p02.txt"] == before["p02.txt"]
    (backup,) = backup_folder().iterdir()
    assert any(isinstance(event, Notice) and str(backup) in event.message for event in events)
    monkeypatch.undo()
    undo_tagging(backup)
    assert captions(folder) == before


def test_without_a_backup_nothing_is_overwritten(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path / "in", 3)
    before = captions(folder)
    (tmp_path / "home").write_text("a file where a folder should be", encoding="utf-8")
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "home"))
    with pytest.raises(UserError, match="cannot be backed up"):
        run(folder, on_existing="replace")
    assert captions(folder) == before


# --- backups --------------------------------------------------------------------------------------------------------


def test_undo_leaves_what_was_edited_since(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 4)
    (folder / "p03.txt").unlink()
    before = captions(folder)
    backup = output_of(run(folder, on_existing="replace"))
    assert backup is not None
    (folder / "p00.txt").write_text("edited by hand", encoding="utf-8")
    (folder / "p01.txt").unlink()
    assert undo_tagging(backup) == Undone(
        restored=(folder / "p02.txt", folder / "p01.txt"),
        removed=(folder / "p03.txt",),
        changed_since=(folder / "p00.txt",),
    )
    assert captions(folder) == {**before, "p00.txt": b"edited by hand"}
    assert undo_tagging(backup) == Undone((), (), (folder / "p00.txt",))


def test_a_backup_that_breaks_off_is_still_good(tmp_path: Path) -> None:
    caption = tmp_path / "标签 {0}.txt"
    with CaptionBackup() as backup:
        backup.keep(caption, b"\xff\x00old", b"new")
    caption.write_bytes(b"new")
    assert backup.path is not None
    with backup.path.open("a", encoding="utf-8") as file:
        file.write('{"caption": "/x", "bef')
    assert undo_tagging(backup.path).restored == (caption,)
    assert caption.read_bytes() == b"\xff\x00old"


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"kiln": "caption-backup", "version": 99}\n', None])
def test_a_damaged_backup_is_told(tmp_path: Path, text: str | None) -> None:
    backup = tmp_path / "backup.json"
    if text is not None:
        backup.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="missing or damaged"):
        undo_tagging(backup)


def test_two_runs_in_one_second_have_two_backups(tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        with CaptionBackup() as backup:
            backup.keep(tmp_path / "a.txt", None, str(number).encode())
        paths.append(backup.path)
    assert len(set(paths)) == 3
    assert all(path is not None and json.loads(path.read_text().splitlines()[0])["version"] == 1 for path in paths)


def test_a_missing_tagger_is_told_and_nothing_written(tmp_path: Path) -> None:
    folder = pictures.good_folder(tmp_path / "in", 2)
    before = pictures.contents(folder)
    with pytest.raises(UserError, match="does not exist"):
        run(folder, on_existing="replace", tagger=tmp_path / "gone")
    half = tiny_tagger(tmp_path / "half")
    (half / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"has no model\.onnx"):
        run(folder, on_existing="replace", tagger=half)
    assert pictures.contents(folder) == before
