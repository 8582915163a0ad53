"""The LoRA network and its files."""
