"""The public jet set: OpenML 42468, ``hls4ml_lhc_jets_hlf``, 830,000 jets.

Its class order is ``g q t w z``; classes are matched by name, so the table has the order asked for.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from torchq.data.download import TIMEOUT_S, Progress, fetch, fetch_text
from torchq.data.files import open_frame, to_table
from torchq.data.files.arff import open_arff
from torchq.data.table import Table
from torchq.errors import DataError
from torchq.files import atomic_write_bytes

URL = "https://www.openml.org"
JETS_ID = 42468
CACHE_VARIABLE = "TORCHQ_CACHE"


def cache_folder() -> Path:
    """Where fetched data is kept: ``$TORCHQ_CACHE``, or else ``~/.cache/torchq``."""
    told = os.environ.get(CACHE_VARIABLE)
    return Path(told).expanduser() if told else Path.home() / ".cache" / "torchq"


def read_openml(
    number: int,
    *,
    features: Sequence[str],
    classes: Sequence[str],
    cache: Path | None = None,
    url: str = URL,
    progress: Progress | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Table:
    """A data set of OpenML, fetched once and then read from the cache folder.

    Args:
        number: its number there.
        features: names of the features wanted.
        classes: names of the classes, in the order wanted.
        cache: folder to keep it in, by default :func:`cache_folder`.
        url: address of the server.
        progress: called while the file comes.
        timeout_s: seconds without an answer after which to give up.

    Raises:
        DataError: no network, an answer that is not understood, or a file without what is wanted.
    """
    kept = (cache or cache_folder()) / f"openml_{number}.npz"
    source = f"OpenML data set {number}"
    if not kept.is_file():
        try:
            _fetch(
                number,
                kept,
                features=features,
                classes=classes,
                url=url,
                progress=progress,
                timeout_s=timeout_s,
            )
        except DataError as fault:
            raise DataError(
                f"OpenML data set {number} is not in {kept.parent} and cannot be had: {fault.message}",
                hint="it needs a network; without one use source 'embedded' (simulated jets), or 'file' with "
                "a copy of the set",
            ) from fault
    return to_table(open_frame(kept, features), source=source, features=features, classes=classes)


def _fetch(
    number: int,
    kept: Path,
    *,
    features: Sequence[str],
    classes: Sequence[str],
    url: str,
    progress: Progress | None,
    timeout_s: float,
) -> None:
    """Download the ARFF file, and keep it as ``.npz``, which is read a hundred times faster."""
    address = f"{url}/api/v1/json/data/{number}"
    answer = fetch_text(address, timeout_s=timeout_s)
    try:
        description = json.loads(answer)["data_set_description"]
        file_url, md5 = str(description["url"]), description.get("md5_checksum")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{address}: the answer is no description of a data set") from None
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        path = fetch(
            file_url, Path(folder) / f"{number}.arff", md5=md5, progress=progress, timeout_s=timeout_s
        )
        table = to_table(open_arff(path), source="", features=features, classes=classes)
    buffer = _npz(table)
    atomic_write_bytes(kept, buffer)


def _npz(table: Table) -> bytes:
    buffer = io.BytesIO()
    np.savez(
        buffer,
        X=table.x.astype(np.float32),
        y=table.y.astype(np.uint8),
        classes=np.array(table.classes),
        feature_names=np.array(table.features),
    )
    return buffer.getvalue()
