"""The embedded world: facts, captions, renderer, edit cases and a small model trained on it."""
