"""Convolutions and dense layers of 8-bit integers with Arm's dot-product instructions (SDOT, Armv8.2-A).

`match` recognises the steps, `pack` arranges weights and rescalings, `tiles` and `depthwise` write the inner loops, and
`steps` the loops around them. The same integers as the portable code beside it, which compilers without the
instructions get.
"""
