"""A network of layers: which are applied several times, which share registers, how delays add up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torchq.cost.border import border
from torchq.cost.fpga.figures import Figures
from torchq.cost.fpga.operations import ACTIVATIONS, activation, others, tensor_bits
from torchq.cost.fpga.products import Product, positions_of, product_figures, product_of
from torchq.cost.fpga.settings import Build
from torchq.formats import Float
from torchq.workload import Workload

RECURRENT = ("rnn", "lstm", "gru")
_BRAM_BITS = 18 * 1024


@dataclass(frozen=True)
class Priced:
    """The layers of a network.

    Args:
        layers: the figures of each.
        cycles: of the whole network, along its longest path.
        interval: cycles from one sample to the next.
        known: layers with weights whose values were known.
        guessed: layers with weights of which only formats were known.
        unmeasured: layers that are of no measured kind.
        floats: layers that read, hold or make what has no fixed-point format.
    """

    layers: tuple[Figures, ...]
    cycles: int
    interval: int
    known: tuple[str, ...]
    guessed: tuple[str, ...]
    unmeasured: tuple[str, ...]
    floats: tuple[str, ...]


def priced(workloads: Sequence[Workload], build: Build) -> Priced:
    """Price each layer and join them.

    Raises:
        CostError: alkaid is asked for and missing, or weights are not known.
    """
    walk = _Walk(workloads, build)
    layers = tuple(walk.layer(work) for work in workloads)
    return Priced(
        layers=layers,
        cycles=max(walk.arrival.values(), default=0),
        interval=max((made.interval for made in layers), default=0),
        known=tuple(walk.known),
        guessed=tuple(walk.guessed),
        unmeasured=tuple(walk.unmeasured),
        floats=tuple(work.layer for work in workloads if _is_float(work, walk.sources)),
    )


class _Walk:
    """One pass over the layers, in the order of execution."""

    def __init__(self, workloads: Sequence[Workload], build: Build) -> None:
        self.build = build
        self.sources = border(workloads).sources
        self.arrival: dict[str, int] = {}
        self.known: list[str] = []
        self.guessed: list[str] = []
        self.unmeasured: list[str] = []
        self._readers: dict[str, list[Workload]] = {}
        self._made_by = {work.output.name: work for work in workloads}
        self._registered: set[str] = set()
        self._steps: dict[str, Figures] = {}
        for work in workloads:
            for name in {read.name for read in work.inputs}:
                self._readers.setdefault(name, []).append(work)
        self._in_cells = {read.name for work in workloads if _is_cell(work) for read in work.inputs}

    def layer(self, work: Workload) -> Figures:
        """Its figures, the registers of the model's inputs with those that read them first."""
        made = Figures() if work.layer in self.sources else self._figures(work)
        started = max((self.arrival.get(read.name, 0) for read in work.inputs), default=0)
        self.arrival[work.output.name] = started + made.cycles
        if work.layer in self.sources:
            return made
        return Figures(
            made.lut, made.ff + self._inputs(work), made.dsp, made.bram, made.cycles, made.interval
        )

    def _inputs(self, work: Workload) -> float:
        bits = 0
        for read in work.inputs:
            maker = self._made_by.get(read.name)
            outside = maker is None or maker.layer in self.sources
            if outside and read.name not in self._registered:
                self._registered.add(read.name)
                bits += tensor_bits(read)
        return float(bits)

    def _figures(self, work: Workload) -> Figures:
        if work.weight is not None and work.macs:
            return self._product(work)
        if work.kind in ACTIVATIONS:
            maker = self._made_by.get(work.inputs[0].name)
            behind = maker is not None and self._activation_of(maker) is work
            return activation(work, registered=not behind)
        made = others(work, self.build)
        if work.operations or work.tables or work.macs:
            self.unmeasured.append(f"{work.layer} ({work.kind})")
        return self._cell(work, made) if _is_cell(work) else made

    def _product(self, work: Workload) -> Figures:
        assert work.weight is not None  # noqa: S101 - told to the type checker
        found = product_of(work, work.weight, self.build)
        (self.guessed if found.weights is None else self.known).append(work.layer)
        follower = self._activation_of(work)
        each = product_figures(work, found, self.build, activated=follower is not None)
        if follower is not None:  # one register for both, of the narrower numbers
            each = _narrowed(
                each, found, tensor_bits(follower.output) / max(positions_of(work, found.layout), 1)
            )
        if work.output.name in self._in_cells:
            self._steps[work.output.name] = each
            return each
        positions = positions_of(work, found.layout)
        if positions > 1:
            self.unmeasured.append(f"{work.layer} ({work.kind} at {positions} positions)")
        made = self._repeated(each, positions)
        return made.beside(self._line_buffer(work))

    def _repeated(self, each: Figures, positions: int) -> Figures:
        """At all positions: beside each other, one after the other, or both."""
        build = self.build
        most = 1 if build.io_type == "io_stream" else build.parallelization or positions
        instances = min(positions, most)
        turns = math.ceil(positions / instances)
        made = each.times(instances)
        return Figures(
            made.lut,
            made.ff,
            made.dsp,
            made.bram,
            each.cycles + (turns - 1) * each.interval,
            each.interval * turns,
        )

    def _line_buffer(self, work: Workload) -> Figures:
        """With ``io_stream`` a 2d convolution keeps the rows that its kernel still needs."""
        weight, x = work.weight, work.inputs[0]
        if self.build.io_type != "io_stream" or weight is None or len(weight.shape) != 4 or len(x.shape) != 3:
            return Figures()
        row = tensor_bits(x) / max(x.shape[1], 1)
        return Figures(bram=float(math.ceil((weight.shape[2] - 1) * row / _BRAM_BITS)))

    def _cell(self, work: Workload, made: Figures) -> Figures:
        """One cell for all steps: a step waits for the state of the one before."""
        steps = max(work.output.shape[0] if work.output.shape else 1, 1)
        instances = steps if made.lut or made.dsp or made.bram else 1
        step = made.cycles + max(
            (self._steps[read.name].cycles for read in work.inputs if read.name in self._steps), default=0
        )
        return Figures(
            made.lut / instances,
            made.ff / instances,
            math.ceil(made.dsp / instances),
            math.ceil(made.bram / instances),
            made.cycles + (steps - 1) * step,
            steps * step,
        )

    def _activation_of(self, work: Workload) -> Workload | None:
        """The quantizer or relu behind a product, if nobody else reads the product."""
        if work.weight is None or not work.macs or work.output.name in self._in_cells:
            return None
        readers = self._readers.get(work.output.name, [])
        only = readers[0] if len(readers) == 1 else None
        return only if only is not None and only.kind in ACTIVATIONS else None


def _narrowed(made: Figures, found: Product, bits: float) -> Figures:
    """With the output register of the activation behind instead of its own."""
    own = found.matrix.output_bits * found.layout.groups
    ff = max(made.ff - own, 0.0) + min(own, bits)
    return Figures(made.lut, ff, made.dsp, made.bram, made.cycles, made.interval)


def _is_cell(work: Workload) -> bool:
    return work.kind in RECURRENT and bool(work.operations or work.tables)


def _is_float(work: Workload, sources: frozenset[str]) -> bool:
    if work.layer in sources:
        return False
    tensors = [spec.format for spec in (*work.inputs, work.output)]
    formats = [*tensors, *(spec.format for spec in work.parameters)]
    return any(format is None or isinstance(format, Float) for format in formats)
