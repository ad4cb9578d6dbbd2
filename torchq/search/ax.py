"""``AxSearcher``: Bayesian optimisation by Ax. The only file that knows Ax.

Ax keeps the experiment, its thresholds and constraints, and models the objectives by Gaussian processes. Its
own optimisers look for points by gradients, one after the other: 28 seconds of CPU for 32 points of two
objectives after 96 trials. Spaces of schemes are grids, so the batch is chosen from a pool of their points
(:mod:`torchq.search.pool`) by the same measure, expected (hypervolume) improvement, in half a second. Ax is
told about all trials at once, when it is asked: its state is what the journal says, and nothing else.
``python -m benchmarks.searchers`` measures what that leaves.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from torchq.errors import SearchError
from torchq.search.base import SEARCHERS, Searcher
from torchq.search.beside import Beside
from torchq.search.breeding import Key
from torchq.search.goal import Goal, Outcome
from torchq.search.pool import Array, Belief, Pool
from torchq.search.ranking import ranked
from torchq.search.sampling import sobol_points
from torchq.search.space import Point, Position, Space
from torchq.search.trial import Proposal

AGE = "1.3."
"""How the version of the Ax begins that this file is written for."""

LEAST_OBSERVED = 3
"""Completed trials that Ax's model needs before it proposes anything."""

FIT_STEPS = 50
"""Steps of a fit of the Gaussian process. The last digit takes 3 to 5 times as long and finds no better."""

TOGETHER = 256
"""Points whose marginals are asked for at once: a posterior computes all their covariances."""


