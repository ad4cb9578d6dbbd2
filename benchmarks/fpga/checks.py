"""Results of others beside the estimate: no coefficient was fitted to any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchq.cost import estimate
from torchq.formats import Binary, FixedPoint, Format, Ternary
from torchq.workload import ParamSpec, TensorSpec, Workload

JET = (16, 64, 32, 32, 5)
"""Sizes of the jet tagger's layers (arXiv:2006.10159)."""


@dataclass(frozen=True)
class Check:
    """A published or recorded design.

    Args:
        name: what it is.
        source: who made it, with which tool.
        reported: its figures.
        workloads: the network.
        settings: of the estimate.
    """

    name: str
    source: str
    reported: Mapping[str, float]
    workloads: Sequence[Workload]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def estimated(self) -> Mapping[str, float]:
        """What we say of it."""
        return estimate(self.workloads, targets=["fpga"], **self.settings).total


def network(
    weights: Sequence[Format],
    activations: Sequence[Format],
    source: Format,
    *,
    sizes: Sequence[int] = JET,
    zeros: float | Sequence[float] = 0.0,
) -> tuple[Workload, ...]:
    """Linear layers with relus between them, as formats and a share of zeros.

    Args:
        weights: of each layer, for its bias too.
        activations: behind each layer but the last.
        source: of the input.
        sizes: inputs, then the outputs of each layer.
        zeros: the share of weights that are zero, of all layers or of each.
    """
    shares = [zeros] * len(weights) if isinstance(zeros, float) else list(zeros)
    found: list[Workload] = []
    x = TensorSpec("x", (sizes[0],), source)
    for i, weight in enumerate(weights):
        n_in, n_out = sizes[i], sizes[i + 1]
        grid, read = weight.as_fixed(), x.format
        assert read is not None  # noqa: S101 - told to the type checker
        fraction = int(grid.fraction) + int(read.as_fixed().fraction)
        width = int(grid.width) + int(read.as_fixed().width) + n_in.bit_length()
        y = TensorSpec(f"fc{i + 1}", (n_out,), FixedPoint(width, width - fraction))
        count = round(shares[i] * n_in * n_out)
        spec = ParamSpec("weight", (n_out, n_in), weight, count)
        bias = ParamSpec("bias", (n_out,), weight)
        macs = n_in * n_out
        found.append(Workload(y.name, "linear", (x,), y, macs=macs, fan_in=n_in, weight=spec, bias=bias))
        x = y
        if i < len(activations):
            x = TensorSpec(f"relu{i + 1}", (n_out,), activations[i])
            found.append(Workload(x.name, "relu", (y,), x))
    return tuple(found)


def _uniform(bits: int, source: FixedPoint, zeros: float = 0.0) -> tuple[Workload, ...]:
    return network([FixedPoint(bits, 1)] * 4, [FixedPoint(bits, 0, signed=False)] * 3, source, zeros=zeros)


def checks() -> tuple[Check, ...]:
    """All of them."""
    wide = FixedPoint(16, 6)
    paper = "arXiv:2006.10159, Vivado on a VU9P, trained weights; the estimate knows formats only, no zeros"
    ours = "alkaid 0.8.2 and yosys 0.70, uniform random weights"
    public = "public 32x32 layer, 8 bits, 586 weights not zero, hls4ml with Vitis 2021.1"
    weights: list[Format] = [FixedPoint(4, 1), Ternary(), FixedPoint(2, 2), Binary()]
    between = [FixedPoint(4, 2, signed=False), FixedPoint(3, 1, signed=False), FixedPoint(4, 2, signed=False)]
    mixed = network(weights, between, wide)
    random = network(weights, between, wide, zeros=(1 / 16, 1 / 3, 1 / 4, 0.0))
    layer = network(
        [FixedPoint(8, 1)], [], FixedPoint(8, 0, signed=False), sizes=(32, 32), zeros=1 - 586 / 1024
    )
    latency = {"strategy": "latency"}
    full = network([wide] * 4, [wide] * 3, wide)
    return (
        Check("BF, 16 bits", paper, _row(48321, 20132, 1826, 9), full, latency),
        Check("Q6, 6 bits", paper, _row(39782, 8128, 124, 11), _uniform(6, wide), latency),
        Check("QE, heterogeneous", paper, _row(9149, 1781, 66, 11), mixed, latency),
        Check("4 bits, half zero", ours, _row(15773, 5693, 0, 7), _uniform(4, FixedPoint(8, 4), 0.5)),
        Check("6 bits, half zero", ours, _row(33466, 14234, 0, 9), _uniform(6, wide, 0.5)),
        Check("6 bits, no zeros", ours, _row(57350, 25057, 0, 11), _uniform(6, wide)),
        Check("QE's formats", ours, _row(22793, 9404, 0, 9), random),
        Check(
            "layer, Vitis's Verilog",
            f"{public}, synthesised with yosys 0.23",
            _row(7616, 13861, 200, 7),
            layer,
            {**latency, "dsp_from_bits": 8},
        ),
        Check("layer, alkaid", f"{public}, built by alkaid, yosys 0.23", _row(8170, 4903, 0, 3), layer),
    )


def _row(lut: float, ff: float, dsp: float, cycles: int) -> dict[str, float]:
    return {"lut": lut, "ff": ff, "dsp": dsp, "latency_cycles": cycles}
