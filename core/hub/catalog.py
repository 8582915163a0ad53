"""The models that Kiln knows by name, and where on the web they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from core.errors import UserError
from core.hub import manifest
from core.hub.folder import models_folder
from core.text import tr

ModelKind = Literal["tagger", "captioner", "base", "detector"]
KINDS: tuple[ModelKind, ...] = get_args(ModelKind)
_FOLDERS: dict[ModelKind, str] = {
    "tagger": "taggers",
    "captioner": "captioners",
    "base": "base",
    "detector": "detectors",  # core.dataset.subject looks for them there
}

_LIST_V3 = "298633d94d0031d2081c0893f29c82eab7f0df00b08483ba8f29d1e979441217"
_LIST_V2 = "8c8750600db36233a1b274ac88bd46289e588b338218c2e4c62bbc9f2b516368"
"""All WD taggers of a version have the same list of tags."""


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository of models: `owner/name` and a branch, tag or commit of it."""

    name: str
    revision: str = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model that can be downloaded.

    `hugging_face` holds for its mirrors, too. `files` must all be there; `extras` are patterns of one folder each, of
    files that are taken where there are any; both are relative to `sub_folder` of the repository, and so are the names
    on disk. `size_bytes` is what is to be expected, 0 where nobody said. `sha256` are the contents that are known, by
    name; they count more than what a server says.
    """

    key: str
    title: str
    kind: ModelKind
    description: str
    license: str
    files: tuple[str, ...]
    extras: tuple[str, ...] = ()
    hugging_face: Repo
    model_scope: Repo | None = None
    sub_folder: str = ""
    size_bytes: int = 0
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """The page of the model, where its licence is."""
        return f"https://huggingface.co/{self.hugging_face.name}"


def known_models(kind: ModelKind | None = None) -> tuple[ModelCard, ...]:
    """All models of the catalogue, or those of one kind, the most useful first; described in the language in use."""
    cards = (*_taggers(), *_captioners(), *_bases(), *_detectors())
    return tuple(card for card in cards if kind in (None, card.kind))


def model_card(key: str) -> ModelCard:
    """The model of a name.

    Raises:
        UserError: There is no such model.
    """
    for card in known_models():
        if card.key == key:
            return card
    raise UserError(
        "Kiln knows no model named {name}.",
        remedy="Choose one of these: {names}.",
        name=key,
        names=", ".join(card.key for card in known_models()),
    )


def folder_of(card: ModelCard, root: Path | None = None) -> Path:
    """Where a model lies once it is here, below `root` or the folder of models."""
    return (root or models_folder()) / _FOLDERS[card.kind] / card.key


def is_here(card: ModelCard, root: Path | None = None) -> bool:
    """Whether a model was downloaded as the catalogue wants it and its files still have their sizes.

    Reads no file but the list: what is inside the others is not looked at.
    """
    folder = folder_of(card, root)
    entries = manifest.read(folder, card.key)
    if not entries.keys() >= set(card.files):
        return False
    if any(entries[name].sha256 != sha256 for name, sha256 in card.sha256.items()):
        return False
    try:
        return all((folder / entry.name).stat().st_size == entry.size_bytes for entry in entries.values())
    except (OSError, ValueError):  # Gone, or under a name that no file can have.
        return False


def _wd(key: str, title: str, description: str, name: str, revision: str, model_bytes: int, sha256: str) -> ModelCard:
    is_v3 = revision != "v2.0"
    known = {"selected_tags.csv": _LIST_V3 if is_v3 else _LIST_V2}
    if sha256:
        known["model.onnx"] = sha256
    return ModelCard(
        key=key,
        title=title,
        kind="tagger",
        description=description,
        license="Apache-2.0",
        files=("selected_tags.csv", "model.onnx"),
        hugging_face=Repo(f"SmilingWolf/{name}", revision),
        model_scope=Repo(f"fireicewolf/{name}", "master"),
        size_bytes=model_bytes + (308_468 if is_v3 else 253_906),
        sha256=known,
    )


def _taggers() -> tuple[ModelCard, ...]:
    older = tr("An older tag list with fewer characters, for captions like those of older LoRA.")
    return (
        _wd(
            "wd-vit-v3",
            "WD ViT v3",
            tr("The fastest of version 3; a good start on every machine."),
            "wd-vit-tagger-v3",
            "7f6b584d0bd3f55c4531f14ba3d4761b2bccdc0f",
            378_536_310,
            "35f23693620b668f4d53fd3c62bf65e40af739bc52c7eb0fbc49258b58d065b6",
        ),
        _wd(
            "wd-swinv2-v3",
            "WD SwinV2 v3",
            tr("More exact than ViT and slower."),
            "wd-swinv2-tagger-v3",
            "627aef95638667ddcaa3ac8ae625e88ea5b02f51",
            467_460_978,
            "e6774bff34d43bd49f75a47db4ef217dce701c9847b546523eb85ff6dbba1db1",
        ),
        _wd(
            "wd-convnext-v3",
            "WD ConvNeXt v3",
            tr("Between ViT and SwinV2."),
            "wd-convnext-tagger-v3",
            "d39e46de298d27340111b64965e20b8185c407e6",
            394_990_732,
            "1b8a7abf13d9b8368267df47501d523789c4aeae66b2296ad98483239dfa32eb",
        ),
        _wd(
            "wd-eva02-large-tagger-v3",
            "WD EVA02 Large v3",
            tr("The most exact of the WD taggers, and large: for a graphics card or patience."),
            "wd-eva02-large-tagger-v3",
            "b25b82a03f7282e41aa2f257a52c7583b710bd1c",
            1_260_435_999,
            "9e768793060c7939b277ccb382783e8670e8a042d29d77aa736be0c8cc898bfc",
        ),
        _wd(
            "wd-vit-large-tagger-v3",
            "WD ViT Large v3",
            tr("Nearly as exact as EVA02 Large, and as large."),
            "wd-vit-large-tagger-v3",
            "ae469aa2e4706a3af08d3673cf73a11d1add314c",
            1_260_645_673,
            "e4c8001b000a6c98f2db10794f7c406daa79873d071d6ca924330fa053fa1845",
        ),
        ModelCard(
            key="cl_tagger_1_01",
            title="CL Tagger 1.01",
            kind="tagger",
            description=tr("Knows far more characters and series, and quality; large."),
            license="Apache-2.0",
            files=("tag_mapping.json", "model.onnx"),
            hugging_face=Repo("cella110n/cl_tagger", "main"),
            sub_folder="cl_tagger_1_01",
        ),
        _wd("wd14-convnextv2-v2", "WD ConvNeXtV2 v2", older, "wd-v1-4-convnextv2-tagger-v2", "v2.0", 388_000_000, ""),
        _wd("wd14-swinv2-v2", "WD SwinV2 v2", older, "wd-v1-4-swinv2-tagger-v2", "v2.0", 455_000_000, ""),
        _wd("wd14-vit-v2", "WD ViT v2", older, "wd-v1-4-vit-tagger-v2", "v2.0", 373_000_000, ""),
        _wd(
            "wd14-moat-v2",
            "WD MOAT v2",
            older,
            "wd-v1-4-moat-tagger-v2",
            "v2.0",
            326_197_340,
            "b8cef913be4c9e8d93f9f903e74271416502ce0b4b04df0ff1e2f00df488aa03",
        ),
    )


def _captioners() -> tuple[ModelCard, ...]:
    return (
        ModelCard(
            key="florence-2-base",
            title="Florence-2 base",
            kind="captioner",
            description=tr("Sentences from short to long about what is where in the picture."),
            license="MIT",
            files=("config.json", "model.safetensors"),
            extras=("*.json", "*.txt"),  # Of tokenizer and processor, whose files differ between conversions.
            hugging_face=Repo("florence-community/Florence-2-base", "main"),
        ),
        ModelCard(
            key="blip-base",
            title="BLIP base",
            kind="captioner",
            description=tr("One short sentence for each picture, best for photographs."),
            license="BSD-3-Clause",
            files=("config.json", "preprocessor_config.json", "vocab.txt", "model.safetensors"),
            extras=("tokenizer*.json", "special_tokens_map.json"),
            # The conversion to safetensors is not on the main branch, which has pickles only.
            hugging_face=Repo("Salesforce/blip-image-captioning-base", "9cfcdbcaccbcadb2b53b36d4b50042c4eeaa0c25"),
            size_bytes=990_700_000,
        ),
    )


def _bases() -> tuple[ModelCard, ...]:
    return (
        ModelCard(
            key="stable-diffusion-v1-5",
            title="Stable Diffusion 1.5",
            kind="base",
            description=tr("The base model of most LoRA for small graphics cards, in half precision."),
            license="CreativeML Open RAIL-M",
            files=(
                "model_index.json",
                "scheduler/scheduler_config.json",
                "tokenizer/merges.txt",
                "tokenizer/special_tokens_map.json",
                "tokenizer/tokenizer_config.json",
                "tokenizer/vocab.json",
                "text_encoder/config.json",
                "text_encoder/model.fp16.safetensors",
                "vae/config.json",
                "vae/diffusion_pytorch_model.fp16.safetensors",
                "unet/config.json",
                "unet/diffusion_pytorch_model.fp16.safetensors",
            ),
            extras=("feature_extractor/*.json",),
            hugging_face=Repo("stable-diffusion-v1-5/stable-diffusion-v1-5", "main"),
            model_scope=Repo("AI-ModelScope/stable-diffusion-v1-5", "master"),
            size_bytes=2_130_000_000,
        ),
    )


def _detectors() -> tuple[ModelCard, ...]:
    return (
        ModelCard(
            key="anime_person",
            title="Anime person 1.3",
            kind="detector",
            description=tr("Finds persons in drawings, for smart crops."),
            license="MIT",
            files=("model.onnx",),
            extras=("labels.json",),
            hugging_face=Repo("deepghs/anime_person_detection", "e39c744c22432ad01f91dd254fe2b02c8d878b8c"),
            sub_folder="person_detect_v1.3_s",
            size_bytes=44_583_247,
            sha256={"model.onnx": "6da88929438cd442e31e45ff4f934dd2d7eb9cf7a423c22885d650ee52550f90"},
        ),
        ModelCard(
            key="anime_head",
            title="Anime head 2.0",
            kind="detector",
            description=tr("Finds heads in drawings, for smart crops."),
            license="MIT",
            files=("model.onnx",),
            extras=("labels.json",),
            hugging_face=Repo("deepghs/anime_head_detection", "06604feee81983792a57c21081e539c0ae229833"),
            model_scope=Repo("deepghs/anime_head_detection", "master"),
            sub_folder="head_detect_v2.0_s",
            size_bytes=44_585_400,
            sha256={"model.onnx": "6679f9b71192298bbf174d82e9e5581c3237b0c3dc67deace7cdbf686b070a00"},
        ),
    )