@SEARCHERS.register("ax")
class AxSearcher(Searcher):
    """Sobol points first, then what Ax's Gaussian process finds most promising.

    One objective is searched by expected improvement, several by expected hypervolume improvement over the
    goal's thresholds; limits of the goal are outcome constraints. A failed trial is told to Ax as the worst
    that was seen, so that it looks elsewhere. Points of a batch are chosen one beside the other, and beside
    those whose outcome is still open.

    Args:
        space: where to search.
        goal: what is maximised.
        seed: of the Sobol points and of all dice.
        start: points that are proposed before all others, such as the references.
        initial: how many points, ``start`` included, are tried before Ax's model takes over; by default one
            more than there are knobs, but at least 5 and at most 12.

    Raises:
        SearchError: as :class:`Searcher`; later, an Ax that is missing or too old or new.
    """

    def __init__(
        self,
        space: Space,
        goal: Goal,
        *,
        seed: int = 0,
        start: Sequence[Point] = (),
        initial: int | None = None,
    ) -> None:
        super().__init__(space, goal, seed=seed, start=start)
        self._free = [place for place, knob in enumerate(space.knobs) if len(knob.options) > 1]
        self._initial = min(max(len(self._free) + 1, 5), 12) if initial is None else initial
        self._told: dict[Key, Outcome] = {}
        self._failed: list[Key] = []

    def ask(self, count: int = 1) -> list[Proposal]:
        """As :meth:`Searcher.ask`; Ax itself is imported while the first points are tried."""
        proposals = super().ask(count)
        _AX.start()
        return proposals

    def _propose(self, count: int) -> Sequence[Position]:
        tried = len(self._taken)
        sobol = count if len(self._told) < LEAST_OBSERVED else max(min(self._initial - tried, count), 0)
        positions = sobol_points(self.space, self.seed, tried, sobol)
        if sobol == count:
            _expected()
        else:
            _loaded()
            positions += self._model(tried + sobol, count - sobol)
        return positions

    def _model(self, first: int, count: int) -> list[Position]:
        """What Ax proposes; the Sobol points of these numbers where Ax cannot."""
        try:
            with _quiet():
                keys = self._batch(count)
        except Exception as fault:  # Ax's and BoTorch's numerical failures have no common class
            self.notes.append(
                f"trial {first}: Ax could not propose a point ({fault}); a Sobol point was used"
            )
            return sobol_points(self.space, self.seed, first, count)
        short = sobol_points(self.space, self.seed, first, count - len(keys))
        return [*map(self.space.point, keys), *short]

    def _batch(self, count: int) -> list[Key]:
        """A batch of fresh points, chosen by the model that Ax fits."""
        told = {**self._told, **dict.fromkeys(self._failed, Outcome.lowest(self._told.values()))}
        order = ranked([*told.values()], self.goal)
        keys = [*told]
        pool = Pool(
            [len(knob.options) for knob in self.space.knobs],
            best=[keys[place] for place in order[:40]],
            there=[*keys, *(self.space.key(proposal.point) for proposal in self._open.values())],
            fresh=lambda key: key not in self._taken,
            admits=lambda key: self._admits(self.space.point(key)),
            generator=np.random.default_rng([self.seed, self._next]),
        )
        chosen: list[Key] = []

        def choose(belief: Belief) -> list[list[float]]:
            chosen.extend(pool.batch(belief, count))
            return [[float(key[place]) for place in self._free] for key in chosen or keys[:1]]

        adapter = self._fitted(told, choose)
        adapter.gen(count)
        return chosen

    def _fitted(self, told: dict[Key, Outcome], choose: Callable[[Belief], list[list[float]]]) -> Any:
        """Ax's model of an experiment that holds these trials."""
        from ax.adapter.registry import Generators  # noqa: TID251
        from ax.api.utils.instantiation.from_string import (  # noqa: TID251
            optimization_config_from_string,
        )
        from ax.core.arm import Arm  # noqa: TID251
        from ax.core.data import Data  # noqa: TID251
        from ax.core.experiment import Experiment  # noqa: TID251
        from ax.core.parameter import ParameterType, RangeParameter  # noqa: TID251
        from ax.core.search_space import SearchSpace  # noqa: TID251
        from ax.generators.torch.botorch_modular.surrogate import (  # noqa: TID251
            ModelConfig,
            SurrogateSpec,
        )
        from pandas import DataFrame

        model = _gaussian_process()
        experiment = Experiment(
            search_space=SearchSpace(
                [
                    RangeParameter(
                        name=_parameter(place),
                        parameter_type=ParameterType.FLOAT,
                        lower=0.0,
                        upper=float(len(self.space.knobs[place].options) - 1),
                    )
                    for place in self._free
                ]
            ),
            name="torchq",
            optimization_config=optimization_config_from_string(*self._sought()),
        )
        arms = [
            Arm(name=str(i), parameters={_parameter(place): float(key[place]) for place in self._free})
            for i, key in enumerate(told)
        ]
        trial = experiment.new_batch_trial()
        trial.add_arms_and_weights(arms=arms)
        trial.mark_running(no_runner_required=True)
        experiment.attach_data(Data(df=DataFrame(self._rows(told))))
        trial.mark_completed()
        spec = SurrogateSpec(model_configs=[ModelConfig(botorch_model_class=model, name="quick")])
        return Generators.BOTORCH_MODULAR(
            experiment=experiment,
            data=experiment.lookup_data(),
            surrogate_spec=spec,
            acquisition_class=_from_pool(),
            acquisition_options={"choose": choose, "columns": self._free},
        )

    def _sought(self) -> tuple[str, list[str]]:
        """Objectives, and thresholds and limits as constraints, in Ax's words."""
        objectives = self.goal.objectives
        constraints = [
            f"{_metric(i)} >= {objective.threshold!r}"
            for i, objective in enumerate(objectives)
            if objective.threshold is not None
        ]
        constraints += [f"{_metric(i + len(objectives))} >= 0.0" for i in range(len(self.goal.limits))]
        return ", ".join(_metric(i) for i in range(len(objectives))), constraints

    def _rows(self, told: dict[Key, Outcome]) -> list[dict[str, Any]]:
        return [
            {
                "trial_index": 0,
                "arm_name": str(arm),
                "metric_name": _metric(i),
                "metric_signature": _metric(i),
                "mean": value,
                "sem": math.nan,
            }
            for arm, outcome in enumerate(told.values())
            for i, value in enumerate((*outcome.values, *outcome.margins))
        ]

    def _observe(self, proposal: Proposal, outcome: Outcome) -> None:
        self._told[self.space.key(proposal.point)] = outcome

    def _reject(self, proposal: Proposal, reason: str) -> None:  # noqa: ARG002
        self._failed.append(self.space.key(proposal.point))

    def _study(self, point: Point, outcome: Outcome) -> None:
        self._told[self.space.key(point)] = outcome


def _parameter(index: int) -> str:
    return f"knob_{index}"


def _metric(index: int) -> str:
    return f"objective_{index}"


def _load() -> None:
    """Everything of Ax that is needed here: 3,000 modules, a second and a half."""
    import ax.adapter.registry  # noqa: TID251
    import ax.generators.torch.botorch_modular.surrogate  # noqa: F401, TID251
    import pandas  # noqa: F401

    _constraints()
    _gaussian_process()
    _from_pool()


_AX = Beside(_load)


def _expected() -> None:
    """Ax is there, or can be imported beside the first trials; asked before them, not after a dozen.

    Raises:
        SearchError: as :func:`_loaded`.
    """
    try:
        there = version("ax-platform").startswith(AGE) and find_spec("ax") is not None
    except (PackageNotFoundError, ValueError):
        there = False
    if there and _AX.able:
        import rich.style  # noqa: F401 - throws Python's dice, and Ax would import it in the middle of a trial
    else:
        _loaded()


