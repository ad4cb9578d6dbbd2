"""Proof that all readings of a network agree, or the place where they part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls_export.backends.base import Project
from hls_export.compare import Mismatch, Reading, compare
from hls_export.qonnx.read import read
from hls_export.readings import emulator_reading, layer_names, onnx_reading, project_reading, torch_reading
from hls_export.samples import checked
from torchq.errors import DataError, VerifyError

if TYPE_CHECKING:
    from torch import nn

    from torchq.graph import Graph

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One reading against the reference, over one set of vectors.

    Args:
        reading: what was compared.
        against: the reference.
        kind: the set: ``"real"`` or ``"adversarial"``.
        vectors: samples of the set.
        mismatches: output values that differ.
    """

    reading: str
    against: str
    kind: str
    vectors: int
    mismatches: int


@dataclass(frozen=True)
class Verification:
    """What was compared, and what came out.

    Args:
        readings: the names of the readings; the first one is the reference.
        vectors: samples that each has computed.
        values: outputs of each: ``vectors`` times the size of one output.
        differences: one entry for each reading that differs from the reference.
        comparisons: the same counts by reading and set of vectors.
    """

    readings: tuple[str, ...]
    vectors: int
    values: int
    differences: tuple[Mismatch, ...] = ()
    comparisons: tuple[Comparison, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether every value of every reading is equal."""
        return not self.differences

    @property
    def mismatches(self) -> int:
        """Differing output values, over all readings."""
        return sum(found.count for found in self.differences)

    @property
    def max_lsb(self) -> float:
        """The largest difference, in units of the output's last bit."""
        return max((found.max_lsb for found in self.differences), default=0.0)

    @property
    def first(self) -> Mismatch | None:
        """The first reading that differs, in the order of the flow."""
        return self.differences[0] if self.differences else None

    def __str__(self) -> str:
        if self.differences:
            return "\n".join(map(str, self.differences))
        return f"{' = '.join(self.readings)} on {self.vectors:,} vectors ({self.values:,} values)"

    def raise_if_different(self) -> None:
        """Turn a difference into an error.

        Raises:
            VerifyError: the readings differ; the message is that of each difference.
        """
        if self.differences:
            raise VerifyError(str(self))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; for ``verify.json``."""
        return {
            "agree": self.agree,
            "readings": list(self.readings),
            "vectors": self.vectors,
            "values": self.values,
            "mismatches": self.mismatches,
            "max_lsb": self.max_lsb,
            "first": None if self.first is None else self.first.to_dict(),
            "differences": [found.to_dict() for found in self.differences],
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
            "verdict": str(self),
        }


def verify(
    model: nn.Module | Graph | None,
    onnx_path: str | Path,
    project: Project | Sequence[Project] | None,
    x: npt.ArrayLike,
    extra: npt.ArrayLike | None = None,
) -> Verification:
    """Compute the same samples in every way there is, and compare every value.

    The reference is torch in float64, or the ONNX file where no model is given. Compared with it are the ONNX
    file in float64, our emulator on the graph read from the file, and the compiled C++ or the Verilog of each
    project.

    Args:
        model: the quantized model (or its traced graph), or None.
        onnx_path: the file that was exported from it.
        project: what was lowered from the file, one or several, or None; compiled if that was not done yet.
        x: samples ``[n, *input shape]``, such as a test set.
        extra: more of them, such as :func:`hls_export.adversarial`.

    Returns:
        The verdict; on a difference with the first layer, sample and element where it shows.

    Raises:
        DataError: samples of another shape, or not finite, or none.
        GraphError: the model cannot be traced.
        ExportError: the file cannot be read.
        BackendError: the project cannot be compiled.
        VerifyError: the project was lowered from another model.
    """
    graph = read(onnx_path)
    sets = {"real": checked(x, graph.input_shape, "the vectors")}
    if extra is not None:
        sets["adversarial"] = checked(extra, graph.input_shape, "the extra vectors")
    samples = np.concatenate(list(sets.values()))
    if not len(samples):
        raise DataError("there are no vectors to compare", hint="give at least one")
    projects = () if project is None else (project,) if isinstance(project, Project) else tuple(project)
    for each in projects:
        if each.digest not in (None, graph.digest()):
            raise VerifyError(
                f"{each.path} was lowered from another model than {onnx_path}", hint="lower it again"
            )
    readings: list[Reading] = []
    if model is not None:
        readings.append(torch_reading(_traced(model, graph.input_shape), samples))
    readings.append(onnx_reading(onnx_path, samples))
    readings.append(emulator_reading(graph, samples))
    readings += [project_reading(each, graph, samples) for each in projects]
    return judge(readings, sets, layer_names(graph), graph.output_format.lsb)


def judge(
    readings: Sequence[Reading], sets: Mapping[str, Array], tensors: Sequence[tuple[str, str]], lsb: Any
) -> Verification:
    """Compare every reading with the first one; see :func:`hls_export.compare.compare`.

    Args:
        readings: each has computed all samples of all sets, in order.
        sets: samples by the name of their set.
        tensors: see :func:`hls_export.compare.compare`.
        lsb: likewise.
    """
    reference, *others = readings
    samples = np.concatenate(list(sets.values()))
    found = [compare(reference, reading, samples, tensors, lsb) for reading in others]
    comparisons = []
    for reading in others:
        start = 0
        for kind, x in sets.items():
            rows = slice(start, start + len(x))
            count = int((reading.outputs[rows] != reference.outputs[rows]).sum())
            comparisons.append(Comparison(reading.name, reference.name, kind, len(x), count))
            start += len(x)
    return Verification(
        readings=tuple(reading.name for reading in readings),
        vectors=len(samples),
        values=int(reference.outputs.size),
        differences=tuple(mismatch for mismatch in found if mismatch is not None),
        comparisons=tuple(comparisons),
    )


def _traced(model: nn.Module | Graph, shape: tuple[int, ...]) -> Graph:
    from torchq.graph import Graph, trace

    if isinstance(model, Graph):
        return model
    from torchq.convert import freeze

    return trace(freeze(model), shape)
