"""QONNX export of quantized PyTorch models, and lowering to HLS C++, bit for bit.

::

    exported = hls_export.export(model, "model.onnx")
    project = hls_export.lower("model.onnx", "project").compile()
    print(hls_export.verify(model, "model.onnx", project, x))
"""

from hls_export.backends import BACKENDS as BACKENDS
from hls_export.backends import Project as Project
from hls_export.emulate import emulate as emulate
from hls_export.hardware import HardwareGraph as HardwareGraph
from hls_export.lower import lower as lower
from hls_export.lower import open_project as open_project
from hls_export.qonnx import ExportedModel as ExportedModel
from hls_export.qonnx import execute as execute
from hls_export.qonnx import export as export
from hls_export.qonnx import read as read
from hls_export.qonnx.pricing import read_work as read_work
from hls_export.qonnx.pricing import workloads_of_onnx as workloads_of_onnx
from hls_export.qonnx.rescale import Rescaled as Rescaled
from hls_export.qonnx.rescale import rescale as rescale
from hls_export.report import FpgaReport as FpgaReport
from hls_export.vectors import adversarial as adversarial
from hls_export.verify import Verification as Verification
from hls_export.verify import verify as verify
