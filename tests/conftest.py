"""What every test needs: a home of its own, English, no network, and no screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Tiny tensors gain nothing from more threads, and a busy machine loses much to their waiting for each other.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

from core import text


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KILN_HOME", str(tmp_path_factory.mktemp("kiln-home")))
    monkeypatch.setenv("KILN_LANGUAGE", "en")
    text.set_language("en")
    yield
    text.set_language("en")


@pytest.fixture(scope="session")
def tiny_sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny.models import make_tiny_sd1

    return make_tiny_sd1(tmp_path_factory.mktemp("models") / "tiny 模型")


@pytest.fixture(scope="session")
def tiny_sd2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny.models import make_tiny_sd2

    return make_tiny_sd2(tmp_path_factory.mktemp("models") / "tiny sd2")


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny.models import make_tiny_sdxl

    return make_tiny_sdxl(tmp_path_factory.mktemp("models") / "tiny sdxl", depths=(1, 1, 2))
