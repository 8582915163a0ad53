"""The starter pack's recipe: a small world of drawn characters, and the models that learn it."""
