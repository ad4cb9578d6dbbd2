"""``under``: the workloads of another scheme are those of the model quantized anew, value by value."""

from __future__ import annotations

import gc
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from torchq.convert import freeze, quantize
from torchq.cost import TARGETS, changed, estimate, under
from torchq.errors import CostError, GraphError, SchemeError, TorchqError
from torchq.graph import Graph, trace
from torchq.models import MODELS
from torchq.nn import LAYERS, QActivation, QInput
from torchq.nn.base import Example, QLayer
from torchq.prune import ConstantSparsity, Pruner
from torchq.scheme import Scheme
from torchq.workload import Workload

WEIGHTS = (
    *(f"quantized_bits({bits},{integer},alpha=1)" for bits in (2, 4, 7) for integer in (0, 1)),
    "ternary(alpha=1)",
    "ternary(alpha='auto_po2')",
    "binary(alpha=1)",
    "quantized_po2(4,1)",
    "quantized_bits(4,0,alpha='auto_po2')",
    "fixed(5,2)",
    "stochastic_ternary(alpha=1)",
)
ACTIVATIONS = ("quantized_relu(4,1)", "quantized_relu(6,0)", "quantized_bits(5,2,alpha=1)", "fixed(6,2)")
INPUTS = ("quantized_bits(16,6,alpha=1)", "quantized_bits(8,3)", "fixed(6,3)")


def same(found: tuple[Workload, ...], expected: tuple[Workload, ...] | Graph) -> None:
    """All figures of all targets, and the values of all parameters."""
    report = estimate(found, targets=list(TARGETS))
    assert report == estimate(expected, targets=list(TARGETS))
    graph_works = changed.workloads_of(expected)
    assert found == graph_works
    for mine, theirs in zip(found, graph_works, strict=True):
        for a, b in zip(mine.parameters, theirs.parameters, strict=True):
            assert (a.values is None) == (b.values is None)
            assert a.values is None or np.array_equal(a.values, b.values)


def outcome(call: Any) -> Any:
    try:
        return call()
    except TorchqError as fault:
        return type(fault)


def check(model: nn.Module, graph: Graph, scheme: Scheme, shape: tuple[int, ...]) -> bool:
    """``under`` gives the workloads, or refuses where quantizing and tracing does."""
    expected = outcome(lambda: trace(quantize(model, scheme), shape))
    found = outcome(lambda: under(graph, scheme))
    if isinstance(expected, type):
        assert isinstance(found, type), expected
        return False
    assert not isinstance(found, type), found
    same(found, expected)
    return True


# ---------------------------------------------------------------------- random schemes on several models


class Branches(nn.Module):
    """Convolutions with a folded batch norm, a skip, a join, a pool, and a layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn, self.act = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
        self.left, self.right = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.Conv2d(4, 4, 1)
        self.act_left, self.act_right = nn.ReLU(), nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.twice, self.last = nn.Linear(36, 36), nn.Linear(36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn(self.stem(x)))
        x = self.act_left(self.left(x)) + self.act_right(self.right(x))
        x = torch.flatten(self.pool(x), 1)
        x = torch.relu(self.twice(x))
        x = torch.relu(self.twice(x))
        result: Tensor = self.last(x)
        return result


class Cells(nn.Module):
    """A recurrent layer, a layer norm and a table."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.norm, self.tanh, self.out = nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.gru(x)[0]
        result: Tensor = self.out(self.tanh(self.norm(x)))
        return result


def jets() -> nn.Module:
    return MODELS.get("jets_mlp")(units=(12, 8), batch_norm=False)


def jets_with_batch_norm() -> nn.Module:
    return MODELS.get("jets_mlp")(units=(12, 8), batch_norm=True)


BASE = Scheme.uniform(WEIGHTS[0], WEIGHTS[1], ACTIVATIONS[2], INPUTS[0])
CELLS = BASE.with_slot("norm", "output", ACTIVATIONS[2]).with_slot("gru", "recurrent", WEIGHTS[1])
MODELS_AND_SHAPES: list[tuple[Any, tuple[int, ...], Scheme]] = [
    (jets, (16,), BASE),
    (jets_with_batch_norm, (16,), BASE),
    (Branches, (1, 6, 6), BASE),
    (Cells, (5, 3), CELLS),
]


def slots_of(quantized: nn.Module) -> list[tuple[str, str]]:
    named = [(name, layer) for name, layer in quantized.named_modules() if isinstance(layer, QLayer)]
    return [(name, slot) for name, layer in named if not isinstance(layer, QInput) for slot in layer.slots]


