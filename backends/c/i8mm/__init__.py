"""Arm's matrix products of bytes (SMMLA, Armv8.6-A): the inner loops of 8-bit convolutions and dense layers."""
