"""Limits on the options of a slot: most bits, or a list."""

from __future__ import annotations

from collections.abc import Sequence

from torchq.errors import SearchError

Bound = int | Sequence[str]
"""The most bits that a quantizer may have, or the only quantizers that are left."""


def within(options: Sequence[str], bound: Bound, *, layer: str, slot: str, limit: str) -> tuple[str, ...]:
    """The options that a limit leaves.

    Args:
        options: canonical quantizer texts.
        bound: the limit.
        layer: of the layer that it holds for.
        slot: the slot that it holds for.
        limit: how it was written.

    Raises:
        SearchError: it leaves none, or a list of texts that are no quantizers.

    Example:
        >>> within(["ternary()", "quantized_bits(4,0)"], 3, layer="fc1", slot="weight", limit="fc*.weight")
        ('ternary()',)
    """
    from torchq.quantizers import parse

    if isinstance(bound, int):
        kept = tuple(text for text in options if parse(text).bits <= bound)
        said = f"at most {bound} bits"
    else:
        wanted = [str(parse(text)) for text in bound]
        kept = tuple(text for text in options if text in wanted)
        said = f"one of {', '.join(wanted) or 'none'}"
    if not kept:
        had = ", ".join(f"{text} ({parse(text).bits} bits)" for text in options)
        raise SearchError(
            f"{layer}.{slot}: the limit {limit} ({said}) leaves no option; there were: {had}",
            hint="raise the limit, or give the slot a cheaper quantizer",
        )
    return kept
