"""Fault injection: flips of every flip-flop in the simulated RTL, and of every weight bit in the interpreter.

`edgec.faults(out, ...)` runs a campaign on an artefact. docs/hardening.md tells what is flipped, when, and how the
results are read.
"""

from edgec.hw.faults.campaign import Settings, run_campaign

__all__ = ["Settings", "run_campaign"]
