"""Pictures are read as a person sees them; what cannot be read is a sentence with the file's name in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.dataset import images as opening
from core.dataset.headers import exif_orientation
from core.dataset.images import check_pixels, load_image, open_image, picture_size
from core.dataset.records import ImageRecord
from core.errors import UserError
from tests import pictures

# pytest shows warnings again that the program has silenced; a test below looks at a process of its own.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")

WHITE = (255, 255, 255)


def near(found: list[tuple[int, int, int]], expected: list[tuple[int, int, int]], tolerance: int = 6) -> bool:
    return bool(np.abs(np.array(found) - np.array(expected)).max() <= tolerance)


def record_of(path: Path) -> ImageRecord:
    return ImageRecord(path=path, size_px=picture_size(path), caption_path=path.with_suffix(".txt"))


@pytest.mark.parametrize("name", pictures.ODD)
def test_odd_pictures_open_in_rgb_with_the_size_that_the_header_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pictures.ODD[name](path)
    assert picture_size(path) == (96, 64)
    image = open_image(path)
    assert (image.mode, image.size, image.info) == ("RGB", (96, 64), {})


@pytest.mark.parametrize(
    "name",
    [name for name in pictures.ODD if name.startswith(("turned", "cmyk", "palette.", "animated", "really", "broken"))]
    + ["plain_avif.avif", "plain_bmp.bmp", "lossy.webp", "lossless.webp", "SHOUTING.JPG", "角色 图片 01 🦊.png"],
)
def test_the_same_scene_whatever_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pictures.ODD[name](path)
    assert near(pictures.corners(open_image(path)), list(pictures.CORNERS))


@pytest.mark.parametrize("name", ["rgba.png", "palette_rgba.png", "rgb16.png"])
def test_transparent_parts_are_white(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pictures.ODD[name](path)
    top_left, top_right, bottom_left, bottom_right = pictures.corners(open_image(path))
    assert top_left == bottom_left == WHITE
    assert near([top_right, bottom_right], [pictures.CORNERS[1], pictures.CORNERS[3]])


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    path = pictures.save(tmp_path / "half.png", Image.new("RGBA", (8, 8), (0, 100, 200, 128)))
    assert near([open_image(path).getpixel((4, 4))], [(127, 177, 227)], 1)  # type: ignore[list-item]


def test_grey_with_alpha(tmp_path: Path) -> None:
    pictures.grey_alpha_png(tmp_path / "la.png")
    corners = pictures.corners(open_image(tmp_path / "la.png"))
    assert corners[0] == WHITE and corners[1] != WHITE and len(set(corners[1])) == 1


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    pictures.sixteen_bit_png(tmp_path / "ramp.png")
    row = np.asarray(open_image(tmp_path / "ramp.png"))[0, :, 0].astype(int)
    assert row[0] == 0 and row[-1] == 255
    assert np.abs(row - np.linspace(0, 255, 96)).max() <= 1


def test_only_the_first_frame_counts(tmp_path: Path) -> None:
    pictures.animated_webp(tmp_path / "a.webp")
    assert np.array_equal(np.asarray(open_image(tmp_path / "a.webp")), np.asarray(pictures.scene()))


def test_colours_follow_the_profile(tmp_path: Path) -> None:
    pictures.swapped_colours_png(tmp_path / "swapped.png")
    red, green, blue = open_image(tmp_path / "swapped.png").getpixel((5, 5))  # type: ignore[misc]
    assert green > 240 and red < 15 and blue < 15


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = pictures.save(tmp_path / "srgb.png", icc_profile=profile)
    assert np.array_equal(np.asarray(open_image(path)), np.asarray(pictures.scene()))


def test_ordinary_headers_need_no_pillow_however_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = pictures.save(tmp_path / "long.jpg", comment=b"x" * 60_000)
    paths = [long, *(pictures.save(tmp_path / name) for name in ("a.png", "a.jpg", "a.webp"))]

    def refuse() -> None:
        raise AssertionError("Pillow was asked")

    monkeypatch.setattr(opening, "_pillow", refuse)
    assert [picture_size(str(path), is_file=True) for path in paths] == [(96, 64)] * 4


@pytest.mark.parametrize("name", pictures.BAD_HEADER)
def test_a_bad_header_is_told_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pictures.BAD_HEADER[name](path)
    for read in (picture_size, open_image):
        with pytest.raises(UserError) as caught:
            read(path)
        assert name in caught.value.message
        assert caught.value.remedy


@pytest.mark.parametrize("name", pictures.BAD_PIXELS)
def test_cut_off_pixels_are_found_by_the_full_check(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pictures.BAD_PIXELS[name](path)
    problem = check_pixels(record_of(path))
    assert problem is not None and problem.path == path and problem.excludes
    assert problem.message == f"{name} is cut off: the end of the file is missing."


def test_a_good_picture_passes_the_full_check(tmp_path: Path) -> None:
    assert check_pixels(record_of(pictures.save(tmp_path / "good.jpg"))) is None


@pytest.mark.parametrize("name", ["bomb_png.png", "bomb_webp.webp", "bomb_bmp.bmp"])
def test_a_bomb_is_refused_by_its_size_before_memory_is_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pictures.HOSTILE[name](path)
    with pytest.raises(UserError, match="too large to open") as caught:
        open_image(path)
    side = 16384 if name.endswith("webp") else 30000
    assert f"{side} × {side}" in caught.value.message


def test_the_sentence_fits_the_defect(tmp_path: Path) -> None:
    def message(name: str) -> str:
        pictures.HOSTILE[name](tmp_path / name)
        with pytest.raises(UserError) as caught:
            open_image(tmp_path / name)
        return caught.value.message

    assert message("zero_png.png") == "zero_png.png is empty: it has 0 bytes."
    assert message("web_page.jpg") == "web_page.jpg is a web page, not a picture."
    assert message("heic.jpg") == "heic.jpg is in HEIC format, which Kiln does not read."
    assert message("garbage_png.png") == "garbage_png.png is damaged and does not open as a picture."
    assert message("cut_webp.webp") == "cut_webp.webp is cut off: the end of the file is missing."


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png is missing"):
        open_image(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match="is not a file"):
        open_image(tmp_path / "folder.png")


def test_what_the_disk_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pictures.save(tmp_path / "a.png")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UserError, match=r"a\.png may not be read"):
        open_image(path)


def test_a_picture_that_changed_since_the_scan_is_noticed(tmp_path: Path) -> None:
    path = pictures.save(tmp_path / "a.png")
    record = record_of(path)
    pictures.save(path, pictures.scene((64, 64)))
    with pytest.raises(UserError, match="was changed"):
        load_image(record)


@pytest.mark.parametrize(
    "data", [b"", b"Exif\0\0", b"II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\xff", pictures.exif(9)]
)
def test_damaged_exif_means_upright(data: bytes) -> None:
    assert exif_orientation(data) == 1


def test_nothing_is_printed_and_nothing_heavy_imported(tmp_path: Path) -> None:
    paths = pictures.write_all(tmp_path, {**pictures.ODD, **pictures.HOSTILE})
    code = """
import sys
from pathlib import Path
import core.dataset.images, core.dataset.scan, core.dataset.prepare, core.tagging.job, core.tagging.wd14
assert not {"torch", "numpy", "PIL", "onnxruntime"} & set(sys.modules), "heavy"
from core.errors import UserError
for name in sys.argv[1:]:
    try:
        core.dataset.images.open_image(Path(name))
    except UserError:
        pass
"""
    command = [sys.executable, "-W", "default", "-c", code, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
