"""Compiles C for an Arm core, or for this machine: zig, GCC's cross compilers, or the system's compiler.

Zig is the default for 64-bit Arm where it is installed: it brings every C library, and GCC 12 needs 1.4 to 1.8 times
the instructions of its clang for floating-point kernels (multiplication by lane, 8x12 and 8x16 tiles). Zig builds a C
library for every new pair of target and core, which takes minutes; so objects are compiled for the core and linked for
the plain target, once.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from edgec.diagnostics import EdgecError, nearest
from edgec.hw.arm.cores import Core, find_core
from edgec.hw.tools.cache import cache_folder
from edgec.hw.tools.doctor import FINDERS, require_tools
from edgec.hw.tools.process import disk_full_as_error, run
from edgec.hw.tools.tool import Tool

NATIVE = Path(__file__).with_name("native")
INCLUDE = NATIVE  # the folder of edgec_region.h
STARTUP, SCRIPT = NATIVE / "cortex_m" / "startup.c", NATIVE / "cortex_m" / "cortex_m.ld"
HOST = "host"
ZIG_MUSL = "aarch64-linux-musl"
ZIG_GLIBC = "aarch64-linux-gnu.2.31"  # objects that GCC links: no newer functions than distributions in use have
ZIG_THUMB = "thumb-freestanding-eabihf"
SOURCE_REMEDY = "the compiler's message is above: repair the source, or choose another core, compiler or flags"
_TOOLS = {"zig": "zig", "aarch64": "aarch64-linux-gnu-gcc", "bare": "arm-none-eabi-gcc", HOST: "cc"}


def default_compiler(core: str) -> str:
    """`zig` or `gcc` for an A core, `gcc` for an M core and for this machine."""
    if core == HOST or find_core(core).bare:
        return "gcc"
    return "zig" if FINDERS["zig"]().usable else "gcc"


def compile_c(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    core: str,
    compiler: str | None = None,
    linker: str | None = None,
    features: Sequence[str] = (),
    flags: Sequence[str] = ("-O2",),
    link_flags: Sequence[str] = (),
    include_dirs: Sequence[str | Path] = (),
    static: bool = True,
    link: bool = True,
    timeout: float = 600.0,
) -> Path:
    """Compile C sources (or take objects, `.o`) and link them to the program `out`; returns its path.

    `core`: a name of `edgec.hw.arm.cores.CORES`, or `host`. `compiler`, `linker`: `zig` or `gcc` (for `host`, the
    system's compiler, whatever it is); None is zig for A cores where it is installed, else gcc, and the linker that of
    the compiler; objects of zig may be linked by gcc. M programs are always linked by gcc, with edgec's start-up code
    and semihosting, and zig compiles only sources without a C library for them. `features` are added to the core
    (`i8mm`, in the compiler's spelling). `flags` are given to the compiler, `link_flags` to the linker. With `link`
    False there is one source, and `out` is its object. `timeout` is in seconds, for each call of a compiler; the first
    link by zig on a machine builds its C library and takes a minute or two. `out` appears whole or not at all.

    Raises EdgecError: E0202 no such source, E0204 a bad choice, E0601 a tool is missing, E0602 the compiler refused,
    E0603 it was killed, E0604 it ran out of time, E0605 a tool is unusable, E0606 the disk is full.
    """
    target = None if core == HOST else find_core(core)
    compiler = compiler or default_compiler(core)
    linker = linker or ("gcc" if target is None or target.bare else compiler)
    _check(sources, core, target, compiler, linker, features, link)
    compile_words = _compile(target, compiler, linker, features)
    link_words = _link(target, linker) if link else None
    out = Path(out)
    if not out.parent.is_dir():
        raise EdgecError("E0202", f"no such folder: {out.parent}")
    with disk_full_as_error(out), tempfile.TemporaryDirectory(prefix=".compile-", dir=out.parent) as scratch:
        places = [f"-I{folder}" for folder in [*include_dirs, INCLUDE]]
        objects: list[Path] = []
        for number, source in enumerate(map(Path, sources)):
            made = source
            if source.suffix != ".o":
                made = Path(scratch) / f"{number}-{source.stem}.o"
                _run([*compile_words, *flags, *places, "-c", source, "-o", made], timeout)
            objects.append(made)
        made = objects[0]
        if link_words is not None:
            if target is not None and target.bare:
                start = Path(scratch) / "startup.o"
                _run([*_compile(target, "gcc", "gcc", ()), "-O2", "-c", STARTUP, "-o", start], timeout)
                objects.append(start)
            elif target is not None and static:
                link_words.append("-static")
            made = Path(scratch) / "program"
            _run([*link_words, *objects, *link_flags, "-lm", "-o", made], timeout)
        os.replace(made, out)
    return out


def _check(
    sources: Sequence[str | Path],
    core: str,
    target: Core | None,
    compiler: str,
    linker: str,
    features: Sequence[str],
    link: bool,
) -> None:
    for name in (compiler, linker):
        if name not in ("zig", "gcc"):
            raise EdgecError("E0204", f"unknown compiler {name!r}", remedy=nearest(name, ("zig", "gcc")))
    if target is None and (compiler, linker) != ("gcc", "gcc"):
        raise EdgecError("E0204", "zig is not used for this machine", remedy="leave compiler and linker out")
    if linker == "zig" and (compiler != "zig" or (target is not None and target.bare)):
        raise EdgecError("E0204", f"zig does not link what {compiler} compiles for {core}", remedy="choose gcc")
    if not sources or (not link and (len(sources) != 1 or Path(sources[0]).suffix == ".o")):
        raise EdgecError("E0204", f"{len(sources)} sources", why="a program has some, an object is made of one")
    for feature in features:
        if target is None or not re.fullmatch(r"[a-z0-9_.-]+", feature):
            raise EdgecError("E0204", f"feature {feature!r} cannot be added to core {core!r}")
    for source in sources:
        if not Path(source).is_file():
            raise EdgecError("E0202", f"no such source: {source}")


def _compile(target: Core | None, compiler: str, linker: str, features: Sequence[str]) -> list[str | Path]:
    """The compiler with the options that choose the core."""
    added = "".join(f"+{feature}" for feature in features)
    if target is None:
        return [_tool(HOST).executable()]
    if compiler == "zig":
        machine = ZIG_THUMB if target.bare else ZIG_MUSL if linker == "zig" else ZIG_GLIBC
        # zig checks undefined behaviour where nobody asked for speed, and that code would be counted
        headers = _newlib() if target.bare else ()
        return [*_zig(), "-target", machine, f"-mcpu={target.zig}{added}", "-fno-sanitize=undefined", *headers]
    return [_tool("bare" if target.bare else "aarch64").executable(), target.gcc[0] + added, *target.gcc[1:]]


@cache
def _newlib() -> tuple[str, ...]:
    """The option for the headers of the C library that M programs are linked with: zig has none for bare machines.
    Nothing where GCC is missing, which sources without that library do without."""
    tool = FINDERS[_TOOLS["bare"]]()
    if not tool.usable:
        return ()
    done = run([tool.executable(), "-E", "-x", "c", "-"], timeout=60, stdin=b"#include <math.h>\n", apart=True)
    found = re.search(r'^# 1 "(.+)/math\.h"', done.stdout.decode(), re.MULTILINE)
    return () if found is None else (f"-isystem{found[1]}",)


def _link(target: Core | None, linker: str) -> list[str | Path]:
    if target is None:
        return [_tool(HOST).executable()]
    if linker == "zig":
        return [*_zig(), "-target", ZIG_MUSL]
    if not target.bare:
        return [_tool("aarch64").executable()]
    sizes = [f"-Wl,--defsym=rom_size={target.rom}", f"-Wl,--defsym=ram_size={target.ram}"]
    return [
        _tool("bare").executable(),
        *target.gcc,
        "--specs=rdimon.specs",
        "-nostartfiles",
        *sizes,
        f"-Wl,-T,{SCRIPT}",
    ]


def _tool(kind: str) -> Tool:
    return require_tools([_TOOLS[kind]])[_TOOLS[kind]]


def _zig() -> list[str | Path]:
    return [_tool("zig").executable(), "cc"]


def _run(words: Sequence[str | Path], timeout: float) -> None:
    environment: dict[str, str] = {}
    if words[1] == "cc":
        place = os.environ.get("ZIG_GLOBAL_CACHE_DIR") or str(cache_folder("zig"))
        environment = {"ZIG_GLOBAL_CACHE_DIR": place, "ZIG_LOCAL_CACHE_DIR": place}
    run(words, timeout=timeout, env=environment, remedy=SOURCE_REMEDY)
