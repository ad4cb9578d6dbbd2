"""Every header of a project under a guard of its own; of two that share one, the second is skipped."""

from __future__ import annotations

import re
from pathlib import Path

_GUARD = re.compile(r"^#ifndef (\w+)\n#define \1$", re.MULTILINE)


def own_guards(work: Path) -> None:
    r"""Rename the guard of a header that has another one's.

    hls4ml 1.3 gives ``nnet_sepconv1d_latency.h`` the guard of ``nnet_sepconv2d_latency.h``: a network with
    depthwise convolutions in one and in two dimensions does not compile.

    Args:
        work: the project.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("a.h", "b.h"):
        ...     _ = (folder / name).write_text("#ifndef A_H_\n#define A_H_\n#endif\n")
        >>> own_guards(folder)
        >>> [(folder / name).read_text().split()[1] for name in ("a.h", "b.h")]
        ['A_H_', 'A_H_OF_B_H_']
    """
    taken: set[str] = set()
    for file in sorted(work.rglob("*.h")):
        text = file.read_text(encoding="utf-8")
        found = _GUARD.search(text)
        if found is None:
            continue
        guard = found[1]
        if guard in taken:
            guard = f"{guard}OF_{re.sub(r'[^0-9A-Z]', '_', file.name.upper())}_"
            file.write_text(_GUARD.sub(f"#ifndef {guard}\n#define {guard}", text, count=1), encoding="utf-8")
        taken.add(guard)
