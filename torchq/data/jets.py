"""``jets``: which of five particles began a jet, from 16 high-level features (arXiv:1804.06913).

Three sources: ``embedded``, 60,000 SIMULATED jets that ship with the package and are not the public data;
``openml``, the public 830,000 jets, fetched once over the network; ``file``, the user's own.
"""

from __future__ import annotations

from importlib import resources

from torchq.data.files import open_frame, to_table
from torchq.data.openml import JETS_ID, read_openml
from torchq.data.packed import unpack
from torchq.data.source import Source
from torchq.data.table import Table
from torchq.errors import DataError

CLASSES = ("g", "q", "w", "z", "t")
"""Gluon, light quark, W boson, Z boson, top quark, in the order of the papers."""

FEATURES = (
    "zlogz",
    "c1_b0_mmdt",
    "c1_b1_mmdt",
    "c1_b2_mmdt",
    "c2_b1_mmdt",
    "c2_b2_mmdt",
    "d2_b1_mmdt",
    "d2_b2_mmdt",
    "d2_a1_b1_mmdt",
    "d2_a1_b2_mmdt",
    "m2_b1_mmdt",
    "m2_b2_mmdt",
    "n2_b1_mmdt",
    "n2_b2_mmdt",
    "mass_mmdt",
    "multiplicity",
)
"""Features in the order of OpenML 42468; masses in GeV, all others without a unit."""

EMBEDDED = "jets_60k.npz"
SIMULATED = (
    "SIMULATED jets that ship with torchq (Pythia 8, FastJet, a parametric detector; made by "
    "torchq.data.generate_jets), not the public OpenML data"
)


def read_jets(source: Source) -> Table:
    """The jets of a source.

    Raises:
        DataError: an unknown source, or one that cannot be read.
    """
    if source.kind == "embedded":
        return _embedded()
    if source.kind == "openml":
        return _openml(source)
    if source.path is None:
        raise DataError(
            "jets: source 'file' needs a path", hint="give the path of a .npz, .csv, .parquet or .h5 file"
        )
    frame = open_frame(source.path, FEATURES)
    text = f"jets of the user's file {source.path.name}"
    return to_table(frame, source=text, features=FEATURES, classes=CLASSES, label=source.label)


def _embedded() -> Table:
    file = resources.files("torchq.data").joinpath(EMBEDDED)
    with file.open("rb") as opened:
        held = unpack(opened, f"torchq/data/{EMBEDDED}")
    return Table("jets", SIMULATED, held.x, held.y, held.classes, held.features)


def _openml(source: Source) -> Table:
    table = read_openml(
        JETS_ID,
        features=FEATURES,
        classes=CLASSES,
        cache=source.cache,
        url=source.url,
        progress=source.progress,
        timeout_s=source.timeout_s,
    )
    text = f"the public jet set hls4ml_lhc_jets_hlf (OpenML {JETS_ID})"
    return Table(table.where, text, table.x, table.y, table.classes, table.features)
