"""How many numbers a run trains: counted layer by layer by the rules that build the network, without torch."""

from __future__ import annotations

from functools import lru_cache

from core.config import NetworkConfig, TrainConfig
from core.errors import UserError
from core.lora.architecture import CONV_ENDS, DEFAULT_ENDS
from core.lora.selection import block_ranks, rank_and_alpha
from core.lora.sizes import num_weights
from core.model_shape import Layers, ModelShape


def num_trained(config: TrainConfig, shape: ModelShape) -> int:
    """Numbers in the network of a run."""
    network = config.network
    found = _in_denoiser(network, shape.denoiser_layers) if network.train_denoiser else 0
    if trains_text_encoder(config):
        found += _in_text_encoder(network, shape.text_encoder_layers)
    return found


def trains_text_encoder(config: TrainConfig) -> bool:
    """Whether the text encoder takes part."""
    return config.network.train_text_encoder and config.optimizer.text_encoder_learning_rate > 0


@lru_cache(maxsize=64)
def _in_denoiser(network: NetworkConfig, layers: Layers) -> int:
    try:
        ranks = block_ranks(network.block_ranks)
    except UserError:
        ranks = {}  # Half a line, while it is written.
    found = 0
    for path, shape in layers:
        is_wide = any(side > 1 for side in shape[2:])
        scale = rank_and_alpha(path, (DEFAULT_ENDS, CONV_ENDS), network, ranks, is_wide=is_wide)
        if scale is not None:
            found += _in_layer(network, shape, scale[0])
    return found


@lru_cache(maxsize=64)
def _in_text_encoder(network: NetworkConfig, layers: Layers) -> int:
    return sum(_in_layer(network, shape, network.rank) for _, shape in layers)


def _in_layer(network: NetworkConfig, shape: tuple[int, ...], rank: int) -> int:
    return num_weights(network.kind, shape, rank, network.factor, dora=network.dora)
