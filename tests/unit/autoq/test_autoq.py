"""``autoq``: the winner comes back trained, its references beside it, and from its journal line again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from autoq_problems import evaluation, network, samples, space

from torchq.autoq import Training, autoq, reproduce
from torchq.autoq.evaluation import Trained
from torchq.cost import estimate
from torchq.errors import SearchError, UnknownNameError
from torchq.prune import sparsity
from torchq.search import Knob, MultiObjective, Trial, TrialInfo, read_journal
from torchq.search.limits import Limit
from torchq.train import accuracy, fit, predict_logits
from torchq.train.stacked import native

SHORT = Training(epochs=3, batch_size=64)


def float_network() -> torch.nn.Module:
    net = network()
    fit(net, samples(), samples(128, 1), epochs=5, batch_size=32, lr=1e-2)
    return net


def test_the_winner_is_trained_and_stands_beside_its_references(tmp_path: Path) -> None:
    net, valid = float_network(), samples(128, 1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = autoq(
        net, samples(), valid, space(), "bits", trials=4, batch=2, searcher="random", training=SHORT,
        final=Training(epochs=6, batch_size=64), journal=tmp_path / "trials.jsonl",
    )  # fmt: skip
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert found.metrics["accuracy"] == accuracy(valid[1], predict_logits(found.model, valid[0]))
    assert found.metrics["bits"] == estimate(found.model, (3,)).total["bits"]
    assert not found.model.training
    assert found.trial in found.search.trials
    assert list(found.references) == ["float", "BF", "Q6"]
    assert found.references["BF"].metrics["bits"] > found.references["Q6"].metrics["bits"]
    assert len(found.text().splitlines()) == 5
    head, trials = read_journal(tmp_path / "trials.jsonl")
    assert head["evaluation"] == found.evaluation.identity()
    assert len(trials) == 4
    again = autoq(
        net, samples(), valid, space(), "bits", trials=4, batch=2, searcher="random", training=SHORT,
        journal=tmp_path / "trials.jsonl",
    )  # fmt: skip
    assert again.search.restored == 4
    assert again.trial == found.trial


def test_a_journal_line_gives_the_same_network_again(tmp_path: Path) -> None:
    where = space(Knob.learning_rate([5e-3, 2e-2]), Knob.pruning("fc*", [0.5, 0.0]))
    autoq(
        float_network(), samples(), samples(128, 1), where, MultiObjective("bits"), trials=3, batch=1,
        searcher="random", training=SHORT, journal=tmp_path / "trials.jsonl",
    )  # fmt: skip
    head, trials = read_journal(tmp_path / "trials.jsonl")
    evaluate = evaluation(where, model=float_network(), training=SHORT)
    for trial in trials:
        line = Trial.from_dict(trial.to_dict())
        first = reproduce(line, evaluate, identity=head)
        assert first.metrics == trial.metrics
        second = reproduce(line, evaluate)
        assert all(
            torch.equal(a, b)
            for a, b in zip(
                first.model.state_dict().values(), second.model.state_dict().values(), strict=True
            )
        )


@pytest.mark.skipif(native.lack(native.CHAIN) is not None, reason=str(native.lack(native.CHAIN)))
def test_a_trial_of_a_compiled_stack_comes_back_to_the_last_bit() -> None:
    where = space(Knob.learning_rate([5e-3, 2e-2]), Knob.pruning("fc*", [0.5, 0.0]))
    evaluate = evaluation(where, model=float_network(), training=SHORT, trials=10**6)
    points = [
        {"fc1.weight": k % 3, "fc1.units": k % 2, "learning_rate": k % 2, "fc*.pruning": k // 2}
        for k in range(4)
    ]
    jobs = [(where.scheme(point), TrialInfo(k, k, point)) for k, point in enumerate(points)]
    stacked = evaluate.trained(jobs)
    assert evaluate.log.stacks == [4]
    for (scheme, info), its in zip(jobs, stacked, strict=True):
        assert isinstance(its, Trained)
        trial = Trial(info.number, points[info.number], scheme.to_dict(), info.seed, "complete", its.metrics)
        again = reproduce(trial, evaluate)
        assert again.metrics == its.metrics
        one, other = again.model.state_dict(), its.model.state_dict()
        assert all(torch.equal(value, other[name]) for name, value in one.items())
        assert (sparsity(its.model).share > 0.4) == (info.number < 2)


def test_another_search_cannot_be_reproduced(tmp_path: Path) -> None:
    autoq(
        network(), samples(), samples(128, 1), space(), MultiObjective("bits"), trials=1, batch=1,
        searcher="random", training=SHORT, journal=tmp_path / "trials.jsonl", references={},
    )  # fmt: skip
    head, (trial,) = read_journal(tmp_path / "trials.jsonl")
    with pytest.raises(SearchError, match=r"the journal's training is .*'epochs': 3.*, this evaluation's is"):
        reproduce(trial, evaluation(training=Training(epochs=4)), identity=head)
    other = space(Knob.units("fc2", [4, 8]))
    with pytest.raises(SearchError, match=r"the point says nothing about knob fc2.units"):
        reproduce(trial, evaluation(other))
    narrow = type(other)((Knob.quantizer("fc1", "weight", ["ternary()", "binary()", "quantized_bits(2,0)"]),))
    with pytest.raises(SearchError):
        reproduce(trial, evaluation(narrow))


def test_limits_that_nothing_meets_name_the_nearest_trial() -> None:
    goal = MultiObjective("bits", limits=(Limit("bits", 10.0, at_most=True),))
    found = autoq(
        network(), samples(), samples(128, 1), space(), goal, trials=6, batch=3, searcher="random",
        training=Training(epochs=1, batch_size=64), references={},
    )  # fmt: skip
    assert found.search.unmet
    assert found.search.unmet[0].startswith("bits ")
    assert found.search.unmet[0].endswith("at most 10 is needed")


def test_bad_input_is_named() -> None:
    given = (network(), samples(), samples(128, 1), space())
    with pytest.raises(UnknownNameError, match="unknown cost target or figure 'energy'; did you mean"):
        autoq(*given, "energy", trials=1)
    with pytest.raises(UnknownNameError, match="unknown searcher 'axe'; did you mean 'ax'"):
        autoq(*given, "bits", trials=1, searcher="axe")
    broken = type(given[3])((Knob("fc9.weight", "fc9", "weight", ("ternary()", "binary()")),), given[3].base)
    with pytest.raises(
        SearchError, match="all 2 trials failed, the first one because: the scheme names 'fc9'"
    ):
        autoq(
            *given[:3],
            broken,
            MultiObjective("bits"),
            trials=4,
            searcher="random",
            references={},
            stacked=False,
        )
