"""From float models to quantized ones, and from those to frozen ones."""

from torchq.convert.freeze import freeze as freeze
from torchq.convert.quantize import INPUT_QUANTIZER as INPUT_QUANTIZER
from torchq.convert.quantize import quantize as quantize
from torchq.convert.report import left_float as left_float
from torchq.convert.resize import resize as resize
