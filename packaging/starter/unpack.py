"""Fills a work folder from a finished pack, so that its model can be trained on where the states are gone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from starter.tagger import Tagger, Vocabulary, tagger_character, tagger_picture
from starter.train_diffusion import new_training
from starter.train_tagger import new_optimizer, save_state
from starter.training import save_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from starter.recipe import Recipe


def unpack_model(recipe: Recipe) -> None:
    """Writes VAE, tokenizer and words, and states of step 0 for UNet and tagger, from which the stages go on.

    The UNet's moving averages are what was packed, so they are what training starts from; Adam's moments are zero.
    Needs PySide6 and onnx.

    Raises:
        FileExistsError: The work folder is not empty. Hours may be in it, or latents of another VAE.
    """
    if any(recipe.work.iterdir()):
        raise FileExistsError(f"{recipe.work} is not empty: name a new folder, or empty it if unpacking broke off")
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    model = recipe.pack / "model"
    shutil.copytree(model / "tokenizer", recipe.tokenizer)
    text_encoder = CLIPTextModel.from_pretrained(model / "text_encoder", dtype=torch.float32)
    save_atomically(text_encoder.state_dict(), recipe.words)
    unet, _, training = new_training(recipe)
    packed = UNet2DConditionModel.from_pretrained(model / "unet", torch_dtype=torch.float32)
    unet.load_state_dict(packed.state_dict())
    training.ema.copy_(training.flat.values)
    training.save(recipe.diffusion_state)
    shutil.copytree(model / "vae", recipe.vae)
    tagger = read_tagger(recipe.pack / "tagger" / "model.onnx", Vocabulary.of_the_world())
    save_state(recipe, tagger, new_optimizer(tagger), step=0)
    shutil.copytree(recipe.pack / "tagger", recipe.tagger)


def read_tagger(path: Path, vocabulary: Vocabulary, num_pictures: int = 128) -> Tagger:
    """The network of an exported tagger, with batch norms that training can go on with.

    The export folds each batch norm into its convolution. Statistics of some pictures, and a scale and shift that undo
    them, give the same network with a batch norm that works again.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    weights = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}
    tagger = Tagger(vocabulary).eval()
    blocks = [*tagger.fine, *tagger.coarse]
    own = {name: one for name, one in tagger.named_parameters() if not name.startswith(("fine.", "coarse."))}
    for name, parameter in own.items():
        parameter.data.copy_(weights[name])
    convolutions = [node.input for node in graph.node if node.op_type == "Conv" and node.input[1] not in own]
    folded = [(weights[kernel], weights[bias]) for _, kernel, bias in convolutions]
    pictures = np.stack([tagger_picture(*tagger_character(f"pool/{number}")) for number in range(num_pictures)])
    features = torch.from_numpy(pictures[..., ::-1].astype(np.float32)) / 127.5 - 1
    features = features.permute(0, 3, 1, 2)
    for block, (kernel, bias) in zip(blocks, folded, strict=True):
        features = restore_block(block, kernel, bias, features)
    return tagger


@torch.no_grad()
def restore_block(block: nn.Sequential, kernel: Tensor, bias: Tensor, features: Tensor) -> Tensor:
    """Gives a block of convolution, batch norm and ReLU what was folded into one; returns its output."""
    convolution, norm = cast("tuple[nn.Conv2d, nn.BatchNorm2d]", tuple(block)[:2])
    convolution.weight.copy_(kernel)
    outputs = convolution(features)
    mean, variance = outputs.mean((0, 2, 3)), outputs.var((0, 2, 3))
    norm.get_buffer("running_mean").copy_(mean)
    norm.get_buffer("running_var").copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(mean + bias)
    result: Tensor = block(features)
    return result
