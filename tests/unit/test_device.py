"""Device, number format and threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from core.errors import UserError
from core.training.device import choose_device, choose_threads, peak_memory_bytes, precision_name


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
