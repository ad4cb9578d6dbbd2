"""The epochs of a stack: orders drawn, steps taken, candidates judged; who is done leaves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchq.errors import TrainError
from torchq.train.history import EpochRecord, History
from torchq.train.loop import _check_finite
from torchq.train.stacked.adam import BETAS
from torchq.train.stacked.native import NativeChain
from torchq.train.stacked.program import Loss, answers, constants_of
from torchq.train.stacked.programs import Programs
from torchq.train.stacked.pruning import prune_due, prunes
from torchq.train.stacked.stack import Candidate, Stack, batch_orders, give_back, open_ended

LOOK_ROWS = 256
"""Validation rows at a time, of all candidates."""


@dataclass(frozen=True)
class Settings:
    """What all candidates share.

    Attributes:
        x: training samples.
        y: their classes.
        valid_x: validation samples.
        valid_y: their classes.
        batches: slices of the shuffled training samples.
        epochs: at most.
        factor: of the learning rate, by the fraction of all steps done.
        patience: as in ``fit``.
        best_from: as in ``fit``.
        weight_decay: as in ``fit``.
        loss: of one candidate; None for the cross entropy.
        on_epoch: called after each epoch of each candidate.
    """

    x: Tensor
    y: Tensor
    valid_x: Tensor
    valid_y: Tensor
    batches: Sequence[slice]
    epochs: int
    factor: Callable[[float], float]
    patience: int | None
    best_from: int
    weight_decay: float
    loss: Loss | None
    on_epoch: Callable[[int, EpochRecord], None] | None


class Training:
    """The training of one stack, epoch by epoch.

    Args:
        stack: the candidates; those whose training ends leave it.
        settings: what they share.
        programs: of the stack's layout.
        results: where the outcome of a candidate goes, by its number.
    """

    def __init__(
        self,
        stack: Stack,
        settings: Settings,
        programs: Programs,
        results: dict[int, History | TrainError],
    ) -> None:
        self.stack, self.settings, self.programs, self.results = stack, settings, programs, results
        self.layout = stack.layout
        prune_due(stack, 0)
        self._shares = [_share(batch, settings, self.layout.dtype) for batch in settings.batches]
        rows = LOOK_ROWS if programs.traced else min(LOOK_ROWS, len(settings.valid_x))
        self._x, self._y = channels_last(settings.x), _targets(settings.y, settings)
        self._valid = channels_last(settings.valid_x), _targets(settings.valid_y, settings)
        self._looks = _chunks(*self._valid, rows, self.layout.dtype)

    @property
    def running(self) -> list[Candidate]:
        """The candidates whose training is not over."""
        return [c for c in self.stack.candidates if c.number not in self.results]

    def epoch(self, number: int) -> None:
        """One epoch of all candidates of the stack."""
        began = time.perf_counter()
        with torch.no_grad():
            losses = self._learn(number)
            valid, right = self._look()
        seconds = (time.perf_counter() - began) / len(self.running)
        settings = self.settings
        last = settings.factor(
            (number * len(settings.batches) - 1) / (settings.epochs * len(settings.batches))
        )
        for index, candidate in enumerate(self.stack.candidates):
            if candidate.number in self.results:
                continue
            lr = candidate.lr * last
            record = EpochRecord(number, losses[index], valid[index], right[index], lr, seconds)
            try:
                _check_finite(record, settings.epochs, candidate.lr)
            except TrainError as fault:
                self.results[candidate.number] = fault
                continue
            self._judge(index, candidate, record)
        self._leave()

    def finish(self, candidate: Candidate) -> None:
        """End a candidate's training: its model gets its best weights."""
        give_back(candidate, self.layout, len(self.settings.batches))
        stopped = len(candidate.records) < self.settings.epochs
        self.results[candidate.number] = History(tuple(candidate.records), candidate.best_epoch, stopped)

    def leave(self) -> None:
        """Take candidates whose training is over out of the stack; one may stay to make it two."""
        self._leave()

    def _judge(self, index: int, candidate: Candidate, record: EpochRecord) -> None:
        """Note an epoch as ``fit`` does."""
        settings = self.settings
        candidate.records.append(record)
        best = candidate.records[candidate.best_epoch - 1] if candidate.best_epoch else None
        if record.epoch >= settings.best_from and (best is None or record.valid_loss < best.valid_loss):
            candidate.best_epoch = record.epoch
            self.stack.remember(index)
        waited = record.epoch - max(candidate.best_epoch, settings.best_from)
        patience = settings.patience
        if settings.on_epoch is not None:
            settings.on_epoch(candidate.number, record)
        if record.epoch >= settings.epochs or (patience is not None and waited >= patience):
            self.finish(candidate)

    def _leave(self) -> None:
        kept = [i for i, c in enumerate(self.stack.candidates) if c.number not in self.results]
        if kept and len(kept) < len(self.stack):
            others = (i for i in range(len(self.stack)) if i not in kept)
            self.stack.keep(kept if len(kept) > 1 else [*kept, next(others)])

    def _learn(self, number: int) -> list[float]:
        """The steps of an epoch; the mean loss of each candidate."""
        settings, stack = self.settings, self.stack
        device, dtype = settings.x.device, self.layout.dtype
        orders = batch_orders(stack.candidates, len(settings.x), settings.batches).to(device)
        pace = torch.tensor(list(self._pace(number)), dtype=torch.float64).to(device, dtype)
        if self.programs.chain is not None:
            return self._learn_whole(self.programs.chain, number, orders, pace)
        state, pruned = stack.state(), prunes(stack)
        total = torch.zeros(len(stack), dtype=torch.float64, device=device)
        if self.programs.traced:
            open_ended(self._x, self._y, *state)
        for step, batch in enumerate(settings.batches):
            count = batch.stop - batch.start
            order = orders[step]
            if settings.loss is not None:
                order = order[:, :count]
            if self.programs.traced:
                open_ended(order)
            value = self.programs.train(
                settings.loss, self._x, self._y, order, self._shares[step], pace[step], *state
            )
            total += value * count
            if pruned:
                prune_due(stack, (number - 1) * len(settings.batches) + step + 1)
        return [float(value) for value in total / len(settings.x)]

    def _learn_whole(self, chain: NativeChain, number: int, orders: Tensor, pace: Tensor) -> list[float]:
        """The same by a program that takes many steps at once; one at a time where weights are pruned."""
        stack, steps = self.stack, len(self.settings.batches)
        lr, rows, first, second, masks, _, numbers = stack.state()
        state = (lr, rows, first, second, masks, numbers)
        counts = torch.tensor([batch.stop - batch.start for batch in self.settings.batches])
        pruned = prunes(stack)
        total = torch.zeros(len(stack), dtype=torch.float64)
        for start in range(steps) if pruned else (0,):
            part = slice(start, start + 1) if pruned else slice(steps)
            total += chain.learn(
                stack.widths, self._x, self._y, orders[part], counts[part], pace[part], *state
            )
            if pruned:
                prune_due(stack, (number - 1) * steps + start + 1)
        return [float(value) for value in total / len(self._x)]

    def _pace(self, number: int) -> list[list[float]]:
        """What changes from step to step, a row a step (see ``train_step``); 16 values, to be aligned."""
        settings = self.settings
        steps = settings.epochs * len(settings.batches)
        rows = []
        for index, batch in enumerate(settings.batches):
            done = (number - 1) * len(settings.batches) + index
            factor = settings.factor(done / steps)
            one = 1 - BETAS[0] ** (done + 1)
            two = math.sqrt(1 - BETAS[1] ** (done + 1))
            count = batch.stop - batch.start
            unbiased = count / max(count - 1, 1)
            row = [factor, factor / one, factor * settings.weight_decay, 1 / two, unbiased]
            rows.append(row + [0.0] * 11)
        return rows

    def _look(self) -> tuple[list[float], list[float]]:
        """Validation loss and accuracy of each candidate."""
        stack, settings = self.stack, self.settings
        _, rows, _, _, masks, statistics, numbers = stack.state()
        samples = len(settings.valid_x)
        if self.programs.chain is not None:
            lost, right = self.programs.chain.judge(stack.widths, *self._valid, rows, masks, numbers)
            return (lost / samples).tolist(), (right / samples).tolist()
        arithmetic = self.programs.arithmetic
        constants = constants_of(self.layout, arithmetic, rows, masks, statistics, numbers, stack.wide)
        if settings.loss is not None:
            parts = [answers(self.layout, arithmetic, x, constants, numbers) for x, _, _ in self._looks]
            logits = torch.cat(parts, dim=1)[:, : len(settings.valid_x)]
            value = torch.vmap(settings.loss, in_dims=(0, None))(logits, settings.valid_y)
            hits = (logits.argmax(dim=-1) == settings.valid_y).double().mean(dim=1)
            return value.tolist(), hits.tolist()
        lost = torch.zeros(len(stack), dtype=torch.float64, device=rows.device)
        right = torch.zeros_like(lost)
        if self.programs.traced:
            open_ended(*(c for c in constants if c.ndim > 1), numbers)
        for x, y, counts in self._looks:
            loss, hits = self.programs.look(x, y, counts, constants, numbers)
            lost += loss
            right += hits
        return (lost / samples).tolist(), (right / samples).tolist()


