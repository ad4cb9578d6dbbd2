"""``TrainAndPrice``: metrics follow from scheme, settings, seed and fidelity, alone and in stacks."""

from __future__ import annotations

import multiprocessing
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from autoq_problems import BASE, evaluation, network, samples, space
from torch import nn

from torchq.autoq import TrainAndPrice, Training
from torchq.convert import quantize
from torchq.cost import estimate
from torchq.errors import CostError, SearchError, TorchqError, TrainError, UnknownNameError
from torchq.prune import sparsity
from torchq.scheme import Scheme
from torchq.search import Knob, TrialInfo
from torchq.search.evaluation import Job


def jobs(where: TrainAndPrice, count: int, fidelity: float = 1.0) -> list[Job]:
    found = []
    for number in range(count):
        point = {knob.name: number % len(knob.options) for knob in where.space.knobs}
        info = TrialInfo(number, 10 + number, point, fidelity)
        found.append((where.space.scheme(point), info))
    return found


def test_a_stack_gives_what_trials_alone_give() -> None:
    evaluate = evaluation()
    asked = jobs(evaluate, 4)
    together = evaluate.many(asked)
    alone = [evaluate(*job) for job in asked]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, dict)
        assert one == pytest.approx(other, abs=0.02)
        assert (one["bits"], one["energy_pj"]) == (other["bits"], other["energy_pj"])
    assert evaluate.log.stacks == [4, 1, 1, 1, 1]


def test_the_same_job_is_trained_once() -> None:
    evaluate = evaluation()
    job = jobs(evaluate, 1)[0]
    first, second = evaluate.many([job, job])
    assert first == second
    assert first is not second
    assert evaluate.log.stacks == [1]


def test_one_that_cannot_be_made_leaves_the_others_alone() -> None:
    evaluate = evaluation()
    good = jobs(evaluate, 1)[0]
    bad = (BASE.with_slot("fc9", "weight", "ternary()"), good[1])
    failed, done = evaluate.many([bad, good])
    assert isinstance(failed, TorchqError)
    assert str(failed).startswith("the scheme names 'fc9', which matches no layer")
    assert isinstance(done, dict)
    with pytest.raises(TorchqError, match="the scheme names 'fc9'"):
        evaluate(*bad)


