"""Ways out that are a change of settings; several failures share them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.failures.entry import Fix

if TYPE_CHECKING:
    from core.config.model import TrainConfig

LEAST_RESOLUTION_PX = 256


def _whole_batch(config: TrainConfig) -> int:
    """Batches per step that keep as many pictures in a step as before, one at a time."""
    return min(config.training.batch_size * config.training.gradient_accumulation, 256)


def _lower_resolution(config: TrainConfig) -> int:
    """Three quarters of the side, which needs about half the memory."""
    now = config.dataset.resolution
    return min(max(LEAST_RESOLUTION_PX, round(now * 0.75 / 64) * 64), now)


def _half_rate(config: TrainConfig) -> float:
    return config.optimizer.learning_rate / 2


def _half_text_encoder_rate(config: TrainConfig) -> float:
    rate = config.optimizer.text_encoder_learning_rate
    return rate / 2 if config.network.train_text_encoder else rate


SMALL_BATCH = Fix(
    "Set the batch size to 1",
    {"training.batch_size": 1, "training.gradient_accumulation": _whole_batch},
)
ADAPT = Fix("Let Kiln save memory by itself", {"training.on_out_of_memory": "adapt"})
CHECKPOINTING = Fix("Turn gradient checkpointing on", {"training.gradient_checkpointing": True})
LOWER_RESOLUTION = Fix("Lower the resolution", {"dataset.resolution": _lower_resolution})
LOWER_RATE = Fix(
    "Halve the learning rate",
    {
        "optimizer.learning_rate": _half_rate,
        "optimizer.text_encoder_learning_rate": _half_text_encoder_rate,
    },
)
AUTO_DEVICE = Fix("Choose the device automatically", {"training.device": "auto"})
AUTO_PRECISION = Fix("Choose the precision automatically", {"training.precision": "auto"})
EXACT = Fix("Compute in fp32", {"training.precision": "fp32"})
PLAIN_ADAMW = Fix("Use AdamW", {"optimizer.name": "adamw"})
ON_PROCESSOR = Fix("Train on the processor", {"training.device": "cpu", "training.precision": "auto"})
FEWER_FILES = Fix(
    "Keep fewer files",
    {"output.keep_last": 2, "output.keep_states": 1, "output.epoch_states": 0},
)
CONTINUE = Fix("Continue", action="continue")
RETRY = Fix("Try again", action="retry")
FREE_SPACE = Fix("Show the folder", action="free_space")
OPEN_FOLDER = Fix("Show the folder", action="open_folder")
OTHER_OUTPUT = Fix("Choose another output folder", action="choose_output")
DOCTOR = Fix("Check the installation", action="open_doctor")
CHOOSE_MODEL = Fix("Choose a base model", action="choose_model")
DOWNLOAD_MODEL = Fix("Download a base model", action="download_model")
CHOOSE_PICTURES = Fix("Choose the pictures", action="choose_pictures")
CHECK_PICTURES = Fix("Check the pictures", action="check_pictures")
OTHER_NAME = Fix("Take another name", action="other_name")
