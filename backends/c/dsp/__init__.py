"""The DSP extension of Armv7E-M and Armv8-M (Cortex-M4, M7, M33): two 16-bit multiply-accumulates an instruction.

The instructions are written as inline assembly: compilers schedule the 12 values of a tile badly enough to keep half of
them in memory, and have no intrinsic for SXTB16 with a rotation.
"""
