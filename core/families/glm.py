"""ChatGLM3 as the text encoder of Kolors: 6 billion weights that come into memory for all captions and leave again.

It is computed by diffusers' own blocks, of which three things are known that save most of the work. What a caption is
told as are the last two of the layers' outputs, so neither the last norm nor the head is needed. All padding in front
of a caption has the same content and the same position, so all of it is the same in every layer, and one row stands
for it. And weights are only read, so they can be used straight from the mapped file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from core.checkpoints.opening import check_fit
from core.checkpoints.reading import TensorReader
from core.checkpoints.refusals import damaged
from core.checkpoints.sources import PartSource
from core.families.glm_chunks import Chunk, TextRead, chunk_of, groups_of
from core.families.glm_tokens import LENGTH

if TYPE_CHECKING:
    from torch import Tensor

    from core.families.base import LargeTextEncoder

_EMBEDDING = "embedding.word_embeddings.weight"
_OUTER = "transformer."
_LAYER = "encoder.layers.{number}."
_CHUNK_ROWS = {"cpu": 1024}
_MOST_CHUNK_ROWS = 4096
"""Rows that go through a layer together: enough to keep a card busy, at a few hundred megabytes."""
_GROUP_ROWS = {"cpu": 4096}
_MOST_GROUP_ROWS = 65536
"""Rows for which the layers are read once: half a gigabyte. A processor is so much slower than a disk that it reads
them again more often: what is finished is kept, and a stop loses little."""
_WORK_BYTES = 2 << 30
"""Room on a card beside the weights: for rows and what a layer computes."""


class GlmEncoder(nn.Module):
    """The encoder without its weights: it knows where they are, and has them only while it reads captions.

    It computes where it was moved to, which its one buffer without content remembers.

    Attributes:
        dtype: Number format of what is said.
    """

    place: Tensor

    def __init__(self, source: PartSource, dtype: torch.dtype) -> None:
        """Read no weight yet.

        Args:
            source: Configuration of a ChatGLMModel, and its tensors.
            dtype: To compute in, where the device can, and to answer in.

        Raises:
            UserError: The configuration makes no sense, or a tensor is missing, has another shape than it says, or is
                in a number format of no use.
        """
        super().__init__()
        self.register_buffer("place", torch.empty(0), persistent=False)
        self.dtype = dtype
        # As it was published, the encoder is the inner part of a model for talking.
        tensors = {at.key.removeprefix(_OUTER): at for at in source.tensors.values()}
        self.source = PartSource(source.config, tensors, source.config_file)
        try:
            self._config = _config(source)
            self._shapes = _shapes(self._config)
        except (TypeError, ValueError, RuntimeError) as error:
            raise damaged(source.config_file or source.files[0]) from error
        check_fit(self.source, "text_encoder", self._shapes)

    @property
    def num_layers(self) -> int:
        """How many layers there are."""
        return int(self._config.num_layers)

    @property
    def vocabulary(self) -> int:
        """How many ids it can read."""
        return self._shapes[_EMBEDDING][0]

    @property
    def whole_bytes(self) -> int:
        """Memory of all layers in the number format that is computed in."""
        numbers = sum(math.prod(shape) for name, shape in self._shapes.items() if name != _EMBEDDING)
        return numbers * self._computed.itemsize

    @property
    def _computed(self) -> torch.dtype:
        """The number format of weights and rows. Few processors multiply in fp16, others take many times longer."""
        is_slow = self.place.device.type == "cpu" and self.dtype == torch.float16
        return torch.float32 if is_slow else self.dtype

    def read(
        self, tokens: Sequence[Sequence[int]], wish: LargeTextEncoder
    ) -> Iterator[tuple[float, dict[int, TextRead]]]:
        """Read captions; the weights are in memory from the first question to the last.

        Args:
            tokens: Ids of each caption, without padding.
            wish: `model.large_text_encoder` of the settings.

        Yields:
            The share of the work that is done, and what is finished since, by number of the caption.

        Raises:
            UserError: A file cannot be read.
            RuntimeError: The memory is not enough; when that of a card seemed to be enough for the whole encoder,
                layer by layer neither.
        """
        from core.training.recovery import free_memory, is_memory_error

        device = self.place.device
        way = choose_way(wish, self.whole_bytes, _free_bytes(device), device.type)
        left = dict(enumerate(tokens))
        try:
            try:
                yield from self._read(left, way)
                return
            except Exception as error:
                if not (is_memory_error(error) and wish == "auto" and way == "whole"):
                    raise
            free_memory()
            yield from self._read(left, "layers")
        finally:
            if device.type != "cpu":  # What is left over there is in the way of the denoiser.
                free_memory()

    def _read(
        self, left: dict[int, Sequence[int]], way: LargeTextEncoder
    ) -> Iterator[tuple[float, dict[int, TextRead]]]:
        """Read captions in one way; `left` loses those that are finished."""
        device = self.place.device
        kept: dict[int, nn.Module] = {}
        turns = self._turns()
        lengths = {number: len(ids) for number, ids in left.items()}
        most = _CHUNK_ROWS.get(device.type, _MOST_CHUNK_ROWS), _GROUP_ROWS.get(device.type, _MOST_GROUP_ROWS)
        total, done = sum(lengths.values()) * self.num_layers, 0
        for group in groups_of(lengths, *most):
            chunks = [chunk_of({number: left[number] for number in numbers}) for numbers in group]
            for chunk in chunks:
                chunk.hidden = self._embedded(chunk)
                chunk.mask = chunk.mask.to(device)
            for number in range(self.num_layers):
                block = kept.get(number) or self._block(number, in_int8=way == "int8")
                if way != "layers":
                    kept[number] = block
                for chunk in chunks:
                    before = chunk.hidden
                    chunk.hidden = _through(block, chunk, turns)
                    done += chunk.num_tokens
                    finished = chunk.finished(before, self.dtype) if number == self.num_layers - 1 else {}
                    for caption in finished:
                        del left[caption]
                    if finished or chunk is chunks[-1]:
                        yield done / total, finished
                del block

    def _turns(self) -> Tensor:
        """[256, ...] what turns queries and keys at each position."""
        from diffusers.pipelines.kolors.text_encoder import RotaryEmbedding

        width = int(self._config.kv_channels) // 2
        turns: Tensor = RotaryEmbedding(width).forward_impl(LENGTH, width, self._computed, torch.device("cpu"))
        return turns

    def _embedded(self, chunk: Chunk) -> Tensor:
        """[rows, B, D]; only the rows of the table that are asked for are read."""
        with TensorReader() as reader:
            table = reader.read(self.source.tensors[_EMBEDDING])
        # Of rows that do not lie one behind the other, a matrix product copies its weights for each caption.
        return table[chunk.ids].transpose(0, 1).to(self.place.device, self._computed).contiguous()

    def _block(self, number: int, *, in_int8: bool) -> nn.Module:
        """A layer with its weights, where it computes."""
        from diffusers.pipelines.kolors.text_encoder import GLMBlock

        block: Any = GLMBlock(self._config, number + 1, device="meta")
        prefix = _LAYER.format(number=number)
        # Moved before it is cast: half of the bytes on the way, and a card casts faster.
        with TensorReader() as reader:
            weights = {
                name: reader.read(self.source.tensors[prefix + name]).to(self.place.device).to(self._computed)
                for name in block.state_dict()
            }
        block.load_state_dict(weights, assign=True)
        block.self_attention.core_attention = _Attention()
        block.requires_grad_(False).eval()
        if in_int8:
            from core.training.base_weights import pack_weights

            pack_weights(block)
        found: nn.Module = block
        return found


def choose_way(wish: LargeTextEncoder, whole_bytes: int, free_bytes: int | None, device: str) -> LargeTextEncoder:
    """How to load the encoder.

    In 8 bit only when wished: layer by layer needs less memory, is exact, and reads the disk as often.

    Args:
        wish: As in the settings.
        whole_bytes: Memory of all weights.
        free_bytes: Free where it computes; None when nobody knows.
        device: Kind of the device. Where memory is that of all programs, much more has to be free.
    """
    if wish != "auto":
        return wish
    if free_bytes is None:
        return "layers"
    needed = whole_bytes + _WORK_BYTES if device == "cuda" else 2 * whole_bytes
    return "whole" if free_bytes >= needed else "layers"


def _free_bytes(device: torch.device) -> int | None:
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    from core.machine import memory

    total, used = memory()
    return None if total is None or used is None else total - used


def _config(source: PartSource) -> Any:
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig

    return ChatGLMConfig(**source.config)


def _shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Name -> shape of all tensors that are needed."""
    from diffusers.pipelines.kolors.text_encoder import GLMBlock

    inside = {name: tuple(weight.shape) for name, weight in GLMBlock(config, 1, device="meta").state_dict().items()}
    layers = range(int(config.num_layers))
    return {
        _EMBEDDING: (int(config.padded_vocab_size), int(config.hidden_size)),
        **{_LAYER.format(number=number) + name: shape for number in layers for name, shape in inside.items()},
    }


class _Attention(nn.Module):
    """The attention of a block, with numbers added to the scores, in float32: it is a small part of the work."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """[rows, B, heads, d] each to [rows, B, heads d]."""
        parts = [part.permute(1, 2, 0, 3).float() for part in (query, key, value)]
        found: Tensor = scaled_dot_product_attention(parts[0], parts[1], parts[2], mask)
        return found.permute(2, 0, 1, 3).flatten(2).to(query.dtype)


@torch.no_grad()
def _through(block: nn.Module, chunk: Chunk, turns: Tensor) -> Tensor:
    """[rows, B, D] behind a layer, in the layer's own number format whatever is around."""
    device = chunk.hidden.device
    rotary = turns[chunk.positions].transpose(0, 1).contiguous().to(device)
    with torch.autocast(device.type, enabled=False):
        hidden: Tensor = block(chunk.hidden, chunk.mask, rotary, use_cache=False)[0]
    return hidden
