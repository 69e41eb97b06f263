"""Patches at work: put on a model and taken off, kept in files, exported, compared."""
