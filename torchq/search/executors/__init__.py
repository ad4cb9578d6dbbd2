"""Where trials are evaluated: in this process, in processes of this machine, or on a cluster.

Choose one by its name in :data:`EXECUTORS`, and hand it to :func:`torchq.search.run_search`.
"""

from torchq.search.executors.base import EXECUTORS as EXECUTORS
from torchq.search.executors.base import Executor as Executor
from torchq.search.executors.base import Finished as Finished
from torchq.search.executors.evaluating import NOT_THE_TRIALS as NOT_THE_TRIALS
from torchq.search.executors.evaluating import evaluate_stack as evaluate_stack
from torchq.search.executors.processes import ProcessExecutor as ProcessExecutor
from torchq.search.executors.ray import RayExecutor as RayExecutor
from torchq.search.executors.serial import SerialExecutor as SerialExecutor
