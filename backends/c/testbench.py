"""A program around the model for tests: frames from a file, results and every layer to others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgec.backends.c.golden import golden_files

MAIN = """\
/* Runs the model on every frame of a file, for tests.

   usage: {name}_main INPUTS OUTPUTS [LAYERS]

   INPUTS holds frame after frame, each the input tensors one after the other; OUTPUTS gets the same of the outputs,
   and LAYERS, where the model is compiled with -D{upper}_TRACE={name}_trace, what every step made. With
   -D{upper}_STEPS, LAYERS is the tensor with which one step begins being counted (-1: the first), and the next
   argument the one with which it ends. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "{name}.h"

/* counting: the instructions of an inference, or of a step, lie between two marks */
#if defined({upper}_REGION) || defined({upper}_STEPS)
#include "edgec_region.h"
#else
#define edgec_region()
#endif

static {upper}_ALIGNED uint8_t arena[{upper}_ARENA_BYTES];
{buffers}

static FILE *layers = 0;

void {name}_trace(int tensor, const void *data);

#if defined({upper}_STEPS)
static int begin, end;

void {name}_trace(int tensor, const void *data) {{
  (void)data;
  if (tensor == begin || tensor == end) {{ edgec_region(); }}
}}
#else
void {name}_trace(int tensor, const void *data) {{
  static const uint32_t bytes[] = {{{bytes}}};
  edgec_region();
  if (layers != 0 && fwrite(data, 1, bytes[tensor], layers) != bytes[tensor]) {{
    layers = 0;
  }}
  edgec_region();
}}
#endif

{backwards}int main(int argc, char **argv) {{
  FILE *in = argc > 2 ? fopen(argv[1], "rb") : 0;
  FILE *out = argc > 2 ? fopen(argv[2], "wb") : 0;
  if (in == 0 || out == 0) {{
    fprintf(stderr, "usage: {name}_main INPUTS OUTPUTS [LAYERS]\\n");
    return 2;
  }}
#if defined({upper}_STEPS)
  begin = argc > 4 ? atoi(argv[3]) : -1;
  end = argc > 4 ? atoi(argv[4]) : -1;
  argc = 3;
#else
  layers = argc > 3 ? fopen(argv[3], "wb") : 0;
#endif
  long frames = 0;
  for (;; frames++) {{
{reads}
#if defined({upper}_STEPS)
    if (begin < 0) {{ edgec_region(); }}
#else
    edgec_region();
#endif
    const int wrong = {name}_run{arguments};
#if !defined({upper}_STEPS)
    edgec_region();
#endif
    if (wrong != 0) {{
      fprintf(stderr, "the arena is not aligned\\n");
      return 1;
    }}
{writes}
  }}
  if (fclose(out) != 0 || (argc > 3 && (layers == 0 || fclose(layers) != 0))) {{
    fprintf(stderr, "the results could not be written\\n");
    return 1;
  }}
  printf("%ld frames\\n", frames);
  return 0;
}}
"""

BACKWARDS = """\
/* Pieces of steps may run in any order. */
static void run_backwards(void *pool, int32_t count, void (*piece)(void *, int32_t), void *context) {
  (void)pool;
  while (count-- > 0) { piece(context, count); }
}

static const @_threads backwards = {run_backwards, 0};

"""


def simulation_files(
    interface: Mapping[str, Any], inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """`sim/NAME_main.c`, the golden frames in the file that it reads, and some of them as C with a program around."""
    name = interface["name"]
    main = main_source(interface)
    files = {f"sim/{name}_main.c": main.encode(), "sim/inputs.bin": packed(interface["inputs"], inputs)}
    files |= golden_files(interface, inputs, outputs)
    facts = {"file": f"sim/{name}_main.c", "frames": len(next(iter(inputs.values()), ()))}
    return files, facts


def main_source(interface: Mapping[str, Any]) -> str:
    """The program's source."""
    name = interface["name"]
    buffers, reads, writes = [], [], []
    for a in interface["inputs"]:
        c = f"in_{a['argument']}"
        buffers.append(f"static {a['ctype']} {c}[{max(a['elements'], 1)}];")
        if a["elements"]:
            reads.append(
                f"    if (fread({c}, sizeof({a['ctype']}), {a['elements']}, in) != {a['elements']}) {{ break; }}"
            )
    if not reads:
        reads.append("    if (fgetc(in) == EOF) { break; }")
    for a in interface["outputs"]:
        c = f"out_{a['argument']}"
        buffers.append(f"static {a['ctype']} {c}[{max(a['elements'], 1)}];")
        if a["elements"]:
            test = f"fwrite({c}, sizeof({a['ctype']}), {a['elements']}, out) != {a['elements']}"
            writes.append(f"    if ({test}) {{ return 1; }}")
    passed = [f"in_{a['argument']}" for a in interface["inputs"]] + [
        f"out_{a['argument']}" for a in interface["outputs"]
    ]
    given = ", ".join([*passed, "arena"])
    split = interface.get("threads", 1) > 1
    sizes = [str(p["elements"] * np.dtype(p["dtype"]).itemsize) for p in interface["probes"]] or ["0"]
    return MAIN.format(
        name=name,
        upper=name.upper(),
        buffers="\n".join(buffers),
        bytes=", ".join(sizes),
        reads="\n".join(reads),
        writes="\n".join(writes),
        arguments=f"_parallel({given}, &backwards)" if split else f"({given})",
        backwards=BACKWARDS.replace("@", name) if split else "",
    )


def packed(fields: list[Mapping[str, Any]], codes: Mapping[str, np.ndarray]) -> bytes:
    """Frames of codes as the program reads them: little endian, tensor after tensor in every frame."""
    count = len(next(iter(codes.values()), ()))
    rows = [
        np.ascontiguousarray(codes[f["name"]].reshape(count, -1).astype(np.dtype(f["dtype"]).newbyteorder("<")))
        for f in fields
    ]
    if not rows:
        return b"\0" * count
    joined = np.concatenate([r.view(np.uint8).reshape(count, -1) for r in rows], axis=1)
    return joined.tobytes()


def unpacked(fields: list[Mapping[str, Any]], data: bytes, count: int) -> dict[str, np.ndarray]:
    """The tensors [count, elements] of what the program wrote."""
    sizes = [f["elements"] * np.dtype(f["dtype"]).itemsize for f in fields]
    rows = np.frombuffer(data, np.uint8).reshape(count, sum(sizes))
    ends = np.cumsum(sizes)
    found = {}
    for f, start, end in zip(fields, ends - sizes, ends, strict=True):
        part = np.ascontiguousarray(rows[:, start:end])
        found[f.get("name", f.get("layer"))] = part.view(np.dtype(f["dtype"]).newbyteorder("<")).reshape(count, -1)
    return found
