"""The command `kiln prepare`: its options, and the job that these describe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from core.cli_words import Parser, here, here_or_none, whole_number
from core.dataset.edits import Fit
from core.dataset.fitting import CROP_SHAPES, Edge
from core.jobs import PrepareJob
from core.text import tr


def add_prepare(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Declare `kiln prepare` and its options."""
    prepare = verbs.add_parser("prepare", help=tr("check a folder of pictures, or write fitted copies to a new folder"))
    prepare.add_argument("folder", type=Path, metavar="FOLDER", help=tr("folder of pictures"))
    task = prepare.add_mutually_exclusive_group(required=True)
    task.add_argument("--check", action="store_true", help=tr("say what is wrong with the pictures and captions"))
    task.add_argument("--export", type=Path, metavar="DIR", help=tr("new folder for the fitted copies"))
    prepare.add_argument(
        "--size", type=pixels, default=512, metavar="PIXELS", help=tr("side of the square, 64 to 4096")
    )
    prepare.add_argument(
        "--fit",
        choices=get_args(Fit),
        default="buckets",
        help=tr("keep the shape, crop around the subject, crop from the middle, or pad"),
    )
    prepare.add_argument(
        "--shape", choices=CROP_SHAPES, default="1:1", metavar="W:H", help=tr("shape for smart, crop and pad")
    )
    prepare.add_argument(
        "--edge", choices=get_args(Edge), default="blur", help=tr("what is filled in around padded pictures")
    )
    prepare.add_argument(
        "--format", choices=("png", "jpg", "webp"), default="png", help=tr("file format of the copies")
    )
    prepare.add_argument("--edits", type=Path, default=Path(), metavar="FILE", help=tr("dataset file with decisions"))


def prepare_job(options: argparse.Namespace) -> PrepareJob:
    """The job of `kiln prepare --export`; of `--check` only its folder and dataset file count."""
    return PrepareJob(
        folder=here(options.folder),
        edits=here_or_none(options.edits),
        target=here(options.export or Path()),
        resolution=options.size,
        fit=options.fit,
        bucket_step=64 if options.size >= 512 else 16,
        crop_shape=options.shape,
        edge=options.edge,
        format=options.format,
    )


def pixels(text: str) -> int:
    """A size within what a copy may have; argparse makes a sentence of the error, with the option's name in it."""
    size = whole_number(text)
    if not 64 <= size <= 4096:
        raise argparse.ArgumentTypeError(tr("{size} pixels are not possible; from 64 to 4096 are", size=size))
    return size
