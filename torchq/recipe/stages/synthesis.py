"""From networks to counted gates: Verilog, its simulation, yosys, place and route, as far as installed.

Every network that is done stands in ``synthesis_<network>.json``, so a killed run goes on with the next one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from hls_export.rtl import ecp5, installed
from hls_export.rtl.project import RtlProject, packed
from torchq.cost import estimate
from torchq.errors import BackendError
from torchq.recipe.rundir import RunDir
from torchq.recipe.schema import Recipe
from torchq.recipe.show import Show
from torchq.recipe.stages import readings, verilog
from torchq.recipe.stages import workbench as bench

FIGURES = ("lut", "ff", "dsp", "bram", "latency_cycles")
"""What is estimated, to stand beside what is counted."""

_FAILED = "synthesis"
"""Key of what went wrong, among what was left out; such a network is tried again."""

YOSYS_S = 7e-3
"""Seconds that yosys needs for one adder bit, on one core that has nothing else to do."""


def synthesize(recipe: Recipe, run: RunDir, show: Show) -> None:
    """Take every network that the recipe asks for as far as the installed tools go.

    What lacks is said in one sentence, here and in the report; the run goes on. So it does when a tool fails
    or cannot express a network: the sentence is the tool's then.
    """
    asked = recipe.synthesis
    assert asked is not None, "the flow comes here for recipes that ask"  # noqa: S101
    names = ", ".join(verilog.NAMES[name] for name in asked.networks) or "no network"
    show.stage("synthesis", f"{names}; Verilog for stages of {verilog.cutoff(recipe):g} adders")
    reason = verilog.left_out(installed.WRITE) if asked.networks else ""
    found = {}
    if reason:
        show.fact(f"left out: {reason}", "yellow")
    else:
        for name in asked.networks:
            found[name] = _kept_or_made(recipe, run, show, name)
    run.finish("synthesis", {"asked": _asked(recipe), "left_out": reason, "networks": list(found)})


def is_open(recipe: Recipe, run: RunDir) -> bool:
    """Whether a synthesis has more to do: another one is asked for, or a tool that lacked is there now."""
    if not run.done("synthesis"):
        return True
    facts = run.read("synthesis.json")
    if facts["asked"] != _asked(recipe):
        return True
    if facts["left_out"]:
        return not verilog.left_out(installed.WRITE)
    return any(_is_stale(recipe, run, name) for name in facts["networks"])


def first_difference(run: RunDir) -> str:
    """The first difference between Verilog and network, in words; nothing where there is none."""
    for facts in designs(run):
        verified = facts["verification"]
        if verified is not None and not verified["agree"]:
            return f"{run.file(_file(facts['network']))}: {verified['first']['message']}"
    return ""


def designs(run: RunDir) -> list[dict[str, Any]]:
    """What was found of each network, in the order of the recipe."""
    if not run.done("synthesis"):
        return []
    return [run.read(_file(name)) for name in run.read("synthesis.json")["networks"]]


def _file(name: str) -> str:
    return f"synthesis_{name}.json"


def _asked(recipe: Recipe) -> dict[str, Any]:
    asked = recipe.synthesis
    return {} if asked is None else {**asked.model_dump(mode="json"), "cutoff": verilog.cutoff(recipe)}


def _settings(recipe: Recipe) -> dict[str, Any]:
    """What one network's figures depend on, beside the network."""
    return {name: value for name, value in _asked(recipe).items() if name != "networks"}


def _is_stale(recipe: Recipe, run: RunDir, name: str) -> bool:
    """Whether a network is to be done, or done again."""
    if not run.file(_file(name)).is_file():
        return True
    facts = run.read(_file(name))
    if facts["settings"] != _settings(recipe) or _FAILED in facts["left_out"]:
        return True
    lacked = set(facts["lacking"])
    return bool(lacked - set(installed.missing(*lacked)))


def _kept_or_made(recipe: Recipe, run: RunDir, show: Show, name: str) -> dict[str, Any]:
    if not _is_stale(recipe, run, name):
        show.fact(f"{verilog.NAMES[name]}: done before")
        return run.read(_file(name))
    facts = _made(recipe, run, show, name)
    run.write(_file(name), facts)
    return facts


