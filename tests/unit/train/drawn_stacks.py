"""Stacks drawn at random: chains of layers in any order, any quantizers, any settings of the training."""

from __future__ import annotations

import copy
import math
import random
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from torchq.nn import QActivation, QInput, QLinear, QLinearBatchNorm1d, QReLU
from torchq.prune import ConstantSparsity, PolynomialDecay, Pruner
from torchq.prune.schedule import Schedule
from torchq.train import History, fit
from torchq.train.stacked import StackReport, fit_many

WEIGHTS = (
    None,
    "quantized_bits(6,0,alpha=1)",
    "quantized_bits(3,0,symmetric=1,alpha=0.5)",
    "quantized_bits(1,0,alpha=1)",
    "ternary(alpha=1)",
    "ternary()",
    "binary(alpha=1)",
    "binary()",
    "quantized_po2(4)",
    "quantized_linear(5,1)",
    "fixed(6,2)",
    "quantized_relu(6,1)",
    'quantized_bits(4,0,alpha="auto_po2")',
    'quantized_bits(3,1,alpha="auto_po2",max_po2_exponent=0)',
    'binary(alpha="auto_po2")',
    'binary(use_01=1,alpha="auto_po2",max_po2_exponent=-1)',
    'ternary(alpha="auto_po2")',
    'quantized_bits(1,0,alpha="auto_po2")',
)
BIASES = tuple(text for text in WEIGHTS if text is None or "auto" not in text)
ACTIVATIONS = (
    None,
    "quantized_relu(6,2)",
    "quantized_relu(3,1)",
    "quantized_relu(4,1,use_sigmoid=0)",
    "quantized_bits(5,2,alpha=1)",
    "quantized_linear(6,2)",
    "ternary(alpha=1)",
    "binary(alpha=1)",
    "quantized_po2(5,4)",
    "quantized_relu_po2(4,4)",
    "quantized_relu_po2(4)",
    "fixed(7,3)",
)
INPUTS = ("quantized_bits(16,6,alpha=1)", "quantized_bits(8,3,alpha=1)", "fixed(5,2)", "ternary(alpha=1)")
"""All on grids, as networks for hardware have them; some with few values, so that ties are found."""


EXACT, NOISE = 1e-9, 1e-5
"""Smaller differences in double precision are none, or are steps that Adam makes of rounding noise."""


@dataclass
class Drawn:
    """Candidates of one structure, samples, and how they are trained.

    Attributes:
        models: the candidates.
        train: samples.
        valid: samples.
        seeds: of each candidate.
        rates: learning rate of each candidate.
        prune: schedule of each candidate, or None.
        settings: what all trainings share.
        rungs: see ``fit_many``.
        chunk: see ``fit_many``.
    """

    models: list[nn.Module]
    train: tuple[Tensor, Tensor]
    valid: tuple[Tensor, Tensor]
    seeds: list[int]
    rates: list[float]
    prune: list[Schedule | None]
    settings: dict[str, Any]
    rungs: list[tuple[int, float]] = field(default_factory=list)
    chunk: int | None = None


