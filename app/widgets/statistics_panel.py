"""What the dataset is made of, in bars: tags, shapes, sizes, lengths of captions, and what each folder counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QFrame, QScrollArea, QVBoxLayout, QWidget

from app import theme
from app.background import Background
from app.dataset_numbers import LengthBar, Numbers, numbers_of
from app.editors import guard_wheel
from app.project import Project
from app.widgets.card import Card, button, label
from app.widgets.charts import Bar, BarList, Columns, Tone
from core.dataset.statistics import SizeBar, TagCount
from core.dataset.tag_names import chinese_name
from core.text import language, sentences, tr

DELAY_MS = 250
FEW_TAGS = 10


class StatisticsPanel(QWidget):
    """Cards with charts, computed beside the window and only while they are seen. A click on a bar is a filter."""

    filter_requested = Signal(str)

    def __init__(self, project: Project, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._background = Background(self)
        self._numbers: Numbers | None = None
        self._is_stale = True
        self._is_counting = False
        self._beside = ""
        self._cards = [Card() for _ in range(7)]
        self._notes = [label(role="small", wrap=True) for _ in self._cards]
        self.folders, self.tags, self.companions, self.shapes, self.buckets = (BarList() for _ in range(5))
        self.sizes, self.tag_lengths, self.token_lengths = Columns(), Columns(), Columns()
        for chart in self._charts():
            chart.chosen.connect(self.filter_requested)
        self.more_button = button(kind="quiet")
        self.more_button.setCheckable(True)
        self.more_button.toggled.connect(lambda _on: self._show())
        self.beside = QComboBox()
        guard_wheel(self.beside)
        self.beside.activated.connect(self._choose_beside)
        self._length_titles = [label(role="muted"), label(role="muted")]
        self._lay_out()
        self._waiting = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._waiting.timeout.connect(self._count)
        project.folder_changed.connect(self._on_folder_changed)
        project.records_changed.connect(self._on_changed)
        project.concepts_changed.connect(self._on_changed)
        project.captions_changed.connect(lambda _images: self._on_changed())
        project.edits_changed.connect(lambda _images: self._on_changed())
        project.config_changed.connect(self._on_changed)
        self.retranslate()

    def _lay_out(self) -> None:
        content: list[Sequence[QWidget]] = [
            (self.folders,),
            (self.tags, self.more_button),
            (self.beside, self.companions),
            (self.shapes,),
            (self.buckets,),
            (self.sizes,),
            (self._length_titles[0], self.tag_lengths, self._length_titles[1], self.token_lengths),
        ]
        inside = QWidget()
        inside.setProperty("role", "scrolled")
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, theme.SPACE_XS, 0)
        column.setSpacing(theme.SPACE_M)
        for card, widgets, note in zip(self._cards, content, self._notes, strict=True):
            for widget in widgets:
                card.body.addWidget(widget)
            card.body.addWidget(note)
            column.addWidget(card)
        column.addStretch(1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidgetResizable(True)
        area.setWidget(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area)

    def _charts(self) -> tuple[BarList | Columns, ...]:
        lists = (self.folders, self.tags, self.companions, self.shapes, self.buckets)
        return *lists, self.sizes, self.tag_lengths, self.token_lengths

    # Counting

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Count what changed while nobody looked."""
        super().showEvent(event)
        if self._is_stale:
            self._count()

    def _on_folder_changed(self) -> None:
        self._beside = ""
        self._on_changed()

    def _on_changed(self) -> None:
        self._is_stale = True
        if self.isVisible():
            self._waiting.start()

    def _choose_beside(self, place: int) -> None:
        self._beside = self.beside.itemData(place)
        self._is_stale = True
        self._count()

    def _count(self) -> None:
        scan = self._project.scan
        if scan is None or self._is_counting or not self.isVisible():
            return
        self._is_counting, self._is_stale = True, False
        concepts, config, beside = self._project.concepts, self._project.config, self._beside
        self._background.start(lambda: numbers_of(scan, concepts, config, beside), self._take)

    def _take(self, result: Numbers | Exception) -> None:
        self._is_counting = False
        if isinstance(result, Exception):
            self._project.tell(result)
            return
        self._numbers = result
        self._show()
        if self._is_stale:
            self._waiting.start()

    # What is shown

    def _show(self) -> None:
        numbers = self._numbers
        for card in self._cards:
            card.setVisible(numbers is not None)
        if numbers is None:
            return
        only = " -is:excluded" if numbers.num_excluded else ""
        self._show_folders(numbers, only)
        self._show_tags(numbers, only)
        self._show_shapes(numbers, only)
        self._show_sizes(numbers)
        most = numbers.most_tokens
        self.tag_lengths.set_bars(_length_bars(numbers.tag_lengths, "tags", only))
        self.token_lengths.set_bars(_length_bars(numbers.token_lengths, "tokens", only, most))
        too_long = sum(bar.count for bar in numbers.token_lengths if bar.first > most)
        self._notes[6].setText(
            tr("The model reads the first {most} tokens; captions with more: {n}.", most=most, n=f"{too_long:,}")
        )
        self._notes[6].setVisible(bool(too_long))

    def _show_folders(self, numbers: Numbers, only: str) -> None:
        self.folders.set_bars(
            [
                Bar(
                    name=folder.name or str(folder),
                    second=f"{total.num_images:,} × {total.repeats}",
                    value=total.shown_per_epoch,
                    text=f"{total.shown_per_epoch:,}",
                    query=_any_folder(names) + only,
                    tip=_about_folder(folder, total.is_regularization),
                    tone="curve_b" if total.is_regularization else "curve_a",
                )
                for folder, names, total in numbers.folders
            ]
        )
        self._notes[0].setText(tr("Left out and not counted here: {n}", n=f"{numbers.num_excluded:,}"))
        self._notes[0].setVisible(bool(numbers.num_excluded))

    def _show_tags(self, numbers: Numbers, only: str) -> None:
        shown = numbers.tags if self.more_button.isChecked() else numbers.tags[:FEW_TAGS]
        self.tags.set_bars([_tag_bar(count, only) for count in shown], numbers.num_captions)
        hidden = len(numbers.tags) - FEW_TAGS
        self.more_button.setVisible(hidden > 0)
        self.more_button.setText(tr("Show fewer") if self.more_button.isChecked() else tr("Show {n} more", n=hidden))
        self._notes[1].setText(
            tr("Different tags in all: {n}", n=f"{numbers.num_tags:,}")
            if numbers.tags
            else tr("No caption yet. The tagger writes them.")
        )
        self._cards[2].setVisible(bool(numbers.tags))
        self.beside.clear()
        for tag in dict.fromkeys((numbers.beside, *(count.tag for count in numbers.tags))):
            self.beside.addItem(tag, tag)
        self.companions.set_bars(
            [
                Bar(
                    name=companion.tag,
                    second=_second(companion.tag),
                    value=companion.share,
                    text=f"{companion.share:.0%}",
                    query=f"{_tag_query(numbers.beside)} {_tag_query(companion.tag)}{only}",
                    tip=tr(
                        "In {n} captions beside {other}; {lift} times as often as by chance",
                        n=f"{companion.count:,}",
                        other=numbers.beside,
                        lift=f"{companion.lift:.1f}",
                    ),
                )
                for companion in numbers.companions[:FEW_TAGS]
            ],
            full=1.0,
        )
        self._notes[2].setText(tr("What is always beside the trigger word is learned as a part of it."))

    def _show_shapes(self, numbers: Numbers, only: str) -> None:
        shapes = numbers.shapes
        kinds = (
            (tr("Portrait"), shapes.portrait, "ratio:<=0.95"),
            (tr("Square"), shapes.square, "ratio:0.96..1.05"),
            (tr("Landscape"), shapes.landscape, "ratio:>1.05"),
        )
        self.shapes.set_bars(
            [
                Bar(name=name, value=count, text=f"{count:,}", query=query + only if count else "")
                for name, count, query in kinds
            ]
        )
        self._notes[3].hide()
        self.buckets.set_bars(
            [
                Bar(
                    name=f"{size.bucket[0]} × {size.bucket[1]}",
                    value=size.count,
                    text=f"{size.count:,}",
                    query=f"bucket:{size.bucket[0]}x{size.bucket[1]}{only}",
                )
                for size in numbers.buckets
            ]
        )
        self._notes[4].setText(tr("What pictures and crops are brought to for training, in pixels"))

    def _show_sizes(self, numbers: Numbers) -> None:
        resolution = self._project.config.dataset.resolution
        self.sizes.set_bars([_size_bar(bar, resolution) for bar in numbers.sizes])
        small = any(_is_small(bar, resolution) and bar.count for bar in numbers.sizes)
        words = tr("Side in pixels of a square with as many pixels.")
        if small:
            blue = tr("Blue ones are below the {n} px of the training and are enlarged.", n=resolution)
            words = sentences(words, blue)
        self._notes[5].setText(words)

    def retranslate(self) -> None:
        """Take up the language in use."""
        titles = (
            tr("Shown per epoch"),
            tr("Tags"),
            tr("Together with"),
            tr("Shapes"),
            tr("Training sizes"),
            tr("Picture sizes"),
            tr("Length of captions"),
        )
        for card, title in zip(self._cards, titles, strict=True):
            card.set_title(title)
        names = (*titles[:6], tr("In tags"), tr("In tokens"))
        for chart, name in zip(self._charts(), names, strict=True):
            chart.setAccessibleName(name)
        self._length_titles[0].setText(names[6])
        self._length_titles[1].setText(names[7])
        self.beside.setAccessibleName(tr("Together with"))
        self.beside.setToolTip(tr("Choose the tag whose company you want to see"))
        self._show()


