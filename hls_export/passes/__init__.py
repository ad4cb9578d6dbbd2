"""Rewrites of the hardware graph: one a file, each exact, each with a numeric test."""

from hls_export.passes.bounds import annotate as annotate
from hls_export.passes.bounds import bounds as bounds
from hls_export.passes.drop_identities import drop_identities as drop_identities
from hls_export.passes.flatten import flatten as flatten
from hls_export.passes.fold_shifts import fold_shifts as fold_shifts
from hls_export.passes.fuse_relu import fuse_relu as fuse_relu
from hls_export.passes.merge_moves import merge_moves as merge_moves
from hls_export.passes.merge_quantizers import merge_quantizers as merge_quantizers
from hls_export.passes.quantize_first import quantize_first as quantize_first
from hls_export.passes.ranges import Bounds as Bounds
