"""The errors a user can cause: where, what came and what is needed, what to do.

Every error that a user can cause derives from :class:`TorchqError`. The commands print its text and
leave with exit code 2; a traceback is a defect of ours.
"""

from __future__ import annotations


class TorchqError(Exception):
    """An error that a user can cause and mend.

    Args:
        message: where it happened, what came, and what is needed.
        hint: what to do about it; printed after the message.

    Example:
        >>> str(TorchqError("width must be at least 1, got 0"))
        'width must be at least 1, got 0'
        >>> str(TorchqError("hls4ml is not installed", hint="pip install 'torchq[hls]'"))
        "hls4ml is not installed; pip install 'torchq[hls]'"
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}; {self.hint}"


class FormatError(TorchqError):
    """A number format that cannot exist, or a text that is none."""


class UnknownNameError(TorchqError):
    """A name that no registry holds."""


class QuantizerError(TorchqError):
    """Arguments that no quantizer can have, or a text that is none."""


class SchemeError(TorchqError):
    """A scheme that does not fit the model it is applied to."""


class GraphError(TorchqError):
    """A model that cannot be traced, or an edge that no quantizer made."""


class CostError(TorchqError):
    """A cost that cannot be computed, or settings out of range."""


class DataError(TorchqError):
    """Data that is missing, incomplete or not numbers."""


class TrainError(TorchqError):
    """A training that cannot start or went wrong."""


class SearchError(TorchqError):
    """A search space, goal or journal that cannot be used."""


class RecipeError(TorchqError):
    """One or many faults of a recipe file, each with its line."""


class RunDirError(TorchqError):
    """A run directory that is missing, of another recipe, or cannot be written."""


class ExportError(TorchqError):
    """A model or file that cannot be said in ONNX, or read from it."""


class BackendError(TorchqError):
    """Something a backend cannot express, a missing tool, or a failed tool."""


class VerifyError(TorchqError):
    """Two readings of one network that do not agree."""
