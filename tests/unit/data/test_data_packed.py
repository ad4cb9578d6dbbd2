"""The packed file gives back every bit, and notices damage."""

from __future__ import annotations

import hashlib
import io
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from torchq.data.jets import CLASSES, EMBEDDED, FEATURES
from torchq.data.packed import RATIOS, Packed, pack, unpack
from torchq.errors import DataError

ORIGIN = "247f0084c07b748a5c0688d421e7cb66a005745cacf2dfbdac186707132624cb"


def shipped() -> bytes:
    return resources.files("torchq.data").joinpath(EMBEDDED).read_bytes()


def test_the_shipped_file_holds_the_sample_it_was_made_from() -> None:
    held = unpack(io.BytesIO(shipped()), "here")
    digest = hashlib.sha256(held.x.tobytes() + held.y.astype(np.uint8).tobytes()).hexdigest()
    assert digest == ORIGIN
    assert (held.classes, held.features) == (CLASSES, FEATURES)


def test_the_shipped_file_is_small() -> None:
    assert len(shipped()) < 2.4e6


def test_packing_the_shipped_jets_again_gives_them_again() -> None:
    held = unpack(io.BytesIO(shipped()), "here")
    again = unpack(io.BytesIO(pack(held)), "here")
    assert np.array_equal(held.x.view(np.int32), again.x.view(np.int32))
    assert np.array_equal(held.y, again.y)


FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 9), st.just(16)), elements=FLOATS))
def test_every_table_comes_back_bit_for_bit(x: np.ndarray) -> None:
    held = Packed(x, np.arange(len(x)) % 5, CLASSES, FEATURES)
    again = unpack(io.BytesIO(pack(held)), "here")
    assert np.array_equal(x.view(np.int32), again.x.view(np.int32))
    assert np.array_equal(held.y, again.y)


def test_ratios_are_used_where_they_hold() -> None:
    held = unpack(io.BytesIO(shipped()), "here")
    with np.load(io.BytesIO(shipped())) as parts:
        assert set(parts["derived"]) == set(RATIOS)
        assert list(parts["counts"]) == ["multiplicity"]
    column = FEATURES.index("d2_b2_mmdt")
    x = held.x.copy()
    x[7, column] *= 2  # no longer the ratio: kept as it is, not bent to the ratio
    packed = pack(Packed(x, held.y, CLASSES, FEATURES))
    with np.load(io.BytesIO(packed)) as parts:
        assert "d2_b2_mmdt" not in parts["derived"]
    assert unpack(io.BytesIO(packed), "here").x[7, column] == x[7, column]


@pytest.mark.parametrize("damage", ["cut", "flip", "text"])
def test_damage_is_noticed(damage: str) -> None:
    data = bytearray(shipped())
    if damage == "cut":
        del data[-1000:]
    elif damage == "flip":
        data[len(data) // 2] ^= 1
    else:
        data = bytearray(b"no zip file")
    with pytest.raises(DataError, match=r"^jets\.npz: the file is damaged; install the package again$"):
        unpack(io.BytesIO(bytes(data)), "jets.npz")
