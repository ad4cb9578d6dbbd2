"""Numbers in wires: packed, unpacked, cut and put together; names that Verilog takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls_export.rtl.alkaid import Lane
from hls_export.rtl.codes import from_hex, pack, slot_lanes, to_hex, unpack
from hls_export.rtl.names import is_module_name, verilog_names
from hls_export.rtl.wires import Piece, Ref, Slots, concatenation, pieces
from torchq.errors import BackendError


@given(st.integers(1, 5), st.integers(1, 20), st.booleans(), st.integers(-9, 9), st.integers(0, 2**32))
def test_what_is_packed_is_unpacked(count, width, signed, fraction, seed):
    slots = Slots(count, width, signed, fraction)
    random = np.random.default_rng(seed)
    low = -(1 << (width - 1)) if signed else 0
    high = 1 << (width - int(signed))
    values = random.integers(low, high, size=(7, count)) * 2.0**-fraction
    rows = pack(values, slots)
    np.testing.assert_array_equal(unpack(rows, slot_lanes(slots)), values)
    np.testing.assert_array_equal(from_hex(to_hex(rows, slots.bits).splitlines(), rows.shape[1]), rows)


def test_bits_without_a_value_are_an_error():
    with pytest.raises(BackendError, match="left bits without a value in line 2: 0x"):
        from_hex(["0f", "0x"], 1)


def bits_of(parts: list[Piece], wires: dict[str, int]) -> str:
    """The bits of a concatenation, the highest first."""
    text = ""
    for part in parts:
        if part.wire in ("", "1"):
            text = (part.wire or "0") * part.size + text
        else:
            own = [
                str(wires[part.wire] >> (part.low + (0 if part.repeat else i)) & 1) for i in range(part.size)
            ]
            text = "".join(reversed(own)) + text
    return text


@given(
    st.tuples(st.booleans(), st.integers(0, 9), st.integers(-6, 6)),
    st.tuples(st.booleans(), st.integers(1, 12), st.integers(-8, 8)),
    st.integers(0, 2**16 - 1),
    st.integers(0, 5),
)
def test_bits_keep_their_weight_in_another_lane(source, target, word, offset):
    lane, other = Lane(*source), Lane(*target)
    ref = Ref("w", offset, lane, 0)
    code = (word >> offset) & ((1 << lane.width) - 1)
    if lane.signed and lane.width and code >> (lane.width - 1):
        code -= 1 << lane.width
    value = code * 2.0**lane.shift
    wanted = int(np.floor(value * 2.0**-other.shift)) % (1 << other.width)
    assert int(bits_of(list(pieces(ref, other)), {"w": word}), 2) == wanted
    assert (
        int(bits_of(list(pieces(value, other)), {}), 2) % (1 << other.width) == wanted
        or value % 2.0**other.shift
    )


def test_slots_hold_every_lane():
    lanes = [Lane(True, 4, -2), Lane(False, 6, -1), Lane(False, 0, 0)]
    assert Slots.of(lanes) == Slots(3, 8, True, 2)
    assert Slots.of([Lane(False, 0, 0)]).bits == 1


def test_a_concatenation_joins_neighbours_and_breaks_lines():
    parts = [Piece("a", i, 1) for i in range(4)] + [Piece("1", 0, 1)] * 3 + [Piece("a", 4, 2, repeat=True)]
    assert concatenation(parts) == "{{2{a[4]}}, 3'b111, a[3:0]}"
    many = concatenation([Piece(name, 0, 1) for name in "abcdefgh"])
    assert many.count("\n") == 1


def test_names():
    names = verilog_names(["fc1", "fc1_stage0", "fc_1", "fc.1", "é"])
    assert list(names.values()) == ["fc1", "fc1_stage0_", "fc_1", "fc_1_", "layer"]
    assert [is_module_name(n) for n in ("mlp", "module", "shift_adder", "é", "a-b", "")] == [True] + [
        False
    ] * 5
