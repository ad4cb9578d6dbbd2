"""Number formats: frozen values that cost, export and report read; the only home of bit-width conventions."""

from torchq.formats.arithmetic import accumulated as accumulated
from torchq.formats.arithmetic import product as product
from torchq.formats.arithmetic import summed as summed
from torchq.formats.fixed import FixedPoint as FixedPoint
from torchq.formats.fixed import Overflow as Overflow
from torchq.formats.others import Binary as Binary
from torchq.formats.others import Float as Float
from torchq.formats.others import PowerOfTwo as PowerOfTwo
from torchq.formats.others import Ternary as Ternary
from torchq.formats.rounding import Rounding as Rounding
from torchq.formats.rounding import in_steps as in_steps
from torchq.formats.rounding import round_to_integer as round_to_integer
from torchq.formats.rounding import wrapped as wrapped
from torchq.formats.signs import ScaledSigns as ScaledSigns

Format = FixedPoint | Ternary | Binary | PowerOfTwo | Float
"""Any number format. All have ``width``, ``signed``, ``as_fixed()`` and a text form."""
