"""Convolutions and dense layers in half precision: tensors and weights are binary16, all arithmetic is binary32.

The interpreter's rule: sums in binary32, rounded once. `tile`, `depthwise` and `winograd` are the loops of fp32/ with
other loads and stores; `long` multiplies halves by FMLAL, which adds to sums in binary32, where a core has it.
"""
