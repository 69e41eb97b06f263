"""Rebuilding the Toybox weights from nothing: ``python -m overpaint.toybox.train``."""
