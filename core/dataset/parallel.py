"""Doing the same for many pictures on all cores, with the results in order and never many of them in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def num_cores() -> int:
    """The cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def in_order(
    function: Callable[[T], R], items: Iterable[T], *, workers: int
) -> Generator[tuple[T, Future[R]], None, None]:
    """Call the function for every item on several threads; Pillow, numpy and onnxruntime let these run at once.

    At most `workers` more items than that are begun before their turn. When the caller breaks off, what has not begun
    is dropped.

    Yields:
        Each item in its order, with the future of its result; `result()` waits for it or raises what the function did.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="kiln-pictures") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, future in waiting:
                future.cancel()
