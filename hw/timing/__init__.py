"""Static timing of mapped netlists."""

from __future__ import annotations

from edgec.hw.timing.analysis import Timing, analyse
from edgec.hw.timing.loads import Conditions, Loads, loads
from edgec.hw.timing.paths import Path, Step
from edgec.hw.timing.report import timing_entry, whole_design

__all__ = ["Conditions", "Loads", "Path", "Step", "Timing", "analyse", "loads", "timing_entry", "whole_design"]
