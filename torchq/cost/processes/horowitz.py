"""45 nm, after Horowitz: the process that QTools prices with."""

from __future__ import annotations

from torchq.cost.processes.base import Process

HOROWITZ = Process(
    name="horowitz",
    source="M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 45 nm; "
    "polynomials as fitted by QTools (QKeras)",
    fixed_add=(0.003125, 0.0),
    fixed_mul=(0.002994791667, 0.001041666667, 0.0),
    float_add={16: 0.4, 32: 0.9},
    float_mul={16: 1.1, 32: 3.7},
    sram_word=(9.02427321e-04, -2.68847858e-02, 2.08900804e-01, 0.0),
    word_bits=64,
    dram=(20.3125, 0.0),
)
