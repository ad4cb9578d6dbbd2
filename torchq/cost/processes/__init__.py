"""Technology nodes as data, one a file. A new one is a file and a line below."""

from torchq.cost.processes.base import Process as Process
from torchq.cost.processes.horowitz import HOROWITZ as HOROWITZ
from torchq.registry import Registry

PROCESSES: Registry[Process] = Registry("process")
PROCESSES.add(HOROWITZ.name, HOROWITZ)
