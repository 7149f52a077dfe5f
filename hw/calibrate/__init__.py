"""Fits targets to cell libraries: Liberty figures, and small designs that are synthesised and simulated."""

from edgec.hw.calibrate.calibrate import Calibration, calibrate, check_destination, target_toml, write_target

__all__ = ["Calibration", "calibrate", "check_destination", "target_toml", "write_target"]
