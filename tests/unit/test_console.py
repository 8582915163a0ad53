"""Events as people see them at a terminal, and as programs read them in a pipe."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.console import Reporter, duration
from core.errors import UserError
from core.events import (
    Adapted,
    BestEpoch,
    CaptionsPlanned,
    DownloadProgress,
    Event,
    Failed,
    Finished,
    JobStarted,
    LoraSaved,
    Notice,
    PictureTagged,
    StageProgress,
    StageStarted,
    StepDone,
    Validated,
    from_line,
)
from core.jobs import failure

BUG = Failed(message="It broke.", remedy="Report it.", detail="Traceback: line 7")
KNOWN = failure(UserError("The disk is full.", remedy="Free some space."))


class FakeOutput(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


Say = Callable[..., str]


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Say:
    """What stands on a wide terminal after some events."""

    def say(*events: Event) -> str:
        output = FakeOutput(terminal=True)
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setenv("COLUMNS", "200")
        reporter = Reporter()
        for event in events:
            reporter.show(event)
        return output.getvalue()

    return say


def steps(numbers: range, *, before_s: float = 0.0, each_s: float = 2.0, total: int = 100) -> list[StepDone]:
    return [
        StepDone(
            step=number,
            total_steps=total,
            epoch=1,
            total_epochs=2,
            loss=0.5,
            learning_rate=1e-4,
            elapsed_s=before_s + each_s * (number - numbers.start + 1),
        )
        for number in numbers
    ]


def last_line(text: str) -> str:
    return text.rpartition("\r\033[K")[2]


def test_a_bar_moves_on_one_line(at_terminal: Say) -> None:
    said = at_terminal(
        StageStarted(stage="cache", total=4),
        StageProgress(stage="cache", done=2, total=4),
        StageProgress(stage="cache", done=4, total=4),
    )
    assert "\n" not in said
    assert "Encoding the pictures  ████████████░░░░░░░░░░░░ 2/4" in said
    assert last_line(said).split() == ["Encoding", "the", "pictures", "█" * 24, "4/4"]


def test_a_step_shows_how_far_it_is_and_how_long_it_takes(at_terminal: Say) -> None:
    line = last_line(at_terminal(*steps(range(1, 51))))
    assert line.startswith("Training  ████████████░░░░░░░░░░░░ 50/100  epoch 1/2  loss 0.5000")
    assert line.endswith("1:40 left")


def test_time_left_after_resume_counts_only_what_this_sitting_saw(at_terminal: Say) -> None:
    resumed = steps(range(51, 54), before_s=7200.0)
    assert "left" not in at_terminal(resumed[0])
    for number in (2, 3):
        assert last_line(at_terminal(*resumed[:number])).endswith(f"{duration(2 * (100 - 50 - number))} left")


def test_time_left_is_a_mean_at_first_and_follows_the_newest_steps_later(at_terminal: Say) -> None:
    slow_start = [*steps(range(1, 3), each_s=10.0), *steps(range(3, 5), before_s=20.0, each_s=2.0)]
    assert last_line(at_terminal(*slow_start)).endswith(f"{duration((10 + 2 + 2) / 3 * 96)} left")
    slower = [*steps(range(1, 301), total=1000), *steps(range(301, 501), before_s=600.0, each_s=4.0, total=1000)]
    assert last_line(at_terminal(*slower)).endswith(f"{duration(4 * 500)} left")


def test_a_second_training_is_timed_anew(at_terminal: Say) -> None:
    assert "left" not in last_line(at_terminal(*steps(range(1, 51), each_s=60.0), *steps(range(1, 2))))


def test_sentences_leave_the_bar_and_stand_on_their_own(at_terminal: Say, tmp_path: Path) -> None:
    said = at_terminal(
        JobStarted(job="train", device="CPU", precision="fp32", total_steps=8, num_images=4),
        *steps(range(1, 2)),
        Notice(message="All is well."),
        Notice(level="warning", message="It is blurred.", image=tmp_path / "图.png"),
        LoraSaved(path=tmp_path / "a.safetensors", step=1, epoch=1, size_bytes=2_500_000),
        Finished(output=tmp_path, elapsed_s=187, stopped=True),
    )
    assert said.splitlines()[0] == "4 pictures, 8 steps on CPU in fp32"
    assert said.splitlines()[-4:] == [
        "· All is well.",
        "! 图.png: It is blurred.",
        f"✓ {tmp_path / 'a.safetensors'} (2.5 MB)",
        f"✓ Stopped, work saved (3:07) {tmp_path}",
    ]


def test_a_file_is_told_with_what_was_found_in_it(at_terminal: Say, tmp_path: Path) -> None:
    sound = LoraSaved(path=tmp_path / "a.safetensors", step=1, epoch=1, size_bytes=2_500_000, num_modules=264)
    broken = replace(sound, problems=("One thing.", "Another."))
    assert at_terminal(sound).splitlines() == [f"✓ {sound.path} (2.5 MB), 264 modules checked"]
    assert at_terminal(broken).splitlines() == [f"! {sound.path} (2.5 MB)", "  ! One thing.", "  ! Another."]


def test_a_run_tells_what_it_measured_what_it_changed_and_which_epoch_is_best(at_terminal: Say) -> None:
    shown = at_terminal(
        Validated(step=8, epoch=2, loss=0.12345, num_pictures=2),
        Adapted(step=8, cause="memory", message="Kiln goes on with less memory."),
        BestEpoch(epoch=2, step=8, path=Path("/out/a-000002.safetensors"), reason="It fell."),
        Finished(stopped=True, paused=True, elapsed_s=3.0),
    )
    assert "held-out loss 0.1235 after epoch 2" in shown or "held-out loss 0.1234 after epoch 2" in shown
    assert "! Kiln goes on with less memory." in shown
    assert "Best epoch: 2 (a-000002.safetensors). It fell." in shown
    assert "Paused (3 s)" in shown


def test_captions_that_change_and_what_becomes_of_all(at_terminal: Say, tmp_path: Path) -> None:
    said = at_terminal(
        StageProgress(stage="tag", done=1, total=2),
        PictureTagged(image=tmp_path / "图.png", caption="a, b", outcome="new", tags=(("a", 0.9, "general"),)),
        PictureTagged(image=tmp_path / "b.png", caption="x", outcome="kept"),
        CaptionsPlanned(new=1, changed=2, unchanged=3, kept=4, failed=5),
        Finished(elapsed_s=3, num_failed=5),
    )
    assert [last_line(line) for line in said.split("\n")[:-1]] == [  # The bar is gone before the sentence.
        "  图.png: a, b",
        "· Captions: 1 new, 2 changed, 3 the same, 4 kept; failed: 5.",
        "! Done, but 5 failed (3 s)",
    ]


def test_a_download_shows_how_much_how_fast_and_how_long(at_terminal: Say) -> None:
    half = DownloadProgress(file="model.onnx", done_bytes=200_000_000, total_bytes=400_000_000, bytes_per_s=2e6)
    said = at_terminal(StageStarted(stage="download"), half)
    assert "\n" not in said
    assert last_line(said) == "model.onnx  ████████████░░░░░░░░░░░░ 200.0/400.0 MB  2.0 MB/s  1:40 left"
    silent = DownloadProgress(file="model.onnx", done_bytes=1_500_000, total_bytes=0)
    assert last_line(at_terminal(silent)) == "model.onnx  1.5 MB"


def test_a_known_error_is_two_sentences_and_only_a_bug_shows_its_details(
    at_terminal: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert KNOWN.detail
    assert at_terminal(KNOWN) == "✗ The disk is full.\n  Free some space.\n"
    assert capsys.readouterr().err == ""
    assert at_terminal(BUG) == "✗ It broke.\n  Report it.\n"
    assert capsys.readouterr().err == "Traceback: line 7\n"


def test_a_pipe_gets_every_event_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = FakeOutput(terminal=False)
    monkeypatch.setattr(sys, "stdout", output)
    reporter = Reporter()
    events: list[Event] = [StageStarted(stage="scan"), *steps(range(1, 3)), Notice(message="完"), KNOWN, BUG]
    for event in events:
        reporter.show(event)
    reporter.say("Stopping.")
    assert [from_line(line) for line in output.getvalue().splitlines()] == events
    assert capsys.readouterr().err.splitlines() == [
        "The disk is full. Free some space.",
        "It broke. Report it.",
        "Stopping.",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (187, "3:07"), (3753, "1:02:33")])
def test_durations_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
