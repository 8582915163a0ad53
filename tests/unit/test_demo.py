"""The demo's own parts: its pictures, its settings, its judgement and its page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.control import Control
from core.dataset.edits import dataset_of
from core.dataset.scan import scan_dataset
from core.demo import copy_demo, copy_others, demo_config, demo_dataset, demo_facts, with_others
from core.demo_run import PREPARED_PX, Measured, contact_sheet, demo, first_jobs, has_learned, summary, without_trigger
from core.events import Failed, Finished
from core.jobs import run_to_end
from core.paths import STARTER_DEMO, STARTER_DEMO_OTHERS
from core.text import set_language

KIMONO = (138, 95, 190)  # Her purple.


def measured(loss: float, score: float, untriggered: float = 0.1) -> Measured:
    traits = dict.fromkeys(demo_facts().traits, score)
    pictures = [Image.new("RGB", (128, 128), "#6fd3d8")] * 8
    return Measured(
        held_out_loss=loss,
        traits=traits,
        traits_untriggered=dict.fromkeys(traits, untriggered),
        pictures=pictures,
        pictures_untriggered=pictures,
    )


@pytest.mark.parametrize(
    ("after", "learned"),
    [
        ((0.05, 0.8, 0.1), True),
        ((0.09, 0.8, 0.1), False),
        ((0.05, 0.5, 0.1), False),
        ((0.05, 0.8, 0.6), False),
        ((0.12, 0.05, 0.05), False),
    ],
    ids=["all", "loss only a little", "traits only a little", "she comes unasked", "nothing"],
)
def test_learning_needs_the_loss_to_fall_and_her_to_appear_only_when_asked(
    after: tuple[float, float, float], learned: bool
) -> None:
    assert has_learned(measured(0.1, 0.05), measured(*after)) is learned


def test_what_is_known_before_was_not_learned() -> None:
    assert not has_learned(measured(0.1, 0.35), measured(0.05, 0.8))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_gives_the_figures_as_they_are(tmp_path: Path, language: str) -> None:
    set_language(language)  # type: ignore[arg-type]
    lora = tmp_path / "miru.safetensors"
    lora.write_bytes(bytes(1_500_000))
    config = demo_config(tmp_path, tmp_path)
    before, after = measured(0.1, 0.05), measured(0.0512, 0.8)
    text = summary(before, after, demo_facts(), config, lora, 100.0, 200.0)
    for figure in ("0.1000", "0.0512", "| 0.05 | 0.80 |", "49 %", "0.70", "1.50 MB", "1:40", "3:20"):
        assert figure in text, figure
    assert ("NOT" in text or "没有" in text) is False
    worse = summary(before, measured(0.099, 0.06), demo_facts(), config, lora, 100.0, 200.0)
    assert "NOT" in worse or "没有" in worse


def test_the_sheet_shows_three_rows_of_eight(tmp_path: Path) -> None:
    sheet = contact_sheet(measured(0.1, 0.1), measured(0.1, 0.1), demo_facts(), demo_config(tmp_path, tmp_path))
    assert sheet.width > 8 * 128
    assert sheet.height > 3 * 128


def test_prompts_call_her_by_the_trigger_word_alone() -> None:
    facts = demo_facts()
    for prompt in facts.prompts:
        assert facts.trigger in prompt.split(", ")
        assert not set(facts.absorbed_tags) & set(prompt.split(", "))
        assert facts.trigger not in without_trigger(prompt, facts.trigger)


def test_the_copy_is_the_user_s_own_and_what_is_there_stays(tmp_path: Path) -> None:
    target = copy_demo(tmp_path / "演示 demo")
    assert {file.name for file in target.iterdir()} == {file.name for file in STARTER_DEMO.iterdir()}
    mine = sorted(target.iterdir())[0]
    mine.write_bytes(b"mine now")
    copy_demo(target)
    assert mine.read_bytes() == b"mine now"


def test_the_others_are_a_copy_and_trained_as_regularization(tmp_path: Path) -> None:
    pictures, others = copy_demo(tmp_path / "演示 demo"), copy_others(tmp_path / "其他 others")
    content = with_others(demo_dataset(pictures), others)
    assert [(concept.folder, concept.is_regularization) for concept in content.concepts] == [
        (pictures, False),
        (others, True),
    ]
    assert {file.name for file in others.iterdir()} == {file.name for file in STARTER_DEMO_OTHERS.iterdir()}
    scan = scan_dataset(dataset_of(content))
    captions = [record.caption for record in scan.records if record.is_regularization]
    assert len(captions) == 64
    assert all(captions)
    assert not any(demo_facts().trigger in caption for caption in captions if caption)


def test_prepared_pictures_show_her_whole_and_large(tmp_path: Path) -> None:
    prepare, _ = first_jobs(tmp_path / "演示 demo", tmp_path / "prepared")
    *_, ended = run_to_end(prepare, Control())
    assert isinstance(ended, Finished)
    pictures = sorted((tmp_path / "prepared").iterdir())
    assert len(pictures) == 30
    for path in pictures:
        left, right = kimono(path)
        # Cut off by a side of the picture it would reach it; of a tall picture as a whole it would be a narrow strip.
        assert 0.05 < left < right < 0.95, path
        assert right - left > 0.4, path


def kimono(path: Path) -> tuple[float, float]:
    """Where her purple kimono begins and ends, as parts of the width, a little above the lower edge."""
    row = np.asarray(Image.open(path).convert("RGB")).astype(int)[int(0.9 * PREPARED_PX)]
    assert row.shape == (PREPARED_PX, 3)
    (columns,) = np.nonzero(np.abs(row - KIMONO).max(axis=1) < 30)
    return columns[0] / PREPARED_PX, columns[-1] / PREPARED_PX


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (failed,) = demo(tmp_path, Control())
    assert isinstance(failed, Failed)
    assert "not empty" in failed.message
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
