"""The C sources compiled for this processor and loaded, once in a process."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from torchq.quantizers.bits import PO2_STEPS
from torchq.quantizers.scale import EPSILON
from torchq.quantizers.ternary import UNROLLS
from torchq.train.stacked.adam import ADAM_EPSILON, BETAS
from torchq.train.stacked.numbers import BANDS, FIELDS, FOUND, PLAIN, PO2, SIGNS, STAIR, STEPS

LINK_FIELDS = ("reads", "writes", "weight", "bias", "slot")
"""What a row of the plan in ``chain.c`` holds: the values that a link reads and writes, where its weights and
biases begin in a candidate's row (-1: it has none), and the number of its first quantizer."""

COMPILERS = ("cc", "gcc", "clang")
"""Those that are looked for; the environment's ``CC`` comes first."""

FAST = ("-O2", "-ftree-vectorize")
"""As fast as -O3, and compiled in two thirds of the time."""

EXACT = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
"""No product is merged with a sum, as torch merges none; and no time is lost on flags that nobody reads."""

KERNELS, CHAIN = "kernels", "chain"
SOURCES = {
    KERNELS: {"kernels": EXACT},
    CHAIN: {"chain": EXACT, "products": ("-ffp-contract=fast", *EXACT[1:])},
}
"""What each library is made of, and what that is compiled with."""

COMPILE_SECONDS = 120


@functools.cache
def library(name: str, bits: int) -> ctypes.CDLL:
    """A compiled library.

    Args:
        name: :data:`KERNELS` or :data:`CHAIN`.
        bits: of its floats, 32 or 64.

    Raises:
        OSError: there is no C compiler, or it compiles nothing; :func:`lack` says it in a sentence.
    """
    compiler = _compiler()
    with tempfile.TemporaryDirectory(prefix="torchq_", ignore_cleanup_errors=True) as folder:
        made = Path(folder) / f"{name}.so"
        fault = _made(compiler, name, bits, made, "-march=native") and _made(compiler, name, bits, made)
        if fault:
            raise OSError(f"{compiler} does not compile ({fault})")
        return ctypes.CDLL(str(made))


@functools.cache
def lack(name: str = KERNELS) -> str | None:
    """Why a library is not to be had on this machine; None if it is."""
    try:
        library(name, 32)
    except OSError as fault:
        return str(fault)
    return None


def _compiler() -> str:
    for name in (os.environ.get("CC", ""), *COMPILERS):
        found = shutil.which(name) if name else None
        if found is not None:
            return found
    raise OSError(f"no C compiler among {', '.join(COMPILERS)}")


def _made(compiler: str, name: str, bits: int, made: Path, *own: str) -> str:
    """Compile a library into ``made``; the first complaint, or nothing."""
    given = [*FAST, *own, *_given(), f"-DREAL_BITS={bits}", "-fPIC", "-c"]
    objects = []
    for stem, flags in SOURCES[name].items():
        source = Path(__file__).with_name(f"{stem}.c")
        objects.append(str(made.with_name(f"{stem}.o")))
        fault = _done([compiler, *given, *flags, str(source), "-o", objects[-1]])
        if fault:
            return fault
    return _done([compiler, "-shared", *objects, "-o", str(made), "-lm"])


def _done(command: list[str]) -> str:
    """Run the compiler; its first complaint, or nothing."""
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as fault:
        return str(fault)
    if done.returncode == 0:
        return ""
    return next((line for line in done.stderr.splitlines() if line.strip()), f"exit code {done.returncode}")


def _given() -> list[str]:
    """What the C code takes from its Python homes."""
    named = {f"FIELD_{name.upper()}": place for place, name in enumerate(FIELDS)}
    named |= {f"LINK_{name.upper()}": place for place, name in enumerate(LINK_FIELDS)}
    named |= {"FIELDS": len(FIELDS), "LINK_FIELDS": len(LINK_FIELDS)}
    named |= {"STAIR": int(STAIR), "STEPS": int(STEPS), "PO2": int(PO2), "PLAIN": int(PLAIN)}
    named |= {"FOUND": int(FOUND), "SIGNS": int(SIGNS), "BANDS": int(BANDS)}
    named |= {"PO2_STEPS": PO2_STEPS, "UNROLLS": UNROLLS}
    exact = {"EPSILON": EPSILON, "BETA_1": BETAS[0], "BETA_2": BETAS[1], "ADAM_EPSILON": ADAM_EPSILON}
    return [
        *(f"-D{name}={value}" for name, value in named.items()),
        *(f"-D{name}={float(value).hex()}" for name, value in exact.items()),
    ]
