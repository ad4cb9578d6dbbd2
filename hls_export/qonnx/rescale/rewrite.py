"""One file into another: every scale a power of two, and what that changes in the outputs, measured."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls_export.hardware import HardwareGraph
from hls_export.qonnx import own
from hls_export.qonnx.arity import check_arity
from hls_export.qonnx.execute import execute
from hls_export.qonnx.load import STANDARD, OnnxFile, Op, load, load_proto
from hls_export.qonnx.qcdq import merge_qcdq
from hls_export.qonnx.quant import DOMAIN
from hls_export.qonnx.read import read
from hls_export.qonnx.rescale.constants import fold
from hls_export.qonnx.rescale.plan import Plan, Rounded
from hls_export.qonnx.rescale.rules import rewrite
from hls_export.qonnx.rescale.tracked import METADATA
from hls_export.vectors import adversarial
from torchq.errors import ExportError
from torchq.files import atomic_write_bytes

if TYPE_CHECKING:
    import onnx

BITS = 16
MOST_BITS, FEWEST_BITS = 20, 4
VECTORS = 1000


@dataclass(frozen=True)
class Rescaled:
    """What was rewritten, and what it costs: ``output_scale`` times the new outputs is nearly the old ones.

    Args:
        path: the new file.
        bits: of every rounded multiplier and addend.
        output_scale: one positive number for all outputs: the largest of them stays the largest.
        rounded: every place where a factor or an addend was rounded; scales that went into weights, tables
            and the output scale without any rounding are not among them.
        vectors: how many samples were compared, real ones and adversarial ones.
        largest: of the outputs of the file, in magnitude.
        max_error: of the new outputs times ``output_scale``, in units of the file's outputs.
        mean_error: likewise.
        other_decisions: samples whose largest output is another one; None where there is a single output.
    """

    path: Path
    bits: int
    output_scale: float
    rounded: tuple[Rounded, ...]
    vectors: int
    largest: float
    max_error: float
    mean_error: float
    other_decisions: int | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**asdict(self), "path": self.path.name}

    def __str__(self) -> str:
        places = "1 number was" if len(self.rounded) == 1 else f"{len(self.rounded)} numbers were"
        text = [
            f"rescaled: {places} rounded to {self.bits} bits; over {self.vectors:,} vectors the outputs "
            f"differ by at most {self.max_error:.3g}, {self.mean_error:.3g} on average (the largest output "
            f"is {self.largest:.3g})"
        ]
        if self.other_decisions is not None:
            text.append(f"{self.other_decisions:,} of {self.vectors:,} decisions differ")
        if self.output_scale != 1.0:
            text.append(
                f"the outputs are in units of {self.output_scale:.9g}: multiply with it to have those of the "
                "file; the largest stays the largest"
            )
        return "; ".join(text)


def rescale(
    path: str | Path,
    out: str | Path,
    *,
    bits: int = BITS,
    vectors: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Rescaled:
    """Write a file whose scales are powers of two, so that it can be lowered bit for bit.

    Every tensor is held in units of its own. The rest of a scale (beside its power of two) goes
    through matrix products, convolutions, poolings and positive functions untouched, into the contents
    of tables without loss, and from the last layer into one scale of all outputs. At quantizers, and
    where tensors of different units meet, it becomes a multiplier of ``bits`` bits; an input quantizer of
    such a scale becomes a finer one and a multiplier. This changes results, and says how much.

    Args:
        path: an ONNX file.
        out: the new file.
        bits: of multipliers and of addends that have to be rounded, 4 to 20.
        vectors: ``[n, *input shape]`` samples to compare beside 1,000 adversarial ones.
        seed: of those.

    Raises:
        ExportError: the file has other faults than its scales, or scales within one sum that differ.
    """
    if not FEWEST_BITS <= bits <= MOST_BITS:
        raise ExportError(f"a multiplier has {bits} bits", hint=f"take {FEWEST_BITS} to {MOST_BITS}")
    file, proto = load(path), load_proto(path)
    own.check_functions(proto)
    check_arity(file)
    try:
        plan, output = _planned(file, proto, bits)
        model = _model(plan, proto, output)
    except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as fault:
        raise ExportError(
            f"{path} is damaged: it says what no ONNX file can ({type(fault).__name__}: {fault})"
        ) from fault
    scale = float(plan.factors[output].flat[0])
    with tempfile.TemporaryDirectory(prefix="hls-export-") as folder:
        made = Path(folder) / Path(path).name
        made.write_bytes(model.SerializeToString())
        try:
            graph = read(made)
        except ExportError as fault:
            raise ExportError(str(fault).replace(str(made), str(path))) from None
        errors = _measured(Path(path), made, graph, scale, vectors, seed)
    found = Rescaled(Path(out), bits, scale, tuple(plan.rounded), **errors)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(found.to_dict(), sort_keys=True)
    atomic_write_bytes(Path(out), model.SerializeToString(deterministic=True))
    return found


def _planned(file: OnnxFile, proto: onnx.ModelProto, bits: int) -> tuple[Plan, str]:
    """The plan with every operator in it, and the tensor that leaves the new graph."""
    traced = execute(file.path, np.zeros((3, *file.input_shape)), trace=True)
    shapes = {name: values.shape[1:] for name, values in traced.items()}
    opset = max((entry.version for entry in proto.opset_import if entry.domain in STANDARD), default=1)
    plan = Plan(file, bits, shapes, opset)
    rest = [op for op in file.ops if not fold(plan, op)]
    for op in merge_qcdq(rest, plan.constants):
        rewrite(plan, op)
    if file.output not in plan.factors:
        raise ExportError(f"{file.path}: the output {file.output!r} does not depend on the input")
    last = Op(file.output, "Identity", "", (file.output,), (file.output,), {})
    output, factor = plan.uniform(last)
    plan.factors[output] = factor
    return plan, output


def _model(plan: Plan, proto: onnx.ModelProto, output: str) -> onnx.ModelProto:
    from onnx import TensorProto, helper

    used, nodes = {output}, []
    for node in reversed(plan.nodes):
        if used.intersection(node.output):
            used.update(node.input)
            nodes.append(node)
    made = {tensor.name: tensor for tensor in [*proto.graph.initializer, *plan.initializers]}
    graph = helper.make_graph(
        nodes[::-1],
        proto.graph.name or "rescaled",
        [value for value in proto.graph.input if value.name == plan.file.input],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, plan.shape_of_output())],
        initializer=[tensor for name, tensor in made.items() if name in used],
    )
    domains = {entry.domain: entry.version for entry in proto.opset_import}
    opsets = {**domains, DOMAIN: domains.get(DOMAIN, 1)}
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=imports, functions=list(proto.functions))
    model.ir_version = proto.ir_version
    model.metadata_props.extend(proto.metadata_props)
    return model


def _measured(
    path: Path, made: Path, graph: HardwareGraph, scale: float, vectors: npt.ArrayLike | None, seed: int
) -> dict[str, Any]:
    """The outputs of both files, compared."""
    x = adversarial(graph, VECTORS, seed)
    if vectors is not None:
        x = np.concatenate([np.asarray(vectors, dtype=np.float64), x])
    wanted = execute(path, x)
    got = execute(made, x) * scale
    error = np.abs(got - wanted)
    single = wanted.size == len(x)
    flat = [values.reshape(len(x), -1) for values in (wanted, got)]
    changed = None if single else int((flat[0].argmax(axis=1) != flat[1].argmax(axis=1)).sum())
    return {
        "vectors": len(x),
        "largest": float(np.abs(wanted).max(initial=0.0)),
        "max_error": float(error.max(initial=0.0)),
        "mean_error": float(error.mean()),
        "other_decisions": changed,
    }
