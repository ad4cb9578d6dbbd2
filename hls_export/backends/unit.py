"""The one C++ source that is compiled for the simulation: a project's own files, nothing of them changed."""

from __future__ import annotations

import re
from pathlib import Path

GENERATED = "firmware/nnet_utils/nnet_code_gen.h"
COPIES = "class fill_buffer_"
"""What copies the windows of a convolution in io_parallel: one assignment for each value of each window."""


def source(project: Path, top: str, weights: Path) -> str:
    """What g++ compiles, to be read in the folder of the project.

    hls4ml writes the windows of convolutions in io_parallel as one function of up to hundreds of thousands of
    assignments. Optimising it takes most of the time of a compiler and wins nothing, so that file alone is
    compiled without; values are the same, for assignments are all that it has.

    Args:
        project: its folder.
        top: its top function.
        weights: where the simulation reads its weights from.

    Example:
        >>> print(source(Path("nowhere"), "jets", Path("/weights")), end="")
        #define WEIGHTS_DIR "/weights"
        #include "firmware/jets.cpp"
        #include "jets_bridge.cpp"
    """
    place = str(weights).replace("\\", r"\\").replace('"', r"\"")
    lines = [f'#define WEIGHTS_DIR "{place}"']
    generated = project / GENERATED
    text = generated.read_text(encoding="utf-8") if generated.is_file() else ""
    if COPIES in text:
        lines += ['#include "firmware/defines.h"', "#include <cassert>"]
        for name in re.findall(r'^#include "(\w+\.h)"', text, flags=re.MULTILINE):
            if (generated.parent / name).is_file():  # optimised, as everything else
                lines.append(f'#include "{Path(GENERATED).parent.as_posix()}/{name}"')
        lines += [
            "#pragma GCC push_options",
            '#pragma GCC optimize ("O0")',
            f'#include "{GENERATED}"',
            "#pragma GCC pop_options",
        ]
    lines += [f'#include "firmware/{top}.cpp"', f'#include "{top}_bridge.cpp"']
    return "\n".join(lines) + "\n"
