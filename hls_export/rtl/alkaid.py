"""alkaid: constant matrix products as shared shift-and-add networks, written as pipelined Verilog.

alkaid (LGPL-3.0, distributed arithmetic, arXiv:2507.04535) is an optional dependency, imported by the
function that uses it. What it writes includes its own Verilog modules under its licence: keep a design beside
your project, not in ours.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchq.errors import BackendError
from torchq.formats import FixedPoint

LATENCY_CUTOFF = 5.0
"""How much delay, in alkaid's units, a pipeline stage may have; about four adders in a row."""

_HINT = "make rtl-tools, or pip install 'torchq[rtl]' (alkaid is under the LGPL-3.0-or-later)"
_LARGEST_BIAS = 2**31 - 1
_TOO_WIDE = "a constant that is added needs more bits than alkaid adds exactly (24)"


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


# ---------------------------------------------------------------------- logic of any sort


class Range(NamedTuple):
    """The values that a number can have: from ``low`` to ``high`` in steps of ``step``."""

    low: float
    high: float
    step: float

    @classmethod
    def of(cls, lane: Lane) -> Range:
        """All that the bits of a lane can say; alkaid widens the ranges of its inputs to that anyway.

        Example:
            >>> Range.of(Lane(True, 3, -1))
            Range(low=-2.0, high=1.5, step=0.5)
        """
        step, size = 2.0**lane.shift, 1 << lane.width
        low = -(size >> 1) if lane.signed else 0
        return cls(low * step, (low + size - 1) * step, step)


@dataclass(frozen=True)
class Block:
    """Some logic as a Verilog module ``<name>(clk, model_inp, model_out)``, its outputs registered.

    Args:
        name: the module.
        modules: Verilog by module name: it, its pipeline stages and its tables.
        inputs: how the numbers stand in ``model_inp``.
        outputs: how the numbers stand in ``model_out``.
        stages: clock edges from an input to its output.
        cost: alkaid's estimate of the adders, in bits.
        register_bits: bits of its registers.
    """

    name: str
    modules: Mapping[str, str]
    inputs: tuple[Lane, ...]
    outputs: tuple[Lane, ...]
    stages: int
    cost: float
    register_bits: int


def variables(ranges: Sequence[Range]) -> list[Any]:
    """One variable a range, for :mod:`hls_export.rtl.logic` to compute with."""
    if not ranges:
        return []
    tracing = _module("alkaid.trace")
    low, high, step = (np.array(column) for column in zip(*ranges, strict=True))
    return list(np.asarray(tracing.FVArray.from_lhs(low, high, step)))


def product(values: Sequence[Any], weights: npt.NDArray[np.float64]) -> list[Any]:
    """``values @ weights``; constant values are taken out.

    Raises:
        BackendError: weights of more than the 24 bits that alkaid takes.
    """
    if np.any(weights.astype(np.float32) != weights):
        raise BackendError("the weights have more than the 24 bits that alkaid takes")
    constant = np.array([v if isinstance(v, float) else 0.0 for v in values])
    moving = [i for i, v in enumerate(values) if not isinstance(v, float)]
    sums: list[Any] = (constant @ weights).tolist()
    if not moving or not np.any(weights[moving]):
        return sums
    variables = np.array([values[i] for i in moving], dtype=object)
    made = np.asarray(_module("alkaid.trace").FVArray(variables) @ weights[moving])
    return [plus(v, s) for v, s in zip(made, sums, strict=True)]


def plain(value: Any) -> Any:
    """A float for a variable that has one value only.

    Raises:
        BackendError: the range of the variable is not on its own steps: a constant in it was too wide.
    """
    if isinstance(value, float | int):
        return float(value)
    if value.low == value.high:
        return float(value.low)
    if (value.low / value.step) % 1 or (value.high / value.step) % 1:
        raise BackendError(_TOO_WIDE, hint="use a coarser bias")
    return value


def plus(value: Any, constant: float) -> Any:
    """A value plus a constant.

    Raises:
        BackendError: the constant has more bits than alkaid adds; it would drop them without a word.
    """
    value = plain(value)
    made = plain(value + constant)
    if isinstance(made, float) or made.opr != "cadd" or constant == 0:
        return made
    (source,) = made._from
    code = ((made._data & 0xFFFFFFFF) + 2**31) % 2**32 - 2**31
    places = (((made._data >> 32) & 0xFFFFFFFF) + 2**31) % 2**32 - 2**31
    added = math.ldexp(code, -places) * made._factor
    if made.low - source.low * (made._factor / source._factor) != added:
        raise BackendError(_TOO_WIDE, hint="use a coarser bias")
    return made


def looked_up(value: Any, entries: npt.NDArray[np.float64], name: str) -> Any:
    """One entry for each value in the range of ``value``, ascending.

    Raises:
        BackendError: entries wider than alkaid's tables.
    """
    if isinstance(value, float) or np.all(entries == entries[0]):
        return float(entries[0])
    if np.any(entries.astype(np.float32) != entries):
        raise BackendError(f"rtl: {name} has table values of more than 24 bits")
    return plain(value.lookup(entries))


def program(inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Alkaid's program from variables to variables."""
    return _module("alkaid.trace").trace(list(inputs), list(outputs))


def run(comb: Any, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What a program makes of samples ``[n, inputs]``, in alkaid's own interpreter."""
    return np.asarray(comb.predict(np.ascontiguousarray(values), n_threads=1), np.float64)


def block(comb: Any, name: str, latency_cutoff: float) -> Block:
    """The Verilog of a program, in as few stages as the cutoff allows."""
    fsm = _module("alkaid.trace").to_pipeline(
        comb, latency_cutoff=latency_cutoff, reg_inp=False, reg_out=True, verbose=False
    )
    with tempfile.TemporaryDirectory(prefix="alkaid-") as folder:
        model = _module("alkaid.codegen").RTLModel(
            fsm, folder, prj_name=name, print_latency=False, ternary_fuse=False
        )
        model.write()
        texts = [file.read_text(encoding="utf-8") for file in sorted((Path(folder) / "src").glob("*.v"))]
    own = re.compile(r"\blogic(\d+)\b")
    modules = {}
    for text in texts:
        for found in _MODULE.finditer(text):
            if found[1] != f"{name}_wrapper":
                named = own.sub(rf"{name}_stage\1", found[0])
                modules[own.sub(rf"{name}_stage\1", found[1])] = f"{named}\n"
    return Block(
        name=name,
        modules=modules,
        inputs=_signal_lanes(fsm.inp_signals, comb.shape[0]),
        outputs=_signal_lanes(fsm.out_signals, comb.shape[1]),
        stages=len(fsm.logic),
        cost=float(comb.cost),
        register_bits=int(model.reg_bits),
    )


def library() -> dict[str, str]:
    """Alkaid's own Verilog modules, which every design needs: file name to text."""
    folder = Path(str(_module("alkaid").__file__)).parent / "codegen" / "rtl" / "verilog" / "source"
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.v"))}


def version() -> str:
    """The version of alkaid.

    Raises:
        BackendError: it is missing.
    """
    _module("alkaid")
    return importlib.metadata.version("alkaid")


_MODULE = re.compile(r"^module\s+(\w+)\b.*?^endmodule", re.MULTILINE | re.DOTALL)


def _signal_lanes(signals: Sequence[Any], size: int) -> tuple[Lane, ...]:
    if not signals:
        return (Lane(False, 0, 0),) * size
    (signal,) = signals
    return _lanes(np.array([tuple(p) for p in signal.precisions]).T)


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
