"""C compiled for every core by every compiler that is here; clear ends where it is not possible."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from arm_support import LOOP, SDOT, fails, sdot_words, source
from hw_support import need, script

from edgec.hw.arm.cores import CORES
from edgec.hw.arm.qemu import run_aarch64
from edgec.hw.arm.toolchain import compile_c, default_compiler
from edgec.hw.tools import arm
from edgec.hw.tools.process import run

TOOL = {"zig": "zig", "gcc": "aarch64-linux-gnu-gcc"}
A_CORES = [name for name, core in CORES.items() if not core.bare]
M_CORES = [name for name, core in CORES.items() if core.bare]
SMMLA = "#include <arm_neon.h>\nint32x4_t f(int32x4_t c, int8x16_t a, int8x16_t b) { return vmmlaq_s32(c, a, b); }\n"


def machine(file: Path) -> tuple[int, int]:
    """Type (1: object, 2: program) and machine (40: Arm, 183: AArch64) of an ELF file."""
    data = file.read_bytes()
    assert data[:4] == b"\x7fELF"
    return struct.unpack_from("<HH", data, 16)


@pytest.mark.parametrize("compiler", ["zig", "gcc"])
@pytest.mark.parametrize("core", A_CORES)
def test_dot_products_compile_where_the_core_has_them(tmp_path: Path, core: str, compiler: str) -> None:
    need(TOOL[compiler])
    file, out = source(tmp_path, SDOT), tmp_path / "sdot.o"

    def make() -> Path:
        return compile_c([file], out, core=core, compiler=compiler, linker="gcc", link=False)

    if core in ("cortex-a53", "cortex-a72"):
        error = fails("E0602", make)
        assert "vdotq_s32" in str(error) and "another core" in str(error)
        assert not out.exists() and sorted(p.name for p in tmp_path.iterdir()) == ["program.c"]
    else:
        assert machine(make()) == (1, 183)


@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_features_are_added_to_a_core(tmp_path: Path, compiler: str) -> None:
    need(TOOL[compiler])
    file, out = source(tmp_path, SMMLA), tmp_path / "smmla.o"
    fails("E0602", lambda: compile_c([file], out, core="cortex-a76", compiler=compiler, link=False))
    compile_c([file], out, core="cortex-a76", compiler=compiler, link=False, features=["i8mm"])
    assert machine(out) == (1, 183)


@pytest.mark.parametrize("compiler", ["zig", "gcc"])
@pytest.mark.parametrize("core", M_CORES)
def test_cortex_m_objects(tmp_path: Path, core: str, compiler: str) -> None:
    need("zig" if compiler == "zig" else "arm-none-eabi-gcc")
    file = source(tmp_path, "int f(const int *a, int n) { int s = 0; while (n--) s += a[n]; return s; }\n")
    out = compile_c([file], tmp_path / "f.o", core=core, compiler=compiler, link=False, flags=["-O3"])
    assert machine(out) == (1, 40)


def test_this_machine(tmp_path: Path) -> None:
    need("cc")
    file = source(tmp_path, LOOP.replace("subs %0, %0, #1\\n bne 1b", "sub $1, %0\\n jne 1b"))
    program = compile_c([file], tmp_path / "program", core="host")
    assert "sum 198 of 1 words, left 0, half 99.00" in run([program, "10"], stdin=b"ab\x03", timeout=20).output


def test_sources_and_objects_become_one_program(tmp_path: Path) -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    (tmp_path / "include").mkdir()
    source(tmp_path / "include", "int twice(int);\n", "twice.h")
    one = source(tmp_path, '#include "twice.h"\nint twice(int a) { return 2 * a; }\n', "twice.c")
    main = source(tmp_path, '#include "twice.h"\nint main(void) { return twice(SEVEN); }\n', "main.c")
    half = compile_c(
        [one], tmp_path / "twice.o", core="cortex-a53", compiler="gcc", include_dirs=[tmp_path / "include"], link=False
    )
    program = compile_c(
        [main, half],
        tmp_path / "program",
        core="cortex-a53",
        compiler="gcc",
        flags=["-O1", "-DSEVEN=7"],
        include_dirs=[tmp_path / "include"],
    )
    assert machine(program) == (2, 183)
    assert run_aarch64(program, cpu="cortex-a53", count=False, accept=(14,)).status == 14


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    need("zig", "aarch64-linux-gnu-gcc")
    file = source(tmp_path, LOOP)
    for compiler in ("zig", "gcc"):
        made = [
            compile_c([file], tmp_path / name, core="cortex-a76", compiler=compiler, linker="gcc").read_bytes()
            for name in ("one", "two")
        ]
        assert made[0] == made[1]


@pytest.mark.long
def test_zig_links_its_own_c_library(tmp_path: Path) -> None:
    """The first link on a machine builds the C library: minutes. The other tests link zig's objects by gcc."""
    need("zig", "qemu-aarch64")
    program = compile_c([source(tmp_path, SDOT)], tmp_path / "sdot", core="cortex-a76", compiler="zig")
    assert [int(w) for w in run_aarch64(program).stdout.split()] == sdot_words()


