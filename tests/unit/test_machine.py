"""What the machine tells of itself, with a driver that is made up."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from core import machine
from core.machine import Card, graphics_cards, main_card, reading


class NvmlError(Exception):
    """What a driver answers to a question that it does not support."""


class FakeDriver:
    """`pynvml` for some cards, each a dictionary of answers; what is not in it is not supported."""

    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *cards: dict[str, object], broken: bool = False) -> None:
        self.cards = cards
        self.num_starts = 0
        self.broken = broken

    def nvmlInit(self) -> None:  # noqa: N802 - the library's names
        self.num_starts += 1
        if self.broken:
            raise NvmlError("NVML Shared Library Not Found")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, object]:  # noqa: N802
        if self.cards[index].get("lost"):
            raise NvmlError("GPU is lost")
        return self.cards[index]

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"580.65.06"

    def __getattr__(self, name: str) -> object:
        key = name.removeprefix("nvmlDeviceGet")

        def answer(handle: dict[str, object], *_rest: object) -> object:
            if key not in handle:
                raise NvmlError("Not Supported")
            return handle[key]

        return answer


RTX = {
    "Name": "NVIDIA GeForce RTX 4060",
    "MemoryInfo": SimpleNamespace(total=8_585_740_288, used=5_100_273_664, free=3_485_466_624),
    "UtilizationRates": SimpleNamespace(gpu=97, memory=60),
    "Temperature": 71,
    "PowerUsage": 114_250,
    "EnforcedPowerLimit": 115_000,
}
LAPTOP = {"Name": b"NVIDIA GeForce RTX 3050 Laptop GPU", "MemoryInfo": SimpleNamespace(total=4 << 30, used=1 << 30)}


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> object:
    """Puts a driver in place."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)

    def put(*cards: dict[str, object], broken: bool = False) -> FakeDriver:
        made = FakeDriver(*cards, broken=broken)
        monkeypatch.setitem(sys.modules, "pynvml", made)
        monkeypatch.setattr(machine, "_driver", machine._Driver())
        return made

    return put


def test_a_card_tells_everything(driver: object) -> None:
    driver(RTX)  # type: ignore[operator]
    assert graphics_cards() == (
        Card(
            index=0,
            name="NVIDIA GeForce RTX 4060",
            total_bytes=8_585_740_288,
            used_bytes=5_100_273_664,
            use_percent=97.0,
            temperature_c=71.0,
            power_w=114.25,
            power_limit_w=115.0,
        ),
    )
    assert machine.driver_version() == "580.65.06"


def test_what_a_laptop_does_not_tell_is_unknown_and_nothing_else(driver: object) -> None:
    driver(LAPTOP)  # type: ignore[operator]
    (card,) = graphics_cards()
    assert card.name == "NVIDIA GeForce RTX 3050 Laptop GPU"
    assert card.used_bytes == 1 << 30
    assert (card.use_percent, card.temperature_c, card.power_w) == (None, None, None)


def test_a_lost_card_is_left_out_and_the_other_keeps_its_number(driver: object) -> None:
    driver({**RTX, "lost": True}, LAPTOP)  # type: ignore[operator]
    assert [card.index for card in graphics_cards()] == [1]


def test_the_driver_is_opened_once_even_by_many_threads(driver: object) -> None:
    made = driver(RTX)  # type: ignore[operator]
    threads = [threading.Thread(target=graphics_cards) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    graphics_cards()
    assert made.num_starts == 1


def test_without_a_driver_there_are_no_cards_and_it_is_not_asked_again(driver: object, tmp_path: Path) -> None:
    made = driver(broken=True)  # type: ignore[operator]
    assert graphics_cards() == graphics_cards() == ()
    assert made.num_starts == 1
    assert main_card() is None
    assert machine.driver_version() == ""
    assert reading(tmp_path).cards == ()


def test_without_the_library_there_are_no_cards(driver: object, monkeypatch: pytest.MonkeyPatch) -> None:
    driver()  # type: ignore[operator]
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert graphics_cards() == ()


SMALL = Card(index=0, name="small", total_bytes=4 << 30)
LARGE = Card(index=1, name="large", total_bytes=24 << 30)
TWINS = (Card(index=0, name="twin", total_bytes=8 << 30), Card(index=1, name="twin", total_bytes=8 << 30))


@pytest.mark.parametrize(
    ("cards", "visible", "order", "expected"),
    [
        ((SMALL, LARGE), None, None, 1),
        (TWINS, None, None, 0),
        (TWINS, "1", None, 1),
        ((SMALL, LARGE), "0,1", "PCI_BUS_ID", 0),
        ((SMALL, LARGE), "0", None, 1),  # By CUDA's own order, 0 is the strongest.
        ((SMALL, LARGE), "GPU-8a1f", None, 1),
        ((SMALL, LARGE), "-1", None, None),
        ((SMALL, LARGE), "", None, None),
        (TWINS, "7", None, None),
        ((), None, None, None),
    ],
)
def test_the_card_of_a_training_is_the_one_cuda_takes(
    cards: tuple[Card, ...],
    visible: str | None,
    order: str | None,
    expected: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    found = main_card(cards)
    assert (found.index if found else None) == expected


def test_memory_and_disk_are_told_in_bytes(tmp_path: Path) -> None:
    now = reading(tmp_path / "not" / "there yet")
    assert now.ram_total_bytes is not None
    assert now.ram_used_bytes is not None
    assert 0 < now.ram_used_bytes < now.ram_total_bytes
    assert now.disk_free_bytes is not None
    assert now.disk_free_bytes > 0


def test_the_processor_is_busy_between_two_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    class Times(SimpleNamespace):
        def __iter__(self):  # type: ignore[no-untyped-def]
            return iter(vars(self).values())

    moments = iter(
        [
            Times(user=100.0, system=20.0, idle=300.0, iowait=10.0, guest=50.0),
            Times(user=106.0, system=22.0, idle=310.0, iowait=12.0, guest=53.0),
            Times(user=106.0, system=22.0, idle=310.0, iowait=12.0, guest=53.0),
        ]
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(moments))
    processor = machine._Processor()
    assert processor.percent() is None
    # 8 seconds of work and 12 of rest; what guests used is in the user's time already.
    assert processor.percent() == pytest.approx(100 * 8 / 20)
    assert processor.percent() is None


def test_a_disk_that_does_not_answer_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_folder: Path) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(machine, "free_bytes", refuse)
    assert reading(tmp_path).disk_free_bytes is None
