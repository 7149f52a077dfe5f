"""A program that takes the time of an inference on the machine it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROGRAM = """\
/* Nanoseconds of an inference: one warm-up, then the mean of as many as MILLISECONDS need, RUNS times, a line each.

   usage: time INPUTS RUNS MILLISECONDS */

#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "{name}.h"

static {upper}_ALIGNED uint8_t arena[{upper}_ARENA_BYTES];
{buffers}

static double now(void) {{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}}

int main(int argc, char **argv) {{
  FILE *in = argc > 3 ? fopen(argv[1], "rb") : 0;
  if (in == 0) {{ return 2; }}
{reads}
  fclose(in);
  const int runs = atoi(argv[2]);
  const double least = atof(argv[3]) * 1e6;
  if ({name}_run({arguments}, arena) != 0) {{ return 1; }}
  long count = 1;
  for (int k = -1; k < runs; k++) {{
    double spent;
    for (;;) {{
      const double start = now();
      for (long i = 0; i < count; i++) {{
        {name}_run({arguments}, arena);
      }}
      spent = now() - start;
      if (spent >= least || count > 1000000000) {{ break; }}
      count *= 2;
    }}
    if (k >= 0) {{ printf("%.1f\\n", spent / (double)count); }} /* the first run found the count */
  }}
  return 0;
}}
"""


def timing_source(interface: Mapping[str, Any]) -> str:
    """The program's source."""
    buffers, reads, arguments = [], [], []
    for side in ("inputs", "outputs"):
        for a in interface[side]:
            buffer = f"{side[:-1]}_{a['argument']}"
            buffers.append(f"static {a['ctype']} {buffer}[{max(a['elements'], 1)}];")
            arguments.append(buffer)
            if side == "inputs" and a["elements"]:
                test = f"fread({buffer}, sizeof({a['ctype']}), {a['elements']}, in) != {a['elements']}"
                reads.append(f"  if ({test}) {{ return 2; }}")
    name = interface["name"]
    return PROGRAM.format(
        name=name,
        upper=name.upper(),
        buffers="\n".join(buffers),
        reads="\n".join(reads),
        arguments=", ".join(arguments),
    )
