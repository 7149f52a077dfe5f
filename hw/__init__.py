"""What the hardware does: estimators of cycles, area and energy; simulators and tools."""
