"""Convolutions and dense layers in vector code: what all families of instructions and all types of numbers share.

`layer` is what a family knows of a step, `place` says where operands and results lie, `tile` and `dense` write the
loops over places and channels, `depthwise` and `winograd` those of the methods of these names, `family` lists the
families. The same results as the portable code beside it, which compilers without the instructions get.
"""
