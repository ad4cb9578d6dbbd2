"""Verilog of sums: signals that know their range, adders as wide as they must be, and registers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Signal:
    """A wire that holds an integer.

    Args:
        name: in the Verilog.
        low: the smallest value it can have.
        high: the largest.
        stage: how many registers lie between the input register and it.
        level: how many adders lie between the last register and it.
    """

    name: str
    low: int
    high: int
    stage: int = 0
    level: int = 0

    @property
    def signed(self) -> bool:
        """Whether it can be negative."""
        return self.low < 0

    @property
    def width(self) -> int:
        """Bits that hold the range; at least one."""
        if self.signed:
            return max((-self.low - 1).bit_length(), max(self.high, 0).bit_length()) + 1
        return max(self.high.bit_length(), 1)

    @property
    def operand(self) -> str:
        """As a signed operand of an expression."""
        return self.name if self.signed else f"$signed({{1'b0, {self.name}}})"


@dataclass(frozen=True)
class Term:
    """``signal * 2**shift``, or the negative of it."""

    signal: Signal
    shift: int = 0
    negative: bool = False


@dataclass
class Writer:
    """Collects the wires and registers of one module.

    Args:
        levels: how many adders may follow each other between two registers.
    """

    levels: int
    wires: list[str] = field(default_factory=list)
    clocked: list[str] = field(default_factory=list)
    _delayed: dict[str, Signal] = field(default_factory=dict)
    _count: int = 0

    def wire(self, low: int, high: int, expression: str, stage: int, level: int) -> Signal:
        """A new wire with this value."""
        made = Signal(self._name("w"), low, high, stage, level)
        self.wires.append(f"  wire {self.declared(made)} = {expression};")
        return made

    def register(self, low: int, high: int, expression: str, stage: int) -> Signal:
        """A new register that takes this value at every edge."""
        made = Signal(self._name("r"), low, high, stage)
        self.wires.append(f"  reg {self.declared(made)};")
        self.clocked.append(f"    {made.name} <= {expression};")
        return made

    def delayed(self, signal: Signal) -> Signal:
        """The signal one register later; the same register for everybody who asks."""
        if signal.name not in self._delayed:
            self._delayed[signal.name] = self.register(signal.low, signal.high, signal.name, signal.stage + 1)
        return self._delayed[signal.name]

    def at(self, signal: Signal, stage: int) -> Signal:
        """The signal, delayed up to a stage."""
        while signal.stage < stage:
            signal = self.delayed(signal)
        return signal

    def declared(self, signal: Signal) -> str:
        """Type and name."""
        return f"{'signed ' if signal.signed else ''}[{signal.width - 1}:0] {signal.name}"

    def add(self, a: Term, b: Term) -> Term:
        """The sum of two terms: one adder, or one subtractor."""
        stage = max(a.signal.stage, b.signal.stage)
        x, y = self.at(a.signal, stage), self.at(b.signal, stage)
        if max(x.level, y.level) >= self.levels:
            stage += 1
            x, y = self.at(x, stage), self.at(y, stage)
        a, b = replace(a, signal=x), replace(b, signal=y)
        if a.negative == b.negative:
            return replace(self._sum(a, b, "+"), negative=a.negative)
        return self._sum(b, a, "-") if a.negative else self._sum(a, b, "-")

    def _sum(self, a: Term, b: Term, sign: str) -> Term:
        if sign == "+" and a.shift > b.shift:
            a, b = b, a
        base = min(a.shift, b.shift)
        p, q = a.shift - base, b.shift - base
        x, y = a.signal, b.signal
        low, high = _ends(x, p, y, q, sign)
        stage, level = x.stage, max(x.level, y.level) + 1
        if q == 0:
            left = f"({x.operand} <<< {p})" if p else x.operand
            return Term(self.wire(low, high, f"{left} {sign} {y.operand}", stage, level), base)
        # The lowest bits of the first pass the adder by.
        top_low, top_high = _ends(replace(x, low=x.low >> q, high=x.high >> q), 0, y, 0, sign)
        top = self.wire(top_low, top_high, f"({x.operand} >>> {q}) {sign} {y.operand}", stage, level)
        bottom = self.wire(0, 2**q - 1, f"{x.operand}", stage, level)
        made = self.wire(low, high, f"{{{top.name}, {bottom.name}}}", stage, level)
        return Term(made, base)

    def total(self, terms: list[Term]) -> Term:
        """The sum of all terms, as a tree that joins those first that are there first."""
        waiting = sorted(terms, key=_readiness)
        while len(waiting) > 1:
            joined = [self.add(waiting[i], waiting[i + 1]) for i in range(0, len(waiting) - 1, 2)]
            waiting = sorted([*joined, *waiting[len(joined) * 2 :]], key=_readiness)
        return waiting[0]

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"


def _readiness(term: Term) -> tuple[int, int, int]:
    return (term.signal.stage, term.signal.level, term.shift)


def _ends(x: Signal, p: int, y: Signal, q: int, sign: str) -> tuple[int, int]:
    x_low, x_high, y_low, y_high = x.low << p, x.high << p, y.low << q, y.high << q
    return (x_low + y_low, x_high + y_high) if sign == "+" else (x_low - y_high, x_high - y_low)


def signed_digits(value: int) -> list[tuple[int, bool]]:
    """Shift and sign of each non-zero digit of the canonical signed digit form, the lowest first.

    Example:
        >>> signed_digits(7), signed_digits(-6)
        ([(0, True), (3, False)], [(1, False), (3, True)])
    """
    found = []
    shift = 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            found.append((shift, digit < 0))
            value -= digit
        value >>= 1
        shift += 1
    return found
