"""Arm's dot-product instructions (SDOT, Armv8.2-A): the inner loops of 8-bit convolutions and dense layers."""
