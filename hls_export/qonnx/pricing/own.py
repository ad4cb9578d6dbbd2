"""Operators of ours: tables, and roundings that ``Quant`` has no words for."""

from __future__ import annotations

import numpy as np

from hls_export.qonnx.load import Op
from hls_export.qonnx.pricing.constants import narrow_grid
from hls_export.qonnx.pricing.sizes import OWN
from hls_export.qonnx.pricing.walk import Walk
from torchq.errors import ExportError
from torchq.workload import TableSpec, Workload

TABLE = "Table"


def is_own(op: Op) -> bool:
    """Whether an operator is one of ours.

    Example:
        >>> is_own(Op("t", "Table", "torchq", ("x",), ("y",), {})), is_own(Op("t", "Table", "", (), (), {}))
        (True, False)
    """
    return op.domain == OWN and (op.kind == TABLE or op.kind.startswith("Fixed_"))


def table(walk: Walk, op: Op) -> None:
    """A lookup; the quantizer in front that makes its addresses belongs to it."""
    values = walk.values(op, 1, "values")
    source = walk.addressed.get(op.inputs[0]) or walk.flow(op)
    name = walk.name(op)
    format = walk.said(op.outputs[0]) or narrow_grid(np.asarray(values, dtype=np.float64))
    if format is None:
        raise ExportError(f"{op} holds values that stand on no grid")
    made = walk.put(op.outputs[0], name, format, quantized=True)
    spec = TableSpec("values", values.size, int(np.max(format.width)), reads=made.count)
    walk.works.append(Workload(name, "table", (source.spec,), made, tables=(spec,)))
