"""Technology nodes as data. A new one is a TOML file in this folder, or anywhere and named by its path."""

from pathlib import Path

from torchq.cost.processes.base import Process as Process
from torchq.cost.processes.file import SUFFIX
from torchq.cost.processes.file import read_process as read_process
from torchq.registry import Registry

PROCESSES: Registry[Process] = Registry("process")
for _path in sorted(Path(__file__).parent.glob(f"*{SUFFIX}")):
    PROCESSES.add(_path.stem, read_process(_path))

HOROWITZ = PROCESSES.get("horowitz")


def process_named(name: str) -> Process:
    """A registered process by its name, or one from a file by its path.

    Args:
        name: ``"horowitz"``, or a path that ends in ``.toml``; see :func:`read_process`.

    Raises:
        UnknownNameError: no process has this name.
        CostError: the file describes none.

    Example:
        >>> process_named("horowitz").word_bits
        64
    """
    return read_process(name) if name.endswith(SUFFIX) else PROCESSES.get(name)
