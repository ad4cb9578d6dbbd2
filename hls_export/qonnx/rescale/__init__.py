"""Files whose scales are no powers of two, rewritten with scales that are, for a price that is measured."""

from hls_export.qonnx.rescale.rewrite import BITS as BITS
from hls_export.qonnx.rescale.rewrite import Rescaled as Rescaled
from hls_export.qonnx.rescale.rewrite import rescale as rescale
