"""Rules about the kinds of networks. Read by `core.config.rules`."""

from __future__ import annotations

import math

from core.config.rules import Rule
from core.text import tr

_MOST_STABILIZED = 8
"""A scale above this is far beyond what alpha = rank gives at the usual ranks."""
_MOST_LOHA_RANK = 16

RULES: tuple[Rule, ...] = (
    Rule(
        keys=("network.dora", "network.kind"),
        level="error",
        holds=lambda c, f: c.network.dora and c.network.kind != "lora",
        sentence=lambda c, f: tr("Weight decomposition (DoRA) is for LoRA alone, not for LoHa and LoKr."),
        way_out=lambda c, f: {"network.dora": False},
    ),
    Rule(
        keys=("network.alpha", "network.rank_stabilized"),
        level="warning",
        holds=lambda c, f: c.network.rank_stabilized and c.network.alpha > _MOST_STABILIZED * math.sqrt(c.network.rank),
        sentence=lambda c, f: tr(
            "With the rank-stabilized scale every update counts {factor} times, and the LoRA easily falls apart.",
            factor=f"{c.network.alpha / math.sqrt(c.network.rank):.3g}",
        ),
        way_out=lambda c, f: {"network.alpha": float(max(1, round(math.sqrt(c.network.rank))))},
    ),
    Rule(
        keys=("network.conv_alpha", "network.conv_rank"),
        level="warning",
        holds=lambda c, f: 0 < 2 * c.network.conv_rank < c.network.conv_alpha,
        sentence=lambda c, f: tr(
            "The alpha of convolutions is {factor} times their rank, and the LoRA easily falls apart.",
            factor=f"{c.network.conv_alpha / c.network.conv_rank:.3g}",
        ),
        way_out=lambda c, f: {"network.conv_alpha": float(c.network.conv_rank)},
    ),
    Rule(
        keys=("network.rank", "network.kind"),
        level="info",
        holds=lambda c, f: c.network.kind == "loha" and c.network.rank > _MOST_LOHA_RANK,
        sentence=lambda c, f: tr(
            "A LoHa of rank {rank} holds as much as a LoRA of rank {square}; 4 to 8 is usual.",
            rank=c.network.rank,
            square=c.network.rank**2,
        ),
        way_out=lambda c, f: {"network.rank": 8, "network.alpha": c.network.alpha * 8 / c.network.rank},
    ),
    Rule(
        keys=("network.rank_dropout", "network.kind"),
        level="info",
        holds=lambda c, f: c.network.kind == "lokr" and c.network.rank_dropout > 0,
        sentence=lambda c, f: tr("LoKr keeps many layers without ranks; rank dropout does nothing in these."),
        way_out=lambda c, f: {"network.rank_dropout": 0.0},
    ),
)
