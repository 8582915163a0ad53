"""The subject of a picture is found whole, by the built-in detector and by models that users add."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from core.dataset.facts import facts_version
from core.dataset.geometry import Box
from core.dataset.subject import BUILT_IN, Subject, detectors_in_use, find_subject, known_detectors, load_detector
from core.dataset.subject.base import Kind, box_to_keep
from core.errors import UserError
from tests.subjects import SHAPES, crop_for, generated_subject, is_inside

WHITE = (255, 255, 255)


def drawn(size: tuple[int, int], box: Box, ground: tuple[int, int, int] = WHITE) -> Image.Image:
    """A red block with a blue head on a plain ground; together they fill the box."""
    picture = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = box
    neck = top + (bottom - top) // 3
    draw.rectangle((left, neck, right - 1, bottom - 1), fill=(190, 40, 50))
    draw.ellipse((left + (right - left) // 4, top, right - (right - left) // 4, neck + 4), fill=(40, 60, 170))
    return picture


def contains(outer: Box | None, inner: Box) -> bool:
    return outer is not None and is_inside(inner, outer)


# --- the built-in detector ----------------------------------------------------------------------------------------


def test_most_subjects_stay_whole_in_crops_of_every_shape() -> None:
    whole, centred, ratios = [], [], []
    for seed in range(40):
        picture, truth, _ = generated_subject(seed)
        found = find_subject(picture)
        assert found is not None
        ratios.append(area(found) / area(truth))
        for aspect in SHAPES.values():
            whole.append(is_inside(truth, crop_for(picture.size, aspect, found)))
            centred.append(is_inside(truth, crop_for(picture.size, aspect, None)))
    assert np.mean(whole) >= 0.88
    assert np.mean(centred) < 0.6  # Else the pictures would prove nothing.
    # A box of the whole picture would keep everything, and be of no use.
    assert np.median(ratios) < 1.8 and np.mean(ratios) < 3.5


@pytest.mark.slow
def test_of_two_hundred_subjects_nineteen_in_twenty_stay_whole() -> None:
    whole, centred = [], []
    for seed in range(9000, 9200):  # Pictures that the detector was not made with.
        picture, truth, _ = generated_subject(seed)
        found = find_subject(picture)
        whole += [is_inside(truth, crop_for(picture.size, aspect, found)) for aspect in SHAPES.values()]
        centred += [is_inside(truth, crop_for(picture.size, aspect, None)) for aspect in SHAPES.values()]
    assert np.mean(whole) >= 0.95
    assert np.mean(centred) < 0.5


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (7, 7)])
def test_what_has_no_room_for_a_subject_has_none(size: tuple[int, int]) -> None:
    assert find_subject(Image.new("RGB", size, (200, 30, 30))) is None


@pytest.mark.parametrize("colour", [WHITE, (0, 0, 0), (128, 90, 60)])
def test_a_blank_picture_has_no_subject(colour: tuple[int, int, int]) -> None:
    assert find_subject(Image.new("RGB", (300, 200), colour)) is None


def test_a_plain_gradient_has_no_subject() -> None:
    ramp = Image.linear_gradient("L").resize((400, 300))
    assert find_subject(Image.merge("RGB", (ramp, ramp, Image.new("L", ramp.size, 120)))) is None


def test_a_long_strip_keeps_its_subject() -> None:
    truth = (1500, 20, 1560, 100)
    found = find_subject(drawn((2000, 120), truth))
    assert contains(found, truth)
    assert found is not None and found[2] - found[0] < 300


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_other_kinds_of_pixels_are_understood(mode: str) -> None:
    truth = (60, 50, 130, 190)
    assert contains(find_subject(drawn((320, 240), truth).convert(mode)), truth)


def test_a_body_that_leaves_the_lower_edge_is_kept_to_the_edge() -> None:
    truth = (40, 90, 240, 300)
    found = find_subject(drawn((400, 300), truth, (225, 205, 160)))
    assert contains(found, truth)
    assert found is not None and area(found) < 2 * area(truth)


@pytest.mark.parametrize("colour", [(0, 0, 0), WHITE])
@pytest.mark.parametrize("is_upright", [True, False])
def test_letterbox_bars_are_no_subject(colour: tuple[int, int, int], is_upright: bool) -> None:
    truth = (40, 70, 100, 190)
    picture = Image.new("RGB", (320, 330) if is_upright else (420, 240), colour)
    x, y = (0, 45) if is_upright else (50, 0)
    picture.paste(drawn((320, 240), truth, (120, 170, 140)), (x, y))
    expected = (truth[0] + x, truth[1] + y, truth[2] + x, truth[3] + y)
    found = find_subject(picture)
    assert contains(found, expected)
    assert found is not None and area(found) < 2 * area(expected)


def test_a_black_coat_on_black_is_not_taken_for_a_bar() -> None:
    picture = Image.new("RGB", (300, 300), (0, 0, 0))
    ImageDraw.Draw(picture).ellipse((180, 60, 240, 130), fill=(240, 210, 190))
    assert contains(find_subject(picture), (180, 60, 241, 131))


def test_the_same_picture_gives_the_same_box_at_any_size() -> None:
    truth = (300, 100, 500, 560)
    picture = drawn((900, 600), truth, (200, 220, 240))
    once, again = find_subject(picture), find_subject(picture.copy())
    assert once == again
    small = find_subject(picture.resize((225, 150), Image.Resampling.BOX))
    assert once is not None and small is not None
    assert np.abs(np.array(small) * 4 - np.array(once)).max() <= 24


def area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


# --- the rule -----------------------------------------------------------------------------------------------------


def subject(kind: Kind, box: Box, score: float = 0.9) -> Subject:
    return Subject(box=box, score=score, kind=kind)


def test_certain_persons_are_kept_together() -> None:
    found = [
        subject("person", (100, 100, 200, 400)),
        subject("person", (300, 120, 400, 420), 0.8),
        subject("person", (700, 100, 800, 400), 0.4),
        subject("person", (900, 100, 910, 120), 0.9),
        subject("head", (600, 0, 700, 100)),
    ]
    assert box_to_keep(found, (1000, 500)) == (100, 100, 400, 420)


def test_a_head_gets_room_for_its_body() -> None:
    assert box_to_keep([subject("head", (450, 100, 550, 200))], (1000, 1000)) == (350, 100, 650, 600)


def test_a_face_gets_room_for_hair_and_body() -> None:
    found = box_to_keep([subject("face", (460, 200, 540, 280))], (1000, 1000))
    assert found is not None
    assert contains(found, (440, 160, 560, 600)) and found[1] < 200


def test_a_body_ends_where_the_picture_ends() -> None:
    assert box_to_keep([subject("head", (0, 100, 100, 200))], (220, 300)) == (0, 100, 200, 300)


@pytest.mark.parametrize("box", [(500, 0, 600, 100), (20, 20, 20, 80)])
def test_what_lies_outside_or_is_empty_is_no_subject(box: Box) -> None:
    assert box_to_keep([subject("person", box)], (400, 300)) is None


# --- detectors of the user ----------------------------------------------------------------------------------------


def tiny_detector(
    folder: Path, rows: Sequence[Sequence[float]], *, form: str = "v8", names: object = None, side: int | str = 64
) -> Path:
    """An ONNX detector that always finds the same: rows of centre x, centre y, width, height, scores in its pixels."""
    folder.mkdir(parents=True)
    values = np.array(rows, np.float32)[None]
    values = values.transpose(0, 2, 1) if form == "v8" else values
    nodes = [
        # The picture counts, but for nothing: 0 * its sum is added.
        helper.make_node("ReduceSum", ["images"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, values.shape)],
        [numpy_helper.from_array(values, "rows"), numpy_helper.from_array(np.float32(0), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if names is not None:
        helper.set_model_props(model, {"names": str(names)})
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


FILLER = [[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]] * 8


def test_a_yolo_v8_model_finds_boxes_in_pixels_of_the_picture(tmp_path: Path) -> None:
    rows = [
        [16, 32, 8, 16, 0.9, 0.1],
        [17, 32, 8, 16, 0.8, 0.0],  # The same person again.
        [40, 32, 8, 8, 0.0, 0.7],
        [40, 32, 8, 8, 0.2, 0.0],  # Too uncertain.
        *FILLER,
    ]
    tiny_detector(tmp_path / "anime", rows, names={0: "person", 1: "head"})
    detector = load_detector("anime", tmp_path)
    # 128 x 64 becomes 64 x 32, with 16 grey rows above.
    assert detector.find(Image.new("RGB", (128, 64))) == [
        Subject(box=(24, 16, 40, 48), score=0.9, kind="person"),
        Subject(box=(72, 24, 88, 40), score=0.7, kind="head"),
    ]
    assert find_subject(Image.new("RGB", (128, 64)), detector) == (24, 16, 40, 48)


def test_a_yolo_v5_model_counts_objectness(tmp_path: Path) -> None:
    rows = [[32, 32, 20, 40, 0.9, 0.9], [10, 10, 4, 4, 0.3, 0.9], *FILLER]
    tiny_detector(tmp_path / "person_v5", rows, form="v5")
    found = load_detector("person_v5", tmp_path).find(Image.new("RGB", (64, 64)))
    assert found == [Subject(box=(22, 12, 42, 52), score=0.81, kind="person")]


@pytest.mark.parametrize(
    ("folder", "names", "labels", "kind"),
    [
        ("some", {0: "face"}, None, "face"),
        ("some", {0: "face"}, ["head"], "head"),
        ("some", None, {"0": "girl"}, "person"),
        ("anime_head_detection", None, None, "head"),
        ("some", "no table", None, "subject"),
    ],
)
def test_the_kind_comes_from_labels_then_metadata_then_folder(
    tmp_path: Path, folder: str, names: object, labels: object, kind: str
) -> None:
    tiny_detector(tmp_path / folder, [[32, 32, 20, 20, 0.9], *(row[:5] for row in FILLER)], names=names)
    if labels is not None:
        (tmp_path / folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    assert [one.kind for one in load_detector(folder, tmp_path).find(Image.new("RGB", (64, 64)))] == [kind]


def test_detectors_of_the_user_are_listed_behind_the_built_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path))
    assert known_detectors() == [BUILT_IN]
    place = tmp_path / "models" / "detectors"
    tiny_detector(place / "检测 人物 🦊", [[32, 32, 20, 20, 0.9], *(row[:5] for row in FILLER)])
    (place / "empty").mkdir()
    assert known_detectors() == [BUILT_IN, "检测 人物 🦊"]
    assert load_detector(BUILT_IN).name == BUILT_IN
    assert len(load_detector("检测 人物 🦊").find(Image.new("RGB", (64, 64)))) == 1


def test_a_detector_is_loaded_once_until_its_file_changes(tmp_path: Path) -> None:
    path = tiny_detector(tmp_path / "person", [[32, 32, 20, 20, 0.9], *(row[:5] for row in FILLER)])
    first = load_detector("person", tmp_path)
    assert load_detector("person", tmp_path) is first
    os.utime(path, ns=(1, 2_000_000_000))
    changed = load_detector("person", tmp_path)
    assert changed is not first
    assert changed.version != first.version


@pytest.mark.parametrize("name", ["absent", "", "..", "a/b"])
def test_an_unknown_detector_is_an_error_in_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no subject detector"):
        load_detector(name, tmp_path)


def test_a_damaged_model_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"model\.onnx in .* is damaged"):
        load_detector("broken", tmp_path)


def test_damaged_labels_are_an_error_in_words(tmp_path: Path) -> None:
    tiny_detector(tmp_path / "person", [[32, 32, 20, 20, 0.9], *(row[:5] for row in FILLER)])
    (tmp_path / "person" / "labels.json").write_text("7", encoding="utf-8")
    with pytest.raises(UserError, match=r"labels\.json in .* is damaged"):
        load_detector("person", tmp_path)


@pytest.mark.parametrize("names", [["person"], ["person", "head", "face"]])
def test_a_model_with_another_number_of_classes_is_no_detector(tmp_path: Path, names: list[str]) -> None:
    tiny_detector(tmp_path / "odd", [[32, 32, 20, 20, 0.9, 0.1], *FILLER], names=names)
    with pytest.raises(UserError, match="no detector that Kiln knows"):
        load_detector("odd", tmp_path)


# --- which detector is asked --------------------------------------------------------------------------------------


class Fixed:
    """A detector that always finds the same."""

    name, version = "fixed", 1

    def __init__(self, *subjects: Subject) -> None:
        self.subjects = list(subjects)

    def find(self, image: Image.Image) -> list[Subject]:
        return self.subjects


def test_detectors_of_the_user_win_and_the_built_in_one_helps_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path))
    picture, _, _ = generated_subject(1)
    usual, without = find_subject(picture), detectors_in_use()
    model = tmp_path / "models" / "detectors" / "anime_person" / "model.onnx"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"stands for a model")
    assert detectors_in_use() != without
    own = Fixed(Subject(box=(10, 20, 60, 90), score=0.9, kind="person"))
    monkeypatch.setattr("core.dataset.subject._loaded", lambda *_: own)
    assert find_subject(picture) == (10, 20, 60, 90)
    own.subjects.clear()
    assert find_subject(picture) == usual


def test_other_detectors_make_remembered_facts_outdated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_HOME", str(tmp_path))
    before = facts_version()
    model = tmp_path / "models" / "detectors" / "heads" / "model.onnx"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"x")
    assert facts_version() != before
