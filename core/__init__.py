"""Everything of Kiln that works without a window: pictures in, LoRA file out."""

__version__ = "0.1.0"
