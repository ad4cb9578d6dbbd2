"""The real Brevitas, imported when it is needed."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

from torchq.errors import QuantizerError


def brevitas_module(name: str) -> Any:
    """A module of the installed Brevitas, ``"nn"`` or ``"quant.fixed_point"``.

    Raises:
        QuantizerError: Brevitas is not installed.
    """
    try:
        with quiet():
            return importlib.import_module(f"brevitas.{name}")
    except ImportError as fault:
        raise QuantizerError("brevitas is not installed", hint="pip install 'torchq[brevitas]'") from fault


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Brevitas's own deprecation warnings are not our user's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
