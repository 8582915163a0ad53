"""What `kiln convert` asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import cli
from core.jobs import ConvertJob, Job


def job_of(*words: str) -> Job:
    """The job of a command."""
    options, changes = cli._parse(["convert", *words])
    return cli._job(options, changes)


def test_convert_makes_its_job(tmp_path: Path) -> None:
    model, target = tmp_path / "a.ckpt", tmp_path / "b.safetensors"

    assert job_of(str(model), str(target)) == ConvertJob(source=model, target=target)
    assert job_of(str(model), str(target), "--to", "folder", "--precision", "bf16") == ConvertJob(
        source=model, target=target, to="folder", precision="bf16"
    )


def test_a_target_that_exists_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()

    assert cli.main(["convert", str(tmp_path / "no model"), str(tmp_path / "there")]) == cli.FAILED
    assert "exists already" in capsys.readouterr().out


def test_a_model_that_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("new", "new.safetensors"):
        assert cli.main(["convert", str(tmp_path / "none.ckpt"), str(tmp_path / target)]) == cli.FAILED
        assert "missing" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
