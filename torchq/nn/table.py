"""``QTable``: a function of one value, computed as hardware does it, by a table.

One output value stands in the table for each code of the input format. What comes out is exactly the value
that is read there, on every device and in every float type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchq.errors import QuantizerError, TorchqError
from torchq.formats import FixedPoint, Format
from torchq.nn.base import Example, QLayer, Spec, quantized
from torchq.nn.operations import table_of
from torchq.nn.registry import LAYERS
from torchq.nn.table_functions import FUNCTIONS
from torchq.quantizers import Quantizer, straight_through
from torchq.workload import TensorSpec, Workload

MOST_BITS = 12
"""A table has at most this many address bits: 4096 values."""

ADDRESS = "fixed(10,4)"
"""The input format unless told otherwise: -8 to 8 in steps of 1/64."""


@dataclass(frozen=True, eq=False)
class Table:
    """The content of a table.

    Args:
        input: the format whose codes are the addresses.
        output: the format of the values.
        values: float64 ``[2 ** input.width]``; the value at an address belongs to the input code with the
            same bits (two's complement: the negative codes stand in the upper half).
    """

    input: FixedPoint
    output: Format
    values: npt.NDArray[np.float64]

    def codes(self) -> npt.NDArray[np.int64]:
        """The input code of each address, int64 ``[2 ** input.width]``."""
        return address_codes(self.input)


def address_codes(grid: FixedPoint) -> npt.NDArray[np.int64]:
    """The codes of a format in the order of their bits.

    Example:
        >>> address_codes(FixedPoint(2, 1)).tolist(), address_codes(FixedPoint(2, 1, signed=False)).tolist()
        ([0, 1, -2, -1], [0, 1, 2, 3])
    """
    size = 1 << int(grid.width)
    codes = np.arange(size, dtype=np.int64)
    return np.where(codes >= size // 2, codes - size, codes) if grid.signed else codes


def address_format(owner: str, slot: str, quantizer: Quantizer) -> FixedPoint:
    """The format that a table's addresses have.

    Args:
        owner: the class of the layer, for messages.
        slot: where the quantizer stands.
        quantizer: it makes the addresses.

    Raises:
        QuantizerError: its values are no addresses: no fixed-point grid, formats per channel, a scale that
            follows from the data, or more than 12 bits.
    """
    where = f"{owner}: {slot}_quantizer {quantizer}"
    hint = "give it a format such as 'fixed(10,4)'"
    if getattr(quantizer, "auto", False):
        raise QuantizerError(f"{where} finds its scale from the data, and a table needs fixed codes", hint)
    grid = quantizer.format if quantizer.hardware_reason() is None else None
    grid = None if grid is None else grid.as_fixed()
    if grid is None or not grid.is_scalar:
        raise QuantizerError(f"{where} makes no values of one fixed-point format for a table", hint)
    if int(grid.width) > MOST_BITS:
        raise QuantizerError(
            f"{where} makes {int(grid.width)} bits, and a table has at most {MOST_BITS} address bits", hint
        )
    return grid


class Lookup:
    """``q_output(function(q_input(x)))`` by a table, made for as long as quantizers and device stay.

    Args:
        function: a name in :data:`~torchq.nn.table_functions.FUNCTIONS`.
        input: makes the addresses; None for the function itself, with no table.
        output: of the values; None leaves them as they are.
        device: where the table stands.
        **parameters: of the function.
    """

    def __init__(
        self,
        function: str,
        input: Quantizer | None,
        output: Quantizer | None,
        device: torch.device | str = "cpu",
        **parameters: Any,
    ) -> None:
        self.function, self.arguments = FUNCTIONS.get(function), parameters
        self.input, self.output = input, output
        exact = input is not None and not input._blends
        self.grid = input.format.as_fixed() if input is not None and exact else None
        if self.grid is not None:
            points = torch.from_numpy(address_codes(self.grid) * self.grid.lsb)
            with torch.no_grad():
                values = self.function(points, **parameters)
                self.points = points
                self.raw = values
                self.values = self._stored(values).to(device)

    def _stored(self, values: Tensor) -> Tensor:
        """The values through the output quantizer, which may live on another device."""
        if self.output is None:
            return values
        device = self.output.qnoise_factor.device
        result: Tensor = self.output(values.to(device))
        return result

    def __call__(self, x: Tensor) -> Tensor:
        """What stands in the table for ``x``.

        Args:
            x: any shape.

        Returns:
            The shape and dtype of ``x``. The gradient is that of the input quantizer, times the derivative of
            the function, times that of the output quantizer.
        """
        x = quantized(x, self.input)
        if self.grid is None:
            return quantized(self.function(x, **self.arguments), self.output)
        with torch.no_grad():
            code = (x.detach() / self.grid.lsb).nan_to_num(0.0).round().to(torch.int64)
            y = self.values[code & (len(self.values) - 1)].to(x.dtype)
            y = torch.where(x.isnan(), x, y)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return y
        return straight_through(quantized(self.function(x, **self.arguments), self.output), y)


@LAYERS.register("QTable")
class QTable(QLayer):
    """A function of each value by a table: ``q_output(function(q_input(x)))``, exactly.

    The input quantizer gives the addresses, at most 12 bits, so the layer may read anything, exact sums too.
    The table is computed in float64. ``QTanh``, ``QSigmoid``, ``QSiLU``, ``QGELU``, ``QELU``, ``QSoftplus``,
    ``QHardsigmoid``, ``QHardswish`` and ``QHardtanh`` are tables that stand for the layers of torch.

    Args:
        function: a name in :data:`torchq.nn.FUNCTIONS`.
        output_quantizer: of the values in the table; text, a quantizer (copied) or a ``FixedPoint``.
        input_quantizer: of the addresses; ``ap_fixed<10,4>`` unless told otherwise. None computes the
            function itself, in floats.
        **parameters: of the function.

    Raises:
        UnknownNameError: no such function.
        QuantizerError: a text that is no quantizer, an input quantizer that gives no addresses, a parameter
            that the function does not have, or a function that is not a number at some address.

    Example:
        >>> layer = QTable("tanh", "quantized_bits(6,0,alpha=1)")
        >>> layer(torch.tensor([0.0, 0.5, -40.0])).tolist()
        [0.0, 0.46875, -1.0]
        >>> layer.table().values.shape
        (1024,)
        >>> QTable("tanhh", "quantized_bits(6,0,alpha=1)")
        Traceback (most recent call last):
        ...
        torchq.errors.UnknownNameError: unknown function 'tanhh'; did you mean 'tanh'? Known: ...
    """

    kind: ClassVar[str] = "table"
    slots: ClassVar[tuple[str, ...]] = ("output", "input")
    needs_grid: ClassVar[bool] = False

    input_quantizer: Quantizer | None
    output_quantizer: Quantizer | None

    def __init__(
        self,
        function: str,
        output_quantizer: Spec | None = None,
        *,
        input_quantizer: Spec | None = ADDRESS,
        **parameters: Any,
    ) -> None:
        super().__init__()
        FUNCTIONS.get(function)
        self.function = function
        self.arguments = parameters
        try:
            FUNCTIONS.get(function)(torch.zeros(1), **parameters)
        except TypeError as fault:
            raise QuantizerError(f"{type(self).__name__}: {function} does not take {parameters}") from fault
        self.register_module("output_quantizer", None)
        self.set_quantizer("input", input_quantizer)
        self.set_quantizer("output", output_quantizer)

    def set_quantizer(self, slot: str, spec: Spec | None, like: Tensor | None = None) -> None:
        """Put a quantizer into a slot; that of the input must give addresses."""
        super().set_quantizer(slot, spec, like)
        quantizer = self.quantizer(slot)
        if slot == "input" and quantizer is not None:
            address_format(type(self).__name__, slot, quantizer)
            self._lookup()

    def _lookup(self, device: torch.device | str = "cpu") -> Lookup:
        lookup = Lookup(self.function, self.input_quantizer, self.output_quantizer, device, **self.arguments)
        if lookup.grid is not None and bool(lookup.raw.isnan().any()):
            first = lookup.points[lookup.raw.isnan()][0].item()
            raise QuantizerError(
                f"{type(self).__name__}: {self.function} is not a number at {first:g}, "
                f"which {self.input_quantizer} has",
                hint="give an input_quantizer whose values the function takes, such as an unsigned one",
            )
        return lookup

    # ------------------------------------------------------------------ what it computes

    def forward(self, input: Tensor) -> Tensor:
        """What stands in the table, any shape."""
        return self._lookup(input.device)(input)

    def table(self) -> Table:
        """The content of the table, for the lowering.

        Raises:
            QuantizerError: a quantizer is missing.
        """
        for slot in self.missing_slots():
            raise QuantizerError(
                f"{type(self).__name__}: a table needs an {slot}_quantizer",
                hint=f"give it an {slot}_quantizer",
            )
        lookup = self._lookup()
        assert lookup.grid is not None and self.output_quantizer is not None  # noqa: S101, PT018 - for the type checker
        values = lookup.values.detach().numpy()
        return Table(lookup.grid, self.output_quantizer.format, values)

    # ------------------------------------------------------------------ what graph, cost and export ask

    def output_format(self, source: Format | None) -> Format | None:  # noqa: ARG002
        """The output quantizer's format."""
        return None if self.output_quantizer is None else self.output_quantizer.format

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """One look into the table for each value."""
        tables = table_of(self.function, self.input_quantizer, self.output_quantizer, output.count)
        return Workload(name, self.kind, inputs, output, tables=tables)

    # ------------------------------------------------------------------ made

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The table for one float activation, with its parameters."""
        given = {f"{slot}_quantizer": spec for slot, spec in quantizers.items()}
        parameters = {name: value for module in modules for name, value in cls.parameters_of(module).items()}
        arguments: dict[str, Any] = {**parameters, **options, **given}
        layer = cls(**arguments)
        return layer.train(all(module.training for module in modules))

    def dequantized(self) -> nn.Module:
        """The float activation, with its parameters.

        Raises:
            TorchqError: torch has none of this name.
        """
        if not self.replaces:
            raise TorchqError(f"a table of {self.function} has no float layer that says the same")
        return self.replaces[0](**self.arguments).train(self.training)

    @classmethod
    def parameters_of(cls, module: nn.Module) -> dict[str, Any]:  # noqa: ARG003
        """The parameters of the function that a float activation computes."""
        return {}

    def extra_repr(self) -> str:
        """Function, parameters and quantizers."""
        numbers = "".join(f"{name}={value!r}, " for name, value in self.arguments.items())
        return f"{self.function}, {numbers}{super().extra_repr()}"

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Signed and unsigned addresses, with a parameter."""
        return (
            Example(tuple, {"output": "quantized_bits(6,3,alpha=1)"}, (5,), options={"function": "exp"}),
            Example(
                tuple,
                {"output": "quantized_relu(6,2)", "input": "quantized_relu(7,4)"},
                (5,),
                options={"function": "rsqrt", "eps": 0.125},
            ),
        )
