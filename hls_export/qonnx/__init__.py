"""ONNX in and out: the interchange file. No type of ONNX leaves this package."""

from hls_export.qonnx.dialect import outside_of_hls4ml as outside_of_hls4ml
from hls_export.qonnx.execute import execute as execute
from hls_export.qonnx.portable import portable as portable
from hls_export.qonnx.read import read as read
from hls_export.qonnx.write import ExportedModel as ExportedModel
from hls_export.qonnx.write import export as export
