"""What makes the sources a part of somebody's build: a CMake package, pkg-config, a Zephyr module.

Texts only; the flags in them are the ones that the sources need (docs/c.md says why), no more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgec import __version__

FLAGS = ("-ffp-contract=off", "-fno-strict-aliasing")
"""Products and sums are rounded one by one, and tensors of several types share the arena."""
RESERVED = (
    "all", "clean", "help", "install", "test", "package", "edit_cache", "rebuild_cache", "list_install_components", "c",
    "m",
)  # fmt: skip
"""Names that CMake or the C library has taken for targets and libraries."""
MATH = re.compile(
    r"\b(?:sqrt|exp|expm1|log|log2|log1p|pow|a?tanh|a?sinh?|a?cosh?|a?tan|erf|floor|ceil|rint|nearbyint|trunc|fmod|fabs"
    r"|fmin|fmax|round|ldexp|cbrt)f?\("
)
"""Calls of functions that may be in the mathematical library."""

CMAKE = """\
# The model `{name}` as the CMake target {target}::{target}, written by edgec {version}.
# In a project: add_subdirectory(this folder), or install it and find_package({target}).
cmake_minimum_required(VERSION 3.15)
project({target} VERSION {version} LANGUAGES C)

set({upper}_TOP OFF)
if(CMAKE_SOURCE_DIR STREQUAL PROJECT_SOURCE_DIR)
  set({upper}_TOP ON)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Kind of build" FORCE)
  endif()
endif()
option({upper}_INSTALL "Install the library" ${{{upper}_TOP}})
option({upper}_TEST "Build the program that checks the golden frames" ${{{upper}_TOP}})
{cpu}
add_library({target} STATIC
{sources}
)
add_library({target}::{target} ALIAS {target})
set_target_properties({target} PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON POSITION_INDEPENDENT_CODE ON)
target_include_directories({target} PUBLIC
  $<BUILD_INTERFACE:${{CMAKE_CURRENT_SOURCE_DIR}}/include> $<INSTALL_INTERFACE:include>)
if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
  # products and sums are rounded one by one; tensors of several types share the arena
  target_compile_options({target} PRIVATE {flags}){cpu_flags}
endif()
{math}
if({upper}_TEST)
  enable_testing()
  add_executable({name}_selftest sim/{name}_selftest.c)
  target_link_libraries({name}_selftest PRIVATE {target}::{target})
  add_test(NAME {name}_selftest COMMAND {name}_selftest)
endif()

if({upper}_INSTALL)
  include(GNUInstallDirs)
  include(CMakePackageConfigHelpers)
  file(RELATIVE_PATH {upper}_UP "/${{CMAKE_INSTALL_LIBDIR}}/pkgconfig" "/")
  string(REGEX REPLACE "/$" "" {upper}_UP "${{{upper}_UP}}")
  configure_file({target}.pc.in {target}.pc @ONLY)
  write_basic_package_version_file({target}ConfigVersion.cmake COMPATIBILITY ExactVersion)
  install(TARGETS {target} EXPORT {target}Targets ARCHIVE DESTINATION ${{CMAKE_INSTALL_LIBDIR}})
  install(FILES include/{name}.h DESTINATION include)
  install(EXPORT {target}Targets NAMESPACE {target}:: FILE {target}Config.cmake
    DESTINATION ${{CMAKE_INSTALL_LIBDIR}}/cmake/{target})
  install(FILES ${{CMAKE_CURRENT_BINARY_DIR}}/{target}ConfigVersion.cmake
    DESTINATION ${{CMAKE_INSTALL_LIBDIR}}/cmake/{target})
  install(FILES ${{CMAKE_CURRENT_BINARY_DIR}}/{target}.pc DESTINATION ${{CMAKE_INSTALL_LIBDIR}}/pkgconfig)
endif()
"""

CPU = """
# The core that the sources were written for; another one, or none, takes the portable code where it lacks instructions.
set({upper}_CPU "{core}" CACHE STRING "Core for -mcpu when compiling for 64-bit Arm; empty: the compiler's default")
"""

CPU_FLAGS = """
  if({upper}_CPU AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    target_compile_options({target} PRIVATE -mcpu=${{{upper}_CPU}})
  endif()"""

MATH_LIBRARY = """\
if(UNIX OR CMAKE_SYSTEM_NAME STREQUAL "Generic")
  target_link_libraries({target} PRIVATE m)
endif()
"""

PKG_CONFIG = """\
prefix=${{pcfiledir}}/@{upper}_UP@
libdir=${{prefix}}/@CMAKE_INSTALL_LIBDIR@
includedir=${{prefix}}/include

Name: {target}
Description: the model {name}, as C by edgec
Version: @PROJECT_VERSION@
Libs: -L${{libdir}} -l{target}{math}
Cflags: -I${{includedir}}
"""

ZEPHYR_MODULE = """\
# A Zephyr module: list this folder in ZEPHYR_EXTRA_MODULES, and set CONFIG_{symbol}=y.
name: {name}
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
"""

ZEPHYR_KCONFIG = """\
config {symbol}
\tbool "The model {name}, as C by edgec"{select}
\thelp
\t  Compiles {name}_run(). It takes {arena} bytes of scratch memory from its
\t  caller and {constants} bytes of constants in read-only memory.
"""

ZEPHYR_CMAKE = """\
if(CONFIG_{symbol})
  zephyr_include_directories(../include)
  zephyr_library_named({name})
  zephyr_library_sources(
{sources}
  )
  # products and sums are rounded one by one; tensors of several types share the arena
  zephyr_library_compile_options({flags})
endif()
"""


def release(version: str) -> str:
    """The numbers of a version, which is all that CMake takes."""
    return ".".join(re.findall(r"\d+", version)[:3])


def package_files(interface: Mapping[str, Any], sources: str) -> dict[str, str]:
    """Path -> text of all build files for the model of `interface`; `sources` is its code."""
    name, core, memory = interface["name"], interface["core"], interface["memory"]
    math = MATH.search(sources) is not None
    target = f"{name}_model" if name in RESERVED else name
    facts = {"name": name, "target": target, "upper": name.upper(), "symbol": f"EDGEC_{name.upper()}", "core": core}
    facts |= {"version": release(__version__), "flags": " ".join(FLAGS)}
    pinned = core is not None and core.startswith(("cortex-a", "cortex-x"))
    parts = {
        "cpu": CPU.format(**facts) if pinned else "",
        "cpu_flags": CPU_FLAGS.format(**facts) if pinned else "",
        "math": MATH_LIBRARY.format(**facts) if math else "",
    }
    listed = interface["files"]
    zephyr = {**facts, "arena": memory["arena_bytes"], "constants": memory["constant_bytes"]}
    zephyr["select"] = "\n\tselect REQUIRES_FULL_LIBC" if math else ""
    return {
        "CMakeLists.txt": CMAKE.format(**facts, **parts, sources="\n".join(f"  {f}" for f in listed)),
        f"{target}.pc.in": PKG_CONFIG.format(**facts, math=" -lm" if math else ""),
        "zephyr/module.yml": ZEPHYR_MODULE.format(**facts),
        "zephyr/Kconfig": ZEPHYR_KCONFIG.format(**zephyr),
        "zephyr/CMakeLists.txt": ZEPHYR_CMAKE.format(**facts, sources="\n".join(f"    ../{f}" for f in listed)),
    }
