"""Steps are taken back in order and done again until something new is done; the oldest leave when it is full."""

from __future__ import annotations

from app.history import MOST_BYTES, MOST_STEPS, History, Step


def test_back_and_forth() -> None:
    history = History()
    assert history.last is None and history.next is None
    for name in "abc":
        history.add(Step(name=name))
    assert history.last is not None and history.last.name == "c"
    history.undone(history.last)
    history.undone(history.last)
    assert history.last.name == "a" and history.next is not None and history.next.name == "b"
    history.redone(history.next)
    assert history.last.name == "b" and history.next.name == "c"
    history.add(Step(name="d"))
    assert history.next is None and history.last.name == "d"


def test_the_oldest_leave_when_there_are_too_many() -> None:
    history = History()
    for number in range(MOST_STEPS + 5):
        history.add(Step(name=str(number)))
    taken = []
    while history.last is not None:
        taken.append(history.last.name)
        history.undone(history.last)
    assert len(taken) == MOST_STEPS and taken[-1] == "5"


def test_the_oldest_leave_when_they_are_too_large_but_never_the_last_one() -> None:
    history = History()
    history.add(Step(name="small", num_bytes=1))
    history.add(Step(name="large", num_bytes=MOST_BYTES * 2))
    assert history.last is not None and history.last.name == "large"
    history.undone(history.last)
    assert history.last is None
    history.redone(Step(name="large", num_bytes=10))
    history.add(Step(name="new", num_bytes=10))
    history.undone(Step(name="new", num_bytes=10))
    assert history.last is not None and history.last.name == "large"
