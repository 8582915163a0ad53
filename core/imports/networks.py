"""The network as kohya's scripts, LyCORIS, SD-Trainer and OneTrainer name it, in Kiln's words and back."""

from __future__ import annotations

from core.config.model import NetworkConfig
from core.imports.blocks import Layout, layout_for, layout_of
from core.imports.draft import Argument, Arguments, Draft
from core.imports.values import UnfitError, flag, is_off, number, numbers, options, shown, text, whole
from core.models import FamilyName
from core.text import tr

NETWORK_ARGUMENTS = (
    "conv_dim",
    "conv_alpha",
    "factor",
    "dora_wd",
    "rs_lora",
    "block_dims",
    "block_alphas",
    "algo",
    "preset",
    "exclude_patterns",
)
"""What is read here; of programs that keep such options for another kind of network, they have no effect there."""

_OTHER_NAMES = {
    "lycoris_algo": "algo",
    "lokr_factor": "factor",
    "LyCORIS_preset": "preset",
    "lora_decompose": "dora_wd",
    "lora_decompose_output_axis": "wd_on_output",
}
_KINDS = {"lora": "lora", "locon": "lora", "loha": "loha", "lokr": "lokr", "standard": "lora"}
_PRESETS = {
    "full": "all",
    "full-lin": "all",
    "attn-mlp": "all",
    "unet-transformer-only": "all",
    "attn-only": "attention",
}
_WITHOUT_CONVOLUTIONS = ("full-lin", "attn-mlp", "attn-only", "unet-transformer-only")


def map_network(draft: Draft, arguments: Arguments, *, is_complete: bool) -> None:
    """Take kind, ranks, alphas and layers of the network.

    Args:
        draft: Where the findings go.
        arguments: What was read.
        is_complete: It was read from the settings of a whole run, where what is missing has a meaning, too.
    """
    for old, name in _OTHER_NAMES.items():
        if (argument := arguments.take(old)) is not None:
            arguments.add(Argument(argument.source, name, argument.value, words=argument.words))
    is_lycoris = _kind(draft, arguments)
    draft.convert(arguments.take("network_dim"), "network.rank", whole)
    _alpha(draft, arguments.take("network_alpha"), "network.rank", "network.alpha")
    without = _preset(draft, arguments.take("preset"))
    if is_complete:
        # LyCORIS trains convolutions as all else unless it is told another rank, kohya's own network only if it is.
        as_all_else = is_lycoris and not without
        for name, key in (("conv_dim", "network.rank"), ("conv_alpha", "network.alpha")):
            value = draft.changes.get(key) if as_all_else else {"conv_dim": 0}.get(name)
            if name not in arguments and value is not None:
                arguments.add(Argument(name, name, value, is_assumed=True))
    draft.convert(arguments.take("conv_dim"), "network.conv_rank", whole)
    _alpha(draft, arguments.take("conv_alpha"), "network.conv_rank", "network.conv_alpha")
    draft.convert(arguments.take("factor"), "network.factor", whole)
    draft.convert(arguments.take("rs_lora"), "network.rank_stabilized", flag)
    _decomposition(draft, arguments)
    _blocks(draft, arguments)
    _left_out(draft, arguments.take("exclude_patterns"))
    _filter(draft, arguments)
    draft.path(arguments.take("network_weights"), "network.start_from")


def _kind(draft: Draft, arguments: Arguments) -> bool:
    """Take the kind; returns whether LyCORIS trained it."""
    module, algo = arguments.take("network_module"), arguments.take("algo")
    name = str(module.value).lower() if module is not None else ""
    is_lycoris = name.startswith("lycoris")
    short = name.rpartition(".")[2].rpartition("/")[2].removeprefix("kohya ")
    if module is not None and not draft.was_empty(module):
        if short in _KINDS and short != "kohya":
            draft.take(module, "network.kind", _KINDS[short])
        elif is_lycoris and short == "kohya":
            draft.note(module, "network.kind", _KINDS.get(str(algo.value).lower() if algo else "lora", "lora"))
        else:
            draft.leave(
                module, tr("Kiln trains LoRA, LoHa and LoKr networks, not {kind}.", kind=shown(module.original))
            )
    if algo is not None:
        draft.convert(algo, "network.kind", _algorithm)
    return is_lycoris


