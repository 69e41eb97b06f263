"""Editing methods: each is ``method(model, edits, config) -> Patch``, see ``registry.py``."""
