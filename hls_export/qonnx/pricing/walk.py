"""One pass over a file: what flows, which node belongs to which layer, and the work of every layer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx.channels import formats_by_channel
from hls_export.qonnx.load import OnnxFile, Op
from hls_export.qonnx.pricing.constants import Constant, Folding, along_axis, clip_ends
from hls_export.qonnx.pricing.flows import Behind, Flow, live, without_batch
from hls_export.qonnx.pricing.grids import (
    Grid,
    Integers,
    bipolar_grid,
    coded_grid,
    integers_of,
    quant_grid,
    trunc_grid,
)
from hls_export.qonnx.pricing.sizes import Size, sizes_of
from hls_export.qonnx.pricing.stated import Stated, refined, stated_formats
from torchq.errors import ExportError
from torchq.formats import Float, Format
from torchq.workload import TensorSpec, Workload

if TYPE_CHECKING:
    import onnx

    from torchq.nn import QLayer

MOVES = (
    *("Cast", "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice"),
    *("Gather", "Split", "Pad", "Expand", "Tile", "DepthToSpace", "SpaceToDepth", "Resize", "Upsample"),
)
"""Operators that move values, or repeat them: wires."""
SIZES = ("Shape", "Size")
"""Operators whose result depends on sizes only."""


class Walk:
    """A file on its way to workloads.

    Args:
        file: what it says.
        model: the same, as ONNX's own type (types of integers and shapes stand there).
        float_as: the width at which what no quantizer made is counted; None refuses it.
    """

    def __init__(self, file: OnnxFile, model: onnx.ModelProto, float_as: int | None = None) -> None:
        self.file, self.float_as = file, float_as
        self.works: list[Workload] = []
        self.addressed: dict[str, Flow] = {}
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.taken: set[str] = set()
        self._before: dict[Hashable, tuple[int, Workload, Flow, int]] = {}
        self._names: set[str] = set()
        self._said = stated_formats(file.metadata)
        folding = Folding(model, file.constants, self._said, formats_by_channel(file.metadata))
        self.constants: dict[str, Constant] = folding.known
        self.ops: list[Op] = []
        flowing = {file.input}
        for op in live(file):
            if op.kind in SIZES and op.inputs[0] in flowing:
                for name in op.outputs:
                    folding.known[name] = Constant(None, where=str(op))
            elif not folding.take(op):
                self.ops.append(op)
                flowing.update(op.outputs)
        self.named = {op.name: op for op in self.ops}
        self.readers: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                self.readers.setdefault(name, []).append(op)
        self._model = model
        self.sizes: dict[str, Size] = {}
        self.flows: dict[str, Flow] = {}

    def begin(self) -> None:
        """Find the sizes, and put the input down.

        Raises:
            ExportError: shapes are missing.
        """
        used = {self.file.output, *self.readers}
        tensors = [name for op in self.ops for name in op.outputs if name in used]
        wanted = [self.file.input, *tensors]
        self.sizes = sizes_of(str(self.file.path), self._model, self.file.input, self.ops, wanted)
        size = self.sizes[self.file.input]
        self.flows[self.file.input] = Flow(TensorSpec(self.file.input, size.shape, None), axis=size.axis)

    # ------------------------------------------------------------------ what a node reads

    def flow(self, op: Op, place: int = 0) -> Flow:
        """An input that depends on the model's input.

        Raises:
            ExportError: it is a constant.
        """
        name = op.inputs[place]
        if name not in self.flows:
            raise ExportError(f"{op} reads the constant {name!r} where it should read an activation")
        return self.flows[name]

    def is_flow(self, op: Op, place: int) -> bool:
        """Whether an input depends on the model's input."""
        return place < len(op.inputs) and op.inputs[place] in self.flows

    def from_quantizer(self, op: Op, place: int = 0) -> Flow:
        """An input that a quantizer must have made: what products read."""
        flow = self.flow(op, place)
        return flow if flow.quantized else self._unquantized(op, flow)

    def on_grid(self, op: Op, place: int = 0) -> Flow:
        """An input that must have a format: quantized, or an exact sum of quantized numbers."""
        flow = self.flow(op, place)
        return flow if flow.spec.format is not None else self._unquantized(op, flow)

    def _unquantized(self, op: Op, flow: Flow) -> Flow:
        if self.float_as is None:
            name = flow.spec.name
            self.problems.append(f"{op.name} reads a tensor that no quantizer made ({name})")
            return flow
        return replace(flow, spec=replace(flow.spec, format=Float(self.float_as)))

    def constant(self, op: Op, place: int, what: str) -> Constant | None:
        """A constant input with its values; None where it is left out.

        Raises:
            ExportError: it depends on the model's input, or is computed by something that is not followed.
        """
        if place >= len(op.inputs) or not op.inputs[place]:
            return None
        name = op.inputs[place]
        if name not in self.constants:
            raise ExportError(f"{op} takes its {what} from {name!r}, which is no constant")
        found = self.constants[name]
        if found.values is None:
            raise ExportError(f"{op} takes its {what} from {name!r}, whose values are not followed")
        return found

    def values(self, op: Op, place: int, what: str) -> npt.NDArray[Any]:
        """The values of a constant input that must be there."""
        found = self.constant(op, place, what)
        if found is None or found.values is None:
            raise ExportError(f"{op} has no {what}")
        return found.values

    def parameter(self, op: Op, place: int, what: str) -> Constant | None:
        """A constant with a format: that of its quantizer, or a narrow grid that holds its values."""
        found = self.constant(op, place, what)
        return None if found is None else self.formatted(op, found, what)

    def formatted(self, op: Op, constant: Constant, what: str) -> Constant:
        """A constant with a format; refused, or a float, where there is none."""
        found = constant.on_grid()
        self.note(found.note)
        if found.format is not None:
            return found
        if self.float_as is not None:
            return replace(found, format=Float(self.float_as))
        self.problems.append(f"the {what} of {op.name} has no quantizer")
        return found

    # ------------------------------------------------------------------ what stands behind a node

    def only_reader(self, tensor: str) -> Op | None:
        """The one node that reads a tensor; None if there are more, or it leaves the file."""
        readers = self.readers.get(tensor, [])
        return readers[0] if len(readers) == 1 and tensor != self.file.output else None

    def take(self, op: Op) -> None:
        """Say that a node belongs to a layer that has been read."""
        self.taken.update(op.outputs)

    def quantizer_behind(self, layer: str, tensor: str, exact: Format | None = None) -> Behind | None:
        """The quantizer that belongs to a layer: the only reader of what leaves it.

        A tensor that has the layer's name ends the layer: so do our own files tell a layer with an output
        quantizer from one with an activation behind it.

        Args:
            layer: the layer's name.
            tensor: what leaves it.
            exact: the format of what leaves it.
        """
        reader = self.only_reader(tensor)
        if tensor == layer or reader is None:
            return None
        if reader.kind == "Reshape" and reader.name.startswith(f"{layer}."):  # our own files drop axes there
            found = self.quantizer_behind(layer, reader.outputs[0], exact)
            return None if found is None else replace(found, ops=(reader, *found.ops))
        return self.quantizer(reader, exact)

    def quantizer(self, op: Op, source: Format | None) -> Behind | None:
        """What a quantizing node, and those that go with it, do; None for other nodes."""
        if op.kind in ("Quant", "IntQuant"):
            scale, zeropt, bits = (self.values(op, i, what) for i, what in _QUANT)
            shape = self._shape_of(op)
            bits, scale, zeropt = (without_batch(op, v, shape) for v in (bits, scale, zeropt))
            grid = quant_grid(str(op), bits, scale, zeropt, op.attributes)
            return Behind(self._refined(op, grid), op.outputs[0], (op,))
        if op.kind == "BipolarQuant":
            scale = self.values(op, 1, "scale")
            return Behind(self._refined(op, bipolar_grid(str(op), scale)), op.outputs[0], (op,))
        if op.kind == "Trunc":
            places = (1, 4) if len(op.inputs) < 6 else (4, 5)
            scale, bits = (self.values(op, i, "scale and bits") for i in places)
            return Behind(trunc_grid(str(op), bits, scale, source), op.outputs[0], (op,))
        if op.kind.startswith("Fixed_"):
            return self._own(op)
        return self._coded(op) if op.kind == "QuantizeLinear" else None

    def _coded(self, op: Op) -> Behind | None:
        """``QuantizeLinear``, perhaps ``Clip``, and ``DequantizeLinear``."""
        zero = self.constant(op, 2, "zero point")
        codes = Integers(0, 255) if zero is None else zero.codes
        ops, reader = [op], self.only_reader(op.outputs[0])
        if codes is None:
            raise ExportError(f"{op} makes codes of a type that is no integer")
        if reader is not None and reader.kind == "Clip":
            ends = [self.constants.get(name, Constant(None)) for name in reader.inputs[1:]]
            codes = codes.clipped(*clip_ends(reader, ends))
            ops, reader = [*ops, reader], self.only_reader(reader.outputs[0])
        if reader is None or reader.kind != "DequantizeLinear":
            return None
        grid = self.decoded(reader, codes, self._shape_of(op))
        return Behind(grid, reader.outputs[0], (*ops, reader))

    def decoded(self, op: Op, codes: Integers, shape: tuple[int, ...]) -> Grid:
        """What a ``DequantizeLinear`` makes of codes, for samples of a shape."""
        axis = int(op.attributes.get("axis", 1))
        scale, zeropt = self.values(op, 1, "scale"), self.constant(op, 2, "zero point")
        zeros = np.zeros(()) if zeropt is None or zeropt.values is None else zeropt.values
        axes = len(shape) + 1
        parts = [without_batch(op, along_axis(v, axes, axis), shape) for v in (scale, zeros)]
        return coded_grid(str(op), codes, *parts)

    def input_codes(self) -> Integers | None:
        """The range of the model's input, where that is integers."""
        import onnx

        value = next(v for v in self._model.graph.input if v.name == self.file.input)
        return integers_of(onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type))

    def _own(self, op: Op) -> Behind:
        """A rounding that ``Quant`` has no words for."""
        from hls_export.qonnx.own import read_fixed

        shape = self._shape_of(op)
        parts = [without_batch(op, self.values(op, i, "numbers"), shape) for i in (1, 2, 3)]
        format = read_fixed(op.kind, *parts)
        if format is None:
            raise ExportError(f"{op} says no fixed-point format")
        return Behind(Grid(format), op.outputs[0], (op,))

    def said(self, name: str) -> Format | None:
        """What the file states of a tensor of ours."""
        return self._said.get(name)

    def _refined(self, op: Op, grid: Grid) -> Grid:
        said = self._said.get(op.name.removesuffix(".quant"))
        return replace(grid, format=refined(grid.format, said))

    def _shape_of(self, op: Op) -> tuple[int, ...]:
        return self.sizes[op.outputs[0]].shape

    # ------------------------------------------------------------------ what a node makes

    def name(self, op: Op) -> str:
        """The layer's name: the node's, with a number where it is taken."""
        name, count = op.name, 1
        while name in self._names:
            count += 1
            name = f"{op.name}_{count}"
        self._names.add(name)
        return name

    def note(self, text: str) -> None:
        """Keep a note, once."""
        if text and text not in self.notes:
            self.notes.append(text)

    def put(self, tensor: str, name: str, format: Format | None, *, quantized: bool = False) -> TensorSpec:
        """Say what flows in a tensor.

        Args:
            tensor: of the file.
            name: of the layer that made the values.
            format: of the values.
            quantized: whether a quantizer made them.
        """
        size = self.sizes[tensor]
        spec = TensorSpec(name, size.shape, format)
        self.flows[tensor] = Flow(spec, quantized, size.axis)
        return spec

    def add(self, op: Op, layer: QLayer, sources: Sequence[Flow], tensor: str) -> Flow:
        """The work of a layer, with the quantizer behind it, and what flows out of it.

        Args:
            op: the layer's first node.
            layer: it says formats and work.
            sources: what it reads.
            tensor: what leaves it before the quantizer.
        """
        name = self.name(op)
        specs = tuple(flow.spec for flow in sources)
        behind = self.quantizer_behind(name, tensor, layer.format_of(specs))
        if behind is not None and "output" in layer.slots:
            self.settle(behind)
            layer.set_quantizer("output", Stated(behind.grid.format))
            tensor = behind.tensor
        else:
            behind = None
        kept = layer.keeps_grid and all(flow.quantized for flow in sources)
        made = self.put(tensor, name, layer.format_of(specs), quantized=kept or behind is not None)
        self.works += layer.workloads(name, specs, made)
        return self.flows[tensor]

    def remember(self, said: Hashable, made: Flow) -> None:
        """Keep the last workload under what says all of it, to find it when it comes again."""
        self._before[said] = (len(self.works) - 1, self.works[-1], made, 1)

    def repeated(self, said: Hashable, op: Op, tensor: str) -> bool:
        """Let a layer that was there before do its work once more; whether there is such a layer.

        A cell that is written step by step reads the same weights in each: they are there once.
        """
        if said not in self._before:
            return False
        place, first, made, times = self._before[said]
        behind = self.quantizer_behind(op.name, tensor)
        stored = made.spec.format if made.quantized else None
        if (None if behind is None else behind.grid.format) != stored:
            return False
        if behind is not None:
            self.settle(behind)
            tensor = behind.tensor
        self.put(tensor, first.layer, first.output.format, quantized=behind is not None)
        times += 1
        self._before[said] = (place, first, made, times)
        (read,) = first.inputs
        self.works[place] = replace(
            first,
            inputs=(replace(read, shape=(times, *read.shape)),),
            output=replace(first.output, shape=(times, *first.output.shape)),
            macs=times * first.macs,
        )
        return True

    def settle(self, behind: Behind) -> None:
        """A quantizer has become part of a layer."""
        for op in behind.ops:
            self.take(op)
        self.note(behind.grid.note)


_QUANT = ((1, "scale"), (2, "zero point"), (3, "bit width"))
