"""A LoRA file is read again before it is called done; its card stays the user's where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.config import TrainConfig, with_values
from core.lora.checking import check_file, check_names, fits, modules_of_base, modules_of_family
from core.lora.sidecars import card_values, sidecar_paths, write_sidecars
from core.models import FamilyName, describe_base
from core.training.hashing import FileHashes

BASE = {"lora_unet_conv_in": (4, 2, 3, 3), "lora_unet_mid_block_attentions_0_proj_in": (6, 4), "lora_te_x": (4, 4)}


def good() -> dict[str, Tensor]:
    """A convolution in three parts, and a pair with lengths."""
    first, second = "lora_unet_conv_in", "lora_unet_mid_block_attentions_0_proj_in"
    return {
        f"{first}.lora_down.weight": torch.ones(1, 2, 1, 1),
        f"{first}.lora_mid.weight": torch.ones(1, 1, 3, 3),
        f"{first}.lora_up.weight": torch.ones(4, 1, 1, 1),
        f"{first}.alpha": torch.tensor(1.0),
        f"{second}.lora_down.weight": torch.ones(2, 4),
        f"{second}.lora_up.weight": torch.ones(6, 2),
        f"{second}.alpha": torch.tensor(2.0),
        f"{second}.dora_scale": torch.ones(6, 1),
    }


def problems_of(tmp_path: Path, changes: dict[str, Tensor | None], *, is_new: bool = False) -> tuple[str, ...]:
    tensors = {key: tensor for key, tensor in {**good(), **changes}.items() if tensor is not None}
    path = tmp_path / "角色 😀.safetensors"
    save_file({key: tensor.half() for key, tensor in tensors.items()}, path)
    return check_file(path, BASE, is_new=is_new).problems


def test_a_sound_file_has_no_problem(tmp_path: Path) -> None:
    save_file(good(), tmp_path / "a.safetensors")
    checked = check_file(tmp_path / "a.safetensors", BASE)
    assert (checked.num_modules, checked.problems) == (2, ())


CONV, LINEAR = "lora_unet_conv_in", "lora_unet_mid_block_attentions_0_proj_in"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({f"{LINEAR}.lora_up.weight": torch.tensor([[1.0, float("nan")]] * 6)}, f"not numbers: {LINEAR}.lora_up"),
        ({f"{LINEAR}.lora_up.weight": torch.tensor([[1.0, float("inf")]] * 6)}, f"not numbers: {LINEAR}.lora_up"),
        ({f"{LINEAR}.lora_up.weight": torch.ones(5, 2)}, f"1 modules do not fit the base model in size: {LINEAR}"),
        ({f"{LINEAR}.lora_down.weight": torch.ones(3, 4)}, "do not fit"),
        ({f"{LINEAR}.dora_scale": torch.ones(5, 1)}, "do not fit"),
        ({f"{CONV}.lora_mid.weight": torch.ones(1, 1, 5, 5)}, "do not fit"),
        ({f"{LINEAR}.alpha": None}, f"1 modules have no alpha: {LINEAR}"),
        ({f"{LINEAR}.lora_up.weight": None}, f"1 modules are not complete: {LINEAR}"),
        ({"lora_unet_other.diff": torch.ones(1)}, "1 names do not exist in the base model: lora_unet_other."),
        ({"leftover": torch.ones(1)}, "1 names do not exist in the base model: leftover."),
    ],
)
def test_what_is_wrong_is_told_by_name(changes: dict[str, Tensor | None], problem: str, tmp_path: Path) -> None:
    (told,) = problems_of(tmp_path, changes)
    assert problem in told


def test_a_lora_of_zeros_is_told_except_before_the_first_step(tmp_path: Path) -> None:
    zeros = {key: torch.zeros_like(tensor) for key, tensor in good().items() if "lora_up" in key}
    silent = {**zeros, f"{LINEAR}.dora_scale": None}
    assert problems_of(tmp_path, silent) == ("All weights are zero: this LoRA changes nothing.",)
    assert problems_of(tmp_path, silent, is_new=True) == ()


def test_a_part_of_zeros_is_told_and_single_modules_that_did_not_move_are_not(tmp_path: Path) -> None:
    still: dict[str, Tensor | None] = {f"{CONV}.lora_up.weight": torch.zeros(4, 1, 1, 1)}
    assert problems_of(tmp_path, still) == ()
    name = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    pair = {f"{name}.lora_down.weight": torch.ones(2, 4), f"{name}.alpha": torch.tensor(1.0)}
    save_file({**good(), **pair, f"{name}.lora_up.weight": torch.zeros(4, 2)}, tmp_path / "a.safetensors")
    (problem,) = check_file(tmp_path / "a.safetensors", {**BASE, name: (4, 4)}).problems
    assert problem == f"1 modules are zero and change nothing: {name}."


def test_a_file_that_cannot_be_read_again_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(good(), path)
    path.write_bytes(path.read_bytes()[:-3])
    (problem,) = check_file(path, BASE).problems
    assert "cannot be read again" in problem


@pytest.mark.parametrize(
    ("leaves", "weight", "does"),
    [
        ({"hada_w1_a": (6, 2), "hada_w1_b": (2, 36), "hada_w2_a": (6, 2), "hada_w2_b": (2, 36)}, (6, 4, 3, 3), True),
        ({"hada_w1_a": (6, 2), "hada_w1_b": (2, 36), "hada_w2_a": (6, 2), "hada_w2_b": (2, 35)}, (6, 4, 3, 3), False),
        ({"lokr_w1": (2, 2), "lokr_w2_a": (3, 1), "lokr_w2_b": (1, 18)}, (6, 4, 3, 3), True),
        ({"lokr_w1": (2, 2), "lokr_w2_a": (1, 3), "lokr_w2_b": (1, 2), "lokr_t2": (1, 1, 3, 3)}, (6, 4, 3, 3), True),
        ({"lokr_w1": (2, 3), "lokr_w2": (3, 2)}, (6, 4), False),
        ({"diff": (6, 4)}, (6, 4), True),
        ({"lora_down.weight": (2, 4, 1, 1), "lora_up.weight": (6, 2, 1, 1)}, (6, 4), True),  # 1x1 is a matrix.
        ({"lora_down.weight": (2, 4), "lora_up.weight": (6, 2), "dora_scale": (1, 4)}, (6, 4), True),
        ({"w_norm": (6,)}, (6, 4), False),
    ],
)
def test_shapes_of_every_kind_are_compared(leaves: dict[str, Any], weight: tuple[int, ...], does: bool) -> None:
    assert fits(leaves, weight) is does


def test_the_modules_of_a_base_model_are_read_from_its_headers(tiny_sd1: Path) -> None:
    modules = modules_of_base(describe_base(tiny_sd1))
    text = [name for name in modules if name.startswith("lora_te_text_model_encoder_layers_0_")]
    assert len(text) == 6
    assert modules["lora_unet_conv_in"][1:] == (4, 3, 3)
    assert not any("token_embedding" in name or "norm" in name for name in modules)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_lora_for_another_family_does_not_fit(family: FamilyName) -> None:
    other: FamilyName = "sd2" if family == "sd1" else "kolors"
    own, others = modules_of_family(family), modules_of_family(other)
    shapes = {}
    for name, shape in own.items():
        shapes[f"{name}.lora_down.weight"] = (4, shape[1], *shape[2:])
        shapes[f"{name}.lora_up.weight"] = (shape[0], 4, *[1] * len(shape[2:]))
        shapes[f"{name}.alpha"] = ()
    assert check_names(shapes, own).problems == ()
    assert check_names(shapes, others).problems


CONFIG = with_values(
    TrainConfig(),
    {
        "dataset.trigger_word": "miru_(窑)",
        "sampling.negative_prompt": "blurry",
        "sampling.prompts": ("miru, 1girl",),
        "model.base": Path("/models/any thing.safetensors"),
    },
)


@pytest.mark.parametrize(("family", "word"), [("sd1", "SD1"), ("sd2", "SD2"), ("sdxl", "SDXL"), ("kolors", "Unknown")])
def test_a_card_has_what_a1111_shows(family: FamilyName, word: str, tmp_path: Path) -> None:
    lora, preview = tmp_path / "v1.5 角色.safetensors", tmp_path / "p.png"
    preview.write_bytes(b"a picture")
    assert write_sidecars(lora, card_values(CONFIG, family, steps=30), preview) == ()
    values = json.loads((tmp_path / "v1.5 角色.json").read_text(encoding="utf-8"))
    assert values["sd version"] == word
    assert (values["activation text"], values["negative text"]) == ("miru_(窑)", "blurry")
    assert values["preferred weight"] == 1.0
    assert "any thing.safetensors, 30 steps" in values["notes"]
    assert (tmp_path / "v1.5 角色.preview.png").read_bytes() == b"a picture"


def test_our_own_card_is_replaced_and_anybody_else_s_stays(tmp_path: Path) -> None:
    lora, preview = tmp_path / "a.safetensors", tmp_path / "p.png"
    text, picture = sidecar_paths(lora)
    for content in (b"first", b"second"):
        preview.write_bytes(content)
        assert write_sidecars(lora, {"notes": content.decode()}, preview) == ()
        assert picture.read_bytes() == content
        assert json.loads(text.read_text())["notes"] == content.decode()
    # As A1111 saves a card that was edited: entries that it does not know stay.
    text.write_text(json.dumps({**json.loads(text.read_text()), "notes": "mine"}))
    edited = text.read_bytes()
    assert write_sidecars(lora, {"notes": "third"}, preview) == (picture, text)
    assert (text.read_bytes(), picture.read_bytes()) == (edited, b"second")


@pytest.mark.parametrize("content", [b"{}", b"not json", b"[1]", b'{"kiln": 3}', b"\xff\xfe"])
def test_a_card_in_the_way_is_never_written_over(content: bytes, tmp_path: Path) -> None:
    text, picture = sidecar_paths(tmp_path / "a.safetensors")
    text.write_bytes(content)
    assert write_sidecars(tmp_path / "a.safetensors", {"notes": "x"}, None) == (text,)
    assert text.read_bytes() == content
    assert not picture.exists()


def test_hashes_are_of_the_files_and_none_of_folders(tmp_path: Path) -> None:
    import hashlib

    data = bytes(range(256)) * 4352  # A little more than 1 MiB + 64 KiB.
    (tmp_path / "a.safetensors").write_bytes(data)
    hashes = FileHashes([tmp_path, tmp_path / "a.safetensors", tmp_path / "gone"])
    hashes.wait()
    legacy = hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]
    assert hashes.of(tmp_path / "a.safetensors") == (legacy, hashlib.sha256(data).hexdigest())
    assert hashes.of(tmp_path) is None
