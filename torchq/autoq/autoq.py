"""``autoq``: somebody's own network and samples in, the winner of a search out, trained."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from torchq.autoq.evaluation import ACCURACY, TrainAndPrice
from torchq.autoq.references import BF, REFERENCES, Reference, float_reference, trained_reference
from torchq.autoq.reproduce import reproduce
from torchq.autoq.training import Training
from torchq.scheme import Scheme
from torchq.search import ForgivingFactor, Goal, SearchResult, Space, Trial, run_search
from torchq.search.executors import Executor
from torchq.train.loop import Loss, Samples


@dataclass(frozen=True)
class AutoQResult:
    """What :func:`autoq` found.

    Args:
        model: the winner, trained, in evaluation mode; export it as it is.
        metrics: its accuracy on the validation samples after its last training, and its costs.
        trial: the journal's line of it.
        search: all trials, the Pareto set, and what the searcher took.
        references: ``"float"``, ``"BF"``, ``"Q6"``: the networks beside it.
        evaluation: what trained and priced them; :func:`reproduce` takes it.
    """

    model: nn.Module
    metrics: Mapping[str, float]
    trial: Trial
    search: SearchResult
    references: Mapping[str, Reference]
    evaluation: TrainAndPrice

    @property
    def scheme(self) -> Scheme:
        """The winner's scheme."""
        return Scheme.from_dict(self.trial.scheme)

    def text(self) -> str:
        """A table: the winner beside the references."""
        rows = [(name, one.metrics) for name, one in self.references.items()]
        rows.append((f"trial {self.trial.number}", self.metrics))
        names = [ACCURACY, *(name for name in self.metrics if name != ACCURACY)]
        lines = [["network", *names]]
        for name, metrics in rows:
            lines.append([name, *(f"{metrics[key]:,.6g}" if key in metrics else "-" for key in names)])
        widths = [max(len(line[i]) for line in lines) for i in range(len(names) + 1)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
        )


def autoq(
    model: nn.Module,
    train: Samples,
    valid: Samples,
    space: Space,
    goal: str | Goal = "energy_pj",
    *,
    trials: int = 64,
    journal: str | Path | None = None,
    searcher: str = "ax",
    options: Mapping[str, Any] | None = None,
    batch: int = 16,
    seed: int = 0,
    training: Training | None = None,
    final: Training | None = None,
    references: Mapping[str, Scheme] = REFERENCES,
    costs: Sequence[str] = ("bits", "energy_pj"),
    cost_settings: Mapping[str, Any] | None = None,
    loss: Loss | None = None,
    device: str = "cpu",
    stacked: bool = True,
    exportable: bool = True,
    executor: Executor | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> AutoQResult:
    """Search for the best heterogeneous quantization of a trained float network.

    With a journal, a search that was stopped goes on where it was when it is called again with the same
    arguments.

    Args:
        model: the float network, trained; it stays as it is.
        train: samples to learn, ``([rows, ...], [rows])``.
        valid: samples that choose best epochs and give the accuracy.
        space: what may be tried; see :func:`torchq.search.build_space`.
        goal: what is maximised; the name of a cost stands for AutoQKeras's forgiving factor of this cost with
            its defaults, against BF.
        trials: how many there shall be.
        journal: the file that keeps them; by default one that is gone afterwards.
        searcher: a name in ``SEARCHERS``.
        options: more arguments of the searcher.
        batch: how many are asked for at once and trained as one stack.
        seed: of everything.
        training: of every trial.
        final: of the winner; by default it is trained again as its trial was.
        references: networks to compare with; the first one is what costs are relative to.
        costs: figures to report beside those of the goal.
        cost_settings: settings of the cost targets.
        loss: by default cross entropy.
        device: where to train.
        stacked: train many trials as one program.
        exportable: refuse what stands on no hardware grid.
        executor: where stacks are evaluated; by default here.
        on_trial: called after each new trial is on the disk.

    Returns:
        The winner, trained, with its trial, the search and the references.

    Raises:
        SearchError: arguments out of range, a journal of another search, or nothing but failed trials.
        UnknownNameError: an unknown searcher or cost.

    Example:
        ``examples/autoq.py`` is a whole script.
    """
    named = (goal,) if isinstance(goal, str) else goal.costs
    limited = () if isinstance(goal, str) else (limit.metric for limit in goal.limits)
    figures = tuple(dict.fromkeys([*costs, *named, *(name for name in limited if name != ACCURACY)]))
    evaluation = TrainAndPrice(
        model,
        train,
        valid,
        space,
        training=training,
        costs=figures,
        cost_settings=cost_settings,
        loss=loss,
        device=device,
        stacked=stacked,
        trials=trials,
        exportable=exportable,
    )
    if isinstance(goal, str):
        first = next(iter(references.values()), BF)
        (name,) = evaluation.prices.figures_of((goal,))
        goal = ForgivingFactor(name, reference=evaluation.priced(first)[name])
    with tempfile.TemporaryDirectory() as folder:
        found = run_search(
            space,
            evaluation,
            goal=goal,
            trials=trials,
            journal=journal or Path(folder) / "trials.jsonl",
            searcher=searcher,
            options=options,
            seed=seed,
            batch=batch,
            executor=executor,
            price=evaluation.price if evaluation.priced_early else None,
            identity={"evaluation": evaluation.identity()},
            on_trial=on_trial,
        )
    winner = reproduce(found.best, evaluation, training=final)
    beside = {"float": float_reference(evaluation)}
    for name, scheme in references.items():
        beside[name] = trained_reference(evaluation, name, scheme, seed, final)
    return AutoQResult(
        model=winner.model,
        metrics=MappingProxyType(dict(winner.metrics)),
        trial=found.best,
        search=found,
        references=MappingProxyType(beside),
        evaluation=evaluation,
    )
