"""Pruning: weights that are exactly zero from a training step on, and stay so."""

from torchq.prune.masks import carry_masks as carry_masks
from torchq.prune.masks import remove_masks as remove_masks
from torchq.prune.masks import restore_masks as restore_masks
from torchq.prune.masks import zero_masked as zero_masked
from torchq.prune.pruner import Pruner as Pruner
from torchq.prune.report import LayerSparsity as LayerSparsity
from torchq.prune.report import Sparsity as Sparsity
from torchq.prune.report import sparsity as sparsity
from torchq.prune.schedule import ConstantSparsity as ConstantSparsity
from torchq.prune.schedule import PolynomialDecay as PolynomialDecay
