"""The end of every inner loop: sums are clamped and stored."""

from __future__ import annotations

FACTS: tuple[str, str] = (" and the clamp", "  float lo, hi;\n")
"""What the structs of facts have at their end."""


def held(clamp: str) -> list[str]:
    """Statements that load the bounds."""
    lines = []
    if "low" in clamp:
        lines.append("const float32x4_t low = vdupq_n_f32(t->lo);")
    if "high" in clamp:
        lines.append("const float32x4_t high = vdupq_n_f32(t->hi);")
    return lines


def clamped(value: str, clamp: str) -> str:
    """The expression of a clamped vector."""
    value = f"vmaxq_f32({value}, low)" if "low" in clamp else value
    return f"vminq_f32({value}, high)" if "high" in clamp else value


def stored(to: str, value: str, count: int) -> list[str]:
    """Statements that store the first `count` lanes of a variable."""
    if count == 4:
        return [f"vst1q_f32({to}, {value});"]
    if count == 1:
        return [f"vst1q_lane_f32({to}, {value}, 0);"]
    lines = [f"vst1_f32({to}, vget_low_f32({value}));"]
    return lines + ([f"vst1q_lane_f32({to} + 2, {value}, 2);"] if count == 3 else [])
