"""The base of all number formats: codes, levels, real values, and the way between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgec.rounding import Overflow, Rounding, overflow_levels, round_float


class FormatError(ValueError):
    """A format, or an operation on formats, that has no meaning."""


def require(ok: bool, message: str) -> None:
    if not ok:
        raise FormatError(message)


@dataclass(frozen=True)
class Format:
    """Base of all number formats. `bits` is the width of one code in storage and on a wire."""

    @property
    def bits(self) -> int:
        raise TypeError(f"{type(self).__name__} has no width")

    @property
    def is_float(self) -> bool:
        return False

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest legal code."""
        raise FormatError(f"{self} has no integer codes")

    @property
    def level_range(self) -> tuple[int, int]:
        """Smallest and largest integer level, zero point not yet subtracted."""
        return self.code_range

    @property
    def signed(self) -> bool:
        """Whether levels can be negative."""
        return self.level_range[0] < 0

    @property
    def has_zero(self) -> bool:
        """Whether the value zero can be written in every channel (masks and padding need it)."""
        return self.encodes(0.0)

    @property
    def frac(self) -> int | None:
        """Fraction bits when the unit is 2**-frac for every channel, else None."""
        return 0

    @property
    def scale_array(self) -> np.ndarray:
        """Scale per channel, shape [1] or [channels], float64."""
        return np.ones(1)

    @property
    def zero_point_array(self) -> np.ndarray:
        """Zero point per channel, shape [1] or [channels], int64."""
        return np.zeros(1, np.int64)

    @property
    def axis(self) -> int | None:
        """Tensor axis along which scale and zero point vary, None for one per tensor."""
        return None

    @property
    def dtype(self) -> np.dtype:
        """The smallest numpy type that holds every code."""
        lo, hi = self.code_range
        for name in ("uint8", "uint16", "uint32") if lo >= 0 else ("int8", "int16", "int32"):
            info = np.iinfo(name)
            if info.min <= lo and hi <= info.max:
                return np.dtype(name)
        return np.dtype("int64")

    def levels(self, codes: np.ndarray) -> np.ndarray:
        """Integer levels of `codes`, int64, same shape (zero point not subtracted)."""
        return np.asarray(codes).astype(np.int64)

    def codes_of_levels(self, levels: np.ndarray) -> np.ndarray:
        """Codes of exact `levels`; the inverse of `levels`."""
        return np.asarray(levels).astype(self.dtype)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Real values of `codes`, float64, same shape."""
        levels = self.levels(codes)
        return (levels - self._along(self.zero_point_array, levels.ndim)) * self._along(self.scale_array, levels.ndim)

    def encode(
        self, values: np.ndarray, rounding: Rounding = "half_even", overflow: Overflow = "saturate"
    ) -> np.ndarray:
        """Nearest codes of real `values`; `rounding` and `overflow` as in docs/numerics.md."""
        values = np.asarray(values, np.float64)
        scaled = values / self._along(self.scale_array, values.ndim)
        levels = round_float(scaled, rounding) + self._along(self.zero_point_array, values.ndim)
        return self.codes_of_levels(self.clip_levels(levels, overflow))

    def clip_levels(self, levels: np.ndarray, overflow: Overflow) -> np.ndarray:
        """Bring rounded `levels` (int64 or integral float64) into range, as int64."""
        return overflow_levels(levels, *self.level_range, overflow)

    def encodes(self, value: float) -> bool:
        """Whether `value` is exactly a value of this format in every channel."""
        shape = [1]
        if self.axis is not None:  # one element per channel, in the channels' place
            shape = [1] * (self.axis + 1 if self.axis >= 0 else -self.axis)
            shape[self.axis] = len(self.scale_array)
        return bool(np.all(self.decode(self.encode(np.full(shape, value))) == value))

    def check(self, codes: np.ndarray) -> None:
        """Raise `FormatError` when a code is outside the legal range."""
        codes = np.asarray(codes)
        if codes.size:
            lo, hi = self.code_range
            low, high = int(codes.min()), int(codes.max())
            require(lo <= low and high <= hi, f"codes {low}..{high} outside {lo}..{hi} of {self}")

    def _along(self, per_channel: np.ndarray, ndim: int) -> np.ndarray:
        if self.axis is None or per_channel.size == 1:
            return per_channel.reshape((1,) * ndim)
        shape = [1] * ndim
        shape[self.axis] = per_channel.size
        return per_channel.reshape(shape)
