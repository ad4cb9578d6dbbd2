"""``python -m hls_export.fuzz``: random networks through a chain; failures shrink, are printed and kept."""

from __future__ import annotations

import argparse
import collections
import json
import re
import sys
import time
import warnings

from hls_export.fuzz.cases import Case, keep
from hls_export.fuzz.draw import draw
from hls_export.fuzz.targets import THROUGH


def main(arguments: list[str] | None = None) -> int:
    """Draw and check networks; 1 if any fails.

    Args:
        arguments: of the command line.
    """
    given = _parser().parse_args(arguments)
    warnings.filterwarnings("ignore")
    counts: collections.Counter[str] = collections.Counter()
    kinds: collections.Counter[str] = collections.Counter()
    targets: collections.Counter[str] = collections.Counter()
    refusals: dict[str, list[int]] = {}
    began = time.perf_counter()
    for seed in range(given.start, given.start + given.count):
        spec = draw(seed, most_steps=given.steps)
        verdict = Case("", given.through, spec).check()
        counts[{True: "agree", False: "differ", None: "refused"}[verdict.agree]] += 1
        kinds.update(verdict.kinds)
        where = "" if verdict.target is None else f" ({verdict.target})"
        if verdict.target is not None and verdict.agree:
            targets[f"{verdict.target.backend} {verdict.target.io_type}"] += 1
        if verdict.agree is None:
            for line in verdict.reason.splitlines():
                refusals.setdefault(kind_of(line), []).append(seed)
            _say(f"seed {seed}{where} refused: {verdict.reason.splitlines()[0][:160]}")
        elif not verdict.agree:
            _say(f"seed {seed}{where} differs: {verdict.reason}")
            found = f"seed {seed}: {verdict.reason}"
            case = Case(found, given.through, spec, verdict.target).smallest()
            _say(f"  smallest: {json.dumps(case.to_dict())}")
            if given.keep is not None:
                keep(given.keep, case)
        elif given.verbose:
            _say(f"seed {seed}{where} agrees")
    seconds = time.perf_counter() - began
    summary = ", ".join(f"{n} {k}" for k, n in sorted(counts.items()))
    _say(f"{given.count} networks through {given.through} in {seconds:.0f} s: {summary}")
    _say("nodes compared: " + ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items())))
    if targets:
        _say("built: " + ", ".join(f"{name} {n}" for name, n in sorted(targets.items())))
    for reason, seeds in sorted(refusals.items(), key=lambda item: -len(item[1])):
        _say(f"refused {len(seeds):4d}: {reason} (seed {seeds[0]})")
    return int(counts["differ"] > 0)


def kind_of(reason: str) -> str:
    """A reason without the names and numbers of the network.

    Example:
        >>> kind_of("vitis: layers.s1.quant (concat): 3 streams of ap_fixed<4,2,TRN,WRAP>")
        'vitis: NODE (concat): N streams of FORMAT'
    """
    text = re.sub(r"\b(layers\.s\d+|quantizer|relu|permute|select|getitem|reshape)[\w.]*", "NODE", reason)
    text = re.sub(r"ap_u?fixed<[^>]*>", "FORMAT", text)
    text = re.sub(r"(NODE, )+NODE", "NODES", text)
    return re.sub(r"\([\d, ]+\)|\b\d+(, \d+)*(, \.\.\.)?", "N", text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hls_export.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="networks to draw")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, default=5, help="layers of a network, at most")
    parser.add_argument("--through", choices=THROUGH, default="emulator", help="how far a network goes")
    parser.add_argument("--keep", metavar="FILE", help="append failures to this file of regression cases")
    parser.add_argument("--verbose", action="store_true", help="print every seed")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
