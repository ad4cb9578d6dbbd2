"""``trace``: shapes and number formats on every edge, each from the quantizer that made it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from torchq.errors import GraphError
from torchq.formats import FixedPoint, Format
from torchq.graph.model import Graph, Node, Traced
from torchq.graph.moves import moved_format, order_is_kept
from torchq.graph.shapes import Size, sample_shape, shapes
from torchq.graph.steps import Step, Symbolic
from torchq.graph.symbolic import symbolic
from torchq.nn import LAYERS, QLayer
from torchq.nn.registry import Passive, passive_module


def trace(model: nn.Module, example: Tensor | tuple[int, ...] | None = None) -> Graph:
    """The graph of a quantized model.

    A format comes from walking back to the quantizer that made the tensor. A layer without output
    quantizer leaves its exact sums; only an activation may read those. Formats per channel or element follow
    their values through reshapes and transposes.

    Args:
        model: one input, one output, made of torchq's layers; see :func:`torchq.convert.quantize`.
        example: a batch ``[n, ...]``, or the shape of one sample; only its shape is used. If left out, it
            follows from the first linear layer.

    Returns:
        The nodes with the model's own modules, in the order of computation.

    Raises:
        GraphError: the model cannot be traced, or calls something unknown, or an edge or parameter has no
            quantizer. All such places are named at once.

    Example:
        >>> from torchq.nn import QInput, QLinear
        >>> q = "quantized_bits(6,0,alpha=1)"
        >>> print(trace(nn.Sequential(QInput(q), QLinear(16, 5, weight_quantizer=q, bias_quantizer=q))))
        input: input() -> [16] None
        0: quantize(input) -> [16] ap_fixed<6,1,RND_CONV,SAT>
        1: linear(0) -> [5] ap_fixed<16,6,TRN,WRAP>
        >>> trace(nn.Sequential(QLinear(16, 5, weight_quantizer=q, bias_quantizer=q)))
        Traceback (most recent call last):
        ...
        torchq.errors.GraphError: 0 reads a tensor that no quantizer made (input); put a quantizer after input
    """
    return _sound(*walk(model, example))


def rewired(graph: Graph, modules: Mapping[int, nn.Module]) -> Graph:
    """The graph with other modules in the place of its own: shapes stay, formats follow.

    Nothing is traced and nothing computed, so it takes a small part of the time of :func:`trace`.

    Args:
        graph: from :func:`trace`.
        modules: by the ``id`` of the module that each takes the place of; it must make the same shapes.

    Raises:
        GraphError: an edge or parameter has no quantizer, or the graph was not made by :func:`trace`.

    Example:
        >>> from torchq.nn import QInput
        >>> six, four = QInput("quantized_bits(6,0,alpha=1)"), QInput("quantized_bits(4,0,alpha=1)")
        >>> print(rewired(trace(nn.Sequential(six), (3,)), {id(six): four}))
        input: input() -> [3] None
        0: quantize(input) -> [3] ap_fixed<4,1,RND_CONV,SAT>
    """
    if graph.traced is None:
        raise GraphError("this graph was not made by trace(model)", hint="trace the model")
    found = graph.traced.found
    steps = tuple(
        step if (module := modules.get(id(step.module))) is None else _instead_of(step, module)
        for step in found.steps
    )
    return _sound(*_walked(replace(found, steps=steps), graph.traced.sizes))


def _instead_of(step: Step, module: nn.Module) -> Step:
    return replace(step, module=module, passive=passive_module(module))


def _sound(graph: Graph, problems: list[tuple[str, str]]) -> Graph:
    if len(problems) == 1:
        raise GraphError(*problems[0])
    if problems:
        raise GraphError("\n".join(f"{message}; {hint}" for message, hint in problems))
    return graph


def walk(
    model: nn.Module, example: Tensor | tuple[int, ...] | None = None
) -> tuple[Graph, list[tuple[str, str]]]:
    """As :func:`trace`, for a model that may have unquantized places: they are returned, with a hint each.

    Raises:
        GraphError: the model cannot be traced, or calls something unknown.
    """
    found = symbolic(model)
    return _walked(found, shapes(found, sample_shape(found, example)))


def _walked(found: Symbolic, sizes: Mapping[str, Size]) -> tuple[Graph, list[tuple[str, str]]]:
    pass_ = _Walk(found, sizes)
    for step in found.steps:
        pass_.take(step)
    nodes = tuple(pass_.nodes.values())
    return Graph(nodes, found.input, found.output, Traced(found, sizes)), pass_.problems


class _Walk:
    """One pass over the steps, collecting nodes and problems."""

    def __init__(self, found: Symbolic, sizes: Mapping[str, Size]) -> None:
        first = Node(found.input, "input", (), sizes[found.input].shape, None)
        self.nodes = {found.input: first}
        self.problems: list[tuple[str, str]] = []
        self._sizes = sizes
        self._output = found.output
        self._asked: set[int] = set()

    def take(self, step: Step) -> None:
        if isinstance(step.module, QLayer):
            kind, format, quantized = self._layer(step, step.module)
        elif step.passive is not None:
            kind, format, quantized = self._passive(step, step.passive)
        else:
            module = step.module
            assert module is not None  # noqa: S101 - told to the type checker
            if id(module) not in self._asked:
                self._problem(f"{step.name} is a float {type(module).__name__}", _instead(module))
            self._asked.add(id(module))
            kind, format, quantized = "float", None, False
        size = self._sizes[step.name]
        if isinstance(format, FixedPoint) and len(format.shape) > len(size.shape):
            format = self._of_a_sample(step, format, size)
        self.nodes[step.name] = Node(
            step.name, kind, step.sources, size.shape, format, step.module, step, quantized, size.axis
        )

    def _of_a_sample(self, step: Step, format: FixedPoint, size: Size) -> FixedPoint | None:
        """A format with scales that were found in a batch, without the batch's axis."""
        if len(format.shape) > len(size.shape) + 1 or format.shape[size.axis] != 1:
            self._problem(
                f"{step.name} has scales that differ by sample (a format of shape {format.shape})",
                "let them differ along another axis (scale_axis), or give a number as alpha",
            )
            return None
        fields = (np.asarray(field) for field in (format.width, format.integer, format.signed))
        width, integer, signed = (f.reshape(np.delete(f.shape, size.axis)) if f.ndim else f for f in fields)
        return replace(format, width=width, integer=integer, signed=signed)

    def _layer(self, step: Step, layer: QLayer) -> tuple[str, Format | None, bool]:
        sources = [self.nodes[source] for source in step.sources]
        missing = [source for source in sources if layer.needs_grid and not source.quantized]
        for origin in dict.fromkeys(self._origin(source) for source in missing):
            self._problem(
                f"{step.name} reads a tensor that no quantizer made ({origin})",
                f"put a quantizer after {origin}",
            )
        if id(layer) not in self._asked:
            for slot in layer.missing_slots():
                self._problem(f"the {slot} of {step.name} has no quantizer", f"give it a {slot}_quantizer")
        self._asked.add(id(layer))
        quantized = layer.makes_grid or (layer.keeps_grid and not missing)
        return layer.kind, layer.format_of([source.spec for source in sources]), quantized

    def _passive(self, step: Step, passive: Passive) -> tuple[str, Format | None, bool]:
        source = self.nodes[step.source]
        if passive.last_only and step.name != self._output:
            what = type(step.module).__name__
            self._problem(
                f"{step.name} ({what}) may only be the last step of a model",
                "quantize it, or take it out",
            )
        if not passive.moves:
            return passive.kind, passive.format(source.format), source.quantized and not passive.last_only
        if self._sizes[step.source].is_tuple:
            return self._item(step)
        indices = self._sizes[step.name].indices
        assert indices is not None  # noqa: S101 - told to the type checker
        format = moved_format(source.format, source.shape, indices)
        same_axis = self._sizes[step.name].axis == source.batch_axis
        if indices.shape == source.shape and order_is_kept(indices) and same_axis:
            return "identity", format, source.quantized
        kept = indices.size == math.prod(source.shape) and order_is_kept(indices)
        return "reshape" if kept else "transpose", format, source.quantized

    def _item(self, step: Step) -> tuple[str, Format | None, bool]:
        """One tensor of the tuple that a layer returns, perhaps of a tuple within it."""
        path: list[int] = []
        layer: Step | None = step
        while layer is not None and layer.passive is not None:
            path.insert(0, int(layer.call.args[1]))
            layer = self.nodes[layer.source].step
        if layer is None or not isinstance(layer.module, QLayer):
            return "item", None, False
        module, sources = layer.module, [self.nodes[source].spec for source in layer.sources]
        where = tuple(path)
        return "item", module.item_format(where, sources), module.item_quantized(where)

    def _problem(self, message: str, hint: str) -> None:
        self.problems.append((message, hint))

    def _origin(self, node: Node) -> str:
        """The node after which a quantizer is missing: dropouts and the like are passed by."""
        while node.kind in ("identity", "reshape", "transpose", "item"):
            node = self.nodes[node.inputs[0]]
        return node.name


def _instead(module: nn.Module) -> str:
    layers = [(name, layer.replaces) for name, layer in LAYERS.items() if type(module) in layer.replaces]
    name, replaced = min(layers, key=lambda entry: len(entry[1]))
    return f"quantize(model, scheme) turns {' + '.join(cls.__name__ for cls in replaced)} into {name}"