def _loaded() -> None:
    """Ax is there.

    Raises:
        SearchError: it is missing, or of another age.
    """
    try:
        with _quiet():
            _AX.wait()
    except ImportError as fault:
        raise SearchError(
            f"Ax cannot be used ({fault})", hint="pip install 'ax-platform>=1.3,<1.4'"
        ) from fault


@lru_cache(maxsize=1)
def _constraints() -> None:
    """The first constraint that Ax reads imports more of sympy."""
    from ax.api.utils.instantiation.from_string import (  # noqa: TID251
        optimization_config_from_string,
    )

    optimization_config_from_string(_metric(0), [f"{_metric(1)} >= 0.0"])


@lru_cache(maxsize=1)
def _from_pool() -> type[Any]:
    """An acquisition of Ax that leaves the choice to a function, telling it what the model believes."""
    import torch
    from ax.generators.torch.botorch_modular.acquisition import Acquisition  # noqa: TID251

    class FromPool(Acquisition):  # type: ignore[misc, unused-ignore]
        def _instantiate_acquisition(self) -> None:
            self.acqf = None
            self.acq_function_sequence = None
            self.models_used = [self.surrogate.model_name_by_metric]

        def _update_objective_thresholds(self, torch_opt_config: Any) -> None:
            pass  # what is missing is measured from what was seen, see _belief

        def optimize(self, *_: Any, **__: Any) -> tuple[Any, Any, Any]:
            with torch.no_grad():
                rows = self.options["choose"](_belief(self))
            points = torch.tensor(rows, dtype=torch.float64).reshape(len(rows), -1)
            return points, torch.zeros(len(rows)), torch.ones(len(rows))

    return FromPool


def _belief(acquisition: Any) -> Belief:
    """What Ax's model believes, in its own units."""
    import torch

    model = acquisition._model
    weights = acquisition._objective_weights.numpy().reshape(-1, model.num_outputs)
    floors = acquisition._objective_thresholds
    constraints = acquisition._outcome_constraints
    columns = acquisition.options["columns"]

    def marginals(points: Array) -> tuple[Array, Array]:
        free, starts = torch.from_numpy(points[:, columns]), range(0, len(points), TOGETHER)
        parts = [model.posterior(free[start : start + TOGETHER]) for start in starts]
        means = torch.cat([part.mean for part in parts])
        return means.numpy(), torch.cat([part.variance for part in parts]).sqrt().numpy()

    def joint(points: Array, dice: Array) -> Array:
        posterior = model.posterior(torch.from_numpy(points[:, columns]))
        thrown = torch.from_numpy(dice if model.num_outputs > 1 else dice[..., 0])
        samples = posterior.rsample_from_base_samples(torch.Size([len(dice)]), thrown)
        return np.asarray(samples.numpy())

    def objectives(samples: Array) -> Array:
        return np.asarray(samples @ weights.T)

    def lacks(samples: Array) -> Array:
        if constraints is None:
            return np.zeros(samples.shape[:-1])
        left, right = (side.numpy() for side in constraints)
        return np.asarray(np.maximum(samples @ left.T - right.reshape(-1), 0.0).sum(axis=-1))

    seen = objectives(model.posterior(acquisition.X_observed).mean.numpy())
    lowest = seen.min(axis=0) - 0.1 * (seen.max(axis=0) - seen.min(axis=0))
    given = np.full(len(lowest), np.nan) if floors is None else floors.numpy()
    has = np.isfinite(given)
    return Belief(marginals, joint, objectives, np.where(has, given, lowest), lacks, has)


@lru_cache(maxsize=1)
def _gaussian_process() -> type[Any]:
    """BoTorch's standard Gaussian process, fitted in :data:`FIT_STEPS` steps; Ax looks up how to fit it."""
    from ax.generators.torch.botorch_modular.utils import fit_botorch_model  # noqa: TID251
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP

    class QuickGaussianProcess(SingleTaskGP):  # type: ignore[misc, unused-ignore]
        pass

    def fit(model: Any, mll_class: Any, mll_options: Any = None) -> None:
        likelihood = mll_class(likelihood=model.likelihood, model=model, **(mll_options or {}))
        fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": FIT_STEPS}})

    fit_botorch_model.register(QuickGaussianProcess)(fit)
    return QuickGaussianProcess


@lru_cache(maxsize=1)
def _threads() -> Any:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped, unused-ignore]

    return ThreadpoolController()


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings, no log lines and no second thread of Ax in here; outside, everything is as it was.

    Its matrices are so small that more threads make it slower, much slower where others compute as well.
    """
    handlers = [(handler, handler.level) for handler in logging.getLogger("ax").handlers]
    with warnings.catch_warnings(), _threads().limit(limits=1):
        warnings.simplefilter("ignore")
        for handler, _ in handlers:
            handler.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for handler, level in handlers:
                handler.setLevel(level)
