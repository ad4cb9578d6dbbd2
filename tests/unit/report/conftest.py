"""The finished run that the tests of this folder look at."""

from __future__ import annotations

import pytest
from sample_report import make_report

from torchq.recipe.report import ReportData


@pytest.fixture(scope="session")
def report() -> ReportData:
    return make_report()
