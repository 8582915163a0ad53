"""Options of other programs that have no effect in Kiln, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from core.text import tr

Reason = Literal[
    "attention",
    "cache",
    "loading",
    "precision",
    "safetensors",
    "states",
    "runs",
    "services",
    "private",
    "log",
    "accelerate",
    "family",
    "own_vae",
    "text_encoders",
    "no_such_part",
    "network",
    "one_conv_rank",
    "bring_back",
    "lora_only",
    "merge",
    "captions",
    "commas",
    "crops",
    "other_objective",
    "flow",
    "schedule",
    "averaging",
    "validation",
    "model_spec",
    "dataset_file",
    "masks",
    "report",
    "description",
    "window",
    "embeddings",
]


HARMLESS: frozenset[Reason] = frozenset(
    {
        "attention",
        "cache",
        "loading",
        "safetensors",
        "states",
        "log",
        "family",
        "model_spec",
        "report",
        "description",
        "window",
    }
)
"""Reasons by which nothing is lost: Kiln does the same by itself, or it is no setting."""


def reason_for(name: str) -> Reason | None:
    """Why an option is ignored; None for an option that nobody here knows."""
    if (reason := IGNORED.get(name)) is not None:
        return reason
    return next((reason for start, reason in _STARTS.items() if name.startswith(start)), None)


def sentence(reason: Reason) -> str:
    """A reason in the user's language."""
    return {
        "attention": tr("Kiln always uses the fast attention of PyTorch."),
        "cache": tr("Kiln caches pictures and captions by itself whenever that changes nothing."),
        "loading": tr("Kiln loads and prepares pictures in its own way, without this option."),
        "precision": tr("Kiln always keeps the LoRA's own weights in 32 bits while it trains."),
        "safetensors": tr("Kiln always writes safetensors files."),
        "states": tr("Kiln keeps states of every run by itself."),
        "runs": tr("A state of another program cannot be continued; continue from its LoRA file instead."),
        "services": tr("Kiln sends nothing to other services."),
        "private": tr("It is a key of a service; Kiln neither keeps nor shows it."),
        "log": tr("Kiln keeps the log of a run in the folder of that run."),
        "accelerate": tr("Several cards and machines are set up with the launcher of accelerate."),
        "family": tr("Kiln reads the kind of a base model from its files."),
        "own_vae": tr("Kiln uses the VAE as it is, without this option."),
        "text_encoders": tr("Kiln trains both text encoders of SDXL alike."),
        "no_such_part": tr("None of the base models that Kiln trains for has such a part."),
        "network": tr("It belongs to a kind of network that Kiln does not train."),
        "one_conv_rank": tr("Kiln gives all 3x3 convolutions the same rank and alpha."),
        "bring_back": tr("Kiln has no rule that brings layers back that another one left out."),
        "lora_only": tr("It belongs to the training of whole models, and Kiln trains LoRAs."),
        "merge": tr("Kiln trains on the base model as it is, without other LoRAs in it."),
        "captions": tr("Kiln reads captions without this rule."),
        "commas": tr("Kiln separates tags at commas."),
        "crops": tr("Kiln has other ways to cut around a subject: Fit, and crops on the Dataset page."),
        "other_objective": tr("Kiln has no such form of the loss or of the noise."),
        "flow": tr("It belongs to flow models such as Flux and SD3."),
        "schedule": tr("Kiln's schedules have no such option."),
        "averaging": tr("Kiln averages the weights after every step."),
        "validation": tr("Kiln measures held-out pictures by epochs, with fixed noise and timesteps."),
        "model_spec": tr("Kiln writes the model spec of the LoRA file by itself."),
        "dataset_file": tr("Kiln reads pictures and their caption files, without an index of them."),
        "masks": tr("Kiln takes masks from transparency or from files beside the pictures."),
        "report": tr("It says how the training went, and is no setting."),
        "description": tr("It describes the pictures of that training, and is no setting."),
        "window": tr("It belongs to the window or the files of the other program."),
        "embeddings": tr("Kiln trains LoRAs, and no embeddings."),
    }[reason]


def _all(groups: Mapping[Reason, str]) -> dict[str, Reason]:
    return {name: reason for reason, names in groups.items() for name in names.split()}


