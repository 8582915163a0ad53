"""The tools for LoRA files: what comes out changes the model as what went in, within what was asked."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.control import Control
from core.errors import UserError
from core.events import Event, Finished, LoraReported, Notice
from core.lora.file import load_lora, model_hashes
from core.safetensors_header import read_header
from core.tools.low_rank import EXACT_SIDE, RankChoice, cut, decompose, kept_share
from core.tools.run import run_tool
from core.tools.tasks import (
    ConvertTask,
    EditTask,
    InspectTask,
    MergeTask,
    ResizeTask,
    ToolTask,
    Weighted,
)
from tests.loras import changes, furthest, names, random_lora, write_lora

LINEAR = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
CROSS = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
CONV = "lora_unet_down_blocks_0_resnets_0_conv1"
POINT = "lora_unet_down_blocks_0_attentions_0_proj_in"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"
SHAPES = {LINEAR: (12, 10), CROSS: (12, 768), CONV: (8, 6, 3, 3), POINT: (12, 12, 1, 1), TEXT: (20, 14)}
SDXL = {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": (12, 2048)}
DTYPE_ERROR = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}


def run(task: ToolTask) -> list[Event]:
    return list(run_tool(task, Control()))


def output(task: ToolTask) -> Path:
    last = run(task)[-1]
    assert isinstance(last, Finished) and last.output is not None and not last.stopped
    return last.output


def report(task: ToolTask) -> dict[str, Any]:
    (found,) = [event for event in run(task) if isinstance(event, LoraReported)]
    json.dumps(found.reports)
    return found.reports[0]


def weighted(*items: tuple[Path, float]) -> tuple[Weighted, ...]:
    return tuple(Weighted(file=file, strength=strength) for file, strength in items)


# Mathematics


def test_a_cut_leaves_the_tail_of_the_singular_values() -> None:
    matrix = torch.randn(40, 30, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(matrix.double())
    decomposed = decompose(matrix, 7)
    pair = cut(decomposed, 7)
    left = (matrix - pair.up @ pair.down).double().norm()
    assert float(left) == pytest.approx(float(values[7:].square().sum().sqrt()), rel=1e-5)
    assert kept_share(decomposed, 7) == pytest.approx(float(values[:7].norm() / values.norm()), rel=1e-5)


def test_large_matrices_are_cut_almost_as_well_as_can_be() -> None:
    generator = torch.Generator().manual_seed(2)
    side = EXACT_SIDE + 60
    # Singular values that fall slowly, as those of a fine-tune do: the hardest case.
    matrix = torch.randn(side, 80, generator=generator) @ torch.randn(80, side, generator=generator)
    matrix += 4 * torch.randn(side, side, generator=generator)
    best = float(torch.linalg.svdvals(matrix)[:16].norm())
    pair = cut(decompose(matrix, 16), 16)
    left = float((matrix - pair.up @ pair.down).norm())
    assert left <= math.sqrt(float(matrix.norm()) ** 2 - best**2) * 1.002


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (RankChoice(rank=3), 3),
        (RankChoice(rank=99), 4),
        (RankChoice(rank=99, share=0.89), 1),
        (RankChoice(rank=99, share=0.9), 2),
        (RankChoice(rank=99, share=0.9999), 3),
        (RankChoice(rank=1, share=0.9999), 1),
        (RankChoice(rank=99, ratio=2.0), 2),
        (RankChoice(rank=99, ratio=1.9), 1),
    ],
)
def test_the_rank_is_the_smallest_that_does_what_is_asked(choice: RankChoice, expected: int) -> None:
    matrix = torch.diag(torch.tensor([8.0, 4.0, 0.2, 0.02]))
    assert choice.of(decompose(matrix, 4)) == expected


def test_a_module_of_zeros_keeps_rank_1() -> None:
    decomposed = decompose(torch.zeros(6, 5), 4)
    assert RankChoice(rank=4, share=0.9, ratio=10).of(decomposed) == 1
    assert kept_share(decomposed, 1) == 1.0


# Resizing


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_resized_lora_is_as_near_as_its_rank_allows(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = random_lora(SHAPES, rank=6, alpha=3.0)
    source = write_lora(tmp_path / "a.safetensors", tensors, dtype, ss_network_dim="6", ss_output_name="a")
    small = output(ResizeTask(file=source, output=tmp_path / "klein 小", rank=2, conv_rank=3))
    assert small == tmp_path / "klein 小.safetensors"
    before, after = changes(load_file(source), SHAPES), changes(load_file(small), SHAPES)
    for name in SHAPES:
        rank = 3 if name == CONV else 2
        assert load_file(small)[f"{name}.lora_down.weight"].shape[0] == rank
        tail = float(torch.linalg.svdvals(before[name])[rank:].norm())
        assert float((before[name] - after[name]).norm()) == pytest.approx(tail, rel=DTYPE_ERROR[dtype])
    assert {tensor.dtype for tensor in load_file(small).values()} == {dtype}


def test_resizing_keeps_the_scale_and_says_what_the_ranks_are(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES, rank=8, alpha=2.0), ss_output_name="a")
    small = output(ResizeTask(file=source, output=tmp_path / "b.safetensors", rank=4))
    tensors, metadata = load_file(small), read_header(small).metadata
    assert {float(tensors[f"{name}.alpha"]) for name in SHAPES} == {1.0}
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "1.0")
    assert json.loads(metadata["ss_network_args"]) == {"conv_dim": "4", "conv_alpha": "1.0"}
    assert metadata["ss_output_name"] == "b"
    kept = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    assert {key: metadata[key] for key in metadata if key.startswith("sshs_")} == model_hashes(tensors, kept)


def test_a_rank_that_is_large_enough_changes_nothing(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES, rank=4))
    same = output(ResizeTask(file=source, output=tmp_path / "b.safetensors", rank=4))
    before, after = load_file(source), load_file(same)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_share_gives_every_module_the_rank_it_needs(tmp_path: Path) -> None:
    one, many = {LINEAR: SHAPES[LINEAR]}, {CROSS: SHAPES[CROSS]}
    tensors = random_lora(many, rank=8)
    tensors |= {**random_lora(one, rank=8), f"{LINEAR}.lora_up.weight": torch.eye(12, 8) * torch.logspace(0, -14, 8)}
    source = write_lora(tmp_path / "a.safetensors", tensors)
    small = load_file(output(ResizeTask(file=source, output=tmp_path / "b.safetensors", share=0.95)))
    before, after = changes(tensors, SHAPES), changes(small, SHAPES)
    assert small[f"{LINEAR}.lora_down.weight"].shape[0] < small[f"{CROSS}.lora_down.weight"].shape[0] < 8
    for name in before:
        assert float(after[name].norm() / before[name].norm()) >= 0.95
    assert read_header(tmp_path / "b.safetensors").metadata["ss_network_dim"] == "Dynamic"


@pytest.mark.parametrize(("kind", "words"), [("dora", "DoRA"), ("loha", "LoHa or LoKr"), ("full", "no LoRA pairs")])
def test_what_has_no_rank_is_refused(tmp_path: Path, kind: str, words: str) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES, kind=kind))
    with pytest.raises(UserError, match=words):
        run(ResizeTask(file=source, output=tmp_path / "b.safetensors", rank=1))
    assert not (tmp_path / "b.safetensors").exists()


# Merging


@pytest.mark.parametrize("second_kind", ["lora", "tucker"])
def test_a_merged_lora_is_the_sum(tmp_path: Path, second_kind: str) -> None:
    first = random_lora(SHAPES, rank=2, alpha=1.0)
    second = random_lora(
        {name: SHAPES[name] for name in (LINEAR, CONV, TEXT)}, kind=second_kind, rank=3, alpha=-2.0, seed=5
    )
    files = [write_lora(tmp_path / f"{number}.safetensors", each) for number, each in enumerate((first, second))]
    merged = load_file(
        output(MergeTask(loras=weighted((files[0], 0.5), (files[1], -1.5)), output=tmp_path / "sum.safetensors"))
    )
    expected = {name: change * 0.5 for name, change in changes(first, SHAPES).items()}
    for name, change in changes(second, SHAPES).items():
        expected[name] = expected[name] - 1.5 * change
    assert furthest(changes(merged, SHAPES), expected) < 1e-5
    assert merged[f"{LINEAR}.lora_down.weight"].shape[0] == 5
    assert merged[f"{CROSS}.lora_down.weight"].shape[0] == 2


def test_merging_one_lora_at_full_strength_leaves_every_weight(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES, rank=2, alpha=2.0), torch.float16)
    same = load_file(output(MergeTask(loras=weighted((source, 1.0)), output=tmp_path / "b.safetensors")))
    assert all(torch.equal(tensor, same[name]) for name, tensor in load_file(source).items())


@pytest.mark.parametrize("kind", ["lora", "loha", "lokr", "full"])
def test_a_merge_to_a_rank_is_as_near_as_it_allows(tmp_path: Path, kind: str) -> None:
    first, second = random_lora(SHAPES, rank=3, alpha=3.0), random_lora(SHAPES, kind=kind, rank=3, alpha=3.0, seed=5)
    files = [write_lora(tmp_path / f"{number}.safetensors", each) for number, each in enumerate((first, second))]
    task = MergeTask(loras=weighted((files[0], 1.0), (files[1], 0.7)), output=tmp_path / "s.safetensors", rank=4)
    after = changes(load_file(output(task)), SHAPES)
    both = changes(first, SHAPES), changes(second, SHAPES)
    for name in SHAPES:
        whole = both[0][name] + 0.7 * both[1][name]
        tail = float(torch.linalg.svdvals(whole)[4:].norm())
        assert float((whole - after[name]).norm()) == pytest.approx(tail, rel=1e-4, abs=1e-5)


def test_a_loha_is_not_merged_without_a_rank(tmp_path: Path) -> None:
    files = [write_lora(tmp_path / f"{kind}.safetensors", random_lora(SHAPES, kind=kind)) for kind in ("lora", "loha")]
    with pytest.raises(UserError, match="no exact form") as raised:
        run(MergeTask(loras=weighted(*((file, 1.0) for file in files)), output=tmp_path / "s.safetensors"))
    assert raised.value.remedy == "Give a rank for the new LoRA."


def test_a_merge_keeps_the_metadata_that_all_files_agree_on(tmp_path: Path) -> None:
    files = [
        write_lora(tmp_path / f"{name}.safetensors", random_lora(SHAPES), ss_steps=steps, ss_base_model_version="sd_v1")
        for name, steps in (("a", "10"), ("b", "20"))
    ]
    merged = output(MergeTask(loras=weighted(*((file, 1.0) for file in files)), output=tmp_path / "s.safetensors"))
    metadata = read_header(merged).metadata
    assert "ss_steps" not in metadata
    assert (metadata["ss_base_model_version"], metadata["ss_output_name"]) == ("sd_v1", "s")
    assert metadata["modelspec.merged_from"] == "a, b"


@pytest.mark.parametrize(
    ("first", "second", "is_told"),
    [
        ({"ss_v_parameterization": "True"}, {"modelspec.prediction_type": "epsilon"}, True),
        ({"modelspec.prediction_type": "epsilon"}, {"ss_base_model_version": "sd_v2_v"}, True),
        ({"modelspec.prediction_type": "v"}, {"ss_v_parameterization": "True"}, False),
        ({"modelspec.prediction_type": "v"}, {}, False),
        # Trainers know what they did; the model spec is also filled in by programs that did not look.
        (
            {"ss_v_parameterization": "True", "modelspec.prediction_type": "epsilon"},
            {"ss_v_parameterization": "True"},
            False,
        ),
    ],
)
def test_loras_for_different_predictions_are_merged_with_a_warning(
    tmp_path: Path, first: dict[str, str], second: dict[str, str], is_told: bool
) -> None:
    files = [
        write_lora(tmp_path / f"{name}.safetensors", random_lora(SHAPES), **words)
        for name, words in (("a", first), ("b", second))
    ]
    events = run(MergeTask(loras=weighted((files[0], 1.0), (files[1], 1.0)), output=tmp_path / "sum"))
    told = [event.message for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert bool(told) is is_told
    assert all("v-prediction" in message and str(tmp_path / "a.safetensors") in message for message in told)
    assert isinstance(events[-1], Finished) and events[-1].output is not None


def test_loras_of_different_families_are_not_merged(tmp_path: Path) -> None:
    first = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES))
    second = write_lora(tmp_path / "b.safetensors", random_lora(SDXL))
    with pytest.raises(UserError, match=r"is for Stable Diffusion 1, but .* is for SDXL"):
        run(MergeTask(loras=weighted((first, 1.0), (second, 1.0)), output=tmp_path / "c.safetensors"))


def test_loras_of_different_sizes_are_not_merged(tmp_path: Path) -> None:
    first = write_lora(tmp_path / "a.safetensors", random_lora({LINEAR: (12, 10)}))
    second = write_lora(tmp_path / "b.safetensors", random_lora({LINEAR: (12, 11)}))
    with pytest.raises(UserError, match=f"their sizes of {LINEAR} differ"):
        run(MergeTask(loras=weighted((first, 1.0), (second, 1.0)), output=tmp_path / "c.safetensors"))


def test_a_dora_is_not_merged_with_others(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES, kind="dora"))
    with pytest.raises(UserError, match="depends on the base model") as raised:
        run(MergeTask(loras=weighted((source, 1.0)), output=tmp_path / "c.safetensors"))
    assert raised.value.remedy == "Merge it into a base model instead."


# Converting


@pytest.mark.parametrize("spelling", ["kohya", "diffusers", "peft"])
@pytest.mark.parametrize("precision", ["keep", "bf16", "fp32"])
def test_a_converted_lora_changes_the_same(tmp_path: Path, spelling: Any, precision: Any) -> None:
    tensors = random_lora(SHAPES, rank=4, alpha=3.0)
    source = write_lora(tmp_path / "a.safetensors", tensors, torch.float16)
    converted = output(
        ConvertTask(file=source, output=tmp_path / "b.safetensors", spelling=spelling, precision=precision)
    )
    dtype = {"keep": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    assert {tensor.dtype for tensor in load_file(converted).values()} == {dtype}
    assert any(key.startswith("unet.") for key in load_file(converted)) == (spelling != "kohya")
    assert read_header(converted).metadata["ss_network_alpha"] == ("3.0" if spelling == "kohya" else "4")
    before, after = changes(load_file(source), SHAPES), changes(load_lora(converted), SHAPES)
    assert furthest(after, before) < DTYPE_ERROR[dtype] + 2e-3
    back = output(ConvertTask(file=converted, output=tmp_path / "c.safetensors"))
    assert furthest(changes(load_file(back), SHAPES), before) < DTYPE_ERROR[dtype] + 4e-3


@pytest.mark.parametrize("kind", ["loha", "lokr", "full"])
def test_other_kinds_become_pairs_by_their_singular_values(tmp_path: Path, kind: str) -> None:
    tensors = random_lora(SHAPES, kind=kind, rank=2, alpha=1.0)
    told = {"ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps({"algo": kind, "factor": "8"})}
    source = write_lora(tmp_path / "a.safetensors", tensors, **told)
    events = run(ConvertTask(file=source, output=tmp_path / "b.safetensors", rank=5))
    pairs = load_file(tmp_path / "b.safetensors")
    assert pairs[f"{CONV}.lora_down.weight"].shape == (5, 6, 3, 3)
    assert pairs[f"{POINT}.lora_up.weight"].shape == (12, 5, 1, 1)
    before, after = changes(tensors, SHAPES), changes(pairs, SHAPES)
    shares = []
    for name in SHAPES:
        values = torch.linalg.svdvals(before[name])
        assert float((before[name] - after[name]).norm()) == pytest.approx(float(values[5:].norm()), rel=1e-4, abs=1e-5)
        shares.append(float(values[:5].norm() / values.norm()))
    metadata = read_header(tmp_path / "b.safetensors").metadata
    assert metadata["ss_network_module"] == "networks.lora"
    assert json.loads(metadata["ss_network_args"]) == {"conv_dim": "5", "conv_alpha": "5.0"}
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert f"at least {min(shares) * 100:.1f} %" in notice.message


def test_loha_is_not_written_as_peft(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES, kind="loha"))
    with pytest.raises(UserError, match="LoHa"):
        run(ConvertTask(file=source, output=tmp_path / "b.safetensors", spelling="peft"))
    assert list(tmp_path.iterdir()) == [source]


# Inspecting


@pytest.mark.parametrize("kind", ["lora", "tucker", "loha", "lokr", "full"])
def test_norms_are_those_of_what_is_changed(tmp_path: Path, kind: str) -> None:
    tensors = random_lora(SHAPES, kind=kind, alpha=0.5)
    found = report(InspectTask(file=write_lora(tmp_path / "a.safetensors", tensors)))
    expected = {name: float(change.norm()) for name, change in changes(tensors, SHAPES).items()}
    blocks = {entry["block"]: entry for entry in found["blocks"]}
    attention = [expected[LINEAR], expected[CROSS], expected[POINT]]
    assert blocks["down_blocks_0_attentions_0"]["norm"] == pytest.approx(math.hypot(*attention), rel=1e-5)
    assert blocks["down_blocks_0_attentions_0"]["modules"] == 3
    assert blocks["lora_te"]["norm"] == pytest.approx(expected[TEXT], rel=1e-5)
    assert found["norm"] == pytest.approx(math.hypot(*expected.values()), rel=1e-5)


def test_values_that_are_no_numbers_are_counted_and_left_out_of_norms(tmp_path: Path) -> None:
    tensors = random_lora(SHAPES)
    tensors[f"{TEXT}.lora_up.weight"][0, 0] = math.nan
    found = report(InspectTask(file=write_lora(tmp_path / "a.safetensors", tensors)))
    assert found["modules_not_finite"] == 1
    assert math.isfinite(found["norm"]) and "lora_te" not in {entry["block"] for entry in found["blocks"]}


def test_inspect_tells_what_is_in_a_file(tmp_path: Path) -> None:
    tensors = random_lora(SHAPES, rank=2, alpha=1.0) | random_lora({CONV: SHAPES[CONV]}, rank=4, alpha=2.0)
    source = write_lora(tmp_path / "画 a.safetensors", tensors, torch.bfloat16, ss_output_name="画")
    found = report(InspectTask(file=source, norms=False))
    assert found["ranks"] == {"2": 4, "4": 1}
    assert found["alphas"] == {"1": 4, "2": 1}
    assert (found["family"], found["spelling"], found["dtype"]) == ("sd1", "kohya", "BF16")
    assert found["parts"] == {"lora_unet": 4, "lora_te": 1}
    assert found["kinds"] == {"lora": 5}
    assert found["metadata"] == {"ss_output_name": "画"}
    data = source.read_bytes()
    assert found["sha256"] == hashlib.sha256(data).hexdigest()
    assert found["data_sha256"] == hashlib.sha256(data[read_header(source).data_start :]).hexdigest()
    assert "blocks" not in found


# Metadata


def test_other_metadata_leave_every_byte_of_the_weights(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES), ss_tag="x", ss_gone="y")
    header = read_header(source)
    copy = output(EditTask(file=source, output=tmp_path / "b.safetensors", put={"ss_名": "值 😀"}, remove=("ss_gone",)))
    edited = read_header(copy)
    assert edited.metadata == {"ss_tag": "x", "ss_名": "值 😀"}
    assert copy.read_bytes()[edited.data_start :] == source.read_bytes()[header.data_start :]
    assert all(torch.equal(tensor, load_file(copy)[name]) for name, tensor in load_file(source).items())


def test_the_hashes_of_web_uis_follow_the_metadata(tmp_path: Path) -> None:
    tensors = random_lora({"lora_unet_mid_block_attentions_0_proj_in": (900, 700)}, rank=200)
    kept = {"ss_output_name": "a", "ss_network_dim": "200"}
    source = write_lora(tmp_path / "a.safetensors", tensors, **kept, **model_hashes(tensors, kept))
    copy = output(EditTask(file=source, output=tmp_path / "b.safetensors", put={"ss_output_name": "b" * 90}))
    before, after = read_header(source).metadata, read_header(copy).metadata
    assert after["sshs_model_hash"] == before["sshs_model_hash"]
    assert after["sshs_legacy_hash"] != before["sshs_legacy_hash"]
    assert after["sshs_legacy_hash"] == model_hashes(tensors, {**kept, "ss_output_name": "b" * 90})["sshs_legacy_hash"]


def test_a_key_that_is_not_there_cannot_be_removed(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES))
    with pytest.raises(UserError, match="has no metadata nothing"):
        run(EditTask(file=source, output=tmp_path / "b.safetensors", remove=("nothing",)))


# Hostile input


def all_tasks(file: Path, target: Path) -> list[ToolTask]:
    return [
        InspectTask(file=file),
        ConvertTask(file=file, output=target),
        ResizeTask(file=file, output=target, rank=1),
        MergeTask(loras=weighted((file, 1.0)), output=target),
        EditTask(file=file, output=target),
    ]


def broken_file(folder: Path, what: str) -> Path:
    path = folder / "broken.safetensors"
    if what == "missing":
        return path
    if what == "folder":
        path.mkdir()
    if what == "empty":
        path.write_bytes(b"")
    elif what == "no tensors":
        write_lora(path, {})
    elif what == "base model":
        write_lora(path, {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3)})
    elif what == "truncated":
        write_lora(path, random_lora(SHAPES))
        path.write_bytes(path.read_bytes()[:-100])
    elif what == "text":
        path.write_text("no weights at all")
    return path


@pytest.mark.parametrize("what", ["missing", "folder", "empty", "no tensors", "base model", "truncated", "text"])
def test_broken_files_are_refused_in_words_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    file = broken_file(tmp_path, what)
    there = sorted(tmp_path.iterdir())
    for task in all_tasks(file, tmp_path / "out.safetensors"):
        with pytest.raises(UserError):
            run(task)
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    tensors = random_lora(SHAPES)
    tensors[f"{LINEAR}.lora_up.weight"][0, 0] = value
    source = write_lora(tmp_path / "a.safetensors", tensors)
    for task in all_tasks(source, tmp_path / "out.safetensors")[1:4]:
        with pytest.raises(UserError, match="not numbers"):
            run(task)


def test_a_file_whose_header_is_128_bytes_long_is_no_pickle(tmp_path: Path) -> None:
    tensors = random_lora({LINEAR: SHAPES[LINEAR]})
    for length in range(200):
        source = write_lora(tmp_path / "a.safetensors", tensors, ss_x="x" * length)
        if source.read_bytes()[0] == 0x80:
            break
    assert source.read_bytes()[0] == 0x80
    assert report(InspectTask(file=source))["modules"] == 1


@pytest.mark.parametrize("ending", [".ckpt", ".safetensors"])
def test_what_a_file_is_does_not_depend_on_its_name(tmp_path: Path, ending: str) -> None:
    tensors = {name: tensor.half() for name, tensor in random_lora(SHAPES).items()}
    torch.save(tensors, pickled := tmp_path / f"pickled{ending}")
    plain = write_lora(tmp_path / f"plain{ending}", tensors, torch.float16)
    assert (report(InspectTask(file=pickled))["dtype"], report(InspectTask(file=plain))["dtype"]) == ("", "F16")
    found = [output(ConvertTask(file=file, output=tmp_path / f"{file.stem}-new")) for file in (pickled, plain)]
    assert {dtype for file in found[1:] for dtype in read_header(file).dtypes.values()} == {"F16"}
    assert furthest(*(changes(load_file(file), SHAPES) for file in found)) == 0


def test_sizes_that_do_not_fit_each_other_are_refused_and_never_written(tmp_path: Path) -> None:
    broken = [
        {f"{LINEAR}.lora_down.weight": torch.ones(4, 10), f"{LINEAR}.lora_up.weight": torch.ones(12, 3)},
        {f"{LINEAR}.lora_down.weight": torch.ones(4, 10), f"{LINEAR}.lora_up.weight": torch.tensor(1.0)},
        {f"{LINEAR}.lora_down.weight": torch.ones(4, 10), f"{LINEAR}.lora_up.weight": torch.ones(12, 4, 3)},
        {f"{LINEAR}.lora_down.weight": torch.ones(4), f"{LINEAR}.lora_up.weight": torch.ones(12, 4)},
        {**random_lora({LINEAR: SHAPES[LINEAR]}), f"{LINEAR}.alpha": torch.ones(3)},
        {f"{LINEAR}.hada_w{one}": torch.ones(2, 2 + (one == "2_b")) for one in ("1_a", "1_b", "2_a", "2_b")},
        {f"{LINEAR}.lokr_w1": torch.ones(2, 2), f"{LINEAR}.lokr_w2_a": torch.ones(4, 2)}
        | {f"{LINEAR}.lokr_w2_b": torch.ones(3, 4)},
    ]
    for tensors in broken:
        source = write_lora(tmp_path / "a.safetensors", tensors)
        for task in all_tasks(source, tmp_path / "out.safetensors")[:4]:
            with pytest.raises(UserError, match=f"the sizes of {LINEAR} do not fit each other"):
                run(task)
    assert list(tmp_path.iterdir()) == [source]


def test_a_flat_convolution_of_another_model_is_told(tmp_path: Path) -> None:
    tensors = random_lora({CROSS: SHAPES[CROSS]}) | random_lora({CONV: (8, 50)}, kind="loha")
    source = write_lora(tmp_path / "a.safetensors", tensors)
    for task in (
        ConvertTask(file=source, output=tmp_path / "b", rank=2),
        MergeTask(loras=weighted((source, 1.0)), output=tmp_path / "c", rank=2),
    ):
        with pytest.raises(UserError, match="sizes of this LoRA do not fit"):
            run(task)


def test_a_whole_change_of_a_vector_stays_one(tmp_path: Path) -> None:
    norm = "lora_unet_down_blocks_0_attentions_0_norm"
    tensors = random_lora({CROSS: SHAPES[CROSS]}, kind="full") | {f"{norm}.diff": torch.ones(12)}
    source = write_lora(tmp_path / "a.safetensors", tensors)
    made = load_file(output(ConvertTask(file=source, output=tmp_path / "b", rank=2)))
    assert made[f"{norm}.diff"].tolist() == [1.0] * 12
    assert made[f"{CROSS}.lora_down.weight"].shape == (2, 768)


def test_a_module_without_any_rank_adds_nothing(tmp_path: Path) -> None:
    tensors = random_lora({CROSS: SHAPES[CROSS]})
    empty = {f"{LINEAR}.lora_down.weight": torch.ones(0, 10), f"{LINEAR}.lora_up.weight": torch.ones(12, 0)}
    source = write_lora(tmp_path / "a.safetensors", tensors | empty)
    merged = load_file(output(MergeTask(loras=weighted((source, 0.5), (source, 0.5)), output=tmp_path / "b", rank=2)))
    own = {name: tensor for name, tensor in merged.items() if name.startswith(CROSS)}
    assert furthest(changes(own, SHAPES), changes(tensors, SHAPES)) < 1e-5
    assert merged[f"{LINEAR}.lora_up.weight"].shape == (12, 0)


def test_eight_bits_are_read(tmp_path: Path) -> None:
    tensors = {f"{LINEAR}.lora_down.weight": torch.ones(2, 10), f"{LINEAR}.lora_up.weight": torch.ones(12, 2)}
    source = write_lora(tmp_path / "a.safetensors", tensors, torch.float8_e4m3fn)
    made = load_file(output(ConvertTask(file=source, output=tmp_path / "b", precision="fp16")))
    assert {tensor.dtype for tensor in made.values()} == {torch.float16}
    assert float(changes(made, SHAPES)[LINEAR].min()) == 2


def test_a_scale_goes_into_the_weights_before_they_are_rounded(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES, rank=4, alpha=3.0), torch.float16)
    task = ConvertTask(file=source, output=tmp_path / "b", spelling="diffusers", precision="fp32")
    assert furthest(changes(load_lora(output(task)), SHAPES), changes(load_file(source), SHAPES)) < 1e-6


def test_what_may_be_for_sdxl_or_kolors_goes_with_either(tmp_path: Path) -> None:
    where = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    pair = {f"{where}.lora_A.weight": torch.ones(2, 2048), f"{where}.lora_B.weight": torch.ones(12, 2)}
    unnamed = write_lora(tmp_path / "unnamed.safetensors", pair)
    for word, other in (("kolors_v1", "sdxl_base_v1-0"), ("sdxl_base_v1-0", "kolors_v1")):
        named = write_lora(tmp_path / f"{word}.safetensors", pair, ss_base_model_version=word)
        made = output(MergeTask(loras=weighted((unnamed, 0.5), (named, 0.5)), output=tmp_path / f"{word}-merged"))
        assert read_header(made).metadata["ss_base_model_version"] == word
        (module,) = names(load_file(made))
        assert ("input_blocks" in module) == (word != "kolors_v1")
        write_lora(tmp_path / "other.safetensors", pair, ss_base_model_version=other)
        with pytest.raises(UserError, match="is for"):
            run(MergeTask(loras=weighted((made, 1.0), (tmp_path / "other.safetensors", 1.0)), output=tmp_path / "x"))


def test_nothing_is_ever_written_over(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES))
    before = source.read_bytes()
    for target in (source, source.with_suffix("")):
        for task in all_tasks(source, target)[1:]:
            with pytest.raises(UserError, match="exists already"):
                run(task)
    assert source.read_bytes() == before
    assert list(tmp_path.iterdir()) == [source]


def test_what_a_killed_tool_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES))
    nobody = subprocess.Popen([sys.executable, "-c", ""])
    nobody.wait()
    (tmp_path / f".kiln-{nobody.pid}-00000000.tmp").write_bytes(b"half a file")
    (tmp_path / f".kiln-{nobody.pid}-11111111.tmp" / "unet").mkdir(parents=True)
    (living := tmp_path / f".kiln-{os.getpid()}-22222222.tmp").write_bytes(b"of another tool")
    made = output(ConvertTask(file=source, output=tmp_path / "b"))
    assert sorted(tmp_path.iterdir()) == sorted([source, made, living])


def test_a_tool_that_is_asked_to_stop_leaves_nothing(tmp_path: Path) -> None:
    source = write_lora(tmp_path / "a.safetensors", random_lora(SHAPES))
    for task in all_tasks(source, tmp_path / "out.safetensors"):
        control = Control()
        control.ask("stop")
        last = list(run_tool(task, control))[-1]
        assert isinstance(last, Finished) and last.stopped
    assert list(tmp_path.iterdir()) == [source]
