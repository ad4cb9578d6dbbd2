"""Brevitas (``pip install 'torchq[brevitas]'``): its quantizers in our layers, its models as ours."""

from torchq.brevitas.convert import convert as convert
from torchq.brevitas.quantizer import brevitas as brevitas
from torchq.brevitas.quantizer import enable as enable
from torchq.brevitas.scaled_integer import scaled_integer as scaled_integer
