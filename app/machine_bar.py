"""The machine in the status bar: graphics card, memory, disk; asked in threads, as a broken driver never answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app import theme
from app.background import Background
from app.widgets.machine_part import Level, MachinePart
from app.wording import size_text
from core.machine import Card, disk_free, graphics_cards, main_card, memory, processor_percent
from core.space import LOW_BYTES
from core.text import tr

LOOK_MS = 2_000
IDLE_LOOK_MS = 15_000
FIRST_LOOK_MS = 300
SILENT_S = 12.0
"""So long after the question an answer is given up, and what it was about is not shown any more."""

WARM_C, HOT_C = 84.0, 87.0
FULL, VERY_FULL = 0.92, 0.97
SMALL_DISK_BYTES = 2_000_000_000


class MachineBar(QWidget):
    """Graphics card, memory and disk in one calm line. What is unknown is hidden; what needs attention is coloured."""

    def __init__(self, disk: Callable[[], Path], parent: QWidget | None = None) -> None:
        """Build the bar; it asks from the moment it is shown.

        Args:
            disk: Tells the folder whose disk is shown; asked each time, in the window's thread.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._disk = disk
        self._background = Background(self)
        self._asked_at: dict[str, float] = {}
        self._cards: tuple[Card, ...] = ()
        self._memory: tuple[int | None, int | None] = (None, None)
        self._processor: float | None = None
        self._free: int | None = None
        self._folder = Path()
        self.card = MachinePart()
        self.card_memory = MachinePart(with_meter=True)
        self.temperature = MachinePart()
        self.power = MachinePart()
        self.processor = MachinePart()
        self.memory = MachinePart(with_meter=True)
        self.disk = MachinePart()
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self.retranslate()

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.SPACE_M, 0, theme.SPACE_M, 0)
        row.setSpacing(theme.SPACE_M)
        for part in (self.card, self.card_memory, self.temperature, self.power):
            row.addWidget(part)
        row.addStretch(1)
        for part in (self.processor, self.memory, self.disk):
            row.addWidget(part)
        self.setFixedHeight(26)

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.setAccessibleName(tr("State of the machine"))
        self.processor.set_name(tr("Processor"))
        self.memory.set_name(tr("RAM"))
        self.disk.set_name(tr("Disk"))
        self._show()

    # Asking

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Ask soon, but let the window be painted first."""
        super().showEvent(event)
        self._timer.start(FIRST_LOOK_MS)

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Nobody looks: ask rarely."""
        super().hideEvent(event)
        self._timer.start(IDLE_LOOK_MS)

    def _look(self) -> None:
        is_seen = self.isVisible() and not self.window().isMinimized()
        self._timer.start(LOOK_MS if is_seen else IDLE_LOOK_MS)
        folder = self._disk()
        if folder != self._folder:
            self._folder, self._free = folder, None
            self._asked_at.pop("disk", None)  # Whatever is still under way is about another folder.
        self._ask("cards", graphics_cards, self._take_cards)
        self._ask("system", lambda: (memory(), processor_percent()), self._take_system)
        self._ask("disk", lambda: disk_free(folder), lambda free: self._take_disk(folder, free))

    def _ask(self, what: str, question: Callable[[], Any], take: Callable[[Any], None]) -> None:
        """Ask in a thread, unless the last question is still open; a silent part is hidden after a while."""
        now = time.monotonic()
        if what in self._asked_at:
            if now - self._asked_at[what] > SILENT_S:
                take(None)
                self._show()
            return
        self._asked_at[what] = now

        def then(answer: object) -> None:
            if self._asked_at.get(what) == now:
                del self._asked_at[what]
            take(None if isinstance(answer, Exception) else answer)
            self._show()

        self._background.start(question, then)

    def _take_cards(self, cards: tuple[Card, ...] | None) -> None:
        self._cards = cards or ()

    def _take_system(self, system: tuple[tuple[int | None, int | None], float | None] | None) -> None:
        self._memory, self._processor = system or ((None, None), None)

    def _take_disk(self, folder: Path, free: int | None) -> None:
        if folder == self._folder:
            self._free = free

    # Showing

    def _show(self) -> None:
        card = main_card(self._cards)
        self._show_card(card)
        percent = self._processor
        self.processor.show_value("" if card or percent is None else f"{percent:.0f} %")
        total, used = self._memory
        if total and used is not None:
            share = used / total
            self.memory.show_value(
                f"{_gib(used)} / {_gib(total)} GB",
                share=share,
                level=_level(share, FULL, VERY_FULL),
                tip=tr("Main memory: {used} of {total} GB are in use.", used=_gib(used), total=_gib(total)),
            )
        else:
            self.memory.show_value("")
        self._show_disk()

    def _show_card(self, card: Card | None) -> None:
        if card is None:
            for part in (self.card, self.card_memory, self.temperature, self.power):
                part.show_value("")
            return
        tip = "\n\n".join(_card_text(one) for one in self._cards)
        name, percent = short_name(card.name), card.use_percent
        # The name stands before the first figure.
        self.card.set_name(name)
        self.card_memory.set_name(name if percent is None else "")
        self.card.show_value("" if percent is None else f"{percent:.0f} %", tip=tip)
        if card.total_bytes and card.used_bytes is not None:
            share = card.used_bytes / card.total_bytes
            value = f"{_gib(card.used_bytes)} / {_gib(card.total_bytes)} GB"
            self.card_memory.show_value(value, share=share, level=_level(share, FULL, VERY_FULL), tip=tip)
        else:
            self.card_memory.show_value("")
        degrees = card.temperature_c
        level = "calm" if degrees is None else _level(degrees, WARM_C, HOT_C)
        self.temperature.show_value("" if degrees is None else f"{degrees:.0f} °C", level=level, tip=tip)
        self.power.show_value("" if card.power_w is None else f"{card.power_w:.0f} W", tip=tip)

    def _show_disk(self) -> None:
        free = self._free
        if free is None:
            self.disk.show_value("")
            return
        level: Level = "danger" if free < LOW_BYTES else "warning" if free < SMALL_DISK_BYTES else "calm"
        self.disk.show_value(
            tr("{size} free", size=size_text(free)),
            level=level,
            tip=tr("Free on the disk of {folder}", folder=self._folder),
        )


