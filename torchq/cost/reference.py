"""The same network in other number formats: what a trial is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from torchq.advice import advice
from torchq.cost.bits import quantizes
from torchq.cost.border import border
from torchq.cost.source import workloads_of
from torchq.errors import CostError, FormatError
from torchq.formats import FixedPoint, Float, Format, accumulated, product, summed
from torchq.workload import ParamSpec, TableSpec, TensorSpec, Workload

if TYPE_CHECKING:
    from torch import Tensor, nn

    from torchq.graph import Graph


@dataclass(frozen=True)
class UniformFormats:
    """One format for every weight, bias, activation, and the input.

    Args:
        weight: of every weight.
        bias: of every bias.
        output: of every activation; signed ones take the sign from the fraction.
        input: of the model's input.
    """

    weight: Format
    bias: Format
    output: Format
    input: Format


BF = UniformFormats(FixedPoint(14, 6), FixedPoint(14, 6), FixedPoint(14, 5, signed=False), FixedPoint(16, 7))
"""The reference of arXiv:2006.10159: 14-bit weights, biases and activations, 16-bit input."""

Q6 = UniformFormats(FixedPoint(6, 1), FixedPoint(6, 1), FixedPoint(6, 0, signed=False), FixedPoint(16, 7))
"""The uniform 6-bit model of arXiv:2006.10159, with the same 16-bit input."""


def in_formats(
    model: nn.Module | Graph | Sequence[Workload],
    formats: UniformFormats,
    example: Tensor | tuple[int, ...] | None = None,
) -> tuple[Workload, ...]:
    """The same layers on the same shapes, with other formats everywhere.

    Wires pass on what they get; layers without an output quantizer hand on the exact accumulator; a softmax
    stays. What a layer computes beside its products (pools, gates, tables) keeps its own formats.
    No value is looked at, so no parameter counts as zero.

    Args:
        model: a quantized model, a traced graph, or workloads.
        formats: the formats.
        example: what to trace a model with; see :func:`torchq.cost.estimate`.

    Example:
        >>> x, y = TensorSpec("input", (16,), None), TensorSpec("fc1", (64,), None)
        >>> weight = ParamSpec("weight", (64, 16), None)
        >>> fc1 = Workload("fc1", "linear", (x,), y, macs=1024, fan_in=16, weight=weight)
        >>> (work,) = in_formats((fc1,), Q6)
        >>> str(work.weight.format), str(work.accumulator)
        ('ap_fixed<6,1,RND_CONV,SAT>', 'ap_fixed<25,11,TRN,WRAP>')
    """
    workloads = workloads_of(model, example)
    sources = border(workloads).sources
    known: dict[str, Format | None] = {}
    changed = []
    for work in workloads:
        raw = work.kind == "quantize" and work.layer in sources
        inputs = tuple(x if raw else replace(x, format=known.get(x.name, formats.input)) for x in work.inputs)
        weight, bias = _parameter(work.weight, formats.weight), _parameter(work.bias, formats.bias)
        new = replace(work, inputs=inputs, weight=weight, bias=bias)
        if work.fan_in:
            new = _summing(new)
        elif work.accumulator is not None:
            new = replace(new, accumulator=_exact(new))
        form = formats.input if work.layer in sources else _made(work, new, formats)
        known[work.output.name] = form
        changed.append(replace(new, output=replace(work.output, format=form)))
    return tuple(changed)


def _made(old: Workload, new: Workload, formats: UniformFormats) -> Format | None:
    """The format of what the layer makes now."""
    if old.kind == "softmax":
        return old.output.format
    if quantizes(old):
        form, before = formats.output, old.output.format
        if before is not None and np.any(before.signed) and isinstance(form, FixedPoint) and not form.signed:
            return FixedPoint(form.width, form.integer + 1)
        return form
    if old.fan_in or old.accumulator is not None:
        return new.accumulator
    source = _fixed(new.inputs[0].format)
    if old.kind == "relu" and source is not None:
        sign = int(bool(source.signed))
        return FixedPoint(source.width - sign, source.integer - sign, False, source.rounding, source.overflow)
    return new.inputs[0].format


def with_softmax(workloads: Sequence[Workload], bits: int = 32) -> tuple[Workload, ...]:
    """The network with a softmax in floats behind its last layer, as the Keras models have it.

    A network that ends in a softmax stays as it is.

    Args:
        workloads: of the network.
        bits: of the floats.

    Example:
        >>> y = TensorSpec("fc1", (5,), FixedPoint(18, 7))
        >>> with_softmax((Workload("fc1", "linear", (), y),))[-1].output
        TensorSpec(name='softmax', shape=(5,), format=Float(width=32))
    """
    if not workloads or workloads[-1].kind == "softmax":
        return tuple(workloads)
    logits = workloads[-1].output
    taken = {work.layer for work in workloads} | {work.output.name for work in workloads}
    name = "softmax" if "softmax" not in taken else "softmax of the output"
    softmax = Workload(name, "softmax", (logits,), TensorSpec(name, logits.shape, Float(bits)))
    return (*workloads, softmax)


def with_batch_norms(
    workloads: Sequence[Workload], behind: Mapping[str, str], numbers: int = 4, bits: int = 32
) -> tuple[Workload, ...]:
    """The network with batch norms that nothing quantizes and nothing folds, as some Keras models keep them.

    They are counted as QTools counts them: their numbers are read, what they compute has no figure.

    Args:
        workloads: of the network.
        behind: layer -> name of the batch norm behind it.
        numbers: how many numbers each value of the layer's last axis (or first, of a convolution) has:
            gamma, beta, mean and variance.
        bits: of each number.

    Raises:
        CostError: there is no such layer, or a count below 1.

    Example:
        >>> y = TensorSpec("fc1", (32,), FixedPoint(18, 7))
        >>> fc1 = Workload("fc1", "linear", (), y)
        >>> with_batch_norms((fc1,), {"fc1": "bn1"})[1].parameter_bits == 4 * 32 * 32
        True
    """
    if numbers < 1 or bits < 1:
        raise CostError(f"a batch norm has at least 1 number of 1 bit, got {numbers} of {bits} bits")
    known = [work.layer for work in workloads]
    for layer in behind:
        if layer not in known:
            raise CostError(f"{layer}: no such layer to put a batch norm behind", hint=advice(layer, known))
    found = []
    for work in workloads:
        found.append(work)
        if work.layer in behind:
            name, made = behind[work.layer], work.output
            channels = made.shape[0] if made.shape else 1
            each = ParamSpec("weight", (numbers, channels), _stored(bits))
            rows = TableSpec("statistics", numbers, channels * bits, reads=numbers)
            passed = replace(made, name=name)
            found.append(Workload(name, "batch_norm", (made,), passed, weight=each, tables=(rows,)))
    return tuple(found)


def _stored(bits: int) -> Format:
    """A format of so many bits: a float where there is one."""
    return Float(bits) if bits in (16, 32, 64) else FixedPoint(bits, bits)


def _parameter(spec: ParamSpec | None, format: Format) -> ParamSpec | None:
    return None if spec is None else replace(spec, format=format, zeros=0, values=None)


def _exact(work: Workload) -> FixedPoint | None:
    """The format of a layer that adds or joins tensors, in the formats it has now."""
    read = [_fixed(x.format) for x in work.inputs]
    known = [x for x in read if x is not None]
    if len(known) < len(read) or not known:
        return None
    return reduce(summed, known) if work.kind == "add" else known[0]


def _summing(work: Workload) -> Workload:
    """With the exact product and accumulator of the formats it has now."""
    x = _fixed(work.inputs[0].format)
    other = work.weight if work.weight is not None else work.inputs[-1]  # products of two tensors
    weight = _fixed(other.format)
    if x is None or weight is None:
        return replace(work, product=None, accumulator=None)
    one = product(x, weight)
    total = accumulated(one, work.fan_in)
    if work.bias is not None:
        bias = _fixed(work.bias.format)
        return replace(work, product=one, accumulator=None if bias is None else summed(total, bias))
    return replace(work, product=one, accumulator=total)


def _fixed(format: Format | None) -> FixedPoint | None:
    """None without a fixed-point grid."""
    if format is None or isinstance(format, FixedPoint):
        return format
    try:
        return format.as_fixed()
    except FormatError:
        return None
