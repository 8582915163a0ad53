"""The buttons of a failure: what they say, what they change, and what they do."""

from __future__ import annotations

from collections.abc import Mapping

from pytestqt.qtbot import QtBot

from app import icons
from app.fixes import MOST_BUTTONS, changes_text, failure_text, fix_actions
from app.widgets.run_card import RunCard
from core.config import TrainConfig, with_values
from core.events import Failed
from core.failures import FAILURES, FixAction
from core.jobs import failure
from core.text import set_language


class Doer:
    """Notes what it is asked to do."""

    def __init__(self, *, cannot: tuple[FixAction, ...] = ()) -> None:
        self.cannot = cannot
        self.changes: dict[str, object] = {}
        self.said = ""
        self.done: list[FixAction] = []

    def can_do(self, action: FixAction) -> bool:
        return action not in self.cannot

    def apply(self, changes: Mapping[str, object], said: str) -> None:
        self.changes, self.said = dict(changes), said

    def do(self, action: FixAction) -> None:
        self.done.append(action)


CONFIG = with_values(TrainConfig(), {"training.batch_size": 4, "training.on_out_of_memory": "stop"})
NO_MEMORY = failure(RuntimeError("CUDA out of memory. Tried to allocate 64.00 MiB"))


def test_a_button_changes_the_settings_and_says_what_changed(qtbot: QtBot) -> None:
    doer = Doer()
    card = RunCard()
    qtbot.addWidget(card)
    actions = fix_actions(NO_MEMORY, CONFIG, doer)
    card.show_message(icon="error", tone="danger", heading=NO_MEMORY.message, actions=actions)
    card.action("Lower the resolution").click()
    assert doer.changes == {"dataset.resolution": 384}
    assert doer.said == "Resolution: 512 px → 384 px"
    card.action("Let Kiln save memory by itself").click()
    assert doer.changes == {"training.on_out_of_memory": "adapt"}
    assert actions[0].text == "Let Kiln save memory by itself"
    assert [action.kind for action in actions] == ["primary", "secondary", "secondary"]


def test_what_a_button_will_change_is_its_tooltip() -> None:
    tips = {action.text: action.tooltip for action in fix_actions(NO_MEMORY, CONFIG, Doer())}
    assert tips["Lower the resolution"] == "Resolution: 512 px → 384 px"
    assert tips["Continue"] == ""


def test_a_button_does_what_it_says() -> None:
    doer = Doer()
    failed = failure(OSError(28, "No space left on device", "/out/a"))
    fix_actions(failed, CONFIG, doer)[0].do()
    assert doer.done == ["free_space"]


def test_what_cannot_be_done_now_has_no_button() -> None:
    lost = failure(RuntimeError("CUDA error: device-side assert triggered"))
    assert [action.text for action in fix_actions(lost, CONFIG, Doer())] == ["Continue", "Check the installation"]
    without_state = fix_actions(lost, CONFIG, Doer(cannot=("continue",)))
    assert [action.text for action in without_state] == ["Check the installation"]
    assert without_state[0].kind == "primary"


def test_an_unknown_failure_has_no_buttons() -> None:
    failed = failure(ZeroDivisionError())
    assert fix_actions(failed, CONFIG, Doer()) == []
    assert failure_text(failed) == failed.remedy


def test_without_settings_only_actions_are_left() -> None:
    assert [action.text for action in fix_actions(NO_MEMORY, None, Doer())] == ["Continue"]


def test_every_failure_shows_one_to_three_buttons_with_drawings(qapp: object) -> None:
    for key in FAILURES:
        failed = Failed(message="It broke.", remedy="Mend it.", failure=key, known=True)
        actions = fix_actions(failed, CONFIG, Doer())
        assert 1 <= len(actions) <= MOST_BUTTONS, key
        assert all(not icons.icon(action.icon).isNull() for action in actions), key
        assert failure_text(failed).endswith(" Mend it."), key


def test_changes_are_told_in_the_language_in_use() -> None:
    set_language("zh")
    text = changes_text(CONFIG, {"training.batch_size": 1, "training.gradient_checkpointing": True})
    assert "4 → 1" in text
    assert "Batch" not in text
