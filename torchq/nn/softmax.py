"""``QSoftmax``: softmax as hardware computes it, every number on a stated format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from torchq.errors import QuantizerError
from torchq.formats import FixedPoint, Format, accumulated
from torchq.nn.base import Example, QLayer, Spec, quantized
from torchq.nn.operations import added, largest, table_of, times, totalled
from torchq.nn.registry import LAYERS
from torchq.nn.table import MOST_BITS, Lookup, Table, address_format
from torchq.quantizers import Quantizer, fixed, straight_through
from torchq.workload import Operation, TableSpec, TensorSpec, Workload

INPUT, EXP, INVERSE = "fixed(10,4)", "fixed(10,1,signed=False)", "fixed(12,1,signed=False)"
"""What the inner slots hold unless told otherwise."""


@LAYERS.register("QSoftmax")
class QSoftmax(QLayer):
    """Softmax by two tables and no division; equal to integer arithmetic, bit by bit.

    With ``n`` values along ``dim``:

    1. ``x = q_input(...)``, at most 12 bits.
    2. ``d = max(x) - x``, exact: as many bits as ``x``, unsigned. The subtraction keeps every exponential at
       or below 1 and the largest at exactly 1.
    3. ``e = q_exp(exp(-d))``, a table with the address ``d``.
    4. ``s = sum(e)``, exact: ``ceil(log2(n))`` bits more than ``e``.
    5. ``a = q_sum(s)``, the address of the second table: ``s`` itself if it has at most 12 bits, else the
       nearest value of ``ap_ufixed<12, I>`` with the ``I`` bits that ``n`` needs before the point.
    6. ``r = q_inverse(1 / a)``, a table; ``a`` is at least 1, so ``r`` is at most 1.
    7. ``y = q_output(e * r)``; the product is exact.

    Larger inputs never give smaller outputs (each step is monotone), so the largest input has the largest
    output. Ties may arise where inputs differ by little or far below the largest. The outputs sum to 1 up to
    the rounding of ``r`` and ``y``. The gradient is that of the float softmax at ``q_input(x)``.

    Args:
        dim: the axis of the values that sum to 1, as in ``nn.Softmax``.
        output_quantizer: of the result, in [0, 1]; text, a quantizer (copied) or a ``FixedPoint``.
        input_quantizer: of what it reads; ``ap_fixed<10,4>`` unless told otherwise.
        exp_quantizer: of the exponentials; it must have the value 1. ``ap_ufixed<10,1>``.
        sum_quantizer: of the second table's address; None for the rule above.
        inverse_quantizer: of the inverse of the sum, ``ap_ufixed<12,1>``.

    Raises:
        QuantizerError: a text that is no quantizer, an input or sum quantizer whose values are no addresses
            of a table, or an exp quantizer that makes something else of 1.

    Example:
        >>> layer = QSoftmax(output_quantizer="quantized_relu(8)")
        >>> layer(torch.tensor([1.0, 2.0, 4.0])).tolist()
        [0.04296875, 0.11328125, 0.84375]
        >>> QSoftmax(exp_quantizer="quantized_relu(8)")
        Traceback (most recent call last):
        ...
        torchq.errors.QuantizerError: QSoftmax: exp_quantizer quantized_relu(8,0) makes 0.996094 of 1, ...
    """

    kind: ClassVar[str] = "softmax"
    slots: ClassVar[tuple[str, ...]] = ("output", "input", "exp", "sum", "inverse")
    replaces: ClassVar[tuple[type[nn.Module], ...]] = (nn.Softmax,)
    needs_grid: ClassVar[bool] = False

    output_quantizer: Quantizer | None
    input_quantizer: Quantizer | None
    exp_quantizer: Quantizer | None
    sum_quantizer: Quantizer | None
    inverse_quantizer: Quantizer | None

    def __init__(
        self,
        dim: int | None = -1,
        *,
        output_quantizer: Spec | None = None,
        input_quantizer: Spec | None = INPUT,
        exp_quantizer: Spec | None = EXP,
        sum_quantizer: Spec | None = None,
        inverse_quantizer: Spec | None = INVERSE,
    ) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim
        self.set_quantizer("output", output_quantizer)
        self.set_quantizer("input", input_quantizer)
        self.set_quantizer("exp", exp_quantizer)
        self.set_quantizer("sum", sum_quantizer)
        self.set_quantizer("inverse", inverse_quantizer)

    def set_quantizer(self, slot: str, spec: Spec | None, like: Tensor | None = None) -> None:
        """Put a quantizer into a slot and see that the tables can be made."""
        super().set_quantizer(slot, spec, like)
        quantizer = self.quantizer(slot)
        if quantizer is not None:
            check_softmax_slot(type(self).__name__, slot, quantizer)

    def missing_slots(self) -> tuple[str, ...]:
        """All but ``sum``, which follows from the others."""
        return tuple(slot for slot in super().missing_slots() if slot != "sum")

    # ------------------------------------------------------------------ what it computes

    def forward(self, input: Tensor) -> Tensor:
        """The softmax along ``dim``.

        Args:
            input: any shape.

        Returns:
            The shape and dtype of ``input``. A slot without quantizer is computed in floats.
        """
        return table_softmax(
            input,
            self.dim,
            self.input_quantizer,
            self.exp_quantizer,
            self.sum_quantizer,
            self.inverse_quantizer,
            self.output_quantizer,
        )

    def tables(self, count: int) -> tuple[Table, Table]:
        """The table of exponentials and that of inverses, for the lowering.

        Args:
            count: how many values sum to 1.

        Raises:
            QuantizerError: a quantizer is missing.
        """
        for slot in self.missing_slots():
            raise QuantizerError(
                f"QSoftmax: its tables need an {slot}_quantizer", hint=f"give it an {slot}_quantizer"
            )
        found = []
        formats = (
            cast("Quantizer", self.exp_quantizer).format,
            cast("Quantizer", self.inverse_quantizer).format,
        )
        for lookup, format in zip(self._lookups(count), formats, strict=True):
            assert lookup.grid is not None  # noqa: S101 - told to the type checker
            found.append(Table(lookup.grid, format, lookup.values.numpy()))
        return found[0], found[1]

    def _lookups(self, count: int) -> tuple[Lookup, Lookup]:
        return _lookups(
            count, self.input_quantizer, self.exp_quantizer, self.sum_quantizer, self.inverse_quantizer, "cpu"
        )

    # ------------------------------------------------------------------ what graph, cost and export ask

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """``dim`` must be one of the sample's axes."""
        axis = self.dim + len(shape) + 1 if self.dim < 0 else self.dim
        if 1 <= axis <= len(shape):
            return None
        return f"needs samples that have the axis dim={self.dim}, got samples of shape {shape}"

    def output_format(self, source: Format | None) -> Format | None:  # noqa: ARG002
        """The output quantizer's format."""
        return None if self.output_quantizer is None else self.output_quantizer.format

    def workload(self, name: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> Workload:
        """See :func:`softmax_work`; none beside the output where a step is computed in floats."""
        axis = self.dim + len(output.shape) if self.dim < 0 else self.dim - 1
        operations, tables = softmax_work(
            output.count,
            output.shape[axis],
            self.input_quantizer,
            self.exp_quantizer,
            self.sum_quantizer,
            self.inverse_quantizer,
        )
        return Workload(name, self.kind, inputs, output, operations=operations, tables=tables)

    # ------------------------------------------------------------------ made

    @classmethod
    def from_float(
        cls, modules: Sequence[nn.Module], quantizers: Mapping[str, Spec | None], **options: Any
    ) -> Self:
        """The layer for one ``nn.Softmax``."""
        (softmax,) = cast("Sequence[nn.Softmax]", modules)
        given = {f"{slot}_quantizer": spec for slot, spec in quantizers.items()}
        return cls(softmax.dim, **given, **options).train(softmax.training)

    def dequantized(self) -> nn.Module:
        """``nn.Softmax`` along the same axis."""
        return nn.Softmax(self.dim).train(self.training)

    def extra_repr(self) -> str:
        """``dim`` and the quantizers."""
        return f"dim={self.dim}, {super().extra_repr()}"

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """Along the last axis, along another one, and with a sum of many values."""
        return (
            Example(lambda: (nn.Softmax(-1),), {"output": "quantized_relu(8,0)"}, (5,)),
            Example(lambda: (nn.Softmax(1),), {"output": "quantized_relu(10,1)"}, (3, 4)),
            Example(lambda: (nn.Softmax(-1),), {"output": "quantized_relu(6,0)"}, (33,)),
        )


def check_softmax_slot(owner: str, slot: str, quantizer: Quantizer) -> None:
    """See that a quantizer can stand in a slot of a softmax.

    Raises:
        QuantizerError: it makes no addresses of a table, or something else of 1.
    """
    if slot in ("input", "scores", "sum"):
        address_format(owner, slot, quantizer)
    if slot == "exp":
        one = quantizer(torch.ones((), dtype=torch.float64, device=quantizer.qnoise_factor.device)).item()
        if one != 1.0:
            raise QuantizerError(
                f"{owner}: exp_quantizer {quantizer} makes {one:g} of 1, and the largest exponential is 1",
                hint=f"give it a bit before the point: {EXP!r}",
            )


def sum_quantizer_for(exp: FixedPoint, count: int) -> fixed:
    """The quantizer of the sum of ``count`` exponentials: exact where 12 bits are enough.

    Example:
        >>> str(sum_quantizer_for(FixedPoint(10, 1, signed=False), 3).format)
        'ap_ufixed<11,2,RND_CONV,SAT>'
        >>> str(sum_quantizer_for(FixedPoint(10, 1, signed=False), 64).format)
        'ap_ufixed<12,7,RND_CONV,SAT>'
    """
    exact = accumulated(exp, count)
    integer = min(count.bit_length(), int(exact.integer) - int(bool(exact.signed)))
    fraction = min(int(exact.fraction), MOST_BITS - integer)
    return fixed(integer + fraction, integer, signed=False)


def softmax_work(
    values: int,
    count: int,
    input: Quantizer | None,
    exp: Quantizer | None,
    sum: Quantizer | None,
    inverse: Quantizer | None,
) -> tuple[tuple[Operation, ...], tuple[TableSpec, ...]]:
    """What the softmax of :class:`QSoftmax` computes: comparisons, sums, products, looks into its two tables.

    Args:
        values: how many come out.
        count: how many of them sum to 1.
        input: the quantizer of what comes in; without it, or that of ``exp`` or ``inverse``, a step is
            computed in floats and the result is empty.
        exp: that of the exponentials.
        sum: that of their sum; None for the rule of ``QSoftmax``.
        inverse: that of the inverse of the sum.
    """
    if input is None or exp is None or inverse is None:
        return (), ()
    groups = values // max(count, 1)
    x, e = input.format.as_fixed(), exp.format.as_fixed()
    address = sum_quantizer_for(e, count) if sum is None else sum
    operations = (
        largest(groups * (count - 1), x),
        added(values, x, x),
        totalled(groups, count, e),
        times(values, e, inverse.format),
    )
    distance = fixed(int(x.width), int(x.integer), signed=False)
    tables = (
        *table_of("exp_negative", distance, exp, values),
        *table_of("reciprocal", address, inverse, groups),
    )
    return operations, tables


def table_softmax(
    x: Tensor,
    dim: int,
    input: Quantizer | None,
    exp: Quantizer | None,
    sum: Quantizer | None,
    inverse: Quantizer | None,
    output: Quantizer | None,
) -> Tensor:
    """The softmax of :class:`QSoftmax`; a None in the place of a quantizer computes that step in floats."""
    x = quantized(x, input)
    float_softmax = torch.softmax(x, dim)
    if exp is None and sum is None and inverse is None:
        return quantized(float_softmax, output)
    with torch.no_grad():
        wide = x.detach().double()
        count = x.shape[dim]
        exponential, reciprocal = _lookups(count, input, exp, sum, inverse, x.device)
        e = exponential(wide.amax(dim, keepdim=True) - wide)
        y = e * reciprocal(e.sum(dim, keepdim=True))
        y = quantized(y, output).to(x.dtype)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return y
    return straight_through(quantized(float_softmax, output), y)


def _lookups(
    count: int,
    input: Quantizer | None,
    exp: Quantizer | None,
    sum: Quantizer | None,
    inverse: Quantizer | None,
    device: torch.device | str,
) -> tuple[Lookup, Lookup]:
    distance: Quantizer | None = None
    if input is not None and not input._blends:
        grid = input.format.as_fixed()
        distance = fixed(int(grid.width), int(grid.integer), signed=False).to(device)
    if sum is None and exp is not None and not exp._blends:
        sum = sum_quantizer_for(exp.format.as_fixed(), count).to(device)
    return (
        Lookup("exp_negative", distance, exp, device),
        Lookup("reciprocal", sum, inverse, device),
    )
