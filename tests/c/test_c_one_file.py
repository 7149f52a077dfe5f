"""Several models compiled as one file: all names outside functions carry the model's."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import test_c_arm
import test_c_arm_float
from c_nets import write
from c_support import graph_of, inp, need

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.formats import F32, Integer
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.sim.c_program import FLAGS, WARNINGS
from edgec.hw.tools.elf import read_elf
from edgec.target import load_target


def models(core: str) -> dict[str, BuildPlan]:
    """The same layers twice under two names, and others: bytes and floats."""
    target = load_target(core)
    rng = np.random.default_rng(9)
    graphs = {name: graph_of(test_c_arm.conv(rng, inp(Integer(8), 1, 32, 4, 5), 8, (1, 1))) for name in ("one", "two")}
    real = test_c_arm_float.conv(rng, inp(F32, 1, 8, 5, 5), 16, (2, 2))
    graphs["real"] = graph_of(test_c_arm_float.conv(rng, real, 16, (3, 3), groups=16))
    return {name: plan(graph, target, {"name": name, **target.options}) for name, graph in graphs.items()}


@pytest.mark.parametrize("core, tool, compiler", [
    ("cortex-a53", "aarch64-linux-gnu-gcc", None), ("cortex-a76", "zig", "zig"), ("host", "cc", None),
])  # fmt: skip
def test_models_in_one_translation_unit(core: str, tool: str, compiler: str | None, tmp_path: Path) -> None:
    need(tool)
    made = models("cortex-a53" if core == "host" else core)
    includes, text = [], ""
    for name, one in made.items():
        root = write(one, tmp_path / name)
        includes += [root / "include", root / "src"]
        text += "".join(f'#include "{root / file}"\n' for file in one.files if re.fullmatch(r"src/\w+\.c", file))
    (tmp_path / "all.c").write_text(text)
    out = tmp_path / "all.o"
    compile_c(
        [tmp_path / "all.c"], out, core=core, compiler=compiler, link=False, flags=[*FLAGS, *WARNINGS],
        include_dirs=includes,
    )  # fmt: skip
    defined = {s.name for s in read_elf(out).symbols if s.section is not None and not s.name.startswith((".", "$"))}
    assert {"one_run", "two_run", "real_run"} <= defined


def test_macros_carry_the_name_of_the_model() -> None:
    found = set()
    for name, one in models("cortex-a53").items():
        for file, data in one.files.items():
            if re.fullmatch(r"(src|include)/\w+\.[ch]", file):
                for macro in re.findall(r"^#define (\w+)", data.decode(), re.M):
                    assert macro.startswith(f"{name.upper()}_"), macro
                    found.add(macro.removeprefix(f"{name.upper()}_"))
    assert {"NOINLINE", "IN_ORDER", "FENCE", "LOAD_FOUR"} <= found
