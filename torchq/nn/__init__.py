"""Quantized layers: drop-in for those of ``torch.nn``, with quantizers in named slots."""

from torchq.nn.activation import QActivation as QActivation
from torchq.nn.activation import QInput as QInput
from torchq.nn.activation import QReLU as QReLU
from torchq.nn.baked import Baked as Baked
from torchq.nn.base import Example as Example
from torchq.nn.base import QLayer as QLayer
from torchq.nn.conv import QConv1d as QConv1d
from torchq.nn.conv import QConv2d as QConv2d
from torchq.nn.folded import QConv1dBatchNorm as QConv1dBatchNorm
from torchq.nn.folded import QConv2dBatchNorm as QConv2dBatchNorm
from torchq.nn.folded import QLinearBatchNorm1d as QLinearBatchNorm1d
from torchq.nn.linear import QLinear as QLinear
from torchq.nn.passive import without_sign as without_sign
from torchq.nn.registry import LAYERS as LAYERS
from torchq.nn.registry import PASSIVES as PASSIVES
from torchq.nn.registry import Passive as Passive
