"""Technical failures in the user's words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from core.errors import UserError, explain
from core.jobs import failure


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "no right"),
        (errno.EACCES, "no right"),
        (errno.ENOENT, "missing"),
        (errno.ENAMETOOLONG, "too long"),
    ],
)
def test_what_the_system_refuses_is_named_with_its_place(code: int, said: str) -> None:
    explained = explain(OSError(code, os.strerror(code), "/输出 out/a.safetensors"))
    assert explained is not None
    assert said in explained.message
    assert "/输出 out/a.safetensors" in explained.message
    assert explained.remedy


def test_of_a_rename_the_name_that_the_user_knows_is_told() -> None:
    explained = explain(PermissionError(errno.EACCES, "denied", "/out/.kiln-1.tmp", None, "/out/miru.safetensors"))
    assert explained is not None
    assert "/out/miru.safetensors" in explained.message


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OSError) as caught:
        (tmp_path / "out" / "runs").mkdir(parents=True)
    explained = explain(caught.value)
    assert explained is not None
    assert f"{tmp_path / 'out'} is a file" in explained.message


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate"), RuntimeError("can't allocate memory")],
)
def test_too_little_memory_is_told_with_a_way_out(error: Exception) -> None:
    explained = explain(error)
    assert explained is not None
    assert "memory" in explained.message


def test_what_nobody_knows_is_admitted_with_its_traceback() -> None:
    failed = failure(ZeroDivisionError("division by zero"))
    assert not failed.known
    assert "ZeroDivisionError" in failed.message
    known = failure(UserError("A broke.", remedy="Mend it."))
    assert known.known
    assert known.message == "A broke."
