"""The command line: words in, jobs and exit codes out."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core import cli
from core.config import TrainConfig, save_config, validated, with_values
from core.control import Control
from core.dataset.caption_edits import Written
from core.dataset.captions import CaptionChange
from core.errors import UserError
from core.events import Event, Failed, Finished, Notice, PictureTagged, StageStarted, StepDone, from_line
from core.hub.catalog import folder_of, known_models, model_card
from core.jobs import DownloadJob, Job, PrepareJob, SampleJob, TagJob, TrainJob
from core.paths import RESOURCES, STARTER_DEMO, STARTER_MODEL
from core.run_folder import RunFolder, lora_path
from core.runner import LocalRun, worker_environment
from core.tagging import writing
from core.tagging.options import BOTH_TEMPLATE, TagOptions
from core.text import set_language
from tests.pictures import contents, cut, good_folder
from tests.taggers import tiny_tagger


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
    config = with_values(TrainConfig(), {"output.folder": tmp_path / "old", "output.name": "x"})
    RunFolder.of(config).create(config)
    (tmp_path / "old").rename(tmp_path / "new 新")
    job = job_of("resume", str(tmp_path / "new 新"))
    assert isinstance(job, TrainJob)
    assert job.resume
    assert job.config.output.folder == tmp_path / "new 新"


def test_resume_takes_the_name_that_the_run_has_now(tmp_path: Path) -> None:
    config = with_values(TrainConfig(), {"output.folder": tmp_path, "output.name": "x"})
    RunFolder.of(config).create(config)
    renamed = RunFolder.of(config).path.rename(tmp_path / "runs" / "改名")
    job = job_of("resume", str(renamed))
    assert isinstance(job, TrainJob)
    assert (job.config.output.folder, job.config.output.name) == (tmp_path, "改名")


def test_starter_is_understood_as_a_setting_too() -> None:
    job = job_of(
        *("quick", "--base", "starter", "--pictures", str(STARTER_DEMO), "--epochs", "1", "--model.base", "starter")
    )
    assert isinstance(job, TrainJob)
    assert job.config.model.base == STARTER_MODEL


def test_resume_goes_back_to_a_step(tmp_path: Path) -> None:
    config = with_values(TrainConfig(), {"output.folder": tmp_path / "out"})
    RunFolder.of(config).create(config)
    job = job_of("resume", str(tmp_path / "out"), "--from-step", "120")
    assert isinstance(job, TrainJob)
    assert (job.resume, job.from_step) == (True, 120)
    with pytest.raises(cli.WrongUseError, match="--from-step cannot be -2"):
        job_of("resume", str(tmp_path / "out"), "--from-step", "-2")


def test_the_other_verbs_make_their_jobs(tmp_path: Path) -> None:
    prepare = job_of("prepare", str(tmp_path), "--export", str(tmp_path / "out"), "--size", "768", "--fit", "smart")
    assert isinstance(prepare, PrepareJob)
    assert (prepare.resolution, prepare.fit, prepare.target) == (768, "smart", tmp_path / "out")
    sample = job_of("sample", "--base", "starter", "--prompt", "a", "--prompt", "b", "--output", str(tmp_path))
    assert isinstance(sample, SampleJob)
    assert sample.sampling.prompts == ("a", "b")
    assert sample.sampling.width == 128
    words = ("sample", "--base", "starter", "--prompt", "a", "--output", str(tmp_path))
    sample = job_of(*words, "--model.vae", str(tmp_path / "vae"), "--model.prediction", "v_prediction")
    assert isinstance(sample, SampleJob)
    assert (sample.model.base, sample.model.vae) == (STARTER_MODEL, tmp_path / "vae")
    assert sample.model.prediction == "v_prediction"
    with pytest.raises(cli.WrongUseError, match="but those of the model"):
        job_of(*words, "--network.rank", "4")


def tag_job_of(*words: str) -> TagJob:
    job = job_of("tag", *words)
    assert isinstance(job, TagJob)
    return job


def test_tag_without_options_is_the_window_s_usual_choice(tmp_path: Path) -> None:
    assert tag_job_of(str(tmp_path)) == TagJob(folder=tmp_path)


def test_tag_takes_every_option(tmp_path: Path) -> None:
    (tmp_path / "模型").mkdir()
    (tmp_path / "c").mkdir()
    job = tag_job_of(
        *(str(tmp_path), "--model", str(tmp_path / "模型"), "--captioner", str(tmp_path / "c")),
        *("--general-threshold", "0.4", "--character-threshold", "0.5", "--copyright-threshold", "0.6"),
        *("--other-threshold", "0.7", "--mcut", "--ratings", "--no-characters", "--add", "best， 1girl"),
        *("--exclude", "solo, *_background", "--replace", "a=b, c=d", "--replace", "e=f", "--prune", "long hair"),
        *("--template", "{trigger}: {sentence}", "--keep-underscores", "--escape-brackets", "--order", "name"),
        *("--on-existing", "merge", "--recursive", "--trigger", "miru", "--dry-run"),
        *("--edits", str(tmp_path / "d.json")),
    )
    assert job == TagJob(
        folder=tmp_path,
        edits=tmp_path / "d.json",
        write=False,
        recursive=True,
        options=TagOptions(
            tagger=tmp_path / "模型",
            captioner=tmp_path / "c",
            template="{trigger}: {sentence}",
            threshold=0.4,
            character_threshold=0.5,
            copyright_threshold=0.6,
            other_threshold=0.7,
            mcut=True,
            ratings=True,
            characters=False,
            trigger_word="miru",
            add=("best", "1girl"),
            exclude=("solo", "*_background"),
            replace=("a=b", "c=d", "e=f"),
            prune=("long hair",),
            replace_underscores=False,
            escape_brackets=True,
            order="name",
            on_existing="merge",
        ),
    )
    fields = set(TagOptions.model_fields)
    assert {name for name in fields if getattr(job.options, name) != getattr(TagOptions(), name)} == fields


def test_the_older_names_of_options_go_on_working(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    job = tag_job_of(str(tmp_path), "--tagger", str(tmp_path / "t"), "--threshold", "0.5")
    assert (job.options.tagger, job.options.threshold) == (tmp_path / "t", 0.5)


def test_a_sentence_model_alone_is_enough_to_get_sentences(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    assert tag_job_of(str(tmp_path), "--captioner", str(tmp_path / "c")).options.template == BOTH_TEMPLATE


def test_a_model_of_the_catalogue_is_named_and_must_be_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["tag", str(tmp_path), "--model", "wd-vit-v3"]) == cli.FAILED
    assert "kiln download wd-vit-v3" in capsys.readouterr().out
    monkeypatch.setattr("core.hub.catalog.is_here", lambda card: True)
    card = model_card("wd-vit-v3")
    assert tag_job_of(str(tmp_path), "--model", "wd-vit-v3").options.tagger == folder_of(card)
    # A sentence model is no tagger: such a word is a folder, if anything.
    with pytest.raises(UserError, match="no tagger and no folder blip-base"):
        job_of("tag", str(tmp_path), "--model", "blip-base")
    with pytest.raises(UserError, match="no sentence model and no folder nosuch"):
        job_of("tag", str(tmp_path), "--captioner", "nosuch")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blip-base").mkdir()
    assert tag_job_of(str(tmp_path), "--model", "blip-base").options.tagger == tmp_path / "blip-base"


def test_download_makes_its_job(tmp_path: Path) -> None:
    assert job_of("download", "wd-vit-v3") == DownloadJob(model="wd-vit-v3")
    assert job_of("download", "blip-base", "--source", "mirror", "--to", str(tmp_path)) == DownloadJob(
        model="blip-base", source="mirror", folder=tmp_path
    )


def test_the_list_of_models_is_one_line_of_json_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["download", "--list"]) == cli.DONE
    models = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [model["name"] for model in models] == [card.key for card in known_models()]
    assert not any(model["is_here"] for model in models)


def test_the_list_of_models_is_a_table_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert cli.main(["download", "--list"]) == cli.DONE
    *table, hint = capsys.readouterr().out.splitlines()
    assert len(table) == len(known_models()) and "kiln download NAME" in hint


def events_of(capsys: pytest.CaptureFixture[str]) -> list[Event]:
    return [from_line(line) for line in capsys.readouterr().out.splitlines()]


def test_tag_and_take_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = good_folder(tmp_path / "图 片", 3)
    before = contents(folder)
    words = ["tag", str(folder), "--model", str(tiny_tagger(tmp_path / "t")), "--on-existing", "replace"]
    assert cli.main([*words, "--trigger", "miru", "--dry-run"]) == cli.DONE
    said = capsys.readouterr()
    assert "Nothing was written" in said.err
    shown = [event for event in map(from_line, said.out.splitlines()) if isinstance(event, PictureTagged)]
    assert contents(folder) == before and [event.outcome for event in shown] == ["changed"] * 3
    assert cli.main([*words, "--trigger", "miru"]) == cli.DONE
    said = capsys.readouterr()
    assert "Nothing was written" not in said.err
    for event in map(from_line, said.out.splitlines()):
        if isinstance(event, PictureTagged):
            assert event.image.with_suffix(".txt").read_text(encoding="utf-8") == event.caption
            scores = {name: (score, category) for name, score, category in event.tags}
            assert event in shown and scores and all(0 < score <= 1 for score, _ in scores.values())
    assert cli.main(["tag", str(folder), "--undo"]) == cli.DONE
    assert any("Captions brought back: 3" in event.message for event in events_of(capsys) if isinstance(event, Notice))
    assert contents(folder) == before
    assert cli.main(["tag", str(folder), "--undo"]) == cli.FAILED
    assert "nothing to take back" in capsys.readouterr().out


def test_taking_back_can_be_interrupted_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE", 2)
    folder = good_folder(tmp_path / "in", 6)
    before = contents(folder)
    words = ["tag", str(folder), "--model", str(tiny_tagger(tmp_path / "tagger")), "--on-existing", "replace"]
    assert cli.main([*words, "--trigger", "miru"]) == cli.DONE
    really = writing.make_changes

    def interrupted(changes: Sequence[CaptionChange]) -> Written:
        signal.raise_signal(signal.SIGINT)
        return really(changes)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "make_changes", interrupted)
        assert cli.main(["tag", str(folder), "--undo"]) == cli.STOPPED
    now = contents(folder)
    assert sum(now[name] == before[name] for name in before if name.endswith(".txt")) == 2
    assert cli.main(["tag", str(folder), "--undo"]) == cli.DONE
    assert contents(folder) == before
    capsys.readouterr()


@pytest.mark.parametrize("other", [["--mcut"], ["--trigger", "miru"], ["--threshold", "0.35"], ["--recursive"]])
def test_nothing_else_can_be_asked_for_when_taking_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: list[str]
) -> None:
    assert cli.main(["tag", str(tmp_path), "--undo", *other]) == cli.WRONG_USE
    assert "takes no other options" in capsys.readouterr().err


def test_a_picture_that_cannot_be_read_gives_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = good_folder(tmp_path / "in", 2, captions=False)
    cut(folder / "cut.png")
    assert cli.main(["tag", str(folder), "--model", str(tiny_tagger(tmp_path / "t"))]) == cli.PARTLY == 3
    last = events_of(capsys)[-1]
    assert isinstance(last, Finished) and last.num_failed == 1
    assert len(list(folder.glob("*.txt"))) == 2


WRONG = [
    ["fly"],
    ["quick"],
    ["quick", "--base", "starter", "--pictures", ".", "--epochs", "many"],
    ["quick", "--base"],
    ["tag"],
    ["tag", ".", "--threshold", "7"],
    ["tag", ".", "--network.rank", "4"],
    ["tag", ".", "--on-existing", "burn"],
    ["tag", ".", "--template", "{name}"],
    ["tag", ".", "--replace", "a"],
    ["tag", ".", "--order", "list"],
    ["tag", ".", "--dry-run", "--undo"],
    ["download"],
    ["download", "wd-vit-v3", "--list"],
    ["download", "wd-vit-v3", "--source", "nowhere"],
    ["train", "a.toml", "--network.rank"],
    ["prepare", ".", "--export", "out", "--size", "9"],
    ["prepare", ".", "--export", "out", "--shape", "square"],
    ["prepare", ".", "--export", "out", "--check"],
    ["prepare", "."],
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
        ["tag", str(STARTER_DEMO), "--model", "/nowhere/模型", "--on-existing", "replace", "--dry-run"],
        ["download", "nowhere"],
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
    said = capsys.readouterr().out
    assert "--network.rank cannot be 0" in said and "from 1" in said
    assert cli.main([*words, "--network.ranc", "8"]) == cli.WRONG_USE
    assert "network.rank" in capsys.readouterr().out
    assert cli.main([*words[:-1], "0"]) == cli.WRONG_USE
    assert "--epochs cannot be 0" in capsys.readouterr().out
    assert cli.main([*words, "--name", "NUL"]) == cli.WRONG_USE
    assert "--name cannot be NUL" in capsys.readouterr().out


def test_a_broken_settings_file_is_no_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text("[network]\nrank = 0\n", encoding="utf-8")
    assert cli.main(["train", str(tmp_path / "a.toml")]) == cli.FAILED
    assert "network.rank" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--size", "--guidance", "--steps"])
def test_zero_is_a_value_and_no_default(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sample", "--base", "starter", "--prompt", "a", "--output", str(tmp_path / "out"), option, "0"]
    assert cli.main(words) == cli.WRONG_USE
    said = from_line(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(said, Failed)
    assert f"{option} cannot be 0" in said.message
    assert "from" in said.remedy


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--general-threshold", "35"), "最大 1"),
        (("--general-threshold", "-1"), "最小 0"),
        (("--other-threshold", "nan"), "数字"),
        (("--replace", "foo"), "像 long hair=very long hair"),
        (("--template", "{"), "花括号成对"),
    ],
)
def test_limits_are_said_in_the_user_s_language(tmp_path: Path, words: tuple[str, ...], rule: str) -> None:
    set_language("zh")
    with pytest.raises(cli.WrongUseError) as caught:
        job_of("tag", str(tmp_path), *words)
    assert caught.value.message.startswith(f"{words[0]} 不能是 ")
    assert rule in caught.value.remedy
    assert not re.search("Input|Value error", caught.value.remedy)


def test_no_library_reports_to_its_makers(tmp_path: Path) -> None:
    code = (
        "from core.paths import STARTER_TAGGER\n"
        "from core.tagging.onnx_session import CPU, open_session\n"
        "open_session(STARTER_TAGGER / 'model.onnx', CPU)"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    environment.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=RESOURCES.parent, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_every_option_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[argparse.Action] = []
    add = argparse.ArgumentParser.add_argument

    def remember(self: argparse.ArgumentParser, *words: str, **settings: Any) -> argparse.Action:
        added.append(add(self, *words, **settings))
        return added[-1]

    monkeypatch.setattr(argparse._ActionsContainer, "add_argument", remember)
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert len(added) > 80
    assert not [action.option_strings or action.dest for action in added if not action.help]


def test_help_and_version_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("--help", "--version"):
        with pytest.raises(SystemExit) as caught:
            cli.main([word])
        assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "Kiln" in said and "3 done but for some pictures" in " ".join(said.split())


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A file with settings for the starter model and six pictures."""
    return write_settings(tmp_path, STARTER_MODEL)


