"""What can be done with LoRA files beside training and drawing: look into, convert, shrink, merge, extract, check."""
