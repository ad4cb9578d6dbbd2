"""What more machines give a search, and where it becomes the limit: ``python -m benchmarks.scaling``.

Measured on this machine, one thread everywhere: the CPU seconds of a trial trained in a stack on jets; what
an executor adds to a stack (sending, dispatch, receiving), as time of the worker's turn and as CPU time of
the process of the search; what a trial in the journal costs, a stack flushed at once; the CPU seconds that a
searcher takes for a trial, asked for a whole stack and told, as the trials add up. From these follows:

    stacks per second = min(workers / (stack_s + turn_s + driver_s), 1 / driver_s)

where a worker's turn is the stack's training, the executor's latency and the search's own work on it, and the
search does its own work (``driver_s``: propose a stack, send it, write and tell its trials) for one stack at
a time. Both are then compared with searches that really ran, of stacks that train and of stacks that sleep.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from torchq.autoq.evaluation import TrainAndPrice
from torchq.autoq.training import Training
from torchq.data import load
from torchq.models import jets_mlp
from torchq.scheme import Scheme
from torchq.search import SEARCHERS, ForgivingFactor, Knob, Space, TrialInfo, run_search
from torchq.search.evaluation import Evaluation, Job
from torchq.search.executors import EXECUTORS, Executor
from torchq.search.journal import Journal
from torchq.search.trial import COMPLETE, Asked, Proposal, Trial, versions

NODES = (1, 10, 100, 1000)
LENGTHS = (1, 10, 100)
"""Trials so many times as long: 10 is the training of ``jets/autoq_energy``, 100 that of larger networks."""

STORE = 100 * 2**20
"""Bytes of the object store of the Ray nodes that are started here."""


class Nothing:
    """Answers at once, so that what is left is the executor."""

    def __call__(self, scheme: Scheme, info: TrialInfo) -> dict[str, float]:  # noqa: ARG002, D102
        return {"accuracy": 0.7, "bits": 1e4}

    def many(self, jobs: Sequence[Job]) -> list[dict[str, float]]:  # noqa: D102
        return [self(*job) for job in jobs]


class Sleep(Nothing):
    """A stack takes so many seconds and no CPU, as on another machine."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def many(self, jobs: Sequence[Job]) -> list[dict[str, float]]:  # noqa: D102
        time.sleep(self.seconds)
        return super().many(jobs)


@dataclass(frozen=True)
class Driver:
    """What the process of the search does for a trial, in seconds."""

    ask_s: float
    journal_s: float
    send_s: float

    def of(self, stack: int) -> float:
        """Seconds for a stack: propose and tell, write down, send and receive."""
        return stack * (self.ask_s + self.journal_s + self.send_s)


