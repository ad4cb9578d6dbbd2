"""Every quantizer computes where its input lies: on fake CUDA tensors, which mind devices and need no GPU."""

from __future__ import annotations

import copy

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from torchq.quantizers import QUANTIZERS, Quantizer

CASES = [
    pytest.param(example, id=str(example))
    for _, quantizer in QUANTIZERS.items()
    for example in quantizer.examples()
]


@pytest.mark.parametrize("example", CASES)
def test_nothing_is_left_on_the_cpu(example: Quantizer) -> None:
    quantizer = copy.deepcopy(example).eval()
    own = getattr(example.format, "shape", ())
    shape = (6, own[-1] if own else 4)
    with FakeTensorMode():
        for name, buffer in quantizer._buffers.items():
            if buffer is not None:
                quantizer._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cuda")
        result = quantizer(torch.empty(shape, device="cuda"))
    assert result.device.type == "cuda"


def test_a_mixture_of_devices_would_be_noticed() -> None:
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        _ = torch.empty(3, device="cuda") + torch.empty(3, device="cpu")
