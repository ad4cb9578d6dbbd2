"""``python -m hls_export.fuzz``: random networks through the fast chain; failures shrink and are printed."""

from __future__ import annotations

import argparse
import collections
import json
import sys
import time
import warnings

from hls_export.fuzz import Spec, check, draw, shrink


def main(arguments: list[str] | None = None) -> int:
    """Draw and check networks; 1 if any fails.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m hls_export.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="networks to draw")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, default=5, help="layers of a network, at most")
    given = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    counts: collections.Counter[str] = collections.Counter()
    kinds: collections.Counter[str] = collections.Counter()
    began = time.perf_counter()
    for seed in range(given.start, given.start + given.count):
        spec = draw(seed, most_steps=given.steps)
        verdict = check(spec)
        counts[{True: "agree", False: "differ", None: "refused"}[verdict.agree]] += 1
        kinds.update(verdict.kinds)
        if verdict.agree is None:
            _say(f"seed {seed} refused: {verdict.reason.splitlines()[0][:140]}")
        elif not verdict.agree:
            _say(f"seed {seed} differs: {verdict.reason}")
            _say(f"  smallest: {json.dumps(shrink(spec, _differs))}")
    seconds = time.perf_counter() - began
    _say(f"{given.count} networks in {seconds:.0f} s: " + ", ".join(f"{n} {k}" for k, n in counts.items()))
    _say("nodes compared: " + ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items())))
    return int(counts["differ"] > 0)


def _differs(spec: Spec) -> bool:
    try:
        return check(spec).agree is False
    except Exception:  # a smaller network that cannot even be built is no smaller case
        return False


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
