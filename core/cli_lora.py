"""The command `kiln lora`: look into, convert, shrink, merge, extract and check LoRA files."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli_words import Parser, WrongUseError, base_here, checked, here, number, whole_number
from core.jobs import ToolJob
from core.text import tr
from core.tools import tasks


def add_lora(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Declare `kiln lora` and its tools."""
    lora = verbs.add_parser("lora", help=tr("look into, convert, shrink, merge, extract and check LoRA files"))
    tools = lora.add_subparsers(dest="tool", required=True, metavar=tr("TOOL"))
    inspect = tools.add_parser("inspect", help=tr("tell what a LoRA file holds, and how much it changes each block"))
    _add_file(inspect)
    inspect.add_argument("--no-norms", action="store_true", help=tr("only read what the file says, which is faster"))
    _add_json(inspect)
    verify = tools.add_parser("verify", help=tr("tell whether a LoRA file fits a base model and its weights are sound"))
    _add_file(verify)
    verify.add_argument("--base", type=Path, required=True, metavar="MODEL", help=tr("base model, or: starter"))
    _add_json(verify)
    convert = tools.add_parser("convert", help=tr("write a LoRA in another spelling or number format"))
    _add_file(convert)
    convert.add_argument(
        "--to", choices=("kohya", "diffusers", "peft"), default="kohya", help=tr("whose names the new file has")
    )
    _add_precision(convert)
    convert.add_argument(
        "--rank", type=whole_number, metavar="N", help=tr("turn LoHa, LoKr and full changes into pairs of it")
    )
    _add_conv_rank(convert)
    convert.add_argument("--alpha", type=number, metavar="X", help=tr("alpha of a file that does not say it"))
    _add_output(convert)
    resize = tools.add_parser("resize", help=tr("make the ranks of a LoRA smaller"))
    _add_file(resize)
    resize.add_argument("--rank", type=whole_number, metavar="N", help=tr("the highest rank"))
    _add_conv_rank(resize)
    _add_keep(resize)
    resize.add_argument(
        "--ratio", type=number, metavar="X", help=tr("leave out what is more than X times weaker than the strongest")
    )
    _add_precision(resize)
    _add_output(resize)
    merge = tools.add_parser("merge", help=tr("write one LoRA that does what several do together"))
    _add_loras(merge)
    merge.add_argument(
        "--rank", type=whole_number, metavar="N", help=tr("cut the sum to this rank; without it, it is exact")
    )
    _add_conv_rank(merge)
    _add_precision(merge)
    _add_output(merge)
    bake = tools.add_parser("bake", help=tr("write a base model with LoRAs merged into its weights"))
    _add_loras(bake)
    bake.add_argument("--base", type=Path, required=True, metavar="MODEL", help=tr("base model, or: starter"))
    _add_output(bake)
    extract = tools.add_parser("extract", help=tr("write what a tuned base model has learned as a LoRA"))
    extract.add_argument("--original", type=Path, required=True, metavar="MODEL", help=tr("base model, or: starter"))
    extract.add_argument("--tuned", type=Path, required=True, metavar="MODEL", help=tr("the model tuned from it"))
    extract.add_argument("--rank", type=whole_number, default=32, metavar="N", help=tr("rank of the LoRA, usually 32"))
    extract.add_argument(
        "--conv-rank", type=whole_number, default=0, metavar="N", help=tr("also take 3x3 convolutions, of this rank")
    )
    _add_keep(extract)
    extract.add_argument(
        "--least-difference",
        type=number,
        default=0.0,
        metavar="X",
        help=tr("leave out modules whose weights differ nowhere by more"),
    )
    extract.add_argument("--no-text-encoder", action="store_true", help=tr("only what the UNet or transformer learned"))
    extract.add_argument(
        "--precision", choices=("fp16", "bf16", "fp32"), default="fp16", help=tr("number format, usually fp16")
    )
    _add_output(extract)
    edit = tools.add_parser("edit", help=tr("write a copy of a LoRA file with other metadata"))
    _add_file(edit)
    edit.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=tr("set a value; may be repeated")
    )
    edit.add_argument(
        "--remove", action="append", default=[], metavar="KEY", help=tr("take a key away; may be repeated")
    )
    _add_output(edit)


def tool_job(options: argparse.Namespace) -> ToolJob:
    """The job that the words of the command line ask for.

    Raises:
        WrongUseError: A value is out of range, or something is missing.
    """
    with checked():
        return ToolJob(task=_task(options))


