"""Convolutions and dense layers of 8-bit integers in vector code: what the families of Arm instructions share.

`match` recognises the steps, `tile` and `depthwise` are the inner loops as far as they do not depend on a family,
`taps` is one that does not, `narrow` says what fits 16 bits, `finish` writes the rescaling. All of it is bit-exact.
"""
