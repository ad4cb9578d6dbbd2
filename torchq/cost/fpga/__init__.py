"""What a network takes of an FPGA: estimates that say how wrong they are."""

from torchq.cost.fpga.target import Fpga as Fpga
