"""``Stack``: the candidates that are trained as one, with all their state in a few tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from torchq.nn.products import ProductLayer
from torchq.prune.masks import set_mask
from torchq.prune.schedule import Schedule
from torchq.train.history import EpochRecord
from torchq.train.stacked.chain import Chain
from torchq.train.stacked.formulas import columns
from torchq.train.stacked.layout import Layout, filled, given_back, part_of, widths_of


@dataclass
class Candidate:
    """One model of a stack.

    Attributes:
        number: where it stands among the models given.
        chain: the model.
        lr: its learning rate at the start.
        order: generator of the order of its samples.
        prune: how many of its weights are pruned when.
        records: epochs done.
        best_epoch: the one with the smallest validation loss, 0 before the first.
        best: parameters, running statistics and masks of that epoch.
    """

    number: int
    chain: Chain
    lr: float
    order: torch.Generator
    prune: Schedule | None = None
    records: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best: tuple[Tensor, Tensor, Tensor] | None = None


class Stack:
    """Candidates of one layout on one device.

    Args:
        layout: holds them all.
        candidates: two or more, of the layout's structure.
        device: where they are trained.
    """

    def __init__(self, layout: Layout, candidates: Sequence[Candidate], device: torch.device) -> None:
        self.layout, self.candidates = layout, list(candidates)
        self.places, self.running = layout.parameters(), layout.statistics()
        chains = [candidate.chain for candidate in candidates]
        self.rows = torch.stack([filled(chain, self.places) for chain in chains]).to(device)
        self.masks = torch.stack([filled(chain, self.places, masks=True) for chain in chains]).to(device)
        self.statistics = torch.stack([filled(chain, self.running) for chain in chains]).to(device)
        self.first, self.second = torch.zeros_like(self.rows), torch.zeros_like(self.rows)
        lr = torch.tensor([[candidate.lr] for candidate in candidates], dtype=torch.float64)
        self.lr = lr.to(device, layout.dtype)
        self.numbers = _table([chain.numbers for chain in chains], layout.dtype).to(device)
        self.wide = _table([chain.wide for chain in chains], torch.float64).to(device)
        self.widths = torch.tensor([widths_of(chain) for chain in chains], device=device)

    def __len__(self) -> int:
        return len(self.candidates)

    def state(self) -> tuple[Tensor, ...]:
        """What a training step takes beside the samples, in its order."""
        return self.lr, self.rows, self.first, self.second, self.masks, self.statistics, self.numbers

    def keep(self, kept: Sequence[int]) -> None:
        """Let all others leave the stack.

        Args:
            kept: where those who stay stand, two or more.
        """
        chosen = torch.tensor(kept, device=self.rows.device)
        for name in ("rows", "masks", "statistics", "first", "second", "lr", "numbers", "wide", "widths"):
            setattr(self, name, getattr(self, name).index_select(0, chosen))
        self.candidates = [self.candidates[index] for index in kept]

    def remember(self, index: int) -> None:
        """Keep a candidate's weights as its best."""
        rows, statistics, masks = (t[index].clone() for t in (self.rows, self.statistics, self.masks))
        self.candidates[index].best = rows, statistics, masks


def give_back(candidate: Candidate, layout: Layout, steps: int) -> None:
    """Write the weights of its best epoch into a candidate's model, in evaluation mode.

    Args:
        candidate: with a best epoch.
        layout: of its stack.
        steps: batches of an epoch.
    """
    assert candidate.best is not None  # noqa: S101 - told to the type checker
    chain = candidate.chain
    rows, statistics, masks = (t.cpu() for t in candidate.best)
    given_back(chain, layout.parameters(), rows)
    given_back(chain, layout.statistics(), statistics)
    with torch.no_grad():
        for link in chain.links:
            if link.kind in ("norm", "folded") and link.norm.num_batches_tracked is not None:
                link.norm.num_batches_tracked += candidate.best_epoch * steps
    if candidate.prune is not None:
        for place in layout.parameters():
            module = chain.links[place.link].module
            if place.name == "weight" and module is not None:
                shape = module.get_parameter("weight").shape
                set_mask(module, "weight", part_of(masks, place, shape).reshape(shape) == 0)
    chain.model.eval()
    with torch.no_grad():
        for link in chain.links_with_weights:
            if isinstance(link.module, ProductLayer):
                link.module.quantized_weight()  # a scale that is found is kept in its buffer


def batch_orders(candidates: Sequence[Candidate], samples: int, batches: Sequence[slice]) -> Tensor:
    """The samples of each step, ``[steps, candidates, rows]``, drawn as ``fit`` draws them.

    A batch that is shorter than the longest one is filled up with its first sample.
    """
    rows = max(batch.stop - batch.start for batch in batches)
    orders = torch.stack([torch.randperm(samples, generator=c.order) for c in candidates])
    found = torch.empty(len(batches), len(candidates), rows, dtype=torch.int64)
    for step, batch in enumerate(batches):
        count = batch.stop - batch.start
        found[step, :, :count] = orders[:, batch]
        found[step, :, count:] = orders[:, batch.start : batch.start + 1]
    return found


def open_ended(*tensors: Tensor) -> None:
    """Leave the length of the first axis of tensors open in programs that are compiled with them."""
    for tensor in tensors:
        torch._dynamo.mark_dynamic(tensor, 0)


def _table(rows: Sequence[Sequence[object]], dtype: torch.dtype) -> Tensor:
    """``[candidates, quantizers, fields]``."""
    return torch.stack([columns(place, dtype) for place in zip(*rows, strict=True)], dim=1)
