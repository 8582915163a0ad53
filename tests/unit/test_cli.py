"""The command line: words in, jobs and exit codes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core import cli
from core.config import TrainConfig, save_config, with_values
from core.events import Failed, from_line
from core.jobs import PrepareJob, SampleJob, TagJob, TrainJob
from core.paths import STARTER_DEMO, STARTER_MODEL


def job_of(*words: str) -> object:
    options, changes = cli._parse(list(words))
    return cli._job(options, changes)


def test_quick_fills_a_whole_configuration(tmp_path: Path) -> None:
    job = job_of(
        *("quick", "--base", "starter", "--pictures", str(STARTER_DEMO), "--epochs", "3", "--name", "丹 炉"),
        *("--output", str(tmp_path), "--seed", "7", "--network.rank", "4", "--dataset.trigger_word=miru"),
    )
    assert isinstance(job, TrainJob)
    config = job.config
    assert config.model.base == STARTER_MODEL
    assert (config.training.epochs, config.training.seed, config.network.rank) == (3, 7, 4)
    assert (config.output.folder, config.output.name) == (tmp_path, "丹 炉")
    assert config.dataset.trigger_word == "miru"
    assert config.dataset.resolution == 128


def test_train_reads_a_file_and_takes_changes(tmp_path: Path) -> None:
    save_config(with_values(TrainConfig(), {"network.rank": 4}), tmp_path / "a b.toml")
    job = job_of("train", str(tmp_path / "a b.toml"), "--training.epochs", "2", "--sampling.prompts", "a, b | c")
    assert isinstance(job, TrainJob)
    assert (job.config.network.rank, job.config.training.epochs) == (4, 2)
    assert job.config.sampling.prompts == ("a, b", "c")


def test_resume_takes_the_output_folder_where_it_is_now(tmp_path: Path) -> None:
    from core.run_folder import RunFolder

    config = with_values(TrainConfig(), {"output.folder": tmp_path / "old", "output.name": "x"})
    RunFolder.of(config).create(config)
    (tmp_path / "old").rename(tmp_path / "new 新")
    job = job_of("resume", str(tmp_path / "new 新"))
    assert isinstance(job, TrainJob)
    assert job.resume
    assert job.config.output.folder == tmp_path / "new 新"


def test_the_other_verbs_make_their_jobs(tmp_path: Path) -> None:
    tag = job_of("tag", str(tmp_path), "--trigger", "miru", "--exclude", "solo, smile", "--on-existing", "replace")
    assert isinstance(tag, TagJob)
    assert (tag.options.trigger_word, tag.options.exclude, tag.options.on_existing) == (
        "miru",
        ("solo", "smile"),
        "replace",
    )
    prepare = job_of("prepare", str(tmp_path), str(tmp_path / "out"), "--resolution", "768", "--fit", "crop")
    assert isinstance(prepare, PrepareJob)
    assert (prepare.resolution, prepare.fit) == (768, "crop")
    sample = job_of("sample", "--base", "starter", "--prompt", "a", "--prompt", "b", "--output", str(tmp_path))
    assert isinstance(sample, SampleJob)
    assert sample.sampling.prompts == ("a", "b")
    assert sample.sampling.width == 128


WRONG = [
    ["fly"],
    ["quick"],
    ["quick", "--base", "starter", "--pictures", ".", "--epochs", "many"],
    ["quick", "--base"],
    ["tag"],
    ["tag", ".", "--threshold", "7"],
    ["tag", ".", "--network.rank", "4"],
    ["tag", ".", "--on-existing", "burn"],
    ["train", "a.toml", "--network.rank"],
    ["prepare", ".", "out", "--resolution", "9"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_use_is_one_sentence_and_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == cli.WRONG_USE
    said = capsys.readouterr()
    last = from_line(said.out.splitlines()[-1])
    assert isinstance(last, Failed)
    assert last.message
    assert last.remedy
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["train", "/nowhere/设置.toml"],
        ["resume", "/nowhere"],
        ["tag", "/nowhere/图"],
        ["quick", "--base", "/nowhere", "--pictures", str(STARTER_DEMO), "--epochs", "1"],
        ["quick", "--base", "starter", "--pictures", "/nowhere", "--epochs", "1"],
        ["sample", "--base", "starter", "--lora", "/nowhere.safetensors", "--prompt", "a", "--output", "/tmp/x"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_1(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == cli.FAILED
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["kind"] == "failed"
    assert "nowhere" in last["message"]
    assert last["remedy"]


def test_out_of_range_and_unknown_settings_say_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["quick", "--base", "starter", "--pictures", str(STARTER_DEMO), "--epochs", "1"]
    assert cli.main([*words, "--network.rank", "0"]) == cli.WRONG_USE
    assert "from 1" in capsys.readouterr().out
    assert cli.main([*words, "--network.ranc", "8"]) == cli.WRONG_USE
    assert "network.rank" in capsys.readouterr().out
    assert cli.main([*words[:-1], "0"]) == cli.FAILED
    assert "training.epochs" in capsys.readouterr().out


def test_help_and_version_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("--help", "--version"):
        with pytest.raises(SystemExit) as caught:
            cli.main([word])
        assert caught.value.code == 0
    assert "Kiln" in capsys.readouterr().out
