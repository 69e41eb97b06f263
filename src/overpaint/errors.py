"""The named exceptions. Every message says what was expected, what came, and what to do."""

from __future__ import annotations


class OverpaintError(Exception):
    """Base of every error a user can cause; the command line turns it into exit code 2."""


class ModelError(OverpaintError):
    """A model cannot be found, loaded, or is of a family the operation does not know."""


class PromptError(OverpaintError):
    """A prompt is empty, too long, or does not contain what the edit speaks about."""


class EditError(OverpaintError):
    """An edit asks for nothing, or for something the method cannot do."""


class SiteError(OverpaintError):
    """A layer or module that was asked for is not in the model."""


class PatchError(OverpaintError):
    """A patch file is damaged, or a patch does not belong to the model."""


class DataError(OverpaintError):
    """A data set or file of cases is malformed; names the file, row and column."""


class WeightsChangedError(PatchError):
    """A weight is no longer what a patch has left: taking the patch off would destroy a change."""


class OutputError(OverpaintError):
    """A place to write to does not exist or cannot be written."""


class ConfigError(OverpaintError):
    """A configuration has an unknown key, or a value that is out of its range."""
