"""What tests of failures share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.events import Failed
from core.jobs import failure


def failed_by(act: Callable[[], object]) -> Failed:
    """How a job would end that did this."""
    with pytest.raises(BaseException) as caught:
        act()
    return failure(caught.value)


def assert_known(failed: Failed, key: str) -> None:
    assert failed.failure == key, failed
    assert failed.known
    assert failed.message
    assert failed.remedy
    assert "{" not in failed.message + failed.remedy
