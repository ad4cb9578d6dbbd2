"""Run an ONNX file in float64: the second reading of a network.

onnx's own reference evaluator does the standard operators; QONNX's are done by
:mod:`hls_export.qonnx.operators`. All float constants are widened to float64 first, because float32 stops
being exact at sums of 24 bits.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.evaluator import evaluator_operators
from hls_export.qonnx.load import MOST_VALUES, load, load_proto
from hls_export.qonnx.quant import DOMAINS
from hls_export.samples import checked
from torchq.errors import ExportError

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[np.float64]


@overload
def execute(path: str | Path, x: npt.ArrayLike, trace: Literal[False] = False) -> Array: ...
@overload
def execute(path: str | Path, x: npt.ArrayLike, trace: Literal[True]) -> dict[str, Array]: ...
def execute(path: str | Path, x: npt.ArrayLike, trace: bool = False) -> Array | dict[str, Array]:
    """The outputs of an ONNX file, in float64.

    A file whose batch size is fixed computes as many samples at a time as it says, because its reshapes may
    know of no others.

    Args:
        path: the file.
        x: ``[n, *input shape]`` real numbers.
        trace: return every tensor that an operator makes from the samples, by its name.

    Returns:
        Float64 ``[n, *output shape]``, or one such array a tensor.

    Raises:
        ExportError: the file cannot be read, or holds an operator that the evaluator does not know.
        DataError: samples of another shape, or not finite.
    """
    from onnx.reference import ReferenceEvaluator

    file = load(path)
    samples = checked(x, file.input_shape)
    model = _widened(load_proto(path))
    names = [name for op in file.ops for name in op.outputs if name] if trace else [file.output]
    try:
        session = ReferenceEvaluator(model, new_ops=list(evaluator_operators()))
        results = _run(session, names, file.input, samples, _fixed_batch(model, file.input))
    except ExportError:
        raise
    except MemoryError as fault:
        raise ExportError(f"{path} needs more memory than there is") from fault
    except Exception as fault:  # the evaluator raises whatever its numpy code does
        raise ExportError(f"{path} cannot be executed ({type(fault).__name__}: {fault})") from fault
    if not trace:
        return np.asarray(results[0], dtype=np.float64)
    edges = {name: np.asarray(value) for name, value in zip(names, results, strict=True)}
    batched = {
        n: v for n, v in edges.items() if v.ndim > 0 and len(v) == len(samples) and v.dtype == np.float64
    }
    return {file.input: samples, **batched}


def _fixed_batch(model: onnx.ModelProto, source: str) -> int:
    """How many samples the file takes at a time; 0 for any number."""
    dims = next(value for value in model.graph.input if value.name == source).type.tensor_type.shape.dim
    sizes = [int(dim.dim_value) for dim in dims]
    if math.prod(sizes) > MOST_VALUES:
        raise ExportError(
            f"the input {source!r} has batches of {sizes[0]:,} samples",
            hint="export it with a free batch size",
        )
    return max(sizes[0], 0)


def _run(session: Any, names: list[str], source: str, samples: Array, batch: int) -> list[Any]:
    """The tensors of these names for all samples; the last batch is filled up with zeros."""
    if not batch:
        return list(session.run(names, {source: samples}))
    parts = []
    for start in range(0, max(len(samples), 1), batch):
        given = np.zeros((batch, *samples.shape[1:]))
        rows = samples[start : start + batch]
        given[: len(rows)] = rows
        parts.append(session.run(names, {source: given}))
    found = []
    for values in zip(*parts, strict=True):
        by_sample = np.ndim(values[0]) > 0 and len(values[0]) == batch
        found.append(np.concatenate(values)[: len(samples)] if by_sample else values[0])
    return found


def _widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with float64 in place of every float32 constant, and functions in place of their calls.

    The evaluator would run functions with its own operators alone.
    """
    import onnx
    from onnx import numpy_helper
    from onnx.inliner import inline_local_functions

    stated = {entry.domain for entry in model.opset_import}
    for domain in sorted({node.domain for node in model.graph.node} & set(DOMAINS) - stated):
        model.opset_import.append(onnx.helper.make_opsetid(domain, 1))  # qonnx's own tools leave it out
    if model.functions:
        model = inline_local_functions(model)

    for tensor in model.graph.initializer:
        _widen(tensor)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen(attribute.t)
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name in ("value_float", "value_floats"):
                    value = onnx.helper.get_attribute_value(attribute)
                    tensor = numpy_helper.from_array(np.asarray(value, dtype=np.float64), "value")
                    attribute.CopyFrom(onnx.helper.make_attribute("value", tensor))
    return model


def _widen(tensor: onnx.TensorProto) -> None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name)
        )
