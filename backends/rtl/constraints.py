"""Timing constraints and the file list of a design."""

from __future__ import annotations


def sdc(top: str, clock_mhz: float, loaded: bool) -> str:
    """Synopsys design constraints: the clock, and a tenth of the period at the ports."""
    period = 1e3 / clock_mhz
    lines = [
        f"# Timing constraints of {top}: {clock_mhz:g} MHz.",
        f"create_clock -name clk -period {period:.4f} [get_ports clk]",
        f"set_input_delay {period / 10:.4f} -clock clk [remove_from_collection [all_inputs] [get_ports clk]]",
        f"set_output_delay {period / 10:.4f} -clock clk [all_outputs]",
    ]
    if loaded:
        lines.append(
            "# The weight bank is written while no frame is in flight: its outputs are static during inference."
        )
        lines.append("set_multicycle_path 2 -setup -from [get_cells -hierarchical r_bank_*]")
        lines.append("set_multicycle_path 1 -hold -from [get_cells -hierarchical r_bank_*]")
    return "\n".join(lines) + "\n"


def file_list(files: list[str]) -> str:
    """The sources in compilation order, relative to the folder of the list."""
    return "".join(f.removeprefix("rtl/") + "\n" for f in files)
