"""LoRA files that go into tools and come out of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from core.checkpoints.recognition import Prediction
from core.checkpoints.sources import family_title
from core.errors import UserError
from core.events import Notice
from core.lora.file import FilePrecision, refuse_not_finite, save_lora
from core.lora.formats import LoraFile, Written, begins_pickled, read_lora, respelled
from core.lora.metadata import base_words
from core.lora.modules import by_module, kind_of, rank_of
from core.models import FamilyName
from core.safetensors_header import Header, read_header
from core.text import tr
from core.tools.tasks import Precision
from core.tools.weights import is_wide

_PRECISIONS: dict[str, FilePrecision] = {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp32"}
_DYNAMIC = "Dynamic"
"""What kohya's scripts write where modules differ."""


def opened(path: Path, alpha: float | None = None) -> LoraFile:
    """A LoRA in any spelling, by kohya's names.

    Raises:
        UserError: It is no LoRA, is damaged, or holds values that are not numbers.
    """
    lora = read_lora(path, alpha)
    refuse_not_finite(path, lora.tensors)
    return lora


def notices(path: Path, lora: LoraFile) -> Iterator[Notice]:
    """What is not known of a file, and what of it is not used."""
    if lora.lacks_alpha:
        yield Notice(
            level="warning",
            message=tr("{path} does not say its alpha; it is taken for the rank, which is full strength.", path=path),
        )
    if lora.left_out:
        yield Notice(
            level="warning",
            message=tr(
                "{number} entries of {path} mean nothing to Kiln and are left out, the first is {name}.",
                number=len(lora.left_out),
                path=path,
                name=lora.left_out[0],
            ),
        )


def prediction_notices(predictions: Mapping[Path, Prediction | None]) -> Iterator[Notice]:
    """A warning where files that come together were made for models that answer differently, as far as they tell.

    Weights cannot tell, and such sums are tried on purpose, so that nothing is refused.
    """
    by_noise = next((path for path, prediction in predictions.items() if prediction == "epsilon"), None)
    by_velocity = next((path for path, prediction in predictions.items() if prediction == "v_prediction"), None)
    if by_noise is not None and by_velocity is not None:
        yield Notice(
            level="warning",
            message=tr(
                "{first} was made for v-prediction models, {second} for epsilon models, two kinds that do not fit "
                "together; the result may give poor pictures.",
                first=by_velocity,
                second=by_noise,
            ),
        )


def refuse_existing(target: Path) -> Path:
    """The target itself, when nothing is there yet: tools never write over anything.

    Raises:
        UserError: Something is there.
    """
    if target.exists() or target.is_symlink():
        raise UserError("{path} exists already.", remedy="Choose another name.", path=target)
    return target


def as_safetensors(target: Path) -> Path:
    """The target with the ending that LoRA files have, free to be written.

    Raises:
        UserError: Something is there.
    """
    if target.suffix.lower() != ".safetensors":
        target = target.with_name(f"{target.name}.safetensors")
    return refuse_existing(target)


def same_family(files: Mapping[Path, FamilyName | None]) -> FamilyName | None:
    """The family that all files are for, as far as they tell.

    Raises:
        UserError: They are for different ones.
    """
    known = {path: family for path, family in files.items() if family is not None}
    families = list(known.values())
    for path, family in known.items():
        if family != families[0]:
            raise UserError(
                "{first} is for {family}, but {second} is for {other}.",
                remedy="Choose files of one kind of base model.",
                failure="model_unsuited",
                first=next(iter(known)),
                family=family_title(families[0]),
                second=path,
                other=family_title(family),
            )
    return families[0] if families else None


def refuse_dora(path: Path, modules: Iterable[Mapping[str, Tensor]], remedy_is_baking: bool) -> None:
    """Make sure that a LoRA's changes do not depend on the base model.

    Raises:
        UserError: A module is of kind DoRA.
    """
    if not any("dora_scale" in module for module in modules):
        return
    if remedy_is_baking:
        raise UserError(
            "{path} is a DoRA: what it changes depends on the base model, so it cannot be merged with other LoRAs.",
            remedy="Merge it into a base model instead.",
            path=path,
        )
    raise UserError(
        "{path} is a DoRA: what it changes depends on the base model, so its rank cannot be made smaller.",
        remedy="Train it with a smaller rank, or use it as it is.",
        path=path,
    )


