"""Everything a run report shows, as one frozen value of plain numbers and texts.

The report knows no model, no array and no file: whoever finished a run (or a part of one) fills a
:class:`ReportData`, and the functions of this package turn it into text. Whatever is left out is shown
as "not run yet".

Units: accuracies, AUCs and shares are fractions of one, energies are pJ of one inference, ``bits`` are
the bits of all weights and biases, times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torchq.recipe.report.firmware import FirmwareFacts, Verification
from torchq.recipe.report.synthesized import Synthesis


@dataclass(frozen=True)
class ModelResult:
    """One trained model, measured on the test split.

    Attributes:
        role: ``"float"``, ``"q6"`` or ``"picked"`` for the three models the checks compare; anything
            else is shown and not checked.
        name: what the reader calls it, such as ``"uniform 6-bit (Q6)"``.
        auc: one-against-all area under the ROC curve by class.
        roc: by class, false positive rate and true positive rate, in the order of the scan.
        bits: bits of all weights and biases.
    """

    role: str
    name: str
    accuracy: float | None = None
    auc_macro: float | None = None
    auc: Mapping[str, float] = field(default_factory=dict)
    roc: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    energy_pj: float | None = None
    bits: int | None = None
    note: str = ""


@dataclass(frozen=True)
class CostReference:
    """What the costs are measured against, such as the 16-bit model BF; priced, perhaps never trained."""

    name: str
    energy_pj: float | None = None
    bits: int | None = None
    accuracy: float | None = None
    note: str = ""


@dataclass(frozen=True)
class FpgaEstimate:
    """What one model would take of an FPGA, as far as it was estimated.

    Attributes:
        figures: by name, such as ``"lut"``.
        units: unit by figure.
        notes: by figure, where it comes from and how wrong it is.
        settings: what was asked with, in words.
    """

    name: str
    figures: Mapping[str, float]
    units: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    settings: str = ""


@dataclass(frozen=True)
class TrialPoint:
    """One trial of the search; the accuracy is that of the split the search looks at, not of the test.

    Attributes:
        status: ``"completed"``, ``"failed"`` or what else the journal says.
        scheme: what was tried, in short.
    """

    number: int
    accuracy: float | None = None
    energy_pj: float | None = None
    bits: int | None = None
    score: float | None = None
    status: str = "completed"
    searcher: str = ""
    seed: int | None = None
    scheme: str = ""
    wall_s: float | None = None


@dataclass(frozen=True)
class SearchEffort:
    """What a search took, and how much of the trade it found.

    Attributes:
        train_s: seconds in which trials were trained and priced, all workers together.
        ask_s: seconds in which the searcher thought.
        stacks: how many networks each program trained; 1 where one was trained alone.
        compiled: whether any program was compiled.
        hypervolume: of the trials that keep every limit, as the goal measures it.
        notes: sentences, such as why networks were not trained together.
    """

    train_s: float
    ask_s: float
    stacks: tuple[int, ...] = ()
    compiled: bool = False
    hypervolume: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def ask_share(self) -> float | None:
        """The part of the search in which the searcher thought; None for one that took no time."""
        together = self.train_s + self.ask_s
        return self.ask_s / together if together > 0 else None


@dataclass(frozen=True)
class SearchResult:
    """All trials, and what came of them.

    Attributes:
        picked: number of the picked trial.
        front: numbers of the trials that no other one beats in accuracy and energy at once.
        references: models drawn along in the picture, measured on the same split as the trials.
        split: the split the accuracies of the trials stand on.
        effort: None where the search has not ended.
    """

    trials: tuple[TrialPoint, ...] = ()
    picked: int | None = None
    front: tuple[int, ...] = ()
    references: tuple[CostReference, ...] = ()
    split: str = "validation"
    effort: SearchEffort | None = None


@dataclass(frozen=True)
class LayerRow:
    """One layer of the picked model as it stands in the firmware; formats are texts, None is "has none"."""

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    weight: str | None = None
    bias: str | None = None
    accumulator: str | None = None
    output: str | None = None
    bits: int | None = None
    energy_pj: float | None = None
    zeros: float | None = None
    multiplications: int | None = None


@dataclass(frozen=True)
class TrainingHistory:
    """Losses and validation accuracies, one number an epoch; ``best_epoch`` counts from 0."""

    role: str
    name: str
    loss: tuple[float, ...] = ()
    valid_loss: tuple[float, ...] = ()
    valid_accuracy: tuple[float, ...] = ()
    best_epoch: int | None = None
    wall_s: float | None = None


@dataclass(frozen=True)
class DataSummary:
    """The data, and the standardisation that belongs to the firmware's input.

    Attributes:
        source: where the data comes from, in words.
        simulated: marks the data as simulated wherever the data is named.
        sizes: examples by split.
        features: names of the inputs; ``mean`` and ``scale`` stand in the same order.
    """

    name: str
    source: str = ""
    simulated: bool = False
    classes: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Limits:
    """What a run has to show; a limit of None is not checked.

    The defaults are those of the jet recipe: the uniform 6-bit model within half a point of float, and
    the published energy-optimised model's energy, size and loss (7.4 times, 13 times, 2.1 points).

    Attributes:
        q6_drop: accuracy the 6-bit model may lose against float.
        energy_ratio: how many times less energy than the reference the picked model must need.
        bits_ratio: how many times fewer weight and bias bits.
        picked_drop: accuracy the picked model may lose against float.
        mismatches: values that may differ between torch and C++.
        wall_s: longest wall time of the run, without what its synthesis took.
    """

    q6_drop: float | None = 0.005
    energy_ratio: float | None = 7.4
    bits_ratio: float | None = 13.0
    picked_drop: float | None = 0.021
    mismatches: int | None = 0
    wall_s: float | None = 600.0


@dataclass(frozen=True)
class Check:
    """One line of "what this run had to show"; ``met`` is None if it was not measured."""

    figure: str
    where: str
    measured: str
    target: str
    met: bool | None


@dataclass(frozen=True)
class ReportData:
    """The whole report.

    Attributes:
        goal: what the search was asked for, in words.
        created: date and time as text; the report takes no time of its own.
        synthesis: None where the recipe asks for none.
        limits: what is checked; None leaves that part out.
        checks: further lines for the same table, such as the constraints of the recipe.
        seeds: seed by what it seeds.
        versions: version by package.
        recipe_text: the recipe as it was run.

    Example:
        >>> data = ReportData(title="Jets", models=(ModelResult("float", "float", accuracy=0.71),))
        >>> data.model("float").accuracy, data.model("picked")
        (0.71, None)
    """

    title: str
    recipe: str = ""
    description: str = ""
    created: str = ""
    wall_s: float | None = None
    run_dir: str = ""
    goal: str = ""
    models: tuple[ModelResult, ...] = ()
    reference: CostReference | None = None
    search: SearchResult | None = None
    layers: tuple[LayerRow, ...] = ()
    estimates: tuple[FpgaEstimate, ...] = ()
    synthesis: Synthesis | None = None
    verification: Verification | None = None
    firmware: FirmwareFacts | None = None
    histories: tuple[TrainingHistory, ...] = ()
    data: DataSummary | None = None
    limits: Limits | None = field(default_factory=Limits)
    checks: tuple[Check, ...] = ()
    seeds: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    recipe_text: str = ""

    def model(self, role: str) -> ModelResult | None:
        """The first model of that role, or None."""
        return next((model for model in self.models if model.role == role), None)
