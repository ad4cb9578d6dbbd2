"""``Reference``: the networks that a winner is shown beside: float, BF (16 bits) and Q6 (6 bits)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from torchq.autoq.evaluation import ACCURACY, TrainAndPrice
from torchq.autoq.training import Training
from torchq.errors import TorchqError
from torchq.scheme import Scheme
from torchq.search import TrialInfo
from torchq.train import accuracy, predict_logits

_WIDE = "quantized_bits(14,5,alpha=1)"
_SIX = "quantized_bits(6,0,alpha=1)"
_INPUT = "quantized_bits(16,6,alpha=1)"

BF = Scheme.uniform(_WIDE, _WIDE, "quantized_relu(14,5)", _INPUT)
"""The baseline of arXiv:2006.10159: 14 bits for weights, biases and activations, 16 for the input."""

Q6 = Scheme.uniform(_SIX, _SIX, "quantized_relu(6,2)", _INPUT)
"""The uniform 6-bit network of arXiv:2006.10159, with two integer bits in its activations."""

REFERENCES: Mapping[str, Scheme] = MappingProxyType({"BF": BF, "Q6": Q6})


@dataclass(frozen=True)
class Reference:
    """A network to compare with.

    Args:
        name: ``"float"``, ``"BF"``, ``"Q6"``, or as it was called.
        model: the network.
        metrics: accuracy on the validation samples, and costs where it has any.
    """

    name: str
    model: nn.Module
    metrics: Mapping[str, float]


def float_reference(evaluation: TrainAndPrice) -> Reference:
    """The float network itself; it has no cost."""
    x, y = evaluation.valid
    reached = accuracy(y, predict_logits(evaluation.model, x))
    return Reference("float", evaluation.model, {ACCURACY: reached})


def trained_reference(
    evaluation: TrainAndPrice, name: str, scheme: Scheme, seed: int, training: Training | None = None
) -> Reference:
    """A reference network, trained like a trial.

    Args:
        evaluation: of the search.
        name: what it is called.
        scheme: its quantizers.
        seed: of its training.
        training: in place of the search's own.

    Raises:
        TorchqError: it cannot be made or trained.
    """
    (outcome,) = evaluation.trained([(scheme, TrialInfo(-1, seed, {}))], training)
    if isinstance(outcome, TorchqError):
        raise type(outcome)(f"reference {name}: {outcome.message}", outcome.hint) from outcome
    return Reference(name, outcome.model, outcome.metrics)


def reference_costs(evaluation: TrainAndPrice, scheme: Scheme = BF) -> dict[str, float]:
    """What a reference costs, priced without training: what goals and limits compare with.

    Raises:
        SchemeError: the scheme does not fit the model.
    """
    return evaluation.priced(scheme)
