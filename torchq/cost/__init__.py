"""What a network costs: layers state their work, targets price it."""

from torchq.cost.base import TARGETS as TARGETS
from torchq.cost.base import Price as Price
from torchq.cost.base import Target as Target
from torchq.cost.bits import Bits as Bits
from torchq.cost.bops import Bops as Bops
from torchq.cost.differentiable import ebops_of as ebops_of
from torchq.cost.ebops import Ebops as Ebops
from torchq.cost.energy import Energy as Energy
from torchq.cost.figures import figure_of as figure_of
from torchq.cost.figures import figures as figures
from torchq.cost.figures import target_of as target_of
from torchq.cost.macs import Macs as Macs
from torchq.cost.pricing import estimate as estimate
from torchq.cost.pricing import make_targets as make_targets
from torchq.cost.processes import PROCESSES as PROCESSES
from torchq.cost.processes import Process as Process
from torchq.cost.reference import BF as BF
from torchq.cost.reference import Q6 as Q6
from torchq.cost.reference import UniformFormats as UniformFormats
from torchq.cost.reference import in_formats as in_formats
from torchq.cost.reference import with_softmax as with_softmax
from torchq.cost.report import CostReport as CostReport
from torchq.cost.report import LayerCost as LayerCost
from torchq.cost.source import workloads_of as workloads_of
from torchq.cost.sparsity import Sparsity as Sparsity
from torchq.cost.storage import Storage as Storage
