"""The library's sources build with plain make and serve a C program, without Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hw_support import RTL, need

from edgec.hw.sim.library_files import library_files
from edgec.hw.sim.ports import Ports, Probe
from edgec.hw.tools.cxx import find_cxx
from edgec.hw.tools.process import run
from edgec.hw.tools.verilator import find_verilator

MAIN = """
#include <stdio.h>
#include "two_sim.h"

int main(void) {
    uint32_t in[TWO_INPUT_WORDS] = {0xffffffffu, 2u}, out[TWO_OUTPUT_WORDS];
    uint64_t cycle;
    two_sim *s = two_create(1);
    if (!s || two_reset(s)) return 2;
    if (two_push(s, in)) return 3;
    while (two_pop(s, out, &cycle) == 0)
        if (two_step(s)) return 4;
    printf("%08x %08x %d\\n", out[1], out[0], (int)cycle);
    if (two_write_register(s, 0, 0) != -1) return 5;
    printf("%s\\n", two_error(s));
    two_destroy(s);
    return 0;
}
"""


def test_c_program_on_the_library(tmp_path: Path) -> None:
    need("verilator", "c++", "make")
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "adder.sv").write_bytes((RTL / "adder.sv").read_bytes())
    for name, text in library_files("adder", Ports(64, 33), ["rtl/adder.sv"], prefix="two").items():
        (tmp_path / name).write_text(text)
    verilator = find_verilator()
    run(["make", f"VERILATOR={verilator.path}"], cwd=tmp_path, timeout=300, env=verilator.environment)
    (tmp_path / "main.c").write_text(MAIN)
    cxx = find_cxx().executable()
    options = ["-Wall", "-Wextra", "-Werror", "-x", "c", "main.c", "-x", "none"]
    run([cxx, *options, "-o", "main", "-L.", "-ltwo_sim", "-Wl,-rpath,."], cwd=tmp_path, timeout=60)
    said = run([tmp_path / "main"], cwd=tmp_path, timeout=20).output
    assert said.splitlines() == ["00000001 00000001 2", "the design has no register port"]


def test_files_are_the_same_every_time_and_name_no_place() -> None:
    probes = [Probe("u.q", 70, 1), Probe("g[1].v.q", 8, 2), Probe("s", 1, 0)]
    arguments = ("top", Ports(100, 7, 5), ["rtl/a.svh", "rtl/b.sv"])
    files = library_files(*arguments, prefix="net", probes=probes, defines=["X=1"], waves="fst")
    assert files == library_files(*arguments, prefix="net", probes=probes, defines=["X=1"], waves="fst")
    assert sorted(files) == ["Makefile", "net_batch.cpp", "net_sim.cpp", "net_sim.h", "probes.vlt"]
    for text in files.values():
        assert not re.search(r"@[A-Z_]+@", text)
        assert not re.search(r"(?<![\w.])/(home|tmp|usr|root|work)", text)
    assert '{"TOP.top.u", "q", 3}, {"TOP.top.g[1].v", "q", 1}, {"TOP.top", "s", 1}, ' in files["net_sim.cpp"]
    assert files["probes.vlt"].count("public_flat_rd") == 2
    assert "SOURCES := rtl/b.sv\n" in files["Makefile"] and "--trace-fst" in files["Makefile"]


@pytest.mark.parametrize("prefix", ["", "1x", "a-b", 'a"'])
def test_prefixes_that_are_no_names(prefix: str) -> None:
    with pytest.raises(ValueError, match="cannot start a C name"):
        library_files("top", Ports(1, 1), [], prefix=prefix)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ports(0, 8),
        lambda: Ports(8, 8, 33),
        lambda: Ports(8, 8, clock="c l k"),
        lambda: Probe("a.b", 0, 1),
        lambda: Probe("a.b", 1, -1),
        lambda: Probe('a".b', 1, 1),
    ],
)
def test_impossible_ports_and_probes(make: object) -> None:
    with pytest.raises(ValueError, match=r"impossible|no port name|no signal name"):
        make()  # type: ignore[operator]
