"""What the window says about training sizes: grid, small pictures, preview, fit panel and export agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from app import theme
from app.background import Background
from app.fit_plans import FitPlans
from app.project import Project
from app.widgets import picture_card
from app.widgets.bucket_table import ENLARGED, PICTURES, Trained, summarize
from app.widgets.export_dialog import ExportDialog
from app.widgets.fit_panel import FitPanel
from app.widgets.image_grid import ImageGrid
from app.widgets.thumbnails import PictureKey, ThumbnailLoader, read_picture
from app.widgets.trained_preview import TrainedPreview, plan_text
from core.dataset.doctor.findings import finding
from core.dataset.edits import UNTOUCHED, Crop, Fit, PictureEdits
from core.dataset.fitting import FitOptions, FitPlan, fit_image, plans_of
from core.dataset.images import open_image
from core.dataset.records import ImageRecord
from core.events import Event, Failed, Finished, JobStarted, Notice, StageProgress, StageStarted
from core.jobs import Job, PrepareJob
from core.runner import LocalRun
from core.text import set_language
from core.training.data import Example
from core.training.pixels import pixels_of
from tests import pictures

LEFT = Qt.MouseButton.LeftButton
SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
NOTHING = Qt.KeyboardModifier.NoModifier
SUBJECT = (500, 40, 780, 380)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures: ten wide ones, a tall one and a small one."""
    made = tmp_path / "pictures"
    for number in range(10):
        pictures.save(made / f"wide_{number}.png", pictures.scene((960, 576), seed=number))
    pictures.save(made / "xtall.jpg", pictures.scene((576, 960)), quality=95)
    pictures.save(made / "ztiny.png", pictures.scene((120, 120)))
    return made


@pytest.fixture
def plans(project: Project) -> FitPlans:
    return FitPlans(project)


@pytest.fixture
def opened(qtbot: QtBot, project: Project, folder: Path) -> Project:
    with qtbot.waitSignal(project.records_changed):
        project.open_folder(folder)
    return project


def settle(qtbot: QtBot, widget: object) -> None:
    """No thread is left to collect a test's widgets."""
    qtbot.waitUntil(lambda: not any(work._waiting for work in widget.findChildren(Background)), timeout=20000)


# The grid


@pytest.fixture
def grid(qtbot: QtBot, opened: Project, plans: FitPlans) -> Iterator[ImageGrid]:
    loader = ThumbnailLoader()
    made = ImageGrid(loader, opened, plans)
    made.resize(620, 760)  # Three columns, three rows.
    made.images.set_records(opened.scan.records)
    with qtbot.waitExposed(made):
        made.show()
    made.setFocus()
    yield made
    made.close()
    loader.shut_down()


