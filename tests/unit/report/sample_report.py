"""A finished run as the report sees it: made-up jets, real arithmetic."""

from __future__ import annotations

import math

import numpy as np

from torchq.recipe.report import (
    Comparison,
    CostReference,
    DataSummary,
    FirmwareFacts,
    FpgaEstimate,
    LayerRow,
    ModelResult,
    ReportData,
    SearchResult,
    TrainingHistory,
    TrialPoint,
    Verification,
)

CLASSES = ("g", "q", "w", "z", "t")
SEPARATION = {"g": 1.9, "q": 1.5, "w": 2.2, "z": 2.1, "t": 2.5}


def curve(separation: float, seed: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """ROC of two normal distributions, from 5,000 drawn jets."""
    rng = np.random.default_rng(seed)
    signal, background = rng.normal(separation, 1, 1000), rng.normal(0, 1, 4000)
    scores = np.concatenate([signal, background])
    truth = np.concatenate([np.ones(1000), np.zeros(4000)])[np.argsort(-scores)]
    tpr, fpr = np.cumsum(truth) / 1000, np.cumsum(1 - truth) / 4000
    return tuple(fpr.tolist()), tuple(tpr.tolist())


def model(role: str, name: str, accuracy: float, loss: float, energy: float | None, bits: int | None):
    curves = {one: curve(SEPARATION[one] - loss, place) for place, one in enumerate(CLASSES)}
    areas = {one: float(np.trapezoid(tpr, fpr)) for one, (fpr, tpr) in curves.items()}
    macro = sum(areas.values()) / len(areas)
    return ModelResult(role, name, accuracy, macro, areas, curves, energy, bits)


def make_search(trials: int) -> SearchResult:
    rng = np.random.default_rng(5)
    points = []
    for number in range(trials):
        price = float(np.exp(rng.uniform(math.log(90), math.log(2400))))
        reach = 0.712 - 0.05 * math.exp(-price / 160)
        failed = number % 23 == 22
        points.append(
            TrialPoint(
                number=number,
                accuracy=None if failed else reach - float(rng.exponential(0.012)),
                energy_pj=None if failed else price,
                bits=None if failed else int(20 * price),
                score=None if failed else float(rng.uniform(0.6, 0.8)),
                status="failed" if failed else "completed",
                searcher="random" if number % 4 == 0 else "ax",
                seed=number + 1,
                scheme="fc1 quantized_bits(4,0) · fc2 ternary · fc3 quantized_bits(2,1) · units 32/16/16",
                wall_s=4.0 + number % 3,
            )
        )
    done = [point for point in points if point.accuracy is not None]
    front = [
        one
        for one in done
        if not any(other.accuracy > one.accuracy and other.energy_pj < one.energy_pj for other in done)
    ]
    picked = max(front, key=lambda one: one.accuracy - 0.00002 * one.energy_pj) if front else None
    references = (
        CostReference("float", accuracy=0.7135),
        CostReference("Q6", energy_pj=949.0, accuracy=0.7105),
        CostReference("BF, 16 bits", energy_pj=3439.0),
    )
    return SearchResult(
        trials=tuple(points),
        picked=None if picked is None else picked.number,
        front=tuple(one.number for one in front),
        references=references,
    )


def make_layers() -> tuple[LayerRow, ...]:
    return (
        LayerRow("input", "quantize", (16,), output="ap_fixed<16,6,RND_CONV,SAT>", energy_pj=3.1),
        LayerRow(
            name="fc1",
            kind="linear",
            shape=(16, 32),
            weight="ap_fixed<4,1,RND_CONV,SAT>",
            bias="ap_fixed<4,1,RND_CONV,SAT>",
            accumulator="ap_fixed<25,12>",
            bits=2176,
            energy_pj=134.5,
            zeros=0.127,
            multiplications=512,
        ),
        LayerRow("relu1", "relu", (32,), output="ap_ufixed<4,2,RND_CONV,SAT>", energy_pj=2.0),
        LayerRow("output", "linear", (32, 5), "ternary", None, "ap_fixed<12,9>", None, 320, 21.44, 0.41, 160),
    )


def make_history(role: str, name: str, start: float, epochs: int, best: int) -> TrainingHistory:
    loss = tuple(start * math.exp(-epoch / 5) + 0.78 for epoch in range(epochs))
    valid = tuple(start * math.exp(-epoch / 5) + 0.80 + 0.0004 * epoch for epoch in range(epochs))
    accuracy = tuple(0.71 - 0.1 * math.exp(-epoch / 4) for epoch in range(epochs))
    return TrainingHistory(role, name, loss, valid, accuracy, best, 12.5)


def make_verification() -> Verification:
    pairs = [("QONNX", "torch"), ("emulator", "QONNX"), ("C++", "torch")]
    sets = [("real jets", 12000), ("adversarial", 2000)]
    compared = tuple(Comparison(one, other, kind, n, 0) for one, other in pairs for kind, n in sets)
    verdict = "torch, the QONNX file, the emulator and the C++ give the same values."
    return Verification(True, 14000, 0, verdict, None, compared)


def make_report(trials: int = 60) -> ReportData:
    """A run that went through to the end."""
    return ReportData(
        title="Jets: the least energy at full accuracy",
        recipe="jets/autoq_energy",
        description="Ax searches precision and size of every layer of a 16-64-32-32-5 jet tagger.",
        created="2026-11-22 14:03",
        wall_s=312.4,
        run_dir="runs/autoq_energy",
        goal="maximise accuracy × (1 + 0.08 · log2(energy of BF / energy))",
        models=(
            model("float", "float", 0.7135, 0.0, None, None),
            model("q6", "uniform 6-bit (Q6)", 0.7105, 0.03, 949.0, 26334),
            model("picked", "picked", 0.7062, 0.08, 193.4, 4496),
        ),
        reference=CostReference("BF (16 bits)", 3439.0, 65835),
        search=make_search(trials),
        layers=make_layers(),
        estimates=(
            FpgaEstimate("BF", {"lut": 119855.0, "latency_ns": 65.0}),
            FpgaEstimate(
                "picked",
                {"lut": 8892.0, "latency_ns": 50.0},
                notes={"lut": "source=estimate: median error 5 %"},
                settings="strategy=latency",
            ),
        ),
        verification=make_verification(),
        firmware=FirmwareFacts(
            backend="vitis",
            part="xcvu13p-flga2577-2-e",
            clock_ns=5.0,
            io_type="io_parallel",
            strategy="latency",
            reuse_factor=1,
            state="C++ compiled with g++ and simulated; not synthesised (Vitis was not found)",
            files=("hls/firmware/myproject.cpp", "hls/firmware/defines.h", "hls/firmware/parameters.h"),
        ),
        histories=(
            make_history("float", "float", 0.6, 25, 22),
            make_history("q6", "uniform 6-bit (Q6)", 0.7, 20, 15),
            make_history("picked", "picked", 0.9, 30, 29),
        ),
        data=DataSummary(
            name="jets",
            source="60,000 jets simulated with Pythia 8, FastJet and a parametric detector",
            simulated=True,
            classes=CLASSES,
            sizes={"train": 38400, "valid": 9600, "test": 12000},
            features=tuple(f"feature_{place}" for place in range(16)),
            mean=tuple(0.1 * place for place in range(16)),
            scale=tuple(1.0 + 0.3 * place for place in range(16)),
        ),
        seeds={"data": 0, "search": 7, "training": 1},
        versions={"torchq": "0.1.0", "torch": "2.13.0", "hls4ml": "1.3.0", "ax-platform": "1.2.1"},
        command="torchq run jets/autoq_energy search.trials=60 --out runs/autoq_energy",
        recipe_text="name: autoq_energy\nsearch:\n  searcher: ax\n  trials: 60  # <few> & `good`\n",
    )
