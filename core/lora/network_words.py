"""The network of a run in the words of kohya's scripts and LyCORIS, for the metadata of its file."""

from __future__ import annotations

from core.config.model import NetworkConfig
from core.imports.networks import is_for_lycoris, network_arguments
from core.models import FamilyName

_OWN = ("layers", "only", "leave_out", "block_ranks")
"""Options that stand under Kiln's names where the scripts have no word for what they say."""


def network_values(network: NetworkConfig, family: FamilyName) -> dict[str, object]:
    """`ss_network_module`, `_dim`, `_alpha` and, where there are any, `_args`; lists count the family's blocks."""
    found, said = network_arguments(network, family)
    arguments = dict(argument.split("=", 1) for argument in found)
    for name in ("rank_dropout", "module_dropout"):
        if chance := getattr(network, name):
            arguments[name] = str(chance)
    for name in _OWN:
        value = getattr(network, name)
        if value and value != "all" and f"network.{name}" not in said:
            arguments[name] = value if isinstance(value, str) else ",".join(value)
    values: dict[str, object] = {
        "ss_network_module": "lycoris.kohya" if is_for_lycoris(network) else "networks.lora",
        "ss_network_dim": network.rank,
        "ss_network_alpha": network.alpha,
    }
    if arguments:
        values["ss_network_args"] = arguments
    return values
