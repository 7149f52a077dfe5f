"""What is promised of the C code: no heap, no state, nothing but a few library functions, no warning, small code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from c_nets import NETS, ROOT, net, write
from c_support import graph_of, inp, need

from edgec.backends.c import plan as plan_c
from edgec.backends.c.golden import golden_files
from edgec.backends.c.package import MATH
from edgec.formats import F32, TensorType
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.sim.c_program import FLAGS, WARNINGS
from edgec.hw.tools.elf import Elf, read_elf
from edgec.interp import random_frames, run
from edgec.ops import Unary
from edgec.ops.elementwise import UNARY_FUNCTIONS
from edgec.target import load_target

sys.path.insert(0, str(ROOT / "tests" / "core"))
from every_op import every_op

MATHEMATICAL = """sqrt exp expm1 log log1p pow erf sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh
floor ceil rint fabs fmod"""
LIBRARY = {"memset", "memcpy"} | {f"{name}{kind}" for name in MATHEMATICAL.split() for kind in ("", "f")}
PLATFORM = re.compile(r"__aeabi_\w+|_GLOBAL_OFFSET_TABLE_")
"""What compilers call for arithmetic that a processor lacks, and how position-independent code finds data."""
CODE_LIMIT = 60_000
GUARD = 64

HARNESS = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "{name}.h"
#include "{name}_golden.h"

enum {{ GUARD = {guard}, FRAMES = {upper}_GOLDEN_FRAMES, BYTES = {upper}_ARENA_BYTES }};
static int trapped; /* no call of the heap may come now */
static {upper}_ALIGNED unsigned char heap[1 << 20];
static size_t used;
void *malloc(size_t n) {{
  if (trapped) {{ abort(); }}
  void *p = heap + used;
  used += (n + 15) / 16 * 16;
  if (used > sizeof heap) {{ abort(); }}
  return p;
}}
void *calloc(size_t n, size_t m) {{ void *p = malloc(n * m); return memset(p, 0, n * m); }}
void *realloc(void *p, size_t n) {{ void *q = malloc(n); return p ? memmove(q, p, n) : q; }}
void free(void *p) {{ (void)p; if (trapped) {{ abort(); }} }}

struct job {{
  {upper}_ALIGNED unsigned char memory[BYTES + 2 * GUARD];
{outputs}
}};
static struct job one, two;

static void *work(void *argument) {{
  struct job *j = argument;
  for (int round = 0; round < {rounds}; round++) {{
    for (int f = 0; f < FRAMES; f++) {{
      if ({name}_run({arguments}, j->memory + GUARD) != 0) {{ abort(); }}
    }}
  }}
  return NULL;
}}

static void fill(struct job *j, int value) {{
  memset(j, value, sizeof *j);
  memset(j->memory, 0xa5, GUARD);
  memset(j->memory + GUARD + BYTES, 0xa5, GUARD);
}}

static void check(const char *when) {{
  for (int i = 0; i < GUARD; i++) {{
    if (one.memory[i] != 0xa5 || one.memory[GUARD + BYTES + i] != 0xa5
        || two.memory[i] != 0xa5 || two.memory[GUARD + BYTES + i] != 0xa5) {{
      printf("%s: a guard byte was written\\n", when);
      exit(3);
    }}
  }}
  if ({differ}) {{
    printf("%s: the results differ\\n", when);
    exit(4);
  }}
}}

int main(void) {{
  fill(&one, 0xff); /* what the arena holds before must not matter */
  fill(&two, 0x00);
  trapped = 1;
  work(&one);
  work(&two);
  trapped = 0;
  check("one after the other");
  fill(&two, 0x5a);
  pthread_t threads[2];
  if (pthread_create(&threads[0], NULL, work, &one) || pthread_create(&threads[1], NULL, work, &two)) {{ return 5; }}
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  check("side by side");
  struct job *j = &one;
  const int f = 0;
  if ({name}_run({arguments}, NULL) != 1 || {name}_run({arguments}, j->memory + GUARD + 8) != 1) {{ return 6; }}
  check("refused arenas");
  puts("ok");
  return 0;
}}
"""


def harness(interface: dict[str, Any]) -> str:
    """A program that runs the golden frames with everything that could go wrong watched."""
    name = interface["name"]
    outputs, differ = [], []
    passed = [f"{name}_golden_in_{a['argument']} + f * {a['elements']}" for a in interface["inputs"]]
    for a in interface["outputs"]:
        outputs.append(f"  {a['ctype']} out_{a['argument']}[FRAMES * {a['elements']}];")
        passed.append(f"j->out_{a['argument']} + f * {a['elements']}")
        differ.append(f"memcmp(one.out_{a['argument']}, two.out_{a['argument']}, sizeof one.out_{a['argument']}) != 0")
    parts = {"outputs": "\n".join(outputs), "arguments": ", ".join(passed), "differ": "\n      || ".join(differ)}
    return HARNESS.format(name=name, upper=name.upper(), guard=GUARD, rounds=20, **parts)


