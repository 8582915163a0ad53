"""What the tensors of a part are called in a diffusers folder, and in a single checkpoint file.

The names of a single file are those of the programs that Stable Diffusion was first trained with (`input_blocks.1.0`);
Kiln says those of diffusers inside (`down_blocks.0.resnets.0`), for a CLIP those of files, which begin with
`text_model.`. The tables are made from the configuration of a part, so they hold for any depth and width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Change = Literal["", "squeeze", "transpose", "rows_0", "rows_1", "rows_2"]
"""What makes a tensor of a single file one of diffusers: a 1x1 convolution is a matrix there, a matrix lies on its
side, or a third of the rows is a tensor by itself."""

_RESNET = (
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
)
_VAE_ATTENTION = (("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0"))
_OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OPEN_CLIP_LAYER = (
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
    ("attn.out_proj", "self_attn.out_proj"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
)
_THIRDS: tuple[tuple[str, Change], ...] = (("q_proj", "rows_0"), ("k_proj", "rows_1"), ("v_proj", "rows_2"))


@dataclass(frozen=True, slots=True)
class NameTable:
    """The names of one part, both ways.

    `modules` are pairs of a path in the file and one in diffusers: all below the one is called the same below the
    other. `tensors` are single tensors, with what changes them; several may come from one of the file.
    """

    modules: Mapping[str, str]
    tensors: tuple[tuple[str, str, Change], ...] = ()
    squeezed: frozenset[str] = frozenset()
    """Names in diffusers that are 1x1 convolutions in the file."""
    _from_file: dict[str, list[tuple[str, Change]]] = field(default_factory=dict)
    _to_file: dict[str, tuple[str, Change]] = field(default_factory=dict)
    _modules_to_file: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Turn the tables around."""
        for key, name, change in self.tensors:
            self._from_file.setdefault(key, []).append((name, change))
            self._to_file[name] = (key, change)
        self._modules_to_file.update({name: key for key, name in self.modules.items()})

    def in_diffusers(self, key: str, shape: tuple[int, ...]) -> list[tuple[str, Change]]:
        """What a tensor of the file is called, one or three of them; empty for one that the table does not know.

        Args:
            key: Its name in the file, without the prefix of the part.
            shape: Its shape there.
        """
        if key in self._from_file:
            return self._from_file[key]
        name = _renamed(key, self.modules)
        if name is None:
            return []
        is_convolution = name in self.squeezed and len(shape) == 4 and shape[2:] == (1, 1)
        return [(name, "squeeze" if is_convolution else "")]

    def in_file(self, name: str) -> tuple[str, Change] | None:
        """What a tensor of diffusers is called in the file, and what undone makes it that; None for an unknown one."""
        if name in self._to_file:
            return self._to_file[name]
        key = _renamed(name, self._modules_to_file)
        return None if key is None else (key, "squeeze" if name in self.squeezed else "")


def _renamed(name: str, modules: Mapping[str, str]) -> str | None:
    """The name with its longest known beginning replaced."""
    head, tail = name, ""
    while head:
        if head in modules:
            return modules[head] + tail
        head, dot, last = head.rpartition(".")
        tail = dot + last + tail
    return None