def space() -> Space:
    """11 knobs of the network 16-64-32-32-5: widths of weights, activations and the input, and neurons."""
    weights = [f"quantized_bits({bits},0,alpha=1)" for bits in range(2, 9)]
    knobs = [Knob.input(f"quantized_bits({bits},3,alpha=1)" for bits in range(4, 11))]
    knobs += [Knob.quantizer(layer, "weight", weights) for layer in ("fc1", "fc2", "fc3", "output")]
    for place, most in ((1, 64), (2, 32), (3, 32)):
        relus = [f"quantized_relu({bits},2)" for bits in range(3, 9)]
        knobs.append(Knob.quantizer(f"relu{place}", "output", relus))
        knobs.append(Knob.units(f"fc{place}", (most // 4, most // 2, 3 * most // 4, most)))
    six = "quantized_bits(6,0,alpha=1)"
    return Space(tuple(knobs), Scheme.uniform(six, six, "quantized_relu(6,2)", "quantized_bits(8,3,alpha=1)"))


GOAL = ForgivingFactor("bits", reference=1e5)


def imagined(point: Mapping[str, int]) -> dict[str, float]:
    """Metrics by a formula, for searchers that are asked and told without training."""
    depths = list(point.values())
    lost = sum(math.exp(-1.2 * depth) for depth in depths)
    return {"accuracy": 0.766 - 0.05 * lost, "bits": 2e3 + sum(900.0 * depth for depth in depths)}


def training(rows: int, epochs: int) -> TrainAndPrice:
    """The evaluation of the shipped recipes: quantize, train as a stack, price."""
    jets = load("jets", limit=rows)
    train, valid = ((torch.from_numpy(p.x), torch.from_numpy(p.y).long()) for p in (jets.train, jets.valid))
    settings = Training(epochs=epochs, batch_size=512)
    return TrainAndPrice(jets_mlp(seed=0), train, valid, space(), training=settings, exportable=False)


def jobs(count: int, first: int = 0) -> list[Job]:
    """Random points of the space as jobs."""
    whole, chance = space(), torch.Generator().manual_seed(first)
    found = []
    for number in range(first, first + count):
        point = {k.name: int(torch.randint(len(k.options), (1,), generator=chance)) for k in whole.knobs}
        found.append((whole.scheme(point), TrialInfo(number, number, point)))
    return found


def trained_s(evaluation: TrainAndPrice, stack: int) -> float:
    """CPU seconds of a stack; the second one, when everything was compiled and loaded."""
    for first in (0, stack):
        begin = time.process_time()
        answers = evaluation.many(jobs(stack, first))
        took = time.process_time() - begin
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
    return took


@contextmanager
def executor(name: str, workers: int) -> Iterator[Executor]:
    """An executor with workers; a Ray cluster of so many one-CPU nodes is started and stopped."""
    if name != "ray":
        with EXECUTORS.get(name)(workers=workers) as made:
            yield made
        return
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE})
    try:
        for _ in range(workers):
            cluster.add_node(num_cpus=1, object_store_memory=STORE)
        with EXECUTORS.get(name)(workers=workers, address=cluster.address) as made:
            yield made
    finally:
        cluster.shutdown()


def bring_up(place: Executor) -> None:
    """All workers are there and know the evaluation's classes."""
    sleep, left = Sleep(0.5), place.workers
    for _ in range(left):
        place.submit(sleep, jobs(2))
    while left:
        left -= len(place.ready()) // 2


def overhead(place: Executor, stack: int, stacks: int) -> tuple[float, float]:
    """What a stack costs beside its evaluation: seconds of the quickest turn, CPU seconds of this process."""
    evaluation, work, turns = Nothing(), jobs(stack), []
    bring_up(place)
    cpu = time.process_time()
    for _ in range(stacks):
        begin = time.perf_counter()
        place.submit(evaluation, work)
        while not place.ready():
            pass
        turns.append(time.perf_counter() - begin)
    return min(turns), (time.process_time() - cpu) / stacks


def journal_s(stack: int, stacks: int) -> float:
    """Seconds of writing one trial down, those of a stack together, after writing down what was asked."""
    scheme, info = jobs(1)[0]
    metrics, plain = imagined(info.point), scheme.to_dict()
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "trials.jsonl", {}) as book:
        begin = time.perf_counter()
        for first in range(0, stack * stacks, stack):
            numbers = range(first, first + stack)
            book.append(Asked(tuple(Proposal(n, dict(info.point)) for n in numbers)))
            book.append(
                *(
                    Trial(n, info.point, plain, n, COMPLETE, metrics, (0.7,), 0.7, versions=versions())
                    for n in numbers
                )
            )
        return (time.perf_counter() - begin) / (stack * stacks)


def asked(searcher: str, trials: int, stack: int) -> dict[int, float]:
    """CPU seconds of proposing and telling a trial, by how many trials there were before."""
    made, found = SEARCHERS.get(searcher)(space(), GOAL, seed=0), {}
    made.plan(trials)
    for first in range(0, trials, stack):
        begin = time.process_time()
        proposals = made.ask(stack)
        took = time.process_time() - begin
        outcomes = []
        for proposal in proposals:
            outcomes.append(GOAL.outcome(imagined(proposal.point)))
        begin = time.process_time()
        for proposal, outcome in zip(proposals, outcomes, strict=True):
            made.tell(proposal.number, outcome)
        found[first] = (took + time.process_time() - begin) / stack
    return found


def rate(workers: int, stack: int, stack_s: float, turn_s: float, driver: Driver) -> float:
    """Trials per second by the model."""
    own = driver.of(stack)
    return stack * min(workers / (stack_s + turn_s + own), 1 / own)


def ran(place: Executor, evaluation: Evaluation, stack: int, stacks: int) -> float:
    """Trials per second of a random search that really runs, workers being up."""
    bring_up(place)
    place.submit(evaluation, jobs(stack))  # every worker has the evaluation, compiled
    for _ in range(place.workers - 1):
        place.submit(evaluation, jobs(stack))
    left = place.workers * stack
    while left:
        left -= len(place.ready())
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        run_search(
            space(),
            evaluation,
            goal=GOAL,
            trials=stack * stacks,
            journal=Path(folder) / "trials.jsonl",
            searcher="random",
            batch=stack,
            executor=place,
        )
        return stack * stacks / (time.perf_counter() - begin)