def write_settings(folder: Path, base: Path, epochs: int = 1) -> Path:
    config = validated(
        {
            "model": {"base": base},
            "dataset": {"folder": good_folder(folder / "图 片"), "resolution": 64, "bucket_step": 16, "repeats": 1},
            "network": {"rank": 2},
            "training": {"epochs": epochs, "device": "cpu"},
            "output": {"folder": folder / "out", "name": "miru"},
        }
    )
    save_config(config, folder / "设置.toml")
    return folder / "设置.toml"


def do_instead(monkeypatch: pytest.MonkeyPatch, *events: Event | signal.Signals) -> list[bool]:
    """Let a job say these events, with signals coming in between; the list tells when it ended and if by a stop."""
    ends: list[bool] = []

    def run(_job: Job, control: Control) -> Iterator[Event]:
        for event in events:
            if isinstance(event, signal.Signals):
                signal.raise_signal(event)
            else:
                yield event
        ends.append(control.stop_requested)
        yield Finished(stopped=control.stop_requested)

    monkeypatch.setattr(cli, "run_to_end", run)
    return ends


def last_event(capsys: pytest.CaptureFixture[str]) -> Event:
    return from_line(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_the_job_to_stop(
    number: signal.Signals, settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    assert do_instead(monkeypatch, number, Notice(message="still here")) == []
    assert cli.main(["train", str(settings)]) == cli.STOPPED
    assert last_event(capsys) == Finished(stopped=True)
    assert signal.getsignal(number) is before


def test_a_second_interrupt_ends_at_once_and_says_so(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = do_instead(monkeypatch, StageStarted(stage="train"), signal.SIGINT, signal.SIGINT)
    assert cli.main(["train", str(settings)]) == cli.STOPPED
    assert not ends
    said = last_event(capsys)
    assert isinstance(said, Failed)
    assert "stopped at once" in said.message
    assert "Continue" in said.remedy


def test_an_interrupt_while_the_pictures_are_looked_at_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("core.dataset.scan.scan_folder", lambda _folder: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's background job ignores it.
    try:
        code = cli.main(["quick", "--base", "starter", "--pictures", str(STARTER_DEMO), "--epochs", "1"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == cli.STOPPED
    said = capsys.readouterr()
    assert "stopped at once" in said.out
    assert "Traceback" not in said.out + said.err


@pytest.mark.parametrize("code", [errno.EPIPE, errno.EINVAL])
def test_when_nobody_reads_any_more_the_job_stops_politely(
    code: int, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(code, os.strerror(code))

    # Ctrl+C also ends a program at the other end of the pipe: its first one must not count as the second.
    ends = do_instead(monkeypatch, StageStarted(stage="train"), Notice(message="more"), signal.SIGINT)
    monkeypatch.setattr(sys, "stdout", Closed())
    assert cli.main(["train", str(settings)]) == cli.STOPPED
    assert ends == [True]


def test_a_failed_job_is_no_closed_pipe(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_job: Job, _control: Control) -> Iterator[Event]:
        yield StageStarted(stage="train")
        raise OSError(errno.EINVAL, "a bug of the job")

    monkeypatch.setattr(cli, "run_to_end", run)
    with pytest.raises(OSError, match="a bug"):
        cli.main(["train", str(settings)])


def test_the_details_of_a_failure_are_in_the_run_s_log(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path / "out" / "runs" / "miru")
    run.path.mkdir(parents=True)
    failed = Failed(message="It broke.", remedy="Report it.", detail="Traceback: line 7")
    do_instead(monkeypatch, failed)
    cli.main(["train", str(settings)])
    assert not run.log.exists(), "the run never began: the folder may be another run's"
    for _ in range(2):
        do_instead(monkeypatch, StageStarted(stage="scan"), failed)
        cli.main(["train", str(settings)])
    assert run.log.read_text(encoding="utf-8") == "Traceback: line 7\n" * 2


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The program in a process of its own, ended with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "core.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=worker_environment(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_to_first_step(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert any(isinstance(from_line(line), StepDone) for line in process.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals for other processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_real_run_with_its_work_saved(number: signal.Signals, tiny_sd1: Path, tmp_path: Path) -> None:
    with started("train", str(write_settings(tmp_path, tiny_sd1, epochs=5000))) as process:
        read_to_first_step(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == cli.STOPPED
    ended = from_line(out.splitlines()[-1])
    assert isinstance(ended, Finished)
    assert ended.stopped
    assert ended.output == tmp_path / "out" / "miru.safetensors"
    assert ended.output.is_file()
    assert "Stopping after this step" in err


@pytest.mark.slow
def test_a_closed_pipe_ends_a_real_run_with_its_work_saved(tiny_sd1: Path, tmp_path: Path) -> None:
    with started("train", str(write_settings(tmp_path, tiny_sd1, epochs=5000))) as process:
        read_to_first_step(process)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=120) == cli.STOPPED
    assert (tmp_path / "out" / "miru.safetensors").is_file()
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


@pytest.mark.slow
def test_resume_goes_on_to_the_end(tiny_sd1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = job_of("train", str(write_settings(tmp_path, tiny_sd1, epochs=2)))
    assert isinstance(job, TrainJob)
    run = LocalRun(job)
    for event in run.events():
        if isinstance(event, StepDone) and event.step == 4:
            run.send("stop")
    assert isinstance(event, Finished) and event.stopped
    assert cli.main(["resume", str(tmp_path / "out")]) == cli.DONE
    events = [from_line(line) for line in capsys.readouterr().out.splitlines()]
    assert [event.step for event in events if isinstance(event, StepDone)] == list(range(5, 13))
    assert isinstance(events[-1], Finished)
    assert events[-1].output == lora_path(job.config)