def with_golden(name: str, folder: Path) -> dict[str, Any]:
    """The files of a network and its golden frames; returns the interface."""
    made = net(name)
    assert made.graph is not None
    write(made, folder)
    frames = random_frames(made.graph, 4, 11)
    for path, data in golden_files(made.interface, frames, run(made.graph, frames)).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(data)
    return dict(made.interface)


def objects(
    name: str, folder: Path, core: str, *, compiler: str | None = None, flags: tuple[str, ...] = ()
) -> list[Elf]:
    made = net(name, "cortex-a76" if core == "cortex-a76" else "host")
    root, found = write(made, folder / core), []
    for k, source in enumerate(made.interface["files"]):
        out = compile_c(
            [root / source], folder / f"{core}-{k}.o", core=core, compiler=compiler, link=False,
            flags=[*FLAGS, *WARNINGS, "-fno-stack-protector", *flags], include_dirs=[root / "include", root / "src"],
        )  # fmt: skip
        found.append(read_elf(out))
    return found


CORES = [("host", "cc", None), ("cortex-m4", "arm-none-eabi-gcc", None), ("cortex-a76", "zig", "zig")]


@pytest.mark.parametrize("core, tool, compiler", CORES, ids=[c[0] for c in CORES])
@pytest.mark.parametrize("name", NETS)
def test_objects(name: str, core: str, tool: str, compiler: str | None, tmp_path: Path) -> None:
    """Compiled without a warning; nothing undefined but a short list; nothing that can be written; little code."""
    need(tool)
    stack = ("-Wframe-larger-than=512",) if compiler is None else ()  # so two functions deep take less than 1 KiB
    found = objects(name, tmp_path, core, compiler=compiler, flags=stack)
    defined = {s.name for elf in found for s in elf.symbols if s.section is not None}
    undefined = set().union(*(elf.undefined for elf in found)) - defined
    strange = {s for s in undefined - LIBRARY if not PLATFORM.fullmatch(s)}
    assert not strange
    assert sum(elf.data for elf in found) == 0
    code, constants = sum(elf.code for elf in found), sum(elf.constants for elf in found)
    assert 0 < code < CODE_LIMIT
    promised = net(name, "cortex-a76" if core == "cortex-a76" else "host").interface["memory"]["constant_bytes"]
    assert promised <= constants <= promised + 600  # alignment, and the compiler's own: tables of jumps, vectors


def test_the_list_of_functions_would_be_missed(tmp_path: Path) -> None:
    """The check sees heap calls, static data and constants."""
    source = tmp_path / "a.c"
    source.write_text(
        "#include <stdlib.h>\nstatic int n; const char k[7] = {1};\nint *f(void) { n++; return malloc(n); }\n"
    )
    elf = read_elf(compile_c([source], tmp_path / "a.o", core="host", link=False, flags=["-O2"]))
    assert "malloc" in elf.undefined and elf.data == 4 and elf.constants == 7 and elf.code > 0


@pytest.mark.parametrize("name", NETS)
def test_no_heap_no_state_no_stray_write(name: str, tmp_path: Path) -> None:
    """malloc traps; old contents of the arena do not matter; two threads compute the same; guards stay."""
    interface = with_golden(name, tmp_path)
    (tmp_path / "harness.c").write_text(harness(interface))
    places = [tmp_path / p for p in ("include", "src", "sim")]
    program = compile_c(
        [*(tmp_path / f for f in interface["files"]), tmp_path / "harness.c"], tmp_path / "harness", core="host",
        flags=[*FLAGS, "-fno-builtin-malloc"], link_flags=["-pthread"], include_dirs=places,
    )  # fmt: skip
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "ok\n")


@pytest.mark.parametrize("name", NETS)
def test_golden_frames_as_c_with_sanitizers(name: str, tmp_path: Path) -> None:
    """The self-test is right, clean of warnings, and no undefined behaviour or access outside an array is in it."""
    interface = with_golden(name, tmp_path)
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = compile_c(
        [*(tmp_path / f for f in interface["files"]), tmp_path / f"sim/{interface['name']}_selftest.c"],
        tmp_path / "selftest", core="host", flags=[*FLAGS, *WARNINGS, *sanitizers], link_flags=sanitizers,
        include_dirs=[tmp_path / p for p in ("include", "src", "sim")],
    )  # fmt: skip
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{interface['name']}: 0 of 4 golden frames wrong\n"


