"""Golden frames as C, and a program that checks them: a test that runs on a board without files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgec.backends.c.numerals import PER_LINE, initialisers

GOLDEN_BYTES = 16 << 10
"""So much data at the most, but one frame at the least."""
GOLDEN_FRAMES = 16
TOLERANCE = 1e-4
"""Of floats, relative to the largest of the tensor in all frames: functions of the mathematical library differ."""

SELFTEST = """\
/* Runs the golden frames and compares the outputs with those of the reference; exit status 0 if all are right. */

#include <stdint.h>
#include <stdio.h>

#include "{name}.h"
#include "{name}_golden.h"

static {upper}_ALIGNED uint8_t arena[{upper}_ARENA_BYTES];
{buffers}

int main(void) {{
  int wrong = 0;
  for (int frame = 0; frame < {upper}_GOLDEN_FRAMES; frame++) {{
    int differs = {name}_run({arguments}, arena);
{compare}
    wrong += differs != 0;
  }}
  printf("{name}: %d of %d golden frames wrong\\n", wrong, {upper}_GOLDEN_FRAMES);
  return wrong != 0;
}}
"""

EXACT = "differs |= {have} != {want};"
NUMBER = """\
const double have = (double){have}, want = (double){want};
      differs |= !(have == want || (have - want <= {reach} && want - have <= {reach})
                   || (have != have && want != want));"""
HALF = """\
const int have = {have} & 0x8000 ? 0x8000 - {have} : {have};
      const int want = {want} & 0x8000 ? 0x8000 - {want} : {want};
      differs |= have - want > 2 || want - have > 2; /* units in the last place */"""


def golden_files(
    interface: Mapping[str, Any], inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> dict[str, bytes]:
    """`sim/NAME_golden.h` and `sim/NAME_selftest.c` with the first frames of `inputs` and `outputs` [F, *shape]."""
    name = interface["name"]
    sides = ((interface["inputs"], inputs, "in"), (interface["outputs"], outputs, "out"))
    frame_bytes = sum(np.dtype(a["dtype"]).itemsize * a["elements"] for fields, _, _ in sides for a in fields)
    given = min((len(v) for v in inputs.values()), default=1)
    count = max(1, min(given, GOLDEN_FRAMES, GOLDEN_BYTES // max(frame_bytes, 1)))
    upper = name.upper()
    lines = [
        f"/* Golden frames of the model `{name}`: codes for {name}_run, and what the reference makes of them. */",
        f"#ifndef {upper}_GOLDEN_H",
        f"#define {upper}_GOLDEN_H",
        "",
        "#include <math.h>",
        "#include <stdint.h>",
        "",
        f"#define {upper}_GOLDEN_FRAMES {count}",
    ]
    buffers, compare = [], []
    for fields, values, side in sides:
        for a in fields:
            data = np.asarray(values[a["name"]][:count]).astype(a["dtype"], copy=False).reshape(-1)
            if a["dtype"] == "float16":
                data = data.view(np.uint16)
            array, size = f"{name}_golden_{side}_{a['argument']}", max(a["elements"], 1)
            lines += ["", f"static const {a['ctype']} {array}[{count * size}] = {{", numbers(data), "};"]
            if side == "out":
                buffers.append(f"static {a['ctype']} {a['argument']}_out[{size}];")
                compare += comparison(a, array, np.asarray(values[a["name"]]))
    arguments = [f"{name}_golden_in_{a['argument']} + frame * {max(a['elements'], 1)}" for a in interface["inputs"]]
    arguments += [f"{a['argument']}_out" for a in interface["outputs"]]
    main = SELFTEST.format(
        name=name, upper=upper, buffers="\n".join(buffers), arguments=", ".join(arguments), compare="\n".join(compare)
    )
    header = "\n".join([*lines, "", f"#endif /* {upper}_GOLDEN_H */"]) + "\n"
    return {f"sim/{name}_golden.h": header.encode(), f"sim/{name}_selftest.c": main.encode()}


def numbers(values: np.ndarray) -> str:
    """Elements as lines of C; floats in decimal and exact, because C++ before 2017 has no others."""
    if values.dtype.kind != "f" or not values.size:
        return initialisers(values)
    suffix, digits = ("", 17) if values.dtype == np.float64 else ("f", 9)

    def word(v: float) -> str:
        if v != v or v in (float("inf"), float("-inf")):
            return "NAN" if v != v else "INFINITY" if v > 0 else "-INFINITY"
        text = f"{v:.{digits}g}"
        return f"{text}{'' if '.' in text or 'e' in text else '.0'}{suffix}"

    words = [word(v) for v in values.astype(np.float64).tolist()]
    return "\n".join("  " + ", ".join(words[i : i + PER_LINE]) + "," for i in range(0, len(words), PER_LINE))


def comparison(field: Mapping[str, Any], array: str, values: np.ndarray) -> list[str]:
    """Statements that set `differs` where an output is not the golden one; none for an output without elements."""
    if not field["elements"]:
        return []
    texts = {"float16": HALF, "float32": NUMBER, "float64": NUMBER}
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0)) if values.dtype.kind == "f" else 0.0
    place = {"have": f"{field['argument']}_out[i]", "want": f"{array}[frame * {field['elements']} + i]"}
    test = texts.get(field["dtype"], EXACT).format(**place, reach=(TOLERANCE * largest).hex())
    return [f"    for (int i = 0; i < {field['elements']}; i++) {{", f"      {test}", "    }"]