def _targets(y: Tensor, settings: Settings) -> Tensor:
    """Classes as indexes; what another loss reads stays what it is."""
    return (y.long() if settings.loss is None else y).contiguous()


def channels_last(x: Tensor) -> Tensor:
    """Samples ``[samples, channels, ...]`` with their channels behind; rows of features as they are."""
    return x.movedim(1, -1).contiguous()


def _share(batch: slice, settings: Settings, dtype: torch.dtype) -> Tensor:
    """How much each row of a batch counts; those that fill it up count nothing."""
    count = batch.stop - batch.start
    rows = max(b.stop - b.start for b in settings.batches) if settings.loss is None else count
    share = torch.zeros(rows, dtype=torch.float64)
    share[:count] = 1 / count
    return share.to(settings.x.device, dtype)


def _chunks(x: Tensor, y: Tensor, rows: int, dtype: torch.dtype) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Validation samples in parts of one length; the last one is filled up with rows that do not count."""
    parts = []
    for start in range(0, len(x), rows):
        part, classes = x[start : start + rows], y[start : start + rows]
        counts = torch.ones(len(part), dtype=dtype, device=x.device)
        short = rows - len(part)
        if short:
            part = torch.cat([part, x[:1].expand(short, *x.shape[1:])])
            classes = torch.cat([classes, y[:1].expand(short)])
            counts = torch.cat([counts, counts.new_zeros(short)])
        parts.append((part, classes, counts))
    return parts
