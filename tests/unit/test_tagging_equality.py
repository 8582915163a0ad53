"""On the same model, tags, order and scores are those of the procedure that the WD taggers were published with.

The reference is written here after its public description, as plainly as possible: one picture after another, whole
squares, float64. Models have random weights, three input sizes and the layers of a vision transformer.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageCms, ImageOps

from core.dataset.images import open_image
from core.tagging.base import LEAST_SCORE, Seen
from core.tagging.wd14 import WD14
from tests import pictures
from tests.taggers import vit_tagger
from tests.unit.test_tagging_pixels import reference_square

NUM_TAGS, NUM_PICTURES, MOST_DIFFERENCE = 40, 100, 1e-5


# --- pictures -------------------------------------------------------------------------------------------------------


def textured(size: tuple[int, int], seed: int) -> Image.Image:
    """Soft colours with fine detail."""
    soft = np.asarray(pictures.scene(size, seed)).astype(np.int16)
    return Image.fromarray((soft + np.random.default_rng(seed).integers(-40, 41, soft.shape)).clip(0, 255).astype("u1"))


def with_alpha(size: tuple[int, int], seed: int) -> Image.Image:
    """From opaque at the left to transparent at the right, with a ragged edge."""
    picture = textured(size, seed).convert("RGBA")
    ramp = np.linspace(255, 0, size[0])[None] + np.random.default_rng(seed).normal(0, 30, size[::-1])
    picture.putalpha(Image.fromarray(ramp.clip(0, 255).astype(np.uint8)))
    return picture


def sixteen_bits(size: tuple[int, int], seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 65536, size[::-1], dtype=np.uint16))


# Ending of the file -> the picture in a mode that such files have.
KINDS: dict[str, Callable[[tuple[int, int], int], Image.Image]] = {
    "bilevel.png": lambda size, seed: textured(size, seed).convert("1"),
    "grey.jpg": lambda size, seed: textured(size, seed).convert("L"),
    "grey_alpha.png": lambda size, seed: with_alpha(size, seed).convert("LA"),
    "palette.gif": lambda size, seed: textured(size, seed).quantize(200),
    "palette_alpha.png": lambda size, seed: with_alpha(size, seed).quantize(60),
    "rgb.webp": textured,
    "rgba.png": with_alpha,
    "rgba.webp": with_alpha,
    "cmyk.jpg": lambda size, seed: textured(size, seed).convert("CMYK"),
    "sixteen.png": sixteen_bits,
}
SIZES = ((640, 400), (301, 449), (448, 448), (224, 100), (17, 384), (768, 768), (90, 60))
EXTREMES = ((1, 1), (1, 3000), (3000, 1), (2, 2))


def make_pictures(folder: Path) -> list[Path]:
    """One hundred pictures of every mode, size, transparency and rotation."""
    for name, make in pictures.ODD.items():
        make(folder / name)
    sizes_and_kinds = [*product(EXTREMES, ("rgb.webp", "rgba.png", "grey.jpg")), *product(SIZES, KINDS)]
    for number, (size, kind) in enumerate(sizes_and_kinds[: NUM_PICTURES - len(pictures.ODD)]):
        KINDS[kind](size, number).save(folder / f"{number:03d} {size[0]}x{size[1]} {kind}")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_pictures(tmp_path_factory.mktemp("odd pictures"))


# --- the reference --------------------------------------------------------------------------------------------------


@cache
def reference_picture(path: Path) -> Image.Image:
    """RGB, upright, in sRGB, over white."""
    with Image.open(path) as file:
        profile = file.info.get("icc_profile")
        picture = ImageOps.exif_transpose(file)
        transparent = picture.info.get("transparency")
        if picture.mode == "I;16":
            return Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8)).convert("RGB")
        if picture.mode == "RGB" and transparent is not None:  # One colour of 16 bits per channel, of which 8 are left.
            pixels = np.asarray(picture)
            return Image.fromarray(np.where((pixels == np.array(transparent) >> 8).all(2, keepdims=True), 255, pixels))
        pixels = np.asarray(picture.convert("RGBA")).astype(np.float64)
    if picture.mode == "CMYK":
        pixels[:, :, :3] = np.asarray(picture.convert("RGB"))
    rgb = Image.fromarray(pixels[:, :, :3].astype(np.uint8))
    if profile and not profile.startswith(b"no profile"):
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        rgb = ImageCms.profileToProfile(rgb, source, ImageCms.createProfile("sRGB"))
    alpha = pixels[:, :, 3:] / 255
    return Image.fromarray(np.rint(np.asarray(rgb) * alpha + 255 * (1 - alpha)).astype(np.uint8))


def opencv_rounded(square: np.ndarray, *, is_half: bool) -> np.ndarray:
    """Halves go up when a picture is halved and to the even number otherwise."""
    exact = square.round(6)
    return np.floor(exact + 0.5) if is_half else np.rint(exact)


Prepare = Callable[[Image.Image, int], np.ndarray]


def prepared(image: Image.Image, size: int) -> np.ndarray:
    return opencv_rounded(reference_square(image, size), is_half=max(image.size) == 2 * size)


def reference_tags(
    folder: Path, images: list[Image.Image], size: int, prepare: Prepare = prepared
) -> Iterator[list[tuple[str, float]]]:
    """(name, score) of each picture, the most certain first."""
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [f"tag_{index}" for index in range(NUM_TAGS)]
    for image in images:
        batch = prepare(image, size).astype(np.float32)[None]
        scores = session.run(None, {"input": batch})[0][0].tolist()
        known = [(name, score) for name, score in zip(names, scores, strict=True) if score >= LEAST_SCORE]
        yield sorted(known, key=lambda tag: -tag[1])


def difference(seen: Seen, expected: list[tuple[str, float]]) -> float:
    """The largest difference of a score."""
    scores = dict(expected)
    assert scores.keys() == {tag.name for tag in seen.tags}
    return max(abs(tag.score - scores[tag.name]) for tag in seen.tags)


# --- tests ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_there_are_a_hundred_pictures_of_all_kinds(paths: list[Path]) -> None:
    modes, sizes = set(), set()
    for path in paths:
        with Image.open(path) as file:
            modes.add(file.mode)
            sizes.add(file.size)
    assert len(paths) == NUM_PICTURES
    assert modes >= {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"} and sizes >= {(1, 1), (1, 3000), (768, 768)}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("size", [224, 384, 448])
def test_a_hundred_odd_pictures_as_the_reference_sees_them(paths: list[Path], size: int, tmp_path: Path) -> None:
    folder = vit_tagger(tmp_path, size=size, width=64, depth=1, num_tags=NUM_TAGS)
    seen = WD14.load(folder).look(open_image(path) for path in paths)
    expected = reference_tags(folder, [reference_picture(path) for path in paths], size)
    for path, found, wanted in zip(paths, seen, expected, strict=True):
        assert [tag.name for tag in found.tags] == [name for name, _ in wanted], path.name
        assert difference(found, wanted) < MOST_DIFFERENCE, path.name


WRONG: dict[str, Prepare] = {
    "red first": lambda image, size: prepared(image, size)[:, :, ::-1],
    "stretched": lambda image, size: prepared(image.resize((max(image.size),) * 2), size),
    "cut to a square": lambda image, size: prepared(ImageOps.fit(image, (min(image.size),) * 2), size),
    "on black": lambda image, size: prepared(ImageOps.pad(image, (max(image.size),) * 2), size),
    "linear": lambda image, size: np.asarray(
        ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR, "white"), np.float64
    )[:, :, ::-1],
    "0 to 1": lambda image, size: prepared(image, size) / 255,
}


@pytest.mark.parametrize("how", WRONG)
def test_a_wrong_preparation_would_be_noticed(how: str, tmp_path: Path) -> None:
    folder = vit_tagger(tmp_path, size=224, width=64, depth=1, num_tags=NUM_TAGS)
    image = textured((640, 400), 3)
    (seen,) = WD14.load(folder).look([image])
    (right,), (wrong,) = (list(reference_tags(folder, [image], 224, prepare)) for prepare in (prepared, WRONG[how]))
    assert difference(seen, right) < MOST_DIFFERENCE < difference(seen, wrong) / 5
