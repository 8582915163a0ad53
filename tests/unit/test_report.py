"""A report tells what is needed and names nobody: the whole zip is searched for everything that must not leave."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from core import report, report_environment
from core.anonymous import Anonymiser
from core.cli import main
from core.config import TrainConfig, with_values
from core.config.toml import save_config
from core.events import (
    Adapted,
    Failed,
    Finished,
    JobStarted,
    LoraSaved,
    Notice,
    SampleReady,
    StepDone,
    to_line,
)
from core.report import collect, save
from core.run_folder import RunFolder

USER, HOST, FULL_NAME = "zhangweilin", "DESKTOP-Q7RX2", "Weilin Zhang"
TRIGGER, NAME = "mirusama", "girlfriend_v3"
TOKENS = ("hf_AbCdEfGhIjKlMnOpQrStUvWx", "ghp_0123456789abcdefABCDEF0123456789abcd", "s3cretPassw0rd")
SECRETS = (
    *(USER, HOST, "Weilin", TRIGGER, NAME, *TOKENS),
    *("holiday in Rome", "Rome", "猫咪照片", "my cat 1", "beach_anna", "Private Pictures", "10_anna"),
    *("red dress", "a portrait of", "worst quality", "secret-model", "weilin.zhang@example.com", "192.168.7.23"),
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A failed run of a person with a name, on a machine with a name, with pictures that have names."""
    home = tmp_path / "home" / USER
    pictures = home / "Private Pictures" / "10_anna"
    pictures.mkdir(parents=True)
    for name in ("holiday in Rome.png", "猫咪照片.jpg", "my cat 1.png", "beach_anna.webp"):
        Image.new("RGB", (8, 8)).save(pictures / name)
        caption = f"{TRIGGER}, 1girl, red dress, holiday in Rome"
        (pictures / name).with_suffix(".txt").write_text(caption, encoding="utf-8")
    for name, value in {
        "USER": USER,
        "USERNAME": USER,
        "LOGNAME": USER,
        "HOME": str(home),
        "USERPROFILE": str(home),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_TOKEN", TOKENS[0])
    monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{TOKENS[2]}@192.168.7.23:3128")
    monkeypatch.setattr(report.socket, "gethostname", lambda: HOST)
    monkeypatch.setattr(report, "_people", lambda people=report._people: people() | {FULL_NAME, "Weilin", "Zhang"})
    config = with_values(
        TrainConfig(),
        {
            "model.base": home / "models" / "secret-model",
            "dataset.folder": pictures.parent,
            "dataset.trigger_word": TRIGGER,
            "dataset.absorbed_tags": ("red dress",),
            "sampling.prompts": (f"a portrait of {TRIGGER}",),
            "sampling.negative_prompt": "worst quality, beach_anna",
            "output.folder": home / "LoRA 输出",
            "output.name": NAME,
            "output.comment": "for Weilin",
            "network.rank": 48,
        },
    )
    made = RunFolder.of(config)
    made.samples.mkdir(parents=True)
    save_config(config, made.config)
    picture = pictures / "holiday in Rome.png"
    detail = "\n".join(
        [
            "Traceback (most recent call last):",
            f'  File "{home}/kiln/core/training/session.py", line 12, in run',
            f'  File "{report.RESOURCES.parent}/core/jobs.py", line 158, in run_to_end',
            f"OSError: [Errno 28] No space left on device: '{made.path}/state/state.pt'",
        ]
    )
    events = [
        JobStarted(job="train", run_folder=made.path, device="NVIDIA GeForce RTX 4060", total_steps=400, num_images=4),
        Notice(level="warning", message="holiday in Rome.png is cut off.", image=picture),
        Notice(message=f"The caption of my cat 1 holds {TRIGGER}."),
        *(
            StepDone(step=n, total_steps=400, epoch=1, total_epochs=4, loss=0.125, learning_rate=1e-4, elapsed_s=n)
            for n in range(1, 4)
        ),
        SampleReady(step=3, index=0, prompt=f"a portrait of {TRIGGER}", seed=1, image=made.sample_path(3, 0)),
        Adapted(step=3, cause="memory", changes=(("training.batch_size", "1"),), message="Less memory."),
        LoraSaved(path=config.output.folder / f"{NAME}.safetensors", step=3, epoch=1, size_bytes=9),
        Failed(message=f"The disk is full: {made.path}/state could not be written.", remedy="Free.", detail=detail),
    ]
    made.events.write_text("".join(to_line(event) + "\n" for event in events), encoding="utf-8")
    made.log.write_text(
        "\n".join(
            [
                detail,
                f"loading {home}/models/secret-model/unet/diffusion_pytorch_model.safetensors",
                rf"C:\Users\{USER}\Private Pictures\10_anna\my cat 1.png could not be read",
                "beach_anna.webp: image file is truncated",
                f"GET https://huggingface.co/{USER}/secret-model?token={TOKENS[0]} -> 403 ({HOST}.lan, 192.168.7.23)",
                f"Authorization: Bearer {TOKENS[1]}",
                f"password={TOKENS[2]} mail weilin.zhang@example.com",
                f"truncated because CLIP can only handle sequences up to 77 tokens: ['red dress, {TRIGGER}']",
                f"encoding {TRIGGER}, 1girl, red dress, holiday in Rome",
                json.dumps({"picture": f"/home/{USER}/猫咪照片.jpg"}),
                f"file:///home/{USER}/%E7%8C%AB%E5%92%AA%E7%85%A7%E7%89%87.jpg",
                "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
            ]
        ),
        encoding="utf-8",
    )
    return made


def text_of(archive: Path) -> str:
    """Everything in a zip: names, contents, comments."""
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        return "\n".join(
            f"{info.filename} {info.comment!r}\n{opened.read(info).decode()}" for info in opened.infolist()
        )


def test_nothing_in_the_zip_names_anybody_or_anything_of_theirs(run: RunFolder, tmp_path: Path) -> None:
    target = tmp_path / "报告 report.zip"
    save(collect(run), target)
    text = text_of(target)
    found = [secret for secret in SECRETS if secret.lower() in text.lower()]
    assert not found, [line for line in text.splitlines() if any(secret.lower() in line.lower() for secret in found)]
    escaped = json.dumps("猫咪照片").strip('"')
    assert escaped not in text
    assert str(tmp_path) not in text
    raw = target.read_bytes().lower()
    assert USER.encode() not in raw
    assert TRIGGER.encode() not in raw


def test_what_a_developer_needs_is_still_there(run: RunFolder) -> None:
    parts = {part.name: part.text for part in collect(run)}
    assert list(parts) == ["environment.txt", "config.toml", "events.jsonl", "log.txt", "files.txt"]
    assert "package: torch" in parts["environment.txt"]
    assert "variable: HF_TOKEN is set" in parts["environment.txt"]
    assert "network.rank = 48" in parts["config.toml"]
    assert 'output.precision = "fp16"' in parts["config.toml"]
    assert "<kiln>/core/jobs.py" in parts["log.txt"]
    assert "line 158" in parts["log.txt"]
    assert "CUDA out of memory. Tried to allocate 20.00 MiB" in parts["log.txt"]
    assert "diffusion_pytorch_model.safetensors" in parts["log.txt"]
    assert "/state/state.pt" in parts["log.txt"]
    assert "403" in parts["log.txt"]
    events = [json.loads(line) for line in parts["events.jsonl"].splitlines()]
    assert [event["kind"] for event in events].count("step_done") == 3
    assert events[3]["loss"] == 0.125
    assert events[0]["device"] == "NVIDIA GeForce RTX 4060"
    assert events[7]["changes"] == [["training.batch_size", "1"]]
    assert events[1]["level"] == "warning"
    assert events[-1]["message"].startswith("The disk is full: ")


def test_the_same_folder_has_the_same_stand_in_everywhere(run: RunFolder) -> None:
    parts = {part.name: part.text for part in collect(run)}
    line = next(line for line in parts["config.toml"].splitlines() if line.startswith("output.folder"))
    folder = line.partition(" = ")[2].strip('"')
    assert folder.startswith("<home>/<folder ")
    assert f"{folder}/runs/" in parts["log.txt"]
    assert f"{folder}/runs/" in parts["events.jsonl"]


def test_with_leave_names_stay_but_people_and_tokens_do_not(run: RunFolder, tmp_path: Path) -> None:
    target = tmp_path / "report.zip"
    save(collect(run, with_names=True), target)
    text = text_of(target)
    assert "holiday in Rome.png" in text
    assert TRIGGER in text
    assert not [secret for secret in (USER, HOST, *TOKENS, "weilin.zhang@") if secret.lower() in text.lower()]


def test_a_report_of_no_run_tells_the_window_s_log(monkeypatch: pytest.MonkeyPatch) -> None:
    log = report.user_data_folder() / "logs" / "window.log"
    log.parent.mkdir(parents=True)
    log.write_text("2026-11-22 ValueError: wrong", encoding="utf-8")
    parts = {part.name: part.text for part in collect()}
    assert set(parts) == {"environment.txt", "window.log"}
    assert "ValueError: wrong" in parts["window.log"]


def test_a_part_that_cannot_be_made_says_so_and_the_others_come(run: RunFolder) -> None:
    run.config.write_text("no = toml = at all", encoding="utf-8")
    run.log.write_bytes(b"\xff\xfe broken \xe5\xbc")
    parts = {part.name: part.text for part in collect(run)}
    assert parts["config.toml"].startswith("This part could not be made.")
    assert "broken" in parts["log.txt"]
    assert "step_done" in parts["events.jsonl"]


def test_a_machine_that_does_not_answer_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    never = threading.Event()

    def hang() -> str:
        never.wait()
        return "late"

    monkeypatch.setattr(report_environment, "PATIENCE_S", 0.02)
    monkeypatch.setattr(report_environment, "_cards", hang)
    try:
        assert "graphics cards: no answer" in report_environment.environment({})
    finally:
        never.set()


def test_a_long_log_is_told_from_its_end_and_many_steps_are_thinned(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.log.write_text("".join(f"line {number} of the log\n" for number in range(40_000)), encoding="utf-8")
    monkeypatch.setattr(report, "MOST_STEPS", 10)
    steps = [
        StepDone(step=n, total_steps=99, epoch=1, total_epochs=1, loss=0.1, learning_rate=1e-4, elapsed_s=n)
        for n in range(1, 100)
    ]
    run.events.write_text("".join(to_line(event) + "\n" for event in [*steps, Finished()]), encoding="utf-8")
    parts = {part.name: part.text for part in collect(run)}
    assert parts["log.txt"].endswith("line 39999 of the log\n")
    assert parts["log.txt"].startswith("line ")
    assert len(parts["log.txt"]) <= report.LOG_BYTES
    told = [json.loads(line) for line in parts["events.jsonl"].splitlines()]
    assert [event["step"] for event in told[:-1]] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 99]


def test_a_full_disk_leaves_no_half_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.zip"
    target.write_bytes(b"the one before")

    def refuse(*_words: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", refuse)
    with pytest.raises(OSError):
        save([report.Part("a.txt", "text")], target)
    assert target.read_bytes() == b"the one before"
    assert os.listdir(tmp_path) == ["report.zip"]  # noqa: PTH208 - names only


def test_the_command_line_writes_one(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "r.zip"
    assert main(["report", str(run.path), "--output", str(target)]) == 0
    assert zipfile.is_zipfile(target)
    assert str(target) in capsys.readouterr().err
    assert main(["report", str(tmp_path / "nothing here")]) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 / 8 steps, and/or 1/2", "5 / 8 steps, and/or 1/2"),
        ("/usr/lib/python3.11/json/decoder.py", "/usr/lib/python3.11/json/decoder.py"),
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight",) * 2,
        ("self._lock.lock(3); path.json()", "self._lock.lock(3); path.json()"),
        ("torch 2.13.0+cpu, driver 580.65.06, 127.0.0.1:80", "torch 2.13.0+cpu, driver 580.65.06, 127.0.0.1:80"),
        ("0xC0000005 at step 000100", "0xC0000005 at step 000100"),
    ],
)
def test_technical_words_stay(text: str, expected: str) -> None:
    assert Anonymiser(people=["root", "user", "kiln"]).text(text) == expected


@pytest.mark.parametrize(
    "path",
    [
        r"C:\Users\ZHANGW~1\AppData\Local\Temp\secret.png",
        r"'D:\\secret pictures\\secret girl\\a secret.png'",
        "//nas/secret share/secret.png",
        r"\\nas\secret share\secret.png",
        "/mnt/secret disk/Anna secret/secret",
        "/media/usb/secret: done",
        "sftp://secret@secret.example/secret",
        "GPU-5ec7e700-1111-2222-3333-444444444444 secret.safetensors",
    ],
)
def test_unknown_places_of_all_kinds_are_hidden(path: str) -> None:
    told = Anonymiser().text(f"could not open {path}")
    assert "secret" not in told
    assert "5ec7e700" not in told
    assert told.startswith("could not open ")
