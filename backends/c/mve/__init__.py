"""The vector extension of Armv8.1-M (MVE, Helium; Cortex-M55, M85): 16 multiply-accumulates of bytes an instruction.

VMLADAVA adds the products of two vectors to one register, so that a sum needs no vector of its own; the sums of all
channels of a place are then rescaled four at a time by VQDMULH and VRSHL, which round as the interpreter does.
"""
