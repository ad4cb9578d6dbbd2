"""How many candidates a stack holds: as many as the caches (or a GPU's memory) have room for."""

from __future__ import annotations

from pathlib import Path

import torch

from torchq.train.stacked.layout import Layout

LEAST, MOST = 8, 128
"""Below, calls cost more than what they compute; above, nothing is gained."""
CACHE_BYTES = 2**25
"""Taken for the last cache where the system does not say its size."""
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
GPU_SHARE = 0.25
"""Of a GPU's free memory."""
ORDER_BYTES = 2**27
"""For the orders in which candidates see the samples of an epoch, 8 bytes a sample."""


def chunk_size(layout: Layout, rows: int, device: torch.device) -> int:
    """Candidates of a stack.

    Args:
        layout: of the stack.
        rows: samples of a batch.
        device: where it is trained.

    Returns:
        As many as have room for a training step in a sixth of the last cache, from 8 to 128 (on a GPU: 1024).
    """
    item = torch.finfo(layout.dtype).bits // 8
    parameters = 4 * sum(place.count for place in layout.parameters())
    kept = sum(
        width * positions * (3 if kind == "folded" else 1)
        for (kind, _), width, positions in zip(layout.links, layout.widths, layout.positions, strict=True)
    )
    step = item * (rows * (layout.inputs * layout.reads[0] + kept) + parameters)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(min(int(free * GPU_SHARE / (3 * step)), 8 * MOST), LEAST)
    return max(min(_last_cache() // (6 * step), MOST), LEAST)


def whole_size(samples: int) -> int:
    """Candidates of a stack that learns whole epochs in C, one after the other in the nearest caches.

    Args:
        samples: of an epoch.

    Example:
        >>> whole_size(38_400), whole_size(1_000_000), whole_size(10**8)
        (128, 16, 8)
    """
    return max(min(ORDER_BYTES // (8 * samples), MOST), LEAST)


def _last_cache() -> int:
    """Bytes of the largest cache, as Linux says them."""
    try:
        text = (_CACHES / "index3" / "size").read_text(encoding="ascii")
        return int(text.strip().removesuffix("K")) * 1024
    except (OSError, ValueError):
        return CACHE_BYTES