@st.composite
def schemes(draw: st.DrawFn, base: Scheme, slots: list[tuple[str, str]]) -> Scheme:
    scheme = base
    for name, slot in draw(st.lists(st.sampled_from(slots), unique=True, max_size=8)):
        texts = WEIGHTS if slot in ("weight", "bias", "recurrent") else ACTIVATIONS
        scheme = scheme.with_slot(name, slot, draw(st.sampled_from(texts)))
    for key in draw(
        st.lists(st.sampled_from(["class:Linear", "class:Conv2d", "f*", "re:[a-z]*t$"]), max_size=2)
    ):
        scheme = scheme.with_slot(key, "weight", draw(st.sampled_from(WEIGHTS)))
    if draw(st.sampled_from([False] * 7 + [True])):
        scheme = Scheme({k: v for k, v in scheme.layers.items() if k != "*"}, scheme.input)
    return scheme.with_input(draw(st.sampled_from([*INPUTS * 3, None])))


@pytest.mark.parametrize(("make", "shape", "base"), MODELS_AND_SHAPES)
def test_random_schemes_price_as_the_model_quantized_anew(
    make: Any, shape: tuple[int, ...], base: Scheme
) -> None:
    torch.manual_seed(4)
    model = make().eval()
    quantized = quantize(model, base)
    graph = trace(quantized, shape)
    priced = 0

    @settings(max_examples=max(20, settings.default.max_examples // 10))
    @given(schemes(base, slots_of(quantized)))
    def run(scheme: Scheme) -> None:
        nonlocal priced
        priced += check(model, graph, scheme, shape)

    run()
    assert priced >= 5


LAYER_EXAMPLES = [
    pytest.param(layer, example, id=f"{name}-{i}")
    for name, layer in LAYERS.items()
    for i, example in enumerate(layer.examples())
    if layer.replaces
]


@pytest.mark.parametrize(("layer", "example"), LAYER_EXAMPLES)
def test_every_layer_under_every_scheme_that_it_takes(layer: type[QLayer], example: Example) -> None:
    torch.manual_seed(6)
    modules = example.modules()
    rows = [example.within(module) for module in modules] if example.within else list(modules)
    model = nn.Sequential(*rows).eval()
    inner = ".layer" if example.within else ""
    source = None if layer.reads_integers else example.input
    graph = trace(quantize(model, Scheme({f"0{inner}": example.slots}, source)), example.shape)
    assert any(isinstance(node.module, layer) for node in graph.nodes)
    tried = 0
    texts = (WEIGHTS[2], WEIGHTS[3], "fixed(6,2)", "fixed(10,4)", "quantized_relu(6,0)")
    for number, slot in enumerate(layer.slots):
        for text in {texts[number % len(texts)], texts[-2]}:
            slots = {**example.slots, slot: text}
            tried += check(model, graph, Scheme({f"0{inner}": slots}, source), example.shape)
    fewer = dict(list(example.slots.items())[:1])
    check(model, graph, Scheme({f"0{inner}": fewer}, source), example.shape)
    assert tried


# ---------------------------------------------------------------------- what it shares and what it keeps


def test_the_graph_and_its_model_stay_as_they_are() -> None:
    torch.manual_seed(0)
    quantized = quantize(jets().eval(), BASE)
    graph = trace(quantized, (16,))
    before = estimate(graph, targets=list(TARGETS))
    shown, state = str(quantized), {k: v.clone() for k, v in quantized.state_dict().items()}
    under(graph, Scheme.uniform("ternary()", "ternary()", "quantized_relu(3)", "quantized_bits(5,2)"))
    assert str(quantized) == shown
    assert all(torch.equal(v, state[k]) for k, v in quantized.state_dict().items())
    assert estimate(graph, targets=list(TARGETS)) == before


def test_parameters_are_read_as_they_are_now() -> None:
    torch.manual_seed(0)
    model = jets().eval()
    quantized = quantize(model, BASE)
    graph = trace(quantized, (16,))
    other = BASE.with_slot("fc1", "weight", WEIGHTS[4])
    first = under(graph, other)
    with torch.no_grad():
        quantized.get_submodule("fc1").weight.mul_(0.1)
        model.get_submodule("fc1").weight.mul_(0.1)
    second = under(graph, other)
    assert first != second
    same(second, trace(quantize(model, other), (16,)))
    quantized.get_submodule("fc2").weight = nn.Parameter(torch.zeros(8, 12))
    assert [work.weight.zeros for work in under(graph, other) if work.layer == "fc2" and work.weight] == [96]


def test_pruned_weights_stay_pruned() -> None:
    torch.manual_seed(0)
    model = jets().eval()
    Pruner(model, ConstantSparsity(0.5))
    graph = trace(quantize(model, BASE), (16,))
    check(model, graph, BASE.with_slot("fc*", "weight", WEIGHTS[4]), (16,))


def test_plans_go_with_their_graphs() -> None:
    graph = trace(quantize(jets().eval(), BASE), (16,))
    under(graph, BASE)
    key = id(graph)
    assert key in changed._PLANS
    del graph
    gc.collect()
    assert key not in changed._PLANS


def test_a_quantizer_whose_range_moves_starts_anew_each_time() -> None:
    torch.manual_seed(0)
    model = jets().eval()
    graph = trace(quantize(model, BASE), (16,))
    scheme = BASE.with_slot("fc1", "weight", "quantized_adaptive('quantized_bits',5)")
    for _ in range(3):
        check(model, graph, scheme, (16,))


def test_as_many_units_are_no_change() -> None:
    model = jets().eval()
    graph = trace(quantize(model, BASE), (16,))
    same(under(graph, BASE.with_units("fc1", 12)), graph)


# ---------------------------------------------------------------------- what it refuses


def graph_of_jets() -> Graph:
    return trace(quantize(jets().eval(), BASE), (16,))


@pytest.mark.parametrize(
    ("scheme", "error", "message"),
    [
        (
            BASE.with_units("fc1", 6),
            CostError,
            "units: fc1 has 12 neurons in this graph, the scheme keeps 6; "
            "trace quantize(model, scheme) once for each choice of units",
        ),
        (
            BASE.with_units("relu1", 6),
            CostError,
            "units: relu1 has no neurons to choose from; "
            "trace quantize(model, scheme) once for each choice of units",
        ),
        (
            BASE.with_slot("fc9", "weight", WEIGHTS[0]),
            SchemeError,
            "the scheme names 'fc9', which matches no layer; "
            "did you mean 'fc2'? Layers: fc1, relu1, fc2, relu2, output",
        ),
        (
            BASE.with_input(None),
            GraphError,
            "fc1 reads a tensor that no quantizer made (input); put a quantizer after input",
        ),
        (
            Scheme({"fc1": {"weight": WEIGHTS[0]}, "relu*": {"output": ACTIVATIONS[0]}}, INPUTS[0]),
            GraphError,
            "the bias of fc1 has no quantizer; give it a bias_quantizer\n"
            "fc2 is a float Linear; quantize(model, scheme) turns Linear into QLinear\n"
            "output is a float Linear; quantize(model, scheme) turns Linear into QLinear",
        ),
    ],
)
def test_schemes_that_do_not_fit(scheme: Scheme, error: type[TorchqError], message: str) -> None:
    with pytest.raises(error) as fault:
        under(graph_of_jets(), scheme)
    assert str(fault.value) == message


def test_things_that_are_no_graph_and_no_scheme() -> None:
    graph = graph_of_jets()
    with pytest.raises(CostError) as fault:
        under(jets(), BASE)  # type: ignore[arg-type]
    assert str(fault.value) == "under needs a graph made by trace(model), got Sequential; trace the model"
    with pytest.raises(CostError) as fault:
        under(graph, {"fc1": {}})  # type: ignore[arg-type]
    assert str(fault.value) == "under needs a Scheme, got dict; write Scheme({...})"
    bare = Graph(**{f.name: getattr(graph, f.name) for f in fields(graph) if f.name != "traced"})
    with pytest.raises(CostError, match="under needs a graph made by trace"):
        under(bare, BASE)


def test_a_frozen_model_has_no_float_parameters() -> None:
    graph = trace(freeze(quantize(jets().eval(), BASE)), (16,))
    with pytest.raises(CostError) as fault:
        under(graph, BASE)
    assert str(fault.value) == (
        "fc1 is frozen: other quantizers need its float parameters; trace the model as it was before freeze"
    )


def test_a_graph_without_the_input_quantizer_that_the_scheme_has() -> None:
    model = nn.Sequential(QActivation("quantized_bits(8,3)"), nn.Linear(4, 2))
    scheme = Scheme({"1": {"weight": WEIGHTS[0], "bias": WEIGHTS[0]}})
    graph = trace(quantize(model, scheme), (4,))
    same(under(graph, scheme), graph)
    with pytest.raises(CostError) as fault:
        under(graph, scheme.with_input(INPUTS[0]))
    assert str(fault.value) == (
        "this graph has no input quantizer, and the scheme has one; trace a model that was quantized with one"
    )
