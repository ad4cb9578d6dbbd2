"""``Plan``: the new file in the making, and which factor every tensor of it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hls_export.qonnx.constants import Constant
from hls_export.qonnx.load import OnnxFile, Op
from hls_export.qonnx.quant import DOMAIN
from hls_export.qonnx.rescale.tracked import Array, Multiplier, multiplier, one, split
from torchq.errors import ExportError


@dataclass(frozen=True)
class Rounded:
    """One place where a factor was rounded.

    Args:
        node: the operator of the file.
        what: ``"multiplier"`` or ``"addend"``.
        error: of a multiplier, relative; of an addend, relative to the largest one.
    """

    node: str
    what: str
    error: float


class Plan:
    """Operators and constants of the new file, and the factors: ``true = held * factor``.

    Args:
        file: what is rewritten.
        bits: of every multiplier and addend that has to be rounded.
        shapes: of the samples of every tensor.
        opset: of the file.
    """

    def __init__(self, file: OnnxFile, bits: int, shapes: Mapping[str, tuple[int, ...]], opset: int) -> None:
        self.file, self.bits, self.shapes, self.opset = file, bits, shapes, opset
        self.constants = {n: Constant(v, type=file.types.get(n, "")) for n, v in file.constants.items()}
        self.constant_factors: dict[str, Array] = {}
        self.factors: dict[str, Array] = {file.input: np.ones(())}
        self.raw = {file.input}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.rounded: list[Rounded] = []
        self._count = 0

    # ------------------------------------------------------------------ what is known

    def is_constant(self, op: Op, place: int) -> bool:
        """Whether an input is there and is a constant."""
        return place < len(op.inputs) and op.inputs[place] in self.constants

    def true(self, name: str) -> Array:
        """The values of a constant in the file."""
        values = np.asarray(self.constants[name].values, dtype=np.float64)
        return np.asarray(values * self.constant_factors.get(name, np.ones(())))

    def factor(self, op: Op, place: int = 0) -> Array:
        """The factor of an input that is no constant.

        Raises:
            ExportError: it is a constant.
        """
        name = op.inputs[place]
        if name not in self.factors:
            raise ExportError(f"{op} reads the constant {name!r} where it should read an activation")
        return self.factors[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a sample of a tensor."""
        return self.shapes[name]

    def shape_of_output(self) -> list[int | str]:
        """With the batch, which is free unless the file says how many samples it takes."""
        return [self.file.batch or "batch", *self.shapes[self.file.output]]

    # ------------------------------------------------------------------ what is written

    def fresh(self, word: str) -> str:
        """A name that no tensor has."""
        self._count += 1
        return f"{word}.rescaled{self._count}"

    def add(
        self, kind: str, inputs: Sequence[str], output: str, name: str, domain: str = "", **attributes: Any
    ) -> str:
        """One operator, on held values."""
        from onnx import helper

        node = helper.make_node(kind, list(inputs), [output], name=name, domain=domain or None, **attributes)
        self.nodes.append(node)
        return output

    def copy(self, op: Op, inputs: Sequence[str] | None = None, **attributes: Any) -> None:
        """An operator as it stands in the file, perhaps with other inputs and attributes."""
        from onnx import helper, numpy_helper

        words = {**op.attributes, **attributes}
        plain = {k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in words.items()}
        plain = {k: v for k, v in plain.items() if not (isinstance(v, Sequence) and len(v) == 0)}
        given = list(op.inputs if inputs is None else inputs)
        made = helper.make_node(
            op.kind, given, list(op.outputs), name=op.name, domain=op.domain or None, **plain
        )
        self.nodes.append(made)

    def number(self, values: Any, word: str) -> str:
        """A float constant; float32 where that holds it, as in all files of other tools."""
        from onnx import numpy_helper

        exact = np.asarray(values, dtype=np.float64)
        with np.errstate(over="ignore"):
            narrow = exact.astype(np.float32)
        kept = narrow if np.array_equal(narrow.astype(np.float64), exact) else exact
        name = self.fresh(word)
        self.initializers.append(numpy_helper.from_array(kept, name))
        return name

    def literal(self, name: str) -> None:
        """A constant of the file under its own name."""
        from onnx import numpy_helper

        values = np.asarray(self.constants[name].values)
        if values.dtype.kind == "f":
            narrow = values.astype(np.float32)
            values = narrow if np.array_equal(narrow.astype(np.float64), values) else values
        kind = self.constants[name].type
        typed = values.astype(kind) if kind.startswith(("int", "uint")) else values
        self.initializers.append(numpy_helper.from_array(typed, name))

    def sizes(self, values: Any, word: str) -> str:
        """A constant of whole numbers."""
        from onnx import numpy_helper

        name = self.fresh(word)
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype=np.int64), name))
        return name

    def quant(
        self, source: str, power: Any, bits: float, output: str, name: str, words: Mapping[str, Any]
    ) -> str:
        """A ``Quant`` of powers of two."""
        parts = [
            self.number(part, f"{name}.{word}")
            for word, part in (("scale", np.exp2(power)), ("zeropt", 0.0), ("bits", float(bits)))
        ]
        return self.add("Quant", [source, *parts], output, name, DOMAIN, **words)

    def constant(self, values: Array, power: Any, bits: int, word: str, *, signed: bool) -> str:
        """A constant that a ``Quant`` has put on its grid."""
        words = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND"}
        name = self.fresh(word)
        return self.quant(self.number(values, word), power, bits, f"{name}.quantized", name, words)

    def scaled(self, source: str, wanted: Array, op: Op, word: str) -> str:
        """A tensor times factors in few bits; the rounding is written down."""
        found: Multiplier = multiplier(wanted, self.bits)
        if found.error:
            self.rounded.append(Rounded(str(op), "multiplier", found.error))
        values = found.values[None] if found.values.ndim else found.values
        power = found.power[None] if found.power.ndim else found.power
        factor = self.constant(values, power, self.bits, f"{op.name}.{word}", signed=False)
        name = self.fresh(f"{op.name}.{word}")
        return self.add("Mul", [source, factor], name, name)

    def total(self, op: Op, source: str, axes: Sequence[int], output: str, keepdims: int) -> None:
        """A sum along axes, as the file's opset says it."""
        if self.opset < 13:
            self.add("ReduceSum", [source], output, op.name, axes=list(axes), keepdims=keepdims)
            return
        given = self.sizes(axes, f"{op.name}.axes")
        self.add("ReduceSum", [source, given], output, op.name, keepdims=keepdims)

    # ------------------------------------------------------------------ one factor for a tensor

    def held(self, op: Op, place: int = 0) -> str:
        """The tensor in the new file that holds an input."""
        return op.inputs[place]

    def uniform(self, op: Op, place: int = 0) -> tuple[str, Array]:
        """An input whose factor is one number, if need be after a multiplication; and that number."""
        factor, name = self.factor(op, place), self.held(op, place)
        if factor.size == 1 or one(factor / factor.flat[0]):
            return name, np.asarray(factor.flat[0])
        top = np.asarray(factor.max())
        return self.scaled(name, factor / top, op, "equal"), top

    def together(self, op: Op) -> tuple[list[str], Array]:
        """All inputs in units of the first one's factor."""
        name, factor = self.uniform(op, 0)
        names = [name]
        for place in range(1, len(op.inputs)):
            other, its = self.uniform(op, place)
            names.append(other if one(its / factor) else self.scaled(other, its / factor, op, "equal"))
        return names, factor

    def per_channel(self, op: Op, values: Array, rank: int) -> Array:
        """Factors of a constant without a batch axis; one number where they are all the same."""
        found = values[0] if values.ndim == rank + 1 and values.shape[0] == 1 else values
        if found.size == 1 or np.all(found == found.flat[0]):
            return np.asarray(found.flat[0])
        if found.ndim > rank:
            raise ExportError(f"{op} has factors of shape {values.shape}, which samples do not have")
        return np.asarray(found.reshape((1,) * (rank - found.ndim) + found.shape))


def powers(where: Op, scale: Any) -> tuple[Array, Any]:
    """The rest and the power of scales.

    Raises:
        ExportError: a scale that is not above zero, or not finite.
    """
    values = np.asarray(scale, dtype=np.float64)
    if not (np.isfinite(values).all() and (values > 0).all()):
        worst = float(values.ravel()[int(np.argmin(np.isfinite(values) & (values > 0)))])
        raise ExportError(f"{where} has scale {worst:g}, and scales are above zero")
    return split(values)
