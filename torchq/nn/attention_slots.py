"""The slots of ``QMultiheadAttention``: their names, what stands in them, and whose parameters they are."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from torchq.nn.softmax import EXP, INVERSE

PROJECTED, SCORES, ATTENTION, CONTEXT = "fixed(8,3)", "fixed(10,4)", "fixed(8,0,signed=False)", "fixed(8,3)"
"""What the inner slots hold unless told otherwise; those of the softmax are ``QSoftmax``'s."""

SLOTS = (
    "weight",
    "bias",
    "out_weight",
    "out_bias",
    "query",
    "key",
    "value",
    "scores",
    "exp",
    "sum",
    "inverse",
    "attention",
    "context",
    "output",
)

DEFAULTS: Mapping[str, str] = {
    "query": PROJECTED,
    "key": PROJECTED,
    "value": PROJECTED,
    "scores": SCORES,
    "exp": EXP,
    "inverse": INVERSE,
    "attention": ATTENTION,
    "context": CONTEXT,
}
"""What :meth:`from_float` puts into slots that it is told nothing of."""

OF_SOFTMAX = ("scores", "exp", "sum")
"""The slots whose quantizers the softmax's tables depend on."""

PARAMETERS: Mapping[str, str] = {
    "in_proj_weight": "weight",
    "in_proj_bias": "bias",
    "out_proj.weight": "out_weight",
    "out_proj.bias": "out_bias",
}
"""The slot of each parameter."""


class SelfAttention(nn.Module):
    """A module of one tensor to one tensor around ``layer``: query, key and value are the same."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """``layer(x, x, x)[0]``."""
        result: Tensor = self.layer(x, x, x, need_weights=False)[0]
        return result
