"""The commands that train and draw: `kiln quick`, `train`, `resume` and `sample`, and the settings that they take."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from core.cli_words import Parser, WrongUseError, as_wrong_use, base_here, checked, here, number, whole_number
from core.config import TrainConfig, load_config, validated, with_values
from core.config.fields import field_specs, unknown_key
from core.errors import UserError
from core.jobs import SampleJob, TrainJob
from core.text import tr

_OF_QUICK = {"output.name": "--name", "training.epochs": "--epochs", "training.seed": "--seed"}
_OF_SAMPLE = {
    "sampling.denoising_steps": "--steps",
    "sampling.guidance": "--guidance",
    "sampling.height": "--size",
    "sampling.seed": "--seed",
    "sampling.width": "--size",
}


def add_training(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Declare `kiln quick`, `kiln train` and `kiln resume`."""
    also = tr("Every setting can be given as --section.key VALUE too, e.g. --network.rank 8.")
    quick = verbs.add_parser(
        "quick", help=tr("train from a base model, a folder of pictures and a number of epochs"), epilog=also
    )
    quick.add_argument("--base", type=Path, required=True, metavar="MODEL", help=tr("base model, or: starter"))
    quick.add_argument("--pictures", type=Path, required=True, metavar="FOLDER", help=tr("folder of pictures"))
    quick.add_argument("--epochs", type=whole_number, required=True, metavar="N", help=tr("passes over all pictures"))
    quick.add_argument("--name", default="", help=tr("file name of the LoRA"))
    quick.add_argument("--output", type=Path, metavar="DIR", help=tr("output folder; without one, in your documents"))
    quick.add_argument(
        "--seed", type=whole_number, metavar="N", help=tr("the same number draws the same random numbers")
    )
    train = verbs.add_parser("train", help=tr("train with the settings of a file"), epilog=also)
    train.add_argument("config", type=Path, metavar="CONFIG.toml", help=tr("settings of a run"))
    resume = verbs.add_parser("resume", help=tr("continue a run from its last state"), epilog=also)
    resume.add_argument("run", type=Path, metavar="RUN", help=tr("output folder or run folder"))
    resume.add_argument(
        "--from-step",
        type=whole_number,
        default=-1,
        metavar="N",
        help=tr("go back to the state of this step; 0 begins again. LoRA files saved later are put aside"),
    )


