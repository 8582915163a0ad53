"""Captions from pictures."""
