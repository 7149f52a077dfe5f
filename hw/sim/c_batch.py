"""Compiles many small models into one program and runs each in a process of its own.

A compiler's start costs more than a small model. Every tensor and the arena of a model lie in memory of their exact
size from `malloc`, so that a sanitizer sees every access outside them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgec.backend import BuildPlan
from edgec.backends.c.testbench import packed, unpacked
from edgec.diagnostics import EdgecError
from edgec.hw.arm.cores import find_core
from edgec.hw.arm.qemu import run_aarch64
from edgec.hw.arm.toolchain import HOST, compile_c
from edgec.hw.sim.c_program import FLAGS, WARNINGS
from edgec.hw.tools.process import run

Frame = Mapping[str, np.ndarray]
"""Codes of the inputs by name, each [1, *shape]."""

MAIN = """\
#include <stdio.h>
#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

typedef struct {
  size_t inputs, outputs, arena;
  const size_t *bytes; /* of the inputs, then of the outputs */
  int (*run)(void **at, void *arena);
} model_t;

static const model_t models[] = {
@MODELS@
};

static int run_model(const model_t *m, FILE *in, FILE *out) {
  void *at[@MOST@] = {0};
  unsigned char *room = malloc(m->arena + 16);
  int bad = room == 0;
  for (size_t i = 0; !bad && i < m->inputs + m->outputs; i++) {
    at[i] = malloc(m->bytes[i] ? m->bytes[i] : 1);
    bad = at[i] == 0 || (i < m->inputs && fread(at[i], 1, m->bytes[i], in) != m->bytes[i]);
  }
  /* glibc's memory is aligned to 16 bytes */
  bad = bad || m->run(at, room) != 0;
  for (size_t i = m->inputs; !bad && i < m->inputs + m->outputs; i++) {
    bad = fwrite(at[i], 1, m->bytes[i], out) != m->bytes[i];
  }
  for (size_t i = 0; i < m->inputs + m->outputs; i++) { free(at[i]); }
  free(room);
  return bad;
}

int main(int argc, char **argv) {
  const unsigned long k = argc == 4 ? strtoul(argv[1], 0, 10) : COUNT(models);
  if (k >= COUNT(models)) { return 2; }
  FILE *in = fopen(argv[2], "rb"), *out = fopen(argv[3], "wb");
  if (in == 0 || out == 0) { return 3; }
  const int bad = run_model(&models[k], in, out);
  return fclose(out) != 0 || fclose(in) != 0 || bad ? 1 : 0;
}
"""


def batch_source(plans: Sequence[BuildPlan]) -> str:
    """One source with all models (of distinct names) and a `main` that runs the one of a number."""
    parts, rows, most = [], [], 1
    for k, plan in enumerate(plans):
        face = plan.interface
        name = face["name"]
        texts = [plan.files[f"include/{name}.h"], plan.files[f"src/{name}_constants.h"]]
        texts += [plan.files[f] for f in sorted(face["files"])]
        parts += [re.sub(rf'#include "{name}\w*\.h"\n', "", t.decode()) for t in texts]
        fields = [*face["inputs"], *face["outputs"]]
        most = max(most, len(fields))
        sizes = ", ".join(str(f["elements"] * np.dtype(f["dtype"]).itemsize) for f in fields) or "0"
        parts.append(f"static const size_t bytes_{k}[] = {{{sizes}}};")
        given = ", ".join([*(f"at[{i}]" for i in range(len(fields))), "arena"])
        unused = "" if fields else "(void)at; "
        parts.append(f"static int run_{k}(void **at, void *arena) {{ {unused}return {name}_run({given}); }}")
        counts = f"{len(face['inputs'])}, {len(face['outputs'])}, {name.upper()}_ARENA_BYTES"
        rows.append(f"  {{{counts}, bytes_{k}, run_{k}}},")
    main = MAIN.replace("@MODELS@", "\n".join(rows)).replace("@MOST@", str(most))
    return "\n".join(["#include <stddef.h>", *parts, main])


def run_batch(
    plans: Sequence[BuildPlan],
    frames: Sequence[Frame],
    *,
    flags: Sequence[str] = ("-O0",),
    core: str = HOST,
    compiler: str | None = None,
    timeout: float = 60.0,
) -> list[dict[str, np.ndarray] | str]:
    """The outputs [*shape] of every model on its frame, on this machine or under QEMU on a 64-bit Arm `core`; or what
    went wrong when it ran.

    Raises E06xx when the sources do not compile."""
    results: list[dict[str, np.ndarray] | str] = []
    with tempfile.TemporaryDirectory(prefix="edgec-batch-") as scratch:
        folder = Path(scratch)
        (folder / "batch.c").write_text(batch_source(plans), encoding="utf-8")
        program = compile_c(
            [folder / "batch.c"], folder / "batch", core=core, compiler=compiler, flags=[*FLAGS, *WARNINGS, *flags],
            link_flags=flags, timeout=10 * timeout,
        )  # fmt: skip
        for k, (plan, frame) in enumerate(zip(plans, frames, strict=True)):
            face: Mapping[str, Any] = plan.interface
            (folder / "in").write_bytes(packed(face["inputs"], frame))
            try:
                if core == HOST:
                    run([program, str(k), "in", "out"], cwd=folder, timeout=timeout)
                else:
                    words = [str(k), "in", "out"]
                    run_aarch64(program, cpu=find_core(core).qemu, args=words, timeout=timeout, cwd=folder)
            except EdgecError as error:
                results.append(str(error))
                continue
            found = unpacked(face["outputs"], (folder / "out").read_bytes(), 1)
            results.append({f["name"]: found[f["name"]].reshape(f["shape"]) for f in face["outputs"]})
    return results
