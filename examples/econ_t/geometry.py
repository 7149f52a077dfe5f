"""The 48 trigger cells of one hexagonal module, and the order in which each encoder design reads them.

A module is three rhombi of 4x4 hexagonal trigger cells, turned by 120 degrees about the module's centre.
Physical cell 16*k + 4*i + j is step i along the first edge and step j along the second edge of rhombus k,
counted from the centre. The chip has a 48-entry multiplexer before the normaliser; its setting decides in
which order the cells reach the encoder, and differs between the two designs:

- 8x8x1: the three rhombi become three quadrants of an 8x8 image, laid so that neighbours across two of the
  three seams stay neighbours in the image. Slots 0-31 fill rows 0-3 (8 a row), slots 32-47 rows 4-7 columns
  0-3; the last quadrant is zero.
- 4x4x3: slot = physical cell; channel c holds slots 16c..16c+15, row-major.

Lengths are in units of the trigger-cell pitch.
"""

from __future__ import annotations

import numpy as np

CELLS = 48
DESIGNS = ("8x8x1", "4x4x3")
INPUT_SHAPE = {"8x8x1": (1, 8, 8), "4x4x3": (3, 4, 4)}


def _direction(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


def _positions() -> np.ndarray:
    cells = np.empty((3, 4, 4, 2))
    steps = np.arange(4)
    for k in range(3):
        turn = 120.0 * k
        # The module's centre is a corner where three cells meet, so the first cell lies 1/sqrt(3) from it.
        cells[k] = _direction(120.0 + turn) / np.sqrt(3.0)
        cells[k] += steps[:, None, None] * _direction(90.0 + turn)
        cells[k] += steps[None, :, None] * _direction(210.0 + turn)
    return cells.reshape(CELLS, 2)


def _multiplexer_8x8x1() -> np.ndarray:
    """Physical cell that reaches each slot of the 8x8x1 design."""
    image = np.full((8, 8), -1)
    i, j = np.divmod(np.arange(16), 4)
    image[3 - i, 3 - j] = 4 * i + j  # rhombus 0: edges up and left
    image[4 + j, 3 - i] = 16 + 4 * i + j  # rhombus 1: edges left and down
    image[3 - j, 4 + i] = 32 + 4 * i + j  # rhombus 2: edges right and up
    return np.concatenate([image[:4].reshape(-1), image[4:, :4].reshape(-1)])


POSITIONS = _positions()
"""Cell centres [48, 2] in physical order."""

DISTANCES = np.linalg.norm(POSITIONS[:, None] - POSITIONS[None, :], axis=-1)
"""Distances [48, 48] between cell centres in physical order."""

MULTIPLEXER = {"8x8x1": _multiplexer_8x8x1(), "4x4x3": np.arange(CELLS)}
"""Physical cell of each slot [48], for each design."""

PHYSICAL_TO_SLOT = {design: np.argsort(order) for design, order in MULTIPLEXER.items()}
"""Slot of each physical cell [48], for each design."""


def place(slots: np.ndarray, design: str) -> np.ndarray:
    """Put values in slot order [N, 48] into the encoder's input image [N, channels, rows, columns]."""
    if design == "4x4x3":
        return slots.reshape(-1, 3, 4, 4).copy()
    if design != "8x8x1":
        raise ValueError(f"design {design!r}: expected one of {', '.join(DESIGNS)}")
    image = np.zeros((len(slots), 1, 8, 8), slots.dtype)
    image[:, 0, :4] = slots[:, :32].reshape(-1, 4, 8)
    image[:, 0, 4:, :4] = slots[:, 32:].reshape(-1, 4, 4)
    return image


def groups_of_four() -> tuple[np.ndarray, np.ndarray]:
    """The telescope loss's 36 overlapping 2x2 groups: membership [36, 48] and weights [36], physical order.

    Nine groups lie inside each rhombus and three straddle each seam. A group weighs the mean of 1/coverage of
    its cells, so that cells at the edge, which are in fewer groups, count as much as the others.
    """
    inside = np.zeros((3, 3, 3, CELLS))
    seam = np.zeros((3, 3, CELLS))
    for k in range(3):
        for i in range(3):
            for j in range(3):
                cells = [16 * k + 4 * (i + a) + (j + b) for a in (0, 1) for b in (0, 1)]
                inside[k, i, j, cells] = 1.0
            # Rhombus k's second edge (i = 0) meets rhombus k+1's first edge (j = 0), step by step.
            nxt = 16 * ((k + 1) % 3)
            seam[k, i, [16 * k + i, 16 * k + i + 1, nxt + 4 * i, nxt + 4 * (i + 1)]] = 1.0
    member = np.concatenate([inside.reshape(27, CELLS), seam.reshape(9, CELLS)])
    coverage = member.sum(axis=0)
    return member, (member / coverage).sum(axis=1) / 4.0
