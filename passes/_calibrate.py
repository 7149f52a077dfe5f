"""Runs the float graph on calibration frames and keeps, per tensor, its range and a sample of its values.

The minimum and maximum are exact over all frames. The sample holds every value while there are at most
`SAMPLE` of them, else a seeded random choice of that many; percentiles and squared errors are taken from it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.frames import encode_frames
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Input, Op, Pad
from edgec.pipeline import Context

SAMPLE = 1 << 18
"""Values kept per tensor."""

Synthetic = Literal["normal", "uniform"]


@dataclass
class Statistics:
    """What calibration knows about one tensor."""

    lo: float = np.inf
    hi: float = -np.inf
    samples: list[np.ndarray] = field(default_factory=list)

    def see(self, values: np.ndarray, keep: int, generator: np.random.Generator) -> None:
        """Take in `values`, and up to `keep` of them into the sample."""
        if not values.size:
            return
        self.lo, self.hi = min(self.lo, float(values.min())), max(self.hi, float(values.max()))
        if keep:
            flat = values.reshape(-1)
            self.samples.append(flat[generator.integers(0, flat.size, keep)] if flat.size > keep else np.array(flat))

    @property
    def sample(self) -> np.ndarray:
        """The sampled values, float32 or float64 [n]."""
        return np.concatenate(self.samples) if self.samples else np.zeros(0, np.float32)


def merged(parts: Collection[Statistics]) -> Statistics:
    """Statistics of several tensors that will share a format."""
    return Statistics(min(p.lo for p in parts), max(p.hi for p in parts), [s for p in parts for s in p.samples])


def collect(
    graph: Graph, tensors: Collection[Op], frames: Mapping[str, np.ndarray], *, sample: bool, seed: int
) -> dict[Op, Statistics]:
    """Statistics of `tensors` (no constants) over `frames` of codes; E0210 when a value is not finite."""
    generator = np.random.default_rng(seed)
    statistics = {op: Statistics() for op in tensors}
    total = max(next((a.shape[0] for a in frames.values()), 1), 1)

    def see(op: Op, values: np.ndarray) -> None:
        if (seen := statistics.get(op)) is not None:
            if isinstance(op, Pad) and math.isinf(op.value):
                values = values[np.isfinite(values)]  # a pooling's padding: any lowest code does
            keep = max(SAMPLE * values.shape[0] // total, 1) if sample else 0
            seen.see(values, keep, generator)

    for op in tensors:
        if isinstance(op, Input):
            see(op, np.asarray(frames[op.name], np.float32))
    run(graph, frames, observe=see)
    for op, seen in statistics.items():
        if not (np.isfinite(seen.lo) and np.isfinite(seen.hi)):
            raise EdgecError(
                "E0210",
                "calibration reached values that are no finite numbers",
                layer=op.label,
                op=op.mnemonic,
                why=f"the range is {seen.lo} to {seen.hi}",
                remedy="check the calibration data for overflow, NaN and a wrong scale",
            )
    return statistics


def calibration_frames(graph: Graph, context: Context, kind: Synthetic, count: int) -> dict[str, np.ndarray]:
    """Codes of every input: from `context.calibration`, or synthetic ones and the warning W0001 that says so."""
    if context.calibration is not None:
        frames = encode_frames(graph, context.calibration)
        if any(a.shape[0] == 0 for a in frames.values()):
            raise EdgecError("E0210", "the calibration data holds no frame")
        return frames
    generator = np.random.default_rng(context.seed)
    frames = {}
    for wanted in graph.inputs:
        shape, fmt = (count, *wanted.shape), wanted.format
        if not fmt.is_float:
            lo, hi = fmt.code_range
            frames[wanted.name] = generator.integers(lo, hi, shape, endpoint=True).astype(fmt.dtype)
        elif kind == "normal":
            frames[wanted.name] = generator.standard_normal(shape).astype(fmt.dtype)
        else:
            frames[wanted.name] = generator.random(shape).astype(fmt.dtype)
    stated = "normal numbers (mean 0, deviation 1)" if kind == "normal" else "numbers uniform in 0..1"
    context.warn(
        "W0001",
        "quantised without calibration data: the ranges are those of noise",
        why=f"calibrated on {count} synthetic frames of {stated}, seed {context.seed}; real inputs differ",
        remedy="give calibration data (.npz or .npy of real inputs)",
    )
    return frames
