"""The table of what is lowered exactly, measured and not claimed.

``python -m hls_export.support --write docs/support.md`` puts every example of every registered layer, and
networks of other tools, through each reading, compares it with torch in float64, keeps what came out in
``docs/support.json`` and writes the page from it.
"""

from hls_export.support.cases import Case as Case
from hls_export.support.cases import layer_cases as layer_cases
from hls_export.support.cells import COLUMNS as COLUMNS
from hls_export.support.cells import Cell as Cell
from hls_export.support.measure import measure as measure
from hls_export.support.page import page as page
from hls_export.support.record import Record as Record
