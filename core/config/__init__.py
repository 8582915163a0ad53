"""The configuration of a run."""

from core.config.fields import FieldSpec, field_specs, sections, validated, with_values
from core.config.model import (
    DatasetConfig,
    ModelConfig,
    NetworkConfig,
    OptimizerConfig,
    OutputConfig,
    SamplingConfig,
    ScheduleConfig,
    TrainConfig,
    TrainingConfig,
)
from core.config.toml import load_config, read_toml, save_config, to_toml

__all__ = [
    "DatasetConfig",
    "FieldSpec",
    "ModelConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "OutputConfig",
    "SamplingConfig",
    "ScheduleConfig",
    "TrainConfig",
    "TrainingConfig",
    "field_specs",
    "load_config",
    "read_toml",
    "save_config",
    "sections",
    "to_toml",
    "validated",
    "with_values",
]
