"""How much memory a run is said to need, and what is said about it."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from core import estimate as estimates
from core.config import TrainConfig, with_values
from core.config.model import OptimizerName
from core.device import Device, torch_has_cuda, training_device
from core.errors import UserError
from core.estimate import MemoryEstimate, estimate_memory, estimate_or_none, gigabytes, saved, savers, verdict
from core.estimate_network import num_trained
from core.model_shape import ModelShape, shape_of
from core.models import FamilyName, describe_base
from core.paths import STARTER_MODEL
from tests.full_size import full_shape, full_size

GIB = 2**30
SD15, BASE = full_shape("sd1"), full_size("sd1")


@pytest.fixture(autouse=True)
def shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All base models are of full size."""
    monkeypatch.setattr(estimates, "shape_of", lambda base, vae: full_shape(base.family))


def config_with(**changes: Any) -> TrainConfig:
    return with_values(TrainConfig(), {key.replace("__", "."): value for key, value in changes.items()})


def part(estimate: MemoryEstimate, name: str) -> float:
    """A share of an estimate, in MB."""
    return next(share.num_bytes for share in estimate.parts if share.name == name) / 1e6


@pytest.mark.parametrize(
    ("pixels", "kind", "checkpointing", "counted_mb"),
    [
        (512, "cuda", False, 1092),
        (512, "cuda", True, 286),
        (512, "cpu", False, 1866),
        (512, "cpu", True, 460),
        (768, "cuda", False, 2464),
        (768, "cpu", False, 4222),
    ],
)
def test_a_pass_keeps_what_was_counted_on_the_full_size_network(
    pixels: int, kind: str, checkpointing: bool, counted_mb: float
) -> None:
    config = config_with(
        dataset__resolution=pixels,
        training__gradient_checkpointing=checkpointing,
        network__train_text_encoder=False,
    )
    estimate = estimates._stage("train", config, SD15, kind)
    computing = next(share.num_bytes for share in estimate if share.name == "computing") / 1e6
    assert computing == pytest.approx(counted_mb, rel=0.06)


def test_what_is_stored_is_exact() -> None:
    config = config_with(network__rank=16, network__train_text_encoder=False)
    estimate = estimate_memory(config, BASE, "cuda")
    assert estimate.stage == "train"
    assert part(estimate, "model") == pytest.approx(2 * 859.52, rel=1e-3)  # The text encoder has left the card.
    assert part(estimate, "lora") == pytest.approx(16 * 0.423936 * (4 + 4 + 8), rel=1e-3)
    both = estimate_memory(with_values(config, {"network.train_text_encoder": True}), BASE, "cuda")
    assert part(both, "model") == pytest.approx(2 * (859.52 + 123.06), rel=1e-3)
    everything = estimate_memory(config, BASE, "cpu")
    assert part(everything, "model") == pytest.approx(4 * (859.52 + 123.06 + 83.65), rel=1e-3)


@pytest.mark.parametrize(
    ("family", "weights", "total_gb"),
    [("sdxl", "full", 7.1), ("sdxl", "int8", 4.6), ("kolors", "full", 7.1), ("kolors", "int8", 4.6)],
)
def test_large_models_need_what_was_worked_out_for_small_cards(
    family: FamilyName, weights: str, total_gb: float
) -> None:
    """1024 px, one picture, checkpointing, rank 16: weights, LoRA with Adam, what a pass keeps, and the program."""
    config = config_with(
        dataset__resolution=1024,
        training__gradient_checkpointing=True,
        training__base_weights=weights,
        network__train_text_encoder=False,
    )
    parts = estimates._stage("train", config, full_shape(family), "cuda")
    assert sum(part.num_bytes for part in parts) / 1e9 == pytest.approx(total_gb, rel=0.03)
    assert num_trained(config, full_shape(family)) == 42_557_440