@pytest.mark.parametrize("level", ["-Os", "-O3"])
@pytest.mark.parametrize("name", ["digits", "functions"])
def test_other_levels_of_optimisation(name: str, level: str, tmp_path: Path) -> None:
    """The flags for floats and aliasing are what the sources need; the level is the user's."""
    interface = with_golden(name, tmp_path)
    program = compile_c(
        [*(tmp_path / f for f in interface["files"]), tmp_path / f"sim/{interface['name']}_selftest.c"],
        tmp_path / "selftest", core="host", flags=[*(f for f in FLAGS if f != "-O2"), level],
        include_dirs=[tmp_path / p for p in ("include", "src", "sim")],
    )  # fmt: skip
    assert subprocess.run([program], capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize("name", ["digits", "half", "functions"])
def test_the_self_test_notices_a_wrong_constant(name: str, tmp_path: Path) -> None:
    interface = with_golden(name, tmp_path)
    file = tmp_path / f"sim/{interface['name']}_golden.h"
    text = file.read_text()
    at = text.index("_golden_out_")
    start = text.index("{", at)
    changed = re.sub(r"(?<=[ \n])(-?)(\w)", r"\g<1>1\g<2>", text[start:], count=1)  # the first number of the outputs
    if name != "digits":
        changed = re.sub(r"(?<=[ \n])-?[\w.+-]+", "12345.0f" if name == "functions" else "31000", text[start:], count=1)
    file.write_text(text[:start] + changed)
    program = compile_c(
        [*(tmp_path / f for f in interface["files"]), tmp_path / f"sim/{interface['name']}_selftest.c"],
        tmp_path / "selftest", core="host", flags=FLAGS, include_dirs=[tmp_path / p for p in ("include", "src", "sim")],
    )  # fmt: skip
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and ": 1 of 4 golden frames wrong" in done.stdout


@pytest.mark.parametrize("name", ["econ_t", "functions"])
def test_headers_from_cpp(name: str, tmp_path: Path) -> None:
    """The headers compile as C++ and the function links from there."""
    need("c++")
    interface = with_golden(name, tmp_path)
    upper, model = interface["name"].upper(), interface["name"]
    outputs = "\n".join(f"static {a['ctype']} {a['argument']}_out[{a['elements']}];" for a in interface["outputs"])
    passed = [f"{model}_golden_in_{a['argument']}" for a in interface["inputs"]]
    passed += [f"{a['argument']}_out" for a in interface["outputs"]]
    (tmp_path / "main.cpp").write_text(
        f'#include "{model}.h"\n#include "{model}_golden.h"\n'
        f"static {upper}_ALIGNED uint8_t arena[{upper}_ARENA_BYTES];\n"
        f"{outputs}\nint main() {{ return {model}_run({', '.join(passed)}, arena); }}\n"
    )
    places = [f"-I{tmp_path / p}" for p in ("include", "sim")]
    made = [
        compile_c([tmp_path / f], tmp_path / f"{k}.o", core="host", link=False, flags=FLAGS,
                  include_dirs=[tmp_path / "include", tmp_path / "src"])
        for k, f in enumerate(interface["files"])
    ]  # fmt: skip
    words = ["c++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *places, tmp_path / "main.cpp", *made]
    done = subprocess.run([*map(str, words), "-o", str(tmp_path / "app")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "app"], timeout=60).returncode == 0


def test_every_op_calls_a_few_functions_only(tmp_path: Path) -> None:
    """Whatever the op, and every function of floats: the short list, and no data that can be written."""
    ops = [op for op in every_op() if isinstance(op.type, TensorType)]
    floats = [Unary(inp(F32, 2, 3), f) for f in sorted(UNARY_FUNCTIONS) if f != "not"]
    every, places = [], []
    for k, op in enumerate([*ops, *floats]):  # one file for all: a compiler takes longer to start than for an op
        made = plan_c(graph_of(op), load_target("host"), {"name": f"net{k}"})
        root = write(made, tmp_path / str(k))
        places += [root / "include", root / "src"]
        every += [f'#include "{root / source}"' for source in made.interface["files"]]
    (tmp_path / "every.c").write_text("\n".join([*every, ""]))
    flags = ["-std=c99", "-O1", "-fno-stack-protector"]
    out = tmp_path / "every.o"
    elf = read_elf(compile_c([tmp_path / "every.c"], out, core="host", link=False, flags=flags, include_dirs=places))
    assert elf.data == 0 and len(every) > 150
    defined = {s.name for s in elf.symbols if s.section is not None}
    called = {s for s in elf.undefined - defined if not PLATFORM.fullmatch(s)}
    assert called <= LIBRARY, called - LIBRARY
    assert {"exp", "tanh"} <= called
    missed = {name for name in called & LIBRARY - {"memset", "memcpy"} if not MATH.fullmatch(f"{name}(")}
    assert not missed  # the packages link the mathematical library for all of them
