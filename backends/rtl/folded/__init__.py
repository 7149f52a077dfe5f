"""The folded mode of the RTL backend: layers as units that work through a frame over many cycles, joined by streams.

A tensor flows row by row, pixel by pixel, some channels at a time; every layer has as many multipliers as its share of
the throughput needs. See docs/folded.md.
"""
