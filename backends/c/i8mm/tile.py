"""Convolutions and dense layers with SMMLA: pairs of places in a row times pairs of output channels.

Sums of two places and two channels are a vector; SMMLA adds to it eight bytes of both places times eight of both
channels, 32 multiplications. The two places of a vector part only when their sums are bytes, so `numbers` has
everything of two channels twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.finish import stored
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.int8.tile import ByteTile
from edgec.backends.c.vector.tile import LANES

MOST_PAIRS = {4: 3, 3: 3, 2: 4, 1: 6}
"""Pairs of places that are computed together, by vectors of channels: as many as registers hold sums of."""


class MatrixTile(ByteTile):
    """The rest of a run is counted in words of eight bytes. Of an odd number of places the last is with itself."""

    FAMILY = "matrix"

    @classmethod
    def pieces(cls, run: int) -> tuple[int, int]:
        return run // 16, -(-(run % 16) // 8)

    @classmethod
    def block(cls, places: int) -> int:
        return 4

    @classmethod
    def split(cls, places: int, run: int, vectors: int) -> list[tuple[int, int]]:
        """As pairs; the last place of an odd number goes with those before it."""
        found: list[tuple[int, int]] = []
        pairs = -(-places // 2)
        count = -(-pairs // MOST_PAIRS[vectors])
        small, more = divmod(pairs, count)
        found = [(2 * small + 2, more), (2 * small, count - more)]
        if places % 2:
            last, n = found.pop()
            found += [(last, n - 1), (last - 1, 1)]
        return [(p, n) for p, n in found if n]

    @classmethod
    def turn(cls, pieces: int, sums: int) -> int:
        return next((n for n in (3, 2) if pieces % n == 0), 1) if pieces else 0

    @classmethod
    def packed(cls, w: NDArray[np.int8]) -> NDArray[np.integer]:
        """Each eight bytes of a run: pairs of channels x 2 channels x 8 bytes."""
        outputs, rows, columns, run = w.shape
        w = np.pad(w, ((0, 0), (0, 0), (0, 0), (0, -run % 8)))
        return w.reshape(outputs // 2, 2, rows, columns, -1, 8).transpose(2, 3, 4, 0, 1, 5)

    @classmethod
    def numbers(cls, layer: ByteLayer, first: int, count: int) -> NDArray[np.int32]:
        table = super().numbers(layer, first, count).reshape(3, -1, 1, 2)
        return table.repeat(2, axis=2).reshape(3, -1)

    @property
    def pairs(self) -> range:
        return range(-(-self.places // 2))

    @property
    def columns_of_sums(self) -> range:
        """Pairs of channels."""
        return range(2 * self.vectors)

    @property
    def full(self) -> bool:
        """Whether sums leave registers for one word of each place and the weights of one vector."""
        return len(self.pairs) * len(self.columns_of_sums) > 20

    def _places(self, pair: int) -> tuple[int, int]:
        return 2 * pair, min(2 * pair + 1, self.places - 1)

    def begun(self) -> list[str]:
        lines = []
        for q in self.pairs:  # loads in pairs are half as many instructions as copies
            lines += ["IN_ORDER_;"] * (q > 0)
            starts = (f"s{q}{n} = vld1q_s32(numbers + {LANES * n})" for n in self.columns_of_sums)
            lines.append(f"int32x4_t {', '.join(starts)};")
        return lines

    def piece(self, offset: int) -> list[str]:
        return self._words(2, offset)

    def remainder(self) -> list[str]:
        return self._words(self.rest)

    def _words(self, words: int, offset: int = 0) -> list[str]:
        """16 bytes of every place, or the first eight of them."""
        at = f" + {offset}" if offset else ""
        lines = []
        for q in self.pairs:
            one, other = (f"vld1q_s8(x{i}{at})" for i in self._places(q))
            lines.append(f"const int64x2_t e{q} = vreinterpretq_s64_s8({one}), o{q} = vreinterpretq_s64_s8({other});")
            lines += ["IN_ORDER_;"] * self.full
            for word in range(words):
                both = f"vzip{word + 1}q_s64(e{q}, o{q})"
                lines.append(f"const int8x16_t a{q}{word} = vreinterpretq_s8_s64({both});")
        for word in range(words):
            for n in range(0, len(self.columns_of_sums), 2):
                lines += ["IN_ORDER_;"] * self.full
                loads = (f"b{k} = vld1q_s8(w + {16 * (n + k)})" for k in range(2))
                lines += ["{", f"  const int8x16_t {', '.join(loads)};"]
                for k in range(2):
                    sums = [f"s{q}{n + k} = vmmlaq_s32(s{q}{n + k}, a{q}{word}, b{k});" for q in self.pairs]
                    lines.append("  " + " ".join(sums))
                lines.append("}")
            lines.append(f"w += {32 * self.vectors};")
        return lines

    def finish(self) -> list[str]:
        """Scales all sums; then each pair is narrowed, and its pairs of codes sorted by place."""
        lines = []
        count = len(self.columns_of_sums)
        for n in self.columns_of_sums:
            lines += ["{", f"  const int32x4_t m = vld1q_s32(numbers + {LANES * (count + n)});"]
            lines += [f"  s{q}{n} = vqdmulhq_s32(s{q}{n}, m);" for q in self.pairs]
            if not self.shift:
                lines.append(f"  const int32x4_t r = vld1q_s32(numbers + {LANES * (2 * count + n)});")
                lines += [f"  s{q}{n} = vrshlq_s32(s{q}{n}, r);" for q in self.pairs]
            lines.append("}")
        for q in self.pairs:
            lines += ["{", *("  " + line for line in self._narrowed(q)), "}"]
        return lines

    def _narrowed(self, q: int) -> list[str]:
        """Statements that store the codes of a pair of places."""
        narrow = f"vqrshrn_n_s32(@, {self.shift})" if self.shift else "vqmovn_s32(@)"
        quads = [narrow.replace("@", f"s{q}{n}") for n in self.columns_of_sums]
        halves = [f"vqaddq_s16(vcombine_s16({a}, {b}), zero)" for a, b in zip(quads[::2], quads[1::2], strict=True)]
        halves = [f"vqmovn_s16({half})" for half in halves]
        halves += [halves[-1]] * (len(halves) % 2)
        codes = [f"vcombine_s8({a}, {b})" for a, b in zip(halves[::2], halves[1::2], strict=True)]
        if self.clamp:
            codes = [f"vminq_s8(vmaxq_s8({code}, low), high)" for code in codes]
        lines = [f"const int16x8_t c{k} = vreinterpretq_s16_s8({code});" for k, code in enumerate(codes)]
        for k, i in enumerate(sorted(set(self._places(q)))):
            both = f"vuzp{k + 1}q_s16(c0, c{len(codes) - 1})"
            lines += ["{", f"  const int8x16_t v = vreinterpretq_s8_s16({both});"]
            lines += ["  " + line for line in stored(f"y + {i} * y_step" if i else "y", self.count, 0)]
            lines.append("}")
        return lines
