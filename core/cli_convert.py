"""The command `kiln convert`: its options, and the job that these describe."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli_words import Parser, here
from core.jobs import ConvertJob
from core.text import tr


def add_convert(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Declare `kiln convert` and its options."""
    convert = verbs.add_parser("convert", help=tr("write a base model as a single file, or as a folder"))
    convert.add_argument("model", type=Path, metavar="MODEL", help=tr("checkpoint file or model folder; it is kept"))
    convert.add_argument("target", type=Path, metavar="TARGET", help=tr("new file or folder"))
    convert.add_argument(
        "--to",
        choices=("file", "folder"),
        default="auto",
        help=tr("what to write; without it a name that ends in .safetensors is a file"),
    )
    convert.add_argument(
        "--precision",
        choices=("same", "fp16", "bf16", "fp32"),
        default="same",
        help=tr("number format of the weights"),
    )


def convert_job(options: argparse.Namespace) -> ConvertJob:
    """The job of `kiln convert`."""
    return ConvertJob(
        source=here(options.model), target=here(options.target), to=options.to, precision=options.precision
    )
