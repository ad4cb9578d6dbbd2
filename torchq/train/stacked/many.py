"""``fit_many``: as many models as you like, trained as one program, each as ``fit`` would have trained it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import nn

from torchq.errors import TrainError
from torchq.prune import Pruner
from torchq.prune.schedule import Schedule
from torchq.train.device import pick_device
from torchq.train.history import EpochRecord, History
from torchq.train.loop import Loss, Samples, _batches, _check_range, _samples, fit
from torchq.train.schedule import SCHEDULES
from torchq.train.stacked.chunks import chunk_size, whole_size
from torchq.train.stacked.epochs import Settings, Training
from torchq.train.stacked.layout import Layout
from torchq.train.stacked.plan import cut, planned
from torchq.train.stacked.programs import chosen
from torchq.train.stacked.report import StackReport
from torchq.train.stacked.stack import Candidate, Stack


def fit_many(
    models: Sequence[nn.Module],
    train: Samples,
    valid: Samples,
    *,
    epochs: int = 30,
    batch_size: int = 1024,
    lr: float | Sequence[float] = 5e-3,
    schedule: str = "cosine",
    patience: int | None = None,
    seeds: int | Sequence[int] = 0,
    weight_decay: float = 0.0,
    loss: Loss | None = None,
    best_from: int = 1,
    chunk: int | None = None,
    compile: bool | Literal["auto"] = "auto",
    device: str = "cpu",
    like: Sequence[nn.Module] = (),
    prune: Sequence[Schedule | None] = (),
    rungs: Sequence[tuple[int, float]] = (),
    on_epoch: Callable[[int, EpochRecord], None] | None = None,
    on_report: Callable[[StackReport], None] | None = None,
) -> list[History | TrainError]:
    """Train many classifiers at once and leave each with the weights of its best epoch.

    Candidate ``k`` ends as ``fit(models[k], ..., lr=lr[k], seed=seeds[k])`` would leave it, but for the order
    in which floats are added. Candidates may differ in quantizers, widths, numbers of neurons, first weights,
    seeds and learning rates; those of one structure stand in stacks, where every operation is one operation
    for all of them (or whole epochs are one call, even of a stack of one). What cannot be stacked is trained
    by ``fit``, and ``on_report`` hears why.

    Args:
        models: as for ``fit``.
        train: samples to learn.
        valid: samples to choose the best epoch by.
        epochs: as in ``fit``; so are ``batch_size``, ``schedule``, ``patience``, ``weight_decay``, ``loss``,
            ``best_from`` and ``device``.
        batch_size: samples a step.
        lr: learning rate, or one for each model.
        schedule: how it goes on.
        patience: epochs without a smaller validation loss until a candidate leaves its stack.
        seeds: seed, or one for each model.
        weight_decay: decoupled.
        loss: of one model; a function that ``torch.vmap`` takes.
        best_from: the first epoch that may be the best one.
        chunk: candidates of a stack at most; by default 128, or as many as fit caches and memory.
        compile: whether to compile the stacks, on the CPU with the machine's C compiler, on a GPU with
            torch's; ``"auto"``: where the training is long enough for that to pay. What is compiled stays for
            later calls.
        device: where to train.
        like: models that the stacks must hold as well, though they are not trained: with the widest layers
            and all quantizer families that later calls will have, a candidate ends the same to the last digit
            in any company, and one program of torch's compiler serves all calls.
        prune: for each model the schedule by which the weights of each layer are pruned, as
            ``after_step=Pruner(model, schedule).step`` does in ``fit``; None for those that are not.
        rungs: pairs of an epoch and a fraction: after that epoch only this fraction of the candidates that
            are still trained goes on, those with the smallest validation losses (at least one). Candidates
            trained by ``fit`` take no part.
        on_epoch: called after each epoch of each candidate, with its number.
        on_report: called once, at the end.

    Returns:
        The history of each candidate, in the order given; the error instead, if its loss was no longer a
        finite number. The others go on.

    Raises:
        TrainError: an argument is out of range.
        UnknownNameError: no such schedule.

    Example:
        >>> x = torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
        >>> y = (x.sum(dim=1) > 0).long()
        >>> models = [nn.Sequential(nn.Linear(2, n), nn.ReLU(), nn.Linear(n, 2)) for n in (3, 5, 8)]
        >>> histories = fit_many(models, (x, y), (x, y), epochs=20, batch_size=32, lr=0.05, seeds=(0, 1, 2))
        >>> [history.best.valid_accuracy > 0.9 for history in histories]
        [True, True, True]
    """
    rates, numbers = _each("lr", lr, len(models)), _each("seeds", seeds, len(models))
    for rate in rates or [1.0]:
        _check_range(
            epochs=epochs, batch_size=batch_size, lr=rate, patience=patience, weight_decay=weight_decay
        )
    if prune and len(prune) != len(models):
        raise TrainError(f"prune has {len(prune)} schedules and there are {len(models)} models")
    _check(models, epochs, best_from, chunk, rungs)
    where = pick_device(device)
    x, y = _samples(train, "training", where)
    valid_x, valid_y = _samples(valid, "validation", where)
    settings = Settings(
        x=x,
        y=y,
        valid_x=valid_x,
        valid_y=valid_y,
        batches=_batches(len(x), batch_size),
        epochs=epochs,
        factor=SCHEDULES.get(schedule),
        patience=patience,
        best_from=best_from,
        weight_decay=weight_decay,
        loss=None if loss is None or _is_plain(loss) else loss,
        on_epoch=on_epoch,
    )
    schedules = list(prune) or [None] * len(models)
    plan = planned(models, like, settings, schedules)
    work = sum(len(group) for _, group in plan.groups) * len(x) * epochs
    layouts = {layout: len(group) for layout, group in plan.groups}
    choice = chosen(compile if work else False, work, where, layouts, plain_loss=settings.loss is None)
    results: dict[int, History | TrainError] = {}
    trainings = []
    rows = max(batch.stop - batch.start for batch in settings.batches)

    def room(layout: Layout) -> int:
        """Candidates of a stack."""
        return whole_size(len(x)) if choice.whole(layout) else chunk_size(layout, rows, where)

    stacks = []
    for layout, group in plan.groups:
        if len(group) == 1 and not choice.whole(layout):
            plan.alone[group[0][0]] = "no other candidate has its structure"
        else:
            stacks += [(layout, part) for part in cut(group, chunk or room(layout))]
    for layout, part in stacks:
        candidates = [
            Candidate(
                number,
                chain,
                rates[number],
                torch.Generator().manual_seed(numbers[number]),
                schedules[number],
            )
            for number, chain in part
        ]
        programs = choice.make(layout, rows)
        trainings.append(Training(Stack(layout, candidates, where), settings, programs, results))
    _run(trainings, epochs, rungs)
    for number in plan.alone:
        schedule_of = schedules[number]
        try:
            pruner = None if schedule_of is None else Pruner(models[number], schedule_of)
            results[number] = fit(
                models[number],
                (x, y),
                (valid_x, valid_y),
                epochs=epochs,
                batch_size=batch_size,
                lr=rates[number],
                schedule=schedule,
                patience=patience,
                seed=numbers[number],
                weight_decay=weight_decay,
                loss=loss,
                best_from=best_from,
                device=device,
                after_step=() if pruner is None else pruner.step,
                on_epoch=None if on_epoch is None else functools.partial(on_epoch, number),
            )
        except TrainError as fault:
            results[number] = fault
    if on_report is not None:
        chunks = tuple(tuple(number for number, _ in part) for _, part in stacks)
        alone = dict(sorted(plan.alone.items()))
        on_report(StackReport(chunks, choice.compiled, choice.notes, alone))
    return [results[number] for number in range(len(models))]


def _run(trainings: Sequence[Training], epochs: int, rungs: Sequence[tuple[int, float]]) -> None:
    """All stacks, one after the other, from one rung to the next."""
    done = 0
    for end, fraction in [*sorted(rungs), (epochs, 1.0)]:
        for training in trainings:
            for epoch in range(done + 1, end + 1):
                if training.running:
                    training.epoch(epoch)
        done = end
        running = [(training, candidate) for training in trainings for candidate in training.running]
        running.sort(key=lambda pair: pair[1].records[pair[1].best_epoch - 1].valid_loss)
        for training, candidate in running[max(math.ceil(fraction * len(running)), 1) :]:
            training.finish(candidate)
        for training in trainings:
            training.leave()


def _check(
    models: Sequence[nn.Module],
    epochs: int,
    best_from: int,
    chunk: int | None,
    rungs: Sequence[tuple[int, float]],
) -> None:
    if not 1 <= best_from <= epochs:
        raise TrainError(f"best_from must be from 1 to {epochs} (the number of epochs), got {best_from}")
    if chunk is not None and chunk < 2:
        raise TrainError(f"chunk must be at least 2, got {chunk}", hint="one model alone is trained by fit")
    for epoch, fraction in rungs:
        if not best_from <= epoch < epochs or not 0 < fraction <= 1:
            raise TrainError(
                f"a rung needs an epoch from {best_from} to {epochs - 1} and a fraction above 0 and at most "
                f"1, got ({epoch}, {fraction:g})"
            )
    seen: dict[int, int] = {}
    for number, model in enumerate(models):
        for parameter in model.parameters():
            other = seen.setdefault(id(parameter), number)
            if other != number:
                raise TrainError(
                    f"models {other} and {number} share a parameter", hint="give each model its own copy"
                )


def _each(name: str, value: Any, count: int) -> list[Any]:
    """One value for each model."""
    if not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise TrainError(f"{name} has {len(value)} values and there are {count} models")
    return list(value)


def _is_plain(loss: Loss) -> bool:
    """Whether it is the cross entropy that ``fit`` takes by default."""
    return type(loss) is nn.CrossEntropyLoss and (
        loss.weight is None
        and not loss.label_smoothing
        and loss.reduction == "mean"
        and loss.ignore_index < 0
    )
