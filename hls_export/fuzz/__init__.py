"""Random networks over the whole grammar of layers, and what is checked with them.

``python -m hls_export.fuzz --count 2000`` draws networks and compares torch in float64, ONNX execution and
the emulator in every value; ``--through cpp`` and ``--through rtl`` build them, too. A network is a plain
value (:data:`Spec`), so a failure can shrink and be kept.
"""

from hls_export.fuzz.built import check_built as check_built
from hls_export.fuzz.cases import Case as Case
from hls_export.fuzz.chain import Verdict as Verdict
from hls_export.fuzz.chain import check as check
from hls_export.fuzz.draw import draw as draw
from hls_export.fuzz.network import Spec as Spec
from hls_export.fuzz.network import build as build
from hls_export.fuzz.shrink import shrink as shrink
from hls_export.fuzz.targets import Target as Target
