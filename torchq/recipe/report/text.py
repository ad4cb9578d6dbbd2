"""Numbers as a reader wants them, and texts that no output can choke on."""

from __future__ import annotations

import math
import re

MISSING = "not run yet"
NONE = "–"

_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    r"""Without control characters, direction overrides and lone surrogates, each becoming ``U+FFFD``.

    Example:
        >>> clean("fc1\x1b[31m\ud800")
        'fc1�[31m�'
    """
    return _UNPRINTABLE.sub("\ufffd", str(text).replace("\r\n", "\n"))


def one_line(text: str) -> str:
    r"""As :func:`clean`, with every run of white space one blank.

    Example:
        >>> one_line(" a\n\tb ")
        'a b'
    """
    return " ".join(clean(text).split())


def number(value: float | None, digits: int = 0) -> str:
    """With thousands separated; ``–`` if there is none, ``not a number`` if it is none.

    Example:
        >>> number(61446), number(193.44, 1), number(None), number(float("nan"))
        ('61,446', '193.4', '–', 'not a number')
    """
    if value is None:
        return NONE
    if math.isnan(value):
        return "not a number"
    return f"{value:,.{digits}f}"


def significant(value: float | None, digits: int = 4) -> str:
    """To so many significant digits, never in powers of ten between 1e-4 and 1e6.

    Example:
        >>> significant(3438.7), significant(0.0123456), significant(0.0)
        ('3,439', '0.01235', '0')
    """
    if value is None or not math.isfinite(value) or value == 0:
        return number(value)
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    return number(value, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def percent(share: float | None, digits: int = 2) -> str:
    """A fraction of one as per cent.

    Example:
        >>> percent(0.71234), percent(None)
        ('71.23 %', '–')
    """
    return NONE if share is None else _with_unit(number(share * 100, digits), "%")


def points(share: float | None, digits: int = 2) -> str:
    """A difference of two fractions as percentage points.

    Example:
        >>> points(0.0049), points(-0.001)
        ('0.49 points', '-0.10 points')
    """
    return NONE if share is None else _with_unit(number(share * 100, digits), "points")


def energy(picojoule: float | None) -> str:
    """An energy in pJ.

    Example:
        >>> energy(193.44), energy(3438.7)
        ('193.4 pJ', '3,439 pJ')
    """
    return NONE if picojoule is None else _with_unit(significant(picojoule), "pJ")


def times(ratio: float | None) -> str:
    """How many times.

    Example:
        >>> times(7.4123), times(None)
        ('7.41 ×', '–')
    """
    return NONE if ratio is None else _with_unit(number(ratio, 2), "×")


def duration(seconds: float | None) -> str:
    """A time span.

    Example:
        >>> duration(41.26), duration(312.4), duration(600), duration(7384)
        ('41.3 s', '5 min 12 s', '10 min', '2 h 3 min')
    """
    if seconds is None:
        return NONE
    if not math.isfinite(seconds):
        return "not a number"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"


def sigma(share: float | None, examples: int | None) -> float | None:
    """One standard deviation of a share counted on so many examples: ``sqrt(p (1 - p) / n)``.

    Example:
        >>> round(sigma(0.71, 12000), 5)
        0.00414
    """
    if share is None or not examples or not 0 <= share <= 1:
        return None
    return math.sqrt(share * (1 - share) / examples)


def _with_unit(value: str, unit: str) -> str:
    return value if value == "not a number" else f"{value} {unit}"
