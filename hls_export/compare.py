"""Two readings of one network, and where they part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reading:
    """What one way of computing the network says.

    Args:
        name: as it stands in messages: ``"torch"``, ``"ONNX"``, ``"emulator"``, ``"C simulation"``.
        outputs: ``[n, *output shape]``.
        trace: what every tensor is for some samples, by tensor name; tensors may be missing.
    """

    name: str
    outputs: Array
    trace: Callable[[Array], Mapping[str, Array]]


@dataclass(frozen=True)
class Mismatch:
    """How one reading differs from another, and where that begins.

    Args:
        reading: the one that differs.
        reference: the one that it is compared with.
        count: values of the output that differ.
        values: values of the output that were compared.
        max_lsb: the largest difference, in units of the output's last bit.
        layer: the first layer whose tensor differs for the first differing sample.
        sample: that sample.
        output: the first element of that layer's tensor that differs.
        got: its value.
        expected: its value in the reference.

    Example:
        >>> found = Mismatch("C simulation", "torch", 1, 320, 1.0, "fc3", 17, 3, 0.40625, 0.4375)
        >>> print(found)  # doctest: +NORMALIZE_WHITESPACE
        C simulation differs from torch in 1 of 320 values (max 1 LSB), first at fc3, sample 17, output 3:
        0.40625 against 0.4375
    """

    reading: str
    reference: str
    count: int
    values: int
    max_lsb: float
    layer: str
    sample: int
    output: int
    got: float
    expected: float

    def __str__(self) -> str:
        return (
            f"{self.reading} differs from {self.reference} in {self.count} of {self.values} values "
            f"(max {self.max_lsb:g} LSB), first at {self.layer}, sample {self.sample}, "
            f"output {self.output}: {self.got!r} against {self.expected!r}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, with the message."""
        return {**asdict(self), "message": str(self)}


def compare(
    reference: Reading, reading: Reading, x: Array, tensors: Sequence[tuple[str, str]], lsb: Any
) -> Mismatch | None:
    """Compare all outputs; where they differ, find the first layer that does.

    Args:
        reference: what is right.
        reading: what is compared with it.
        x: the samples that both have read.
        tensors: names of the tensors in the order of computation, each with its layer's name; the last one
            is the output.
        lsb: the last bit of the output, a number or one an element.

    Returns:
        None if every value is equal.
    """
    expected, got = reference.outputs, reading.outputs
    if expected.shape != got.shape:
        raise ValueError(f"{reading.name} has outputs {got.shape}, {reference.name} {expected.shape}")
    differ = expected != got
    if not differ.any():
        return None
    sample = int(np.argwhere(differ)[0][0])
    layer, output, a, b = _first(reference, reading, x, sample, tensors)
    worst = np.abs((got - expected) / np.asarray(lsb))
    return Mismatch(
        reading=reading.name,
        reference=reference.name,
        count=int(differ.sum()),
        values=int(differ.size),
        max_lsb=float(np.max(np.where(differ, worst, 0.0))),
        layer=layer,
        sample=sample,
        output=output,
        got=b,
        expected=a,
    )


def _first(
    reference: Reading, reading: Reading, x: Array, sample: int, tensors: Sequence[tuple[str, str]]
) -> tuple[str, int, float, float]:
    """The layer, the element of its tensor, and both values."""
    row = x[sample : sample + 1]
    left, right = reference.trace(row), reading.trace(row)
    for tensor, layer in tensors:
        if tensor not in left or tensor not in right:
            continue
        a, b = np.ravel(left[tensor]), np.ravel(right[tensor])
        if a.shape == b.shape and (a != b).any():
            place = int(np.argwhere(a != b)[0][0])
            return layer, place, float(a[place]), float(b[place])
    a, b = np.ravel(reference.outputs[sample]), np.ravel(reading.outputs[sample])
    place = int(np.argwhere(a != b)[0][0])
    return tensors[-1][1], place, float(a[place]), float(b[place])
