"""``FixedPoint``: the number format of ``ap_fixed<W,I,...>``, per tensor, channel or element."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchq.errors import FormatError
from torchq.formats.rounding import Rounding, in_steps, round_to_integer, wrapped

IntLike = int | npt.NDArray[np.int64]

_TEXT = re.compile(
    r"^\s*ap_(?P<u>u?)fixed\s*<\s*(?P<w>\d+)\s*,\s*(?P<i>-?\d+)\s*"
    r"(?:,\s*(?:AP_)?(?P<q>[A-Z_]+)\s*)?(?:,\s*(?:AP_)?(?P<o>[A-Z_]+)\s*)?>\s*$"
)


class Overflow(StrEnum):
    """What happens above the first bit; names and meanings are those of ``ap_fixed``."""

    WRAP = "WRAP"
    """The bits above are dropped."""
    SAT = "SAT"
    """The nearest end of the range."""
    SAT_SYM = "SAT_SYM"
    """As ``SAT``, and the most negative code of a signed format is not used (QONNX: narrow)."""


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A fixed-point number format: ``width`` bits, of which ``integer`` stand before the point.

    ``integer`` **includes the sign bit**, as in HLS. (QKeras's ``integer`` and HGQ's ``i`` do not:
    :meth:`from_qkeras` and :meth:`from_kif` convert, and no other code does.) ``integer`` may be negative
    or larger than ``width``. Width, integer and signed may be integer arrays that broadcast against the
    tensor: formats per channel or per element. An element of width zero is pruned: its only value is 0.

    Args:
        width: all bits, the sign included; at least 0.
        integer: bits before the point, the sign included.
        signed: two's complement, or unsigned.
        rounding: how values between the grid points are rounded.
        overflow: how values beyond the range are handled.

    Raises:
        FormatError: a width below zero, or arrays that do not broadcast.

    Example:
        >>> f = FixedPoint(6, 1)
        >>> str(f), f.lsb, f.lo, f.hi
        ('ap_fixed<6,1,RND_CONV,SAT>', 0.03125, -1.0, 0.96875)
        >>> f.quantize(np.array([0.51, 7.0, -0.046875])).tolist()
        [0.5, 0.96875, -0.0625]
    """

    width: IntLike
    integer: IntLike
    signed: bool | npt.NDArray[np.bool_] = True
    rounding: Rounding = Rounding.RND_CONV
    overflow: Overflow = Overflow.SAT

    def __post_init__(self) -> None:
        if type(self.rounding) is not Rounding:
            object.__setattr__(self, "rounding", Rounding(self.rounding))
        if type(self.overflow) is not Overflow:
            object.__setattr__(self, "overflow", Overflow(self.overflow))
        if self._is_plain():
            return
        for name in ("width", "integer"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        object.__setattr__(self, "signed", _flag(self.signed))
        if np.any(np.asarray(self.width) < 0):
            raise FormatError(f"width must be at least 0, got {np.min(self.width)}")
        try:
            shape = np.broadcast_shapes(np.shape(self.width), np.shape(self.integer), np.shape(self.signed))
        except ValueError:
            raise FormatError(
                f"width {np.shape(self.width)}, integer {np.shape(self.integer)} and signed "
                f"{np.shape(self.signed)} must broadcast against each other"
            ) from None
        object.__setattr__(self, "_shape", shape)

    def _is_plain(self) -> bool:
        """Whether nothing needs to be converted; most formats are per tensor, and made by the hundred."""
        width = self.width
        plain = type(width) is int and type(self.integer) is int and type(self.signed) is bool
        if not plain or width < 0:  # a width below zero is refused with the others
            return False
        self.__dict__["_shape"] = ()
        return True

    # ------------------------------------------------------------------ other conventions, and text

    @classmethod
    def from_qkeras(
        cls,
        bits: IntLike,
        integer: IntLike = 0,
        *,
        keep_negative: bool = True,
        symmetric: bool = False,
        rounding: Rounding = Rounding.RND_CONV,
    ) -> FixedPoint:
        """The format of QKeras's ``quantized_bits(bits, integer, ...)``, whose ``integer`` has no sign bit.

        Example:
            >>> str(FixedPoint.from_qkeras(6, 0)), str(FixedPoint.from_qkeras(6, 2, keep_negative=False))
            ('ap_fixed<6,1,RND_CONV,SAT>', 'ap_ufixed<6,2,RND_CONV,SAT>')
        """
        overflow = Overflow.SAT_SYM if symmetric and keep_negative else Overflow.SAT
        sign = int(keep_negative)
        whole = integer + sign if isinstance(integer, int) else np.asarray(integer) + sign
        return cls(bits, whole, keep_negative, rounding, overflow)

    @classmethod
    def from_kif(
        cls,
        keep_negative: bool | npt.NDArray[np.bool_],
        integer: IntLike,
        fraction: IntLike,
        rounding: Rounding = Rounding.RND_CONV,
        overflow: Overflow = Overflow.SAT,
    ) -> FixedPoint:
        """The format of HGQ's ``(k, i, f)``, whose ``i`` has no sign bit.

        Example:
            >>> str(FixedPoint.from_kif(True, 2, 5))
            'ap_fixed<8,3,RND_CONV,SAT>'
        """
        k = np.asarray(keep_negative).astype(np.int64)
        width = np.maximum(k + np.asarray(integer) + np.asarray(fraction), 0)
        return cls(width, k + np.asarray(integer), keep_negative, rounding, overflow)

    @classmethod
    def parse(cls, text: str) -> FixedPoint:
        """Read ``ap_fixed<W,I[,ROUNDING[,OVERFLOW]]>`` or ``ap_ufixed<...>``.

        As in HLS, what is left out is ``TRN`` and ``WRAP``.

        Raises:
            FormatError: the text is no such format.

        Example:
            >>> FixedPoint.parse("ap_ufixed<6,2,RND_CONV,SAT>") == FixedPoint(6, 2, signed=False)
            True
        """
        match = _TEXT.match(text)
        if match is None:
            raise FormatError(f"{text!r} is no number format", hint="write ap_fixed<W,I,RND_CONV,SAT>")
        try:
            rounding = Rounding(match["q"] or "TRN")
            overflow = Overflow(match["o"] or "WRAP")
        except ValueError as wrong:
            known = ", ".join([*Rounding, *Overflow])
            raise FormatError(f"{text!r}: {wrong}", hint=f"Known: {known}") from None
        return cls(int(match["w"]), int(match["i"]), not match["u"], rounding, overflow)

    def __str__(self) -> str:
        tail = f"{self.rounding},{self.overflow}>"
        if self.is_scalar:
            return f"ap_{'' if self.signed else 'u'}fixed<{self.width},{self.integer},{tail}"
        prefix = "ap_fixed" if np.all(self.signed) else "ap_fixed" if np.any(self.signed) else "ap_ufixed"
        return f"{prefix}<{_span(self.width)},{_span(self.integer)},{tail}"

    # ------------------------------------------------------------------ what it can hold

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that width, integer and signed broadcast to; ``()`` for a format per tensor."""
        shape: tuple[int, ...] = self._shape  # type: ignore[attr-defined]
        return shape

    def as_fixed(self) -> FixedPoint:
        """The format itself, as all formats have it."""
        return self

    @property
    def is_scalar(self) -> bool:
        """Whether one format holds for the whole tensor."""
        return self.shape == ()

    @property
    def fraction(self) -> Any:
        """Bits after the point (may be negative)."""
        if self.is_scalar:
            return self.width - self.integer
        return _plain(np.asarray(self.integer) * -1 + np.asarray(self.width))

    @property
    def lsb(self) -> Any:
        """The distance of neighbouring values."""
        return _plain(np.exp2(-np.asarray(self.fraction, dtype=np.float64)))

    @property
    def code_min(self) -> Any:
        """The smallest integer code."""
        width = np.asarray(self.width)
        bits = np.maximum(width - 1, 0).astype(np.float64)
        low = -np.exp2(bits)
        if self.overflow is Overflow.SAT_SYM:
            low = low + np.exp2(np.maximum(bits - 53, 0))
        return _plain(np.where(np.asarray(self.signed) & (width > 0), low, 0.0))

    @property
    def code_max(self) -> Any:
        """The largest integer code (above 53 bits the largest that a float64 holds)."""
        width = np.asarray(self.width)
        bits = np.maximum(width - np.asarray(self.signed), 0).astype(np.float64)
        top = np.exp2(bits) - np.exp2(np.maximum(bits - 53, 0))
        return _plain(np.where(width > 0, top, 0.0))

    @property
    def lo(self) -> Any:
        """The smallest value."""
        return _plain(np.asarray(self.code_min) * np.asarray(self.lsb))

    @property
    def hi(self) -> Any:
        """The largest value."""
        return _plain(np.asarray(self.code_max) * np.asarray(self.lsb))

    def quantize(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The nearest values of this format, in float64: the reference that hardware is compared with.

        Args:
            x: any shape that the format broadcasts to.

        Returns:
            Float64 of the shape of ``x`` (broadcast against :attr:`shape`).
        """
        tensor = torch.from_numpy(np.asarray(x, dtype=np.float64))
        return np.asarray(self.quantize_tensor(tensor).numpy())

    def quantize_tensor(self, x: Tensor) -> Tensor:
        """As :meth:`quantize`, on a tensor of any float dtype; no gradient is defined here.

        An end of the range that the dtype cannot hold is moved to the next code that it can, inside.
        """
        lsb, low, high = (
            torch.as_tensor(_toward_zero(np.asarray(v), x.dtype), dtype=x.dtype, device=x.device)
            for v in (self.lsb, self.code_min, self.code_max)
        )
        code = round_to_integer(in_steps(x, lsb), self.rounding)
        if self.overflow is Overflow.WRAP:
            span = torch.as_tensor(
                np.exp2(np.asarray(self.width, dtype=np.float64)), dtype=x.dtype, device=x.device
            )
            code = wrapped(code, low, span)
        else:
            code = torch.clamp(code, low, high)
        return code * lsb + 0.0  # no negative zero: no code stands for it

    def holds(self, x: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each value stands on the grid and inside the range."""
        x = np.asarray(x, dtype=np.float64)
        code = x / np.asarray(self.lsb)
        inside = (code >= np.asarray(self.code_min)) & (code <= np.asarray(self.code_max))
        return np.asarray(inside & (code == np.rint(code)) & (x == code * np.asarray(self.lsb)))

    # ------------------------------------------------------------------ a value

    def _key(self) -> tuple[Any, ...]:
        def key(v: Any) -> Any:
            return (v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v

        return (key(self.width), key(self.integer), key(self.signed), self.rounding, self.overflow)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FixedPoint) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def _whole(name: str, value: Any) -> Any:
    """An int, or a read-only int64 array."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu" and not (array.dtype.kind == "f" and np.all(array == np.rint(array))):
        raise FormatError(f"{name} must be a whole number, got {value!r}")
    if array.ndim == 0:
        return int(array)
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


def _toward_zero(values: npt.NDArray[np.float64], dtype: torch.dtype) -> npt.NDArray[np.float64]:
    """The nearest numbers of a float type that are not farther from zero."""
    digits = 1 - round(math.log2(torch.finfo(dtype).eps))
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.trunc(np.ldexp(mantissa, digits)), exponent - digits))


def _flag(value: Any) -> Any:
    array = np.asarray(value)
    if array.ndim == 0:
        return bool(array)
    array = array.astype(np.bool_)
    array.setflags(write=False)
    return array


def _plain(array: npt.NDArray[Any]) -> Any:
    """A Python number for a 0-d array."""
    return array.item() if array.ndim == 0 else array


def _span(value: Any) -> str:
    low, high = int(np.min(value)), int(np.max(value))
    return str(low) if low == high else f"{low}..{high}"
