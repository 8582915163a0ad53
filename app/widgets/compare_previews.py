"""The previews of two runs, prompt by prompt, those of one moment of each."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app import theme
from app.run_places import sample_file
from app.run_record import RunRecord
from app.widgets.card import label
from app.widgets.sample_strip import changed_at, moment_words
from app.widgets.thumbnails import PictureKey, ThumbnailLoader
from core.text import tr

_TEXT = 22
_GAP = 12
_MOST_PX = 320


class ComparePreviews(QWidget):
    """Two columns of pictures; above each a list of the moments it can show."""

    def __init__(self, loader: ThumbnailLoader, parent: QWidget | None = None) -> None:
        """Show nothing yet.

        Args:
            loader: Reads the pictures beside the window.
            parent: Owner in Qt's sense.
        """
        super().__init__(parent)
        self._records: tuple[RunRecord, ...] = ()
        self.moments = (QComboBox(), QComboBox())
        self.pairs = _Pairs(loader)
        self.empty = label(role="muted", wrap=True)
        row = QHBoxLayout()
        row.setSpacing(_GAP)
        for moment in self.moments:
            moment.activated.connect(self._show)
            row.addWidget(moment, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE_S)
        column.addLayout(row)
        column.addWidget(self.empty)
        column.addWidget(self.pairs)
        self.retranslate()

    def show_records(self, first: RunRecord, second: RunRecord) -> None:
        """Show two runs, each at its end."""
        self._records = (first, second)
        for record, moment in zip(self._records, self.moments, strict=True):
            moment.clear()
            for step in reversed(record.sample_steps):
                moment.addItem(moment_words(record, step), step)
            moment.setVisible(moment.count() > 0)
        self._show()

    def retranslate(self) -> None:
        """Take up the language in use."""
        self.empty.setText(tr("No previews were drawn."))
        for letter, moment in zip("AB", self.moments, strict=True):
            moment.setAccessibleName(tr("Previews of {run}", run=letter))
        for record, moment in zip(self._records, self.moments, strict=False):
            for row in range(moment.count()):
                moment.setItemText(row, moment_words(record, moment.itemData(row)))

    def _show(self) -> None:
        pairs: list[tuple[str, Path | None, Path | None]] = []
        if self._records:
            first, second = self._records
            prompts = {**second.prompts, **first.prompts}
            steps = [moment.currentData() for moment in self.moments]
            for index in sorted(prompts):
                paths = [
                    sample_file(sample.image, record.folder)
                    if step is not None and (sample := record.samples.get((step, index))) is not None
                    else None
                    for record, step in zip(self._records, steps, strict=True)
                ]
                words = first.prompts.get(index, ""), second.prompts.get(index, "")
                prompt = words[0] if words[0] == words[1] or not words[1] else " / ".join(filter(None, words))
                pairs.append((prompt, paths[0], paths[1]))
        self.empty.setVisible(not pairs)
        self.pairs.show_pairs(pairs)


class _Pairs(QWidget):
    """The pictures themselves; only those in view are read."""

    def __init__(self, loader: ThumbnailLoader) -> None:
        super().__init__()
        self._loader = loader
        self._pairs: list[tuple[str, Path | None, Path | None]] = []
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        loader.loaded.connect(self.update)
        theme.signals.changed.connect(self.update)

    def show_pairs(self, pairs: list[tuple[str, Path | None, Path | None]]) -> None:
        """Show these: prompt, picture of A, picture of B."""
        self._pairs = pairs
        self.updateGeometry()
        self.update()

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """All pairs below each other."""
        return len(self._pairs) * (self._side(width) + _TEXT + _GAP)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As wide as two usual previews."""
        return QSize(540, self.heightForWidth(540))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the pairs in view."""
        painter = QPainter(self)
        side = self._side(self.width())
        half = (self.width() - _GAP) // 2
        for row, (prompt, *paths) in enumerate(self._pairs):
            top = row * (side + _TEXT + _GAP)
            if not QRect(0, top, self.width(), side + _TEXT).intersects(event.rect()):
                continue
            painter.setPen(theme.colour(theme.tokens().muted))
            text = painter.fontMetrics().elidedText(prompt, Qt.TextElideMode.ElideRight, self.width())
            painter.drawText(QRect(0, top, self.width(), _TEXT), int(Qt.AlignmentFlag.AlignVCenter), text)
            for column, path in enumerate(paths):
                self._draw(painter, QRect(column * (half + _GAP), top + _TEXT, side, side), path)

    def _draw(self, painter: QPainter, place: QRect, path: Path | None) -> None:
        ratio = self.devicePixelRatioF()
        side = round(place.width() * ratio)
        pixmap: QPixmap | None = QPixmap()
        if path is not None:
            pixmap = self._loader.get(PictureKey(path, changed_at(path), side, side, round(6 * ratio)))
        if pixmap is None or pixmap.isNull():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.tokens().sunken))
            painter.drawRoundedRect(place, 6, 6)
            if pixmap is not None:
                painter.setPen(theme.colour(theme.tokens().muted))
                words = tr("File missing") if path is not None else tr("none")
                painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), words)
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = pixmap.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
        painter.drawPixmap(QRect(place.topLeft(), size), pixmap)

    @staticmethod
    def _side(width: int) -> int:
        return max(64, min((width - _GAP) // 2, _MOST_PX))