def changed_shape(shape: tuple[int, ...], change: Change) -> tuple[int, ...]:
    """The shape that a tensor of the file has in diffusers; its own, which fits nothing, where it has no thirds."""
    if change == "squeeze":
        return shape[:2]
    if change == "transpose":
        return shape[::-1]
    if change.startswith("rows_") and shape and shape[0] % 3 == 0:
        return (shape[0] // 3, *shape[1:])
    return shape


def unet_names(config: Mapping[str, Any]) -> NameTable:
    """The names of a UNet behind `model.diffusion_model.`.

    Args:
        config: Of a diffusers `UNet2DConditionModel`; block types and layers per block count.
    """
    return NameTable(dict(_unet_modules(config)))


def _unet_modules(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from (
        ("time_embed.0", "time_embedding.linear_1"),
        ("time_embed.2", "time_embedding.linear_2"),
        ("label_emb.0.0", "add_embedding.linear_1"),
        ("label_emb.0.2", "add_embedding.linear_2"),
        ("encoder_hid_proj", "encoder_hid_proj"),
        ("input_blocks.0.0", "conv_in"),
        ("out.0", "conv_norm_out"),
        ("out.2", "conv_out"),
    )
    down, up = config["down_block_types"], config["up_block_types"]
    layers = config.get("layers_per_block", 2)
    depths = [layers] * len(down) if isinstance(layers, int) else list(layers)
    place = 1
    for level, kind in enumerate(down):
        for layer in range(depths[level]):
            yield from _resnet(f"input_blocks.{place}.0", f"down_blocks.{level}.resnets.{layer}")
            if _attends(kind):
                yield f"input_blocks.{place}.1", f"down_blocks.{level}.attentions.{layer}"
            place += 1
        if level < len(down) - 1:
            yield f"input_blocks.{place}.0.op", f"down_blocks.{level}.downsamplers.0.conv"
            place += 1
    yield from _resnet("middle_block.0", "mid_block.resnets.0")
    yield "middle_block.1", "mid_block.attentions.0"
    yield from _resnet("middle_block.2", "mid_block.resnets.1")
    place = 0
    for level, kind in enumerate(up):
        for layer in range(depths[-1 - level] + 1):
            yield from _resnet(f"output_blocks.{place}.0", f"up_blocks.{level}.resnets.{layer}")
            if _attends(kind):
                yield f"output_blocks.{place}.1", f"up_blocks.{level}.attentions.{layer}"
            place += 1
        if level < len(up) - 1:
            upsampler = 2 if _attends(kind) else 1
            yield f"output_blocks.{place - 1}.{upsampler}.conv", f"up_blocks.{level}.upsamplers.0.conv"


def _attends(kind: str) -> bool:
    return kind.startswith("CrossAttn")


def _resnet(key: str, name: str) -> Iterable[tuple[str, str]]:
    return ((f"{key}.{ours}", f"{name}.{theirs}") for ours, theirs in _RESNET)


def vae_names(config: Mapping[str, Any]) -> NameTable:
    """The names of a VAE behind `first_stage_model.`.

    Args:
        config: Of a diffusers `AutoencoderKL`; the number of levels and layers per block count.
    """
    squeezed = frozenset(
        f"{half}.mid_block.attentions.0.{name}.weight"
        for half in ("encoder", "decoder")
        for _, name in _VAE_ATTENTION[1:]
    )
    return NameTable(dict(_vae_modules(config)), squeezed=squeezed)


def _vae_modules(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    levels, layers = len(config["block_out_channels"]), int(config.get("layers_per_block", 1))
    yield from (("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv"))
    for half in ("encoder", "decoder"):
        yield f"{half}.conv_in", f"{half}.conv_in"
        yield f"{half}.norm_out", f"{half}.conv_norm_out"
        yield f"{half}.conv_out", f"{half}.conv_out"
        for number in (0, 1):
            yield f"{half}.mid.block_{number + 1}", f"{half}.mid_block.resnets.{number}"
        for key, name in _VAE_ATTENTION:
            yield f"{half}.mid.attn_1.{key}", f"{half}.mid_block.attentions.0.{name}"
    for level in range(levels):
        inner = f"encoder.down_blocks.{level}"
        for layer in range(layers):
            yield from _vae_resnet(f"encoder.down.{level}.block.{layer}", f"{inner}.resnets.{layer}")
        yield f"encoder.down.{level}.downsample.conv", f"{inner}.downsamplers.0.conv"
        # A file counts the levels of the decoder from the outside, diffusers from the middle.
        outer = levels - 1 - level
        for layer in range(layers + 1):
            yield from _vae_resnet(f"decoder.up.{outer}.block.{layer}", f"decoder.up_blocks.{level}.resnets.{layer}")
        yield f"decoder.up.{outer}.upsample.conv", f"decoder.up_blocks.{level}.upsamplers.0.conv"


def _vae_resnet(key: str, name: str) -> Iterable[tuple[str, str]]:
    return ((key, name), (f"{key}.nin_shortcut", f"{name}.conv_shortcut"))


def clip_names() -> NameTable:
    """The names of a CLIP behind `cond_stage_model.transformer.`: those of transformers."""
    return NameTable({"text_model": "text_model", "text_projection": "text_projection"})


def open_clip_names(config: Mapping[str, Any]) -> NameTable:
    """The names of an OpenCLIP behind `cond_stage_model.model.` or `conditioner.embedders.1.model.`.

    Args:
        config: Of a transformers `CLIPTextModel`; the number of layers counts.
    """
    modules = {
        "token_embedding": "text_model.embeddings.token_embedding",
        "ln_final": "text_model.final_layer_norm",
    }
    tensors: list[tuple[str, str, Change]] = [
        ("positional_embedding", "text_model.embeddings.position_embedding.weight", ""),
        ("text_projection", "text_projection.weight", "transpose"),
    ]
    for number in range(int(config["num_hidden_layers"])):
        key, name = f"transformer.resblocks.{number}", f"text_model.encoder.layers.{number}"
        modules.update({f"{key}.{ours}": f"{name}.{theirs}" for ours, theirs in _OPEN_CLIP_LAYER})
        for kind in ("weight", "bias"):
            for third, change in _THIRDS:
                tensors.append((f"{key}.attn.in_proj_{kind}", f"{name}.self_attn.{third}.{kind}", change))
    return NameTable(modules, tuple(tensors))


def usual_name(kind: str, name: str) -> str:
    """A name of a diffusers file as Kiln says it: what older and newer versions call otherwise is made one.

    Args:
        kind: `denoiser`, `vae`, `text_encoder` or `text_encoder_2`.
        name: In the file, without the prefix of the part.
    """
    if kind == "vae":
        head, _, last = name.rpartition(".")
        module, dot, attention = head.rpartition(".")
        if attention in _OLD_VAE_ATTENTION and ".attentions." in name:
            return f"{module}{dot}{_OLD_VAE_ATTENTION[attention]}.{last}"
    elif kind.startswith("text_encoder") and name.startswith(("embeddings.", "encoder.layers.", "final_layer_norm.")):
        return f"text_model.{name}"
    return name
