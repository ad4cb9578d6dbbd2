"""``QLSTM``: what one step of ``nn.LSTM`` does, quantized."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from torchq.formats import Format
from torchq.nn.base import Example, Spec, quantized
from torchq.nn.operations import added, table_of, times
from torchq.nn.recurrent import (
    CANDIDATE,
    CELL,
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


@LAYERS.register("QLSTM")
class QLSTM(Recurrent, nn.LSTM):  # type: ignore[misc]
    """A drop-in ``nn.LSTM`` whose gates are tables.

    With ``a = W x + b + U h + c`` in torch's order of gates (i, f, g, o):

    ``i, f, o = q_gate(sigmoid(q_preactivation(a)))`` and ``g = q_candidate(tanh(q_preactivation(a)))`` are
    tables; ``c' = q_cell(f c + i g)``; ``h' = q_state(o t)``, where ``t`` stands in the table of ``tanh`` at
    ``q_preactivation(c')``. Products and sums within a step are exact.

    Args:
        input_size: as in ``nn.LSTM``; the rest as well.
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
        cell_quantizer: of the cell, likewise; ``ap_fixed<10,4>``.
        preactivation_quantizer: the addresses of both tables; ``ap_fixed<10,4>``, at most 12 bits.
        gate_quantizer: of the sigmoids; ``ap_ufixed<8,0>``.
        candidate_quantizer: of the hyperbolic tangents; ``ap_fixed<8,1>``.
        output_quantizer: of the output of the last layer; None hands out the states.
        device: as in ``nn.LSTM``.
        dtype: as in ``nn.LSTM``.

    Raises:
        QuantizerError: a text that is no quantizer, or preactivations that are no addresses of a table.

    Example:
        >>> q = "quantized_bits(6,0,alpha=1)"
        >>> layer = QLSTM(3, 4, weight_quantizer=q, recurrent_quantizer=q, bias_quantizer=q)
        >>> y, (h, c) = layer(torch.zeros(5, 2, 3))
        >>> y.shape, h.shape, c.shape
        (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]), torch.Size([1, 2, 4]))
    """

    kind: ClassVar[str] = "lstm"
    slots: ClassVar[tuple[str, ...]] = (
        "weight",
        "recurrent",
        "bias",
        "state",
        "cell",
        "preactivation",
        "gate",
        "candidate",
        "output",
    )
    defaults: ClassVar[Mapping[str, str]] = {
        "state": STATE,
        "cell": CELL,
        "preactivation": PREACTIVATION,
        "gate": GATE,
        "candidate": CANDIDATE,
    }
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.LSTM,)
    state_slots: ClassVar[tuple[str, ...]] = ("state", "cell")
    gates: ClassVar[int] = 4

    cell_quantizer: Quantizer | None
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
        cell_quantizer: Spec | None = CELL,
        preactivation_quantizer: Spec | None = PREACTIVATION,
        gate_quantizer: Spec | None = GATE,
        candidate_quantizer: Spec | None = CANDIDATE,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.LSTM.__init__(
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
                "cell": cell_quantizer,
                "preactivation": preactivation_quantizer,
                "gate": gate_quantizer,
                "candidate": candidate_quantizer,
                "output": output_quantizer,
            }
        )

    def cell(self, device: torch.device) -> Cell:
        """Three sigmoids, two hyperbolic tangents, and the products between."""
        sigmoid = self.lookup("sigmoid", "gate", device)
        tanh = self.lookup("tanh", "candidate", device)

        def step(a: Tensor, b: Tensor, states: States) -> States:
            i, f, g, o = (a + b).chunk(4, dim=-1)
            c = quantized(sigmoid(f) * states[1] + sigmoid(i) * tanh(g), self.cell_quantizer)
            return quantized(sigmoid(o) * tanh(c), self.state_quantizer), c

        return step

    def cell_work(
        self, values: int, sums: Format | None, recurrent: Format | None
    ) -> tuple[tuple[Operation, ...], tuple[TableSpec, ...]]:
        """Four sums, three products, a sum of two of them, and five looks into tables for each value."""
        gate, candidate, cell = (self._format(slot) for slot in ("gate", "candidate", "cell"))
        kept, new = times(values, gate, cell), times(values, gate, candidate)
        operations = (
            added(self.gates * values, sums, recurrent),
            kept,
            new,
            added(values, kept.result, new.result),
            times(values, gate, candidate),
        )
        address = self.preactivation_quantizer
        tables = (
            *table_of("sigmoid", address, self.gate_quantizer, 3 * values),
            *table_of("tanh", address, self.candidate_quantizer, 2 * values),
        )
        return operations, tables

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """One layer; two layers and both directions, with an output quantizer."""
        slots = {"weight": "quantized_bits(6,0,alpha=1)", "bias": "quantized_bits(6,1,alpha=1)"}
        return (
            recurrent_example(lambda: nn.LSTM(3, 4, batch_first=True), slots),
            recurrent_example(
                lambda: nn.LSTM(3, 2, 2, bidirectional=True, batch_first=True),
                {**slots, "output": "quantized_bits(5,0,alpha=1)"},
            ),
        )