def test_captions_that_change_keep_the_text_encoders_on_the_card() -> None:
    config = config_with(dataset__resolution=1024, network__train_text_encoder=False)
    kept = estimate_memory(config_with(dataset__resolution=1024, dataset__shuffle_tags=True), full_size("sdxl"))
    gone = estimate_memory(config, full_size("sdxl"))
    assert part(kept, "model") - part(gone, "model") == pytest.approx(2 * 817.72, rel=1e-3)


def test_kolors_reads_captions_in_layers_that_fit_any_card() -> None:
    config = config_with(dataset__resolution=1024)
    sizes = {
        how: sum(
            share.num_bytes
            for share in estimates._stage(
                "cache", with_values(config, {"model.large_text_encoder": how}), full_shape("kolors"), "cuda"
            )
            if share.name == "model"
        )
        / 1e9
        for how in ("layers", "int8", "whole")
    }
    assert sizes["layers"] < 1 and sizes["int8"] == pytest.approx(6.4, abs=0.1)
    assert sizes["whole"] == pytest.approx(12.5, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({"dora": True}, 1.37),
        ({"kind": "loha"}, 1.25),
        ({"kind": "lokr"}, 1.43),
        ({"conv_rank": 16}, 1.0),
    ],
)
def test_other_networks_keep_more_for_the_way_back(changes: dict[str, object], share: float) -> None:
    plain = config_with(network__train_text_encoder=False)
    other = with_values(plain, {f"network.{name}": value for name, value in changes.items()})
    before, after = (part(estimate_memory(config, BASE), "computing") for config in (plain, other))
    assert after == pytest.approx(share * before, rel=0.01)


def test_a_line_that_is_being_written_does_not_take_the_estimate_away() -> None:
    half = config_with(network__block_ranks=("mid_block=",), network__train_text_encoder=False)
    assert num_trained(half, SD15) == num_trained(config_with(network__train_text_encoder=False), SD15)


@pytest.mark.parametrize(
    ("name", "value", "more"),
    [
        ("training.batch_size", 2, True),
        ("dataset.resolution", 640, True),
        ("optimizer.name", "prodigy", True),
        ("optimizer.ema_decay", 0.99, True),
        ("network.rank", 64, True),
        ("network.conv_rank", 8, True),
        ("network.dora", True, True),
        ("network.kind", "loha", True),
        ("network.layers", "attention", False),
        ("network.only", ("up_blocks.*",), False),
        ("network.block_ranks", ("down_blocks=0",), False),
        ("training.precision", "fp32", True),
        ("optimizer.name", "adamw8bit", False),
        ("training.gradient_checkpointing", True, False),
        ("network.train_text_encoder", False, False),
    ],
)
def test_each_option_moves_the_estimate_its_way(name: str, value: object, more: bool) -> None:
    before = estimate_memory(TrainConfig(), BASE, "cuda").run_bytes
    after = estimate_memory(with_values(TrainConfig(), {name: value}), BASE, "cuda").run_bytes
    assert (after > before) is more
    assert after != before


def test_every_optimizer_is_known() -> None:
    assert set(estimates._OPTIMIZER) == set(get_args(OptimizerName))


def test_previews_count_for_the_peak_and_not_for_the_run() -> None:
    plain = estimate_memory(TrainConfig(), BASE, "cuda")
    drawn = estimate_memory(config_with(sampling__prompts=("a",), sampling__width=1024, sampling__height=1024), BASE)
    assert drawn.stage == "sample"
    assert drawn.peak_bytes > plain.peak_bytes
    assert drawn.run_bytes == plain.run_bytes


def card(total: float, free: float | None = None) -> Device:
    return Device(
        kind="cuda",
        name="RTX 4060",
        total_bytes=round(total * GIB),
        free_bytes=None if free is None else round(free * GIB),
    )