def drawn(seed: int, dtype: torch.dtype = torch.float64, *, norms: bool = True) -> Drawn:
    """A case, with batch norms or without; the same seed gives the same one."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    inputs, classes, count = draw.randint(1, 9), draw.randint(2, 5), draw.randint(2, 6)
    plan = _plan(draw) if norms else _without_norms(_plan(draw))
    models = [_model(draw, plan, inputs, classes).to(dtype) for _ in range(count)]
    epochs = draw.randint(1, 6)
    rows = draw.randint(5, 150)
    batch = draw.choice([rows, draw.randint(2, 70), draw.randint(2, 70), max(rows - 1, 2), rows // 2 + 1])
    settings = {
        "epochs": epochs,
        "batch_size": batch,
        "schedule": draw.choice(["cosine", "constant"]),
        "patience": draw.choice([None, None, 1, 2]),
        "weight_decay": draw.choice([0.0, 0.0, 0.01, 0.3]),
        "best_from": draw.randint(1, epochs) if draw.random() < 0.3 else 1,
    }
    rungs = []
    if epochs > settings["best_from"] and draw.random() < 0.25:
        rungs = [(draw.randint(settings["best_from"], epochs - 1), draw.choice([0.3, 0.5, 0.8]))]
    prunes = draw.random() < 0.25
    return Drawn(
        models,
        _samples(rows, inputs, classes, dtype, draw),
        _samples(draw.randint(3, 90), inputs, classes, dtype, draw),
        [draw.randint(0, 99) for _ in models],
        [draw.choice([1e-3, 5e-3, 2e-2, 0.1]) for _ in models],
        [_schedule(draw, model) if prunes else None for model in models],
        settings,
        rungs,
        draw.choice([None, None, 2, 3]),
    )


def _samples(
    rows: int, inputs: int, classes: int, dtype: torch.dtype, draw: random.Random
) -> tuple[Tensor, Tensor]:
    y = torch.randint(0, classes, (rows,))
    y[0] = classes - 1
    x = torch.randn(rows, inputs, dtype=torch.float64) + y[:, None] * draw.choice([0.0, 1.0])
    if draw.random() < 0.2:
        x[:, 0] = draw.choice([0.0, 0.3])
    return x.to(dtype), y


def _schedule(draw: random.Random, model: nn.Module) -> Schedule | None:
    if any(
        str(q).startswith(("binary", "quantized_po2", "quantized_bits(1,")) for q in _weight_quantizers(model)
    ):
        return None  # they make no zeros
    if draw.random() < 0.3:
        return None
    return draw.choice(
        [
            ConstantSparsity(draw.choice([0.3, 0.7]), begin=draw.choice([0, 2]), frequency=3),
            PolynomialDecay(initial=0.0, final=0.6, begin=0, end=6, frequency=2),
        ]
    )


def _weight_quantizers(model: nn.Module) -> list[Any]:
    return [getattr(m, "weight_quantizer", None) for m in model.modules()]


def _plan(draw: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Kinds of layers and what all candidates share of them."""
    plan: list[tuple[str, dict[str, Any]]] = []

    def norm() -> None:
        options = {
            "affine": draw.random() < 0.8,
            "eps": draw.choice([1e-5, 1e-3, 0.1]),
            "momentum": draw.choice([0.1, 0.01, 0.9, 1.0]),
        }
        plan.append(("norm", options))

    if draw.random() < 0.6:
        plan.append(("input", {}))
    if draw.random() < 0.2:
        norm()
    layers = draw.randint(1, 3)
    for layer in range(1, layers + 1):
        last = layer == layers
        if not last and draw.random() < 0.35:
            options = {
                "bias": draw.random() < 0.7,
                "eps": draw.choice([1e-5, 1e-3, 0.1]),
                "momentum": draw.choice([0.1, 0.01, 0.9, 1.0]),
                "folding": draw.choice(["ema_stats", "batch_stats"]),
            }
            plan.append(("folded", {**options, "output": draw.random() < 0.2}))
        else:
            plan.append(("linear", {"bias": draw.random() < 0.7, "output": draw.random() < 0.2}))
        if draw.random() < (0.4 if not last else 0.15):
            norm()
        if not last and draw.random() < 0.9:
            plan.append(("relu" if draw.random() < 0.7 else "activation", {}))
        if not last and draw.random() < 0.2:
            norm()
    return plan


def _without_norms(plan: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    kinds = {"folded": "linear"}
    kept = ("bias", "output")
    return [
        (kinds.get(kind, kind), {name: value for name, value in options.items() if name in kept})
        for kind, options in plan
        if kind != "norm"
    ]


def _model(
    draw: random.Random, plan: list[tuple[str, dict[str, Any]]], inputs: int, classes: int
) -> nn.Module:
    width, layers = inputs, []
    last = max(index for index, (kind, _) in enumerate(plan) if kind in ("linear", "folded"))
    for index, (kind, options) in enumerate(plan):
        if kind == "input":
            layers.append(QInput(draw.choice(INPUTS)))
        elif kind == "relu":
            quantizer = draw.choice(ACTIVATIONS)
            layers.append(nn.ReLU() if quantizer is None else QReLU(quantizer))
        elif kind == "activation":
            layers.append(QActivation(draw.choice(ACTIVATIONS[1:])))
        elif kind == "norm":
            layers.append(started(nn.BatchNorm1d(width, **options), draw))
        else:
            units = classes if index == last else draw.choice([1, 3, 5, 8, 17])
            given = {name: value for name, value in options.items() if name != "output"}
            given["weight_quantizer"] = draw.choice(WEIGHTS)
            given["bias_quantizer"] = draw.choice(BIASES)
            given["output_quantizer"] = draw.choice(ACTIVATIONS[1:]) if options["output"] else None
            made: nn.Module
            if kind == "folded":
                made = QLinearBatchNorm1d(width, units, **given)
                started(made.batch_norm, draw)
            else:
                made = QLinear(width, units, **given)
            layers.append(made)
            width = units
    return nn.Sequential(*layers)


def started(norm: nn.BatchNorm1d, draw: random.Random) -> nn.BatchNorm1d:
    """A batch norm as after some training, at times."""
    if draw.random() < 0.5:
        with torch.no_grad():
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.2, 3)
            if norm.affine:
                norm.weight.normal_()
                norm.bias.normal_()
    return norm