def _tag_query(tag: str) -> str:
    """A condition that finds a tag, whatever signs are in it."""
    return f'tag:"{tag}"' if '"' not in tag else "tag:" + "_".join(tag.replace('"', "*").split())


def _any_folder(names: Iterable[str]) -> str:
    conditions = [f'folder:"{name}"' for name in names if '"' not in name]
    return conditions[0] if len(conditions) == 1 else f"({' OR '.join(conditions)})" if conditions else ""


def _about_folder(folder: Path, is_regularization: bool) -> str:
    return f"{folder}\n{tr('Regularization')}" if is_regularization else str(folder)


def _second(tag: str) -> str:
    """The Chinese name of a tag, for those who read Chinese."""
    return chinese_name(tag) if language() == "zh" else ""


def _tag_bar(count: TagCount, only: str) -> Bar:
    return Bar(
        name=count.tag,
        second=_second(count.tag),
        value=count.count,
        text=f"{count.count:,}",
        query=_tag_query(count.tag) + only,
        tip=tr("In every caption") if count.is_in_all else f"{count.count / count.total:.0%}",
    )


def _is_small(bar: SizeBar, resolution: int) -> bool:
    return bar.to_px is not None and bar.to_px <= resolution


def _size_bar(bar: SizeBar, resolution: int) -> Bar:
    spoken = f"{bar.from_px} – {bar.to_px - 1} px" if bar.to_px is not None else f"≥ {bar.from_px} px"
    name = f"<{bar.to_px}" if not bar.from_px else str(bar.from_px)
    tone: Tone = "curve_b" if _is_small(bar, resolution) else "curve_a"
    return Bar(name=name, value=bar.count, text=f"{bar.count:,}", tip=spoken, tone=tone)


def _length_bars(bars: Iterable[LengthBar], key: str, only: str, most: int | None = None) -> list[Bar]:
    made = []
    for bar in bars:
        if bar.last is None:
            name, condition = f"{bar.first}+", f"{key}:>={bar.first}"
        elif bar.last == bar.first:
            name, condition = f"{bar.first}", f"{key}:{bar.first}"
        else:
            name, condition = f"{bar.first}–{bar.last}", f"{key}:{bar.first}..{bar.last}"
        tone: Tone = "curve_b" if most is not None and bar.first > most else "curve_a"
        query = condition + only if bar.count else ""
        made.append(Bar(name=name, value=bar.count, text=f"{bar.count:,}", query=query, tone=tone))
    return made