@pytest.mark.parametrize(
    ("device", "state", "said"),
    [
        (card(8, 7), "fits", "Fits: about 3.6 GB of the 8 GB of RTX 4060."),
        (card(8, 3), "tight", "Only 3 GB are free now; closing other programs helps."),
        (card(3.8, 3.8), "tight", "Tight: about 3.6 GB"),
        (card(3, 3), "too_much", "Will not fit: about 3.6 GB, and RTX 4060 has 3 GB."),
        (Device(kind="cuda"), "unknown", "Needs about 3.6 GB of memory."),
    ],
)
def test_the_verdict_says_whether_it_fits(device: Device, state: str, said: str) -> None:
    config = TrainConfig()
    found = verdict(estimate_memory(config, BASE, "cuda"), config, BASE, device)
    assert found.state == state
    assert said in found.sentence


def test_the_verdict_says_what_is_done() -> None:
    config = config_with(training__batch_size=4)
    estimate = estimate_memory(config, BASE, "cuda")
    tells = verdict(estimate, config, BASE, card(4)).remedy
    assert tells.startswith("Kiln will save memory by itself: checkpointing")
    stops = with_values(config, {"training.on_out_of_memory": "stop"})
    assert verdict(estimate, stops, BASE, card(4)).remedy.startswith("Turn on: checkpointing")
    assert "Lower the resolution" in verdict(estimate, config, BASE, card(1)).remedy
    assert "goes on from the last step with less" in verdict(estimate, config, BASE, card(7)).remedy


def test_a_card_too_small_for_previews_alone_still_trains() -> None:
    config = config_with(sampling__prompts=("a",), sampling__width=1536, sampling__height=1536)
    found = verdict(estimate_memory(config, BASE, "cuda"), config, BASE, card(4))
    assert found.state == "tight"
    assert found.remedy == "Previews may not fit; then the run goes on without them."


def test_savers_are_taken_until_it_fits_and_keep_the_effective_batch() -> None:
    config = config_with(training__batch_size=4)
    smaller, used = saved(config, BASE, "cuda", 4 * GIB)
    assert smaller.training.gradient_checkpointing
    assert estimate_memory(smaller, BASE, "cuda").run_bytes <= 0.97 * 4 * GIB
    assert smaller.training.batch_size * smaller.training.gradient_accumulation == 4
    assert 1 <= len(used) <= 3
    least, _ = saved(config, BASE, "cuda", GIB)
    assert savers(least) == []
    assert least.training.batch_size == 1 and not least.network.train_text_encoder


def test_nothing_is_saved_where_there_is_room() -> None:
    assert saved(TrainConfig(), BASE, "cuda", 24 * GIB) == (TrainConfig(), [])


def test_a_damaged_base_model_has_no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_base: object, _vae: object) -> ModelShape:
        raise UserError("The file is not complete.", remedy="Get it again.")

    monkeypatch.setattr(estimates, "shape_of", fail)
    assert estimate_or_none(TrainConfig(), BASE, "cuda") is None
    assert estimate_or_none(TrainConfig(), None, "cuda") is None


def test_the_shape_is_read_from_the_files() -> None:
    shape = shape_of(describe_base(STARTER_MODEL))
    assert 7e6 < shape.denoiser < 8e6
    assert (shape.text_width, shape.text_layers, shape.vae_width, shape.scale) == (128, 3, 16, 8)
    assert num_trained(config_with(network__rank=1, network__train_text_encoder=False), shape) == 45_568


@pytest.mark.parametrize(("num_bytes", "said"), [(3.63 * GIB, "3.6 GB"), (8 * GIB, "8 GB"), (23.6 * GIB, "24 GB")])
def test_memory_is_said_as_on_the_box(num_bytes: float, said: str) -> None:
    assert gigabytes(round(num_bytes)) == said


def test_the_device_is_known_without_torch() -> None:
    device = training_device("cpu")
    assert device.kind == "cpu"
    assert device.total_bytes is None or device.total_bytes > 0
    assert device.title == "this machine"
    assert torch_has_cuda() in (True, False)
