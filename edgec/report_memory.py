"""The arena of C code over the steps, as inline SVG: across, the steps; up, the bytes; a box for every tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from edgec.report_chart import WIDTH, number, ticks

LEFT, HEIGHT, AXIS = 70, 260, 34
"""Width of the column for bytes, height of the picture and of the axis below it, in SVG units."""
LETTER = 6.5
"""Width of a letter; a name that does not fit into its box is left out."""
MOST_LABELS = 24


def memory_chart(memory: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> str | None:
    """The SVG of `memory`, the memory plan of an interface, or None without an arena; `steps` are the kernels."""
    rows, arena, count = memory["map"], memory["arena_bytes"], len(steps)
    if not rows or not arena or not count:
        return None
    across, up = (WIDTH - LEFT) / count, HEIGHT / arena
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + AXIS}" role="img" aria-label="Arena over the steps, bytes" '
        f'class="chart" xmlns="http://www.w3.org/2000/svg">'
    ]
    for value in ticks(arena):
        y = round(HEIGHT - value * up, 1)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{max(y, 8) + 4}" text-anchor="end">{number(value)}</text>')
    for row in rows:
        parts += _box(row, steps, across, up)
    every = -(-count // MOST_LABELS)
    for k in range(0, count, every):
        x = round(LEFT + (k + 0.5) * across, 1)
        parts.append(f'<text class="tick" x="{x}" y="{HEIGHT + 16}" text-anchor="middle">{k}</text>')
    parts.append(f'<text class="tick" x="{WIDTH}" y="{HEIGHT + 30}" text-anchor="end">step</text>')
    parts.append(f'<text class="tick" x="{LEFT - 8}" y="{HEIGHT + 16}" text-anchor="end">bytes</text>')
    return "\n".join([*parts, "</svg>"])


def _box(row: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], across: float, up: float) -> list[str]:
    first, last = row["first_step"], min(row["last_step"], len(steps) - 1)
    x, width = LEFT + first * across, (last - first + 1) * across
    height = row["bytes"] * up
    y = max(HEIGHT - row["offset"] * up - height, 0.0)
    layers = steps[first]["layers"]
    label = layers[-1] if layers and not row["name"].startswith("scratch") else row["name"]
    when = f"step {first}" if first == last else f"steps {first} to {last}"
    detail = f"{row['name']}: {row['bytes']:,} bytes at {row['offset']:,}, {when}" + (
        f" — {', '.join(layers)}" if layers else ""
    )
    parts = [
        f"<g><title>{escape(detail)}</title>",
        f'<rect class="room" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(height, 0.5):.1f}"/>',
    ]
    if len(label) * LETTER < width - 4 and height > 13:
        middle = f'x="{x + width / 2:.1f}" y="{y + height / 2 + 4:.1f}"'
        parts.append(f'<text class="inside" {middle} text-anchor="middle">{escape(label)}</text>')
    return [*parts, "</g>"]
