"""A dataset file remembers what was decided, survives damage, and is never written over by an older Kiln."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from core.config import DatasetConfig
from core.dataset.edits import (
    UNTOUCHED,
    Concept,
    Crop,
    DatasetFile,
    PictureEdits,
    dataset_file_of,
    dataset_of,
    load_dataset,
    save_dataset,
)
from core.errors import UserError
from core.jobs import CheckJob, PrepareJob, TagJob

FOLDER = Path("/图片/my pictures 🦊")
CONTENT = DatasetFile(
    concepts=(Concept(folder=FOLDER, repeats=3), Concept(folder=Path("/other"), is_regularization=True)),
    pictures={
        str(FOLDER / "a.png"): PictureEdits(excluded=True),
        str(FOLDER / "b.png"): PictureEdits(
            turn=90, fit="pad", repeats=2, crops=(Crop(box=(1, 2, 30, 40), name="face"),)
        ),
    },
    view={"order": "name"},
)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "d.json"
    save_dataset(path, CONTENT)
    assert load_dataset(path) == (CONTENT, "")
    dataset = dataset_of(CONTENT)
    assert dataset.folder == FOLDER and dataset.edits(FOLDER / "a.png").excluded
    assert dataset.edits(FOLDER / "c.png") == UNTOUCHED


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_a_name_that_is_no_text_comes_back(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(b"/bad \xff name"))
    content = DatasetFile(concepts=(Concept(folder=folder),), pictures={str(folder / "x.png"): PictureEdits(repeats=5)})
    save_dataset(tmp_path / "d.json", content)
    assert load_dataset(tmp_path / "d.json")[0] == content
    assert dataset_of(content).edits(folder / "x.png").repeats == 5


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_a_name_that_is_no_text_does_not_cost_the_backup(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    name = str(FOLDER / os.fsdecode(b"bad \xff.png"))
    content = CONTENT.model_copy(update={"pictures": {name: PictureEdits(repeats=5)}})
    save_dataset(path, content)
    save_dataset(path, CONTENT)
    path.unlink()
    assert load_dataset(path)[0] == content


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    save_dataset(path, CONTENT)
    crop = Crop(box=(0, 0, 9, 9)).model_copy(update={"box": (-5, 0, 9, 9)})
    edits = PictureEdits().model_copy(update={"crops": (crop,)})
    with pytest.raises(ValueError, match="left edge"):
        save_dataset(path, CONTENT.model_copy(update={"pictures": {"/a.png": edits}}))
    assert load_dataset(path) == (CONTENT, "") and not path.with_name("d.json.backup").exists()


@pytest.mark.parametrize("ending", [".png", ".JPG", ".Tiff", ".heic"])
def test_captions_never_have_the_ending_of_pictures(ending: str) -> None:
    for make in (
        lambda: Concept(folder=FOLDER, caption_extension=ending),
        lambda: DatasetConfig(caption_extension=ending),
        lambda: TagJob(folder=FOLDER, caption_extension=ending),
        lambda: PrepareJob(folder=FOLDER, target=FOLDER, caption_extension=ending),
        lambda: CheckJob(folder=FOLDER, caption_extension=ending),
    ):
        with pytest.raises(ValueError, match="an ending that no pictures have"):
            make()
    assert Concept(folder=FOLDER, caption_extension=".caption").caption_extension == ".caption"


def test_folders_in_a_file_are_absolute() -> None:
    with pytest.raises(ValueError, match="absolute"):
        DatasetFile(concepts=(Concept(folder=Path("pictures")),))


@pytest.mark.parametrize("damage", [b"", b"{", b"\0" * 500, b'{"version": 1}', b"[]", b"\xff\xfe", b"[" * 200_000])
def test_a_damaged_file_gives_way_to_its_backup(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "d.json"
    save_dataset(path, CONTENT)
    save_dataset(path, CONTENT.model_copy(update={"view": {}}))
    path.write_bytes(damage)
    content, notice = load_dataset(path)
    assert content == CONTENT and "backup" in notice and "d.json" in notice
    save_dataset(path, content)  # The damaged file must not become the backup.
    path.write_bytes(damage)
    assert load_dataset(path)[0] == CONTENT


def test_a_file_that_is_gone_gives_way_to_its_backup(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    save_dataset(path, CONTENT)
    save_dataset(path, CONTENT)
    path.unlink()
    assert load_dataset(path)[0] == CONTENT


def test_file_and_backup_damaged_is_said(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_bytes(b"{")
    path.with_name("d.json.backup").write_bytes(b"{")
    with pytest.raises(UserError, match="damaged") as caught:
        load_dataset(path)
    assert caught.value.remedy


def test_a_file_of_a_newer_version_is_refused_not_its_backup_taken(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    save_dataset(path, CONTENT)
    save_dataset(path, CONTENT)
    values = json.loads(path.read_text(encoding="utf-8")) | {"version": 2, "something new": 1}
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match="newer"):
        load_dataset(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_dataset(tmp_path / "d.json")


@pytest.mark.parametrize("box", [(5, 0, 5, 9), (0, 9, 5, 9), (-1, 0, 5, 5), (7, 0, 5, 5)])
def test_a_crop_without_an_inside_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError):
        Crop(box=box)


def test_every_folder_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path))
    folders = [Path("/a/pictures"), Path("/b/pictures"), Path("/"), Path("/深/图"), Path("/x/" + "n" * 250)]
    files = [dataset_file_of(folder) for folder in folders]
    assert len(set(files)) == len(files)
    for file in files:
        save_dataset(file, CONTENT)
        assert file.parent == tmp_path / "datasets"
