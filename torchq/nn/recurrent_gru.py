"""``QGRU``: what one step of ``nn.GRU`` does, quantized."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from torchq.formats import Format
from torchq.nn.base import Example, Spec, quantized
from torchq.nn.operations import added, one_minus, table_of, times
from torchq.nn.recurrent import (
    CANDIDATE,
    GATE,
    PREACTIVATION,
    STATE,
    Cell,
    Recurrent,
    States,
    recurrent_example,
)
from torchq.nn.registry import LAYERS
from torchq.quantizers import Quantizer
from torchq.workload import Operation, TableSpec


@LAYERS.register("QGRU")
class QGRU(Recurrent, nn.GRU):  # type: ignore[misc]
    """A drop-in ``nn.GRU`` whose gates are tables.

    In torch's order of gates (r, z, n), the reset after the recurrent product:

    ``r, z = q_gate(sigmoid(q_preactivation(W x + b + U h + c)))`` and
    ``n = q_candidate(tanh(q_preactivation(W x + b + r (U h + c))))`` are tables;
    ``h' = q_state((1 - z) n + z h)``. Products and sums within a step are exact. (QKeras's default,
    ``reset_after=False``, multiplies ``r`` with ``h`` before the product; torch has no such layer.)

    Args:
        input_size: as in ``nn.GRU``; the rest as well.
        hidden_size: values of the state.
        num_layers: layers on each other.
        bias: whether both sums have a bias.
        batch_first: whether the first axis counts the samples.
        dropout: between layers, in training.
        bidirectional: whether a second set of weights reads the steps backwards.
        weight_quantizer: of the input weights ``weight_ih_l0``, ...; text, a quantizer (copied) or a
            ``FixedPoint``. Scales per channel are per row.
        recurrent_quantizer: of the recurrent weights ``weight_hh_l0``, ...
        bias_quantizer: of all biases.
        state_quantizer: of the state, each time a step writes it; ``ap_fixed<8,1>``.
        preactivation_quantizer: the addresses of both tables; ``ap_fixed<10,4>``, at most 12 bits.
        gate_quantizer: of the sigmoids; ``ap_ufixed<8,0>``.
        candidate_quantizer: of the hyperbolic tangent; ``ap_fixed<8,1>``.
        output_quantizer: of the output of the last layer; None hands out the states.
        device: as in ``nn.GRU``.
        dtype: as in ``nn.GRU``.

    Raises:
        QuantizerError: a text that is no quantizer, or preactivations that are no addresses of a table.

    Example:
        >>> q = "quantized_bits(6,0,alpha=1)"
        >>> layer = QGRU(3, 4, weight_quantizer=q, recurrent_quantizer=q, bias_quantizer=q)
        >>> y, h = layer(torch.zeros(5, 2, 3))
        >>> y.shape, h.shape
        (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    kind: ClassVar[str] = "gru"
    slots: ClassVar[tuple[str, ...]] = (
        "weight",
        "recurrent",
        "bias",
        "state",
        "preactivation",
        "gate",
        "candidate",
        "output",
    )
    defaults: ClassVar[Mapping[str, str]] = {
        "state": STATE,
        "preactivation": PREACTIVATION,
        "gate": GATE,
        "candidate": CANDIDATE,
    }
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.GRU,)
    gates: ClassVar[int] = 3

    gate_quantizer: Quantizer | None
    candidate_quantizer: Quantizer | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        weight_quantizer: Spec | None = None,
        recurrent_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        state_quantizer: Spec | None = STATE,
        preactivation_quantizer: Spec | None = PREACTIVATION,
        gate_quantizer: Spec | None = GATE,
        candidate_quantizer: Spec | None = CANDIDATE,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.GRU.__init__(
            self,
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )
        self.put_quantizers(
            {
                "weight": weight_quantizer,
                "recurrent": recurrent_quantizer,
                "bias": bias_quantizer,
                "state": state_quantizer,
                "preactivation": preactivation_quantizer,
                "gate": gate_quantizer,
                "candidate": candidate_quantizer,
                "output": output_quantizer,
            }
        )

    def cell(self, device: torch.device) -> Cell:
        """Two sigmoids, a hyperbolic tangent, and the products between."""
        sigmoid = self.lookup("sigmoid", "gate", device)
        tanh = self.lookup("tanh", "candidate", device)

        def step(a: Tensor, b: Tensor, states: States) -> States:
            size = self.hidden_size
            r, z = sigmoid(a[..., : 2 * size] + b[..., : 2 * size]).chunk(2, dim=-1)
            n = tanh(a[..., 2 * size :] + r * b[..., 2 * size :])
            return (quantized((1 - z) * n + z * states[0], self.state_quantizer),)

        return step

    def cell_work(
        self, values: int, sums: Format | None, recurrent: Format | None
    ) -> tuple[tuple[Operation, ...], tuple[TableSpec, ...]]:
        """Four sums, three products, a sum of two of them, ``1 - z``, and three looks for each value."""
        gate, candidate, state = (self._format(slot) for slot in ("gate", "candidate", "state"))
        reset = times(values, gate, recurrent)
        other = one_minus(gate)
        new, kept = times(values, other, candidate), times(values, gate, state)
        operations = (
            added(2 * values, sums, recurrent),
            reset,
            added(values, sums, reset.result),
            Operation("add", values, (other, gate), other),
            new,
            kept,
            added(values, new.result, kept.result),
        )
        address = self.preactivation_quantizer
        tables = (
            *table_of("sigmoid", address, self.gate_quantizer, 2 * values),
            *table_of("tanh", address, self.candidate_quantizer, values),
        )
        return operations, tables

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """One layer; two layers and both directions, with an output quantizer."""
        slots = {"weight": "quantized_bits(6,0,alpha=1)", "bias": "quantized_bits(6,1,alpha=1)"}
        return (
            recurrent_example(lambda: nn.GRU(3, 4, batch_first=True), slots),
            recurrent_example(
                lambda: nn.GRU(3, 2, 2, bidirectional=True, batch_first=True),
                {**slots, "output": "quantized_bits(5,0,alpha=1)"},
            ),
        )
