"""ONNX in and out: the interchange file. No type of ONNX leaves this package."""

from hls_export.qonnx.execute import execute as execute
from hls_export.qonnx.read import read as read
