"""The same model gives the same bytes: random stamps and temporary paths are taken out of a project."""

from __future__ import annotations

import re
import shutil
from pathlib import Path


def make_reproducible(work: Path, stamp: str) -> None:
    """Replace what hls4ml writes that differs from run to run; empty the folder of test data.

    Args:
        work: the project.
        stamp: hls4ml's random word, which oneAPI projects have in names of classes.
    """
    for file in sorted((work / "src").glob("*.*")):
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(rf"(?<![0-9A-Za-z]){stamp}(?![0-9A-Za-z])", "csim", text), encoding="utf-8")
    for name, patterns in _UNSTEADY.items():
        for file in work.glob(name):
            text = file.read_text(encoding="utf-8")
            for pattern, steady in patterns:
                text = re.sub(pattern, steady, text, flags=re.MULTILINE)
            file.write_text(text, encoding="utf-8")
    shutil.rmtree(work / "tb_data", ignore_errors=True)
    (work / "tb_data").mkdir()


_UNSTEADY = {
    "build_lib.sh": [(r"^LIB_STAMP=.*$", "LIB_STAMP=csim")],
    "CMakeLists.txt": [(r"^set\(LIB_STAMP .*\)$", "set(LIB_STAMP csim)")],
    "hls4ml_config.yml": [
        (r"^Stamp:.*$", "Stamp: csim"),
        (r"^OutputDir:.*$(\n[ ]+.*$)*", "OutputDir: ."),
    ],
    "*_bridge.cpp": [
        (
            r"^static std::string s_weights_dir = .*$",
            '#ifndef WEIGHTS_DIR\n#define WEIGHTS_DIR "firmware/weights"\n#endif\n'
            "static std::string s_weights_dir = WEIGHTS_DIR;",
        )
    ],
}
"""Lines with a random stamp, or with the folder that a project is written in before it is moved."""
