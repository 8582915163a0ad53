"""From a folder of pictures to what the trainer sees."""
