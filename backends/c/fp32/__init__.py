"""Convolutions and dense layers of binary32 numbers with FMLA (Armv8.0-A, 64 bits): four numbers a vector.

Products and sums are rounded once, and in another order than in the portable code, so results differ from it in the
last digits.
"""
