"""Circuits: wires with exact intervals, compressor trees, evaluation, cell counts and SystemVerilog."""
