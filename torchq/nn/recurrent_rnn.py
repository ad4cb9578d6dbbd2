"""``QRNN``: what one step of ``nn.RNN`` does, quantized."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from torchq.formats import Format
from torchq.nn.base import Example, Spec, quantized
from torchq.nn.operations import added, table_of
from torchq.nn.recurrent import PREACTIVATION, STATE, Cell, Recurrent, recurrent_example
from torchq.nn.registry import LAYERS
from torchq.workload import Operation, TableSpec


@LAYERS.register("QRNN")
class QRNN(Recurrent, nn.RNN):  # type: ignore[misc]
    """A drop-in ``nn.RNN``: ``h' = q_state(f(a))`` with ``a = W x + b + U h + c``.

    With ``tanh``, ``a`` goes through the preactivation quantizer, and ``q_state(tanh(...))`` is a table. With
    ``relu`` there is no table and no preactivation quantizer.

    Args:
        input_size: as in ``nn.RNN``; the rest as well.
        hidden_size: values of the state.
        num_layers: layers on each other.
        bias: whether both sums have a bias.
        batch_first: whether the first axis counts the samples.
        dropout: between layers, in training.
        bidirectional: whether a second set of weights reads the steps backwards.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        weight_quantizer: of the input weights ``weight_ih_l0``, ...; text, a quantizer (copied) or a
            ``FixedPoint``. Scales per channel are per row.
        recurrent_quantizer: of the recurrent weights ``weight_hh_l0``, ...
        bias_quantizer: of all biases.
        state_quantizer: of the state, each time a step writes it; ``ap_fixed<8,1>``.
        preactivation_quantizer: of ``a``, the address of the table; ``ap_fixed<10,4>``, at most 12 bits.
        output_quantizer: of the output of the last layer; None hands out the states.
        device: as in ``nn.RNN``.
        dtype: as in ``nn.RNN``.

    Raises:
        QuantizerError: a text that is no quantizer, or preactivations that are no addresses of a table.

    Example:
        >>> q = "quantized_bits(6,0,alpha=1)"
        >>> layer = QRNN(3, 4, weight_quantizer=q, recurrent_quantizer=q, bias_quantizer=q)
        >>> y, h = layer(torch.zeros(5, 2, 3))
        >>> y.shape, h.shape
        (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    kind: ClassVar[str] = "rnn"
    slots: ClassVar[tuple[str, ...]] = ("weight", "recurrent", "bias", "state", "preactivation", "output")
    defaults: ClassVar[Mapping[str, str]] = {"state": STATE, "preactivation": PREACTIVATION}
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.RNN,)

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
        nonlinearity: str = "tanh",
        weight_quantizer: Spec | None = None,
        recurrent_quantizer: Spec | None = None,
        bias_quantizer: Spec | None = None,
        state_quantizer: Spec | None = STATE,
        preactivation_quantizer: Spec | None = PREACTIVATION,
        output_quantizer: Spec | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.RNN.__init__(
            self,
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            nonlinearity=nonlinearity,
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
                "output": output_quantizer,
            }
        )

    def missing_slots(self) -> tuple[str, ...]:
        """With ``relu`` there is no table, and no address of one."""
        unused = ("preactivation",) if self.nonlinearity == "relu" else ()
        return tuple(slot for slot in super().missing_slots() if slot not in unused)

    def cell(self, device: torch.device) -> Cell:
        """A table of tanh, or relu and quantizer."""
        if self.nonlinearity == "relu":
            return lambda a, b, _: (quantized(torch.relu(a + b), self.state_quantizer),)
        tanh = self.lookup("tanh", "state", device)
        return lambda a, b, _: (tanh(a + b),)

    def cell_work(
        self, values: int, sums: Format | None, recurrent: Format | None
    ) -> tuple[tuple[Operation, ...], tuple[TableSpec, ...]]:
        """One sum a value, and with ``tanh`` one look into the table."""
        sum = added(values, sums, recurrent)
        if self.nonlinearity == "relu":
            return (sum,), ()
        return (sum,), table_of("tanh", self.preactivation_quantizer, self.state_quantizer, values)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Tanh and relu, two layers, both directions, no bias."""
        slots = {"weight": "quantized_bits(6,0,alpha=1)", "bias": "quantized_bits(6,1,alpha=1)"}
        return (
            recurrent_example(lambda: nn.RNN(3, 4, batch_first=True), slots),
            recurrent_example(
                lambda: nn.RNN(
                    3, 4, 2, bias=False, nonlinearity="relu", bidirectional=True, batch_first=True
                ),
                {"weight": "quantized_bits(6,0,alpha=1)"},
            ),
        )
