"""``reproduce``: from a line of a journal to the trained network that it tells of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torchq.autoq.evaluation import TrainAndPrice, Trained
from torchq.autoq.training import Training
from torchq.errors import SearchError, TorchqError
from torchq.scheme import Scheme
from torchq.search import Trial, TrialInfo


def reproduce(
    trial: Trial,
    evaluation: TrainAndPrice,
    *,
    identity: Mapping[str, Any] | None = None,
    training: Training | None = None,
) -> Trained:
    """Train a trial's network again.

    A trial that was trained alone comes out with the same bits, on the same machine and versions, and so does
    one of a stack whose whole epochs are C; one of another stack within float tolerance.

    Args:
        trial: from a journal.
        evaluation: as that of the search.
        identity: of the journal (:func:`torchq.search.read_journal`); if given, it is compared with the
            evaluation's, so that other data or another network are noticed.
        training: another training, to train the same network for longer.

    Raises:
        SearchError: the evaluation is another one than the search's; the message says in what.
        TorchqError: what the training ended with.

    Example:
        >>> from torchq.models import jets_mlp
        >>> from torchq.search import Knob, Space
        >>> import torch
        >>> six = "quantized_bits(6,2,alpha=1)"
        >>> space = Space((Knob.units("fc1", [4, 8]),), Scheme.uniform(six, six, "quantized_relu(6,2)", six))
        >>> x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
        >>> samples, net = (x, (x[:, 0] > 0).long()), jets_mlp(inputs=3, units=(8,), classes=2, seed=0)
        >>> evaluate = TrainAndPrice(net, samples, samples, space, training=Training(epochs=2))
        >>> point, scheme = {"fc1.units": 1}, space.scheme({"fc1.units": 1})
        >>> metrics = evaluate(scheme, TrialInfo(3, 7, point))
        >>> trial = Trial(3, point, scheme.to_dict(), 7, "complete", metrics, (1.0,), 1.0)
        >>> reproduce(trial, evaluate).metrics == metrics
        True
    """
    if identity is not None:
        _compare(identity, evaluation)
    scheme = Scheme.from_dict(trial.scheme)
    if evaluation.space.scheme(trial.point) != scheme:
        raise SearchError(
            f"trial {trial.number}: its point stands for another scheme in this space",
            hint="give the evaluation the space of the search",
        )
    info = TrialInfo(trial.number, trial.seed, trial.point, 1.0 if training is not None else trial.fidelity)
    (outcome,) = evaluation.trained([(scheme, info)], training)
    if isinstance(outcome, TorchqError):
        raise outcome
    return outcome


def _compare(identity: Mapping[str, Any], evaluation: TrainAndPrice) -> None:
    now = json.loads(json.dumps(evaluation.identity()))
    then = identity.get("evaluation", {})
    for name, value in now.items():
        if name in then and then[name] != value:
            raise SearchError(
                f"the journal's {name} is {then[name]}, this evaluation's is {value}",
                hint="give the data, network and settings of the search",
            )
