"""64-bit Arm programs: what they print, exactly how many instructions they execute, and every way they can end."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from arm_support import HANG, LOOP, PARTS, SDOT, fails, sdot_words, source
from hw_support import need, script

from edgec.hw.arm.plugin import read_counts
from edgec.hw.arm.qemu import run_aarch64, run_cortex_m
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.tools.doctor import FINDERS
from edgec.hw.tools.process import run

NOP = bytes.fromhex("1f2003d5")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    folder = tmp_path_factory.mktemp("loop, with a comma")
    return compile_c([source(folder, LOOP)], folder / "loop", core="cortex-a53", compiler="gcc")


def build(folder: Path, text: str, core: str = "cortex-a53", compiler: str = "gcc") -> Path:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64", "cc", *(["zig"] if compiler == "zig" else []))
    return compile_c([source(folder, text)], folder / "program", core=core, compiler=compiler, linker="gcc")


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a72", "cortex-a78", "max"])
def test_a_program_gets_its_arguments_and_input_and_gives_its_output(loop: Path, cpu: str) -> None:
    done = run_aarch64(loop, cpu=cpu, args=["5", "3"], stdin=b"\x01\x02", accept=(3,))
    assert done.stdout == b"sum 3 of 2 words, left 0, half 1.50\n"
    assert done.stderr == "to stderr\n" and done.status == 3 and done.regions == 1


def test_the_instructions_of_a_region_are_exact(loop: Path) -> None:
    """The loop has two instructions an iteration, whatever the compiler puts around it."""
    runs = {n: run_aarch64(loop, args=[str(n)]) for n in (1000, 2000, 3000)}
    counts = [runs[n].instructions or 0 for n in (1000, 2000, 3000)]
    assert counts[1] - counts[0] == counts[2] - counts[1] == 2000
    assert 2000 <= counts[0] <= 2010
    body = max(runs[1000].blocks, key=lambda b: b.executions)
    assert (body.executions, body.instructions, len(body.code)) == (999, 2, 8)
    assert sum(b.executions * b.instructions for b in runs[1000].blocks) == counts[0] < (runs[1000].total or 0)


def test_a_repeated_run_counts_the_same(loop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_aarch64(loop, args=["77"])
    monkeypatch.setenv("SOMETHING_LONG", "x" * 1000)
    for _ in range(2):
        again = run_aarch64(loop, args=["77"])
        assert (again.instructions, again.total, again.blocks) == (first.instructions, first.total, first.blocks)


def test_regions_are_cut_inside_blocks_and_span_calls(tmp_path: Path) -> None:
    program = build(tmp_path, PARTS.replace("%s", "ret"))
    done = run_aarch64(program)
    inside = [b for b in done.blocks if b.code == 3 * NOP]
    assert done.regions == 2 and [b.executions for b in inside] == [1]
    five = [b for b in done.blocks if b.code.startswith(5 * NOP)]
    assert [(b.executions, b.instructions) for b in five] == [(2, 6)]
    # two calls; gcc puts nothing else between the markers
    assert done.instructions == 3 + 2 * 6 + 2


def test_the_count_is_that_of_a_single_step_trace(loop: Path, tmp_path: Path) -> None:
    """QEMU's own log of one instruction after the other, which knows nothing of the plugin."""
    trace, qemu = tmp_path / "trace", FINDERS["qemu-aarch64"]().executable()
    words = [qemu, "-cpu", "cortex-a72", "-seed", "1", "-singlestep", "-d", "nochain,exec", "-D", trace, loop, "300"]
    run(words, timeout=60, inherit=False, apart=True)
    stepped = sum(line.startswith("Trace") for line in trace.read_text().splitlines())
    assert run_aarch64(loop, cpu="cortex-a72", args=["300"]).total == stepped > 5000


def test_many_blocks(tmp_path: Path) -> None:
    """More than the first size of the plugin's table: every branch ends a block."""
    text = '#include "edgec_region.h"\nint main(void) { edgec_region(); __asm__ volatile('
    text += '".rept 20000\\n b 1f\\n 1:\\n .endr"); edgec_region(); return 0; }\n'
    done = run_aarch64(build(tmp_path, text))
    assert done.instructions == 20000 and len(done.blocks) == 20000
    assert all((b.executions, b.instructions) == (1, 1) for b in done.blocks)


def test_without_markers_everything_is_counted(tmp_path: Path) -> None:
    done = run_aarch64(build(tmp_path, "int main(void) { return 0; }\n"))
    assert done.regions == 0 and done.instructions == done.total and (done.total or 0) > 1000
    assert all(len(b.code) == 4 * b.instructions for b in done.blocks)
    assert [b.address for b in done.blocks] == sorted(b.address for b in done.blocks)


def test_without_counting(loop: Path) -> None:
    done = run_aarch64(loop, count=False)
    assert done.stdout.startswith(b"sum 0") and (done.instructions, done.total, done.blocks) == (None, None, ())


@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_a_missing_instruction_is_told(tmp_path: Path, compiler: str) -> None:
    program = build(tmp_path, SDOT, "cortex-a76", compiler)
    for cpu in ("cortex-a76", "cortex-a55", "cortex-x1", "max"):
        assert [int(word) for word in run_aarch64(program, cpu=cpu, count=False).stdout.split()] == sdot_words()
    for cpu in ("cortex-a53", "cortex-a72"):
        error = fails("E0603", lambda cpu=cpu: run_aarch64(program, cpu=cpu))
        assert f"killed by SIGILL on {cpu}" in str(error) and f"compile it for {cpu}" in str(error)


def test_a_program_that_hangs_is_stopped(tmp_path: Path) -> None:
    program, start = build(tmp_path, HANG), time.monotonic()
    fails("E0604", lambda: run_aarch64(program, timeout=0.5))
    assert time.monotonic() - start < 10


