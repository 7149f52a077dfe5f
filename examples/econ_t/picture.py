"""Draw true and decoded modules side by side: modules.svg, self-contained, no plotting library.

Each column is one synthetic event; the rows are the true module and what the float decoder makes of the
chip's codes (`econ-t` numerics) in either design. Cells are coloured by their share of the module's charge,
relative to the largest true share.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from generator import KINDS, MIPT, encoder_input, generate
from geometry import DESIGNS, POSITIONS
from metrics import decode, earth_movers_distance, shares
from reference import CODE_FRACTION, encode, load_weights

HERE = Path(__file__).resolve().parent
SEED, EVENTS = 4, 1500
COLUMNS = (  # kind, fewest and most cells above 1 MIPT
    ("single", 1, 1),
    ("sparse", 2, 2),
    ("sparse", 5, 5),
    ("electromagnetic", 3, 9),
    ("electromagnetic", 14, 22),
    ("hadronic", 18, 26),
    ("pileup", 12, 18),
    ("saturated", 30, 48),
)
PITCH, WIDTH, HEIGHT, LEFT, TOP = 19.0, 152.0, 174.0, 96.0, 60.0
COLOURS = np.array(
    [[247, 246, 242], [203, 222, 214], [120, 181, 190], [43, 125, 163], [38, 66, 122], [27, 20, 66]], float
)
STYLE = "text{font-family:Helvetica,Arial,sans-serif;fill:#222}.c{stroke:#b9b7b0;stroke-width:.6}"


def colour(value: float) -> str:
    """A colour for 0..1, pale to dark; square-root scale, so that small charges stay visible."""
    t = float(np.sqrt(min(max(value, 0.0), 1.0))) * (len(COLOURS) - 1)
    low = min(int(t), len(COLOURS) - 2)
    r, g, b = np.rint(COLOURS[low] + (t - low) * (COLOURS[low + 1] - COLOURS[low])).astype(int)
    return f"#{r:02x}{g:02x}{b:02x}"


def text(x: float, y: float, content: str, size: int = 11, anchor: str = "middle", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{content}</text>"
    )


def module(image: np.ndarray, peak: float, x: float, y: float) -> list[str]:
    """The 48 cells of one module, centred at (x, y)."""
    return [
        f'<use href="#c" x="{x + PITCH * u:.1f}" y="{y - PITCH * v:.1f}" fill="{colour(share / peak)}"/>'
        for (u, v), share in zip(POSITIONS, image, strict=True)
    ]


def choose() -> np.ndarray:
    """Charges [columns, 48] of the first event that fits each column and no earlier one."""
    charges, kind = generate(EVENTS, SEED)
    occupancy = (charges > MIPT).sum(axis=1)
    chosen: list[int] = []
    for name, low, high in COLUMNS:
        fits = (kind == KINDS.index(name)) & (occupancy >= low) & (occupancy <= high)
        chosen.append(next(int(i) for i in np.flatnonzero(fits) if int(i) not in chosen))
    return charges[chosen]


def draw() -> str:
    charges = choose()
    true = shares(charges)
    rows = [("true", true, None)]
    for design in DESIGNS:
        code = encode(encoder_input(charges, design)[1], load_weights(HERE / f"econ_t_{design}.onnx"), "econ-t")
        decoded = decode(code / (1 << CODE_FRACTION), dict(np.load(HERE / f"decoder_{design}.npz")))
        rows.append((design, decoded, earth_movers_distance(true, decoded)))
    width, height = LEFT + WIDTH * len(COLUMNS) + 8, TOP + HEIGHT * len(rows) + 52
    corner = PITCH / np.sqrt(3.0) * np.exp(1j * np.pi / 3.0 * np.arange(6))
    points = " ".join(f"{p.real:.2f},{p.imag:.2f}" for p in corner)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}">',
        f'<style>{STYLE}</style><defs><polygon id="c" class="c" points="{points}"/></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    for column, (name, _, _) in enumerate(COLUMNS):
        x = LEFT + WIDTH * (column + 0.5)
        occupancy = int((charges[column] > MIPT).sum())
        out.append(text(x, 24, name, 13, weight="bold"))
        out.append(text(x, 42, f"{occupancy} cell{'s' if occupancy > 1 else ''} above 1 MIPT"))
    for row, (label, images, distance) in enumerate(rows):
        y = TOP + HEIGHT * (row + 0.5) - 6
        out.append(text(12, y, label if distance is None else "decoded", 13, "start", "bold"))
        if distance is not None:
            out.append(text(12, y + 17, label, 12, "start"))
        for column, image in enumerate(images):
            x = LEFT + WIDTH * (column + 0.5)
            out += module(image, true[column].max(), x, y)
            if distance is not None:
                out.append(text(x, y + 86, f"EMD {distance[column]:.2f}", 10))
    y = TOP + HEIGHT * len(rows) + 16
    out += [
        f'<rect x="{LEFT + 4 * i:.0f}" y="{y:.0f}" width="4.5" height="12" fill="{colour(i / 60)}"/>' for i in range(61)
    ]
    legend = "share of the charge, from 0 to the largest true share · EMD in half trigger-cell pitches"
    out.append(text(LEFT + 256, y + 10, f"{legend} · synthetic events", 11, "start"))
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    (HERE / "modules.svg").write_text(draw())
