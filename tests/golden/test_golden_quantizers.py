"""Every recorded call of QKeras against ours: outputs to the bit, gradients to 1e-6."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import explained
import numpy as np
import pytest
import recorded_quantizers as recorded
import torch

from torchq.errors import QuantizerError
from torchq.quantizers import Quantizer, get

ROUNDED = {"binary", "ternary", "stochastic_binary", "stochastic_ternary", "bernoulli", "quantized_ulaw"}
"""Means, deviations and logarithms may differ in the last bit: compared to 1e-6."""
REFUSED = {
    "po2-one-bit": lambda c: c.quantizer == "quantized_po2" and c.kwargs["bits"] == 1,
    "po2-limits-without-po2": lambda c: (
        str(c.kwargs.get("alpha")) == "auto" and "min_po2_exponent" in c.kwargs
    ),
    "threshold-with-auto": lambda c: isinstance(c.kwargs.get("alpha"), str) and "threshold" in c.kwargs,
}
"""Calls that make no sense, and that we refuse."""


def made(case: recorded.Case) -> Quantizer:
    q = get(case.quantizer)(**case.kwargs)
    return q.train(case.training or case.quantizer == "bernoulli")  # which QKeras draws in inference too


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[np.ndarray]]:
    """Random numbers come from this list."""
    queue: list[Any] = []
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.from_numpy(queue.pop(0)).to(x.dtype))
    return queue


def equal(a: np.ndarray, b: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= tolerance * np.maximum(np.abs(a), 1e-30) if tolerance else a == b
    return near | (a == b) | (np.isnan(a) & np.isnan(b))


def summed(case: recorded.Case, q: Quantizer, x: torch.Tensor, values: np.ndarray) -> np.ndarray:
    """What QKeras makes of quantized values: ``x + noise * (q - x)`` in float32."""
    if case.quantizer in ("quantized_tanh", "quantized_sigmoid", "quantized_ulaw"):
        return values
    if case.quantizer == "quantized_hswish":
        s = q.swish(x)  # type: ignore[operator]
    elif case.quantizer == "binary":
        s = torch.tanh(x) if case.kwargs.get("alpha") is None else x
    else:
        s = x if case.quantizer == "quantized_linear" else q.surrogate(x)
    s = s.detach().numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        return s + np.float32(case.kwargs.get("qnoise_factor", 1.0)) * (values - s)


def compare(case: recorded.Case, drawn: list[Any], seen: Counter[str]) -> list[str]:
    """The faults of one call; what was equal, and why, is counted in ``seen``."""
    q = made(case)
    x = torch.from_numpy(case.x.copy()).requires_grad_()
    drawn[:] = [d.copy() for d in case.draws]
    y = q(x)
    ours, theirs = y.detach().numpy(), case.y
    assert theirs is not None
    tolerance = 1e-6 if case.quantizer in ROUNDED else 0.0
    left = ~equal(ours, theirs, tolerance)
    seen["elements equal"] += int((~left).sum())
    keys: set[str] = set()

    def explain(key: str, where: np.ndarray, values: np.ndarray) -> None:
        nonlocal left
        matched = left & where & equal(summed(case, q, x, values), theirs, tolerance)
        if matched.any():
            keys.add(key)
            seen[key] += int(matched.sum())
        left = left & ~matched

    explain("large-values", np.full(left.shape, True), ours)
    for place in explained.places(case, q, ours):
        explain(*place)
    faults = []
    if left.any():
        at = tuple(np.argwhere(left)[0])
        faults.append(f"{case.id} {case.kwargs}: x {case.x[at]} gives {ours[at]}, recorded {theirs[at]}")
    if case.gradient is not None and not keys & explained.GRADIENT_KEYS:
        (y * torch.from_numpy(case.weight)).sum().backward()
        gradient = x.grad.numpy()  # type: ignore[union-attr]
        wrong = np.abs(gradient - case.gradient) > 1e-6 * np.maximum(1, np.abs(case.gradient))
        if case.quantizer == "quantized_ulaw":
            seen["ulaw-gradient"] += int((wrong & (ours == 0) & (case.gradient == 0)).sum())
            wrong &= ~((ours == 0) & (case.gradient == 0))
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            faults.append(f"{case.id} {case.kwargs}: gradient at x {case.x[at]} is {gradient[at]}, "
                          f"recorded {case.gradient[at]}")  # fmt: skip
    if case.scale is not None and not keys & explained.SCALE_KEYS and hasattr(q, "scale"):
        scale = q.scale.numpy()
        if (scale.size > 1 and scale.shape != case.scale.shape) or not equal(scale, case.scale, 1e-6).all():
            faults.append(f"{case.id} {case.kwargs}: scale {scale}, recorded {case.scale}")
    seen["calls with a difference" if keys else "calls equal"] += 1
    return faults


@pytest.mark.parametrize("name", recorded.names())
def test_every_recorded_call(name: str, drawn: list[Any], record_property: Any) -> None:
    seen: Counter[str] = Counter()
    faults: list[str] = []
    for case in recorded.cases(name):
        refused = [key for key, holds in REFUSED.items() if holds(case)]
        if refused:
            with pytest.raises(QuantizerError):
                made(case)
            seen["calls refused"] += 1
        elif case.raises is None:
            faults += compare(case, drawn, seen)
        else:
            drawn[:] = [np.full_like(case.x, 0.5)] * 4
            assert np.isfinite(made(case)(torch.from_numpy(case.x)).numpy()).all(), case.id
            seen["calls that QKeras cannot do"] += 1
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:20])
    assert sum(n for key, n in seen.items() if key.startswith("calls")) == len(recorded.cases(name))
    record_property("golden", f"{name}: " + ", ".join(f"{n} {key}" for key, n in sorted(seen.items())))


def test_every_recorded_quantizer_is_compared() -> None:
    assert sum(len(recorded.cases(name)) for name in recorded.names()) == recorded.total()
    assert recorded.total() >= 1936


def test_every_difference_has_its_row_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "qkeras-differences.md").read_text()
    rows = set(re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE))
    source = (Path(__file__).parent / "explained.py").read_text()
    keys = set(re.findall(r'Place\(\s*"([a-z0-9-]+)"', source)) | set(REFUSED)
    keys |= explained.GRADIENT_KEYS | explained.SCALE_KEYS | {"large-values"}
    assert keys <= rows


@pytest.mark.parametrize("name", [n for n in recorded.names() if n.startswith("quantized_")])
def test_ranges_and_clip_bounds(name: str) -> None:
    compared = 0
    for case in recorded.cases(name):
        if (
            case.raises
            or not isinstance(case.largest, float)
            or name in ("quantized_tanh", "quantized_sigmoid")
        ):
            continue
        if isinstance(case.kwargs.get("alpha"), str) or any(holds(case) for holds in REFUSED.values()):
            continue  # the bound of quantized_linear follows the last scale
        q = made(case)
        assert q.clip_bound() == max(1.0, case.largest), (case.id, case.kwargs)
        if case.values is not None and case.kwargs.get("relu_upper_bound") is None:
            one_bit = name == "quantized_bits" and q.bits == 1  # recorded is [0, -1], out come -1 and +1
            assert q.range() == ([1.0, -1.0] if one_bit else case.values), (case.id, case.kwargs)
        compared += 1
    assert compared or name in ("quantized_tanh", "quantized_sigmoid")
