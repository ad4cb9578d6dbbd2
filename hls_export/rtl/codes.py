"""Numbers as the bits of a port: packed for a simulator, and unpacked from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hls_export.rtl.alkaid import Lane
from hls_export.rtl.wires import Slots
from torchq.errors import BackendError

Array = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

_MOST = 62
"""Bits of a code; a number wider than 53 bits is refused earlier."""


def pack(values: Array, slots: Slots) -> Bytes:
    """Samples as rows of bytes, the lowest first.

    Args:
        values: ``[n, count]``, on the grid of the slots.
        slots: of the port.

    Example:
        >>> pack(np.array([[1.0, -1.0]]), Slots(2, 4, True, 0)).tolist()
        [[241]]
    """
    codes = np.ldexp(values, slots.fraction).astype(np.int64)
    bits = (codes[:, :, None] >> np.arange(slots.width)) & 1
    flat = bits.reshape(len(values), -1).astype(np.uint8)
    return np.packbits(flat, axis=1, bitorder="little")


def unpack(rows: Bytes, lanes: Sequence[tuple[int, Lane]]) -> Array:
    """Numbers out of rows of bytes.

    Args:
        rows: ``[n, bytes]``, the lowest first.
        lanes: the lowest bit of each number, and its lane.

    Example:
        >>> unpack(np.array([[241]], np.uint8), [(0, Lane(True, 4, 0)), (4, Lane(True, 4, -1))]).tolist()
        [[1.0, -0.5]]
    """
    bits = np.unpackbits(rows, axis=1, bitorder="little")
    out = np.zeros((len(rows), len(lanes)))
    for i, (offset, lane) in enumerate(lanes):
        if not lane.width:
            continue
        own = bits[:, offset : offset + min(lane.width, _MOST)].astype(np.int64)
        code = own @ (np.int64(1) << np.arange(own.shape[1], dtype=np.int64))
        if lane.signed:
            code = code - (own[:, -1] << own.shape[1])
        out[:, i] = np.ldexp(code.astype(np.float64), lane.shift)
    return out


def slot_lanes(slots: Slots) -> list[tuple[int, Lane]]:
    """Where the numbers of a port stand."""
    return [(i * slots.width, slots.lane) for i in range(slots.count)]


def to_hex(rows: Bytes, bits: int) -> str:
    r"""One line a row of ``bits`` bits, the highest digit first, as ``$readmemh`` and ``%h`` take them.

    Example:
        >>> to_hex(np.array([[0x34, 0x02]], np.uint8), 10)
        '234\n'
    """
    digits = -(-bits // 4)
    return "".join(f"{row[::-1].tobytes().hex()[-digits:]}\n" for row in rows)


def from_hex(lines: Sequence[str], size: int) -> Bytes:
    """Rows of ``size`` bytes from hexadecimal lines.

    Raises:
        BackendError: a digit that is none: bits that have no value in the simulation.

    Example:
        >>> from_hex(["1234"], 2).tolist()
        [[52, 18]]
    """
    rows = np.zeros((len(lines), size), np.uint8)
    for i, line in enumerate(lines):
        try:
            rows[i] = np.frombuffer(bytes.fromhex(line.strip().zfill(2 * size)), np.uint8)[::-1]
        except ValueError:
            raise BackendError(
                f"the simulation left bits without a value in line {i + 1}: {line.strip()[:40]}",
                hint="a register that is never written; this is a defect, please report it",
            ) from None
    return rows
