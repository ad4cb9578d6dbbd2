"""``TrainAndPrice``: the evaluation of a search: quantize, train, measure, price; many as one stack."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from torchq.autoq.candidate import Shape, applied, candidate, pruned
from torchq.autoq.prices import Prices
from torchq.autoq.stacks import Log, Setting, Trainee, train_all
from torchq.autoq.training import Training
from torchq.autoq.widest import widest
from torchq.errors import SearchError, TorchqError
from torchq.scheme import Scheme
from torchq.search import Space, TrialInfo
from torchq.search.evaluation import Job
from torchq.search.space_settings import ACTIVATIONS, Settings
from torchq.train import History
from torchq.train.device import pick_device
from torchq.train.loop import Loss, Samples
from torchq.train.stacked.programs import worthwhile

ACCURACY = "accuracy"
"""The metric that every trial reports beside its costs: of the best epoch, on the validation samples."""

Arrays = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Trained:
    """A trial's network, after its training.

    Args:
        model: the network with the weights of its best epoch, in evaluation mode.
        history: of its training.
        metrics: what the trial reports.
    """

    model: nn.Module
    history: History
    metrics: Mapping[str, float]


class TrainAndPrice:
    """Trains and prices schemes: what :func:`torchq.search.run_search` calls.

    It holds plain data (a float model, samples as arrays, numbers and names), so it can be sent to another
    process and works there as here. The same scheme, settings, seed and fidelity give the same metrics.

    Args:
        model: the float model, trained; it is copied.
        train: samples to learn, ``([rows, ...], [rows])``.
        valid: samples that choose the best epoch and give the accuracy.
        space: where the schemes come from; it says what a point means beside its scheme.
        training: of every trial; a trial of fidelity 0.25 gets a quarter of the epochs.
        costs: the figures to report beside the accuracy.
        cost_settings: settings of the cost targets.
        loss: takes the model's answer and the classes; by default cross entropy.
        device: where trials are trained.
        stacked: train many as one program (:func:`torchq.train.stacked.fit_many`); otherwise one by one.
        trials: how many there will be in all, if that is known: it decides whether compiling pays.
        exportable: refuse schemes that stand on no hardware grid.

    Raises:
        SearchError: no samples.
        CostError: a setting that no cost target has.
        UnknownNameError: an unknown cost figure.

    Example:
        >>> from torchq.models import jets_mlp
        >>> from torchq.search import Knob
        >>> six = "quantized_bits(6,2,alpha=1)"
        >>> base = Scheme.uniform(six, six, "quantized_relu(6,2)", six)
        >>> space = Space((Knob.units("fc1", [4, 8]),), base)
        >>> x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
        >>> samples = (x, (x.sum(dim=1) > 0).long())
        >>> float_model = jets_mlp(inputs=3, units=(8,), classes=2, seed=0)
        >>> evaluate = TrainAndPrice(float_model, samples, samples, space, training=Training(epochs=2))
        >>> metrics = evaluate(space.scheme({"fc1.units": 0}), TrialInfo(0, 0, {"fc1.units": 0}))
        >>> sorted(metrics), metrics["bits"]
        (['accuracy', 'bits', 'energy_pj'], 156.0)
    """

    def __init__(
        self,
        model: nn.Module,
        train: Samples,
        valid: Samples,
        space: Space,
        *,
        training: Training | None = None,
        costs: Sequence[str] = ("bits", "energy_pj"),
        cost_settings: Mapping[str, Any] | None = None,
        loss: Loss | None = None,
        device: str = "cpu",
        stacked: bool = True,
        trials: int = 0,
        exportable: bool = True,
    ) -> None:
        self.model = copy.deepcopy(model).cpu()
        self.train, self.valid = _arrays(train, "training"), _arrays(valid, "validation")
        self.space = space
        self.training = training or Training()
        self.loss = loss
        self.device = device
        self.stacked = stacked
        self.trials = trials
        self.exportable = exportable
        self.prices = Prices(costs, cost_settings or {}, tuple(self.train[0].shape[1:]))
        self.log = Log()
        self._like: list[nn.Module] | None = None
        self._sound: set[str] = set()

    @property
    def example(self) -> Shape:
        """The shape of one sample."""
        return tuple(self.train[0].shape[1:])

    # ------------------------------------------------------------------ what a search calls

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:
        """The metrics of one scheme."""
        (outcome,) = self.many([(scheme, info)])
        if isinstance(outcome, TorchqError):
            raise outcome
        return outcome

    def many(self, jobs: Sequence[Job]) -> list[dict[str, float] | TorchqError]:
        """The metrics of each job, or the error that it failed with; equal jobs are trained once."""
        first: dict[str, int] = {}
        for i, (scheme, info) in enumerate(jobs):
            first.setdefault(f"{scheme.to_text()} {self._settings(info)} {info.seed} {info.fidelity}", i)
        kept = sorted(first.values())
        done = dict(zip(kept, self.trained([jobs[i] for i in kept]), strict=True))
        outcomes: list[dict[str, float] | TorchqError] = []
        for scheme, info in jobs:
            key = f"{scheme.to_text()} {self._settings(info)} {info.seed} {info.fidelity}"
            outcome = done[first[key]]
            outcomes.append(outcome if isinstance(outcome, TorchqError) else dict(outcome.metrics))
        return outcomes

    def price(self, scheme: Scheme) -> dict[str, float]:
        """The costs of a scheme before it is trained, for ``run_search(..., price=)``.

        Raises:
            SearchError: a cost that only a trained network has; :attr:`priced_early` says so before.
            SchemeError: the scheme does not fit the model.
        """
        if not self.priced_early:
            raise SearchError(
                "these costs follow from the trained weights, or from more than the scheme",
                hint="run the search without price",
            )
        made = applied(self.model, scheme, Settings())
        return self.prices.of_scheme(made, lambda: self._candidate(scheme, Settings(), 0))

    def priced(self, scheme: Scheme) -> dict[str, float]:
        """The costs of a scheme on the float weights as they are: what a reference costs.

        Raises:
            SchemeError: the scheme does not fit the model.
        """
        made = applied(self.model, scheme, Settings())
        return self.prices(self._candidate(scheme, Settings(), 0), made, Settings())

    @property
    def priced_early(self) -> bool:
        """Whether all costs follow from a scheme alone; scales that training will find count as 1.

        A quantizer in an activation's place costs the same alone and behind a relu, a folded batch norm
        whenever it is folded; so they are no obstacles. A ``tanh``, or a batch norm that stays, is.
        """
        rebuilt = any(
            knob.slot == "pruning"
            or (knob.slot == "fold" and "apart" in knob.options)
            or (knob.slot == "activation" and any(option in ACTIVATIONS for option in knob.options))
            for knob in self.space.knobs
        )
        return self.prices.by_formats and not rebuilt

    # ------------------------------------------------------------------ what it does

    def trained(
        self,
        jobs: Sequence[Job],
        training: Training | None = None,
        on_epoch: Callable[[int, Any], None] | None = None,
    ) -> list[Trained | TorchqError]:
        """The trained network of each job, or the error that it failed with.

        Args:
            jobs: schemes with their trials.
            training: in place of the search's own.
            on_epoch: called with the place of the job and the record of its epoch.
        """
        training = training or self.training
        made: dict[int, Trainee] = {}
        outcomes: dict[int, Trained | TorchqError] = {}
        for i, (scheme, info) in enumerate(jobs):
            settings = self._settings(info)
            try:
                model = self._candidate(scheme, settings, info.seed)
                pruners = pruned(model, settings)
            except TorchqError as fault:
                outcomes[i] = fault
                continue
            rate = training.learning_rate if settings.learning_rate is None else settings.learning_rate
            shortened = training.shortened(info.fidelity)
            made[i] = Trainee(model, shortened, rate, info.seed, pruners)
        order = list(made)
        much = worthwhile(self.trials * len(self.train[0]) * training.epochs, pick_device(self.device))
        compile: bool | Literal["auto"] = True if much else "auto"
        setting = Setting(self.train, self.valid, self.loss, self.device, self.stacked, self.like, compile)
        call = None if on_epoch is None else lambda k, record: on_epoch(order[k], record)
        trained = train_all([made[i] for i in order], setting, self.log, call)
        for i, history in zip(order, trained, strict=True):
            outcomes[i] = self._finished(jobs[i], made[i].model, history)
        return [outcomes[i] for i in range(len(jobs))]

    def like(self) -> Sequence[nn.Module]:
        """Networks with the widest layers of the space and all its families: one program holds all others."""
        if self._like is None:
            self._like = []
            for point in widest(self.space):
                model = self._candidate(self.space.scheme(point), self.space.settings(point), 0)
                self._like.append(model)
        return self._like

    def _finished(self, job: Job, model: nn.Module, history: History | TorchqError) -> Trained | TorchqError:
        if isinstance(history, TorchqError):
            return history
        scheme, info = job
        try:
            settings = self._settings(info)
            costs = self.prices(model, applied(self.model, scheme, settings), settings)
        except TorchqError as fault:
            return fault
        return Trained(model, history, {ACCURACY: history.best.valid_accuracy, **costs})

    def _settings(self, info: TrialInfo) -> Settings:
        return self.space.settings(info.point) if info.point else Settings()

    def _candidate(self, scheme: Scheme, settings: Settings, seed: int) -> nn.Module:
        structure = f"{sorted(scheme.units.items())} {settings.fold} {sorted(settings.activations.items())}"
        example = None if structure in self._sound else self.example  # its shapes were checked before
        made = candidate(self.model, scheme, settings, example=example, seed=seed, exportable=self.exportable)
        self._sound.add(structure)
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_like": None, "log": Log()}

    # ------------------------------------------------------------------ what a journal keeps of it

    def identity(self) -> dict[str, Any]:
        """Plain data about everything that metrics depend on beside scheme, settings, seed and fidelity."""
        return {
            "model": _digest(*(value for _, value in sorted(self.model.state_dict().items()))),
            "network": hashlib.sha256(str(self.model).encode()).hexdigest()[:16],
            "train": _digest(*self.train),
            "valid": _digest(*self.valid),
            "training": self.training.to_dict(),
            "costs": list(self.prices.figures),
            "cost_settings": dict(self.prices.settings),
        }


def _arrays(samples: Samples, what: str) -> Arrays:
    x, y = (np.asarray(part.cpu() if isinstance(part, torch.Tensor) else part) for part in samples)
    if len(x) == 0 or len(x) != len(y):
        raise SearchError(
            f"{what} samples: {len(x)} rows of features and {len(y)} classes; they need to be as many"
        )
    return x, y


def _digest(*values: Any) -> str:
    """The first 16 digits of the SHA-256 of arrays, shapes included."""
    digest = hashlib.sha256()
    for value in values:
        array = np.ascontiguousarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
