"""The crop editor: frames drawn, moved and resized with real mouse and keys, one step for undo, originals untouched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.background import Background
from app.fit_plans import FitPlans
from app.project import Project
from app.widgets import crop_geometry as geometry
from app.widgets.crop_editor import CropEditor
from core.dataset.edits import UNTOUCHED, Crop, PictureEdits
from core.text import set_language
from tests import pictures

LEFT = Qt.MouseButton.LeftButton
SHIFT, ALT, CONTROL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)
SIZE = (800, 600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "图片 pictures"
    pictures.save(made / "one 😀.png", pictures.scene(SIZE))
    pictures.save(made / "two.jpg", pictures.scene((600, 800), seed=1))
    return made


@pytest.fixture
def plans(project: Project) -> FitPlans:
    return FitPlans(project)


@pytest.fixture
def editor(qtbot: QtBot, project: Project, plans: FitPlans, folder: Path) -> Iterator[CropEditor]:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)
    made = CropEditor(project, plans)
    made.resize(1060, 740)
    made.open(folder / "one 😀.png")
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(lambda: made._image is not None)
    made.canvas.setFocus()
    yield made
    # No thread is left to collect this test's widgets.
    qtbot.waitUntil(lambda: not any(work._waiting for work in made.findChildren(Background)), timeout=20000)
    made.close()


def at(editor: CropEditor, x: float, y: float) -> QPoint:
    """Where a pixel of the picture is on the canvas."""
    rect = editor.canvas.to_view((0, 0, *editor.canvas.size_px))
    zoom = editor.canvas.zoom
    return QPointF(rect.left() + x * zoom, rect.top() + y * zoom).toPoint()


def drag(qtbot: QtBot, editor: CropEditor, start: tuple[float, float], end: tuple[float, float]) -> None:
    canvas = editor.canvas
    qtbot.mousePress(canvas, LEFT, pos=at(editor, *start))
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    for place in (middle, end):
        qtbot.mouseMove(canvas, at(editor, *place))
    qtbot.mouseRelease(canvas, LEFT, pos=at(editor, *end))


def boxes(editor: CropEditor) -> list[tuple[int, int, int, int]]:
    return [crop.box for crop in editor.edits.crops]


def near(box: tuple[int, int, int, int], wanted: tuple[int, int, int, int], pixels: int = 3) -> bool:
    return all(abs(one - other) <= pixels for one, other in zip(box, wanted, strict=True))


def choose(editor: CropEditor, shape: str) -> None:
    editor.shape.setCurrentIndex(editor.shape.findData(shape))
    editor.shape.activated.emit(editor.shape.currentIndex())


# The mouse


def test_a_frame_is_drawn_moved_and_resized_with_the_mouse(qtbot: QtBot, editor: CropEditor) -> None:
    drag(qtbot, editor, (100, 100), (400, 300))
    assert near(boxes(editor)[0], (100, 100, 400, 300))
    drag(qtbot, editor, (250, 200), (350, 260))
    assert near(boxes(editor)[0], (200, 160, 500, 360))
    drag(qtbot, editor, (500, 360), (600, 500))
    assert near(boxes(editor)[0], (200, 160, 600, 500))
    drag(qtbot, editor, (200, 330), (50, 330))
    assert near(boxes(editor)[0], (50, 160, 600, 500))


def test_a_frame_stays_in_the_picture(qtbot: QtBot, editor: CropEditor) -> None:
    drag(qtbot, editor, (500, 300), (700, 500))
    drag(qtbot, editor, (600, 400), (1200, 900))
    left, top, right, bottom = boxes(editor)[0]
    assert (right, bottom) == SIZE
    assert near((left, top, right, bottom), (600, 400, 800, 600))
    drag(qtbot, editor, (left + 2, top + 2), (-300, -300))
    assert boxes(editor)[0] == (0, 0, 800, 600)


@pytest.mark.parametrize(("shape", "ratio"), [("1:1", 1), ("2:3", 2 / 3), ("16:9", 16 / 9), ("original", 4 / 3)])
def test_a_locked_shape_is_kept(qtbot: QtBot, editor: CropEditor, shape: str, ratio: float) -> None:
    choose(editor, shape)
    drag(qtbot, editor, (100, 100), (420, 300))
    left, top, right, bottom = boxes(editor)[0]
    assert abs((right - left) - (bottom - top) * ratio) <= 1
    drag(qtbot, editor, (right, bottom), (790, 590))
    left, top, right, bottom = boxes(editor)[0]
    assert right <= 800 and bottom <= 600
    assert abs((right - left) - (bottom - top) * ratio) <= 1


def test_training_sizes_snap_to_shapes_that_lose_nothing(qtbot: QtBot, editor: CropEditor) -> None:
    choose(editor, "buckets")
    drag(qtbot, editor, (20, 20), (780, 400))
    assert editor.plans[0].cropped_share == pytest.approx(1 - _area(boxes(editor)[0]) / (800 * 600), abs=0.005)


def test_another_shape_reshapes_the_chosen_frame(qtbot: QtBot, editor: CropEditor) -> None:
    drag(qtbot, editor, (100, 100), (500, 200))
    choose(editor, "1:1")
    left, top, right, bottom = boxes(editor)[0]
    assert right - left == bottom - top
    assert abs((left + right) / 2 - 300) <= 3


def test_the_wheel_zooms_at_the_pointer_and_a_double_click_shows_everything(qtbot: QtBot, editor: CropEditor) -> None:
    canvas = editor.canvas
    place = QPointF(at(editor, 200, 150))
    fitted, before = canvas.zoom, canvas.to_picture(place)
    turn = QWheelEvent(
        place,
        canvas.mapToGlobal(place),
        QPoint(),
        QPoint(0, 480),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, turn)
    assert canvas.zoom == pytest.approx(fitted * 1.2**4)
    after = canvas.to_picture(place)
    assert (after - before).manhattanLength() < 0.01
    qtbot.mousePress(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(200, 200))
    qtbot.mouseMove(canvas, QPoint(240, 230))
    qtbot.mouseRelease(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(240, 230))
    moved = canvas.to_picture(place + QPointF(40, 30))
    assert (moved - before).manhattanLength() < 0.01
    qtbot.mouseDClick(canvas, LEFT, pos=QPoint(200, 200))
    assert canvas.zoom == pytest.approx(fitted)
    assert not boxes(editor)


def test_the_space_bar_moves_the_view_instead_of_a_frame(qtbot: QtBot, editor: CropEditor) -> None:
    drag(qtbot, editor, (100, 100), (400, 300))
    before, box = editor.canvas.to_view((0, 0, 1, 1)), boxes(editor)
    qtbot.keyPress(editor.canvas, Qt.Key.Key_Space)
    drag(qtbot, editor, (250, 200), (300, 200))
    qtbot.keyRelease(editor.canvas, Qt.Key.Key_Space)
    assert boxes(editor) == box
    assert editor.canvas.to_view((0, 0, 1, 1)).left() > before.left()


# The keyboard


def test_arrows_move_and_resize_by_pixels(qtbot: QtBot, editor: CropEditor) -> None:
    drag(qtbot, editor, (100, 100), (400, 300))
    left, top, right, bottom = boxes(editor)[0]
    qtbot.keyClick(editor.canvas, Qt.Key.Key_Right)
    qtbot.keyClick(editor.canvas, Qt.Key.Key_Down, SHIFT)
    assert boxes(editor)[0] == (left + 1, top + 10, right + 1, bottom + 10)
    qtbot.keyClick(editor.canvas, Qt.Key.Key_Right, ALT)
    qtbot.keyClick(editor.canvas, Qt.Key.Key_Up, ALT | SHIFT)
    assert boxes(editor)[0] == (left + 1, top + 10, right + 2, bottom)


def test_tab_goes_through_the_frames_and_delete_removes_one(qtbot: QtBot, editor: CropEditor) -> None:
    for _ in range(3):
        qtbot.keyClick(editor.canvas, Qt.Key.Key_D, CONTROL)
    assert len(boxes(editor)) == 3
    first, _, third = boxes(editor)
    editor.canvas.set_current(0)
    qtbot.keyClick(editor.canvas, Qt.Key.Key_Tab)
    assert editor.canvas.current == 1
    qtbot.keyClick(editor.canvas, Qt.Key.Key_Delete)
    assert boxes(editor) == [first, third]
    editor.canvas.set_current(1)
    qtbot.keyClick(editor.canvas, Qt.Key.Key_Tab)
    assert not editor.canvas.hasFocus()


# Names, subject, turns


def test_crops_have_names(qtbot: QtBot, editor: CropEditor) -> None:
    qtbot.mouseClick(editor.add_button, LEFT)
    name = editor.crops.name_box(0)
    assert [name.itemText(row) for row in range(name.count())] == ["Face", "Bust", "Full body"]
    name.lineEdit().setFocus()
    qtbot.keyClicks(name.lineEdit(), "left hand")
    qtbot.keyClick(name.lineEdit(), Qt.Key.Key_Return)
    assert editor.edits.crops[0].name == "left hand"
    assert editor.image is not None  # Enter ended the typing, not the visit.


def test_a_crop_around_the_subject_holds_all_of_it(qtbot: QtBot, editor: CropEditor, plans: FitPlans) -> None:
    assert not editor.subject_button.isEnabled()
    plans.set_subjects({editor.image: (500, 100, 700, 400)})
    qtbot.mouseClick(editor.subject_button, LEFT)
    left, top, right, bottom = boxes(editor)[0]
    assert left <= 500 and top <= 100 and right >= 700 and bottom >= 400
    qtbot.mouseClick(editor.right_button, LEFT)
    qtbot.mouseClick(editor.subject_button, LEFT)
    first, second = boxes(editor)
    assert near(first, second, 2)  # The turned frame is around the turned subject.


def test_turning_takes_the_crops_along(qtbot: QtBot, editor: CropEditor) -> None:
    drag(qtbot, editor, (0, 0), (200, 100))
    box = boxes(editor)[0]
    assert box[:2] == (0, 0)
    qtbot.keyClick(editor.canvas, Qt.Key.Key_R)
    assert editor.edits.turn == 90
    assert editor.canvas.size_px == (600, 800)
    assert boxes(editor)[0] == (600 - box[3], 0, 600, box[2])
    shown = editor.canvas.grab().toImage()
    red = shown.pixelColor(at(editor, 560, 40))
    assert red.red() > 150 and red.green() < 80  # The top left corner is at the top right now.
    for _ in range(3):
        qtbot.mouseClick(editor.right_button, LEFT)
    assert (editor.edits.turn, boxes(editor)[0]) == (0, box)
    qtbot.mouseClick(editor.left_button, LEFT)
    assert editor.edits.turn == 270


# Decisions


def test_everything_of_a_visit_is_one_step(qtbot: QtBot, editor: CropEditor, project: Project, folder: Path) -> None:
    image = editor.image
    before = image.read_bytes()
    drag(qtbot, editor, (100, 100), (400, 300))
    qtbot.keyClick(editor.canvas, Qt.Key.Key_R)
    editor.repeats.setValue(4)
    qtbot.mouseClick(editor.excluded, LEFT, pos=QPoint(8, editor.excluded.height() // 2))
    editor.fit.setCurrentIndex(editor.fit.findData("pad"))
    editor.fit.activated.emit(editor.fit.currentIndex())
    assert project.edits(image) == UNTOUCHED
    with qtbot.waitSignal(editor.closed):
        qtbot.keyClick(editor.canvas, Qt.Key.Key_Return)
    kept = project.edits(image)
    assert (kept.turn, kept.repeats, kept.excluded, kept.fit, len(kept.crops)) == (90, 4, True, "pad", 1)
    assert project.undo_name == "Crop one 😀.png"
    project.undo()
    assert project.edits(image) == UNTOUCHED
    assert project.undo_name == ""
    assert image.read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["one 😀.png", "two.jpg"]


def test_escape_leaves_everything_as_it_was(qtbot: QtBot, editor: CropEditor, project: Project) -> None:
    image = editor.image
    drag(qtbot, editor, (100, 100), (400, 300))
    with qtbot.waitSignal(editor.closed):
        qtbot.keyClick(editor.canvas, Qt.Key.Key_Escape)
    assert project.edits(image) == UNTOUCHED
    assert project.undo_name == ""


def test_moving_on_keeps_what_was_done(qtbot: QtBot, editor: CropEditor, project: Project, folder: Path) -> None:
    image = editor.image
    drag(qtbot, editor, (100, 100), (400, 300))
    with qtbot.waitSignal(editor.picture_requested) as asked:
        qtbot.keyClick(editor.canvas, Qt.Key.Key_PageDown)
    assert asked.args == [1]
    assert len(project.edits(image).crops) == 1
    editor.open(folder / "two.jpg")
    assert not boxes(editor)
    assert editor.canvas.size_px == (600, 800)
    editor.open(image)
    assert len(boxes(editor)) == 1


def test_reset_forgets_every_decision(qtbot: QtBot, editor: CropEditor, project: Project) -> None:
    image = editor.image
    project.edit_pictures("x", {image: PictureEdits(turn=90, repeats=3, crops=(Crop(box=(0, 0, 50, 50)),))})
    assert editor.edits.turn == 90  # What is changed elsewhere shows at once.
    assert editor.repeats.value() == 3
    qtbot.mouseClick(editor.reset_button, LEFT)
    qtbot.mouseClick(editor.done_button, LEFT)
    assert project.edits(image) == UNTOUCHED


def test_the_preview_follows_the_frame(qtbot: QtBot, editor: CropEditor) -> None:
    drag(qtbot, editor, (0, 0), (250, 180))
    qtbot.waitUntil(lambda: editor.preview.is_drawn)
    image = editor.preview.images[0]
    assert image.size().toTuple() == editor.plans[0].target_px
    colour = image.pixelColor(image.width() // 2, image.height() // 2)
    assert near((colour.red(), colour.green(), colour.blue(), 0), (*pictures.CORNERS[0], 0), 12)
    first = editor.crops._rows[0]
    assert "enlarged" in first._line.text()
    assert first._line.property("role") == "warning"


def test_the_fit_of_the_dataset_is_named_and_used(qtbot: QtBot, editor: CropEditor, project: Project) -> None:
    assert editor.fit.currentText() == "Dataset: Keep the shape"
    project.change({"dataset.fit": "crop"})
    assert editor.fit.currentText() == "Dataset: Middle crop"
    assert editor.plans[0].target_px == (512, 512)
    assert editor.edits.fit is None


def test_a_huge_picture_is_shown_small_and_cropped_in_its_own_pixels(
    qtbot: QtBot, editor: CropEditor, project: Project, folder: Path
) -> None:
    Image.new("RGB", (8000, 8000), "navy").save(folder / "wide.png")
    with qtbot.waitSignal(project.records_changed):
        project.rescan()
    editor.open(folder / "wide.png")
    qtbot.waitUntil(lambda: editor._image is not None, timeout=20000)
    assert editor._image.width() == 2560
    drag(qtbot, editor, (2000, 2000), (6000, 6000))
    assert near(boxes(editor)[0], (2000, 2000, 6000, 6000), round(1 / editor.canvas.zoom) + 1)


def test_a_picture_that_is_gone_shows_a_sign(qtbot: QtBot, editor: CropEditor, project: Project, folder: Path) -> None:
    (folder / "two.jpg").unlink()
    editor.open(folder / "two.jpg")
    qtbot.waitUntil(lambda: editor.canvas._is_broken)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_texts_fit_in_the_smallest_window(qtbot: QtBot, editor: CropEditor, language: str, clipped: object) -> None:
    set_language(language)
    editor.retranslate()
    editor.resize(740, 560)
    editor.add_crop()
    QApplication.processEvents()
    assert clipped(editor) == []


def test_another_size_of_the_file_is_taken_up_and_a_lost_one_closes(
    qtbot: QtBot, editor: CropEditor, project: Project, folder: Path
) -> None:
    image = editor.image
    drag(qtbot, editor, (100, 100), (700, 500))
    pictures.save(image, pictures.scene((400, 300)))
    with qtbot.waitSignal(project.records_changed):
        project.rescan()
    assert editor.canvas.size_px == (400, 300)
    assert near(editor.canvas.boxes[0], (100, 100, 400, 300))
    assert len(boxes(editor)) == 1  # What was done before stays.
    image.unlink()
    with qtbot.waitSignal(editor.closed):
        project.rescan()
    assert editor.image is None


# Geometry


def test_the_opposite_sides_stay() -> None:
    box = (100, 100, 300, 200)
    assert geometry.resized(box, (-1, -1), (50, 60), SIZE) == (50, 60, 300, 200)
    assert geometry.resized(box, (1, 0), (999, 0), SIZE) == (100, 100, 800, 200)
    assert geometry.resized(box, (-1, 0), (500, 0), SIZE) == (300 - geometry.MIN_SIDE, 100, 300, 200)
    square = geometry.fixed(1.0)
    assert geometry.resized(box, (1, 1), (300, 400), SIZE, square) == (100, 100, 400, 400)
    assert geometry.resized(box, (-1, -1), (-500, -500), SIZE, square) == (100, 0, 300, 200)


@pytest.mark.parametrize("shape", [0.5, 1.0, 16 / 9])
def test_frames_of_a_shape_always_lie_inside(shape: float) -> None:
    ratio = geometry.fixed(shape)
    for bounds in ((800, 600), (31, 4000), (9, 9)):
        for box in (
            geometry.fresh(bounds, ratio, 5),
            geometry.around((0, 0, *bounds), bounds, ratio),
            geometry.around((bounds[0] - 3, 0, bounds[0], 2), bounds, ratio),
            geometry.resized((0, 0, *bounds), (1, 1), (-50, -50), bounds, ratio),
        ):
            assert 0 <= box[0] < box[2] <= bounds[0], (bounds, box)
            assert 0 <= box[1] < box[3] <= bounds[1], (bounds, box)


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
