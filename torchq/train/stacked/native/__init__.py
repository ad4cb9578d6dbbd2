"""The elementwise work of a stack in C, compiled in a moment by the machine's own C compiler."""

from torchq.train.stacked.native.arithmetic import NativeArithmetic as NativeArithmetic
from torchq.train.stacked.native.build import lack as lack
