"""What a project is made of and costs, as values with text and dict forms."""

from hls_export.report.fpga import SOURCES as SOURCES
from hls_export.report.fpga import FpgaReport as FpgaReport
from hls_export.report.fpga import LayerRow as LayerRow
