"""The models that can be downloaded, in a window of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from app import theme
from app.widgets.download_card import DownloadCard
from core.hub.catalog import ModelKind, model_card
from core.jobs import Job
from core.runner import Run
from core.text import tr


class ModelsDialog(QDialog):
    """Stays open beside the page, which can be used meanwhile."""

    model_ready = Signal(str, object)  # the kind, and where it is
    SIZE = (620, 560)

    def __init__(self, make_run: Callable[[Job], Run], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make_run = make_run
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(theme.SPACE_L, theme.SPACE_L, theme.SPACE_L, theme.SPACE_L)
        self.cards: dict[ModelKind, DownloadCard] = {}
        self.resize(*self.SIZE)

    def show_kind(self, kind: ModelKind) -> None:
        """Show the models of a kind."""
        if kind not in self.cards:
            card = DownloadCard(kind, self._make_run)
            card.model_ready.connect(self._on_ready)
            card.folder_chosen.connect(lambda folder: self._take_folder(kind, folder))
            self.cards[kind] = card
            self._column.addWidget(card)
        for other, card in self.cards.items():
            card.setVisible(other == kind)
        self.retranslate()
        self.show()
        self.raise_()
        self.activateWindow()

    def _take_folder(self, kind: ModelKind, folder: Path) -> None:
        """Use a folder of the user's; what is wrong with it is told where it is chosen."""
        self.close()
        self.model_ready.emit(kind, folder)

    def _on_ready(self, key: str, folder: Path) -> None:
        self.model_ready.emit(model_card(key).kind, folder)

    def shut_down(self) -> None:
        """End what is being downloaded; it can go on later."""
        for card in self.cards.values():
            worker = card.worker
            if worker is not None:
                card.force_stop()
                worker.wait()

    def retranslate(self) -> None:
        """Set every text in the language in use."""
        self.setWindowTitle(tr("Get models"))
        for card in self.cards.values():
            card.retranslate()
