"""Anyone's quantized ONNX file as workloads: it can be priced even where it cannot be lowered."""

from hls_export.qonnx.pricing.read import OnnxWork as OnnxWork
from hls_export.qonnx.pricing.read import read_work as read_work
from hls_export.qonnx.pricing.read import workloads_of_onnx as workloads_of_onnx
