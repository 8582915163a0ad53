"""The tagging job: captions beside their pictures, nothing lost, everything can be taken back."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from core.control import Control
from core.dataset.caption_journal import journal_folder, journals, latest_journal
from core.dataset.edits import Concept, DatasetFile, save_dataset
from core.dataset.records import ImageRecord, Scan
from core.errors import UserError
from core.events import CaptionsPlanned, Event, Finished, JobStarted, Notice, PictureTagged, StageProgress, StageStarted
from core.jobs import TagJob
from core.tagging import job as tagging
from core.tagging import writing
from core.tagging.base import ScoredTag, Seen
from core.tagging.job import tag_folder
from core.tagging.options import BOTH_TEMPLATE, SENTENCE_TEMPLATE, TagOptions
from core.tagging.scores import store_file
from core.tagging.writing import undo_tagging
from tests import pictures
from tests.taggers import tiny_tagger

# pytest shows warnings again that the program has silenced.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")


class WidthTagger:
    """Says how wide a picture is; no model needed."""

    name, title, gives = "width", "Width", "tags"
    device, note, batch_size, parallel_calls = "CPU", "", 2, 2

    def __init__(self) -> None:
        self.looked_at = 0
        self.loaded = 0

    def look(self, images: Iterable[Image.Image]) -> list[Seen]:
        images = list(images)
        self.looked_at += len(images)
        return [self.see(image) for image in images]

    def see(self, image: Image.Image) -> Seen:
        return Seen(
            (
                ScoredTag("explicit", 0.99, "rating"),
                ScoredTag(f"width_{image.width}", 0.9, "general"),
                ScoredTag("miru_(kiln)", 0.8, "character"),
                ScoredTag("solo", 0.5, "general"),
            )
        )


class WidthCaptioner(WidthTagger):
    """Says the same in a sentence."""

    gives, note = "sentence", "It is slow on a processor."

    def see(self, image: Image.Image) -> Seen:
        return Seen(sentence=f"It is {image.width} pixels wide, and nice.")


class Models(dict[Path, WidthTagger]):
    """Models by their folder; the tagger has the first one."""

    def load(self, folder: Path) -> WidthTagger:
        model = self[folder]
        model.loaded += 1
        return model


@pytest.fixture
def models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Models:
    """A tagger, which is the starter tagger, and a captioner."""
    found = Models()
    for name, model in (("tagger", WidthTagger()), ("captioner", WidthCaptioner())):
        folder = tmp_path_factory.mktemp(name)
        (folder / "model").write_text(name, encoding="utf-8")
        found[folder] = model
    monkeypatch.setattr(tagging, "load_tagger", found.load)
    monkeypatch.setattr(tagging, "kind_of", found.get)
    monkeypatch.setattr(tagging, "STARTER_TAGGER", next(iter(found)))
    return found


@pytest.fixture
def tagger(models: Models) -> WidthTagger:
    return next(iter(models.values()))


def run(
    folder: Path, control: Control | None = None, *, write: bool = True, recursive: bool = False, **options: object
) -> list[Event]:
    job = TagJob(folder=folder, options=TagOptions.model_validate(options), write=write, recursive=recursive)
    return list(tag_folder(job, control or Control()))


def finished(events: list[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last


def planned(events: list[Event]) -> tuple[int, ...]:
    """How many captions are new, changed, unchanged, kept and failed."""
    (counts,) = (event for event in events if isinstance(event, CaptionsPlanned))
    return counts.new, counts.changed, counts.unchanged, counts.kept, counts.failed


def tagged(events: list[Event]) -> dict[str, tuple[str, str]]:
    return {event.image.name: (event.caption, event.outcome) for event in events if isinstance(event, PictureTagged)}


def notices(events: list[Event]) -> dict[str, str]:
    return {event.image.name: event.message for event in events if isinstance(event, Notice) and event.image}


def messages(events: list[Event]) -> str:
    return "\n".join(event.message for event in events if isinstance(event, Notice) and not event.image)


def undo(folder: Path) -> list[Event]:
    return list(undo_tagging(folder, Control()))


def captions(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in pictures.contents(folder).items() if name.endswith(".txt")}


def test_a_fresh_folder(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path / "图片 🦊", 5, captions=False)
    events = run(folder, trigger_word="miru")
    assert events[0] == JobStarted(job="tag", num_images=5)
    assert [event.stage for event in events if isinstance(event, StageStarted)] == ["load", "tag", "write"]
    progress = [(event.stage, event.done, event.total) for event in events if isinstance(event, StageProgress)]
    assert progress == [*(("tag", done, 5) for done in range(1, 6)), ("write", 5, 5)]
    assert list(tagged(events)) == [f"p0{index}.png" for index in range(5)]
    assert tagged(events)["p00.png"] == ("miru, width 96, solo", "new")
    assert planned(events) == (5, 0, 0, 0, 0)
    assert (folder / "p01.txt").read_bytes() == b"miru, width 64, solo"
    journal = latest_journal(folder)
    assert journal is not None and finished(events).output == journal.path and journal.name == "Tag 5 pictures"
    undone = undo(folder)
    assert captions(folder) == {} and "removed, because there was none before: 5" in messages(undone)


def test_an_event_tells_scores_and_categories(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 1)
    (event,) = (event for event in run(folder, ratings=True, on_existing="append") if isinstance(event, PictureTagged))
    assert event.tags == (("width_96", 0.9, "general"), ("solo", 0.5, "general"), ("explicit", 0.99, "rating"))
    assert (event.caption, event.outcome) == ("1girl, number 0, width 96, solo, explicit", "changed")


def test_nothing_is_written_before_all_pictures_are_known(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 8, captions=False)
    for event in tag_folder(TagJob(folder=folder), Control()):
        if isinstance(event, CaptionsPlanned):
            break
        assert captions(folder) == {}
    assert event == CaptionsPlanned(new=8, changed=0, unchanged=0, kept=0, failed=0)


def test_only_looking_writes_nothing_and_the_next_run_needs_no_model(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path / "in", 5, captions=False)
    before = pictures.contents(folder)
    first = run(folder, write=False)
    assert pictures.contents(folder) == before and finished(first).output is None and not journal_folder().exists()
    assert planned(first) == (5, 0, 0, 0, 0)
    second = run(folder, threshold=0.6, on_existing="replace")
    assert (tagger.loaded, tagger.looked_at) == (1, 5)
    assert [event.stage for event in second if isinstance(event, StageStarted)] == ["tag", "write"]
    assert captions(folder)["p00.txt"] == b"width 96"


def test_a_picture_that_changed_is_looked_at_again_and_so_are_all_for_another_model(
    tmp_path: Path, models: Models, tagger: WidthTagger
) -> None:
    folder = pictures.good_folder(tmp_path, 3, captions=False)
    run(folder, write=False)
    pictures.save(folder / "p01.png", pictures.scene((100, 30)))
    assert tagged(run(folder, write=False))["p01.png"] == ("width 100, solo", "new")
    assert tagger.looked_at == 4
    (next(iter(models)) / "model").write_text("another model", encoding="utf-8")
    run(folder, write=False)
    assert tagger.looked_at == 7


def test_only_the_pictures_that_are_named(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 3)
    job = TagJob(folder=folder, images=(folder / "p01.png",), write=False)
    assert tagged(list(tag_folder(job, Control()))) == {"p01.png": ("1girl, number 1", "kept")}
    assert tagger.looked_at == 1
    with pytest.raises(UserError, match="not in"):
        list(tag_folder(TagJob(folder=folder, images=(folder / "gone.png",), write=False), Control()))


def test_sub_folders_only_when_asked(tmp_path: Path, tagger: WidthTagger) -> None:
    for name in ("a.png", "one/b.png", "one/two 二/c.png"):
        pictures.save(tmp_path / name)
    assert set(tagged(run(tmp_path, write=False))) == {"a.png"}
    run(tmp_path, recursive=True)
    assert set(captions(tmp_path)) == {"a.txt", str(Path("one/b.txt")), str(Path("one/two 二/c.txt"))}


# --- sentences ------------------------------------------------------------------------------------------------------


def test_tags_and_a_sentence(tmp_path: Path, models: Models) -> None:
    folder = pictures.good_folder(tmp_path / "in", 3, captions=False)
    pictures.cut(folder / "cut.png")
    tagger, captioner = models.values()
    options = {"template": BOTH_TEMPLATE, "captioner": list(models)[1], "trigger_word": "m"}
    events = run(folder, **options)
    assert captions(folder)["p00.txt"] == b"m, width 96, solo. It is 96 pixels wide, and nice."
    assert (tagger.looked_at, captioner.looked_at) == (3, 3)
    assert [event.done for event in events if isinstance(event, StageProgress) and event.stage == "tag"] == [
        *(1, 2, 3, 4),
        *(1, 2, 3),
    ]
    assert captioner.note in messages(events)
    assert planned(events) == (3, 0, 0, 0, 1) and finished(events).num_failed == 1
    again = run(folder, **options, on_existing="merge")
    assert planned(again) == (0, 0, 3, 0, 1) and finished(again).output is None
    assert (tagger.looked_at, captioner.looked_at) == (3, 3)


def test_a_sentence_alone_needs_no_tagger(tmp_path: Path, models: Models) -> None:
    folder = pictures.good_folder(tmp_path, 1, captions=False)
    run(folder, template=SENTENCE_TEMPLATE, captioner=list(models)[1], tagger=tmp_path / "gone")
    assert captions(folder) == {"p00.txt": b"It is 96 pixels wide, and nice."}


def test_models_in_the_wrong_place_are_told(tmp_path: Path, models: Models) -> None:
    folder = pictures.good_folder(tmp_path, 1, captions=False)
    tagger, captioner = models
    with pytest.raises(UserError, match="no sentence model is chosen"):
        run(folder, template=BOTH_TEMPLATE)
    with pytest.raises(UserError, match="writes sentences, not tags"):
        run(folder, tagger=captioner)
    with pytest.raises(UserError, match="gives tags, not sentences"):
        run(folder, template=SENTENCE_TEMPLATE, captioner=tagger)
    assert captions(folder) == {} and not any(model.looked_at for model in models.values())


def test_a_model_in_the_wrong_place_is_told_when_all_pictures_are_known(tmp_path: Path, models: Models) -> None:
    folder = pictures.good_folder(tmp_path, 2)
    before = captions(folder)
    tagger, captioner = models
    run(folder, template=BOTH_TEMPLATE, captioner=captioner, on_existing="replace", write=False)
    with pytest.raises(UserError, match="writes sentences, not tags"):
        run(folder, tagger=captioner, on_existing="replace", trigger_word="miru")
    with pytest.raises(UserError, match="gives tags, not sentences"):
        run(folder, template=SENTENCE_TEMPLATE, captioner=tagger, on_existing="replace", trigger_word="miru")
    assert captions(folder) == before


def test_the_kind_of_a_model_is_known_from_its_folder(tmp_path: Path) -> None:
    folder = pictures.good_folder(tmp_path / "in", 1)
    model = tiny_tagger(tmp_path / "model")
    (model / "model.onnx").write_bytes(b"cannot be loaded")
    with pytest.raises(UserError, match="gives tags, not sentences"):
        run(folder, template=SENTENCE_TEMPLATE, captioner=model, on_existing="replace")


# --- where captions go ----------------------------------------------------------------------------------------------


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
    options = TagOptions(trigger_word="miru", prune=("solo",), on_existing="append")
    job = TagJob(folder=folders[0], edits=tmp_path / "d.json", options=options)
    list(tag_folder(job, Control()))
    assert [(folder / "a.txt").read_text() for folder in folders] == [
        "miru, width 96",
        "kara, width 96",
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
                "p00.txt": b"width 96, old, solo",
                "p01.txt": ("width 64, solo, " + pictures.GBK_CAPTION).encode(),
                "p03.txt": b"width 120, solo, old with mark",
            },
        ),
        ("merge", {"p00.txt": b"old, solo, width 96", "p03.txt": b"old with mark, width 120, solo"}),
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
        assert tagged(events)["p01.png"] == (pictures.GBK_CAPTION, "kept")
    assert sum(planned(events)) == 6 and planned(events)[0] == 2
    undo(folder)
    assert captions(folder) == OLD


def test_nothing_to_do_loads_no_tagger(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 3)
    events = run(folder)
    assert finished(events).output is None and tagger.loaded == 0
    assert planned(events) == (0, 0, 0, 3, 0)
    assert not journal_folder().exists()


def test_the_same_captions_again_write_nothing(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 3)
    run(folder, on_existing="replace")
    events = run(folder, on_existing="replace")
    assert finished(events).output is None and planned(events) == (0, 0, 3, 0, 0)
    assert len(journals(folder)) == 1


def test_bad_pictures_are_named_and_the_others_tagged(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path / "in", 4, captions=False)
    pictures.write_all(folder, pictures.HOSTILE)
    events = run(folder)
    assert list(tagged(events)) == [f"p0{index}.png" for index in range(4)]
    assert set(notices(events)) == set(pictures.HOSTILE)
    assert finished(events).num_failed == planned(events)[4] == len(pictures.HOSTILE)
    progress = [event for event in events if isinstance(event, StageProgress)]
    assert all(event.done == event.total for event in progress if event is progress[-1] or event.stage == "write")


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
    assert captions(folder) == {} and finished(events).output is None and finished(events).num_failed == 0
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
    assert "changed by another program" in notices(events)["p11.png"]
    assert finished(events).num_failed == 1 and len(captions(folder)) == 12


# --- stopping -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 7, 30])
def test_stopping_before_all_are_known_writes_nothing_and_forgets_nothing(
    tmp_path: Path, tagger: WidthTagger, at: int
) -> None:
    folder = pictures.good_folder(tmp_path, 30)
    before, control, events = captions(folder), Control(), []
    for event in tag_folder(TagJob(folder=folder, options=TagOptions(on_existing="replace")), control):
        events.append(event)
        if (event.done if isinstance(event, StageProgress) else 0) == at:
            control.ask("stop")
    assert finished(events).stopped and finished(events).output is None and "Nothing was written" in messages(events)
    assert captions(folder) == before
    assert sorted(path.suffix for path in folder.iterdir()) == [".png"] * 30 + [".txt"] * 30
    tagger.looked_at = 0
    run(folder, on_existing="replace")
    assert tagger.looked_at == 30 - at
    assert all(data.startswith(b"width") for data in captions(folder).values())


def test_stopping_while_captions_are_written_ends_between_two(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE", 4)
    folder = pictures.good_folder(tmp_path, 10)
    before, control, events = captions(folder), Control(), []
    for event in tag_folder(TagJob(folder=folder, options=TagOptions(on_existing="replace")), control):
        events.append(event)
        if isinstance(event, StageProgress) and event.stage == "write" and event.done == 8:
            control.ask("stop")
    assert finished(events).stopped and "Captions written: 8." in messages(events)
    now = captions(folder)
    assert sum(now[name] == before[name] for name in now) == 2
    (journal,) = journals(folder)
    assert journal.state == "done", "a run that was stopped is not completed by the next one"
    undo(folder)
    assert captions(folder) == before


def test_what_a_killed_run_left_is_completed_first(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE", 2)
    folder = pictures.good_folder(tmp_path, 6)
    before = captions(folder)
    job = tag_folder(TagJob(folder=folder, options=TagOptions(on_existing="replace")), Control())
    for event in job:
        if isinstance(event, StageProgress) and event.stage == "write":
            break
    (folder / ".kiln-999999999-5.tmp").write_bytes(b"half")
    job.close()
    assert sum(captions(folder)[name] == before[name] for name in before) == 4
    events = run(folder, on_existing="replace")
    assert "it was completed: Tag 6 pictures." in messages(events)
    assert planned(events) == (0, 0, 6, 0, 0) and tagger.looked_at == 6
    assert not list(folder.glob(".*"))
    undo(folder)
    assert captions(folder) == before


def test_stopping_says_what_is_lost_when_nothing_can_be_kept(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path / "in", 6)
    store_file().mkdir(parents=True)
    control, events = Control(), []
    for event in tag_folder(TagJob(folder=folder, options=TagOptions(on_existing="replace")), control):
        events.append(event)
        if isinstance(event, StageProgress) and event.done == 3:
            control.ask("stop")
    assert finished(events).stopped and "goes on without it" in messages(events)
    assert messages(events).endswith("Nothing was written.")


def cut_off(steps: Iterator[Event]) -> None:
    """Let a job die behind the first captions that it wrote."""
    for event in steps:
        if isinstance(event, StageProgress) and event.stage == "write":
            break
    steps.close()  # type: ignore[attr-defined]


def test_taking_back_that_was_cut_off_is_only_completed(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE", 2)
    folder = pictures.good_folder(tmp_path, 6)
    before = captions(folder)
    run(folder, on_existing="replace")
    first = captions(folder)
    run(folder, on_existing="replace", trigger_word="miru")
    second = captions(folder)
    cut_off(undo_tagging(folder, Control()))
    assert captions(folder) not in (first, second)
    events = undo(folder)
    assert captions(folder) == first and finished(events).num_failed == 0
    assert "Taking captions back was cut off the last time; it was completed: Tag 6 pictures." in messages(events)
    undo(folder)
    assert captions(folder) == before


def test_taking_back_that_cannot_be_completed_touches_no_earlier_step(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE", 2)
    folder = pictures.good_folder(tmp_path, 6)
    run(folder, on_existing="replace")
    first = captions(folder)
    run(folder, on_existing="replace", trigger_word="miru")
    cut_off(undo_tagging(folder, Control()))
    half = captions(folder)
    with monkeypatch.context() as patch:
        fail_at(patch, "p", errno.EACCES)
        with pytest.raises((OSError, UserError)):
            undo(folder)
    assert captions(folder) == half
    undo(folder)
    assert captions(folder) == first


def test_taking_back_is_stopped_between_two_captions_and_goes_on(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE", 2)
    folder = pictures.good_folder(tmp_path, 6)
    before = captions(folder)
    run(folder, on_existing="replace")
    after, control, events = captions(folder), Control(), []
    for event in undo_tagging(folder, control):
        events.append(event)
        if isinstance(event, StageProgress) and event.done == 4:
            control.ask("stop")
    progress = [(event.done, event.total) for event in events if isinstance(event, StageProgress)]
    assert progress == [(2, 6), (4, 6)]
    assert finished(events).stopped and "To take the rest back" in messages(events)
    assert sum(captions(folder)[name] == after[name] for name in after) == 2
    undo(folder)
    assert captions(folder) == before
    with pytest.raises(UserError, match="nothing to take back"):
        undo(folder)


def test_stopping_before_anything_is_taken_back_leaves_all(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 2)
    run(folder, on_existing="replace")
    after, control = captions(folder), Control()
    control.ask("stop")
    assert finished(list(undo_tagging(folder, control))).stopped
    assert captions(folder) == after and latest_journal(folder) is not None


# --- taking back ----------------------------------------------------------------------------------------------------


def test_taking_back_leaves_what_was_edited_since(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 4)
    (folder / "p03.txt").unlink()
    before = captions(folder)
    run(folder, on_existing="replace")
    (folder / "p00.txt").write_text("edited by hand", encoding="utf-8")
    events = undo(folder)
    assert captions(folder) == {**before, "p00.txt": b"edited by hand"}
    assert "Captions brought back: 2; removed, because there was none before: 1." in messages(events)
    assert set(notices(events)) == {"p00.txt"} and finished(events).num_failed == 1
    with pytest.raises(UserError, match="nothing to take back"):
        undo(folder)


def test_each_run_is_taken_back_once_the_last_one_first(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 1, captions=False)
    run(folder)
    run(folder, on_existing="replace", trigger_word="miru")
    assert captions(folder) == {"p00.txt": b"miru, width 96, solo"}
    undo(folder)
    assert captions(folder) == {"p00.txt": b"width 96, solo"}
    undo(folder)
    assert captions(folder) == {}


# --- places that cannot be written ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EROFS, "cannot be written"), (errno.EACCES, "cannot be written"), (errno.ENOSPC, "disk is full")],
)
def test_a_folder_that_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    folder = pictures.good_folder(tmp_path, 2)
    before = pictures.contents(folder)

    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=words):
        run(folder, on_existing="replace")
    assert pictures.contents(folder) == before and tagger.loaded == 0
    assert planned(run(folder, on_existing="replace", write=False)) == (0, 2, 0, 0, 0)


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    real = os.replace

    def replace(source: str, target: str) -> None:
        if Path(target).name.startswith(name):
            raise OSError(number, os.strerror(number), str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)


def test_one_locked_caption_does_not_end_the_run(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path, 4)
    before = captions(folder)
    with monkeypatch.context() as patch:
        fail_at(patch, "p01.txt", errno.EACCES)
        events = run(folder, on_existing="replace")
    assert "could not be written" in notices(events)["p01.png"] and finished(events).num_failed == 1
    assert [name for name, data in captions(folder).items() if data == before[name]] == ["p01.txt"]
    undo(folder)
    assert captions(folder) == before


def test_a_full_disk_names_all_that_was_not_written(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path, 4)
    before = captions(folder)
    with monkeypatch.context() as patch:
        fail_at(patch, "p02.txt", errno.ENOSPC)
        events = run(folder, on_existing="replace")
    assert set(notices(events)) == {"p02.png", "p03.png"} and finished(events).num_failed == 2
    undo(folder)
    assert captions(folder) == before


def test_when_no_caption_can_be_written_the_run_fails_in_words(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path, 2)
    fail_at(monkeypatch, "p", errno.ENOSPC)
    with pytest.raises(UserError, match="disk is full"):
        run(folder, on_existing="replace")


def test_what_is_well_as_it_is_counts_when_a_caption_cannot_be_written(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path, 2)
    (folder / "p00.txt").write_bytes(b"width 96, solo")
    fail_at(monkeypatch, "p01.txt", errno.EACCES)
    events = run(folder, on_existing="replace")
    assert planned(events) == (0, 1, 1, 0, 0) and finished(events).num_failed == 1
    assert "could not be written" in notices(events)["p01.png"]
    assert journals(folder) == [] and finished(events).output is None


def test_a_run_that_wrote_nothing_leaves_no_journal(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path, 3)
    events = []
    for event in tag_folder(TagJob(folder=folder, options=TagOptions(on_existing="replace")), Control()):
        events.append(event)
        if event == StageStarted(stage="write", total=3):
            for name in captions(folder):
                (folder / name).write_text("by hand", encoding="utf-8")
    assert set(captions(folder).values()) == {b"by hand"}
    assert finished(events).num_failed == 3 and finished(events).output is None
    assert journals(folder) == [] and latest_journal(folder) is None
    with pytest.raises(UserError, match="nothing to take back"):
        undo(folder)


def test_without_a_journal_nothing_is_overwritten(
    tmp_path: Path, tagger: WidthTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures.good_folder(tmp_path / "in", 3)
    before = captions(folder)
    (tmp_path / "home").write_text("a file where a folder should be", encoding="utf-8")
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "home"))
    with pytest.raises(UserError, match="cannot be kept"):
        run(folder, on_existing="replace")
    assert captions(folder) == before


def test_without_a_store_tagging_goes_on_and_says_so(tmp_path: Path, tagger: WidthTagger) -> None:
    folder = pictures.good_folder(tmp_path / "in", 3, captions=False)
    store_file().mkdir(parents=True)
    events = run(folder)
    assert len(captions(folder)) == 3 and finished(events).num_failed == 0
    assert "tagging goes on without it" in messages(events)


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
