"""Armv8.0-A's vector instructions, which have no 8-bit dot products: the inner loops of 8-bit convolutions.

`pair` multiplies bytes and adds a few products in 16 bits before they become 32 bits wide, `lane` multiplies 16-bit
numbers by one of a vector, `depthwise` and `winograd` are for what their names say; `steps` chooses among them.
"""
