"""The two physics libraries, or a sentence on how to get them."""

from __future__ import annotations

import importlib
from typing import Any

from torchq.errors import DataError


def need(library: str) -> Any:
    """The module ``pythia8mc`` or ``fastjet``.

    Raises:
        DataError: it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError:
        raise DataError(
            f"{library}, which generates jets, is not installed", hint="pip install 'torchq[physics]'"
        ) from None
