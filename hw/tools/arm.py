"""Finds what compiles C for Arm and what runs it: zig, GCC's cross compilers, QEMU."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from pathlib import Path

from edgec.hw.tools.tool import Tool, ask_version, locate, numbers

ZIG_MINIMUM = (0, 13)
QEMU_MINIMUM = (7, 2)  # the oldest tried; 6.2 has no cortex-a76
GCC_VERSION = r"\) (\d+\.\d+[.\d]*)"
ZIG_PURPOSE = "compiling C for 64-bit Arm"
ZIG_REMEDY = "`pip install edgec[cross]`, or set EDGEC_ZIG"
AARCH64_PURPOSE = "compiling C for 64-bit Arm Linux"
AARCH64_REMEDY = (
    "install the cross compiler and its C library from your system (Debian: apt-get install gcc-aarch64-linux-gnu "
    "libc6-dev-arm64-cross), or set EDGEC_AARCH64_GCC"
)
ARM_PURPOSE = "compiling C for Cortex-M"
ARM_REMEDY = (
    "install the cross compiler and newlib from your system (Debian: apt-get install gcc-arm-none-eabi "
    "libnewlib-arm-none-eabi), or set EDGEC_ARM_GCC"
)
QEMU_USER_PURPOSE = "running 64-bit Arm programs and counting their instructions"
QEMU_USER_REMEDY = (
    "install QEMU's user emulation from your system (Debian: apt-get install qemu-user; qemu-user-static runs programs "
    "but cannot count), or set EDGEC_QEMU_AARCH64"
)
QEMU_SYSTEM_PURPOSE = "running Cortex-M programs and counting their instructions"
QEMU_SYSTEM_REMEDY = (
    "install QEMU's system emulation from your system (Debian: apt-get install qemu-system-arm), "
    "or set EDGEC_QEMU_SYSTEM_ARM"
)


def find_zig() -> Tool:
    """Zig, whose `cc` is clang with the C libraries of all targets: `EDGEC_ZIG`, the wheel, PATH. Never raises."""
    path, source, problem = locate("EDGEC_ZIG", ["zig"])
    wheel = None if os.environ.get("EDGEC_ZIG") else wheel_zig()
    if wheel is not None:
        path, source, problem = wheel, "python package", None
    return _tool("zig", ZIG_PURPOSE, ZIG_REMEDY, path, source, problem, "version", r"^(\d+\.\d+[.\d]*)", ZIG_MINIMUM)


def wheel_zig() -> Path | None:
    """The compiler in the installed `ziglang` wheel, if there is one."""
    spec = importlib.util.find_spec("ziglang")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        program = Path(place) / "zig"
        if program.is_file():
            return program
    return None


def find_aarch64_gcc() -> Tool:
    """GCC for 64-bit Arm Linux. Never raises."""
    place = locate("EDGEC_AARCH64_GCC", ["aarch64-linux-gnu-gcc"])
    return _tool("aarch64-linux-gnu-gcc", AARCH64_PURPOSE, AARCH64_REMEDY, *place, "--version", GCC_VERSION)


def find_arm_gcc() -> Tool:
    """GCC for Arm without an operating system. Never raises."""
    place = locate("EDGEC_ARM_GCC", ["arm-none-eabi-gcc"])
    return _tool("arm-none-eabi-gcc", ARM_PURPOSE, ARM_REMEDY, *place, "--version", GCC_VERSION)


def find_qemu_aarch64() -> Tool:
    """QEMU for single 64-bit Arm Linux programs. Never raises."""
    place = locate("EDGEC_QEMU_AARCH64", ["qemu-aarch64", "qemu-aarch64-static"])
    pattern = r"qemu-aarch64 version ([\d.]+)"
    return _tool("qemu-aarch64", QEMU_USER_PURPOSE, QEMU_USER_REMEDY, *place, "--version", pattern, QEMU_MINIMUM)


def find_qemu_system_arm() -> Tool:
    """QEMU for whole 32-bit Arm boards. Never raises."""
    place = locate("EDGEC_QEMU_SYSTEM_ARM", ["qemu-system-arm"])
    pattern = r"QEMU emulator version ([\d.]+)"
    return _tool("qemu-system-arm", QEMU_SYSTEM_PURPOSE, QEMU_SYSTEM_REMEDY, *place, "--version", pattern, QEMU_MINIMUM)


def _tool(
    name: str,
    purpose: str,
    remedy: str,
    path: Path | None,
    source: str,
    problem: str | None,
    option: str,
    pattern: str,
    minimum: tuple[int, ...] = (0,),
) -> Tool:
    tool = Tool(name, purpose, remedy, path, None, source, problem, "E0601" if source == "PATH" else "E0605")
    if path is None:
        return tool
    version, problem = ask_version(path, option, pattern)
    if version is not None and numbers(version)[: len(minimum)] < minimum:
        problem = f"{path} is version {version}, but {'.'.join(map(str, minimum))} or newer is needed"
    return dataclasses.replace(tool, version=version, problem=problem, code="E0605")
