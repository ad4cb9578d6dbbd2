"""Reads recorded QTools runs and builds their workloads by hand."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchq.formats import Binary, FixedPoint, Float, Format, PowerOfTwo, Ternary
from torchq.workload import ParamSpec, TensorSpec, Workload

HERE = Path(__file__).resolve().parents[2] / "golden"
FOLDER = Path(os.environ.get("TORCHQ_GOLDEN_DIR", HERE)) / "qtools"
KINDS = {
    "QDense": "linear",
    "QConv2D": "conv2d",
    "QDepthwiseConv2D": "conv2d",
    "QActivation": "relu",
    "Activation": "softmax",
    "Flatten": "identity",
}


@dataclass(frozen=True)
class Run:
    """One recorded run: its workloads in its types, and what was recorded.

    ``skipped`` are the layers that are not compared: batch norm, which torchq folds, and wires, which cost
    nothing here.
    """

    name: str
    workloads: tuple[Workload, ...]
    skipped: frozenset[str]
    settings: dict[str, Any]
    energies: list[dict[str, Any]]
    bits: int
    depthwise: bool


def models() -> list[str]:
    return sorted(p.stem for p in FOLDER.glob("*.json") if "data_type_map" in p.read_text("utf-8"))


def runs() -> list[Run]:
    found = []
    for model in models():
        data = json.loads((FOLDER / f"{model}.json").read_text("utf-8"))
        for number, run in enumerate(data["runs"]):
            found.append(_run(f"{model}/{number}", data, run))
    return found


def number_format(entry: dict[str, Any]) -> Format:
    """The format of a data type; QTools prints ``int_bits`` with the sign bit, for fixed point."""
    sort, bits = entry["quantizer_type"], entry["bits"]
    if sort == "floating_point":
        return Float(bits)
    if sort == "ternary":
        return Ternary()
    if sort == "binary":
        return Binary(use_01=not entry["is_signed"])
    if sort in ("quantized_po2", "quantized_relu_po2"):
        signed = bool(entry["is_signed"])
        half = 2 ** (bits - int(signed) - 1)
        top = (
            half - 1 if entry["max_value"] == -1 else min(math.ceil(math.log2(entry["max_value"])), half - 1)
        )
        return PowerOfTwo(bits, -half, top, signed)
    assert sort in ("quantized_bits", "quantized_relu"), sort
    return FixedPoint(bits, entry["int_bits"], bool(entry["is_signed"]))


def _run(name: str, data: dict[str, Any], run: dict[str, Any]) -> Run:
    types = dict(run["data_type_map"])
    source = number_format(types.pop("source_quantizers")[0])
    shape = _shape(data["model"][0]["output_shape"])
    tensor = TensorSpec("input", shape, source)
    raw = TensorSpec("raw", shape, None)
    works = [Workload("input", "quantize", (raw,), tensor)]
    skipped = set()
    for layer, entry in types.items():
        tensor = TensorSpec(tensor.name, tensor.shape, number_format(entry["input_quantizer_list"][0]))
        work = _workload(layer, entry, tensor)
        if entry["layer_type"] not in KINDS or KINDS[entry["layer_type"]] == "identity":
            skipped.add(layer)
        works.append(work)
        tensor = work.output
    settings = {}
    if run["args"]["for_reference"]:
        forced = next(entry["accumulator"] for entry in types.values() if "accumulator" in entry)
        settings["accumulator"] = f"ap_fixed<{forced['bits']},{forced['int_bits']}>"
    bits = data["print_qstats_total_bits"]
    depthwise = any("Depthwise" in entry["layer_type"] for entry in types.values())
    return Run(name, tuple(works), frozenset(skipped), settings, run["energy"], bits, depthwise)


def _workload(layer: str, entry: dict[str, Any], x: TensorSpec) -> Workload:
    out = entry["output_quantizer"]
    y = TensorSpec(layer, tuple(out["shape"][1:]), number_format(out))
    kind = KINDS.get(entry["layer_type"], "quantize")
    if "weight_quantizer" not in entry:
        return Workload(layer, kind, (x,), y)
    shape = tuple(entry["weight_quantizer"]["shape"])
    depthwise = entry["layer_type"] == "QDepthwiseConv2D"
    bias = None
    if "bias_quantizer" in entry:
        width = entry["bias_quantizer"]["shape"]
        bias = ParamSpec("bias", (width,), number_format(entry["bias_quantizer"]))
    return Workload(
        layer,
        kind,
        (x,),
        y,
        macs=entry["operation_count"],
        fan_in=math.prod(shape[:-2] if depthwise else shape[:-1]),
        accumulator=y.format if isinstance(y.format, FixedPoint) else None,
        weight=ParamSpec("weight", shape, number_format(entry["weight_quantizer"])),
        bias=bias,
    )


def _shape(recorded: Any) -> tuple[int, ...]:
    while isinstance(recorded[0], list):
        recorded = recorded[0]
    return tuple(recorded[1:])
