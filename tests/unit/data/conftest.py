"""The tiny OpenML for the tests of data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from arff_server import Answers, server


@pytest.fixture
def openml() -> Iterator[tuple[str, Answers]]:
    with server() as running:
        yield running
