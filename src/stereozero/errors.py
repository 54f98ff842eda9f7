"""Errors that are meant for the person who runs the pipeline."""


class StereoZeroError(Exception):
    """Base of every error this package raises on purpose.

    The message says what is wrong, where (file, row, key) and what to do. The command line prints it without a
    traceback; any other exception is a defect of the program and is shown with one.
    """


class InputError(StereoZeroError, ValueError):
    """Something the user gave (a file, a manifest row, a config value, an argument) can't be used."""


class StageError(StereoZeroError, RuntimeError):
    """A stage could not finish: an external program failed, the disk is full, some clips of a batch failed."""
