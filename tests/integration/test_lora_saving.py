"""What a run says of its LoRA files, and the card beside the last one."""

from __future__ import annotations

import json
from collections.abc import Callable

from core.config import TrainConfig
from core.events import LoraSaved, Notice, SampleReady
from core.jobs import TrainJob
from core.lora.modules import by_module
from core.run_folder import lora_path
from core.runner import LocalRun
from core.safetensors_header import read_header

MakeConfig = Callable[..., TrainConfig]


def test_every_file_is_checked_and_the_last_one_has_its_card(make_config: MakeConfig) -> None:
    config = make_config(
        output__sidecars=True,
        output__save_every_n_epochs=1,
        training__epochs=2,
        training__max_steps=2,
        dataset__trigger_word="miru",
        sampling__prompts=("miru, ball",),
    )
    config.output.folder.mkdir(exist_ok=True)
    own = lora_path(config).with_suffix(".json")
    own.write_text('{"notes": "my own"}', encoding="utf-8")
    events = list(LocalRun(TrainJob(config=config)).events())
    saved = [event for event in events if isinstance(event, LoraSaved)]
    assert saved
    for event in saved:
        assert event.num_modules == len(by_module(read_header(event.path).shapes))
        assert event.problems == ()
    last = [event for event in events if isinstance(event, SampleReady)][-1]
    assert lora_path(config).with_suffix(".preview.png").read_bytes() == last.image.read_bytes()
    assert json.loads(own.read_text(encoding="utf-8")) == {"notes": "my own"}
    assert any(own.name in event.message for event in events if isinstance(event, Notice))