def shown(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table in Markdown."""
    for row in (headers, ["---"] * len(headers), *rows):
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def projection(
    given: argparse.Namespace,
    stack_s: float,
    turn_s: float,
    send_s: float,
    line_s: float,
    asks: Mapping[str, Mapping[int, float]],
) -> None:
    """Trials per hour of so many nodes, and from how many workers on the search's own work is the limit."""
    rows = []
    for factor in LENGTHS:
        for name, costs in asks.items():
            last = max(costs)
            driver = Driver(costs[last], line_s, send_s)
            own, turn = driver.of(given.stack), factor * stack_s + turn_s
            rates = [
                3600 * rate(nodes * given.cores, given.stack, factor * stack_s, turn_s, driver)
                for nodes in NODES
            ]
            rows.append(
                [
                    f"{factor * stack_s / given.stack:.2f}",
                    f"{name}, {last}",
                    f"{1e3 * costs[last]:.2f}",
                    *(f"{r:,.0f}" for r in rates),
                    f"{(turn + own) / own:,.0f}",
                ]
            )
    nodes = [f"{count} node{'s' * (count > 1)}" for count in NODES]
    print(f"Trials per hour with {given.cores} workers a node; longer trials are taken in proportion:\n")
    shown(["s a trial", "searcher, after trials", "ask ms a trial", *nodes, "limit from workers"], rows)


def validation(given: argparse.Namespace, evaluation: TrainAndPrice, stack_s: float, driver: Driver) -> None:
    """The model against searches that ran, with 1 and more workers."""
    rows = []
    for what, work, length, counts in (
        ("trains", evaluation, stack_s, (1, 2)),
        ("sleeps", Sleep(3.0), 3.0, (1, 2, 8)),
    ):
        rates = {}
        for workers in counts:
            with executor("processes", workers) as place:
                turn_s, _ = overhead(place, given.stack, 20)
                rates[workers] = ran(place, work, given.stack, 4 * workers)
            told = rate(workers, given.stack, length, turn_s, driver)
            rows.append(
                [
                    what,
                    workers,
                    f"{told:.1f}",
                    f"{rates[workers]:.1f}",
                    f"{rates[workers] / told:.2f}",
                    f"{rates[workers] / rates[1]:.2f}",
                ]
            )
    load_1, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"Model against searches that ran (load {load_1:.1f} on {cores} cores):\n")
    shown(
        ["a stack", "workers", "model, trials a second", "measured", "measured / model", "against 1 worker"],
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", type=int, default=32, help="trials that are trained as one")
    parser.add_argument("--rows", type=int, default=20000, help="jets, a fifth of them for the test split")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--cores", type=int, default=16, help="workers of a node, one a core")
    parser.add_argument("--trials", type=int, default=512, help="trials that searchers are timed over")
    parser.add_argument("--searchers", nargs="*", choices=list(SEARCHERS), help="besides random")
    given = parser.parse_args()
    torch.set_num_threads(1)

    evaluation = training(given.rows, given.epochs)
    stack_s = trained_s(evaluation, given.stack)
    what = f"A stack of {given.stack} trials of {given.epochs} epochs on {len(evaluation.train[0]):,} jets"
    print(f"{what} takes {stack_s:.2f} CPU s, {1e3 * stack_s / given.stack:.0f} ms a trial.\n", flush=True)
    line_s = journal_s(given.stack, 30)
    print(f"A trial in the journal, a stack flushed to the disk at once: {1e3 * line_s:.2f} ms.\n")
    found, rows = {}, []
    executors = ["processes", "ray"] if find_spec("ray") else ["processes"]
    for name in executors:
        with executor(name, 1) as place:
            found[name] = overhead(place, given.stack, 30)
        turn_s, cpu_s = found[name]
        rows.append([name, f"{1e3 * turn_s:.1f}", f"{1e3 * cpu_s:.1f}"])
    print(f"What an executor adds to a stack of {given.stack}:\n")
    shown(["executor", "ms of a worker's turn", "CPU ms of the search"], rows)
    limits = {"ax": min(given.trials, 256)}
    names = dict.fromkeys(["random", *(given.searchers or sorted({"ax", "evolution"} & set(SEARCHERS)))])
    asks = {name: asked(name, limits.get(name, given.trials), given.stack) for name in names}
    turn_s, cpu_s = found[executors[-1]]
    projection(given, stack_s, turn_s, cpu_s / given.stack, line_s, asks)
    costs = asks["random"]
    driver = Driver(costs[max(costs)], line_s, found["processes"][1] / given.stack)
    validation(given, evaluation, stack_s, driver)


if __name__ == "__main__":
    main()