# ---------------------------------------------------------------------- trained and compared


@dataclass(frozen=True)
class Compared:
    """One candidate of a stack beside ``fit``.

    Attributes:
        number: of the candidate.
        gap: the largest difference of a weight or statistic, relative where it is above 1.
        where: its name.
        loss: the largest relative difference of a loss.
        epoch: the first one whose losses differ by more than 1e-9.
        same: whether the number of epochs, the best one and stopping are the same.
        own: how far ``fit`` parts from itself when its first weights change in the last digits, or when it
            adds in another order.
        answers: how far the logits of all samples part; infinitely, if nobody looked.
    """

    number: int
    gap: float
    where: str
    loss: float
    epoch: int
    same: bool
    own: float = 0.0
    answers: float = math.inf

    @property
    def agrees(self) -> bool:
        """Whether weights, losses and epochs are those of ``fit``."""
        return self.same and max(self.gap, self.loss) < EXACT

    @property
    def unexplained(self) -> bool:
        """Whether it parts from ``fit`` where ``fit`` does not part from itself.

        Weights that have no gradient but rounding noise, of which Adam makes steps, may part, by a little or
        as long as no answer changes.
        """
        size = max(self.gap, self.loss)
        noise = self.gap < NOISE or self.answers < EXACT
        return not (self.same and self.loss < EXACT and (self.gap < EXACT or noise)) and self.own < size / 100


class Twin(nn.Module):
    """The same network, which adds in another order: of the rows of each batch and, of flat ones, of neurons.

    Args:
        model: the network, a chain of layers with names that are numbers.
        seed: of the orders.
    """

    def __init__(self, model: nn.Module, seed: int) -> None:
        super().__init__()
        self.model, self.seed = copy.deepcopy(model), seed
        self._drawn = torch.Generator().manual_seed(seed)
        self._orders: dict[str, tuple[Tensor | None, Tensor]] = {}
        layers = [layer for layer in self.model.children() if isinstance(layer, nn.Linear)]
        self.flat = not any(isinstance(layer, nn.Conv1d | nn.Conv2d) for layer in self.model.children())
        if not self.flat:
            return
        here = torch.randperm(layers[0].in_features, generator=self._drawn)
        self.register_buffer("inputs", here, persistent=False)
        for name, layer in self.model.named_children():
            before = here
            if isinstance(layer, nn.Linear):
                count = layer.out_features
                last = layer is layers[-1]
                here = torch.arange(count) if last else torch.randperm(count, generator=self._drawn)
            self._orders[name] = before, here
        self.model.load_state_dict(self._moved(self.model.state_dict(), back=False))

    def _moved(self, state: dict[str, Tensor], *, back: bool) -> dict[str, Tensor]:
        if not self.flat:
            return state
        found = {}
        for name, value in state.items():
            before, here = self._orders[name.partition(".")[0]]
            if back:
                before, here = before.argsort(), here.argsort()
            found[name] = value[here] if value.ndim and len(value) == len(here) else value
            if value.ndim == 2 and "weight" in name.split(".")[1] and "quantizer" not in name:
                found[name] = found[name][:, before]
        return found

    def state(self) -> dict[str, Tensor]:
        """Weights and statistics in the order of the network given."""
        return copy.deepcopy(self._moved(self.model.state_dict(), back=True))

    def forward(self, x: Tensor) -> Tensor:
        """The network's answers."""
        order = torch.randperm(len(x), generator=self._drawn)
        answer = self.model(x[order][:, self.inputs] if self.flat else x[order])
        return torch.empty_like(answer).index_copy(0, order, answer)


