"""``Prices``: what networks of a search cost; each structure is traced once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from torchq.autoq.candidate import Shape
from torchq.cost import estimate, figure_of, make_targets, target_of, under
from torchq.graph import Graph, trace
from torchq.scheme import Scheme
from torchq.search.space_settings import Settings
from torchq.workload import Workload

BY_FORMATS = ("bits", "energy_pj", "autoqkeras_bits")
"""Targets whose figures follow from shapes and formats alone, so that they need no look at the weights."""

FOLLOW_VALUES = ("auto", "adaptive")
"""What quantizers are called whose formats follow the values that they see."""

MOST_KEPT = 256
"""So many traced structures are kept."""


class Prices:
    """Prices networks in the figures that a search asks for.

    Args:
        figures: of any registered targets, such as ``("bits", "energy_pj")``.
        settings: of the targets, such as ``{"weights_on_memory": "fixed"}``.
        example: a batch, or the shape of one sample.

    Raises:
        CostError: a setting that no target has.
        UnknownNameError: an unknown figure.

    Example:
        >>> from torchq.autoq.candidate import candidate
        >>> from torchq.models import jets_mlp
        >>> six = "quantized_bits(6,0,alpha=1)"
        >>> scheme = Scheme.uniform(six, six, "quantized_relu(6,2)", "quantized_bits(16,6,alpha=1)")
        >>> network = candidate(jets_mlp(seed=0), scheme, example=(16,))
        >>> prices = Prices(("bits", "energy_pj"), {}, (16,))
        >>> {name: round(value) for name, value in prices(network, scheme, Settings()).items()}
        {'bits': 26334, 'energy_pj': 2619}
    """

    def __init__(
        self, figures: Sequence[str], settings: Mapping[str, Any], example: torch.Tensor | Shape
    ) -> None:
        self.figures = self.figures_of(figures)
        self.settings = dict(settings)
        self.example = example
        make_targets(self.figures, {k: v for k, v in self.settings.items() if k != "softmax"})
        self._graphs: OrderedDict[str, Graph] = OrderedDict()
        self.by_formats = all(target_of(name) in BY_FORMATS for name in self.figures)

    def __call__(self, model: nn.Module, scheme: Scheme, settings: Settings) -> dict[str, float]:
        """The figures of a trained network.

        Args:
            model: the network.
            scheme: what it was made from.
            settings: what it was made from besides.
        """
        texts = [text for slots in scheme.layers.values() for text in slots.values()]
        follow = any(word in text for text in texts for word in FOLLOW_VALUES)
        if follow or settings.pruning or settings.fold == "apart" or not self.by_formats:
            return self._figures(trace(model, self.example))
        return self._figures(self._under(scheme, settings, lambda: model))

    @staticmethod
    def figures_of(names: Sequence[str]) -> tuple[str, ...]:
        """The names of figures, checked, each once.

        Raises:
            UnknownNameError: there is no such figure.
        """
        return tuple(dict.fromkeys(figure_of(name) for name in names))

    def of_scheme(self, scheme: Scheme, make: Callable[[], nn.Module]) -> dict[str, float]:
        """The figures of a scheme, of which nothing but its formats is asked.

        Args:
            scheme: what to price.
            make: makes its network; called where no network with as many neurons was priced before.
        """
        return self._figures(self._under(scheme, Settings(), make))

    def _figures(self, work: Graph | Sequence[Workload]) -> dict[str, float]:
        report = estimate(work, targets=self.figures, **self.settings)
        return {name: float(report.total[name]) for name in self.figures}

    def _under(self, scheme: Scheme, settings: Settings, make: Callable[[], nn.Module]) -> Sequence[Workload]:
        key = f"{sorted(scheme.units.items())} {settings.fold} {sorted(settings.activations.items())}"
        graph = self._graphs.pop(key, None)
        if graph is None:
            graph = trace(make(), self.example)
        self._graphs[key] = graph
        while len(self._graphs) > MOST_KEPT:
            self._graphs.popitem(last=False)
        return under(graph, scheme)

    def __reduce__(self) -> tuple[Any, ...]:
        return Prices, (self.figures, self.settings, self.example)
