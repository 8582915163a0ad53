"""Where Tab goes: what joins a page later comes in the place where it is seen, not at the end of the window."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QWidget


def stops_in(place: QWidget) -> list[QWidget]:
    """Where Tab stops inside a widget; the line of a spin box or a list is a part of it."""
    return [
        part
        for part in place.findChildren(QWidget)
        if _is_stop(part)
        and part.window() is place.window()  # The list of a combo box is a window of its own.
        and not isinstance(part.parentWidget(), (QAbstractSpinBox, QComboBox))
    ]


def stop_before(place: QWidget) -> QWidget | None:
    """The last widget where Tab stops before it comes to a place of the window; None when there is none."""
    before = place.previousInFocusChain()
    while before is not None and before is not place:
        if _is_stop(before) and not place.isAncestorOf(before):
            return before
        before = before.previousInFocusChain()
    return None


def lead_through(stops: Iterable[QWidget], before: QWidget | None) -> QWidget | None:
    """Let Tab go from a widget through others. Returns the last one."""
    for stop in stops:
        if before is not None:
            QWidget.setTabOrder(before, stop)
        before = stop
    return before


def _is_stop(widget: QWidget) -> bool:
    return bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)
