"""Arm without boards: C is cross compiled, run under QEMU, and its instructions are counted."""
