"""Rebuilding the Toybox weights from nothing: ``python -m tools.train``."""
