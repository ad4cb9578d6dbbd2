"""One network through what is built of it: compiled C++ or simulated Verilog, by the comparison users get."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

from hls_export.backends.csim import CsimProject
from hls_export.fuzz.chain import Verdict, ordinary
from hls_export.fuzz.network import Spec, build
from hls_export.fuzz.targets import Target, draw_target
from hls_export.lower import lower
from hls_export.qonnx import export
from hls_export.vectors import adversarial
from hls_export.verify import verify
from torchq.errors import BackendError, TorchqError, VerifyError

VECTORS = 60
"""Random ones; and twice as many adversarial ones."""


def check_built(spec: Spec, through: str, target: Target | None = None) -> Verdict:
    """Export a network, build it, and compare torch, ONNX, the emulator and what was built in every output.

    Args:
        spec: the network.
        through: ``"cpp"`` or ``"rtl"``.
        target: how it is built; drawn from the seed of the network unless told.

    Returns:
        The verdict; of a difference with the first layer, sample and element where it shows.
    """
    shape = tuple(spec["shape"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        try:
            model = build(spec)
            graph = export(model, path, shape).graph
            seed = int(spec["seed"])
            chosen = draw_target(seed, graph, through) if target is None else target.within(graph)
        except VerifyError as fault:
            return Verdict(False, _plain(fault, folder))
        except TorchqError as fault:
            return Verdict(None, _plain(fault, folder))
        kinds = frozenset(node.kind for node in graph.nodes)
        try:
            project = lower(graph, Path(folder) / "project", **chosen.to_dict())
        except BackendError as fault:
            refused = all(line.startswith(f"{chosen.backend}: ") for line in fault.message.splitlines())
            return Verdict(None if refused else False, _plain(fault, folder), kinds, chosen)
        random = ordinary(spec, graph, VECTORS)
        try:
            if isinstance(project, CsimProject):
                project.compile(_headers())
            found = verify(model, path, project, random, adversarial(graph, 2 * VECTORS, 1))
        except TorchqError as fault:
            return Verdict(False, _plain(fault, folder), kinds, chosen)
    return Verdict(found.agree, "" if found.agree else str(found), kinds, chosen)


@lru_cache
def _headers() -> Path:
    """The folder of compiled headers of this process; it goes when the process ends."""
    _KEPT.append(tempfile.TemporaryDirectory(prefix="hls-export-headers-"))
    return Path(_KEPT[-1].name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _plain(fault: TorchqError, folder: str) -> str:
    return fault.message.replace(f"{folder}/", "").replace(folder, "")
