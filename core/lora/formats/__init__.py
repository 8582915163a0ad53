"""LoRA files of every program: read into kohya's and LyCORIS' names, and written in others."""

from core.lora.formats.reading import LoraFile, begins_pickled, named_for, read_lora
from core.lora.formats.spelling import SPELLINGS, Spelling
from core.lora.formats.writing import Written, respelled

__all__ = ["SPELLINGS", "LoraFile", "Spelling", "Written", "begins_pickled", "named_for", "read_lora", "respelled"]
