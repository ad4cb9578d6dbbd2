"""Quantized ``torch.nn`` layers, mixed-precision schemes, what they cost, and models ready for hardware.

Example:
    >>> from torch import nn
    >>> from torchq import Scheme, estimate, freeze, quantize
    >>> model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))
    >>> scheme = Scheme.uniform(weight="quantized_bits(6,0)", bias="quantized_bits(6,0)",
    ...                         output="quantized_relu(6)", input="quantized_bits(16,6)")
    >>> quantized = quantize(model, scheme)
    >>> quantized.get_submodule("0")
    QLinear(in_features=16, out_features=8, bias=True, weight_quantizer=quantized_bits(6,0), ...
"""

from torchq._version import __version__ as __version__
from torchq.convert import dequantize as dequantize
from torchq.convert import freeze as freeze
from torchq.convert import left_float as left_float
from torchq.convert import quantize as quantize
from torchq.cost import estimate as estimate
from torchq.errors import TorchqError as TorchqError
from torchq.formats import FixedPoint as FixedPoint
from torchq.graph import evaluate as evaluate
from torchq.graph import trace as trace
from torchq.nn import QActivation as QActivation
from torchq.nn import QAdd as QAdd
from torchq.nn import QConcat as QConcat
from torchq.nn import QInput as QInput
from torchq.nn import QLinear as QLinear
from torchq.nn import QLinearBatchNorm1d as QLinearBatchNorm1d
from torchq.nn import QMul as QMul
from torchq.nn import QReLU as QReLU
from torchq.scheme import Scheme as Scheme
from torchq.summary import summary as summary
