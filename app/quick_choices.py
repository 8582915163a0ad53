"""What Kiln chooses by itself: kept in step with base model and pictures, and never over what the user changed."""

from __future__ import annotations

import re
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from app.background import Background
from app.project import Project, demo_folder
from core.config import TrainConfig, with_values
from core.config.labels import differing, value_of
from core.dataset.records import Scan
from core.device import Device, training_device
from core.errors import UserError
from core.quick import quick_config, suggested_name

_CAPTIONS_MS = 500
_ANSWERS = ("model.base", "dataset.folder", "dataset.edits", "training.epochs", "output.folder")
_FROM_PICTURES = ("dataset.folder", "dataset.trigger_word", "dataset.repeats", "sampling.prompts", "output.name")
_FROM_SIZES = (
    "network.rank",
    "network.alpha",
    "network.train_text_encoder",
    "optimizer.learning_rate",
    "optimizer.text_encoder_learning_rate",
    "training.batch_size",
    "training.gradient_accumulation",
    "training.gradient_checkpointing",
)
"""What follows from the number of pictures and from the device, for one base model."""

_FROM_DEMO = ("dataset.trigger_word", "dataset.absorbed_tags", "dataset.shuffle_tags", "sampling.prompts")


class QuickChoices(QObject):
    """Follows the project: whatever changes, an option that still has what Kiln chose gets what Kiln chooses now.

    What was chosen is kept by the project; settings of a file have no such record and stay as they are.
    """

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._folder = project.config.dataset.folder
        self._known: tuple[object, TrainConfig] | None = None
        self._device: Device | None = None
        self._device_wish = ""
        self._background = Background(self)
        if project.chosen is None and not set(differing(TrainConfig(), project.config)) - set(_ANSWERS):
            project.set_config(project.config, chosen=TrainConfig())
        self._captions = QTimer(self)
        self._captions.setSingleShot(True)
        self._captions.setInterval(_CAPTIONS_MS)
        self._captions.timeout.connect(self._adapt)  # Captions bring preview prompts.
        project.config_changed.connect(self._on_config_changed)
        project.records_changed.connect(self._adapt)
        project.captions_changed.connect(lambda _images: self._captions.start())
        self._ask_device()
        self._adapt()

    def defaults(self) -> TrainConfig:
        """What Kiln chooses for the present answers, name and place as they are."""
        config = self._project.config
        basis = self.now() or self._project.chosen or TrainConfig()
        return with_values(basis, {key: value_of(config, key) for key in (*_ANSWERS, "output.name")})

    def _ask_device(self) -> None:
        """See where the run will compute; a driver may take its time to answer."""
        wish = self._project.config.training.device
        if wish != self._device_wish:
            self._device_wish = wish
            self._background.start(lambda: training_device(wish), self._take_device)

    def _take_device(self, result: Device | Exception) -> None:
        if isinstance(result, Exception):
            self._project.tell(result)
            return
        self._device = result
        self._adapt()

    def _on_config_changed(self) -> None:
        self._ask_device()
        folder = self._project.config.dataset.folder
        if folder != self._folder:
            self._folder = folder
            if folder != self._project.folder:
                QTimer.singleShot(0, self, self._open_folder_of_config)
        self._adapt()

    def _adapt(self) -> None:
        project = self._project
        config, chosen, after = project.config, project.chosen, self.now()
        if after is None:
            return  # The base model is still missing; it comes with the next change.
        if chosen is None:
            project.set_config(config, chosen=after)
        else:
            project.set_config(merged(config, chosen, after), chosen=after)

    def now(self) -> TrainConfig | None:
        """What Kiln chooses now, if it can. While the pictures are not read, what follows from them stays as it was."""
        config, scan, chosen = self._project.config, self._project.scan, self._project.chosen
        if scan is not None and scan.folder != config.dataset.folder:
            scan = None
        if scan is None and chosen is None:
            return None
        trigger = config.dataset.trigger_word
        own = None if chosen is not None and trigger == chosen.dataset.trigger_word else trigger
        absorbed = config.dataset.absorbed_tags
        basis = (config.model.base, config.dataset.folder, config.output.folder, scan, self._device, own, absorbed)
        if self._known is None or self._known[0] != basis:
            after = choices(config, scan, self._device, own)
            if after is None:
                return None
            self._known = basis, after
        after = self._known[1]
        if chosen is None or _is_demo(config):
            return after
        kept: tuple[str, ...] = _FROM_PICTURES if scan is None else ()
        if (scan is None or self._device is None) and chosen.model.base == config.model.base:
            kept += _FROM_SIZES
        return with_values(after, {key: value_of(chosen, key) for key in kept}) if kept else after

    def _open_folder_of_config(self) -> None:
        folder = self._project.config.dataset.folder
        if folder.is_dir() and folder != self._project.folder and not self._project.is_scanning:
            self._project.open_folder(folder)


def choices(
    config: TrainConfig, scan: Scan | None, device: Device | None = None, trigger: str | None = None
) -> TrainConfig | None:
    """What Kiln would choose for the answers in a config, or None while there is no base model that can be used.

    Args:
        config: Base model, folders and epochs; and the tags that the trigger word stands for.
        scan: What is known of the pictures.
        device: Where the run will compute, as far as it is known.
        trigger: The user's own trigger word, for the previews; None when Kiln chose it.
    """
    try:
        after = quick_config(
            base=config.model.base,
            pictures=config.dataset.folder,
            epochs=config.training.epochs,
            output=config.output.folder,
            scan=scan,
            device=device,
            trigger=trigger,
            absorbed=config.dataset.absorbed_tags,
        )
        if not _is_demo(config):
            return after
        from core.demo import demo_config

        demo = demo_config(config.dataset.folder, config.output.folder)
        if demo.model.base == config.model.base:
            return with_values(demo, {"training.epochs": config.training.epochs})
        return with_values(after, {key: value_of(demo, key) for key in _FROM_DEMO})
    except (UserError, OSError):
        return None


def merged(current: TrainConfig, before: TrainConfig, after: TrainConfig) -> TrainConfig:
    """`current`, with the new choice wherever the old choice still stands.

    Args:
        current: The settings as they are.
        before: What was chosen by itself until now.
        after: What is chosen by itself from now on.
    """
    own = set(differing(before, current))
    if before.dataset.folder == after.dataset.folder:
        own.add("output.name")  # A run changes which number is free; the name stays until there are other pictures.
    elif _is_suggested(current.output.name, before.dataset.folder):
        own.discard("output.name")
    new = {key: value_of(after, key) for key in set(differing(current, after)) - own - set(_ANSWERS)}
    return with_values(current, new)


def _is_demo(config: TrainConfig) -> bool:
    return config.dataset.folder == demo_folder()


def _is_suggested(name: str, pictures: Path) -> bool:
    """Whether a name came from the folder's name; which number it got depends on the runs there were then."""
    return re.fullmatch(re.escape(suggested_name(pictures)) + r"(-\d+)?", name) is not None
