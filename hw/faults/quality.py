"""How bad changed outputs are: the change of real values, and the change of a metric where one is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.interp.registry import frame_levels
from edgec.ops import Op

Loss = Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""Real outputs by name [N, *shape] to the loss of every frame [N]; less is better."""

CHANGE = "mean absolute output change"


def real_values(op: Op, codes: np.ndarray) -> np.ndarray:
    """Codes [..., *shape] of `op` as real numbers."""
    fmt = op.format
    if fmt.is_float:
        return np.asarray(codes, np.float64)
    scale = fmt.scale_array
    if fmt.axis is not None and scale.size > 1:
        scale = scale.reshape([scale.size if i == fmt.axis % len(op.shape) else 1 for i in range(len(op.shape))])
    else:
        scale = scale.reshape(1)
    return frame_levels(codes, op) * scale


@dataclass(frozen=True)
class Quality:
    """The metric of a campaign: its name, and the loss of frames [start, start + n); None for the output change."""

    name: str = CHANGE
    loss: Loss | None = None
    labels: np.ndarray | None = None

    @property
    def measured(self) -> bool:
        return self.loss is not None or self.labels is not None

    def losses(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Loss of every frame: outputs by name are real [N, F, *shape] or [F, *shape]; result [N, F] or [F]."""
        values = list(outputs.values())
        if self.labels is not None:
            lead = values[0].ndim - self._rank
            flat = values[0].reshape(*values[0].shape[:lead], -1)
            return (flat.argmax(axis=-1) != self.labels).astype(np.float64)
        assert self.loss is not None
        lead = values[0].ndim - self._rank
        if lead == 1:
            return self._checked(outputs, len(values[0]))
        shape = values[0].shape[:2]
        return self._checked({n: v.reshape(-1, *v.shape[2:]) for n, v in outputs.items()}, shape[0] * shape[1]).reshape(
            shape
        )

    def _checked(self, outputs: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        assert self.loss is not None
        losses = np.asarray(self.loss(outputs), np.float64)
        if losses.shape != (count,) or not np.isfinite(losses).all():
            raise EdgecError(
                "E0204",
                f"the metric {self.name!r} gave {losses.dtype} {list(losses.shape)}",
                why=f"one finite loss a frame is needed: [{count}]",
            )
        return losses

    _rank: int = 0


def quality_of(graph: Graph, frames: int, labels: np.ndarray | None, metric: Loss | None) -> Quality:
    """The metric of a campaign: `metric`, else the top-1 error against `labels` [F], else the output change."""
    _, first = graph.outputs[0]
    rank = len(first.shape)
    if metric is not None:
        return Quality(getattr(metric, "__name__", "metric"), metric, None, rank)
    if labels is None:
        return Quality()
    values = np.asarray(labels)
    if values.shape != (frames,) or values.dtype.kind not in "iu":
        raise EdgecError(
            "E0210", f"labels are {values.dtype} {list(values.shape)}", why=f"{frames} integers are needed, one a frame"
        )
    classes = first.tensor.size
    if len(graph.outputs) != 1 or values.min() < 0 or values.max() >= classes:
        raise EdgecError("E0210", f"labels need one output of classes 0 to {classes - 1}")
    return Quality("top-1 error", None, values.astype(np.int64), rank)
