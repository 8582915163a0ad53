"""`kiln prepare FOLDER --check`: one JSON line per finding in a pipe, readable groups on a terminal."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from core import check_report, cli
from core.console import Reporter
from core.dataset.edits import Concept, DatasetFile, PictureEdits, save_dataset
from tests import pictures


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = pictures.good_folder(tmp_path / "我的 图片 🦊", 3)
    (folder / "p01.txt").unlink()
    (folder / "p02.png").write_bytes((folder / "p02.png").read_bytes()[:-60])
    (folder / "alone.txt").write_text("nobody", encoding="utf-8")
    return folder


def findings(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_line_in_a_pipe_is_a_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pictures.contents(folder)
    assert cli.main(["prepare", str(folder), "--check"]) == cli.DONE
    found = findings(capsys)
    assert all({"file", "problem", "remedy", "message", "severity"} <= set(line) for line in found)
    said = {(Path(str(line["file"])).name, line["problem"]) for line in found}
    assert {("p01.png", "no_caption"), ("p02.png", "truncated"), ("alone.txt", "orphan_caption")} <= said
    assert all(line["remedy"] for line in found)
    assert pictures.contents(folder) == before


def test_small_pictures_are_judged_by_the_asked_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures.good_folder(tmp_path / "in", 2)
    assert cli.main(["prepare", str(folder), "--check", "--size", "64"]) == cli.DONE
    assert "tiny" not in {line["problem"] for line in findings(capsys)}
    assert cli.main(["prepare", str(folder), "--check", "--size", "1024"]) == cli.DONE
    assert "tiny" in {line["problem"] for line in findings(capsys)}


def test_what_was_left_out_is_not_judged(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = {str(folder / "p02.png"): PictureEdits(excluded=True)}
    save_dataset(tmp_path / "d.json", DatasetFile(concepts=(Concept(folder=folder),), pictures=out))
    assert cli.main(["prepare", str(folder), "--check", "--edits", str(tmp_path / "d.json")]) == cli.DONE
    assert "p02.png" not in {Path(str(line["file"])).name for line in findings(capsys)}


def test_each_folder_has_its_ending_of_captions(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = pictures.good_folder(tmp_path / "other", 1)
    (other / "note.txt").write_text("no caption", encoding="utf-8")
    (other / "alone.caption").write_text("nobody", encoding="utf-8")
    concepts = (Concept(folder=folder), Concept(folder=other, caption_extension=".caption"))
    save_dataset(tmp_path / "d.json", DatasetFile(concepts=concepts))
    assert cli.main(["prepare", str(folder), "--check", "--edits", str(tmp_path / "d.json")]) == cli.DONE
    orphans = {line["file"] for line in findings(capsys) if line["problem"] == "orphan_caption"}
    assert orphans == {str(folder / "alone.txt"), str(other / "alone.caption")}


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_a_name_that_is_no_text_survives_the_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures.good_folder(tmp_path / "in", 2)
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/bad \xff.png"))
    pictures.save(folder / "x.png").rename(odd)
    assert cli.main(["prepare", str(folder), "--check"]) == cli.DONE
    assert str(odd) in {line["file"] for line in findings(capsys)}


def test_a_missing_folder_is_one_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prepare", str(tmp_path / "无 nowhere"), "--check"]) == cli.FAILED
    (line,) = findings(capsys)
    assert line["kind"] == "failed" and "无 nowhere" in str(line["message"]) and line["remedy"]


def test_on_a_terminal_findings_are_grouped_by_problem(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(check_report, "MOST_NAMED", 2)
    pictures.good_folder(folder / "5_more", 2)
    for caption in (folder / "5_more").glob("*.txt"):
        caption.unlink()
    assert cli.main(["prepare", str(folder), "--check"]) == cli.DONE
    said = capsys.readouterr().out
    assert "Pictures that are cut off (1)" in said and "No caption (3)" in said and "and 1 more" in said
    assert said.count("Let the tagger write one") == 1
    assert "{" not in said


def test_a_check_that_failed_does_not_say_that_all_is_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert cli.main(["prepare", str(tmp_path / "nowhere"), "--check"]) == cli.FAILED
    said = "".join(capsys.readouterr())
    assert "does not exist" in said
    assert "sound" not in said


def test_nothing_to_mend_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert check_report.show([], Reporter()) == (False, False)
    assert "Nothing to mend" in capsys.readouterr().out