def add_sample(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Declare `kiln sample`."""
    sample = verbs.add_parser(
        "sample",
        help=tr("draw pictures with a base model and a LoRA"),
        epilog=tr("The settings of the model can be given too, e.g. --model.vae FILE."),
    )
    sample.add_argument("--base", type=Path, required=True, metavar="MODEL", help=tr("base model, or: starter"))
    sample.add_argument("--lora", type=Path, metavar="FILE", help=tr("LoRA to draw with"))
    sample.add_argument("--strength", type=number, default=1.0, metavar="X", help=tr("of the LoRA, usually 1"))
    sample.add_argument(
        "--prompt", action="append", required=True, metavar="TEXT", help=tr("what to draw; may be repeated")
    )
    sample.add_argument("--negative", default="", metavar="TEXT", help=tr("what not to draw"))
    sample.add_argument(
        "--size",
        type=whole_number,
        metavar="PIXELS",
        help=tr("side of the pictures; usually what the base model draws"),
    )
    sample.add_argument(
        "--steps", type=whole_number, default=20, metavar="N", help=tr("steps for each picture, usually 20")
    )
    sample.add_argument(
        "--guidance",
        type=number,
        metavar="X",
        help=tr("how closely to follow the prompt, usually 7, with the starter model 2.5"),
    )
    sample.add_argument(
        "--seed", type=whole_number, default=1234, metavar="N", help=tr("of the first picture, usually 1234")
    )
    sample.add_argument("--output", type=Path, required=True, metavar="DIR", help=tr("folder for the pictures"))


def split_changes(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The words of a command line without those of settings, and these: `section.key` -> value.

    Raises:
        WrongUseError: The last setting has no value.
    """
    own: list[str] = []
    changes: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not (word.startswith("--") and "." in word.partition("=")[0]):
            own.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        if not equals:
            value = next(rest, "\0")
            if value == "\0":
                raise WrongUseError("--{key} needs a value.", remedy="Write: --{key} VALUE", key=key)
        changes[key] = value
    return own, changes


def refuse_needless(changes: Mapping[str, str], verb: str) -> None:
    """Make sure that a command takes the settings that it was given.

    Raises:
        WrongUseError: It does not.
    """
    if changes and verb not in ("quick", "train", "resume", "sample"):
        raise WrongUseError("{verb} takes no settings.", remedy="Add --help to see what there is.", verb=verb)
    if verb == "sample" and any(not key.startswith("model.") for key in changes):
        raise WrongUseError("sample takes no settings but those of the model.", remedy="Write: --model.vae FILE")


def training_job(options: argparse.Namespace, changes: dict[str, str]) -> TrainJob:
    """The job of `kiln quick`, `kiln train` or `kiln resume`.

    Raises:
        UserError: The settings or the run cannot be used, or a value is out of range.
    """
    if options.verb == "quick":
        return _quick(options, changes)
    if options.verb == "train":
        return TrainJob(config=_changed(_loaded(here(options.config)), changes))
    from core.run_folder import RunFolder

    run = RunFolder.find(here(options.run))
    config = _changed(run.continued_config(), changes)
    with checked():
        return TrainJob(config=config, resume=True, from_step=options.from_step)


def _loaded(path: Path) -> TrainConfig:
    """The settings of a file; those of another program are named as what they are."""
    try:
        return load_config(path)
    except UserError as error:
        from core.imports import OwnSettingsError, read_settings, source_title

        try:
            source = read_settings(path).source
        except (UserError, OwnSettingsError, OSError):
            raise error from None
        raise UserError(
            "{path} is of another program: {program}.",
            remedy='Turn them into settings of Kiln: kiln settings "{path}" --to config.toml',
            path=path,
            program=source_title(source),
        ) from error


def _quick(options: argparse.Namespace, changes: dict[str, str]) -> TrainJob:
    from core.dataset.scan import scan_folder
    from core.device import training_device
    from core.quick import quick_config

    pictures = here(options.pictures)
    scan = scan_folder(pictures)
    with checked(_OF_QUICK):
        config = quick_config(
            base=base_here(options.base),
            pictures=pictures,
            epochs=options.epochs,
            name=options.name,
            output=here(options.output) if options.output else None,
            seed=options.seed,
            scan=scan,
            device=training_device(changes.get("training.device", "auto")),
        )
    return TrainJob(config=_changed(config, changes))


def sample_job(options: argparse.Namespace, changes: dict[str, str]) -> SampleJob:
    """The job of `kiln sample`.

    Raises:
        UserError: The base model or a setting cannot be used.
    """
    from core.models import STARTER_GUIDANCE, describe_base

    base = describe_base(base_here(options.base))
    model = _changed(TrainConfig(), changes).model.model_copy(update={"base": base.path})
    size = base.native_size_px if options.size is None else options.size
    usual_guidance = STARTER_GUIDANCE if base.is_starter else 7.0
    sampling = {
        "prompts": tuple(options.prompt),
        "negative_prompt": options.negative,
        "width": size,
        "height": size,
        "denoising_steps": options.steps,
        "guidance": usual_guidance if options.guidance is None else options.guidance,
        "seed": options.seed,
    }
    with checked(_OF_SAMPLE):
        settings = validated({"sampling": sampling}).sampling
    return SampleJob(
        model=model,
        lora=here(options.lora) if options.lora else None,
        strength=options.strength,
        target=here(options.output),
        sampling=settings,
    )


def _changed(config: TrainConfig, changes: dict[str, str]) -> TrainConfig:
    """The config with `--section.key value` applied.

    Several lines of a list are separated by `|`; paths are relative to the current folder.
    """
    specs = {spec.key: spec for spec in field_specs()}
    values: dict[str, object] = {}
    for key, text in changes.items():
        if key not in specs:
            raise as_wrong_use(unknown_key(key))
        kind = specs[key].kind
        if kind == "lines":
            values[key] = tuple(part.strip() for part in text.split("|") if part.strip())
        elif key == "model.base" and text:
            values[key] = base_here(Path(text))
        else:
            values[key] = here(Path(text)) if kind == "path" and text else text
    with checked():
        return with_values(config, values)