def _task(options: argparse.Namespace) -> tasks.ToolTask:
    tool = options.tool
    if tool == "inspect":
        return tasks.InspectTask(file=here(options.file), norms=not options.no_norms)
    if tool == "verify":
        return tasks.VerifyTask(file=here(options.file), base=base_here(options.base))
    output = here(options.output)
    if tool == "convert":
        return tasks.ConvertTask(
            file=here(options.file),
            output=output,
            spelling=options.to,
            precision=options.precision,
            rank=options.rank or 0,
            conv_rank=options.conv_rank or 0,
            alpha=options.alpha,
        )
    if tool == "resize":
        return _resize(options, output)
    if tool == "merge":
        return tasks.MergeTask(
            loras=_weighted(options),
            output=output,
            rank=options.rank or 0,
            conv_rank=options.conv_rank or 0,
            precision=options.precision,
        )
    if tool == "bake":
        return tasks.BakeTask(base=base_here(options.base), loras=_weighted(options), output=output)
    if tool == "extract":
        return tasks.ExtractTask(
            original=base_here(options.original),
            tuned=base_here(options.tuned),
            output=output,
            rank=options.rank,
            conv_rank=options.conv_rank,
            share=_share(options),
            least_difference=options.least_difference,
            text_encoder=not options.no_text_encoder,
            precision=options.precision,
        )
    return tasks.EditTask(
        file=here(options.file), output=output, put=dict(map(_pair, options.set)), remove=tuple(options.remove)
    )


def _resize(options: argparse.Namespace, output: Path) -> tasks.ResizeTask:
    if options.rank is None and options.keep is None and options.ratio is None:
        raise WrongUseError("It is not said how small the ranks should be.", remedy="Add --rank, --keep or --ratio.")
    task = tasks.ResizeTask(
        file=here(options.file),
        output=output,
        conv_rank=options.conv_rank or 0,
        share=_share(options),
        ratio=options.ratio or 0.0,
        precision=options.precision,
    )
    return task if options.rank is None else tasks.ResizeTask(**{**task.model_dump(), "rank": options.rank})


def _share(options: argparse.Namespace) -> float:
    return 1.0 if options.keep is None else options.keep / 100


def _weighted(options: argparse.Namespace) -> tuple[tasks.Weighted, ...]:
    strengths = [1.0] * len(options.files) if options.strength is None else options.strength
    if len(strengths) != len(options.files):
        raise WrongUseError(
            "There are {files} files and {strengths} strengths.",
            remedy="Give --strength one value for each file, in the same order.",
            files=len(options.files),
            strengths=len(strengths),
        )
    return tuple(
        tasks.Weighted(file=here(file), strength=strength)
        for file, strength in zip(options.files, strengths, strict=True)
    )


def percent(text: str) -> float:
    """A share in percent; argparse makes a sentence of the error, with the option's name in it."""
    share = number(text)
    if not 0 < share <= 100:
        raise argparse.ArgumentTypeError(tr("{text} % is not possible; above 0 and up to 100 is", text=text))
    return share


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise WrongUseError("{text} is no key with a value.", remedy="Write: --set KEY=VALUE", text=text)
    return key, value


def _add_file(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help=tr("a LoRA file of any program"))


def _add_loras(parser: Parser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help=tr("LoRA files"))
    parser.add_argument(
        "--strength",
        type=number,
        nargs="+",
        metavar="X",
        help=tr("one strength for each file, in the same order; 1 is as trained"),
    )


def _add_output(parser: Parser) -> None:
    parser.add_argument(
        "--output", type=Path, required=True, metavar="NEW", help=tr("what is written; nothing may be there yet")
    )


def _add_precision(parser: Parser) -> None:
    parser.add_argument(
        "--precision",
        choices=("keep", "fp16", "bf16", "fp32"),
        default="keep",
        help=tr("number format of the new file"),
    )


def _add_conv_rank(parser: Parser) -> None:
    parser.add_argument("--conv-rank", type=whole_number, metavar="N", help=tr("another rank for 3x3 convolutions"))


def _add_keep(parser: Parser) -> None:
    parser.add_argument("--keep", type=percent, metavar="PERCENT", help=tr("how much of each module's norm to keep"))


def _add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help=tr("print one JSON object instead of a table"))
