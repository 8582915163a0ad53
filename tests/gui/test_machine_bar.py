"""The machine in the status bar: what it shows, what it hides, and that a silent driver holds up nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app import machine_bar
from app.machine_bar import MachineBar, short_name
from app.widgets.machine_part import MachinePart
from core.machine import Card
from core.text import set_language

GIB = 1 << 30
CARD = Card(
    index=0,
    name="NVIDIA GeForce RTX 4060",
    total_bytes=8 * GIB,
    used_bytes=4 * GIB,
    use_percent=97.0,
    temperature_c=71.0,
    power_w=114.2,
    power_limit_w=115.0,
)


class Machine:
    """What the bar is told when it asks."""

    def __init__(self) -> None:
        self.cards: tuple[Card, ...] = (CARD,)
        self.memory: tuple[int | None, int | None] = (32 * GIB, 8 * GIB)
        self.percent: float | None = 12.0
        self.free: int | None = 128_000_000_000
        self.asked: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.silence = threading.Event()
        self.silence.set()

    def graphics_cards(self) -> tuple[Card, ...]:
        self.asked.append("cards")
        self.threads.add(threading.current_thread())
        assert self.silence.wait(20)
        return self.cards


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine_bar, "graphics_cards", made.graphics_cards)
    monkeypatch.setattr(machine_bar, "memory", lambda: made.memory)
    monkeypatch.setattr(machine_bar, "processor_percent", lambda: made.percent)
    monkeypatch.setattr(machine_bar, "disk_free", lambda _folder: made.free)
    for name in ("FIRST_LOOK_MS", "LOOK_MS"):
        monkeypatch.setattr(machine_bar, name, 5)
    yield made
    made.silence.set()


@pytest.fixture
def bar(machine: Machine, qtbot: QtBot, tmp_path: Path) -> MachineBar:
    made = MachineBar(lambda: tmp_path)
    qtbot.addWidget(made)
    return made


def test_everything_that_is_known_is_shown(bar: MachineBar, qtbot: QtBot, machine: Machine) -> None:
    bar.show()
    qtbot.waitUntil(lambda: bar.disk.isVisible() and bar.card.isVisible() and bar.memory.isVisible())
    assert (bar.card.name.text(), bar.card.value.text()) == ("RTX 4060", "97 %")
    assert bar.card_memory.value.text() == "4 / 8 GB"
    assert bar.card_memory.meter is not None
    assert bar.card_memory.meter.share == 0.5
    assert (bar.temperature.value.text(), bar.power.value.text()) == ("71 °C", "114 W")
    assert bar.memory.value.text() == "8 / 32 GB"
    assert bar.disk.value.text() == "128 GB free"
    assert not bar.processor.isVisible()
    assert "Power: 114 of 115 W" in bar.card.toolTip()
    assert threading.current_thread() not in machine.threads


def test_without_a_card_the_processor_is_shown_instead(bar: MachineBar, qtbot: QtBot, machine: Machine) -> None:
    machine.cards = ()
    bar.show()
    qtbot.waitUntil(lambda: bar.processor.isVisible())
    assert bar.processor.value.text() == "12 %"
    assert not any(part.isVisible() for part in (bar.card, bar.card_memory, bar.temperature, bar.power))


def test_what_a_card_does_not_tell_is_hidden(bar: MachineBar, qtbot: QtBot, machine: Machine) -> None:
    machine.cards = (Card(index=0, name="NVIDIA GeForce RTX 3050 Laptop GPU", total_bytes=4 * GIB, used_bytes=GIB),)
    machine.free = None
    bar.show()
    qtbot.waitUntil(lambda: bar.card_memory.isVisible())
    assert bar.card_memory.name.text() == "RTX 3050"
    assert not any(part.isVisible() for part in (bar.card, bar.temperature, bar.power, bar.disk))


@pytest.mark.parametrize(
    ("used_gib", "degrees", "memory", "temperature"),
    [(4.0, 60.0, "calm", "calm"), (7.5, 85.0, "warning", "warning"), (7.9, 88.0, "danger", "danger")],
)
def test_a_full_or_hot_card_is_coloured(
    bar: MachineBar, qtbot: QtBot, machine: Machine, used_gib: float, degrees: float, memory: str, temperature: str
) -> None:
    used = int(used_gib * GIB)
    machine.cards = (Card(index=0, name="RTX", total_bytes=8 * GIB, used_bytes=used, temperature_c=degrees),)
    bar.show()
    qtbot.waitUntil(lambda: bar.card_memory.isVisible())
    assert bar.card_memory.level == memory
    assert bar.temperature.level == temperature


@pytest.mark.parametrize(
    ("free", "level"), [(128_000_000_000, "calm"), (1_900_000_000, "warning"), (150_000_000, "danger")]
)
def test_a_full_disk_is_coloured(bar: MachineBar, qtbot: QtBot, machine: Machine, free: int, level: str) -> None:
    machine.free = free
    bar.show()
    qtbot.waitUntil(lambda: bar.disk.isVisible())
    assert bar.disk.level == level


def test_a_driver_that_does_not_answer_is_asked_once_and_the_rest_goes_on(
    bar: MachineBar, qtbot: QtBot, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.silence.clear()
    bar.show()
    qtbot.waitUntil(lambda: bar.memory.isVisible())
    first = bar.memory.value.text()
    machine.memory = (32 * GIB, 9 * GIB)
    qtbot.waitUntil(lambda: bar.memory.value.text() != first)
    assert machine.asked == ["cards"]
    # What it said before is not shown for ever.
    bar._cards = (CARD,)
    monkeypatch.setattr(machine_bar, "SILENT_S", 0.0)
    qtbot.waitUntil(lambda: bar._cards == () and bar.processor.isVisible())
    machine.silence.set()
    qtbot.waitUntil(lambda: bar.card.isVisible())


def test_an_answer_about_another_folder_is_not_shown(bar: MachineBar, tmp_path: Path) -> None:
    bar._folder = tmp_path
    bar._take_disk(tmp_path / "before", 5)
    assert bar._free is None
    bar._take_disk(tmp_path, 7)
    assert bar._free == 7


def test_a_hidden_bar_asks_rarely(bar: MachineBar, qtbot: QtBot, machine: Machine) -> None:
    bar.show()
    qtbot.waitUntil(lambda: bar.memory.isVisible())
    bar.hide()
    assert bar._timer.interval() == machine_bar.IDLE_LOOK_MS


def test_it_speaks_chinese(bar: MachineBar, qtbot: QtBot) -> None:
    bar.show()
    qtbot.waitUntil(lambda: bar.disk.isVisible() and bar.card.isVisible())
    set_language("zh")
    bar.retranslate()
    assert bar.disk.value.text() == "剩余 128 GB"
    assert "显存" in bar.card.toolTip()


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA GeForce RTX 3050 Laptop GPU", "RTX 3050"),
        ("NVIDIA H200", "H200"),
        ("Tesla T4", "Tesla T4"),
        ("NVIDIA ", "GPU"),
    ],
)
def test_names_of_cards_are_short(name: str, short: str) -> None:
    assert short_name(name) == short


def test_a_screen_reader_hears_the_value_of_now(qtbot: QtBot) -> None:
    part = MachinePart()
    qtbot.addWidget(part)
    part.set_name("Processor")
    for value in ("12 %", "99 %"):
        part.show_value(value)
        assert part.accessibleName() == f"Processor {value}"
