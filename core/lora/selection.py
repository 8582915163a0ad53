"""Which layers of a base model take part in a network, and with which rank each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from core.config.model import NetworkConfig
from core.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from core.families.base import Family

MOST_RANK = 512
Targets = tuple[tuple[str, ...], tuple[str, ...]]
_ATTENTION = {"attention": (".attn1.", ".attn2."), "cross_attention": (".attn2.",)}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A layer that takes part; `path` is the one in the model."""

    path: str
    layer: nn.Module
    rank: int
    alpha: float


def choose_denoiser_layers(denoiser: nn.Module, family: Family, config: NetworkConfig) -> list[Chosen]:
    """The layers of the denoiser in the order of the model.

    3x3 convolutions have the rank of convolutions; the small layers between them, which come in with them, the usual
    one. The ranks of blocks are for all but the 3x3 convolutions; a rank of 0 leaves out these as well.

    Raises:
        UserError: A line of the settings cannot be read or fits nothing, or no layer is left.
    """
    layers = dict(trainable_layers(denoiser))
    ranks = block_ranks(config.block_ranks)
    _refuse_unfitting(config, ranks, list(layers))
    found: list[Chosen] = []
    targets = family.denoiser_targets, family.denoiser_conv_targets
    for path, layer in layers.items():
        if (scale := rank_and_alpha(path, targets, config, ranks, is_wide=_is_wide(layer))) is not None:
            found.append(Chosen(path, layer, *scale))
    if not found:
        raise UserError(
            "No layer of the denoiser is left to train.",
            remedy="Set Layers back to all, and empty Only these layers, Layers left out and Ranks of blocks.",
        )
    return found


def rank_and_alpha(
    path: str, targets: Targets, config: NetworkConfig, ranks: Mapping[str, int], *, is_wide: bool
) -> tuple[int, float] | None:
    """What a layer of the denoiser gets; None where it takes no part.

    Args:
        path: In diffusers' names.
        targets: Ends of the paths that take part, and of those that do with convolutions.
        config: The settings.
        ranks: Its `block_ranks`, as they were read.
        is_wide: The layer is a convolution over more than one place.
    """
    prefix = longest_prefix(path, ranks)
    block_rank = config.rank if prefix is None else ranks[prefix]
    if not block_rank or not _takes_part(path, targets, config):
        return None
    if not _ends_in(path, targets[0]) and is_wide:
        return config.conv_rank, config.conv_alpha
    return block_rank, config.alpha * block_rank / config.rank


def choose_text_encoder_layers(text_encoder: nn.Module, family: Family, config: NetworkConfig) -> list[Chosen]:
    """The layers of the text encoder in the order of the model; none where the family's cannot be trained."""
    return [
        Chosen(path, layer, config.rank, config.alpha)
        for path, layer in trainable_layers(text_encoder)
        if _ends_in(path, family.text_encoder_targets)
    ]


def trainable_layers(module: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """All layers that a network can be added to, by their paths."""
    from torch import nn

    for path, layer in module.named_modules():
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1):
            yield path, layer


def block_ranks(lines: tuple[str, ...]) -> dict[str, int]:
    """Ranks by the beginning of a module's path, from lines such as `down_blocks.1=8`.

    Raises:
        UserError: A line is something else.
    """
    found: dict[str, int] = {}
    for line in filter(None, map(str.strip, lines)):
        prefix, _, value = (part.strip() for part in line.partition("="))
        if not prefix or not (value.isascii() and value.isdigit()) or int(value) > MOST_RANK:
            raise UserError(
                '"{line}" is no rank of a block.',
                remedy="Write one name=rank on each line, with a rank from 0 to {most}, for example: down_blocks.1=8",
                line=line,
                most=MOST_RANK,
            )
        found[prefix] = int(value)
    return found


def longest_prefix(path: str, prefixes: Iterable[str]) -> str | None:
    """The longest of the prefixes that a module's path begins with, whole names only; None when there is none."""
    fitting = [prefix for prefix in prefixes if f"{path}.".startswith(f"{prefix}.")]
    return max(fitting, key=len, default=None)


def _takes_part(path: str, targets: Targets, config: NetworkConfig) -> bool:
    usual, convolutions = targets
    if not _ends_in(path, usual + (convolutions if config.conv_rank else ())):
        return False
    if config.layers != "all" and not any(part in f".{path}." for part in _ATTENTION[config.layers]):
        return False
    only, left_out = _lines(config.only), _lines(config.leave_out)
    return (not only or _fits(path, only)) and not _fits(path, left_out)


def _refuse_unfitting(config: NetworkConfig, ranks: Iterable[str], paths: Sequence[str]) -> None:
    if strange := [prefix for prefix in ranks if not any(longest_prefix(path, [prefix]) for path in paths)]:
        raise UserError(
            "The block rank {prefix} fits no part of this base model.",
            remedy="Names are those of diffusers, for example down_blocks.1, mid_block or up_blocks.2.attentions.1.",
            prefix=", ".join(strange),
        )
    lines = [*_lines(config.only), *_lines(config.leave_out)]
    if strange := [line for line in lines if not any(_fits(path, [line]) for path in paths)]:
        raise UserError(
            "{line} fits no layer of this base model.",
            remedy="Names are those of diffusers, with * for anything, for example up_blocks.* or *.attn2.*",
            line=", ".join(strange),
        )


def _lines(lines: Iterable[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip()]


def _fits(path: str, lines: Iterable[str]) -> bool:
    return any(fnmatchcase(path, line) for line in lines)


def _ends_in(path: str, ends: Iterable[str]) -> bool:
    return any(f".{path}".endswith(f".{end}") for end in ends)


def _is_wide(layer: Any) -> bool:
    """Whether it is a convolution over more than one place."""
    return any(side > 1 for side in getattr(layer, "kernel_size", ()))
