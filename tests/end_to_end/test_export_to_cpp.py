"""The jet model from torch to compiled C++: one network by default, more and other tools with ``-m slow``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import hls_export
from hls_export.cli import guarded
from torchq.convert import quantize
from torchq.models import jets_mlp
from torchq.scheme import Scheme

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "hls_export"))
from hls_networks import ALL_MODES, ONNX_MODES, random_graph


def jet_model(*, batch_norm: bool = False, units=(64, 32, 32)) -> torch.nn.Module:
    """The paper's network with a precision of its own for every layer; weights large enough to saturate."""
    torch.manual_seed(7)
    model = jets_mlp(units=units, batch_norm=batch_norm).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    scheme = Scheme.uniform(
        input="quantized_bits(12,3,alpha=1)",
        weight="quantized_bits(6,0,alpha=1)",
        bias="quantized_bits(6,0,alpha=1)",
        output="quantized_relu(6,2)",
    )
    for layer, slot, text in (
        ("fc1", "weight", "quantized_bits(4,0,alpha=1)"),
        ("fc2", "weight", "ternary(alpha=1)"),
        ("fc3", "weight", "binary(alpha=1)"),
        ("relu1", "output", "quantized_relu(3,1)"),
        ("relu3", "output", "quantized_relu(8,3)"),
    ):
        scheme = scheme.with_slot(layer, slot, text)
    return quantize(model, scheme)


def jets_like(n: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, 16)) * 2


def test_jet_model_to_cpp_and_to_the_command_line(tmp_path, capsys):
    """torch = ONNX = emulator = C++; then the same file and project with nothing but the command."""
    model = jet_model(units=(32, 16, 16))
    exported = hls_export.export(model, tmp_path / "jets.onnx", check=jets_like(100))
    project = hls_export.lower(exported.path, tmp_path / "hls").compile()
    x = jets_like(3000)
    verdict = hls_export.verify(
        model, exported.path, project, x, hls_export.adversarial(exported.graph, 2000)
    )
    assert str(verdict) == "torch = ONNX = emulator = C simulation on 5,000 vectors (25,000 values)"
    assert np.unique(project.predict(x)).size > 100

    np.save(tmp_path / "x.npy", x[:500])
    arguments = [str(exported.path), "--project", str(project.path), "--vectors", str(tmp_path / "x.npy")]
    assert guarded(["verify", *arguments]) == 0
    assert "equal  ONNX = emulator = C simulation on 2,500 vectors" in capsys.readouterr().out


def test_a_changed_weight_in_the_cpp_is_found_by_layer(tmp_path):
    """Both files of a weight are changed, so that the fault is in the hardware and not in its simulation."""
    model = jet_model(units=(6, 5, 4))
    exported = hls_export.export(model, tmp_path / "jets.onnx")
    project = hls_export.lower(exported.path, tmp_path / "hls")
    entry = next(e for e in project.facts["constants"] if (e["layer"], e["slot"]) == ("fc2", "bias"))
    for suffix in ("h", "txt"):
        file = project.path / "firmware" / "weights" / f"{entry['file']}.{suffix}"
        head, brace, values = file.read_text().rpartition("{")
        first = values.replace(",", " ").split()[0].rstrip("}; \n")
        file.write_text(head + brace + values.replace(first, f"{float(first) - 0.25:.5f}", 1))
    verdict = hls_export.verify(model, exported.path, project, jets_like(200))
    assert [found.reading for found in verdict.differences] == ["C simulation"]
    assert (verdict.first.layer, verdict.first.output) == ("fc2", 0)
    assert verdict.first.got == verdict.first.expected - 0.25
    assert str(verdict).startswith("C simulation differs from torch in ")


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_whole_jet_model(tmp_path, batch_norm):
    model = jet_model(batch_norm=batch_norm)
    exported = hls_export.export(model, tmp_path / "jets.onnx")
    for io_type in ("io_parallel", "io_stream"):
        project = hls_export.lower(exported.path, tmp_path / io_type, io_type=io_type)
        extra = hls_export.adversarial(exported.graph, 2000)
        assert hls_export.verify(model, exported.path, project, jets_like(10000), extra).agree


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_random_networks_in_cpp(tmp_path, seed):
    """Every rounding and overflow, both ways of passing data, every strategy, both tools."""
    graph = random_graph(seed + 5000, ALL_MODES if seed % 2 else ONNX_MODES, widest=7)
    settings = {
        "io_type": ("io_parallel", "io_stream")[seed % 3 == 0],
        "backend": ("vitis", "vivado")[seed % 5 == 0],
        "strategy": ("latency", "resource")[seed % 4 == 1],
    }
    project = hls_export.lower(graph, tmp_path / "p", **settings)
    x = hls_export.adversarial(graph, 400, seed)
    assert (project.predict(x) == hls_export.emulate(graph, x)).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_stock_hls4ml_reads_the_file(tmp_path):
    """hls4ml's own QONNX reader, not ours: exact once the type of the input is stated."""
    script = tmp_path / "stock.py"
    script.write_text(STOCK)
    exported = hls_export.export(jet_model(units=(16, 8, 8)), tmp_path / "jets.onnx")
    x = hls_export.adversarial(exported.graph, 300)
    np.save(tmp_path / "x.npy", x)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [sys.executable, str(script), str(tmp_path)], check=True, env=environment, capture_output=True
    )
    assert (np.load(tmp_path / "y.npy") == hls_export.execute(exported.path, x)).all()


STOCK = """
import sys
from pathlib import Path
import numpy as np
import hls4ml
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model
folder = Path(sys.argv[1])
model = cleanup_model(ModelWrapper(str(folder / "jets.onnx")))
config = hls4ml.utils.config_from_onnx_model(
    model, granularity="name", backend="Vitis", default_precision="fixed<16,6>"
)
first = next(iter(config["LayerName"]))
config["LayerName"][first]["Precision"] = {"result": "fixed<12,4,RND_CONV,SAT,0>"}
project = hls4ml.converters.convert_from_onnx_model(
    model, output_dir=str(folder / "stock"), backend="Vitis", io_type="io_parallel", hls_config=config
)
project.compile()
np.save(folder / "y.npy", project.predict(np.load(folder / "x.npy")))
"""


@pytest.mark.slow
def test_the_projects_own_script_compiles_it_too(tmp_path):
    """What the FPGA engineer finds in the folder works without this package."""
    exported = hls_export.export(jet_model(units=(6, 5, 4)), tmp_path / "jets.onnx")
    project = hls_export.lower(exported.path, tmp_path / "hls")
    bash = shutil.which("bash")
    subprocess.run([bash, "build_lib.sh"], cwd=project.path, check=True, capture_output=True)
    assert list((project.path / "firmware").glob("*.so"))
