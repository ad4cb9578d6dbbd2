"""The two programs of a stack: one training step, and one look at validation samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from torchq.train.stacked.arithmetic import Arithmetic
from torchq.train.stacked.layout import Layout
from torchq.train.stacked.links import Pass, factors
from torchq.train.stacked.products import flattened, largest, product, sums

Loss = Callable[[Tensor, Tensor], Tensor]


def train_step(
    layout: Layout,
    arithmetic: Arithmetic,
    loss: Loss | None,
    x: Tensor,
    y: Tensor,
    order: Tensor,
    share: Tensor,
    pace: Tensor,
    lr: Tensor,
    rows: Tensor,
    first: Tensor,
    second: Tensor,
    masks: Tensor,
    statistics: Tensor,
    numbers: Tensor,
) -> Tensor:
    """Forward, backward and AdamW (arXiv:1711.05101) of all candidates; the state is changed in place.

    Args:
        layout: of the stack.
        arithmetic: what computes element by element.
        loss: one candidate's; None for the cross entropy.
        x: samples ``[samples, features]``, or with rows and columns between.
        y: classes ``[samples]``.
        order: the samples of each candidate's batch, ``[candidates, batch]``.
        share: how much each row of the batch counts, ``[batch]``.
        pace: the schedule's factor; that over the first moment's correction; the factor times the weight
            decay; one over the root of the second moment's correction; and what makes a variance unbiased.
        lr: learning rate of each candidate, ``[candidates, 1]``.
        rows: parameters ``[candidates, values]``.
        first: Adam's first moments.
        second: Adam's second moments.
        masks: 1 where a parameter is.
        statistics: running ones, ``[candidates, values]``.
        numbers: of the quantizers, ``[candidates, quantizers, fields]``.

    Returns:
        The loss of each candidate before the step.
    """
    run = _begun(layout, arithmetic, (rows, masks, statistics, numbers), share, pace[4])
    entropy = arithmetic.cross_entropy if loss is None else partial(any_loss, loss)
    with arithmetic.step():
        value, gradient = entropy(run.forward(arithmetic.picked(x, order)), y[order], share)
        run.backward(gradient)
        slopes = [run.gradients[place].reshape(len(rows), -1) for place in layout.parameters()]
        arithmetic.adam(rows, first, second, torch.cat(slopes, dim=1), masks, lr, pace)
        if run.moved:
            moved = [run.moved[place].reshape(len(rows), -1) for place in layout.statistics()]
            statistics.copy_(torch.cat(moved, dim=1))
    return value


def _begun(
    layout: Layout,
    arithmetic: Arithmetic,
    read: tuple[Tensor, Tensor, Tensor, Tensor],
    share: Tensor,
    unbiased: Tensor,
) -> Pass:
    """A pass over parameters, masks, statistics and numbers; the last one, if it read the same."""
    kept = arithmetic.kept
    if isinstance(kept, Pass) and kept.reads(*read):
        kept.again(share, unbiased)
        return kept
    made = Pass(layout, arithmetic, *read, share, unbiased)
    arithmetic.keep(made)
    return made


def any_loss(loss: Loss, logits: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """The loss of each candidate by a function of one's, and its gradient; every row must count."""

    def of(answer: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        value = loss(answer, classes)
        return value, value

    gradient, value = torch.vmap(torch.func.grad(of, has_aux=True))(logits, y)
    return value, gradient


def look(
    layout: Layout,
    arithmetic: Arithmetic,
    x: Tensor,
    y: Tensor,
    counts: Tensor,
    constants: list[Tensor],
    numbers: Tensor,
) -> tuple[Tensor, Tensor]:
    """Summed cross entropy and right answers of each candidate.

    Args:
        layout: of the stack.
        arithmetic: what computes element by element.
        x: ``[rows, features]``, or with rows and columns between.
        y: ``[rows]``.
        counts: 1 for a row that counts, ``[rows]``.
        constants: what the links multiply with and add, in order; see :func:`constants_of`.
        numbers: of the quantizers.
    """
    logits = answers(layout, arithmetic, x, constants, numbers)
    value, _ = arithmetic.cross_entropy(logits, y.unsqueeze(0), counts)
    right = (logits.argmax(dim=-1) == y).to(logits.dtype) * counts
    return value, right.sum(1)


def answers(
    layout: Layout, arithmetic: Arithmetic, x: Tensor, constants: list[Tensor], numbers: Tensor
) -> Tensor:
    """The logits of evaluation, ``[candidates, rows, classes]``."""
    x = x.unsqueeze(0).flatten(1, -2)
    parts = iter(constants)
    for index, ((kind, options), slot) in enumerate(zip(layout.links, layout.slots(), strict=True)):
        window = layout.windows[index]
        if kind == "pool" and window is not None:
            x = sums(x, window) * factors(numbers, slot) if options == ("average",) else largest(x, window)[0]
        elif kind == "flatten":
            x = flattened(x, layout.reads[index])
        elif kind == "quantize":
            x = arithmetic.values(x, numbers[:, slot], layout.activations)
        elif kind == "norm":
            x = x * next(parts) + next(parts)
        else:
            weight, bias = next(parts), next(parts)
            x = product(x, weight, window) + bias
    return x


def constants_of(
    layout: Layout,
    arithmetic: Arithmetic,
    rows: Tensor,
    masks: Tensor,
    statistics: Tensor,
    numbers: Tensor,
    wide: Tensor,
) -> list[Tensor]:
    """What is multiplied with and added in evaluation, link by link.

    A folded batch norm is computed in double precision, as its layer does.

    Args:
        layout: of the stack.
        arithmetic: what computes element by element.
        rows: parameters.
        masks: 1 where a parameter is.
        statistics: running ones.
        numbers: of the quantizers.
        wide: the same for double precision.
    """
    held = {(p.link, p.name): p.of(rows) for p in layout.parameters()}
    running = {(p.link, p.name): p.of(statistics) for p in layout.statistics()}
    there = {(p.link, p.name): p.of(masks) for p in layout.parameters()}
    found: list[Tensor] = []

    def made(index: int, slot: int, x: Tensor) -> Tensor:
        table = wide if x.dtype == torch.float64 else numbers
        result = arithmetic.values(x, table[:, layout.slots()[index] + slot], layout.weights).to(layout.dtype)
        mask = there.get((index, "weight" if slot == 0 else "bias"))
        mask = there.get((index, "beta")) if mask is None else mask
        return result * mask if layout.masks_needed and mask is not None else result

    for index, (kind, options) in enumerate(layout.links):
        if kind == "linear":
            weight, bias = held[index, "weight"], held.get((index, "bias"))
            found += [made(index, 0, weight), weight.new_zeros(1) if bias is None else made(index, 1, bias)]
        elif kind == "norm":
            scale = torch.rsqrt(running[index, "variance"] + options[1])
            shift = -running[index, "mean"] * scale
            if options[0]:
                gamma, beta = held[index, "gamma"], held[index, "beta"]
                scale, shift = scale * gamma, shift * gamma + beta
            found += [scale, shift]
        elif kind == "folded":
            inverse = 1 / torch.sqrt(running[index, "variance"].double() + options[2])
            if options[1]:
                inverse = inverse * held[index, "gamma"].double()
            offset = -running[index, "mean"].double()
            if options[0]:
                offset = offset + held[index, "bias"].double()
            shift = offset * inverse
            if options[1]:
                shift = shift + held[index, "beta"].double()
            weight = inverse.transpose(1, 2) * held[index, "weight"].double()
            found += [made(index, 0, weight), made(index, 1, shift)]
    return found
