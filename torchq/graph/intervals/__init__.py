"""Interval arithmetic on the actual weights: exact ranges of all values in a model."""

from torchq.graph.intervals.interval import Interval as Interval
from torchq.graph.intervals.interval import Value as Value
from torchq.graph.intervals.part import Found as Found
from torchq.graph.intervals.part import Part as Part
from torchq.graph.intervals.walk import intervals as intervals
