"""The options of kohya's scripts, SD-Trainer and kohya_ss that are taken over: a file is known by them."""

from __future__ import annotations

from collections.abc import Iterable

from core.imports.mapping import RENAMED
from core.imports.pictures import CAPTION_OPTIONS

_GROUPS = """
pretrained_model_name_or_path v_parameterization max_token_length model_train_type network_module network_dim
network_alpha network_weights network_args optimizer_args network_args_custom optimizer_args_custom train_data_dir
reg_data_dir dataset_config resolution enable_bucket min_bucket_reso max_bucket_reso alpha_mask masked_loss
learning_rate unet_lr text_encoder_lr network_train_unet_only network_train_text_encoder_only optimizer_type
optimizer use_8bit_adam use_lion_optimizer d_coef prodigy_d0 prodigy_d_coef max_train_epochs max_train_steps epoch
lr_scheduler lr_scheduler_type lr_scheduler_num_cycles lr_scheduler_power lr_scheduler_min_lr_ratio lr_warmup
lr_warmup_steps lr_decay_steps warmup_ratio down_lr_weight mid_lr_weight up_lr_weight enable_block_weights
block_lr_zero_threshold loss_type timestep_sampling mixed_precision save_precision no_half_vae output_dir
output_name log_with logging_dir save_last_n_steps validation_split enable_preview sample_prompts prompt_file
positive_prompts negative_prompts randomly_choice_prompt sample_width sample_height sample_seed sample_steps
sample_cfg sample_sampler sample_at_first sample_every_n_epochs sample_every_n_steps LoRA_type max_resolution
dropout debiased_estimation v2 sdxl base_model_version
"""
"""Options that are handled in groups, several of them together."""

TAKEN = frozenset({*RENAMED, *CAPTION_OPTIONS, *_GROUPS.split()})


def is_of_kohya(names: Iterable[str]) -> bool:
    """Whether these are options of kohya's scripts: one that nothing else has, or none that is unknown."""
    found = list(names)
    return any(name in TAKEN and "_" in name for name in found) or (
        bool(found) and all(name in TAKEN for name in found)
    )
