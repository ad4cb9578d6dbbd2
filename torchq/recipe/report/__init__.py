"""The report of a run: what was asked, what came out, what was compared, and how to do it again.

Fill a :class:`ReportData`; :func:`write_report` writes ``report.html`` and ``report.md``,
:func:`summary_lines` and :func:`summary_table` say it on one screen, :func:`figures` gives the numbers of
``summary.json``.
"""

from __future__ import annotations

from torchq.recipe.report.build import ReportFiles as ReportFiles
from torchq.recipe.report.build import save_overview_png as save_overview_png
from torchq.recipe.report.build import write_report as write_report
from torchq.recipe.report.checks import evaluate as evaluate
from torchq.recipe.report.checks import figures as figures
from torchq.recipe.report.firmware import Comparison as Comparison
from torchq.recipe.report.firmware import FirmwareFacts as FirmwareFacts
from torchq.recipe.report.firmware import Verification as Verification
from torchq.recipe.report.html import render_html as render_html
from torchq.recipe.report.markdown import render_markdown as render_markdown
from torchq.recipe.report.summary import summary_lines as summary_lines
from torchq.recipe.report.summary import summary_table as summary_table
from torchq.recipe.report.synthesized import Synthesis as Synthesis
from torchq.recipe.report.synthesized import Synthesized as Synthesized
from torchq.recipe.report.values import Check as Check
from torchq.recipe.report.values import CostReference as CostReference
from torchq.recipe.report.values import DataSummary as DataSummary
from torchq.recipe.report.values import FpgaEstimate as FpgaEstimate
from torchq.recipe.report.values import LayerRow as LayerRow
from torchq.recipe.report.values import Limits as Limits
from torchq.recipe.report.values import ModelResult as ModelResult
from torchq.recipe.report.values import ReportData as ReportData
from torchq.recipe.report.values import SearchEffort as SearchEffort
from torchq.recipe.report.values import SearchResult as SearchResult
from torchq.recipe.report.values import TrainingHistory as TrainingHistory
from torchq.recipe.report.values import TrialPoint as TrialPoint
