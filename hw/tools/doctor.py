"""Looks at every external tool edgec can use: what `edgec doctor` prints."""

from __future__ import annotations

from edgec.hw.tools.arm import find_aarch64_gcc, find_arm_gcc, find_qemu_aarch64, find_qemu_system_arm, find_zig
from edgec.hw.tools.cxx import find_cc, find_cmake, find_cxx, find_make, find_pkg_config
from edgec.hw.tools.iverilog import find_iverilog
from edgec.hw.tools.llvm import find_llvm_mc, find_llvm_mca
from edgec.hw.tools.python_package import find_h5py
from edgec.hw.tools.tool import Tool
from edgec.hw.tools.verilator import find_verilator
from edgec.hw.tools.yosys import find_yosys

FINDERS = {
    "c++": find_cxx,
    "make": find_make,
    "verilator": find_verilator,
    "iverilog": find_iverilog,
    "yosys": find_yosys,
    "cc": find_cc,
    "cmake": find_cmake,
    "zig": find_zig,
    "aarch64-linux-gnu-gcc": find_aarch64_gcc,
    "arm-none-eabi-gcc": find_arm_gcc,
    "qemu-aarch64": find_qemu_aarch64,
    "qemu-system-arm": find_qemu_system_arm,
    "llvm-mc": find_llvm_mc,
    "llvm-mca": find_llvm_mca,
    "pkg-config": find_pkg_config,
    "h5py": find_h5py,
}


def doctor() -> list[Tool]:
    """Every tool, found or not, in a fixed order. Never raises."""
    return [find() for find in FINDERS.values()]


def require_tools(names: list[str]) -> dict[str, Tool]:
    """The named tools (keys of `FINDERS`), each usable; raises E0601 or E0605 for the first that is not."""
    return {name: FINDERS[name]().require() for name in names}
