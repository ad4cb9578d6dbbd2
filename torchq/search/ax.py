"""``AxSearcher``: Bayesian optimisation by Ax. The only file that knows Ax.

Ax is slow where knobs are whole numbers (its discrete optimisers take up to 40 seconds a step with two
objectives) and where its Gaussian process is fitted to the last digit. So every ordered knob is relaxed to a
real range and rounded here, Ax being told about the rounded point and not about its own wish; the fit ends
after :data:`FIT_STEPS` steps; and few starting points are followed, :data:`CLIMB_STEPS` steps each.
``python -m benchmarks.searchers`` measures what that leaves.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from torchq.errors import SearchError
from torchq.search.base import SEARCHERS, Searcher
from torchq.search.goal import Goal, Outcome
from torchq.search.space import Point, Position, Space
from torchq.search.trial import Proposal

if TYPE_CHECKING:
    from ax.api.client import Client  # noqa: TID251

LEAST_OBSERVED = 3
"""Completed trials that Ax's model needs before it proposes anything."""

FIT_STEPS = 50
"""Steps of a fit of the Gaussian process. The last digit takes 3 to 5 times as long and finds no better."""

CLIMB_STEPS = 25
"""Steps from a starting point towards the most promising point. More cost most while no trial is feasible."""


@SEARCHERS.register("ax")
class AxSearcher(Searcher):
    """Sobol points first, then what Ax's Gaussian process finds most promising.

    One objective is searched by expected improvement, two by expected hypervolume improvement over the goal's
    thresholds. A failed trial is told to Ax as the worst that was seen, so that it looks elsewhere.

    Args:
        space: where to search.
        goal: what is maximised.
        seed: of the Sobol points and of Ax.
        start: points that are proposed before all others, such as the references.
        initial: how many points, ``start`` included, are tried before Ax's model takes over; by default one
            more than there are knobs, but at least 5 and at most 12.
        restarts: starting points of the search for the next point.
        raw_samples: random points that these are chosen from.

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
        restarts: int = 4,
        raw_samples: int = 128,
    ) -> None:
        super().__init__(space, goal, seed=seed, start=start)
        self._free = [knob for knob in space.knobs if len(knob.options) > 1]
        self._initial = min(max(len(self._free) + 1, 5), 12) if initial is None else initial
        self._restarts = restarts
        self._raw_samples = raw_samples
        self._client: Client | None = None
        self._index: dict[int, int] = {}
        self._worst: list[float] = []
        self._observed = 0

    def _propose(self, count: int) -> Sequence[Position]:
        tried = len(self._taken)
        sobol = count if self._observed < LEAST_OBSERVED else max(min(self._initial - tried, count), 0)
        positions = self._sobol(tried, sobol)
        if sobol < count:
            positions += self._model(tried + sobol, count - sobol)
        return positions

    def _sobol(self, first: int, count: int) -> list[Position]:
        """Rows ``first`` and following of a scrambled Sobol sequence over the points of the space."""
        from torch.quasirandom import SobolEngine

        if count == 0:
            return []
        engine: Any = SobolEngine(len(self.space.knobs), scramble=True, seed=self.seed)  # type: ignore[no-untyped-call]
        rows = engine.fast_forward(first).draw(count).tolist()
        return [
            {
                k.name: min(int(u * len(k.options)), len(k.options) - 1)
                for k, u in zip(self.space.knobs, row, strict=True)
            }
            for row in rows
        ]

    def _model(self, first: int, count: int) -> list[Position]:
        """What Ax proposes; the Sobol points of these numbers where Ax cannot."""
        client = self._ax()
        try:
            with _quiet():
                wishes = client.get_next_trials(max_trials=count)
                for index in wishes:  # a wish is no trial: the rounded point is, see _begin
                    client.mark_trial_failed(index)
        except Exception as fault:  # Ax's and BoTorch's numerical failures have no common class
            self.notes.append(
                f"trial {first}: Ax could not propose a point ({fault}); a Sobol point was used"
            )
            return self._sobol(first, count)
        fixed = dict.fromkeys((knob.name for knob in self.space.knobs), 0.0)
        places = {_parameter(i): knob.name for i, knob in enumerate(self._free)}
        return [
            fixed | {places[name]: float(value) for name, value in wish.items()} for wish in wishes.values()
        ]

    def _begin(self, proposal: Proposal) -> None:
        if self._free:
            client = self._ax()
            with _quiet():
                self._index[proposal.number] = client.attach_trial(
                    {_parameter(i): float(proposal.point[knob.name]) for i, knob in enumerate(self._free)}
                )

    def _observe(self, proposal: Proposal, outcome: Outcome) -> None:
        self._observed += 1
        self._worst = [min(pair) for pair in zip(self._worst or outcome.values, outcome.values, strict=True)]
        self._complete(proposal.number, outcome.values)

    def _reject(self, proposal: Proposal, reason: str) -> None:
        number = proposal.number
        if self._worst:
            self._complete(number, self._worst)
        elif number in self._index:
            with _quiet():
                self._ax().mark_trial_failed(self._index.pop(number), failed_reason=reason)

    def _complete(self, number: int, values: Sequence[float]) -> None:
        if number in self._index:
            with _quiet():
                self._ax().complete_trial(
                    self._index.pop(number), raw_data={_metric(i): value for i, value in enumerate(values)}
                )

    def _ax(self) -> Client:
        if self._client is None:
            try:
                with _quiet():
                    _gaussian_process()  # importing Ax makes the loggers that are silenced next
                with _quiet():
                    self._client = self._new_client()
            except ImportError as fault:
                raise SearchError(
                    f"Ax cannot be used ({fault})", hint="pip install 'ax-platform>=1.3,<1.4'"
                ) from fault
        return self._client

    def _new_client(self) -> Client:
        from ax.adapter.registry import Generators  # noqa: TID251
        from ax.api.client import Client  # noqa: TID251
        from ax.api.configs import RangeParameterConfig  # noqa: TID251
        from ax.generation_strategy.generation_node import GenerationNode  # noqa: TID251
        from ax.generation_strategy.generation_strategy import GenerationStrategy  # noqa: TID251
        from ax.generation_strategy.generator_spec import GeneratorSpec  # noqa: TID251
        from ax.generators.torch.botorch_modular.surrogate import (  # noqa: TID251
            ModelConfig,
            SurrogateSpec,
        )

        client = Client(random_seed=self.seed)
        client.configure_experiment(
            name="torchq",
            parameters=[
                RangeParameterConfig(
                    name=_parameter(i), bounds=(0.0, float(len(knob.options) - 1)), parameter_type="float"
                )
                for i, knob in enumerate(self._free)
            ],
        )
        objectives = self.goal.objectives
        client.configure_optimization(
            objective=", ".join(_metric(i) for i in range(len(objectives))),
            outcome_constraints=[
                f"{_metric(i)} >= {objective.threshold!r}"
                for i, objective in enumerate(objectives)
                if objective.threshold is not None
            ],
        )
        model = ModelConfig(botorch_model_class=_gaussian_process(), name="quick")
        optimizer = {
            "num_restarts": self._restarts,
            "raw_samples": self._raw_samples,
            "options": {"maxiter": CLIMB_STEPS},
        }
        spec = GeneratorSpec(
            Generators.BOTORCH_MODULAR,
            generator_kwargs={"surrogate_spec": SurrogateSpec(model_configs=[model])},
            generator_gen_kwargs={"model_gen_options": {"optimizer_kwargs": optimizer}},
        )
        client.set_generation_strategy(
            GenerationStrategy(name="fast", nodes=[GenerationNode(name="model", generator_specs=[spec])])
        )
        return client


def _parameter(index: int) -> str:
    return f"knob_{index}"


def _metric(index: int) -> str:
    return f"objective_{index}"


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