def short_name(name: str) -> str:
    """A card's name without what all names have: "RTX 4060"."""
    for word in ("NVIDIA ", "GeForce ", " Laptop GPU", " GPU"):
        name = name.replace(word, "")
    return name.strip() or "GPU"


def _card_text(card: Card) -> str:
    """Everything about a card, one line each."""
    lines = [card.name]
    if card.use_percent is not None:
        lines.append(tr("At work: {percent} %", percent=f"{card.use_percent:.0f}"))
    if card.total_bytes and card.used_bytes is not None:
        used, total = _gib(card.used_bytes), _gib(card.total_bytes)
        lines.append(tr("Memory: {used} of {total} GB are in use", used=used, total=total))
    if card.temperature_c is not None:
        lines.append(tr("Temperature: {degrees} °C", degrees=f"{card.temperature_c:.0f}"))
    if card.power_w is not None:
        power = f"{card.power_w:.0f}"
        lines.append(
            tr("Power: {power} of {limit} W", power=power, limit=f"{card.power_limit_w:.0f}")
            if card.power_limit_w
            else tr("Power: {power} W", power=power)
        )
    return "\n".join(lines)


def _level(value: float, warning: float, danger: float) -> Level:
    return "danger" if value > danger else "warning" if value >= warning else "calm"


def _gib(num_bytes: int) -> str:
    """Memory as it is printed on cards and sticks, which count in 1024s."""
    value = num_bytes / 2**30
    return f"{value:.0f}" if value >= 99.5 or value == round(value) else f"{value:.1f}"
