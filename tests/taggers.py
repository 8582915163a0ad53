"""Taggers of every kind with random weights: tiny ones for tests, a full-size one for benchmarks."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# (name, category) as in selected_tags.csv: 9 rating, 0 general, 4 character.
TAGS: tuple[tuple[str, int], ...] = (
    ("general", 9),
    ("sensitive", 9),
    ("1girl", 0),
    ("long_hair", 0),
    ("blue_eyes", 0),
    ("^_^", 0),
    ("smile", 0),
    ("hatsune_miku", 4),
    ("miru_(kiln)", 4),
    ("some_series", 3),
    ("red_dress,_torn", 0),
)


def write_tags(path: Path, tags: Sequence[tuple[str, int]] = TAGS) -> None:
    """A selected_tags.csv."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tag_id", "name", "category", "count"])
        writer.writerows((index, name, category, 1000 - index) for index, (name, category) in enumerate(tags))


def tiny_tagger(
    folder: Path,
    *,
    size: int | None = 16,
    tags: Sequence[tuple[str, int]] = TAGS,
    batch: int | str = "batch",
    num_scores: int | None = None,
    bias: Sequence[float] | None = None,
    seed: int = 0,
) -> Path:
    """A tagger folder whose scores depend on every pixel (or on the mean colour where the size is open).

    Args:
        folder: Where to write; made if need be.
        size: Side of the input; None leaves it open.
        tags: Rows of the CSV file.
        batch: Number of pictures per call, or a name for any number.
        num_scores: Outputs of the model, when not as many as tags.
        bias: Logit of each score for a picture that is grey; random when not given, the picture then hardly counts.
        seed: Of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    outputs = len(tags) if num_scores is None else num_scores
    random = np.random.default_rng(seed)
    features = 3 if size is None else size * size * 3
    weights = random.normal(0, 2 / np.sqrt(features), (features, outputs)).astype(np.float32) / 64
    if bias is not None:
        weights /= 50
    offset = np.asarray(random.normal(0, 1, outputs) if bias is None else bias, np.float32)
    grey = (np.full((1, features), 128, np.float32) @ weights).reshape(-1)
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(offset - grey, "offset"),
        numpy_helper.from_array(np.array([0, -1] if size else [1, 2], np.int64), "how"),
    ]
    first = (
        helper.make_node("Reshape", ["input", "how"], ["flat"])
        if size
        else helper.make_node("ReduceMean", ["input", "how"], ["flat"], keepdims=0)
    )
    nodes = [
        first,
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
        helper.make_node("Add", ["product", "offset"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["output"]),
    ]
    shape = [batch, size or "height", size or "width", 3]
    _save(folder / "model.onnx", nodes, constants, shape, [batch, outputs])
    write_tags(folder / "selected_tags.csv", tags)
    return folder


# As in tag_mapping.json, with a number that stands for nothing.
CL_TAGS: dict[int, tuple[str, str]] = {
    0: ("general", "Rating"),
    1: ("explicit", "Rating"),
    2: ("1girl", "General"),
    3: ("long_hair", "General"),
    5: ("hatsune_miku", "Character"),
    6: ("vocaloid", "Copyright"),
    7: ("some_artist", "Artist"),
    8: ("highres", "Meta"),
    9: ("best_quality", "Quality"),
    10: ("novelai", "Model"),
    11: ("新しい_tag", "Era"),
}


def write_mapping(path: Path, tags: Mapping[int, tuple[str, str]] = CL_TAGS, *, old: bool = False) -> None:
    """A tag_mapping.json, in the form with one entry per number or in the `old` one with two tables."""
    if old:
        mapping: object = {
            "idx_to_tag": {str(index): name for index, (name, _) in tags.items()},
            "tag_to_category": dict(tags.values()),
        }
    else:
        mapping = {str(index): {"tag": name, "category": category} for index, (name, category) in tags.items()}
    path.write_text(json.dumps(mapping, ensure_ascii=False), encoding="utf-8")


def tiny_cl_tagger(
    folder: Path, *, size: int = 24, old: bool = False, model: str = "model.onnx", half: bool = False
) -> Path:
    """A folder in the form of cl_tagger; its logits depend on every pixel and on the channel that it is in."""
    folder.mkdir(parents=True, exist_ok=True)
    outputs, features = max(CL_TAGS) + 1, 3 * size * size
    random = np.random.default_rng(5)
    weights = random.normal(0, 3 / np.sqrt(features), (features, outputs))
    weights += random.normal(0, 8, (3, 1, outputs)).repeat(size * size, axis=1).reshape(features, outputs) / features
    number, kind = (np.float16, TensorProto.FLOAT16) if half else (np.float32, TensorProto.FLOAT)
    constants = [
        numpy_helper.from_array(weights.astype(number), "weights"),
        numpy_helper.from_array(np.array([0, -1], np.int64), "how"),
    ]
    nodes = [
        helper.make_node("Reshape", ["input", "how"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["output"]),
    ]
    _save(folder / model, nodes, constants, ["batch", 3, size, size], ["batch", outputs], kind)
    write_mapping(folder / "tag_mapping.json", old=old)
    return folder


def vit_tagger(folder: Path, *, size: int = 448, width: int = 768, depth: int = 12, num_tags: int = 9000) -> Path:
    """A vision transformer (ViT-B/16 by default) with random weights, about as much work as a published WD tagger."""
    folder.mkdir(parents=True, exist_ok=True)
    random, patch, heads = np.random.default_rng(0), 16, width // 64
    count = (size // patch) ** 2
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def weight(name: str, *shape: int) -> str:
        return constant(name, random.standard_normal(shape, np.float32) * np.float32(0.02))

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, *inputs: str, **options: object) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [f"v{len(nodes)}"], **options))
        return nodes[-1].output[0]

    one, half = constant("one", np.float32(1)), constant("half", np.float32(0.5))
    norm = constant("gain", np.ones(width, np.float32)), constant("zero", np.zeros(width, np.float32))
    split = constant("split", np.array([0, count, 3, heads, 64], np.int64))
    joined = constant("joined", np.array([0, count, width], np.int64))
    which = [constant(f"i{index}", np.array(index, np.int64)) for index in range(3)]
    eighth, root = constant("eighth", np.float32(0.125)), constant("root", np.float32(0.5**0.5))
    x = node("Transpose", "input", perm=[0, 3, 1, 2])
    x = node("Sub", node("Div", x, constant("range", np.float32(127.5))), one)
    x = node("Conv", x, weight("patches", width, 3, patch, patch), strides=[patch, patch])
    x = node("Reshape", x, constant("flat", np.array([0, width, count], np.int64)))
    x = node("Add", node("Transpose", x, perm=[0, 2, 1]), weight("places", 1, count, width))
    for block in range(depth):
        y = node("MatMul", node("LayerNormalization", x, *norm), weight(f"qkv{block}", width, 3 * width))
        y = node("Transpose", node("Reshape", y, split), perm=[2, 0, 3, 1, 4])
        query, key, value = (node("Gather", y, index, axis=0) for index in which)
        y = node("MatMul", node("Mul", query, eighth), node("Transpose", key, perm=[0, 1, 3, 2]))
        y = node("MatMul", node("Softmax", y, axis=-1), value)
        y = node("Reshape", node("Transpose", y, perm=[0, 2, 1, 3]), joined)
        x = node("Add", x, node("MatMul", y, weight(f"out{block}", width, width)))
        y = node("MatMul", node("LayerNormalization", x, *norm), weight(f"up{block}", width, 4 * width))
        y = node("Mul", node("Mul", y, half), node("Add", node("Erf", node("Mul", y, root)), one))
        x = node("Add", x, node("MatMul", y, weight(f"down{block}", 4 * width, width)))
    x = node("LayerNormalization", x, *norm)
    x = node("ReduceMean", x, constant("axis", np.array([1], np.int64)), keepdims=0)
    node("Sigmoid", node("MatMul", x, weight("head", width, num_tags)))
    nodes[-1].output[0] = "output"
    _save(folder / "model.onnx", nodes, constants, ["batch", size, size, 3], ["batch", num_tags])
    write_tags(folder / "selected_tags.csv", [(f"tag_{index}", 9 if index < 4 else 0) for index in range(num_tags)])
    return folder


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    takes: Sequence[int | str],
    gives: Sequence[int | str],
    kind: int = TensorProto.FLOAT,
) -> None:
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input", kind, takes)],
        [helper.make_tensor_value_info("output", kind, gives)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())


# --- sentence models ------------------------------------------------------------------------------------------------


def tiny_blip(folder: Path, *, seed: int = 0) -> Path:
    """A BLIP of a few thousand weights with a vocabulary of a few words."""
    import transformers
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    words = ["a", "girl", "with", "long", "hair", "stands", "in", "front", "of", "the", "sea", "and", "smiles"]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *dict.fromkeys(words)]
    tokenizer = transformers.BertTokenizer(
        vocab={name: index for index, name in enumerate(names)}, additional_special_tokens=["[DEC]"]
    )
    layers = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "projection_dim": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {"encoder_hidden_size": 16, "max_position_embeddings": 128, "vocab_size": len(names)}
    tokens = {"pad_token_id": 0, "eos_token_id": 3, "sep_token_id": 3, "bos_token_id": 5}
    config = transformers.BlipConfig(
        text_config=layers | text | tokens,
        vision_config=layers | {"image_size": 32, "patch_size": 16, "initializer_range": 0.02},
        projection_dim=16,
        image_text_hidden_size=16,
    )
    _save_pretrained(transformers.BlipForConditionalGeneration, config, folder, seed)
    pixels = BlipImageProcessorPil(size={"height": 32, "width": 32})
    transformers.BlipProcessor(pixels, tokenizer).save_pretrained(folder)
    return folder


def tiny_florence(folder: Path, *, seed: int = 0) -> Path:
    """A Florence-2 of a few thousand weights that writes letter by letter."""
    import transformers
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    names = ["<s>", "<pad>", "</s>", "<unk>", "<image>", *(chr(code) for code in range(33, 127)), "\u0120"]
    tokenizer = transformers.BartTokenizer(
        vocab={name: index for index, name in enumerate(names)},
        merges=[],
        extra_special_tokens={"image_token": "<image>"},
    )
    config = transformers.Florence2Config(
        text_config={
            "model_type": "bart",
            "vocab_size": len(names),
            "d_model": 16,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32,
            "max_position_embeddings": 512,
            "bos_token_id": 0,
            "pad_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": 2,
        },
        vision_config={
            "depths": [1, 1],
            "patch_size": [7, 3],
            "patch_stride": [4, 2],
            "patch_padding": [3, 1],
            "patch_prenorm": [False, True],
            "embed_dim": [8, 16],
            "num_heads": [2, 2],
            "num_groups": [2, 2],
            "window_size": 4,
            "projection_dim": 16,
            "max_position_embeddings": 20,
            "drop_path_rate": 0.0,
        },
        image_token_id=4,
    )
    _save_pretrained(transformers.Florence2ForConditionalGeneration, config, folder, seed)
    pixels = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    pixels.image_seq_length = 17
    transformers.Florence2Processor(pixels, tokenizer).save_pretrained(folder)
    return folder


def _save_pretrained(cls: Any, config: Any, folder: Path, seed: int) -> None:
    """A model with random weights, large enough that what it writes depends on the picture."""
    import torch

    torch.manual_seed(seed)
    model = cls(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(12)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
