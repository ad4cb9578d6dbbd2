"""The work of a stack in C, compiled in a moment by the machine's own C compiler."""

from torchq.train.stacked.native.arithmetic import NativeArithmetic as NativeArithmetic
from torchq.train.stacked.native.build import CHAIN as CHAIN
from torchq.train.stacked.native.build import KERNELS as KERNELS
from torchq.train.stacked.native.build import lack as lack
from torchq.train.stacked.native.chain import NativeChain as NativeChain
from torchq.train.stacked.native.chain import is_chain as is_chain
