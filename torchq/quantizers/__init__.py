"""Quantizers: QKeras's whole zoo by its names, exact, as ``torch.nn`` modules."""

from torchq.quantizers.base import Quantizer as Quantizer
from torchq.quantizers.bits import quantized_bits as quantized_bits
from torchq.quantizers.core import blend as blend
from torchq.quantizers.core import fake_quantize as fake_quantize
from torchq.quantizers.core import straight_through as straight_through
from torchq.quantizers.fixed import fixed as fixed
from torchq.quantizers.linear import quantized_linear as quantized_linear
from torchq.quantizers.registry import QUANTIZERS as QUANTIZERS
from torchq.quantizers.registry import get as get
from torchq.quantizers.registry import register as register
from torchq.quantizers.relu import quantized_relu as quantized_relu
from torchq.quantizers.scaled import ScaledQuantizer as ScaledQuantizer
from torchq.quantizers.text import make as make
from torchq.quantizers.text import parse as parse
