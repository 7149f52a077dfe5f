"""Finds this machine's C and C++ compilers, make, CMake and pkg-config."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from edgec.hw.tools.tool import Tool, ask_version, locate

CXX_PURPOSE = "compiling simulation models"
CXX_REMEDY = "install g++ or clang++ from your system (Debian: apt-get install g++), or set CXX"
CC_PURPOSE = "counting instructions in QEMU, C for this machine"
CC_REMEDY = "install gcc or clang from your system (Debian: apt-get install gcc), or set CC"
MAKE_REMEDY = "install GNU make from your system (Debian: apt-get install make), or set EDGEC_MAKE"

CMAKE_PURPOSE = "building generated C as a CMake package"
CMAKE_REMEDY = "install CMake from your system (Debian: apt-get install cmake), or set EDGEC_CMAKE"

PKG_CONFIG_PURPOSE = "finding an installed package of generated C"
PKG_CONFIG_REMEDY = "install pkg-config from your system (Debian: apt-get install pkg-config), or set PKG_CONFIG"


def find_cxx() -> Tool:
    """The C++ compiler: the one `CXX` names, else g++, clang++ or c++. Never raises."""
    path, source, problem = locate("CXX", ["g++", "clang++", "c++"])
    return _with_version("c++", CXX_PURPOSE, CXX_REMEDY, path, source, problem, r"(\d+\.\d+[.\d]*)")


def find_cc() -> Tool:
    """The C compiler: the one `CC` names, else gcc, clang or cc. Never raises."""
    path, source, problem = locate("CC", ["gcc", "clang", "cc"])
    return _with_version("cc", CC_PURPOSE, CC_REMEDY, path, source, problem, r"(\d+\.\d+[.\d]*)")


def find_make() -> Tool:
    """GNU make. Never raises."""
    path, source, problem = locate("EDGEC_MAKE", ["gmake", "make"])
    return _with_version("make", CXX_PURPOSE, MAKE_REMEDY, path, source, problem, r"GNU Make ([\d.]+)")


def find_cmake() -> Tool:
    """CMake, which edgec itself never runs. Never raises."""
    path, source, problem = locate("EDGEC_CMAKE", ["cmake"])
    return _with_version("cmake", CMAKE_PURPOSE, CMAKE_REMEDY, path, source, problem, r"cmake version ([\d.]+)")


def find_pkg_config() -> Tool:
    """pkg-config, which edgec itself never runs. Never raises."""
    path, source, problem = locate("PKG_CONFIG", ["pkg-config", "pkgconf"])
    return _with_version("pkg-config", PKG_CONFIG_PURPOSE, PKG_CONFIG_REMEDY, path, source, problem, r"^([\d.]+)")


def _with_version(
    name: str, purpose: str, remedy: str, path: Path | None, source: str, problem: str | None, pattern: str
) -> Tool:
    tool = Tool(name, purpose, remedy, path, None, source, problem, "E0601" if source == "PATH" else "E0605")
    if path is None:
        return tool
    version, problem = ask_version(path, "--version", pattern)
    return dataclasses.replace(tool, version=version, problem=problem, code="E0605")
