"""Simulation of the emitted RTL: Verilator as a library, Icarus Verilog for test benches."""
