"""The ranking of weight bits by what a flip does to the outputs, worst first: a file between `faults` and `build`.

`edgec faults out/ --rank ranking.json` writes it, `edgec build --harden ...,budget=20% --ranking ranking.json` reads
it. Bits are positions in the register bank: 32 * word address + bit. It is JSON with a schema version and the network
id, so that the ranking of another network is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import sha256, to_json
from edgec.diagnostics import EdgecError

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Ranking:
    """`positions` [bits] of the bank, worst first, with their `scores` (not ascending) in units of `metric`."""

    network_id: str
    metric: str
    frames: int
    positions: np.ndarray
    scores: np.ndarray
    file: str = ""
    digest: str = ""

    def as_bytes(self) -> bytes:
        data = {
            "schema_version": SCHEMA_VERSION,
            "kind": "edgec weight bit ranking",
            "network_id": self.network_id,
            "metric": self.metric,
            "frames": self.frames,
            "positions": self.positions.tolist(),
            "scores": [float(f"{s:.9g}") for s in self.scores.tolist()],
        }
        return to_json(data)

    def summary(self) -> dict[str, Any]:
        """For a manifest: where the ranking comes from."""
        return {"file": self.file, "sha256": self.digest, "metric": self.metric, "frames": self.frames}

    def check(self, network_id: str, positions: np.ndarray) -> None:
        """E0703 unless this ranks exactly the bits `positions` of the network."""
        source = self.file or "the ranking"
        if self.network_id != network_id:
            raise EdgecError(
                "E0703",
                f"{source} ranks the weights of another network",
                why=f"its network id is {self.network_id}, the design's is {network_id}",
                remedy="rank the bits of a build of this model with edgec faults OUT --rank FILE",
            )
        if not np.array_equal(np.sort(self.positions), np.sort(positions)):
            raise EdgecError("E0703", f"{source} does not rank the {positions.size} weight bits of this design")


def ranked(network_id: str, metric: str, frames: int, positions: np.ndarray, scores: np.ndarray) -> Ranking:
    """The ranking of bits with `scores` [bits]; equal scores stay in the order of the bank."""
    order = np.argsort(-scores, kind="stable")
    return Ranking(network_id, metric, frames, positions[order], scores[order])


def read_ranking(path: str | Path) -> Ranking:
    """A ranking from a file; E0202 when it cannot be read, E0210 when it is none."""
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise EdgecError("E0202", f"ranking {file} cannot be read", why=error.strerror) from None
    try:
        content = json.loads(data)
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {content['schema_version']}, {SCHEMA_VERSION} wanted")
        positions, scores = content["positions"], content["scores"]
        if not all(type(p) is int and 0 <= p < 1 << 40 for p in positions) or len(set(positions)) != len(positions):
            raise ValueError("positions must be different non-negative integers")
        values = np.array(scores, np.float64)
        if values.shape != (len(positions),) or not np.isfinite(values).all():
            raise ValueError("every position needs a finite score")
        identity, metric, frames = str(content["network_id"]), str(content["metric"]), int(content["frames"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise EdgecError("E0210", f"{file.name} is no ranking of weight bits", why=why) from None
    return Ranking(identity, metric, frames, np.array(positions, np.int64), values, file.name, sha256(data))
