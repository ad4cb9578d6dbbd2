"""``workloads_of_onnx``: what the layers of anyone's quantized ONNX file compute."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hls_export.qonnx.load import STANDARD, OnnxFile, Op, load, load_proto
from hls_export.qonnx.pricing.activations import ACTIVATIONS
from hls_export.qonnx.pricing.convolutions import CONVOLUTIONS
from hls_export.qonnx.pricing.merges import MERGES
from hls_export.qonnx.pricing.moves import HANDLED
from hls_export.qonnx.pricing.own import TABLE, is_own, table
from hls_export.qonnx.pricing.products import PRODUCTS
from hls_export.qonnx.pricing.sane import check_kernels, check_nodes
from hls_export.qonnx.pricing.scales import SCALES
from hls_export.qonnx.pricing.sequences import SEQUENCES
from hls_export.qonnx.pricing.walk import Walk
from hls_export.qonnx.quant import DOMAINS
from torchq.errors import ExportError, TorchqError
from torchq.workload import Workload

if TYPE_CHECKING:
    import onnx

HANDLERS: Mapping[str, Callable[[Walk, Op], None]] = {
    **ACTIVATIONS,
    **CONVOLUTIONS,
    **MERGES,
    **HANDLED,
    **PRODUCTS,
    **SCALES,
    **SEQUENCES,
}
"""What can be priced, by operator."""
QUANTIZERS = ("BipolarQuant", "IntQuant", "Quant", "Trunc")
FLOATS = (16, 32)
_DAMAGE = (ArithmeticError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class OnnxWork:
    """What a file computes.

    Args:
        workloads: of its layers, in the order of execution.
        notes: what is counted as something near, or left out; one sentence each.
    """

    workloads: tuple[Workload, ...]
    notes: tuple[str, ...] = ()


def workloads_of_onnx(
    source: str | Path | onnx.ModelProto, *, float_as: int | None = None
) -> tuple[Workload, ...]:
    """What the layers of a quantized ONNX file compute: :func:`torchq.cost.estimate` prices it.

    As :func:`read_work`, without the notes.
    """
    return read_work(source, float_as=float_as).workloads


def read_work(source: str | Path | onnx.ModelProto, *, float_as: int | None = None) -> OnnxWork:
    """The work of anyone's quantized ONNX file, and what it leaves out.

    Reads QONNX (``Quant``, ``IntQuant``, ``BipolarQuant``, ``Trunc``) and QCDQ (``QuantizeLinear``, ``Clip``,
    ``DequantizeLinear``). Formats come from these nodes, per tensor or channel; shapes from ONNX's shape
    inference; types of products and sums follow QTools' rules, by the layers of torchq themselves. More can
    be priced than can be lowered: what is counted as something near (a scale that is no power of two counts
    as the nearest one, with the width of its integers) stands in the notes.

    Args:
        source: a file, or a model in memory.
        float_as: 16 or 32: the bits at which what no quantizer made is counted, as a float. By default it is
            refused.

    Raises:
        ExportError: not an ONNX file, truncated, without shapes, nodes that cannot be priced (all are named),
            or tensors and parameters that no quantizer made (all are named).

    Example:
        >>> from hls_export.qonnx.emit import Emitter
        >>> from torchq.formats import FixedPoint
        >>> emit = Emitter("small")
        >>> y = emit.quant(emit.input("x", (4,)), FixedPoint(6, 2), "q", shape=(4,))
        >>> [(work.layer, work.kind, work.output.bits) for work in read_work(emit.model(y, (4,))).workloads]
        [('q', 'quantize', 24)]
    """
    if float_as not in (None, *FLOATS):
        raise ExportError(f"float_as must be 16 or 32, got {float_as!r}")
    if isinstance(source, str | Path):
        return _read(load(source), load_proto(source), float_as)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "the model"
        path.write_bytes(source.SerializeToString())
        try:
            return _read(load(path), source, float_as)
        except ExportError as fault:
            raise ExportError(fault.message.replace(str(path), path.name), fault.hint) from fault


def _read(file: OnnxFile, model: onnx.ModelProto, float_as: int | None) -> OnnxWork:
    path = file.path
    try:
        with np.errstate(all="ignore"):  # numbers of damaged files are checked where they are used
            check_nodes(file)
            walk = Walk(file, model, float_as)
            _refuse_unknown(walk)
            check_kernels(file.ops, walk.constants)
            walk.begin()
            for op in walk.ops:
                if not walk.taken.intersection(op.outputs):
                    _handler(op)(walk, op)
    except TorchqError as fault:
        message = fault.message if fault.message.startswith(str(path)) else f"{path}: {fault.message}"
        raise ExportError(message, fault.hint) from fault
    except (
        ArithmeticError,
        AttributeError,
        IndexError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as fault:
        raise ExportError(
            f"{path} is damaged: it says what no ONNX file can ({type(fault).__name__}: {fault})"
        ) from fault
    if walk.problems:
        listed = "; ".join(dict.fromkeys(walk.problems))
        raise ExportError(
            f"{path}: {listed}", hint="quantize these, or count them as floats of 32 bits (float_as=32)"
        )
    return OnnxWork(tuple(walk.works), tuple(walk.notes))


def _handler(op: Op) -> Callable[[Walk, Op], None]:
    if not is_own(op):
        return HANDLERS[op.kind]
    return table if op.kind == TABLE else HANDLERS["Quant"]


def _refuse_unknown(walk: Walk) -> None:
    """Name every node that cannot be priced."""

    def known(op: Op) -> bool:
        if is_own(op):
            return True
        return op.kind in HANDLERS and op.domain in (DOMAINS if op.kind in QUANTIZERS else STANDARD)

    unknown = [str(op) for op in walk.ops if not known(op)]
    if unknown:
        count = "1 node" if len(unknown) == 1 else f"{len(unknown)} nodes"
        raise ExportError(
            f"{walk.file.path}: {count} cannot be priced: {', '.join(unknown)}",
            hint=f"these can: {', '.join(sorted(HANDLERS))}",
        )