IGNORED: Mapping[str, Reason] = _all(
    {
        "attention": """
            xformers sdpa mem_eff_attn dynamo_backend enable_autocast_cache layer_offload_fraction
            enable_activation_offloading
        """,
        "cache": """
            cache_latents cache_latents_to_disk cache_text_encoder_outputs cache_text_encoder_outputs_to_disk
            skip_cache_check vae_batch_size latent_caching clear_cache_before_training only_cache cache_dir
            text_encoder_batch_size cache_info lowram
        """,
        "loading": """
            persistent_data_loader_workers num_cpu_threads_per_process max_data_loader_n_workers dataset_class
            debug_dataset dataloader_threads disable_mmap_load_safetensors highvram deepspeed resize_interpolation
            no_token_padding temp_device
        """,
        "precision": """
            full_fp16 full_bf16 fused_backward_pass blocks_to_swap lora_weight_dtype
            fallback_train_dtype weight_dtype cpu_offload_checkpointing loss_scaler learning_rate_scaler
            force_circular_padding
        """,
        "safetensors": "save_model_as use_safetensors no_metadata output_model_format include_train_config",
        "states": """
            save_state save_state_on_train_end save_n_epoch_ratio save_last_n_steps_state backup_after
            backup_after_unit rolling_backup rolling_backup_count backup_before_save initial_epoch initial_step
            skip_until_initial_step save_skip_first
        """,
        "runs": "resume resume_from_huggingface continue_last_backup",
        "services": """
            async_upload use_wandb log_tracker_config save_state_to_huggingface tensorboard_expose tensorboard_port
            tensorboard_always_on cloud
        """,
        "private": "wandb_api_key huggingface_token secrets",
        "log": """
            log_prefix log_tracker_name log_config console_log_level console_log_file console_log_simple debug_mode
            debug_dir
        """,
        "accelerate": """
            gpu_ids num_processes num_machines main_process_port multi_gpu extra_accelerate_launch_args machine_rank
            device_indexes offload_optimizer_device offload_optimizer_nvme_path offload_param_device
            offload_param_nvme_path zero_stage zero3_init_flag zero3_save_16bit_model
            fp16_master_weights_and_gradients
        """,
        "family": "model_list",
        "text_encoders": """
            learning_rate_te learning_rate_te1 learning_rate_te2 text_encoder_2 text_encoder_2_layer_skip
        """,
        "no_such_part": """
            text_encoder_3 text_encoder_4 text_encoder_3_layer_skip text_encoder_4_layer_skip
            prior effnet_encoder decoder decoder_text_encoder
            decoder_vqgan transformer clip_l clip_g t5xxl t5xxl_max_token_length ae apply_t5_attn_mask
            clip_l_dropout_rate clip_g_dropout_rate t5_dropout_rate train_t5xxl
        """,
        "network": """
            unit dylora_unit train_norm use_tucker use_cp use_conv_cp disable_conv_cp use_scalar rank_dropout_scale
            decompose_both full_matrix unbalanced_factorization bypass_mode constrain constraint rescaled block_size
            train_on_input lora_decompose_norm_epsilon oft_block_size oft_coft coft_eps oft_block_share
            loraplus_lr_ratio loraplus_unet_lr_ratio loraplus_text_encoder_lr_ratio split_qkv ggpo_sigma ggpo_beta
            lora_layers lora_layer_preset layer_filter_preset dim_from_weights
        """,
        "one_conv_rank": "conv_alphas conv_block_dims conv_block_alphas",
        "bring_back": "include_patterns",
        "lora_only": """
            train_text_encoder stop_text_encoder_training stop_text_encoder_training_pct block_lr mem_eff_save
            diffusers_path
        """,
        "merge": "base_weights base_weights_multiplier enable_base_weight network_multiplier",
        "captions": "weighted_captions secondary_separator",
        "commas": "caption_separator",
        "crops": "face_crop_aug_range circular_mask_generation random_rotate_and_crop",
        "other_objective": """
            v_pred_like_loss huber_scale generalized_offset_noise vb_loss_strength log_cosh_strength
            normalize_masked_area_loss unmasked_probability masked_prior_preservation_weight force_epsilon_prediction
        """,
        "flow": """
            weighting_scheme logit_mean logit_std mode_scale sigmoid_scale model_prediction_type discrete_flow_shift
            training_shift guidance_scale timestep_shift dynamic_timestep_shifting noising_weight noising_bias
        """,
        "averaging": "ema_update_step_interval",
        "schedule": "lr_scheduler_timescale lr_scheduler_args custom_learning_rate_scheduler scheduler_params",
        "validation": "validate_every_n_steps max_validation_steps validation validate_after validate_after_unit",
        "model_spec": "save_filename_prefix",
        "dataset_file": "in_json metadata_file custom_attributes dataset_repeats",
        "masks": "conditioning_data_dir",
        "report": """
            epoch steps num_train_images num_reg_images num_batches_per_epoch total_batch_size session_id
            training_started_at training_finished_at sd_scripts_commit_hash sd_model_hash new_sd_model_hash vae_name
            vae_hash new_vae_hash sshs_model_hash sshs_legacy_hash kiln.version format ot_branch ot_revision
        """,
        "description": "tag_frequency bucket_info dataset_dirs reg_dataset_dirs mean_img_ar_error",
        "window": """
            __version noise_offset_type config_version name version author train_type description train_mode headless
            workspace_dir sample_image_format sample_video_format sample_audio_format samples_to_tensorboard
            non_ema_sampling sample_skip_first ui_custom_params additional_parameters config_file
            sample_definition_file_name samples
        """,
        "embeddings": """
            embedding embeddings additional_embeddings embedding_learning_rate preserve_embedding_norm
            bundle_additional_embeddings token_string init_word num_vectors_per_token use_object_template
            use_style_template weights
        """,
    }
)
"""Option -> reason. A test walks all options of SD-Trainer and kohya's scripts that people bring."""

_STARTS: Mapping[str, Reason] = {
    "ddp_": "accelerate",
    "dynamo_": "accelerate",
    "huggingface_": "services",
    "wandb_": "services",
    "metadata_": "model_spec",
    "modelspec.": "model_spec",
    "secrets.": "private",
    "cloud.": "services",
    "embedding.": "embeddings",
    "text_encoder_2.": "text_encoders",
    "text_encoder_3.": "no_such_part",
    "text_encoder_4.": "no_such_part",
    "prior.": "no_such_part",
    "effnet_encoder.": "no_such_part",
    "decoder.": "no_such_part",
    "decoder_text_encoder.": "no_such_part",
    "decoder_vqgan.": "no_such_part",
    "transformer.": "no_such_part",
    "vae.": "own_vae",
    "quantization.": "precision",
}
