"""What the FPGA estimates are calibrated on: random layers, written as Verilog, simulated and synthesised."""
