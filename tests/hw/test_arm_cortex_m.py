"""Cortex-M programs on QEMU's boards: input, output, arguments, exact counts, faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from arm_support import HANG, LOOP, PARTS, fails, source
from hw_support import need

from edgec.hw.arm.cores import CORES
from edgec.hw.arm.qemu import run_cortex_m
from edgec.hw.arm.toolchain import compile_c

M_CORES = [name for name, core in CORES.items() if core.bare]
NOP = bytes.fromhex("00bf")


def build(folder: Path, text: str, core: str) -> Path:
    need("arm-none-eabi-gcc", "qemu-system-arm", "cc")
    return compile_c([source(folder, text)], folder / f"{core}.elf", core=core)


@pytest.mark.parametrize("core", M_CORES)
def test_a_program_reads_prints_and_is_counted(tmp_path: Path, core: str) -> None:
    program = build(tmp_path, LOOP, core)
    runs = [run_cortex_m(program, core=core, args=[n, "3"], stdin=b"ab", accept=(3,)) for n in ("500", "500", "1500")]
    for done in runs:
        assert done.stdout == b"sum 195 of 2 words, left 0, half 97.50\n"
        assert done.stderr == "to stderr\n" and done.status == 3 and done.regions == 1
    first, again, more = runs
    assert (first.instructions, first.total, first.blocks) == (again.instructions, again.total, again.blocks)
    assert (more.instructions or 0) - (first.instructions or 0) == 2000
    assert 1000 <= (first.instructions or 0) <= 1010
    assert run_cortex_m(program, core=core, count=False).instructions is None


@pytest.mark.parametrize("core", M_CORES)
def test_regions_are_cut_inside_blocks(tmp_path: Path, core: str) -> None:
    done = run_cortex_m(build(tmp_path, PARTS.replace("%s", "bx lr"), core), core=core)
    assert done.regions == 2 and done.instructions == 3 + 2 * 6 + 2
    assert [b.executions for b in done.blocks if b.code == 3 * NOP] == [1]
    assert [b.executions for b in done.blocks if b.code.startswith(5 * NOP)] == [2]


@pytest.mark.parametrize("core", M_CORES)
def test_memory(tmp_path: Path, core: str) -> None:
    """Initialised and zeroed data, heap, stack, floating point, constants; and an end to the heap."""
    text = r"""
    #include <math.h>
    #include <stdio.h>
    #include <stdlib.h>
    static int zero[1000], one[3] = {1, 2, 3};
    static const short table[4] = {4, 5, 6, 7};
    int main(void) {
        volatile double two = 2;
        volatile float x = 0.5f;
        int sum = 0, blocks = 0;
        for (int i = 0; i < 1000; i++) sum += zero[i];
        int *heap = malloc(200000);
        for (int i = 0; i < 50000; i++) heap[i] = i;
        printf("%d %d %d %d %.6f %.4f\n", sum, one[2], table[3], heap[49999], sqrt(two), expf(x));
        while (blocks < 1000 && malloc(10000)) blocks++;
        puts(blocks < 1000 ? "full" : "endless");
        return 0;
    }
    """
    done = run_cortex_m(build(tmp_path, text, core), core=core, count=False)
    assert done.stdout == b"0 3 7 49999 1.414214 1.6487\nfull\n"


def test_vectors_of_the_m55(tmp_path: Path) -> None:
    """MVE runs there, and the same program faults on an M7, with a message instead of a hang."""
    text = r"""
    #include <stdio.h>
    int main(void) {
        signed char a[16], b[16];
        int sum = 0;
        for (int i = 0; i < 16; i++) a[i] = i - 8, b[i] = i;
        __asm__ volatile("vldrb.u8 q0, [%1]\n vldrb.u8 q1, [%2]\n vmladav.s8 %0, q0, q1"
                         : "=Te"(sum) : "r"(a), "r"(b) : "q0", "q1", "memory");
        printf("%d\n", sum);
        return 0;
    }
    """
    program = build(tmp_path, text, "cortex-m55")
    assert run_cortex_m(program, core="cortex-m55").stdout == b"%d\n" % sum((i - 8) * i for i in range(16))
    error = fails("E0602", lambda: run_cortex_m(program, core="cortex-m7"))
    assert "exception that nobody handles" in str(error)


def test_objects_of_zig_are_linked(tmp_path: Path) -> None:
    need("zig")
    text = "int dot(const short *a, const short *b, int n) { int s = 0; while (n--) s += a[n] * b[n]; return s; }\n"
    dot = compile_c(
        [source(tmp_path, text, "dot.c")],
        tmp_path / "dot.o",
        core="cortex-m4",
        compiler="zig",
        link=False,
        flags=["-O3"],
    )
    main = r"""
    #include <stdio.h>
    int dot(const short *, const short *, int);
    int main(void) { short a[3] = {1, -2, 3}, b[3] = {4, 5, 6}; printf("%d\n", dot(a, b, 3)); return 0; }
    """
    need("arm-none-eabi-gcc", "qemu-system-arm")
    program = compile_c([source(tmp_path, main), dot], tmp_path / "program.elf", core="cortex-m4")
    assert run_cortex_m(program, count=False).stdout == b"12\n"


@pytest.mark.parametrize("core", M_CORES)
def test_a_fault_and_a_hang_end(tmp_path: Path, core: str) -> None:
    fault = build(tmp_path, "int main(void) { return *(volatile int *)0xf0000000; }\n", core)
    assert "exception that nobody handles" in str(fails("E0602", lambda: run_cortex_m(fault, core=core)))
    hang = build(tmp_path, HANG, core)
    fails("E0604", lambda: run_cortex_m(hang, core=core, timeout=0.5))


def test_a_program_that_does_not_fit(tmp_path: Path) -> None:
    text = "static volatile char big[600000];\nint main(void) { return big[5]; }\n"
    build(tmp_path, text, "cortex-m4")
    assert "overflow" in str(fails("E0602", lambda: build(tmp_path, text, "cortex-m55")))


def test_bad_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("qemu-system-arm")
    program = source(tmp_path, "")
    for arg in ("", "two words", "a,b"):
        fails("E0204", lambda arg=arg: run_cortex_m(program, args=[arg]))
    fails("E0204", lambda: run_cortex_m(program, core="cortex-a53"))
    fails("E0204", lambda: run_cortex_m(program, core="cortex-m9"))
    fails("E0202", lambda: run_cortex_m(tmp_path / "none"))
    monkeypatch.delenv("EDGEC_QEMU_SYSTEM_ARM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install qemu-system-arm" in str(fails("E0601", lambda: run_cortex_m(program)))