def test_zig_is_the_default_where_it_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(arm, "wheel_zig", lambda: None)
    monkeypatch.delenv("EDGEC_ZIG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert default_compiler("cortex-a76") == "gcc"
    script(tmp_path, "echo 0.14.1", "zig")
    assert default_compiler("cortex-a76") == "zig"
    assert default_compiler("cortex-m4") == default_compiler("host") == "gcc"
    script(tmp_path, "echo 0.11.0", "zig")
    assert default_compiler("cortex-a76") == "gcc"


def test_missing_compilers_are_named_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(arm, "wheel_zig", lambda: None)
    for variable in ("EDGEC_ZIG", "EDGEC_AARCH64_GCC", "EDGEC_ARM_GCC", "CC"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    file, out = source(tmp_path, "int main(void) { return 0; }\n"), tmp_path / "out"
    for core, compiler, remedy in (
        ("cortex-a76", "zig", "edgec[cross]"),
        ("cortex-a76", None, "gcc-aarch64-linux-gnu"),
        ("cortex-m4", None, "libnewlib-arm-none-eabi"),
        ("host", None, "apt-get install gcc"),
    ):
        error = fails(
            "E0601", lambda core=core, compiler=compiler: compile_c([file], out, core=core, compiler=compiler)
        )
        assert remedy in str(error)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("echo 'program.c:1: error: no such word' >&2; exit 1", "E0602", "no such word"),
        ("kill -KILL $$", "E0603", "SIGKILL"),
        ("while :; do :; done", "E0604", "0.3 s"),
    ],
)
def test_a_compiler_that_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, code: str, words: str
) -> None:
    tool = script(tmp_path, f'[ "$1" = --version ] && echo "gcc (test) 12.2.0" && exit\n{body}', "my-gcc")
    monkeypatch.setenv("EDGEC_AARCH64_GCC", str(tool))
    file, out = source(tmp_path, "int main(void) { return 0; }\n"), tmp_path / "out"
    error = fails(code, lambda: compile_c([file], out, core="cortex-a53", compiler="gcc", timeout=0.3))
    assert words in str(error)
    assert not out.exists() and not list(tmp_path.glob(".compile*"))


def test_bad_choices(tmp_path: Path) -> None:
    file = source(tmp_path, "int x;\n")
    bad = [
        {"core": "cortex-a75"},
        {"core": "cortex-a76", "compiler": "tcc"},
        {"core": "host", "compiler": "zig"},
        {"core": "cortex-m4", "compiler": "zig", "linker": "zig"},
        {"core": "cortex-a76", "compiler": "gcc", "linker": "zig"},
        {"core": "cortex-a76", "features": ["i8mm -o x"]},
    ]
    for options in bad:
        fails("E0204", lambda options=options: compile_c([file], tmp_path / "out", **options))
    assert "cortex-a76" in str(fails("E0204", lambda: compile_c([file], tmp_path / "out", core="cortex-a77")))
    fails("E0204", lambda: compile_c([], tmp_path / "out", core="cortex-a76"))
    fails("E0204", lambda: compile_c([file, file], tmp_path / "out", core="cortex-a76", link=False))
    made = source(tmp_path, "", "made.o")
    fails("E0204", lambda: compile_c([made], tmp_path / "out", core="cortex-a76", link=False))
    assert made.exists()
    fails("E0202", lambda: compile_c([tmp_path / "none.c"], tmp_path / "out", core="cortex-a76"))
    fails("E0202", lambda: compile_c([file], tmp_path / "no" / "out", core="cortex-a76"))
