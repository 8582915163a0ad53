"""The window of Kiln."""
