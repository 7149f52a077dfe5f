"""Horizontal bars with error bars as inline SVG: the picture of area and energy in a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, LABEL, VALUE = 860, 230, 150
"""Width of the drawing and of its columns for names and figures, in SVG units."""
ROW, BAR, AXIS = 30, 14, 26


@dataclass(frozen=True)
class Bar:
    """One bar: `low` <= `nominal` <= `high`; `detail` is shown on hovering."""

    label: str
    low: float
    nominal: float
    high: float
    detail: str


def number(value: float) -> str:
    """Three significant digits, thousands separated, no exponent between 1e-3 and 1e15."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def span(figure: Mapping[str, Any]) -> str:
    """`2.07 (1.56 to 3.04)`, or the number alone when it has no error bar."""
    if figure["low"] == figure["high"]:
        return number(figure["nominal"])
    return f"{number(figure['nominal'])} ({number(figure['low'])} to {number(figure['high'])})"


def ticks(top: float, wanted: int = 5) -> list[float]:
    """Round axis values from 0 to at most `top`."""
    if top <= 0:
        return [0.0]
    raw = top / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    return [i * step for i in range(int(top / step + 1e-9) + 1)]


def bar_chart(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """The SVG of `bars`; bars of a length, whiskers from low to high, the figure at the right."""
    top = max((b.high for b in bars), default=0.0) or 1.0
    scale = (WIDTH - LABEL - VALUE) / top
    height = ROW * len(bars) + AXIS
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}, {escape(unit)}" '
        f'class="chart" xmlns="http://www.w3.org/2000/svg">'
    ]
    bottom = height - AXIS
    for value in ticks(top):
        x = _round(LABEL + value * scale)
        parts.append(f'<line class="grid" x1="{x}" y1="0" x2="{x}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{bottom + 16}" text-anchor="middle">{number(value)}</text>')
    parts.append(f'<text class="tick" x="{WIDTH}" y="{bottom + 16}" text-anchor="end">{escape(unit)}</text>')
    for row, bar in enumerate(bars):
        parts += _row(bar, row * ROW + ROW / 2, scale)
    return "\n".join([*parts, "</svg>"])


def _row(bar: Bar, y: float, scale: float) -> list[str]:
    low, nominal, high = (_round(LABEL + v * scale) for v in (bar.low, bar.nominal, bar.high))
    shown = bar.label if len(bar.label) <= 34 else "…" + bar.label[-33:]
    figure = span({"low": bar.low, "nominal": bar.nominal, "high": bar.high})
    parts = [
        f"<g><title>{escape(bar.detail)}</title>",
        f'<text class="name" x="{LABEL - 10}" y="{y + 4}" text-anchor="end">{escape(shown)}</text>',
        f'<rect class="bar" x="{LABEL}" y="{y - BAR / 2}" width="{_round(max(nominal - LABEL, 0.5))}" '
        f'height="{BAR}" rx="2"/>',
    ]
    if bar.low != bar.high:
        parts.append(
            f'<path class="whisker" d="M{low} {y - 4}V{y + 4}M{low} {y}H{high}M{high} {y - 4}V{y + 4}" fill="none"/>'
        )
    parts.append(f'<text class="figure" x="{WIDTH}" y="{y + 4}" text-anchor="end">{escape(figure)}</text></g>')
    return parts


def _round(value: float) -> float:
    return round(value, 1)
