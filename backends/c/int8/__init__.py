"""Convolutions and dense layers of 8-bit integers in vector code: what the families of Arm instructions share.

`match` recognises the steps, `place` says where operands and results lie, `tile` and `dense` write the loops over
places and channels, `depthwise` those of depthwise convolutions, `finish` the rescaling. The families
are listed in `backends/c/family.py`. The same integers as the portable code beside it, which compilers without the
instructions get.
"""
