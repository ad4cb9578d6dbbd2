"""AutoQKeras's ``goal``: bits or energy, its parameters, and the reference that it compares with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torchq.advice import advice
from torchq.errors import SearchError
from torchq.formats import FixedPoint, Float, Format

if TYPE_CHECKING:
    from torch import nn

    from torchq.scheme import Scheme
    from torchq.search.forgiving import ForgivingFactor

_COMMON: Mapping[str, float] = {"delta_p": 8.0, "delta_n": 8.0, "rate": 2.0, "stress": 1.0}
_BITS: Mapping[str, Any] = {"input_bits": 8, "output_bits": 8, "ref_bits": 8, "config": None}
_ENERGY: Mapping[str, Any] = {
    "process": "horowitz",
    "parameters_on_memory": ["fixed", "fixed"],
    "activations_on_memory": ["dram", "dram"],
    "min_sram_size": [0, 0],
    "rd_wr_on_io": [True, True],
    "reference_internal": "fp32",
    "reference_accumulator": "fp32",
    "source_quantizers": None,
    "trained_model": False,
}
TYPES: Mapping[str, Mapping[str, Any]] = {"bits": _BITS, "energy": _ENERGY}

_INTERNAL: Mapping[str, Format] = {"fp32": Float(32), "fp16": Float(16), "int8": FixedPoint(8, 1)}
_ACCUMULATORS = {"fp32": None, "fp16": None, "int32": FixedPoint(32, 32), "int16": FixedPoint(16, 16)}


@dataclass(frozen=True)
class GoalPlan:
    """A goal whose reference is not priced yet.

    Args:
        cost: the figure of ours that is compared.
        settings: of the target, for trials.
        reference_settings: of the target, for the reference.
        internal: the format of inputs, weights and biases in the reference network; None for a count of bits.
        accumulator: the format of its sums and, as QTools has it, of its activations; None for ``internal``.
        factors: ``delta_p``, ``delta_n``, ``rate``, ``stress``.
    """

    cost: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    reference_settings: Mapping[str, Any] = field(default_factory=dict)
    internal: Format | None = None
    accumulator: FixedPoint | None = None
    factors: Mapping[str, float] = field(default_factory=dict)

    def reference(self, model: nn.Module, scheme: Scheme, example: tuple[int, ...]) -> float:
        """What the float network costs by AutoQKeras's rules, in the figure's unit.

        Args:
            model: the float network.
            scheme: some scheme of the space; only which layers there are is read off it.
            example: the shape of one sample.
        """
        from torchq.convert import quantize
        from torchq.cost import UniformFormats, estimate, in_formats
        from torchq.scheme import Scheme as Made

        network = quantize(model, Made(scheme.layers, scheme.input), example=example)
        form = self.internal or Float(32)
        works = in_formats(network, UniformFormats(form, form, self.accumulator or form, form), example)
        report = estimate(works, targets=(self.cost,), **self.reference_settings)
        return float(report.total[self.cost])

    def goal(self, model: nn.Module, scheme: Scheme, example: tuple[int, ...]) -> ForgivingFactor:
        """The goal, against that reference."""
        from torchq.search.forgiving import ForgivingFactor

        reference = self.reference(model, scheme, example)
        delta_p, delta_n, rate, stress = (self.factors[name] for name in _COMMON)
        return ForgivingFactor(self.cost, reference, delta_p, delta_n, rate, stress)


def goal_plan(goal: Mapping[str, Any] | None) -> GoalPlan:
    """Read ``goal``; without one it is AutoQKeras's default, bits.

    Raises:
        SearchError: an unknown type or parameter, or a value of the wrong sort.

    Example:
        >>> plan = goal_plan({"type": "energy", "params": {"delta_p": 4, "rate": 4}})
        >>> plan.cost, plan.settings["weights_on_memory"], plan.factors["rate"]
        ('energy_pj', 'fixed', 4.0)
    """
    goal = goal or {}
    for key in goal:
        if key not in ("type", "params"):
            raise SearchError(f"autoqkeras: goal: unknown key {key!r}", hint="Known: type, params")
    kind, params = goal.get("type", "bits"), goal.get("params") or {}
    if kind not in TYPES:
        raise SearchError(f"autoqkeras: goal: unknown type {kind!r}", hint=advice(str(kind), TYPES))
    known: dict[str, Any] = {**_COMMON, **TYPES[kind]}
    for key in params:
        if key not in known:
            raise SearchError(f"autoqkeras: goal: {kind} has no parameter {key!r}", hint=advice(key, known))
    factors = {name: _number(name, params.get(name, default)) for name, default in _COMMON.items()}
    values = {**known, **params}
    return _bits(values, factors) if kind == "bits" else _energy(values, factors)


def _bits(values: Mapping[str, Any], factors: Mapping[str, float]) -> GoalPlan:
    counted = (values["config"] or {}).get("default", ["parameters", "activations"])
    settings = {
        "reference_bits": values["ref_bits"],
        "input_bits": values["input_bits"],
        "output_bits": values["output_bits"],
        "count_parameters": "parameters" in counted,
        "count_activations": "activations" in counted,
    }
    return GoalPlan("autoqkeras_bits", settings, settings, factors=factors)


def _energy(values: Mapping[str, Any], factors: Mapping[str, float]) -> GoalPlan:
    both = [_of(values, index) for index in (0, 1)]
    internal = _known("reference_internal", values["reference_internal"], _INTERNAL)
    accumulator = _known("reference_accumulator", values["reference_accumulator"], _ACCUMULATORS)
    if accumulator is not None:
        both[0]["accumulator"] = f"ap_fixed<{accumulator.width},{accumulator.integer}>"
    return GoalPlan("energy_pj", both[1], both[0], internal, accumulator, factors)


def _of(values: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The settings of the reference (0) or of the trials (1)."""
    names = {
        "weights_on_memory": "parameters_on_memory",
        "activations_on_memory": "activations_on_memory",
        "min_sram_size": "min_sram_size",
        "rd_wr_on_io": "rd_wr_on_io",
    }
    found: dict[str, Any] = {"process": values["process"]}
    for ours, theirs in names.items():
        given = values[theirs]
        if isinstance(given, list | tuple) and len(given) != 2:
            raise SearchError(
                f"autoqkeras: goal: {theirs} must be one value, or two (reference, trial), got {given!r}"
            )
        found[ours] = given[index] if isinstance(given, list | tuple) else given
    return found


def _known(name: str, value: Any, known: Mapping[str, Any]) -> Any:
    if value not in known:
        raise SearchError(f"autoqkeras: goal: unknown {name} {value!r}", hint=advice(str(value), known))
    return known[value]


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SearchError(f"autoqkeras: goal: {name} must be a number, got {value!r}")
    return float(value)
