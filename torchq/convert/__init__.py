"""From float models to quantized ones, and from those to frozen ones."""

from torchq.convert.apply import INPUT_QUANTIZER as INPUT_QUANTIZER
from torchq.convert.apply import quantize as quantize
from torchq.convert.floats import dequantize as dequantize
from torchq.convert.frozen import freeze as freeze
from torchq.convert.report import hardware_reasons as hardware_reasons
from torchq.convert.report import left_float as left_float
from torchq.convert.resize import neurons as neurons
from torchq.convert.resize import widened as widened
