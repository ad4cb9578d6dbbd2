"""The range of what a function of one value makes of a range, by looking at every code in it."""

from __future__ import annotations

import numpy as np
import torch

from torchq.graph.intervals.codes import finest, to_codes
from torchq.graph.intervals.enumerated import between
from torchq.graph.intervals.interval import Interval
from torchq.graph.intervals.quantizers import quantized
from torchq.nn.table import Lookup, address_codes
from torchq.nn.types import fixed


def looked_up(x: Interval | None, lookup: Lookup, shape: tuple[int, ...]) -> Interval | None:
    """The range of what stands in a table at the addresses that a range has; None without a table.

    Args:
        x: what is looked up, before the quantizer that makes the addresses; None for anything.
        lookup: the table.
        shape: of one sample.
    """
    address = None if lookup.input is None else quantized(x, lookup.input, shape)
    if lookup.grid is None or address is None:
        return None
    order = np.argsort(address_codes(lookup.grid))
    values = lookup.values.detach().to("cpu", torch.float64).numpy()[order]
    if not np.isfinite(values).all():
        return None
    grid = None if lookup.output is None else fixed(lookup.output.format)
    fraction = finest(values) if grid is None else max(int(grid.fraction), finest(values))
    return between(to_codes(values, fraction), fraction, int(address_codes(lookup.grid).min()), address)