def test_a_loss_that_is_no_number_fails_its_trial_alone() -> None:
    calls = 0

    def loss(answer: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return nn.functional.cross_entropy(answer, classes) * (torch.nan if calls == 1 else 1.0)

    evaluate = evaluation(stacked=False, loss=loss)
    failed, done = evaluate.many(jobs(evaluate, 2))
    assert isinstance(failed, TrainError)
    assert str(failed).startswith("training: the training loss became nan in epoch 1 of 3")
    assert isinstance(done, dict)


def test_costs_are_those_of_the_trained_network() -> None:
    evaluate = evaluation(costs=("bits", "energy_pj", "ebops"))
    scheme, info = jobs(evaluate, 1)[0]
    (trained,) = evaluate.trained([(scheme, info)])
    assert not isinstance(trained, TorchqError)
    for name, value in estimate(trained.model, (3,), ("bits", "energy_pj", "ebops")).total.items():
        assert trained.metrics.get(name, value) == pytest.approx(value)


def test_prices_without_tracing_are_prices_with_tracing() -> None:
    evaluate = evaluation()
    for scheme, info in jobs(evaluate, 6):
        metrics = evaluate(scheme, TrialInfo(info.number, info.seed, info.point, 0.1))
        exact = estimate(quantize(network(), scheme), (3,)).total
        assert metrics["bits"] == exact["bits"]
        assert metrics["energy_pj"] == pytest.approx(exact["energy_pj"], rel=1e-12)
        assert evaluate.price(scheme) == {k: metrics[k] for k in ("bits", "energy_pj")}


def test_quantizers_in_the_place_of_activations_are_priced_before_training() -> None:
    texts = ("binary()", "ternary()", "quantized_relu(4,2)", "quantized_bits(5,1,alpha=1)")
    where = space(Knob("relu1.activation", "relu1", "activation", texts))
    evaluate = evaluation(where)
    assert evaluate.priced_early
    for place in range(len(texts)):
        point = {"fc1.weight": 1, "fc1.units": 1, "relu1.activation": place}
        (trained,) = evaluate.trained([(where.scheme(point), TrialInfo(0, 0, point, 0.1))])
        assert not isinstance(trained, TorchqError)
        alone = type(trained.model.get_submodule("relu1")).__name__
        assert alone == ("QReLU" if texts[place].startswith("quantized_relu") else "QActivation")
        exact = estimate(trained.model, (3,)).total
        early = evaluate.price(where.scheme(point))
        assert early == pytest.approx({name: exact[name] for name in early}, rel=1e-12)


def test_fidelity_is_a_part_of_the_epochs() -> None:
    evaluate = evaluation(training=Training(epochs=8, batch_size=64))
    for fidelity, epochs in ((1.0, 8), (0.5, 4), (0.01, 1)):
        (trained,) = evaluate.trained(jobs(evaluate, 1, fidelity))
        assert not isinstance(trained, TorchqError)
        assert len(trained.history.epochs) == epochs


def test_more_neurons_than_the_float_network_has() -> None:
    where = space(Knob.units("fc2", [8, 20]))
    evaluate = evaluation(where)
    point = {"fc1.weight": 0, "fc1.units": 1, "fc2.units": 1}
    job = (where.scheme(point), TrialInfo(0, 5, point))
    (trained,) = evaluate.trained([job])
    assert not isinstance(trained, TorchqError)
    fc2 = trained.model.get_submodule("fc2")
    assert isinstance(fc2, nn.Linear)
    assert fc2.out_features == 20
    assert evaluate(*job) == trained.metrics


def test_pruning_learning_rate_and_activation_are_done() -> None:
    knobs = (
        Knob.pruning("*", [0.5, 0.0]),
        Knob.learning_rate([1e-3, 1e-2]),
        Knob("relu1.activation", "relu1", "activation", ("tanh", "quantized_relu(4,2)", "ternary()")),
    )
    where = space(*knobs)
    evaluate = evaluation(where)
    assert not evaluate.priced_early
    point = {"fc1.weight": 0, "fc1.units": 1, "*.pruning": 0, "learning_rate": 1, "relu1.activation": 2}
    (trained,) = evaluate.trained([(where.scheme(point), TrialInfo(0, 0, point))])
    assert not isinstance(trained, TorchqError)
    assert sparsity(trained.model).share == pytest.approx(0.5, abs=0.02)
    assert type(trained.model.get_submodule("relu1")).__name__ == "QActivation"
    assert 0 < trained.history.epochs[0].lr < 1e-2
    other = {**point, "relu1.activation": 0, "*.pruning": 1}
    scheme = where.scheme(other)
    assert where.settings(other).to_dict()["activations"] == {"relu1": "tanh"}
    (made,) = evaluate.trained([(scheme, TrialInfo(0, 0, other))])
    assert not isinstance(made, TorchqError)
    assert type(made.model.get_submodule("relu1")).__name__ == "QTanh"
    with pytest.raises(SearchError, match="these costs follow from the trained weights"):
        evaluate.price(scheme)


def test_batch_norms_folded_before_while_and_never() -> None:
    q = "quantized_bits(12,5,alpha=1)"
    norms = {f"bn{i}": {"inverse": q, "mean": q, "shift": q} for i in (1, 2)}
    sums = {f"fc{i}": {"output": q} for i in (1, 2)}
    where = space(Knob.fold(["train", "apart", "now"]))
    where = type(where)(where.knobs, Scheme({**BASE.layers, **norms, **sums}, BASE.input))
    evaluate = evaluation(where, model=network(batch_norm=True))
    kinds = []
    for fold in (0, 1, 2):
        point = {"fc1.weight": 2, "fc1.units": 1, "fold": fold}
        (trained,) = evaluate.trained([(where.scheme(point), TrialInfo(0, 0, point))])
        assert not isinstance(trained, TorchqError)
        kinds.append(type(trained.model.get_submodule("fc1")).__name__)
    assert kinds == ["QLinear", "QLinearBatchNorm1d", "QLinear"]
    assert not evaluate.priced_early


@pytest.mark.parametrize("fold", ["now", "train"])
def test_folded_batch_norms_are_priced_before_training(fold: str) -> None:
    where = space(Knob.fold([fold]))
    evaluate = evaluation(where, model=network(batch_norm=True))
    point = {"fc1.weight": 2, "fc1.units": 1, "fold": 0}
    (trained,) = evaluate.trained([(where.scheme(point), TrialInfo(0, 0, point, 0.1))])
    assert not isinstance(trained, TorchqError)
    folded = type(trained.model.get_submodule("fc1")).__name__
    assert folded == ("QLinear" if fold == "now" else "QLinearBatchNorm1d")
    early = evaluate.price(where.scheme(point))
    assert early == pytest.approx({name: trained.metrics[name] for name in early}, rel=1e-12)


def _elsewhere(evaluate: TrainAndPrice, job: Job, answer: object) -> None:
    torch.set_num_threads(1)
    answer.send(evaluate(*job))  # type: ignore[attr-defined]


@pytest.mark.slow
def test_another_process_gives_the_same_metrics() -> None:
    evaluate = evaluation()
    job = jobs(evaluate, 1)[0]
    here = evaluate(*job)
    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    worker = spawn.Process(target=_elsewhere, args=(evaluate, job, theirs))
    worker.start()
    assert mine.poll(120)
    assert mine.recv() == here
    worker.join()


def test_what_is_sent_holds_no_caches() -> None:
    evaluate = evaluation()
    before = len(ForkingPickler.dumps(evaluate))
    metrics = evaluate.many(jobs(evaluate, 4))
    assert len(ForkingPickler.dumps(evaluate)) == pytest.approx(before, abs=200)
    copy = ForkingPickler.loads(ForkingPickler.dumps(evaluate))
    assert copy.identity() == evaluate.identity()
    assert copy.many(jobs(copy, 4)) == metrics


def test_other_data_networks_and_trainings_have_another_identity() -> None:
    this = evaluation().identity()
    assert evaluation().identity() == this
    for other in (
        evaluation(training=Training(epochs=4)),
        evaluation(costs=("bits",)),
        evaluation(cost_settings={"weights_on_memory": "fixed"}),
        evaluation(model=network(batch_norm=True)),
        TrainAndPrice(network(), samples(200), samples(128, 1), space()),
    ):
        assert other.identity() != this


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (
            lambda: TrainAndPrice(network(), (torch.zeros(0, 3), torch.zeros(0)), samples(), space()),
            SearchError,
            "training samples: 0 rows of features and 0 classes; they need to be as many",
        ),
        (lambda: evaluation(costs=("energy",)), UnknownNameError, "unknown cost target or figure 'energy'"),
        (lambda: evaluation(cost_settings={"procss": 1}), CostError, "unknown setting 'procss' for bits"),
        (lambda: Training(epochs=0), TrainError, "training: epochs must be at least 1, got 0"),
        (lambda: Training(learning_rate=0), TrainError, "training: learning_rate must be above 0, got 0"),
        (lambda: Training(weight_decay=-1), TrainError, "training: weight_decay must be at least 0, got -1"),
    ],
)
def test_slips_are_named(make: object, error: type[TorchqError], sentence: str) -> None:
    with pytest.raises(error) as caught:
        make()  # type: ignore[operator]
    assert str(caught.value).startswith(sentence)
