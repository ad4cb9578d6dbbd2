"""ONNX in and out: the interchange file. No type of ONNX leaves this package."""

from hls_export.qonnx.execute import execute as execute
from hls_export.qonnx.read import read as read
from hls_export.qonnx.write import ExportedModel as ExportedModel
from hls_export.qonnx.write import export as export
