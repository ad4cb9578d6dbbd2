"""alkaid: constant matrix products as shared shift-and-add networks, written as pipelined Verilog.

alkaid (LGPL-3.0, distributed arithmetic, arXiv:2507.04535) is an optional dependency, imported by the
function that uses it. What it writes includes its own Verilog modules under its licence: keep a design beside
your project, not in ours.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchq.errors import BackendError
from torchq.formats import FixedPoint

LATENCY_CUTOFF = 5.0
"""How much delay, in alkaid's units, a pipeline stage may have; about four adders in a row."""

_HINT = "pip install alkaid (LGPL-3.0-or-later)"
_LARGEST_BIAS = 2**31 - 1


class Lane(NamedTuple):
    """One number in a packed port.

    Args:
        signed: two's complement, or unsigned.
        width: how many bits of the port it takes; 0 for a number that is always zero, or never read.
        shift: the value is the code times ``2**shift``.
    """

    signed: bool
    width: int
    shift: int


@dataclass(frozen=True)
class AlkaidDesign:
    """A written design: ``module <top>(clk, model_inp, model_out)``, which takes new inputs in every cycle.

    The ports are packed, the first number in the lowest bits. The inputs are registered, and so are the
    outputs: with ``stages`` stages an output is there ``stages + 1`` clock edges after its input.

    Args:
        top: the module at the top.
        files: all Verilog files.
        inputs: how the numbers stand in ``model_inp``.
        outputs: how the numbers stand in ``model_out``.
        stages: of the pipeline, between the input and the output registers.
        cost: alkaid's estimate of the adders, in bits.
        register_bits: bits of all registers, those of the ports included.
    """

    top: str
    files: tuple[Path, ...]
    inputs: tuple[Lane, ...]
    outputs: tuple[Lane, ...]
    stages: int
    cost: float
    register_bits: int


def write_dense(
    weights: npt.ArrayLike,
    inputs: FixedPoint,
    folder: str | Path,
    *,
    bias: npt.ArrayLike | None = None,
    top: str = "dense",
    latency_cutoff: float = LATENCY_CUTOFF,
) -> AlkaidDesign:
    """Write ``codes @ weights + bias`` as pipelined Verilog, exact in every bit.

    Args:
        weights: integer codes, ``[inputs, outputs]``.
        inputs: format of the input codes, one or ``[inputs]``; where its point stands does not matter.
        folder: where to write; alkaid makes ``src/`` in it.
        bias: integer codes on the grid of the products, ``[outputs]``.
        top: the module at the top.
        latency_cutoff: how much delay a pipeline stage may have, in alkaid's units.

    Raises:
        BackendError: alkaid is missing, or numbers that are no codes.
    """
    codes = _codes("weights", weights, 2)
    if not latency_cutoff > 0:
        raise BackendError(f"latency_cutoff must be greater than 0, got {latency_cutoff:g}")
    if not top.isidentifier():
        raise BackendError(f"top must be a Verilog name, got {top!r}")
    offset = np.zeros(codes.shape[1], np.int64) if bias is None else _codes("bias", bias, 1)
    if offset.shape != codes.shape[1:]:
        raise BackendError(f"bias must have the shape {codes.shape[1:]}, got {offset.shape}")
    if np.abs(offset).max(initial=0) > _LARGEST_BIAS:
        raise BackendError("a bias code is larger than alkaid can add (32 bits)", hint="use a coarser bias")
    comb = _trace(codes, inputs, offset)
    rtl = _module("alkaid.codegen")
    model = rtl.RTLModel(
        comb,
        Path(folder),
        prj_name=top,
        latency_cutoff=latency_cutoff,
        print_latency=False,
        ternary_fuse=False,  # a carry chain of yosys adds two numbers
    )
    model.write()
    source = Path(folder).resolve() / "src"
    wrapper = source / f"{top}_wrapper.v"
    files = [*sorted(source.glob("*.v")), *sorted((source / "static").glob("*.v"))]
    return AlkaidDesign(
        top=top,
        files=tuple(file for file in files if file != wrapper),
        inputs=_lanes(comb.inp_kifs),
        outputs=_lanes(comb.out_kifs),
        stages=int(model.latency),
        cost=float(comb.cost),
        register_bits=int(model.reg_bits),
    )


def _trace(weights: npt.NDArray[np.int64], inputs: FixedPoint, bias: npt.NDArray[np.int64]) -> Any:
    """Alkaid's program for the product; its inputs and outputs are integers."""
    tracing = _module("alkaid.trace")
    size = len(weights)
    try:
        width, signed = (
            np.broadcast_to(np.asarray(v), (size,)).astype(np.int64) for v in (inputs.width, inputs.signed)
        )
    except ValueError:
        raise BackendError(f"the input format must be one, or one for each of {size} inputs") from None
    x = tracing.FVArrayInput(size).quantize(signed, width - signed, np.zeros(size, np.int64))
    return tracing.trace(x, x @ weights.astype(np.float64) + bias.astype(np.float64))


def _lanes(kifs: Any) -> tuple[Lane, ...]:
    signed, integer, fraction = (np.asarray(row).astype(int) for row in kifs)
    width = np.maximum(signed + integer + fraction, 0)
    return tuple(Lane(bool(k), int(w), -int(f)) for k, w, f in zip(signed, width, fraction, strict=True))


def _codes(name: str, values: npt.ArrayLike, axes: int) -> npt.NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != axes or not array.size:
        raise BackendError(f"{name} must have {axes} axes and at least one value, got shape {array.shape}")
    whole = np.rint(np.asarray(array, np.float64))
    if not np.all(np.isfinite(whole)) or not np.array_equal(whole, array) or np.abs(whole).max() >= 2**53:
        raise BackendError(f"{name} must be integer codes below 2**53")
    return whole.astype(np.int64)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise BackendError("alkaid is not installed", hint=_HINT) from None
