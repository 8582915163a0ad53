"""The whole configuration of a training run: one frozen model for form, command line, TOML file, checks and manual."""

from __future__ import annotations

from pydantic import Field

from core.config.base import Section
from core.config.sections.base_model import ModelConfig
from core.config.sections.loss import LossConfig
from core.config.sections.network import NetworkConfig
from core.config.sections.optimizer import OptimizerConfig, OptimizerName, ScheduleConfig
from core.config.sections.output import LONGEST_NAME_BYTES, OutputConfig, is_device_name
from core.config.sections.pictures import DatasetConfig
from core.config.sections.previews import SamplingConfig
from core.config.sections.training import TrainingConfig
from core.config.sections.validation import ValidationConfig

__all__ = [
    "LONGEST_NAME_BYTES",
    "DatasetConfig",
    "LossConfig",
    "ModelConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "OptimizerName",
    "OutputConfig",
    "SamplingConfig",
    "ScheduleConfig",
    "TrainConfig",
    "TrainingConfig",
    "ValidationConfig",
    "is_device_name",
]


class TrainConfig(Section):
    """Everything about a training run."""

    model: ModelConfig = Field(ModelConfig(), title="Base model")
    dataset: DatasetConfig = Field(DatasetConfig(), title="Pictures")
    network: NetworkConfig = Field(NetworkConfig(), title="LoRA network")
    training: TrainingConfig = Field(TrainingConfig(), title="Training")
    loss: LossConfig = Field(LossConfig(), title="Loss and noise")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), title="Optimizer")
    schedule: ScheduleConfig = Field(ScheduleConfig(), title="Schedule")
    validation: ValidationConfig = Field(ValidationConfig(), title="Validation")
    sampling: SamplingConfig = Field(SamplingConfig(), title="Previews")
    output: OutputConfig = Field(OutputConfig(), title="Output")