def click(
    qtbot: QtBot, grid: ImageGrid, row: int, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    qtbot.mouseClick(grid.viewport(), LEFT, modifier, grid.visualRect(grid.images.index(row)).center())


def rows(grid: ImageGrid) -> list[int]:
    return [grid.images.row_of(record.path) for record in grid.selected()]


def test_pictures_are_selected_as_in_a_file_manager(qtbot: QtBot, grid: ImageGrid) -> None:
    told: list[tuple[Path, ...]] = []
    grid.selection_changed.connect(told.append)
    click(qtbot, grid, 1)
    click(qtbot, grid, 4, SHIFT)
    assert rows(grid) == [1, 2, 3, 4]
    click(qtbot, grid, 2, CONTROL)
    assert rows(grid) == [1, 3, 4]
    qtbot.waitUntil(lambda: bool(told) and len(told[-1]) == 3)
    assert told[-1] == tuple(record.path for record in grid.selected())
    assert grid.current().path.name == "wide_2.png"
    qtbot.keyClick(grid, Qt.Key.Key_A, CONTROL)
    qtbot.waitUntil(lambda: len(told[-1]) == 12)


def test_a_frame_selects_what_it_touches(qtbot: QtBot, grid: ImageGrid) -> None:
    first, last = grid.visualRect(grid.images.index(1)), grid.visualRect(grid.images.index(5))
    view = grid.viewport()
    qtbot.mousePress(view, LEFT, pos=first.topLeft() + QPoint(1, 1))
    for place in (first.center(), last.center()):
        qtbot.mouseMove(view, place)
    qtbot.mouseRelease(view, LEFT, pos=last.center())
    assert rows(grid) == [1, 2, 4, 5]


def test_moving_on_selects_one_whatever_keys_are_held(qtbot: QtBot, grid: ImageGrid) -> None:
    click(qtbot, grid, 0)
    click(qtbot, grid, 3, SHIFT)
    with qtbot.waitSignal(grid.current_changed) as told:
        grid.move_by(1)
    assert told.args[0].path.name == "wide_4.png"
    assert rows(grid) == [4]
    assert grid.select_images([record.path for record in grid.images.records(7, 9)] + [Path("other")]) == 3
    assert rows(grid) == [7, 8, 9]
    assert grid.current().path.name == "wide_7.png"


def test_order_and_filter(qtbot: QtBot, grid: ImageGrid) -> None:
    grid.images.set_order(lambda record: record.size_px[0])
    names = [grid.images.index(row).data() for row in range(3)]
    assert names == ["ztiny.png", "xtall.jpg", "wide_0.png"]
    grid.images.set_filter(lambda record: "1" in record.path.name)
    assert grid.images.rowCount() == 1
    grid.images.set_filter(None)
    grid.images.set_order(None)
    assert grid.images.index(0).data() == "wide_0.png"


def test_delete_and_the_menu_are_asked_for(qtbot: QtBot, grid: ImageGrid) -> None:
    with qtbot.assertNotEmitted(grid.exclude_requested):
        qtbot.keyClick(grid, Qt.Key.Key_Delete)
    click(qtbot, grid, 1)
    with qtbot.waitSignal(grid.exclude_requested):
        qtbot.keyClick(grid, Qt.Key.Key_Delete)


def test_what_is_wrong_is_told(qtbot: QtBot, grid: ImageGrid) -> None:
    image = grid.images.record(2).path
    blurry = finding("blurry", image, "This picture is blurry.", "Take a sharper one.")
    calm = grid.grab().toImage()
    grid.set_problems(lambda path: (blurry,) if path == image else ())
    index = grid.images.index(2)
    assert "This picture is blurry." in index.data(Qt.ItemDataRole.ToolTipRole)
    assert index.data(Qt.ItemDataRole.AccessibleDescriptionRole) == "This picture is blurry."
    sign = grid.visualRect(index).topRight() + QPoint(-picture_card.GAP - picture_card.PAD - 12, 21)
    sign = grid.viewport().mapTo(grid, sign)
    assert calm.pixelColor(sign) != grid.grab().toImage().pixelColor(sign)


def test_cards_say_what_becomes_of_a_picture(qtbot: QtBot, grid: ImageGrid, opened: Project) -> None:
    tiny = next(record for record in opened.scan.records if record.path.name == "ztiny.png")
    assert grid.standing(tiny).enlarged == pytest.approx(512 / 120)
    assert picture_card.enlarged_text(512 / 120) == "enlarged 4.3×"
    wide = grid.images.record(0)
    assert grid.standing(wide).enlarged == 1.0
    crops = (Crop(box=(0, 0, 90, 90)), Crop(box=(0, 0, 600, 600)))
    opened.edit_pictures("x", {wide.path: PictureEdits(crops=crops, excluded=True)})
    standing = grid.standing(wide)
    assert (standing.num_crops, standing.is_excluded) == (2, True)
    assert standing.enlarged == pytest.approx(512 / 90)
    opened.change({"dataset.resolution": 64})
    assert grid.standing(tiny).enlarged == 1.0


def test_as_trained_shows_only_what_is_kept(qtbot: QtBot, grid: ImageGrid, opened: Project) -> None:
    record = grid.images.record(0)
    opened.edit_pictures("x", {record.path: PictureEdits(crops=(Crop(box=(0, 0, 300, 200)),))})
    assert grid.thumbnail_key(record).view is None
    grid.set_as_trained(True)
    qtbot.waitUntil(lambda: grid.thumbnail(record) is not None)
    shown = grid.thumbnail(record).toImage()
    colour = shown.pixelColor(shown.width() // 2, shown.height() // 2)
    assert np.abs(np.array(colour.getRgb()[:3]) - pictures.CORNERS[0]).max() < 8
    grid.set_as_trained(False)
    assert grid.thumbnail_key(record).view is None


def test_a_turned_picture_is_turned_in_the_grid_too(qtbot: QtBot, grid: ImageGrid, opened: Project) -> None:
    record = grid.images.record(0)
    opened.edit_pictures("x", {record.path: PictureEdits(turn=90)})
    key = grid.thumbnail_key(record)
    image = read_picture(key._replace(radius=0))
    assert image.height() > image.width()
    assert np.abs(np.array(image.pixelColor(image.width() - 4, 4).getRgb()[:3]) - pictures.CORNERS[0]).max() < 8


# Small pictures and the preview


CASES: list[tuple[Fit, PictureEdits]] = [
    ("buckets", UNTOUCHED),
    ("smart", UNTOUCHED),
    ("crop", UNTOUCHED),
    ("pad", UNTOUCHED),
    ("pad", PictureEdits(turn=90)),
    ("smart", PictureEdits(turn=270)),
    ("buckets", PictureEdits(turn=180, crops=(Crop(box=(30, 20, 131, 190)), Crop(box=(400, 100, 880, 580))))),
    ("buckets", PictureEdits(fit="pad", crops=(Crop(box=(300, 50, 900, 250)),))),
]
EDGES = ("blur", "white", "grey", "black")


def rgb(image: QImage) -> np.ndarray:
    """[H, W, 3] uint8."""
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    flat = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return flat[:, : image.width() * 3].reshape(image.height(), image.width(), 3)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("fit", "edits"), CASES)
def test_a_small_picture_as_trained_is_the_plan_made_small(
    tmp_path: Path, fit: Fit, edits: PictureEdits, edge: str
) -> None:
    image = pictures.save(tmp_path / "one.png", pictures.scene((900, 600)))
    options = FitOptions(fit=fit, edge=edge)
    for plan in plans_of((900, 600), options, edits, SUBJECT):
        small = rgb(read_picture(PictureKey(image, 0.0, 216, 152, 0, plan))).astype(int)
        assert small.shape[1] <= 216 and small.shape[0] <= 152
        assert abs(small.shape[1] / small.shape[0] - plan.target_px[0] / plan.target_px[1]) < 0.03
        wanted = fit_image(open_image(image), plan).resize((small.shape[1], small.shape[0]), Image.Resampling.BOX)
        difference = np.abs(small - np.asarray(wanted).astype(int))
        assert difference.mean() < 4, (plan, difference.mean())


def test_a_camera_s_turn_and_the_user_s_turn_add_up(tmp_path: Path) -> None:
    image = tmp_path / "one.jpg"
    pictures.rotated(image, 6)  # 96 x 64 for the eye.
    (plan,) = plans_of((96, 64), FitOptions(resolution=64, fit="crop"), PictureEdits(turn=90))
    small = rgb(read_picture(PictureKey(image, 0.0, 64, 64, 0, plan))).astype(int)
    wanted = np.asarray(fit_image(open_image(image), plan)).astype(int)
    assert np.abs(small - wanted).mean() < 6


def test_transparent_parts_are_white_as_in_training(tmp_path: Path) -> None:
    pictures.transparent_png(tmp_path / "one.png")
    (plan,) = plans_of((96, 64), FitOptions(resolution=64, fit="pad", edge="black"))
    small = rgb(read_picture(PictureKey(tmp_path / "one.png", 0.0, 64, 64, 0, plan)))
    assert small[32, 8].tolist() == [255, 255, 255]
    assert small[2, 2].tolist() == [0, 0, 0]


@pytest.fixture
def preview(qtbot: QtBot, opened: Project, plans: FitPlans) -> Iterator[TrainedPreview]:
    made = TrainedPreview(opened, plans)
    made.resize(360, 380)
    with qtbot.waitExposed(made):
        made.show()
    yield made
    settle(qtbot, made)
    made.close()


def encoded(record: ImageRecord, plan: FitPlan) -> np.ndarray:
    """[H, W, 3] uint8 of what the trainer gives to the VAE."""
    pixels = pixels_of(Example(record=record, plan=plan, repeats=1, caption=""), mirrored=False)
    return ((pixels.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)


@pytest.mark.parametrize(("fit", "edits"), CASES)
def test_the_preview_is_what_the_trainer_encodes(
    qtbot: QtBot, preview: TrainedPreview, opened: Project, plans: FitPlans, fit: Fit, edits: PictureEdits
) -> None:
    record = opened.scan.records[0]
    plans.set_subjects({record.path: SUBJECT})
    opened.change({"dataset.fit": fit})
    opened.edit_pictures("x", {record.path: edits})
    preview.set_record(record)
    qtbot.waitUntil(lambda: preview.is_drawn)
    assert len(preview.images) == len(preview.plans) == max(1, len(edits.crops))
    for image, plan in zip(preview.images, preview.plans, strict=True):
        assert np.array_equal(rgb(image), encoded(record, plan))


def test_the_preview_follows_decisions_and_settings(qtbot: QtBot, preview: TrainedPreview, opened: Project) -> None:
    record = opened.scan.records[0]
    preview.set_record(record)
    qtbot.waitUntil(lambda: preview.is_drawn)
    assert preview._panes[0]._line.text() == "640 × 384"
    opened.change({"dataset.fit": "crop"})
    qtbot.waitUntil(lambda: preview.is_drawn)
    assert preview.images[0].size().toTuple() == (512, 512)
    assert preview._panes[0]._line.text() == "512 × 512 · 40 % cropped"
    crops = tuple(Crop(box=(0, 0, side, side)) for side in (100, 200, 600))
    opened.edit_pictures("x", {record.path: PictureEdits(crops=crops)})
    qtbot.waitUntil(lambda: preview.is_drawn)
    assert preview._place.text() == "1 / 3"
    assert "enlarged 5.1×" in preview._panes[0]._line.text()
    assert preview._panes[0]._line.property("role") == "warning"
    qtbot.mouseClick(preview.on_button, LEFT)
    qtbot.mouseClick(preview.on_button, LEFT)
    assert preview._place.text() == "3 / 3"
    assert not preview.on_button.isEnabled()
    preview.resize(800, 380)
    QApplication.processEvents()
    assert [pane.isVisible() for pane in preview._panes] == [True] * 3


def test_a_picture_that_broke_is_told_in_words(qtbot: QtBot, preview: TrainedPreview, opened: Project) -> None:
    record = opened.scan.records[0]
    record.path.write_bytes(record.path.read_bytes()[:2000])
    preview.set_record(record)
    qtbot.waitUntil(lambda: "wide_0.png" in preview._panes[0]._line.text())
    assert preview._panes[0]._line.property("role") == "danger"


def test_an_unknown_error_is_reported_as_one(
    qtbot: QtBot, preview: TrainedPreview, opened: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(image: Image.Image, plan: FitPlan) -> Image.Image:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("core.dataset.fitting.fit_image", broken)
    with qtbot.waitSignal(opened.crashed) as told:
        preview.set_record(opened.scan.records[0])
    assert "a bug" in told.args[0]
    assert preview._panes[0]._line.text() == "wide_0.png cannot be shown."


def test_a_hidden_preview_does_nothing(qtbot: QtBot, preview: TrainedPreview, opened: Project) -> None:
    preview.hide()
    preview.set_record(opened.scan.records[0])
    assert not preview._renderer.is_busy
    preview.show()
    qtbot.waitUntil(lambda: preview.is_drawn)


def test_the_line_says_what_matters() -> None:
    assert plan_text(FitPlan((1024, 1024), (512, 512), (0, 0, 1024, 1024))) == "512 × 512"
    padded = plans_of((200, 100), FitOptions(fit="pad"))[0]
    assert plan_text(padded) == "512 × 512 · edges filled in · enlarged 2.6×"


# The fit panel


@pytest.fixture
def panel(qtbot: QtBot, opened: Project, plans: FitPlans) -> Iterator[FitPanel]:
    made = FitPanel(opened, plans)
    made.resize(340, 720)
    with qtbot.waitExposed(made):
        made.show()
    qtbot.waitUntil(lambda: made.summary is not None)
    yield made
    settle(qtbot, made)
    made.close()


def cells(panel: FitPanel) -> list[list[str]]:
    model = panel.model
    return [[model.index(row, column).data() for column in range(4)] for row in range(model.rowCount())]


def test_the_table_counts_what_is_trained(qtbot: QtBot, panel: FitPanel, opened: Project) -> None:
    assert cells(panel) == [
        ["384 × 640", "1", "0 %", "–"],
        ["512 × 512", "1", "0 %", "1"],
        ["640 × 384", "10", "0 %", "–"],
    ]
    assert panel._sums.text() == "12 pictures in 3 sizes · 0 % cropped on average"
    assert panel._enlarged.text() == "1 is enlarged; it looks soft in training."
    single = panel.model.index(0, PICTURES)
    assert "Only one picture" in single.data(Qt.ItemDataRole.ToolTipRole)
    assert not single.data(Qt.ItemDataRole.DecorationRole).isNull()
    warned = panel.model.index(1, ENLARGED).data(Qt.ItemDataRole.ForegroundRole)
    assert warned.name() == theme.tokens().warning
    first = opened.scan.records[0].path
    opened.edit_pictures("x", {first: PictureEdits(excluded=True)})
    qtbot.waitUntil(lambda: panel.summary is not None)
    assert cells(panel)[2][1] == "9"


@pytest.mark.parametrize("fit", ["smart", "crop", "pad", "buckets"])
def test_a_click_chooses_the_fit(qtbot: QtBot, panel: FitPanel, opened: Project, fit: Fit) -> None:
    opened.change({"dataset.fit": "crop" if fit != "crop" else "pad"})
    option = panel.choice.options[fit]
    qtbot.mouseClick(option, LEFT)
    assert opened.config.dataset.fit == fit
    assert option.isChecked()
    qtbot.waitUntil(lambda: panel.summary is not None)
    assert len(panel.summary.rows) == (3 if fit == "buckets" else 1)
    assert panel.shape.isVisible() == (fit != "buckets")
    assert panel.edge.isVisible() == (fit in ("smart", "pad"))


def test_resolution_shape_and_edge_are_settings(qtbot: QtBot, panel: FitPanel, opened: Project) -> None:
    opened.change({"dataset.fit": "pad"})
    panel.resolution.setFocus()
    qtbot.keyClick(panel.resolution, Qt.Key.Key_Up)
    assert opened.config.dataset.resolution == 576
    for box, name, value in ((panel.shape, "crop_shape", "2:3"), (panel.edge, "edge", "grey")):
        box.setCurrentIndex(box.findData(value))
        box.activated.emit(box.currentIndex())
        assert getattr(opened.config.dataset, name) == value
    qtbot.waitUntil(lambda: panel.summary is not None)
    assert panel.summary.num_padded == 12
    assert [row.size_px for row in panel.summary.rows] == [(448, 704)]
    opened.change({"dataset.edge": "white"})
    assert panel.edge.currentData() == "white"


def test_a_click_on_a_size_asks_for_its_pictures(qtbot: QtBot, panel: FitPanel) -> None:
    place = panel.table.visualRect(panel.model.index(2, 1)).center()
    with qtbot.waitSignal(panel.filter_requested) as asked:
        qtbot.mouseClick(panel.table.viewport(), LEFT, pos=place)
    assert asked.args == ["bucket:640x384"]


def test_a_hidden_panel_counts_when_it_is_shown(qtbot: QtBot, panel: FitPanel, opened: Project) -> None:
    panel.hide()
    opened.change({"dataset.resolution": 256})
    assert panel.summary is None
    qtbot.wait(0)
    panel.show()
    qtbot.waitUntil(lambda: panel.summary is not None)
    assert cells(panel)[1][0] == "256 × 256"


def test_every_crop_counts_and_nothing_that_is_left_out() -> None:
    crops = (Crop(box=(0, 0, 512, 512)), Crop(box=(0, 0, 256, 256)))
    summary = summarize([Trained((1024, 1024), PictureEdits(crops=crops), None)], FitOptions())
    assert (summary.num_images, summary.num_enlarged) == (2, 1)
    assert summary.cropped_share == pytest.approx(1 - (1 / 4 + 1 / 16) / 2)
    assert summarize([], FitOptions()).rows == ()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_panel_fits_the_narrow_column(
    qtbot: QtBot, panel: FitPanel, opened: Project, language: str, clipped: Callable[[object], list[str]]
) -> None:
    set_language(language)
    opened.change({"dataset.fit": "pad"})
    panel.retranslate()
    panel.resize(320, 600)
    QApplication.processEvents()
    assert clipped(panel) == []
    header = panel.table.header()
    for column in range(4):
        assert header.sectionSize(column) >= header.sectionSizeHint(column), column


# Export


@pytest.fixture
def make_dialog(qtbot: QtBot, opened: Project) -> Iterator[Callable[..., ExportDialog]]:
    made: list[ExportDialog] = []

    def make(make_run: Callable[[Job], object] = LocalRun) -> ExportDialog:
        dialog = ExportDialog(opened, make_run)
        made.append(dialog)
        with qtbot.waitExposed(dialog):
            dialog.show()
        return dialog

    yield make
    for dialog in made:
        dialog.shut_down()
        dialog.close()


def test_export_writes_what_is_trained_beside_the_originals(
    qtbot: QtBot, make_dialog: Callable[..., ExportDialog], opened: Project, folder: Path
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    first, second = (record.path for record in opened.scan.records[:2])
    crops = (Crop(box=(0, 0, 300, 300)), Crop(box=(300, 0, 600, 300)))
    opened.edit_pictures("x", {first: PictureEdits(crops=crops), second: PictureEdits(excluded=True)})
    dialog = make_dialog()
    assert not dialog.isModal()
    assert dialog.form.target.text() == str(folder.parent / "pictures 512")
    qtbot.mouseClick(dialog.form.size_buttons[768], LEFT)
    assert dialog.form.target.text() == str(folder.parent / "pictures 768")
    dialog.form.resolution.setValue(256)
    dialog.form.format.setCurrentIndex(dialog.form.format.findData("jpg"))
    assert dialog.form.quality.isVisible()
    with qtbot.waitSignal(dialog.running_changed):
        qtbot.mouseClick(dialog.start_button, LEFT)
    qtbot.waitUntil(lambda: not dialog.is_running, timeout=20000)
    written = sorted(path for path in Path(dialog.form.target.text()).iterdir() if path.suffix == ".jpg")
    assert len(written) == 12  # Two crops, ten others.
    assert Image.open(written[0]).size == (256, 256)
    assert dialog._headline.text().startswith("Done")
    assert dialog.open_button.isVisible()
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_export_shows_how_far_it_is_and_stops_when_asked(
    qtbot: QtBot,
    make_dialog: Callable[..., ExportDialog],
    starting: Callable[[object], Callable[[Job], object]],
    waiting_run: type,
    jobs: list[Job],
    tmp_path: Path,
) -> None:
    events: list[Event] = [
        JobStarted(job="prepare", num_images=100),
        StageStarted(stage="prepare", total=100),
        Notice(level="warning", message="bad.png is empty.", image=Path("bad.png")),
        StageProgress(stage="prepare", done=20, total=100, elapsed_s=30.0),
    ]
    run = waiting_run(events, stopped=Finished(output=tmp_path, stopped=True))
    dialog = make_dialog(starting(run))
    dialog.form.target.setText("/elsewhere/new")
    dialog.form.captions.setChecked(False)
    dialog.form.fit.setCurrentIndex(dialog.form.fit.findData("smart"))
    qtbot.mouseClick(dialog.start_button, LEFT)
    qtbot.waitUntil(lambda: "20 / 100" in dialog._headline.text())
    assert dialog._detail.text() == "About 2 min left"
    assert dialog.bar.value() == 20
    assert not dialog.start_button.isVisible()
    job = jobs[0]
    assert isinstance(job, PrepareJob)
    assert (job.target, job.captions, job.fit, job.format) == (Path("/elsewhere/new"), False, "smart", "png")
    dialog.reject()  # Escape or the cross cancel first.
    assert run.commands == ["stop"]
    qtbot.waitUntil(lambda: not dialog.isVisible())
    assert dialog._headline.text() == "Stopped. 19 pictures were written."
    assert "bad.png is empty." in dialog._detail.text()


def test_export_tells_what_went_wrong(
    qtbot: QtBot,
    make_dialog: Callable[..., ExportDialog],
    starting: Callable[[object], Callable[[Job], object]],
    fake_run: type,
) -> None:
    failed = Failed(message="The folder is not empty.", remedy="Choose a new one.", known=True)
    dialog = make_dialog(starting(fake_run([failed])))
    qtbot.mouseClick(dialog.start_button, LEFT)
    qtbot.waitUntil(lambda: dialog._headline.text() == "The folder is not empty.")
    assert dialog._detail.text() == "Choose a new one."
    assert dialog._headline.property("role") == "danger"
    assert dialog.start_button.isVisible() and not dialog.open_button.isVisible()


def test_export_needs_a_folder(
    qtbot: QtBot, make_dialog: Callable[..., ExportDialog], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialog = make_dialog()
    dialog.form.target.selectAll()
    qtbot.keyClick(dialog.form.target, Qt.Key.Key_Delete)
    assert not dialog.start_button.isEnabled()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(tmp_path / "picked"))
    qtbot.mouseClick(dialog.form.browse_button, LEFT)
    assert dialog.start_button.isEnabled()
    qtbot.mouseClick(dialog.form.size_buttons[1024], LEFT)
    assert dialog.form.target.text() == str(tmp_path / "picked")  # A chosen folder stays.


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_dialog_shows_all_its_texts(
    qtbot: QtBot, make_dialog: Callable[..., ExportDialog], language: str, clipped: Callable[[object], list[str]]
) -> None:
    set_language(language)
    dialog = make_dialog()
    dialog.form.fit.setCurrentIndex(dialog.form.fit.findData("pad"))
    dialog._say("x" * 30 + " y" * 60, "z " * 90)
    QApplication.processEvents()
    assert clipped(dialog) == []
