"""A tagging run that is killed at any moment damages and loses nothing, and the next run does only the rest.

The usual size is small. For a thorough one: KILN_TEST_KILLS=20 KILN_TEST_PICTURES=1000 pytest -s (this file)
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.control import Control
from core.dataset.scan import scan_folder
from core.events import Event, Finished, PictureTagged, StageStarted
from core.jobs import TagJob
from core.runner import worker_environment
from core.tagging.job import tag_folder
from core.tagging.options import TagOptions
from core.tagging.scores import ScoreStore
from core.tagging.writing import undo_tagging
from tests import pictures
from tests.taggers import tiny_tagger

NUM_KILLS = int(os.environ.get("KILN_TEST_KILLS", "5"))
NUM_PICTURES = int(os.environ.get("KILN_TEST_PICTURES", "200"))
WHILE_WRITING = 0.4
"""The share of kills that come while captions are being written, which is a small part of the time."""
OLD = (b"old, caption %d", b"\xef\xbb\xbfwith mark %d\r\n", "1girl, 长发 %d".encode("gbk"), b"", None)


def old_captions(folder: Path) -> dict[Path, bytes]:
    """Write the captions from before: of several kinds, and none for every fifth picture."""
    for path in folder.glob("*.txt"):
        path.unlink()
    captions = {}
    for index in range(NUM_PICTURES):
        data = OLD[index % len(OLD)]
        if data is not None:
            path = folder / f"图 {index:04d}.txt"
            captions[path] = data % index if b"%d" in data else data
            path.write_bytes(captions[path])
    return captions


def captions_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.glob("*.txt")}


DIES = """
import os, signal, sys

num_left, replace = int(sys.argv[1]), os.replace

def replace_or_die(source, target):
    global num_left
    if os.fspath(target).endswith(".txt"):
        if num_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        num_left -= 1
    replace(source, target)

os.replace = replace_or_die
from core.cli import main
main(sys.argv[2:])
"""
"""A run that is killed when it has written so many captions: from outside nobody could meet that moment for certain."""


def kill_at(moment: float, folder: Path, tagger: Path) -> int | None:
    """Start a run in a process of its own and kill it.

    Args:
        moment: 0 to 1; before `1 - WHILE_WRITING` so far into looking, then while captions are being written.
        folder: The pictures.
        tagger: The model.

    Returns:
        How many captions it has written, where that is certain.
    """
    words = ["tag", str(folder), "--model", str(tagger), "--on-existing", "replace", "--trigger", "miru"]
    looking = 1 - WHILE_WRITING
    if moment >= looking:
        num_written = 1 + int((moment - looking) / WHILE_WRITING * (NUM_PICTURES - 2))
        command = [sys.executable, "-c", DIES, str(num_written), *words]
        ended = subprocess.run(command, stdout=subprocess.DEVNULL, env=worker_environment(), check=False)
        assert ended.returncode == -signal.SIGKILL
        return num_written
    command = [sys.executable, "-m", "core.cli", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=worker_environment()) as process:
        assert process.stdout is not None
        last_line = int(moment / looking * 2 * NUM_PICTURES)  # There are two for each picture.
        for number, _ in enumerate(process.stdout):
            if number >= last_line:
                break
        process.kill()
    return None


def run_to_the_end(folder: Path, tagger: Path) -> list[Event]:
    options = TagOptions(tagger=tagger, on_existing="replace", trigger_word="miru")
    return list(tag_folder(TagJob(folder=folder, options=options), Control()))


def num_looked_at(events: list[Event]) -> int:
    """How many pictures the model was needed for: those come after it was loaded."""
    loads = [index for index, event in enumerate(events) if event == StageStarted(stage="load")]
    return sum(isinstance(event, PictureTagged) for event in events[loads[0] :]) if loads else 0


@pytest.mark.skipif(sys.platform == "win32", reason="there a killed process may leave its file open for a moment")
def test_killed_runs_damage_nothing_and_the_next_run_does_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = tiny_tagger(tmp_path / "tagger", bias=[3, -3, 3, 2, 1, 0.5, -3, -3, 3, -3, -3])
    folder = tmp_path / "我的 图片 🦊"
    for index in range(NUM_PICTURES):
        pictures.save(folder / f"图 {index:04d}.png", pictures.scene((24, 24), seed=index))
    chance = random.Random(4)
    moments = [(number + chance.random()) / NUM_KILLS for number in range(NUM_KILLS)]
    moments[0] = 0.0  # Nothing is known yet, however slow the machine is.
    states = []
    for number, moment in enumerate(moments):
        monkeypatch.setenv("KILN_HOME", str(tmp_path / f"home {number}"))
        before = old_captions(folder)
        num_written = kill_at(moment, folder, tagger)
        after_kill = captions_of(folder)
        with ScoreStore.open(tagger) as store:
            num_known = len(store.get(scan_folder(folder).records))

        events = run_to_the_end(folder, tagger)
        assert isinstance(events[-1], Finished) and events[-1].num_failed == 0
        new = captions_of(folder)
        assert len(new) == NUM_PICTURES and all(data.startswith(b"miru, ") for data in new.values())
        assert set(before) <= set(after_kill) <= set(new), "lost captions"
        damaged = [path for path, data in after_kill.items() if data not in (before.get(path), new[path])]
        assert not damaged
        assert num_looked_at(events) == NUM_PICTURES - num_known
        assert not [path for path in folder.iterdir() if path.suffix not in (".png", ".txt")], "left-overs"
        num_new = sum(data == new[path] for path, data in after_kill.items())
        assert num_written in (None, num_new)
        states.append((f"{moment:.2f}", num_known, num_new, num_looked_at(events)))

        list(undo_tagging(folder, Control()))
        assert captions_of(folder) == before
    print("\nmoment, known after the kill, captions new after the kill, looked at by the next run")
    print(*states, sep="\n")
    assert any(0 < num_new < NUM_PICTURES for _, _, num_new, _ in states), "kills while captions are being written"
    assert {num_known > 0 for _, num_known, _, _ in states} == {True, False}, "kills early and late"
