"""Activation quantizers that are no single rounding, said in several exact steps: signs, leaky relus."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hls_export.qonnx.quant import DOMAIN
from torchq.errors import ExportError
from torchq.formats import Binary, FixedPoint
from torchq.quantizers import quantized_relu

if TYPE_CHECKING:
    from hls_export.qonnx.builder import Builder
    from torchq.quantizers import Quantizer


def in_steps(build: Builder, source: str, quantizer: Quantizer, name: str, output: str) -> str | None:
    """Write a quantizer step by step.

    Args:
        build: where.
        source: what it reads.
        quantizer: whichever it is.
        name: of the first operator.
        output: the tensor.

    Returns:
        The tensor; None where there is no such form, and one rounding must do.
    """
    if quantizer.hardware_reason() is not None or getattr(quantizer, "auto", False):
        return None  # no grid, or a scale that follows from the data
    if isinstance(quantizer.format, Binary) and not quantizer.format.use_01:
        return _sign(build, source, quantizer, name, output)
    if isinstance(quantizer, quantized_relu) and quantizer.negative_slope and not quantizer.use_sigmoid:
        return _leaky(build, source, quantizer, name, output)
    return None


def _sign(build: Builder, source: str, quantizer: Quantizer, name: str, output: str) -> str | None:
    """QONNX's ``BipolarQuant``: the sign, zero counting as positive, times the scale."""
    scale = float(np.asarray(getattr(quantizer.format, "scale", 1.0)))
    x = torch.tensor([[-3.0, -1e-300, 0.0, 1e-300, 0.5, 7.0]], dtype=torch.float64).T
    with torch.no_grad():
        got = copy.deepcopy(quantizer).double().eval()(x)
    if not torch.equal(got, torch.where(x >= 0, scale, -scale)):
        return None
    factor = build.emit.constant(f"{name}.scale", scale)
    build.formats[output] = str(quantizer.format)
    return build.node("BipolarQuant", [source, factor], build.shapes[source], name, output, domain=DOMAIN)


def _leaky(build: Builder, source: str, quantizer: Any, name: str, output: str) -> str:
    """The values above zero and those below it, times the slope, each rounded by itself, and their sum."""
    if quantizer.relu_upper_bound is not None and not quantizer.is_quantized_clip:
        raise ExportError(f"{name}: {quantizer} ends at a bound", hint="leave relu_upper_bound out")
    grid: FixedPoint = quantizer.format
    above = FixedPoint(int(grid.width) - 1, int(grid.integer) - 1, signed=False)
    made = build.quant(source, above, f"{name}.above")
    least = int(quantizer.negative_slope * 2 ** (int(grid.width) - 1))
    if least:
        slope = np.array([quantizer.negative_slope])
        bits = least.bit_length()
        below = FixedPoint(bits, bits - int(grid.fraction))
        scaled = build.constant(
            f"{name}.slope", slope, FixedPoint(1, int(np.frexp(slope[0])[1]), signed=False)
        )
        rounded = build.scaled(source, scaled, f"{name}.leak", f"{name}.leak")
        rounded = build.quant(rounded, below, f"{name}.below")
        minus = build.constant(f"{name}.minus", np.array([-1.0]), FixedPoint(2, 2))
        turned = build.scaled(rounded, minus, f"{name}.turned", f"{name}.turned")
        kept = build.relu(turned, f"{name}.kept", f"{name}.kept")
        back = build.scaled(kept, minus, f"{name}.back", f"{name}.back")
        made = build.merge("Add", [made, back], f"{name}.sum")
    return build.quant(made, grid, name, output)
