"""The estimate against the tensors that a real pass keeps."""

from __future__ import annotations

import pytest
import torch

from core import estimate as estimates
from core.config import NetworkConfig, TrainConfig, with_values
from core.families.sd1 import FAMILY
from core.lora.network import add_network
from core.model_shape import shape_of
from core.models import describe_base
from core.paths import STARTER_MODEL


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_estimate_is_near_what_a_pass_of_the_starter_model_keeps(batch_size: int) -> None:
    parts = FAMILY.load(describe_base(STARTER_MODEL), torch.float32)
    add_network(parts, FAMILY, NetworkConfig(rank=16, train_text_encoder=False), 1)
    weights = {weight.untyped_storage().data_ptr() for weight in parts.denoiser.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # Held, so that no address is used twice.
        return tensor

    latents, words = torch.randn(batch_size, 4, 16, 16), torch.randn(batch_size, 77, 128)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        FAMILY.predict(parts, latents, torch.zeros(batch_size, dtype=torch.long), {"prompt_embeds": words})
    counted = sum(storage.nbytes() for storage in kept.values())
    changes = {
        "dataset.resolution": 128,
        "training.batch_size": batch_size,
        "network.rank": 16,
        "network.train_text_encoder": False,
    }
    config = with_values(TrainConfig(), changes)
    shares = {
        share.name: share.num_bytes
        for share in estimates._stage("train", config, shape_of(describe_base(STARTER_MODEL)), "cpu")
    }
    assert shares["computing"] == pytest.approx(counted, rel=0.15)
