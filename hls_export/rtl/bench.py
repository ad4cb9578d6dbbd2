"""Verilog around a design: a test bench that checks itself, and drivers that feed any number of samples."""

from __future__ import annotations

from collections.abc import Sequence

MARGIN = 16
"""Clock edges beyond the expected latency at which outputs are still looked for."""


def testbench(top: str, inputs: int, outputs: int, vectors: int, latency: int, clock_ns: float) -> str:
    """A bench that drives ``vectors.hex``, compares with ``expected.hex``, and measures the latency.

    Args:
        top: the module at the top.
        inputs: bits of ``x``.
        outputs: bits of ``y``.
        vectors: lines of both files.
        latency: clock edges that are expected.
        clock_ns: the clock period.
    """
    return f"""`timescale 1 ns / 1 ps
// Feeds one sample a clock cycle and compares every result; ends with PASS or FAIL.
// The latency is measured: the offset, in clock edges, at which all results are right.
// Run it in this folder: iverilog -g2005-sv -o bench testbench.v ../rtl/*.v && vvp bench
module testbench;
    localparam VECTORS = {vectors};
    localparam LATENCY = {latency};
    localparam SEARCHED = LATENCY + {MARGIN};
    reg clk = 0;
    reg [{inputs - 1}:0] x = 0;
    wire [{outputs - 1}:0] y;
    reg [{inputs - 1}:0] samples [0:VECTORS-1];
    reg [{outputs - 1}:0] expected [0:VECTORS-1];
    reg [{outputs - 1}:0] seen [0:VECTORS+SEARCHED];
    integer cycle, offset, i, wrong, found, first;

    {top} dut (.clk(clk), .x(x), .y(y));
    always #{clock_ns / 2:.3f} clk = ~clk;

    initial begin
        $readmemh("vectors.hex", samples);
        $readmemh("expected.hex", expected);
        for (cycle = 0; cycle <= VECTORS + SEARCHED; cycle = cycle + 1) begin
            @(negedge clk);
            x = (cycle < VECTORS) ? samples[cycle] : 0;
            @(posedge clk);
            #0.001 seen[cycle] = y;
        end
        found = -1;
        for (offset = SEARCHED; offset >= 0; offset = offset - 1) begin
            wrong = 0;
            for (i = 0; i < VECTORS; i = i + 1)
                if (seen[i + offset] !== expected[i]) wrong = wrong + 1;
            if (wrong == 0 && (found != LATENCY)) found = offset;
        end
        if (found >= 0)
            $display("PASS: %0d samples, 0 mismatches, latency %0d cycles", VECTORS, found);
        else begin
            wrong = 0;
            first = -1;
            for (i = 0; i < VECTORS; i = i + 1)
                if (seen[i + LATENCY] !== expected[i]) begin
                    wrong = wrong + 1;
                    if (first < 0) first = i;
                end
            $display("FAIL: %0d of %0d samples differ, first sample %0d: %h against %h",
                     wrong, VECTORS, first, seen[first + LATENCY], expected[first]);
        end
        $finish;
    end
endmodule
"""


def driver(top: str, inputs: int, outputs: int, wires: Sequence[tuple[str, int]] = ()) -> str:
    """A bench that reads samples from ``in.hex`` and writes every wire after every clock edge to ``out.hex``.

    Args:
        top: the module at the top.
        inputs: bits of ``x``.
        outputs: bits of ``y``.
        wires: inner wires to write behind ``y``, with their bits.
    """
    shown = "".join(" %h" for _ in wires)
    names = "".join(f", dut.{name}" for name, _ in wires)
    return f"""`timescale 1 ns / 1 ps
module driver;
    reg clk = 0;
    reg [{inputs - 1}:0] x = 0;
    wire [{outputs - 1}:0] y;
    reg [{inputs - 1}:0] sample;
    integer count, tail, cycle, source, target, got;

    {top} dut (.clk(clk), .x(x), .y(y));

    initial begin
        if (!$value$plusargs("count=%d", count)) count = 0;
        if (!$value$plusargs("tail=%d", tail)) tail = 0;
        source = $fopen("in.hex", "r");
        target = $fopen("out.hex", "w");
        for (cycle = 0; cycle < count + tail; cycle = cycle + 1) begin
            sample = 0;
            if (cycle < count) got = $fscanf(source, "%h\\n", sample);
            x = sample;
            #1 clk = 1;
            #1 $fwrite(target, "%h{shown}\\n", y{names});
            clk = 0;
        end
        $fclose(target);
        $finish;
    end
endmodule
"""
