"""`kiln lora`: words in, jobs, tables and exit codes out."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from core import cli
from core.cli_lora import tool_job
from core.cli_words import WrongUseError
from core.jobs import ToolJob, job_from_line, job_to_line
from core.paths import STARTER_MODEL
from core.text import set_language
from core.tools import tasks
from tests.loras import random_lora, write_lora

NAME = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
SHAPES = {NAME: (8, 768), "lora_te_text_model_encoder_layers_0_mlp_fc1": (8, 4)}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def task_of(*words: str) -> tasks.ToolTask:
    options, _ = cli._parse(["lora", *words])
    job = tool_job(options)
    again = job_from_line(job_to_line(job))
    assert again == job and isinstance(again, ToolJob)
    return job.task


def on_terminal(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    code = cli.main(["lora", *words])
    return code, re.sub(r"\r\x1b\[K", "\n", terminal.getvalue())


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return write_lora(tmp_path / "画 a.safetensors", random_lora(SHAPES, rank=4, alpha=2.0), ss_output_name="画")


def test_every_tool_makes_its_task(tmp_path: Path) -> None:
    a, b, new = (tmp_path / name for name in ("a", "b", "new"))
    words = ("--output", str(new))
    assert task_of("inspect", str(a), "--no-norms") == tasks.InspectTask(file=a, norms=False)
    assert task_of("verify", str(a), "--base", "starter") == tasks.VerifyTask(file=a, base=STARTER_MODEL)
    assert task_of("convert", str(a), *words, "--to", "peft", "--precision", "bf16", "--rank", "8", "--alpha", "4") == (
        tasks.ConvertTask(file=a, output=new, spelling="peft", precision="bf16", rank=8, alpha=4)
    )
    assert task_of("resize", str(a), *words, "--rank", "8", "--conv-rank", "4", "--keep", "95", "--ratio", "20") == (
        tasks.ResizeTask(file=a, output=new, rank=8, conv_rank=4, share=0.95, ratio=20)
    )
    both = (tasks.Weighted(file=a, strength=0.5), tasks.Weighted(file=b, strength=-1))
    assert task_of("merge", str(a), str(b), "--strength", "0.5", "-1", *words) == tasks.MergeTask(
        loras=both, output=new
    )
    plain = (tasks.Weighted(file=a), tasks.Weighted(file=b))
    assert task_of("bake", str(a), str(b), "--base", str(b), *words) == tasks.BakeTask(base=b, loras=plain, output=new)
    extract = task_of("extract", "--original", str(a), "--tuned", str(b), *words, "--rank", "4", "--no-text-encoder")
    assert extract == tasks.ExtractTask(original=a, tuned=b, output=new, rank=4, text_encoder=False)
    edit = task_of("edit", str(a), *words, "--set", "modelspec.title=a=b", "--set", "x=", "--remove", "ss_y")
    assert edit == tasks.EditTask(file=a, output=new, put={"modelspec.title": "a=b", "x": ""}, remove=("ss_y",))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("resize", "a", "--output", "b"), "It is not said how small"),
        (("resize", "a", "--output", "b", "--keep", "0"), "0 % is not possible"),
        (("resize", "a", "--output", "b", "--keep", "150"), "--keep: 150 % is not possible"),
        (("resize", "a", "--output", "b", "--keep", "all"), "Argument --keep: all is not a number."),
        (("resize", "a", "--output", "b", "--rank", "0"), "--rank cannot be 0"),
        (("resize", "a", "--output", "b", "--rank", "1.5"), "Argument --rank: 1.5 is not a whole number."),
        (("resize", "a", "--output", "b", "--rank", ""), 'Argument --rank: "" is not a whole number.'),
        (("merge", "a", "b", "--strength", "1", "--output", "c"), "2 files and 1 strengths"),
        (("merge", "a", "--strength", "99", "--output", "c"), "--strength cannot be 99"),
        (("edit", "a", "--output", "b", "--set", "word"), "word is no key with a value"),
        (("nothing",), "invalid choice"),
        (("inspect",), "required"),
    ],
)
def test_wrong_words_are_named(words: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lora", *words]) == cli.WRONG_USE
    assert problem in capsys.readouterr().err
    with pytest.raises(WrongUseError):
        task_of(*words)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("nothing",), "没有 'nothing'"),
        (("inspect",), "还缺少：FILE"),
        (("resize", "a", "--output", "b", "--rank", "1.5"), "--rank：1.5 不是整数。"),
        (("merge", "a", "--strength"), "--strength：后面至少需要一个值"),
    ],
)
def test_wrong_words_are_named_in_chinese(words: tuple[str, ...], problem: str) -> None:
    set_language("zh")
    with pytest.raises(WrongUseError) as caught:
        task_of(*words)
    assert problem in caught.value.message


@pytest.mark.parametrize("words", [("--help",), ("lora", "merge", "--help"), ("quick", "--help")])
def test_argparse_s_own_words_in_help_are_chinese(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    set_language("zh")
    with pytest.raises(SystemExit):
        cli.main(list(words))
    text = capsys.readouterr().out
    assert "用法：" in text
    assert "选项:" in text or "选项：" in text
    assert not re.search("usage:|positional arguments|options:|show this help|show program", text)


def test_inspect_prints_a_table(monkeypatch: pytest.MonkeyPatch, lora: Path) -> None:
    code, text = on_terminal(monkeypatch, "inspect", str(lora))
    assert code == cli.DONE
    assert re.search(r"Made for +Stable Diffusion 1\n", text)
    assert re.search(r"Modules +2 \(UNet 1, text encoder 1\)\n", text)
    assert re.search(r"mid_block_attentions_0 +[\d.]+ +1 +█+\n", text)
    assert re.search(r"ss_output_name +画\n", text)
    assert "Done" not in text


def test_tables_are_chinese_where_the_user_is(monkeypatch: pytest.MonkeyPatch, lora: Path) -> None:
    set_language("zh")
    _, text = on_terminal(monkeypatch, "inspect", str(lora))
    assert re.search(r"模块 +2 \(UNet 1", text)
    # Chinese signs take two places: values begin in one column.
    rows = [line for line in text.splitlines() if re.match("  (模块|SHA-256|权重的 SHA-256) ", line)]
    starts = {line: re.match(r"  (权重的 )?\S+ +", line) for line in rows}
    columns = {sum(2 if sign > "\u2e80" else 1 for sign in found[0]) for found in starts.values() if found}
    assert len(rows) == 3 and len(columns) == 1


def test_json_is_one_object_and_nothing_else(
    lora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["lora", "inspect", str(lora), "--json"]) == cli.DONE
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["file"], found["modules"], found["ranks"]) == (str(lora), 2, {"4": 2})
    assert cli.main(["lora", "inspect", str(tmp_path / "gone.safetensors"), "--json"]) == cli.FAILED
    captured = capsys.readouterr()
    assert captured.out == "" and "is missing" in captured.err


def test_a_pipe_gets_one_event_a_line(lora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lora", "resize", str(lora), "--rank", "1", "--output", str(tmp_path / "b")]) == cli.DONE
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["kind"] for event in events][-2:] == ["notice", "finished"]
    assert events[-1]["output"] == str(tmp_path / "b.safetensors")


def test_what_does_not_fit_has_an_exit_code_of_its_own(monkeypatch: pytest.MonkeyPatch, lora: Path) -> None:
    code, text = on_terminal(monkeypatch, "verify", str(lora), "--base", "starter")
    assert code == cli.PARTLY
    assert re.search(r"Modules +0 of 2 fit\n", text)
    assert "✗ 2 modules do not fit the base model in size" in text


def test_a_refusal_is_one_sentence_and_a_remedy(monkeypatch: pytest.MonkeyPatch, lora: Path) -> None:
    code, text = on_terminal(monkeypatch, "convert", str(lora), "--output", str(lora))
    assert code == cli.FAILED
    assert text.strip().endswith(f"✗ {lora} exists already.\n  Choose another name.")
