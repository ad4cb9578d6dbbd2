"""Training candidates: as one stack where that works, one by one where it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from torchq.autoq.training import Training
from torchq.errors import TorchqError, TrainError
from torchq.prune import Pruner
from torchq.train import EpochRecord, History, fit
from torchq.train.loop import Loss, Samples
from torchq.train.stacked import StackReport, fit_many


@dataclass(frozen=True)
class Trainee:
    """A network that is to be trained.

    Args:
        model: the network; its weights are changed in place.
        training: how.
        rate: the learning rate in place of the training's own.
        seed: of everything random in the training.
        pruners: what keeps its pruned weights at zero.
    """

    model: nn.Module
    training: Training
    rate: float
    seed: int
    pruners: tuple[Pruner, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether no more weights will be pruned."""
        return all(pruner.settled for pruner in self.pruners)


@dataclass(frozen=True)
class Setting:
    """What all trainings of a search have in common.

    Args:
        train: samples to learn.
        valid: samples to choose the best epoch by.
        loss: by default cross entropy.
        device: where to train.
        stacked: train those of the same training as one program.
        like: networks that hold all that later ones will have, so that one program serves all.
        compile: as in :func:`torchq.train.stacked.fit_many`.
    """

    train: Samples
    valid: Samples
    loss: Loss | None = None
    device: str = "cpu"
    stacked: bool = True
    like: Callable[[], Sequence[nn.Module]] = tuple
    compile: bool | Literal["auto"] = "auto"


@dataclass
class Log:
    """How networks were trained: for progress bars and reports.

    Attributes:
        stacks: how many networks each program trained; 1 where one was trained alone.
        compiled: whether any program was compiled.
        reasons: why networks were trained alone or programs were not compiled, each once.
    """

    stacks: list[int] = field(default_factory=list)
    compiled: bool = False
    reasons: list[str] = field(default_factory=list)

    def because(self, *reasons: str) -> None:
        """Keep the reasons that are new."""
        self.reasons += [reason for reason in dict.fromkeys(reasons) if reason not in self.reasons]

    def text(self) -> str:
        """One sentence.

        Example:
            >>> Log([16, 16, 1], True).text()
            '32 trainings in 2 stacks of up to 16 (compiled), 1 alone'
        """
        together = [size for size in self.stacks if size > 1]
        alone = len(self.stacks) - len(together)
        if not together:
            return f"{alone} trainings one by one"
        how = " (compiled)" if self.compiled else ""
        text = f"{sum(together)} trainings in {len(together)} stacks of up to {max(together)}{how}"
        return f"{text}, {alone} alone" if alone else text


OnEpoch = Callable[[int, EpochRecord], None]
"""Called with the place of a network and the record of its epoch."""


def train_all(
    trainees: Sequence[Trainee], setting: Setting, log: Log, on_epoch: OnEpoch | None = None
) -> list[History | TorchqError]:
    """Train all; the history of each, or the error that its training ended with.

    Those whose pruned weights are still to be chosen are trained alone, the others in stacks.
    """
    groups: dict[Training, list[int]] = {}
    for place, trainee in enumerate(trainees):
        groups.setdefault(trainee.training, []).append(place)
    found: dict[int, History | TorchqError] = {}
    for training, places in groups.items():
        together = [place for place in places if setting.stacked and trainees[place].settled]
        if together:
            group = [trainees[place] for place in together]
            trained = _stack(group, training, setting, log, _placed(on_epoch, together))
            found |= dict(zip(together, trained, strict=True))
        for place in places:
            if place not in together:
                found[place] = _single(trainees[place], training, setting, _placed(on_epoch, [place]))
                log.stacks.append(1)
                if not trainees[place].settled:
                    log.because("networks whose weights are pruned in training are trained one by one")
    return [found[place] for place in range(len(trainees))]


def _placed(on_epoch: OnEpoch | None, places: Sequence[int]) -> OnEpoch | None:
    return None if on_epoch is None else lambda k, record: on_epoch(places[k], record)


def _arguments(training: Training, setting: Setting) -> dict[str, Any]:
    return {
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        "schedule": training.schedule,
        "patience": training.patience,
        "weight_decay": training.weight_decay,
        "loss": setting.loss,
        "device": setting.device,
    }


def _single(
    trainee: Trainee, training: Training, setting: Setting, on_epoch: OnEpoch | None
) -> History | TorchqError:
    try:
        return fit(
            trainee.model,
            setting.train,
            setting.valid,
            lr=trainee.rate,
            seed=trainee.seed,
            after_step=[pruner.step for pruner in trainee.pruners],
            on_epoch=None if on_epoch is None else lambda record: on_epoch(0, record),
            **_arguments(training, setting),
        )
    except TrainError as fault:
        return fault


def _stack(
    group: Sequence[Trainee], training: Training, setting: Setting, log: Log, on_epoch: OnEpoch | None
) -> list[History | TorchqError]:
    def heard(report: StackReport) -> None:
        log.stacks += [*map(len, report.chunks), *(1 for _ in report.alone)]
        log.compiled |= report.compiled
        log.because(*report.notes, *report.alone.values())

    trained = fit_many(
        [trainee.model for trainee in group],
        setting.train,
        setting.valid,
        lr=[trainee.rate for trainee in group],
        seeds=[trainee.seed for trainee in group],
        like=setting.like(),
        compile=setting.compile,
        on_epoch=on_epoch,
        on_report=heard,
        **_arguments(training, setting),
    )
    return list(trained)
