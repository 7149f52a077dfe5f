"""Draws `digits.npz`: forty pictures of digits, strokes of a pen in four hands, for the C examples.

`image` is float32 [40, 1, 1, 28, 28] in 0..1, `label` the digit. The strokes are points in a square of side 1, y down.
"""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np


def arc(
    x: float, y: float, rx: float, ry: float, start: float, end: float, points: int = 24
) -> list[tuple[float, float]]:
    """Points on an ellipse, angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, end, points))
    return [(x + rx * np.cos(a), y + ry * np.sin(a)) for a in angles]


STROKES = {
    0: [arc(0.5, 0.5, 0.24, 0.36, 0, 360)],
    1: [[(0.42, 0.24), (0.54, 0.14), (0.52, 0.86)]],
    2: [[*arc(0.5, 0.32, 0.22, 0.18, 190, 400), (0.28, 0.84), (0.76, 0.82)]],
    3: [[*arc(0.48, 0.31, 0.2, 0.17, 200, 440), *arc(0.48, 0.66, 0.23, 0.19, 280, 510)]],
    4: [[(0.34, 0.16), (0.28, 0.52), (0.74, 0.5)], [(0.66, 0.18), (0.6, 0.88)]],
    5: [[(0.72, 0.15), (0.36, 0.16), (0.33, 0.45), *arc(0.47, 0.64, 0.23, 0.21, 250, 500)]],
    6: [[(0.62, 0.13), (0.42, 0.34), (0.31, 0.6), *arc(0.49, 0.67, 0.18, 0.18, 180, 545)]],
    7: [[(0.22, 0.3), (0.5, 0.24), (0.74, 0.25), (0.62, 0.5), (0.52, 0.9)]],
    8: [[*arc(0.5, 0.32, 0.17, 0.17, 90, 450), *arc(0.5, 0.67, 0.2, 0.18, 270, 630)]],
    9: [[*arc(0.5, 0.34, 0.19, 0.19, 0, 360), (0.68, 0.5), (0.62, 0.87)]],
}
HANDS = ((0.0, 1.4, 0.0, 0.0), (0.12, 1.2, 0.01, -0.01), (-0.06, 1.7, -0.01, 0.02), (0.2, 1.5, 0.0, 0.01))
"""Slant, half the width of the pen in pixels, shift to the right and down."""


def picture(digit: int, slant: float, pen: float, right: float, down: float) -> np.ndarray:
    """One picture, float32 [28, 28]: how much of every pixel the pen covered."""
    rows, columns = np.mgrid[0:28, 0:28]
    shade = np.zeros((28, 28))
    for stroke in STROKES[digit]:
        points = [(28 * (x + right + slant * (0.5 - y)) - 0.5, 28 * (y + down) - 0.5) for x, y in stroke]
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
            along = np.clip(((columns - x0) * (x1 - x0) + (rows - y0) * (y1 - y0)) / length, 0, 1)
            distance = np.hypot(columns - x0 - along * (x1 - x0), rows - y0 - along * (y1 - y0))
            shade = np.maximum(shade, np.clip(pen + 0.5 - distance, 0, 1))
    return (np.round(255 * shade) / 255).astype(np.float32)


def main() -> None:
    """Write the file beside this one; the same bytes every time."""
    drawn = [picture(digit, *hand) for hand in HANDS for digit in range(10)]
    stream = io.BytesIO()
    images = np.stack(drawn).reshape(-1, 1, 1, 28, 28)
    np.savez_compressed(stream, image=images, label=np.tile(np.arange(10), len(HANDS)))
    Path(__file__).with_name("digits.npz").write_bytes(stream.getvalue())


if __name__ == "__main__":
    main()
