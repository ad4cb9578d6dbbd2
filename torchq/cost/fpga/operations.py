"""Layers without constant weights: sums, maxima, products of tensors, tables. By formula, not measured."""

from __future__ import annotations

import math

from torchq.cost.fpga.activation import activation_luts, requantize
from torchq.cost.fpga.coefficients import coefficients
from torchq.cost.fpga.figures import Figures
from torchq.cost.fpga.folded import multiplier_terms
from torchq.cost.fpga.products import bits_of, grid_of
from torchq.cost.fpga.settings import Build
from torchq.workload import Operation, TableSpec, TensorSpec, Workload

LUT_TABLE_ENTRIES = 512
"""A table with more entries is kept in block memory, one with fewer in LUTs, 64 entries to a LUT and bit."""

_BRAM_BITS = 18 * 1024
_BRAM_READS = 2

ACTIVATIONS = ("quantize", "relu")


def activation(work: Workload, *, registered: bool) -> Figures:
    """A quantizer or a relu.

    Args:
        work: the layer.
        registered: whether its output has a register of its own: not if it follows a product, whose output
            register is then this one.
    """
    source, made = (grid_of(spec.format) for spec in (work.inputs[0], work.output))
    lut = 0.0
    if source is not None and made is not None:
        step = requantize(source, made, relu=work.kind == "relu")
        lut = activation_luts(step, coefficients().fitted["requantize"]) * work.output.count
    ff = float(tensor_bits(work.output)) if registered else 0.0
    return Figures(lut=lut, ff=ff, cycles=int(registered))


def others(work: Workload, build: Build) -> Figures:
    """Everything else: what its operations and tables take; wires take nothing."""
    parts = [_operation(operation, work, build) for operation in work.operations]
    parts += [_table(table) for table in work.tables]
    if work.macs and work.weight is None:
        parts.append(_two_tensors(work, build))
    if not parts:
        return Figures()
    lut, dsp, bram = (sum(getattr(part, name) for part in parts) for name in ("lut", "dsp", "bram"))
    levels = sum(part.cycles for part in parts)
    cycles = max(math.ceil(levels / build.levels), 1)
    interval = max(part.interval for part in parts)
    return Figures(lut, float(tensor_bits(work.output)) * cycles, dsp, bram, cycles + interval - 1, interval)


def tensor_bits(spec: TensorSpec) -> int:
    """All bits of a tensor in hardware, each value as wide as the widest."""
    return spec.count * bits_of(spec.format)


def _operation(operation: Operation, work: Workload, build: Build) -> Figures:
    """One sort; ``cycles`` counts adders in a row here."""
    bits = [bits_of(format) for format in operation.operands]
    widest = max(bits, default=0)
    if operation.sort == "multiply":
        return _multiplied(operation.count, bits[0], bits[-1], build)
    depth = math.ceil(math.log2(operation.count / max(work.output.count, 1) + 1))
    if operation.sort == "maximum":  # a comparison on half a LUT a bit, and a choice on one
        return Figures(lut=1.5 * widest * operation.count, cycles=depth)
    return Figures(lut=float((widest + 1) * operation.count), cycles=depth)


def _multiplied(count: float, a: int, b: int, build: Build) -> Figures:
    """Products of two numbers that both change."""
    instances = math.ceil(count / build.reuse_factor)
    if max(a, b) >= build.dsp_from_bits:
        return Figures(dsp=float(instances), cycles=build.levels, interval=build.reuse_factor)
    fitted = coefficients().fitted["resource"]
    each = sum(fitted[name] * value for name, value in multiplier_terms(a, b).items())
    return Figures(lut=each * instances, cycles=build.levels, interval=build.reuse_factor)


def _two_tensors(work: Workload, build: Build) -> Figures:
    """A matrix product or an elementwise product of two tensors, and the sums of it."""
    a, b = (bits_of(read.format) for read in (work.inputs[0], work.inputs[-1]))
    made = _multiplied(work.macs, a, b, build)
    adders = math.ceil(max(work.macs - work.output.count, 0) / build.reuse_factor)
    depth = math.ceil(math.log2(max(work.fan_in, 1)))
    return Figures(made.lut + adders * (a + b + 1), 0.0, made.dsp, 0.0, made.cycles + depth, made.interval)


def _table(table: TableSpec) -> Figures:
    """One read port for each read of a sample; block memories have two."""
    if table.entries <= LUT_TABLE_ENTRIES:
        luts = math.ceil(table.entries / 64) * table.width * table.reads
        return Figures(lut=float(luts), cycles=1)
    copies = math.ceil(table.reads / _BRAM_READS)
    return Figures(bram=float(copies * math.ceil(table.bits / _BRAM_BITS)), cycles=1)
