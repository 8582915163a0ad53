"""The configuration of a run."""

from core.config.fields import FieldSpec, field_specs, sections, validated, with_values
from core.config.model import (
    DatasetConfig,
    LossConfig,
    ModelConfig,
    NetworkConfig,
    OptimizerConfig,
    OutputConfig,
    SamplingConfig,
    ScheduleConfig,
    TrainConfig,
    TrainingConfig,
    ValidationConfig,
)
from core.config.toml import load_config, read_toml, save_config, to_toml

__all__ = [
    "DatasetConfig",
    "FieldSpec",
    "LossConfig",
    "ModelConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "OutputConfig",
    "SamplingConfig",
    "ScheduleConfig",
    "TrainConfig",
    "TrainingConfig",
    "ValidationConfig",
    "field_specs",
    "load_config",
    "read_toml",
    "save_config",
    "sections",
    "to_toml",
    "validated",
    "with_values",
]
