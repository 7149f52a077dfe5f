"""The functions of `backends/c/single.py`: fits of their coefficients, and their errors over binary32.

    python bench/single_functions.py [--fit]

Errors are those of compiled C code against numpy's functions of binary64, in units in the last place of the result
(exp, sigmoid), or of 2^-24 (tanh and erf, whose results are compared with 1).
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from math import erf, erfc
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.single import TEXTS

Function = Callable[[NDArray], NDArray]
ERF, ERFC = np.vectorize(erf), np.vectorize(erfc)
LIMIT = 0.5 * np.log(2) * 1.002
FITS: dict[str, tuple[Function, Function, float, float, int]] = {
    "exp: (e^r - 1 - r) / r^2": (lambda r: (np.expm1(r) - r) / r**2, lambda r: r * r / np.exp(r), -LIMIT, LIMIT, 4),
    "tanh: (tanh(a) / a - 1) / a^2 of a^2": (
        lambda z: (np.tanh(z**0.5) / z**0.5 - 1) / z, lambda z: z**1.5 / np.tanh(z**0.5), 1e-3, 0.4, 4
    ),
    "erf: erf(a) / a of a^2": (lambda z: ERF(z**0.5) / z**0.5, lambda z: z**0.5 / ERF(z**0.5), 1e-9, 1.0, 6),
    "erf: log(1 - erf(a)) of a": (lambda a: np.log(ERFC(a)), lambda a: ERFC(a) / ERF(a), 0.95, 4.0, 6),
}  # fmt: skip
"""What is fitted, the weight of its error, the interval and the degree."""
PROGRAM = """
#include <math.h>
#include <stdint.h>
#include <stdio.h>
%s
int main(void) {
  float x;
  while (fread(&x, 4, 1, stdin) == 1) { const float y = t_%s_f32(x); fwrite(&y, 4, 1, stdout); }
  return 0;
}
"""


def fitted(f: Function, weight: Function, a: float, b: float, degree: int) -> tuple[NDArray, float]:
    """Coefficients, lowest first, whose largest weighted error is least (Lawson's iteration), and that error."""
    x = (a + b) / 2 + (b - a) / 2 * np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)
    y, w, powers = f(x), weight(x), np.vander(x, degree + 1, increasing=True)
    share = np.ones_like(x)
    c = np.zeros(degree + 1)
    for _ in range(60):
        s = np.sqrt(share) * w
        c = np.linalg.lstsq(powers * s[:, None], y * s, rcond=None)[0]
        share *= np.abs((powers @ c - y) * w) + 1e-30
        share /= share.mean()
    return c, float(np.abs((powers @ c - y) * w).max())


def computed(name: str, x: NDArray, folder: Path) -> NDArray:
    """The C function of every element."""
    source, program = folder / f"{name}.c", folder / name
    texts = [TEXTS["exp"], TEXTS[name]] if name != "exp" else [TEXTS["exp"]]
    source.write_text(PROGRAM % ("".join(texts).replace("@", "t_"), name))
    command = ["gcc", "-std=c99", "-O2", "-ffp-contract=off", "-o", str(program), str(source), "-lm"]
    subprocess.run(command, check=True, timeout=60)
    done = subprocess.run([program], input=x.tobytes(), capture_output=True, check=True, timeout=600)
    return np.frombuffer(done.stdout, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fit", action="store_true", help="print coefficients, lowest power first")
    if parser.parse_args().fit:
        for name, fit in FITS.items():
            c, error = fitted(*fit)
            print(f"{name}: error {error:.1e}: {', '.join(float(np.float32(v)).hex() for v in c)}")
    bits = np.arange(0, 1 << 32, 509, np.uint64).astype(np.uint32)  # every 509th number, both signs, infinities near
    x = bits.view(np.float32)
    x = x[np.isfinite(x)]
    wide = x.astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        exact = {
            "exp": np.exp(wide),
            "sigmoid": np.where(wide >= 0, 1, np.exp(-np.abs(wide))) / (1 + np.exp(-np.abs(wide))),
            "tanh": np.tanh(wide),
            "erf": np.concatenate([ERF(part) for part in np.array_split(wide, 64)]),
        }
    with tempfile.TemporaryDirectory(prefix="edgec-bench-") as folder:
        for name, y in exact.items():
            made = computed(name, x, Path(folder))
            with np.errstate(over="ignore"):
                rounded = y.astype(np.float32)
            same = made == rounded
            far = ~same & ~(np.isfinite(rounded) & np.isfinite(made))
            unit = np.spacing(np.abs(rounded)).astype(np.float64)
            error = np.abs(made[~same & ~far] - y[~same & ~far])
            ulp = (error / unit[~same & ~far]).max(initial=0.5)
            print(f"{name:8} {len(x)} numbers: {100 * same.mean():.2f} % correctly rounded, worst {ulp:.2f} ulp, "
                  f"{(error[np.abs(y[~same & ~far]) <= 1] * 2**24).max(initial=0):.2f} x 2^-24 up to 1; "
                  f"{int(far.sum())} infinite where the other is not")  # fmt: skip
            special = computed(name, np.array([np.nan, np.inf, -np.inf, -0.0], np.float32), Path(folder))
            print(f"         of nan, inf, -inf, -0: {special.tolist()}")


if __name__ == "__main__":
    main()
