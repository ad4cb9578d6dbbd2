"""Transposes that hls4ml takes for its own stay, compiled and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hls_export import lower, verify
from hls_export.qonnx import export
from torchq.nn import QActivation, QInput, QLinear

FOUR = "quantized_bits(4,1,alpha=1)"


class Turned(nn.Module):
    """An input in another order, then a dense layer or nothing."""

    def __init__(self, order: tuple[int, ...], *, dense: bool) -> None:
        super().__init__()
        self.order = order
        self.given = QInput("quantized_bits(6,2,alpha=1)")
        self.first = QActivation(FOUR)
        self.dense = QLinear(12, 3, weight_quantizer=FOUR, bias_quantizer=FOUR) if dense else nn.Identity()
        self.last = QActivation(FOUR)

    def forward(self, x: Tensor) -> Tensor:
        """Flat."""
        x = self.first(self.given(x)) if isinstance(self.dense, QLinear) else self.given(x)
        return self.last(self.dense(x.permute(0, *(axis + 1 for axis in self.order)).flatten(1)))


@pytest.mark.parametrize(
    ("shape", "order"),
    [((1, 3, 4), (0, 2, 1)), ((2, 3, 2), (0, 2, 1)), ((3, 4), (1, 0)), ((1, 3, 4), (2, 0, 1))],
)
@pytest.mark.parametrize("dense", [True, False], ids=["dense", "flat"])
def test_no_order_is_lost(
    shape: tuple[int, ...], order: tuple[int, ...], dense: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = Turned(order, dense=dense).eval()
    exported = export(model, tmp_path / "n.onnx", shape)
    project = lower(exported.graph, tmp_path / "project", backend="vitis", io_type="io_parallel")
    project.compile()
    x = np.random.default_rng(1).normal(0, 2, (50, *shape))
    verdict = verify(model, tmp_path / "n.onnx", project, x)
    assert "C simulation" in {comparison.reading for comparison in verdict.comparisons}
    verdict.raise_if_different()
