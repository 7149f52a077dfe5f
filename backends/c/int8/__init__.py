"""Convolutions and dense layers of 8-bit integers in vector code: what the families of Arm instructions share.

`match` recognises the steps, `tile` and `depthwise` are the inner loops as far as they do not depend on a family,
`finish` writes the rescaling. All of it is bit-exact.
"""