def test_a_program_that_fails(tmp_path: Path) -> None:
    program = build(tmp_path, '#include <stdio.h>\nint main(void) { puts("no weights"); return 4; }\n')
    error = fails("E0602", lambda: run_aarch64(program))
    assert "exit status 4" in str(error) and "no weights" in str(error)
    crash = build(tmp_path, "int main(void) { return *(volatile int *)16; }\n")
    assert "SIGSEGV" in str(fails("E0603", lambda: run_aarch64(crash)))
    fails("E0602", lambda: run_aarch64(program, cpu="cortex-a1"))
    fails("E0202", lambda: run_aarch64(tmp_path / "none"))
    fails("E0202", lambda: run_aarch64(program, sysroot=tmp_path / "none"))
    fails("E0204", lambda: run_aarch64(program, cpu="cortex-m4"))


def test_a_region_that_never_ends_is_an_error(tmp_path: Path) -> None:
    program = build(tmp_path, '#include "edgec_region.h"\nint main(void) { edgec_region(); return 0; }\n')
    assert "never ended" in str(fails("E0602", lambda: run_aarch64(program)))


def test_the_program_sees_only_the_environment_and_folder_it_was_given(tmp_path: Path) -> None:
    text = r"""
    #include <stdio.h>
    #include <unistd.h>
    extern char **environ;
    int main(void) {
        char here[4096];
        for (char **e = environ; *e; e++) puts(*e);
        puts(getcwd(here, sizeof here));
        return 0;
    }
    """
    program = build(tmp_path, text)
    done = run_aarch64(program, environment={"MODEL": "a"}, cwd=tmp_path)
    assert sorted(done.stdout.decode().split()) == sorted(["LC_ALL=C", "MODEL=a", str(tmp_path.resolve())])
    assert b"edgec-arm-" in run_aarch64(program).stdout


def test_a_child_of_the_program_does_not_spoil_the_counts(tmp_path: Path) -> None:
    text = r"""
    #include <sys/wait.h>
    #include <unistd.h>
    #include "edgec_region.h"
    int main(void) {
        edgec_region();
        __asm__ volatile("nop\n nop");
        edgec_region();
        if (fork() == 0) return 0;
        wait(0);
        return 0;
    }
    """
    done = run_aarch64(build(tmp_path, text))
    assert (done.regions, done.instructions) == (1, 2)


@pytest.mark.parametrize(
    ("version", "help_text", "words"),
    [("9.2.0", "-plugin", "9.2.0 has another plugin interface"), ("7.2.1", "-cpu model", "built without plugins")],
)
def test_a_qemu_that_cannot_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, help_text: str, words: str
) -> None:
    body = f'case "$1" in --version) echo "qemu-aarch64 version {version}";; --help) echo "{help_text}";; esac'
    monkeypatch.setenv("EDGEC_QEMU_AARCH64", str(script(tmp_path, body, "my-qemu")))
    program = source(tmp_path, "")
    error = fails("E0605", lambda: run_aarch64(program))
    assert words in str(error)
    assert run_aarch64(program, count=False).status == 0


def test_without_qemu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EDGEC_QEMU_AARCH64", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    error = fails("E0601", lambda: run_aarch64(source(tmp_path, "")))
    assert "apt-get install qemu-user" in str(error)


def test_a_damaged_file_of_counts(tmp_path: Path) -> None:
    file = tmp_path / "counts"
    fails("E0602", lambda: read_counts(file))
    for data in (b"", b"EDGECCNT", b"x" * 100, b"EDGECCNT" + bytes(24) + (9).to_bytes(8, "little") + bytes(30)):
        file.write_bytes(data)
        fails("E0602", lambda: read_counts(file))


def test_the_example_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64", "arm-none-eabi-gcc", "qemu-system-arm", "cc")
    text = (Path(__file__).parents[2] / "docs" / "running-on-arm.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "running-on-arm.md", "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    total, a_count, regions = map(int, first.split())
    assert (total, regions) == (3 * sum(range(1000)), 1)
    assert 3000 <= a_count <= 9000 and 3000 <= int(second) <= 9000
    gcc = str(FINDERS["aarch64-linux-gnu-gcc"]().version), str(FINDERS["arm-none-eabi-gcc"]().version)
    if gcc == ("12.2.0", "12.2.1"):
        assert f"`{first}` and `{second}`" in text


@pytest.mark.parametrize("core", ["cortex-a76", "cortex-m4"])
def test_every_region_has_its_own_count(core: str, tmp_path: Path) -> None:
    """Three regions of 10, 300 and 20 rounds of two instructions; the ends are next to each other."""
    need("aarch64-linux-gnu-gcc", "qemu-aarch64", "arm-none-eabi-gcc", "qemu-system-arm")
    loop = r'__asm__ volatile("mov %w0, {0}\n 1: subs %w0, %w0, #1\n bne 1b" : "=r"(n) :: "cc");'
    if core == "cortex-m4":
        loop = loop.replace("%w0, %w0", "%0, %0").replace("%w0", "%0")
    mark = "edgec_region();"
    body = f"{mark} {loop.format('10')} {mark} {mark} {loop.format('300')} {mark} {loop.format('77')} {mark} "
    body += f"{loop.format('20')} {mark}"
    source = tmp_path / "a.c"
    source.write_text(f'#include "edgec_region.h"\nint main(void) {{ int n; {body} return 0; }}')
    program = compile_c([source], tmp_path / "a", core=core, compiler="gcc")
    run = run_cortex_m(program, core=core) if core == "cortex-m4" else run_aarch64(program, cpu=core)
    assert run.regions == 3 and run.each == (21, 601, 41)
    assert run.instructions == sum(run.each)
