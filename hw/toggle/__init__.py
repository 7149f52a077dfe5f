"""Gate-level simulation of mapped netlists: function, transitions with glitches, energy."""

from __future__ import annotations

from edgec.hw.toggle.energy import Energy
from edgec.hw.toggle.simulate import Result, simulate
from edgec.hw.toggle.simulator import Simulator

__all__ = ["Energy", "Result", "Simulator", "simulate"]
