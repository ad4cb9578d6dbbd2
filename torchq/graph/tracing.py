"""``trace``: shapes and number formats on every edge, each from the quantizer that made it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from torchq.errors import GraphError
from torchq.graph.model import Graph, Node
from torchq.graph.shapes import sample_shape, shapes
from torchq.graph.steps import Step
from torchq.graph.symbolic import symbolic
from torchq.nn import LAYERS, QLayer


def trace(model: nn.Module, example: Tensor | tuple[int, ...] | None = None) -> Graph:
    """The graph of a quantized model.

    A format comes from walking back to the quantizer that made the tensor. A linear layer without output
    quantizer leaves its exact sum; only an activation may read that.

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
    found = symbolic(model)
    walk = _Walk(found.input, shapes(found, sample_shape(found, example)))
    for step in found.steps:
        walk.take(step)
    if len(walk.problems) == 1:
        raise GraphError(*walk.problems[0])
    if walk.problems:
        raise GraphError("\n".join(f"{message}; {hint}" for message, hint in walk.problems))
    return Graph(tuple(walk.nodes.values()), found.input, found.output)


class _Walk:
    """One pass over the steps, collecting nodes and problems."""

    def __init__(self, input: str, sizes: Mapping[str, tuple[int, ...]]) -> None:
        self.nodes = {input: Node(input, "input", (), sizes[input], None)}
        self.problems: list[tuple[str, str]] = []
        self._sizes = sizes

    def take(self, step: Step) -> None:
        source = self.nodes[step.source]
        shape = self._sizes[step.name]
        module, passive = step.module, step.passive
        if isinstance(module, QLayer):
            if module.needs_grid and not source.quantized:
                origin = self._origin(source)
                self._problem(
                    f"{step.name} reads a tensor that no quantizer made ({origin})",
                    f"put a quantizer after {origin}",
                )
            for slot in module.missing_slots():
                self._problem(f"the {slot} of {step.name} has no quantizer", f"give it a {slot}_quantizer")
            format = module.output_format(source.format)
            made = Node(
                step.name, module.kind, (source.name,), shape, format, module, None, module.makes_grid
            )
        elif passive is not None:
            function = passive.apply if module is None else None
            quantized = source.quantized and not passive.last_only
            format = passive.format(source.format)
            made = Node(step.name, passive.kind, (source.name,), shape, format, module, function, quantized)
            if passive.kind == "identity" and shape != source.shape:
                self._problem(
                    f"{step.name} turns samples of shape {source.shape} into {shape}",
                    "reshape the samples before they enter the model",
                )
        else:
            assert module is not None  # noqa: S101 - told to the type checker
            self._problem(f"{step.name} is a float {type(module).__name__}", _instead(module))
            made = Node(step.name, "float", (source.name,), shape, None, module)
        self.nodes[step.name] = made

    def _problem(self, message: str, hint: str) -> None:
        self.problems.append((message, hint))

    def _origin(self, node: Node) -> str:
        """The node after which a quantizer is missing: dropouts and the like are passed by."""
        while node.kind == "identity":
            node = self.nodes[node.inputs[0]]
        return node.name


def _instead(module: nn.Module) -> str:
    layers = [(name, layer.replaces) for name, layer in LAYERS.items() if type(module) in layer.replaces]
    name, replaced = min(layers, key=lambda entry: len(entry[1]))
    return f"quantize(model, scheme) turns {' + '.join(cls.__name__ for cls in replaced)} into {name}"
