"""Convolutions and dense layers of 8-bit integers on Cortex-M: what the DSP extension and Helium (MVE) have in common.

The windows of one or two neighbouring places are laid out in scratch memory one tap behind the other, then multiplied
by the weights of all output channels, two channels at a time.
"""
