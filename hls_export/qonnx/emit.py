"""Put an ONNX graph together, piece by piece, in the dialect that stock readers of QONNX take.

Opset 13 and IR version 8 (qonnx, hls4ml and onnxruntime of the last years read both); ``Quant`` with four
inputs: scale as a 0-d power of two, zero-point 0, one bit width; constants already on their grids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls_export.qonnx import own
from hls_export.qonnx.quant import DOMAIN, QuantWords, sayable, words
from torchq.errors import ExportError
from torchq.formats import FixedPoint

if TYPE_CHECKING:
    import onnx

OPSET = 13
IR_VERSION = 8
BATCH = "batch"


class Emitter:
    """Nodes and constants of one graph; tensors are handed around by name.

    Example:
        >>> emit = Emitter("small")
        >>> x = emit.input("x", (2,))
        >>> y = emit.quant(x, FixedPoint(4, 2), "q")
        >>> model = emit.model(y, (2,))
        >>> [node.op_type for node in model.graph.node]
        ['Quant']
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[tuple[str, tuple[int, ...]]] = []
        self._shapes: dict[str, tuple[int | str, ...]] = {}

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """The graph's input; the batch size stays free."""
        self._inputs.append((name, shape))
        return name

    def constant(self, name: str, values: npt.ArrayLike) -> str:
        """A float32 constant.

        Raises:
            ExportError: float32 cannot hold a value exactly.
        """
        from onnx import numpy_helper

        exact = np.asarray(values, dtype=np.float64) + 0.0
        with np.errstate(over="ignore"):
            narrow = exact.astype(np.float32)
        if not np.array_equal(narrow.astype(np.float64), exact):
            raise ExportError(
                f"{name} has values that float32 cannot hold exactly", hint="give it at most 24 bits"
            )
        self._constants.append(numpy_helper.from_array(narrow, name))
        self._shapes[name] = exact.shape
        return name

    def sizes(self, name: str, values: npt.ArrayLike) -> str:
        """An int64 constant: a shape, axes, or places."""
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype=np.int64), name))
        return name

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        output: str,
        *,
        name: str,
        shape: tuple[int, ...] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """One operator; ``shape`` (without batch) is noted for viewers and for readers that ask for it."""
        from onnx import helper

        self._nodes.append(
            helper.make_node(kind, list(inputs), [output], name=name, domain=domain or None, **attributes)
        )
        if shape is not None and kind != "Cast":
            self._shapes[output] = (BATCH, *shape)
        return output

    def quant(
        self,
        source: str,
        grid: FixedPoint,
        name: str,
        output: str | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> str:
        """A ``Quant`` node; or, for a format that QONNX cannot state, one of ours (:mod:`.own`)."""
        if sayable(grid) is not None:
            parts = zip(("step", "span", "low"), own.fixed_inputs(grid), strict=True)
            constants = [self.constant(f"{name}.{part}", values) for part, values in parts]
            kind, made = own.fixed_name(grid), output or name
            return self.node(kind, [source, *constants], made, name=name, shape=shape, domain=own.DOMAIN)
        word: QuantWords = words(grid)
        inputs = [
            source,
            self.constant(f"{name}.scale", float(grid.lsb)),
            self.constant(f"{name}.zeropt", 0.0),
            self.constant(f"{name}.bits", float(word.bits)),
        ]
        return self.node(
            "Quant",
            inputs,
            output or name,
            name=name,
            shape=shape,
            domain=DOMAIN,
            signed=int(word.signed),
            narrow=int(word.narrow),
            rounding_mode=word.rounding,
        )

    def parameter(self, name: str, values: npt.NDArray[np.float64], grid: FixedPoint) -> str:
        """A constant on its grid, through a ``Quant`` that states the grid and changes nothing."""
        if not grid.holds(values).all():
            raise ExportError(f"{name} has values beside the grid of {grid}")
        made = self.quant(self.constant(name, values), grid, f"{name}.quant", f"{name}.quantized")
        self._shapes[made] = values.shape
        return made

    def model(
        self, output: str, shape: tuple[int, ...], metadata: Mapping[str, str] | None = None
    ) -> onnx.ModelProto:
        """The finished model; ``output`` leaves it."""
        from onnx import TensorProto, helper

        from torchq._version import __version__

        def value(name: str, dims: tuple[int | str, ...]) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

        graph = helper.make_graph(
            self._nodes,
            self.name,
            [value(name, (BATCH, *dims)) for name, dims in self._inputs],
            [value(output, (BATCH, *shape))],
            initializer=self._constants,
            value_info=[value(name, dims) for name, dims in self._shapes.items() if name != output],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
        ours = [node.op_type for node in self._nodes if node.domain == own.DOMAIN]
        if ours:
            opsets.append(helper.make_opsetid(own.DOMAIN, own.VERSION))
        made = own.functions(ours, OPSET)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, functions=made)
        model.producer_name, model.producer_version = "torchq", __version__
        if metadata:
            helper.set_model_props(model, dict(metadata))
        return model