def _algorithm(value: object) -> str:
    word = text(value).strip().lower()
    if word not in _KINDS:
        raise UnfitError(tr("Kiln trains LoRA, LoHa and LoKr networks, not {kind}.", kind=shown(value)))
    return _KINDS[word]


def _alpha(draft: Draft, argument: Argument | None, rank_key: str, key: str) -> None:
    if argument is None or draft.was_empty(argument):
        return
    try:
        value = number(argument.value)
    except UnfitError as error:
        draft.leave(argument, str(error))
        return
    rank = draft.changes.get(rank_key)
    if value == 0 and isinstance(rank, int):
        if rank:
            draft.take(argument, key, float(rank), tr("0 stands for the same number as the rank."))
        else:
            draft.leave_off(argument)
    else:
        draft.take(argument, key, value)


def _preset(draft: Draft, argument: Argument | None) -> bool:
    """Take LyCORIS's choice of layers; returns whether it has no convolutions."""
    if argument is None or draft.was_empty(argument):
        return False
    word = str(argument.value).strip().lower()
    if word not in _PRESETS:
        draft.leave(argument, tr("Kiln does not know this choice of layers."))
        return False
    draft.take(argument, "network.layers", _PRESETS[word])
    if word in _WITHOUT_CONVOLUTIONS:
        draft.take(argument, "network.conv_rank", 0)
    return word in _WITHOUT_CONVOLUTIONS


def _decomposition(draft: Draft, arguments: Arguments) -> None:
    wish, by_output = arguments.take("dora_wd"), arguments.take("wd_on_output")
    if wish is not None and not is_off(wish.value) and draft.changes.get("network.kind", "lora") != "lora":
        draft.leave(wish, tr("Kiln decomposes the weights of LoRA alone."))
        wish = None
    note = tr("Kiln learns the lengths of columns: ComfyUI, A1111 and Forge all compute those as they were trained.")
    draft.convert(wish, "network.dora", flag, note if wish is not None and not is_off(wish.value) else "")
    if by_output is None or draft.was_empty(by_output):
        return
    if is_off(by_output.value):
        draft.leave_off(by_output)
    else:
        draft.leave(by_output, note)


def _blocks(draft: Draft, arguments: Arguments) -> None:
    """Take the ranks of kohya's blocks. There the alpha of a block stays the same unless the file names it."""
    layout = layout_for(draft, arguments)
    ranks, alphas = arguments.take("block_dims"), arguments.take("block_alphas")
    if alphas is not None:
        draft.leave(
            alphas, tr("The alpha of a block goes along with its rank in Kiln."), is_harmless=is_off(alphas.value)
        )
    if ranks is None or draft.was_empty(ranks):
        return
    try:
        found = [whole(value) for value in numbers(ranks.value)]
    except UnfitError as error:
        draft.leave(ranks, str(error))
        return
    if len(found) != layout.num_ranks:
        draft.leave(
            ranks,
            tr(
                "kohya's scripts take {wanted} ranks for this kind of base model, and here are {number}.",
                wanted=layout.num_ranks,
                number=len(found),
            ),
        )
        return
    usual = draft.changes.get("network.rank")
    lines = tuple(f"{part}={found[place]}" for place, part in layout.places.items() if found[place] != usual)
    draft.take(ranks, "network.block_ranks", lines, tr("The alpha of a block goes along with its rank in Kiln."))


