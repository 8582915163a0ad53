"""The bars of what was seen: groups, what becomes of each tag, where the thresholds are."""

from __future__ import annotations

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.widgets.score_bars import ScoreBars, bar_rows
from core import text
from core.tagging.base import ScoredTag
from core.tagging.options import TagOptions

SEEN = (
    ScoredTag("hatsune_miku", 0.8, "character"),
    ScoredTag("long_hair", 0.9, "general"),
    ScoredTag("blue_background", 0.6, "general"),
    ScoredTag("smile", 0.2, "general"),
    ScoredTag("sensitive", 0.3, "rating"),
    ScoredTag("general", 0.7, "rating"),
)


def states(options: TagOptions) -> dict[str, str]:
    return {row.tag.name: row.state for row in bar_rows(SEEN, options) if row.tag is not None}


def test_groups_have_a_title_and_the_most_certain_first() -> None:
    names = [row.tag.name if row.tag else f"[{row.category}]" for row in bar_rows(SEEN, TagOptions())]
    assert names == [
        "[general]",
        "long_hair",
        "blue_background",
        "smile",
        "[character]",
        "hatsune_miku",
        "[rating]",
        "general",
        "sensitive",
    ]


def test_each_kind_has_its_threshold() -> None:
    options = TagOptions(threshold=0.5, character_threshold=0.7, ratings=True)
    thresholds = {row.category: row.threshold for row in bar_rows(SEEN, options) if row.tag}
    assert thresholds == {"general": 0.5, "character": 0.7, "rating": None}
    assert states(options) == {
        "long_hair": "written",
        "blue_background": "written",
        "smile": "below",
        "hatsune_miku": "written",
        "general": "written",
        "sensitive": "below",
    }


def test_what_is_left_out_and_what_is_left_to_the_trigger_word() -> None:
    found = states(TagOptions(exclude=("*_background", "smile"), prune=("long hair",)))
    assert (found["blue_background"], found["smile"], found["long_hair"]) == ("excluded", "below", "pruned")


def test_the_cut_of_the_picture_is_drawn() -> None:
    (threshold,) = {row.threshold for row in bar_rows(SEEN, TagOptions(mcut=True)) if row.category == "general"} - {
        None
    }
    assert 0.2 < threshold < 0.6


def test_space_bar_toggles_the_chosen_tag(qtbot: QtBot) -> None:
    bars = ScoreBars()
    qtbot.addWidget(bars)
    bars.show_tags(SEEN, TagOptions())
    bars.setCurrentIndex(bars.bars.index(1))
    with qtbot.waitSignal(bars.tag_toggled) as toggled:
        qtbot.keyClick(bars, Qt.Key.Key_Space)
    assert toggled.args == ["long_hair"]


def test_another_threshold_keeps_the_place(qtbot: QtBot) -> None:
    bars = ScoreBars()
    qtbot.addWidget(bars)
    bars.show_tags(SEEN, TagOptions())
    bars.setCurrentIndex(bars.bars.index(3))
    bars.show_tags(SEEN, TagOptions(threshold=0.1))
    assert bars.currentIndex().row() == 3
    assert bars.bars.rows[3].state == "written"


def test_tooltip_names_the_tag_in_both_languages(qtbot: QtBot) -> None:
    text.set_language("zh")
    bars = ScoreBars()
    qtbot.addWidget(bars)
    bars.show_tags(SEEN, TagOptions())
    tip = bars.bars.index(1).data(Qt.ItemDataRole.ToolTipRole)
    assert "long_hair" in tip and "长发" in tip and "0.900" in tip