def _made(recipe: Recipe, run: RunDir, show: Show, name: str) -> dict[str, Any]:
    """Write, compare, count and place one network."""
    model = verilog.network(recipe, run, name)
    facts: dict[str, Any] = {
        "network": name,
        "name": verilog.NAMES[name],
        "settings": _settings(recipe),
        "project": f"{verilog.FOLDER}/{name}",
        "verification": None,
        "report": None,
        "placed": None,
        "estimate": _estimate(recipe, model),
        "seconds": {},
        "left_out": {},
        "lacking": [],
    }
    try:
        onnx = verilog.onnx_file(recipe, run, name, model)
        with _timed(facts, "write"):
            project = verilog.project(recipe, run, name, onnx)
        tools = ", ".join(f"{tool} {version}" for tool, version in project.facts["tools"].items())
        show.fact(f"{facts['name']}: written by {tools}, {project.design['cost']:,.0f} adder bits")
        if _can(facts, show, "comparison", installed.SIMULATE):
            show.fact(f"{facts['name']}: simulating the Verilog ...")
            with _timed(facts, "simulate"):
                sets = readings.vectors(recipe, onnx)
                facts["verification"] = readings.compared(model, onnx, (project,), sets)
            _tell_verdict(facts, show)
        if _can(facts, show, "count", installed.COUNT):
            _count(facts, show, project)
        wanted = recipe.synthesis is not None and recipe.synthesis.fmax
        if wanted and _can(facts, show, "clock frequency", installed.COUNT, installed.PLACE):
            _place(facts, show, project, recipe.lower.clock_ns)
    except BackendError as fault:
        facts["left_out"][_FAILED] = str(fault)
        show.fact(f"{facts['name']}: {fault}", "yellow")
    return facts


def _count(facts: dict[str, Any], show: Show, project: RtlProject) -> None:
    if project.report().source != "yosys":  # nothing was counted of this Verilog before
        expected = YOSYS_S * float(project.design["cost"])
        show.fact(f"{facts['name']}: yosys counts the primitives, for about {_about(expected)} ...")
    with _timed(facts, "count"):
        report = project.synthesize()
    facts["report"], facts["packed"] = report.to_dict(), packed(int(report.resources["LUT"]))
    told = report.resources
    show.fact(
        f"{facts['name']}: {told['LUT']:,} LUT, {told['FF']:,} FF, {told['DSP']:,} DSP, "
        f"{told['latency_cycles']} cycles ({report.tool.partition(' (')[0]})"
    )


def _place(facts: dict[str, Any], show: Show, project: RtlProject, clock_ns: float) -> None:
    """A clock frequency, where the network fits; where it does not, what the placer said."""
    show.fact(f"{facts['name']}: placing and routing on {ecp5.DEVICE} ...")
    try:
        with _timed(facts, "place"):
            placed = ecp5.place_and_route(project.sources, project.top, clock_ns=clock_ns)
    except BackendError as fault:
        facts["left_out"]["clock frequency"] = str(fault)
        show.fact(f"{facts['name']}: {fault}", "yellow")
        return
    facts["placed"] = placed.to_dict()
    show.fact(f"{facts['name']}: {placed.fmax_mhz:.1f} MHz on {placed.device} ({placed.tool})")


def _can(facts: dict[str, Any], show: Show, what: str, *steps: str) -> bool:
    """Whether a step's tools are there; where not, it is noted and said."""
    reason = verilog.left_out(*steps)
    if reason:
        facts["left_out"][what] = reason
        facts["lacking"] = sorted({*facts["lacking"], *installed.missing(*steps)})
        show.fact(f"{facts['name']}: no {what}: {reason}", "yellow")
    return not reason


def _tell_verdict(facts: Mapping[str, Any], show: Show) -> None:
    for verdict in facts["verification"]["sets"].values():
        show.fact(f"{facts['name']}: {verdict['verdict']}", "" if verdict["agree"] else "bold red")


def _estimate(recipe: Recipe, model: nn.Module) -> dict[str, Any]:
    """What the ``fpga`` target says of the same design: distributed arithmetic, stages as deep."""
    clock_ns = verilog.planned_clock_ns(recipe)
    settings: dict[str, Any] = {"strategy": "distributed_arithmetic", "clock_ns": clock_ns}
    found = estimate(model, bench.example(recipe), targets=FIGURES, **settings)
    return {"total": {name: float(found.total[name]) for name in FIGURES}, "notes": dict(found.notes)}


@contextmanager
def _timed(facts: dict[str, Any], step: str) -> Iterator[None]:
    """Writes down how long a step took."""
    began = time.perf_counter()
    yield
    facts["seconds"][step] = round(time.perf_counter() - began, 3)


def _about(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
