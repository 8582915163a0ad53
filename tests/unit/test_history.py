"""Steps are taken back in order and done again until something new is done; the oldest leave when it is full."""

from __future__ import annotations

from app.history import MOST_BYTES, MOST_STEPS, History, Step


def names(history: History) -> tuple[str | None, str | None]:
    return (history.last.name if history.last else None), (history.next.name if history.next else None)


def undo(history: History) -> None:
    step = history.take_last()
    assert step is not None
    history.put_undone(step)


def test_back_and_forth() -> None:
    history = History()
    assert names(history) == (None, None) and history.take_last() is None and history.take_next() is None
    for name in "abc":
        history.add(Step(name=name))
    undo(history)
    undo(history)
    assert names(history) == ("a", "b")
    step = history.take_next()
    assert step is not None
    history.put_done(step)
    assert names(history) == ("b", "c")
    history.add(Step(name="d"))
    assert names(history) == ("d", None)


def test_what_comes_while_a_step_is_being_taken_back_stays() -> None:
    history = History()
    history.add(Step(name="large"))
    step = history.take_last()
    history.add(Step(name="meanwhile"))
    assert step is not None
    history.put_undone(step)
    assert names(history) == ("meanwhile", "large")


def test_the_oldest_leave_when_there_are_too_many() -> None:
    history = History()
    for number in range(MOST_STEPS + 5):
        history.add(Step(name=str(number)))
    taken = []
    while (step := history.take_last()) is not None:
        taken.append(step.name)
    assert len(taken) == MOST_STEPS and taken[-1] == "5"


def test_the_oldest_leave_when_they_are_too_large_but_never_the_last_one() -> None:
    history = History()
    history.add(Step(name="small", num_bytes=1))
    history.add(Step(name="large", num_bytes=MOST_BYTES * 2))
    assert names(history) == ("large", None)
    history.take_last()
    assert names(history) == (None, None)
    history.put_done(Step(name="a", num_bytes=MOST_BYTES // 2))
    history.put_done(Step(name="b", num_bytes=MOST_BYTES // 2))
    assert names(history) == ("b", None)
    history.take_last()
    assert names(history) == ("a", None)  # What left was taken off the sum.