def _left_out(draft: Draft, argument: Argument | None) -> None:
    """Take patterns of layers that are left out, as far as they are no more than names with anything in between."""
    if argument is None or draft.was_empty(argument):
        return
    value = argument.value
    listed = value if isinstance(value, (list, tuple)) else [name for name, _ in options(value)]
    lines = []
    for pattern in listed:
        plain = str(pattern).replace(".*", "*").replace(r"\.", ".").removeprefix("^").removesuffix("$")
        if any(sign in plain for sign in "\\()[]{}|+?^$"):
            draft.leave(
                argument, tr("Kiln takes names with * for anything, and {value} is more.", value=shown(pattern))
            )
            return
        lines.append(plain)
    draft.take(argument, "network.leave_out", tuple(lines))


def _filter(draft: Draft, arguments: Arguments) -> None:
    """Take OneTrainer's filter: parts of names with commas, one of which must be in the name of a layer."""
    regular, argument = arguments.take("layer_filter_regex"), arguments.take("layer_filter")
    if regular is not None and (is_off(regular.value) or argument is None):
        draft.leave_off(regular)
        regular = None
    if argument is None or draft.was_empty(argument):
        return
    if regular is not None:
        for one in (argument, regular):
            draft.leave(one, tr("Kiln takes names with * for anything, and no regular expressions."))
        return
    parts = [part.strip() for part in str(argument.value).split(",") if part.strip()]
    draft.take(argument, "network.only", () if "attentions" in parts else tuple(f"*{part}*" for part in parts))


# --- the way back -----------------------------------------------------------------------------------------------------


def is_for_lycoris(network: NetworkConfig) -> bool:
    """Whether kohya's own LoRA network has no word for it, and LyCORIS has."""
    return network.kind != "lora" or network.dora or network.rank_stabilized


def network_arguments(network: NetworkConfig, family: FamilyName | None) -> tuple[list[str], list[str]]:
    """The `network_args` that say kind, ranks and alphas, and the options of Kiln that they say.

    Args:
        network: Kiln's settings.
        family: That of the base model, whose blocks the lists of ranks count; None where nobody knows.
    """
    found: list[str] = []
    said = ["network.kind", "network.conv_rank", "network.conv_alpha"]
    if is_for_lycoris(network):
        found.append(f"algo={'locon' if network.kind == 'lora' else network.kind}")
        found.append("preset=full" if network.conv_rank else "preset=attn-mlp")
        said += ["network.dora", "network.rank_stabilized", "network.factor"]
        if network.kind == "lokr":
            found.append(f"factor={network.factor}")
        if network.dora:
            found += ["dora_wd=True", "wd_on_output=False"]
        if network.rank_stabilized:
            found.append("rs_lora=True")
    elif network.block_ranks and (ranks := _block_numbers(network, layout_of(family))) is not None:
        found.append("block_dims=" + ",".join(map(str, ranks)))
        found.append("block_alphas=" + ",".join(f"{network.alpha * rank / network.rank:g}" for rank in ranks))
        said.append("network.block_ranks")
    if network.conv_rank:
        found += [f"conv_dim={network.conv_rank}", f"conv_alpha={network.conv_alpha:g}"]
    return found, said


def _block_numbers(network: NetworkConfig, layout: Layout) -> list[int] | None:
    """Kiln's lines as the numbers of blocks; None when they name a part that kohya has no word for."""
    ranks: dict[str, int] = {}
    for line in network.block_ranks:
        name, _, value = (part.strip() for part in line.partition("="))
        try:
            ranks[name] = whole(value)
        except UnfitError:
            return None
        if not any(f"{part}.".startswith(f"{name}.") for part in layout.places.values()):
            return None

    def rank(part: str) -> int:
        fitting = [name for name in ranks if f"{part}.".startswith(f"{name}.")]
        return ranks[max(fitting, key=len)] if fitting else network.rank

    places = layout.places
    return [rank(places[place]) if place in places else network.rank for place in range(layout.num_ranks)]
