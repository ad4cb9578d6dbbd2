"""``Recurrent``: what ``QRNN``, ``QLSTM`` and ``QGRU`` have in common: layers, directions, steps, formats."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchq.errors import TorchqError
from torchq.formats import Format
from torchq.nn.baked import Baked
from torchq.nn.base import Example, QLayer, Spec, parameter_spec, quantized
from torchq.nn.table import Lookup, address_format
from torchq.nn.types import fixed, multiplied, summed_products, with_bias
from torchq.quantizers import Quantizer
from torchq.workload import Operation, ParamSpec, TableSpec, TensorSpec, Workload

States = tuple[Tensor, ...]
"""The state, and for an LSTM the cell, each ``[batch, hidden_size]``."""
Cell = Callable[[Tensor, Tensor, States], States]
"""Input sums, recurrent sums and states of a step -> the states after it."""

STATE, PREACTIVATION, CELL = "fixed(8,1)", "fixed(10,4)", "fixed(10,4)"
GATE, CANDIDATE = "fixed(8,0,signed=False)", "fixed(8,1)"
"""What the inner slots hold unless told otherwise."""


class FirstOf(nn.Module):
    """A module that hands on the first item of what ``layer`` returns."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """``layer(x)[0]``."""
        result: Tensor = self.layer(x)[0]
        return result


def recurrent_example(layer: Callable[[], nn.Module], slots: Mapping[str, str]) -> Example:
    """A layer that reads five steps of three values."""
    return Example(lambda: (layer(),), slots, (5, 3), within=FirstOf)


class Recurrent(QLayer):
    """A drop-in recurrent layer of torch, computed step by step, with a quantizer on every number.

    Weights and biases go through their quantizers once a call. Each step reads the state that the step
    before **wrote**, on its grid: the register holds quantized numbers, so the output, the next step and
    the final state are the same numbers. Given initial states are quantized as well. (QKeras quantizes
    states when a step reads them and leaves what it returns unquantized.)

    A subclass stands for one layer of torch and says what one step does (:meth:`cell`).
    """

    defaults: ClassVar[Mapping[str, str]] = {}
    """What stands in a slot unless told otherwise."""
    state_slots: ClassVar[tuple[str, ...]] = ("state",)
    """The slot of each state that a step hands on."""
    gates: ClassVar[int] = 1
    """How many rows of the weights make one value of the state."""

    weight_quantizer: Quantizer | None
    recurrent_quantizer: Quantizer | None
    bias_quantizer: Quantizer | None
    state_quantizer: Quantizer | None
    preactivation_quantizer: Quantizer | None
    output_quantizer: Quantizer | None

    if TYPE_CHECKING:
        input_size: int
        hidden_size: int
        num_layers: int
        bias: bool
        batch_first: bool
        dropout: float
        bidirectional: bool

    # ------------------------------------------------------------------ what a subclass says

    def cell(self, device: torch.device) -> Cell:  # noqa: ARG002
        """What one step does, with the tables made."""
        raise TypeError(f"{type(self).__name__} does not say what a step does")

    def cell_work(
        self,
        values: int,  # noqa: ARG002
        sums: Format | None,  # noqa: ARG002
        recurrent: Format | None,  # noqa: ARG002
    ) -> tuple[tuple[Operation, ...], tuple[TableSpec, ...]]:
        """What :meth:`cell` computes in all steps: operations on single values, and looks into tables.

        Args:
            values: of the state, in all steps.
            sums: the format of the sums over the input.
            recurrent: that of the sums over the state.
        """
        raise TypeError(f"{type(self).__name__} does not say the work of its steps")

    # ------------------------------------------------------------------ quantizers

    def put_quantizers(self, quantizers: Mapping[str, Spec | None]) -> None:
        """Fill the slots of a layer that has its parameters."""
        self.baked: dict[str, Format] = {}
        for slot in self.slots:
            self.set_quantizer(slot, quantizers[slot], self.weight_ih_l0)  # type: ignore[arg-type]

    def set_quantizer(self, slot: str, spec: Spec | None, like: Tensor | None = None) -> None:
        """Put a quantizer into a slot; that of the preactivation must give addresses of a table."""
        super().set_quantizer(slot, spec, like)
        quantizer = self.quantizer(slot)
        if quantizer is not None and slot in ("weight", "recurrent"):
            quantizer.channel_axis(0)
        if quantizer is not None and slot == "preactivation":
            address_format(type(self).__name__, slot, quantizer)

    def missing_slots(self) -> tuple[str, ...]:
        """All but ``output``, and ``bias`` where there is none."""
        optional = ("output",) if self.bias else ("output", "bias")
        return tuple(slot for slot in super().missing_slots() if slot not in optional)

    def slot_of(self, parameter: str) -> str:
        """``weight`` for ``weight_ih_l0``, ``recurrent`` for ``weight_hh_l0``, ``bias`` for both biases."""
        if parameter.startswith("bias"):
            return "bias"
        return "weight" if parameter.startswith("weight_ih") else "recurrent"

    @property
    def makes_grid(self) -> bool:
        """Whether the output, or the state that it consists of, has a quantizer."""
        return self.output_quantizer is not None or self.state_quantizer is not None

    # ------------------------------------------------------------------ what it computes

    def directions(self) -> Iterator[tuple[int, str, bool]]:
        """Layer number, the ending of its parameters' names, and whether it reads backwards."""
        for layer in range(self.num_layers):
            yield layer, f"_l{layer}", False
            if self.bidirectional:
                yield layer, f"_l{layer}_reverse", True

    def quantized_parameter(self, name: str) -> Tensor | None:
        """A weight or bias as it is computed with; None for the bias of a layer without."""
        if name.startswith("bias") and not self.bias:
            return None
        return quantized(getattr(self, name), self.quantizer(self.slot_of(name)))

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """All steps of all layers, as torch computes them.

        Args:
            input: shape ``[steps, batch, input_size]``, ``[batch, steps, input_size]`` with ``batch_first``,
                or ``[steps, input_size]``.
            hx: the initial state (for an LSTM: state and cell), shape
                ``[layers * directions, batch, hidden_size]``; zeros if left out.

        Returns:
            The output of every step ``[..., directions * hidden_size]`` and the final states.

        Raises:
            TorchqError: a packed sequence, or a tensor of another shape.
        """
        if not isinstance(input, Tensor):
            raise TorchqError(
                f"{type(self).__name__}: got a {type(input).__name__}, a tensor is needed",
                hint="pad the sequences with torch.nn.utils.rnn.pad_packed_sequence",
            )
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise TorchqError(
                f"{type(self).__name__} needs [steps, batch, {self.input_size}] (batch first, or none), "
                f"got a tensor of shape {tuple(input.shape)}"
            )
        single = input.ndim == 2
        x = input.unsqueeze(1) if single else input.transpose(0, 1) if self.batch_first else input
        start = self._start(x, hx, single)
        cell = self.cell(x.device)
        finals: list[States] = []
        made: list[Tensor] = []
        for number, (layer, ending, backwards) in enumerate(self.directions()):
            y, final = self._pass(cell, x, ending, tuple(s[number] for s in start), backwards)
            made.append(y)
            finals.append(final)
            if backwards or not self.bidirectional:
                x = torch.cat(made, dim=-1)
                made = []
                if layer < self.num_layers - 1:
                    x = F.dropout(x, self.dropout, self.training)
        y = quantized(x, self.output_quantizer)
        states = tuple(torch.stack(parts) for parts in zip(*finals, strict=True))
        if single:
            y, states = y.squeeze(1), tuple(s.squeeze(1) for s in states)
        elif self.batch_first:
            y = y.transpose(0, 1)
        return y, states if len(states) > 1 else states[0]

    def _start(self, x: Tensor, hx: Any, single: bool) -> States:
        """The initial states, quantized."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        needed = (count, x.shape[1], self.hidden_size)
        if hx is None:
            return tuple(x.new_zeros(needed) for _ in self.state_slots)
        given = hx if isinstance(hx, tuple) else (hx,)
        given = tuple(s.unsqueeze(1) for s in given) if single else given
        if len(given) != len(self.state_slots) or any(tuple(s.shape) != needed for s in given):
            shapes = " and ".join(str(tuple(s.shape)) for s in given)
            raise TorchqError(
                f"{type(self).__name__} needs {len(self.state_slots)} initial state(s) of shape {needed}, "
                f"got {shapes}"
            )
        pairs = zip(given, self.state_slots, strict=True)
        return tuple(quantized(s, self.quantizer(slot)) for s, slot in pairs)

    def _pass(
        self, cell: Cell, x: Tensor, ending: str, states: States, backwards: bool
    ) -> tuple[Tensor, States]:
        """All steps of one layer in one direction."""
        names = (f"weight_ih{ending}", f"weight_hh{ending}", f"bias_ih{ending}", f"bias_hh{ending}")
        w, u, b, c = (self.quantized_parameter(name) for name in names)
        sums = F.linear(x, cast("Tensor", w), b)
        outputs: list[Tensor] = []
        order = reversed(range(len(x))) if backwards else iter(range(len(x)))
        for t in order:
            states = cell(sums[t], F.linear(states[0], cast("Tensor", u), c), states)
            outputs.append(states[0])
        if backwards:
            outputs.reverse()
        y = torch.stack(outputs) if outputs else x.new_zeros(0, x.shape[1], self.hidden_size)
        return y, states

    def lookup(self, function: str, slot: str, device: torch.device) -> Lookup:
        """The table of a gate: preactivation in, values of the quantizer in ``slot`` out."""
        return Lookup(function, self.preactivation_quantizer, self.quantizer(slot), device)

    # ------------------------------------------------------------------ what graph, cost and export ask

    @property
    def batch_axis(self) -> int:
        """0 with ``batch_first``, else 1."""
        return 0 if self.batch_first else 1

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Samples must be ``(steps, input_size)``."""
        if len(shape) == 2 and shape[1] == self.input_size:
            return None
        return f"needs samples of shape (steps, {self.input_size}), got samples of shape {shape}"

    def output_format(self, source: Format | None) -> Format | None:  # noqa: ARG002
        """That of the output quantizer, or of the state."""
        return self._format("output") or self._format("state")

    def item_format(self, path: tuple[int, ...], sources: Sequence[TensorSpec]) -> Format | None:
        """That of the output for item 0; of a state for item 1, or for items of item 1."""
        if path[0] == 0:
            return self.output_format(sources[0].format)
        return self._format(self.state_slots[path[1] if len(path) > 1 else 0])

    def workloads(
        self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec
    ) -> tuple[Workload, ...]:
        """For each layer and direction ``ih`` and ``hh``, linear parts, and the ``cell`` that joins them.

        The only cell of the last layer has the layer's own name, unless an output quantizer stands behind it.
        An LSTM's cell state stays in registers: it is no tensor that is stored.
        """
        steps = inputs[0].shape[0]
        plain = not self.bidirectional and self.output_quantizer is None
        sources: tuple[TensorSpec, ...] = inputs
        parts: list[Workload] = []
        made: list[TensorSpec] = []
        for layer, ending, backwards in self.directions():
            if layer and not backwards:
                sources, made = tuple(made), []
            called = name if plain and layer == self.num_layers - 1 else f"{name}.cell{ending}"
            state = TensorSpec(
                output.name if called == name else called, (steps, self.hidden_size), self._format("state")
            )
            sums = [
                self._linear(name, f"{which}{ending}", steps, read)
                for which, read in (("ih", sources), ("hh", (state,)))
            ]
            operations, tables = self.cell_work(state.count, *(part.output.format for part in sums))
            parts += sums
            parts.append(
                Workload(
                    called,
                    self.kind,
                    (*(inputs if called == name else ()), *(part.output for part in sums)),
                    output if called == name else state,
                    operations=operations,
                    tables=tables,
                )
            )
            made.append(state)
        if not plain:
            exact = None if self.output_quantizer is not None else fixed(made[0].format)
            parts.append(Workload(name, self.kind, (*inputs, *made), output, accumulator=exact))
        return tuple(parts)

    def _linear(self, name: str, ending: str, steps: int, read: tuple[TensorSpec, ...]) -> Workload:
        """One matrix: its products with ``read`` in every step, and its bias."""
        output = TensorSpec(f"{name}.{ending}", (steps, self.gates * self.hidden_size), None)
        weight, bias = self._param(f"weight_{ending}"), self._param(f"bias_{ending}") if self.bias else None
        fan_in = weight.shape[1]
        source = TensorSpec(read[0].name, (output.shape[0], fan_in), read[0].format)
        product = multiplied(weight.format, source.format)
        total = summed_products(product, fan_in)
        total = total if bias is None else with_bias(total, bias.format)
        made = TensorSpec(output.name, output.shape, total)
        macs = output.count * fan_in
        return Workload(
            output.name, "linear", (source,), made, macs, fan_in, product, total, weight=weight, bias=bias
        )

    def _param(self, name: str) -> ParamSpec:
        with torch.no_grad():
            values = cast("Tensor", self.quantized_parameter(name))
        format = self.baked.get(name) or self._format(self.slot_of(name))
        kind = "bias" if name.startswith("bias") else "weight"
        return parameter_spec(kind, values, format)

    def _format(self, slot: str) -> Format | None:
        quantizer = self.quantizer(slot)
        return None if quantizer is None else quantizer.format

    # ------------------------------------------------------------------ made and frozen

    def frozen(self) -> Self:
        """A copy whose parameters stand on their grids; see :class:`~torchq.nn.baked.Baked`."""
        layer = copy.deepcopy(self).eval()
        with torch.no_grad():
            for name, _ in list(layer.named_parameters()):
                setattr(layer, name, nn.Parameter(cast("Tensor", layer.quantized_parameter(name)), False))
                quantizer = layer.quantizer(layer.slot_of(name))
                if quantizer is not None:
                    layer.baked.setdefault(name, quantizer.format)
        for slot in ("weight", "recurrent", "bias"):
            quantizer = layer.quantizer(slot)
            if quantizer is not None:
                layer.register_module(f"{slot}_quantizer", Baked(quantizer))
        return layer.requires_grad_(False)

    def dequantized(self) -> nn.Module:
        """The float layer, with copies of the parameters."""
        twin = self.replaces[0](**_arguments(self), device="meta")
        for name, parameter in self.named_parameters():
            setattr(twin, name, copy.deepcopy(parameter))
        return twin.train(self.training)

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The quantized layer for one of torch, with the same parameter objects.

        ``recurrent`` follows ``weight`` where it is left out.

        Raises:
            TorchqError: an LSTM with a projection.
        """
        (module,) = modules
        source = cast("Any", module)
        if source.proj_size:
            raise TorchqError(
                f"{cls.__name__} has no projection, got proj_size={source.proj_size}",
                hint="put a Linear layer after it",
            )
        layer = cls(**_arguments(source), device="meta", **options)
        for name, parameter in source.named_parameters():
            setattr(layer, name, parameter)
        given: dict[str, Spec | None] = dict(quantizers)
        if "weight" in given:
            given.setdefault("recurrent", given["weight"])
        layer.put_quantizers({slot: given.get(slot, cls.defaults.get(slot)) for slot in cls.slots})
        return layer.train(module.training)


def _arguments(layer: Any) -> dict[str, Any]:
    """What the float layer, or a quantized one, was made with."""
    names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
    more = ("nonlinearity",) if isinstance(layer, nn.RNN) else ()
    return {name: getattr(layer, name) for name in (*names, *more)}
