"""From a model to a ``torch.fx`` graph: what is called, in which order."""

from __future__ import annotations

from collections import OrderedDict

from torch import fx, nn

from torchq.errors import GraphError
from torchq.graph.steps import Symbolic, read_steps
from torchq.nn.registry import is_known


class _Tracer(fx.Tracer):
    """Stops at every module that we know, and at those of torch."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_known(m) or super().is_leaf_module(m, module_qualified_name)


def symbolic(model: nn.Module) -> Symbolic:
    """Trace a model and check that every call is one that torchq knows.

    Args:
        model: one input, one output; nested modules and functions in ``forward`` are followed. A single
            layer is taken for a model of one layer named ``layer``.

    Raises:
        GraphError: the model cannot be traced, or calls something unknown; all such calls are named.
    """
    root = nn.Sequential(OrderedDict({"layer": model})) if is_known(model) else model
    return read_steps(root, _trace(root))


def _trace(root: nn.Module) -> fx.Graph:
    try:
        graph = _Tracer().trace(root)
    except Exception as fault:  # whatever the model's own forward raises on a symbolic value
        reason = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise GraphError(
            f"{type(root).__name__} cannot be traced: {reason}",
            hint="forward must do the same steps for every input, with no if or loop over values",
        ) from fault
    for node in reversed(graph.nodes):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)
    return graph
