"""A model as a graph: structure, shapes, number formats on every edge, and the work of every layer."""

from torchq.graph.model import Graph as Graph
from torchq.graph.model import Node as Node
from torchq.graph.run import evaluate as evaluate
from torchq.graph.run import workloads as workloads
from torchq.graph.steps import Step as Step
from torchq.graph.steps import Symbolic as Symbolic
from torchq.graph.steps import read_steps as read_steps
from torchq.graph.symbolic import symbolic as symbolic
from torchq.graph.tracing import rewired as rewired
from torchq.graph.tracing import trace as trace