def alone(case: Drawn, number: int, given: nn.Module, epochs: int) -> tuple[History, dict[str, Tensor]]:
    """What ``fit`` makes of a model, and its state at the best of the first epochs."""
    model = given.model if isinstance(given, Twin) else given

    def state() -> dict[str, Tensor]:
        return given.state() if isinstance(given, Twin) else copy.deepcopy(model.state_dict())

    states: list[dict[str, Tensor]] = []
    schedule = case.prune[number]
    pruner = None if schedule is None else Pruner(model, schedule)

    def remember(_: object) -> None:
        states.append(state())

    found = fit(
        given, case.train, case.valid, lr=case.rates[number], seed=case.seeds[number], on_epoch=remember,
        after_step=() if pruner is None else pruner.step, **case.settings,
    )  # fmt: skip
    records = found.epochs[:epochs]
    first = case.settings["best_from"]
    best = min(records[first - 1 :] or records, key=lambda record: record.valid_loss).epoch
    if best == found.best_epoch:
        return History(records, best, len(records) < case.settings["epochs"]), state()
    return History(records, best, True), states[best - 1]


def compared(case: Drawn, *, own: bool = True, **options: Any) -> list[Compared]:
    """Train the stack and each candidate by ``fit``.

    Args:
        case: to be trained; its models are changed.
        options: more arguments of ``fit_many``.
    """
    first = copy.deepcopy(case.models)
    reports: list[StackReport] = []
    histories = fit_many(
        case.models, case.train, case.valid, lr=case.rates, seeds=case.seeds, prune=case.prune,
        rungs=case.rungs, chunk=case.chunk, on_report=reports.append, **{"compile": False, **options},
        **case.settings,
    )  # fmt: skip
    assert not reports[0].alone, reports[0].summary()
    found = []
    for number, (model, history) in enumerate(zip(case.models, histories, strict=True)):
        assert isinstance(history, History), history
        length = len(history.epochs)
        expected, state = alone(case, number, copy.deepcopy(first[number]), length)
        made = _beside(number, history, model.state_dict(), expected, state)
        if not made.agrees:
            apart = 0.0
            for twin_model in (_nudged(first[number], 1), *(Twin(first[number], k) for k in range(4))):
                again, other = alone(case, number, twin_model, length)
                twin = _beside(number, again, other, expected, state)
                apart = max(apart, twin.gap, twin.loss, 0.0 if twin.same else 1.0)
            other_model = copy.deepcopy(model)
            other_model.load_state_dict(state)
            made = Compared(**{**vars(made), "own": apart, "answers": _apart(case, model, other_model)})
        found.append(made)
    return found


def _apart(case: Drawn, one: nn.Module, other: nn.Module) -> float:
    """How far the logits of two networks part on all samples, relative where they are above 1."""
    x = torch.cat([case.train[0], case.valid[0]])
    with torch.no_grad():
        mine, theirs = (model.eval()(x) for model in (one, other))
    return float(((mine - theirs).abs() / theirs.abs().clamp_min(1)).max())


def _nudged(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose weights differ in the last digits."""
    copied = copy.deepcopy(model)
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in copied.parameters():
            noise = torch.randn(parameter.shape, generator=drawn, dtype=torch.float64).to(parameter.dtype)
            parameter.mul_(1 + 4 * torch.finfo(parameter.dtype).eps * noise)
    return copied


def _beside(
    number: int, mine: History, state: dict[str, Tensor], its: History, other: dict[str, Tensor]
) -> Compared:
    assert state.keys() == other.keys()
    gaps = {}
    for name, value in state.items():
        given = other[name].double()
        gaps[name] = float(((value.double() - given).abs() / given.abs().clamp_min(1)).max())
    where = max(gaps, key=lambda name: gaps[name])
    losses = [
        max(_ratio(a.loss, b.loss), _ratio(a.valid_loss, b.valid_loss))
        for a, b in zip(mine.epochs, its.epochs, strict=False)
    ]
    same = (len(mine.epochs), mine.best_epoch, mine.stopped_early) == (
        len(its.epochs), its.best_epoch, its.stopped_early,
    )  # fmt: skip
    epoch = next((index for index, loss in enumerate(losses, 1) if loss > 1e-9), 0)
    return Compared(number, gaps[where], where, max(losses), epoch, same)


def _ratio(a: float, b: float) -> float:
    return abs(a - b) / max(abs(b), 1e-3)