def header_of(path: Path) -> Header | None:
    """The header of a safetensors file, whatever its name says; None of a pickled one, which has none."""
    return None if begins_pickled(path) else read_header(path)


def number_format(header: Header) -> str:
    """The number format that most of a file's weights are in, as safetensors say it."""
    counted: Counter[str] = Counter()
    for name, (start, end) in header.spans.items():
        counted[header.dtypes[name]] += end - start
    return counted.most_common(1)[0][0] if counted else "F32"


def file_precision(wanted: Precision, sources: Iterable[Path]) -> FilePrecision:
    """The precision to write; to keep it means the finest of the sources'.

    Pickled files and unusual formats count as float32.
    """
    if wanted != "keep":
        return wanted
    found: set[FilePrecision] = set()
    for path in sources:
        header = header_of(path)
        found.add(_PRECISIONS.get(number_format(header), "fp32") if header is not None else "fp32")
    return found.pop() if len(found) == 1 else "fp32"


def save(
    target: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    precision: FilePrecision,
    family: FamilyName | None,
    spelling: Written = "kohya",
) -> None:
    """Write a LoRA in kohya's names, or respelled, as a new file.

    Raises:
        UserError: Something came to the target meanwhile, or a value does not fit into the precision.
    """
    described = described_anew(metadata, target, tensors, family)
    if spelling != "kohya":
        # Their names are the same for all families. The scale goes into the weights, so that it is 1 afterwards.
        tensors = respelled(tensors, spelling, family or "sd1")
        described["ss_network_alpha"] = described.get("ss_network_dim", "")
    elif family is not None:
        tensors = respelled(tensors, spelling, family)
    refuse_existing(target)
    save_lora(target, tensors, precision, described)


def described_anew(
    metadata: Mapping[str, str], target: Path, tensors: Mapping[str, Tensor], family: FamilyName | None
) -> dict[str, str]:
    """The metadata of a file made from another: its own name, and its ranks and alphas as they are now."""
    values = {key: value for key, value in metadata.items() if not key.startswith("sshs_")}
    old_name = values.get("ss_output_name")
    if values.get("modelspec.title") == old_name and old_name is not None:
        values["modelspec.title"] = target.stem
    values["ss_output_name"] = target.stem
    values.pop("modelspec.hash_sha256", None)
    values.pop("lora_adapter_metadata", None)
    if family is not None and "ss_base_model_version" not in values:
        values |= base_words(family, v_prediction=False)  # Of that no weight of a LoRA tells.
    plain: set[tuple[int, float]] = set()
    wide: set[tuple[int, float]] = set()
    for module in by_module(tensors).values():
        if rank := rank_of(module):
            alpha = round(float(module["alpha"]), 6) if "alpha" in module else float(rank)
            down = module.get("lora_down.weight")
            (wide if down is not None and is_wide(tuple(down.shape[1:])) else plain).add((rank, alpha))
    if plain or wide:
        values["ss_network_dim"], values["ss_network_alpha"] = _one(plain or wide)
    if wide:
        values["ss_network_args"] = json.dumps(_network_args(values) | dict(zip(_CONV_ARGS, _one(wide), strict=True)))
    kinds = {kind_of(module) for module in by_module(tensors).values()}
    args = _network_args(values)
    if kinds == {"lora"} and args.get("algo") in _OTHER_ALGORITHMS:  # It was made from such a one, and is none now.
        values["ss_network_module"] = "networks.lora"
        values["ss_network_args"] = json.dumps({name: value for name, value in args.items() if name in _CONV_ARGS})
    values.setdefault("ss_network_module", "networks.lora")
    return values


_OTHER_ALGORITHMS = ("loha", "lokr", "full")


_CONV_ARGS = ("conv_dim", "conv_alpha")


def _one(found: set[tuple[int, float]]) -> tuple[str, str]:
    """Rank and alpha as the metadata has them: one for all modules, or the word for different ones."""
    ranks, alphas = {rank for rank, _ in found}, {alpha for _, alpha in found}
    return (
        str(ranks.pop()) if len(ranks) == 1 else _DYNAMIC,
        str(alphas.pop()) if len(alphas) == 1 else _DYNAMIC,
    )


def _network_args(values: Mapping[str, str]) -> dict[str, str]:
    try:
        found = json.loads(values.get("ss_network_args") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
