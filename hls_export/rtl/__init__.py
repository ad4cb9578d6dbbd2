"""Verilog: emitted, simulated and synthesised with open tools."""
