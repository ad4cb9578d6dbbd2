"""Where numbers stand in wires, and how one wire is made of pieces of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hls_export.rtl.alkaid import Lane


class Ref(NamedTuple):
    """A number that stands in some bits of a wire.

    Args:
        wire: its name.
        offset: of its lowest bit.
        lane: how many bits, and what they mean.
        time: clock edges since the input was registered.
    """

    wire: str
    offset: int
    lane: Lane
    time: int


class Piece(NamedTuple):
    """Neighbouring bits of a wire; ``wire`` is ``""`` for zeros; ``repeat`` is set for copies of one bit."""

    wire: str
    low: int
    size: int
    repeat: bool = False

    @property
    def text(self) -> str:
        """In Verilog."""
        if not self.wire:
            return f"{self.size}'b0"
        if self.repeat:
            return f"{{{self.size}{{{self.wire}[{self.low}]}}}}"
        return f"{self.wire}[{self.low + self.size - 1}:{self.low}]"


@dataclass(frozen=True)
class Slots:
    """A port of ours: all numbers in slots of equal width, the first one in the lowest bits.

    Args:
        count: how many numbers.
        width: bits of a slot.
        signed: two's complement, or unsigned.
        fraction: bits behind the point: the value is the code times ``2**-fraction``.
    """

    count: int
    width: int
    signed: bool
    fraction: int

    @property
    def bits(self) -> int:
        """Of the whole port; at least one."""
        return max(self.count * self.width, 1)

    @property
    def lane(self) -> Lane:
        """Of every slot."""
        return Lane(self.signed, self.width, -self.fraction)

    @classmethod
    def of(cls, lanes: Sequence[Lane]) -> Slots:
        """The narrowest slots that hold all of some lanes.

        Example:
            >>> Slots.of([Lane(True, 4, -2), Lane(False, 3, 0)])
            Slots(count=2, width=6, signed=True, fraction=2)
        """
        used = [lane for lane in lanes if lane.width]
        if not used:
            return cls(len(lanes), 1, False, 0)
        signed = any(lane.signed for lane in used)
        fraction = max(-lane.shift for lane in used)
        width = max(lane.width + lane.shift + fraction + int(signed and not lane.signed) for lane in used)
        return cls(len(lanes), width, signed, fraction)


def pieces(source: Ref | float, target: Lane) -> Iterator[Piece]:
    """The bits of a number in another lane, the lowest first: zeros below, copies of the sign above."""
    if isinstance(source, float):
        yield from _constant(round(source * 2.0**-target.shift), target.width)
        return
    lane, below = source.lane, source.lane.shift - target.shift
    if not lane.width:
        yield Piece("", 0, target.width)
        return
    zeros = min(max(below, 0), target.width)
    if zeros:
        yield Piece("", 0, zeros)
    first = max(-below, 0)
    inside = min(lane.width - first, target.width - zeros)
    if inside > 0:
        yield Piece(source.wire, source.offset + first, inside)
    above = target.width - zeros - max(inside, 0)
    if above:
        sign = Piece(source.wire, source.offset + lane.width - 1, above, repeat=True)
        yield sign if lane.signed else Piece("", 0, above)


def _constant(code: int, width: int) -> Iterator[Piece]:
    for i in range(width):
        yield Piece("" if not code >> i & 1 else "1", 0, 1)


def concatenation(parts: Sequence[Piece], indent: str = "    ") -> str:
    """A Verilog expression of pieces, the lowest first; neighbours that belong together are joined.

    Example:
        >>> concatenation([Piece("a", 0, 2), Piece("a", 2, 3), Piece("", 0, 1)])
        "{1'b0, a[4:0]}"
    """
    joined: list[Piece] = []
    for part in parts:
        if not part.size:
            continue
        last = joined[-1] if joined else None
        alike = last is not None and last.wire == part.wire and not (last.repeat or part.repeat)
        if last and alike and (part.wire in ("", "1") or last.low + last.size == part.low):
            joined[-1] = last._replace(size=last.size + part.size)
            continue
        joined.append(part)
    texts = [f"{p.size}'b{'1' * p.size}" if p.wire == "1" else p.text for p in reversed(joined)]
    lines = [", ".join(texts[i : i + 6]) for i in range(0, len(texts), 6)]
    return "{" + f",\n{indent}".join(lines) + "}"
