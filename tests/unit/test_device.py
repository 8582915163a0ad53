"""Device, number format and threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.errors import UserError
from core.families.base import Parts, family
from core.models import describe_base
from core.training.device import (
    choose_device,
    choose_threads,
    in_its_own_precision,
    peak_memory_bytes,
    precision_name,
    settle_vae,
)


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_small_model_computes_on_one_thread_and_a_large_one_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.training.device._ALL_THREADS", 2)
    with torch.device("meta"):
        small, large = torch.nn.Linear(100, 100), torch.nn.Linear(8000, 8000)
    assert choose_threads(large) == torch.get_num_threads() == 2
    assert choose_threads(small) == torch.get_num_threads() == 1


def test_a_processor_computes_in_fp32_unless_asked_and_never_in_fp16() -> None:
    assert precision_name(choose_device("cpu")[1]) == "fp32"
    assert precision_name(choose_device("cpu", "bf16")[1]) == "bf16"
    with pytest.raises(UserError, match="cannot train in fp16"):
        choose_device("cpu", "fp16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="no cuda device"):
        choose_device("cuda")


def test_peak_memory_is_that_of_a_process_with_torch_in_it() -> None:
    assert 50e6 < peak_memory_bytes(torch.device("cpu")) < 100e9


@pytest.fixture
def parts(tiny_sd1: Path) -> Parts:
    return family("sd1").load(describe_base(tiny_sd1), torch.float32)


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("wish", "expected"), [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_the_vae_computes_as_wished_and_in_fp32_by_itself_on_a_processor(
    parts: Parts, wish: str, expected: torch.dtype
) -> None:
    assert settle_vae(parts, family("sd1"), wish, CPU)  # type: ignore[arg-type]
    assert parts.vae.dtype == expected


def test_a_vae_that_gives_no_numbers_in_bf16_goes_back_to_fp32(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    vae = parts.vae
    encode = type(vae).encode

    def overflows(self: torch.nn.Module, pixels: torch.Tensor) -> object:
        encoded = encode(self, pixels)
        if pixels.dtype == torch.bfloat16:
            encoded.latent_dist.mean.fill_(float("nan"))
        return encoded

    monkeypatch.setattr(type(vae), "encode", overflows)
    assert not settle_vae(parts, family("sd1"), "bf16", CPU)
    assert vae.dtype == torch.float32


def test_a_picture_is_decoded_in_the_format_of_the_vae_whatever_is_around(parts: Parts) -> None:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = parts.vae.decode(latents, return_dict=False)[0]
        with torch.autocast("cpu", torch.bfloat16):
            rough = parts.vae.decode(latents, return_dict=False)[0]
            with in_its_own_precision(parts.vae):
                exact = parts.vae.decode(latents.bfloat16().float(), return_dict=False)[0]
        again = parts.vae.decode(latents.bfloat16().float(), return_dict=False)[0]
    assert not torch.equal(rough.float(), expected)
    assert torch.equal(exact, again)
