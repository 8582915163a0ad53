"""Base models on disk: single files and folders, what each part of them is called, opening and rewriting them."""
