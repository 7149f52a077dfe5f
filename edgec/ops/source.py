"""Where values come from: inputs, constants, and one result of several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgec.formats import F32, Format, Integer, TensorType, TupleType
from edgec.ops.base import Op, require
from edgec.rounding import Overflow, Rounding


@dataclass(frozen=True, eq=False)
class Input(Op):
    """A graph input; its type is stated, not inferred."""

    name: str

    def __post_init__(self) -> None:
        if self.type is None:
            raise self.error("an input needs a type")

    @property
    def label(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Constant(Op):
    """An array of codes of the stated type; float formats hold the numbers, all others integer codes."""

    data: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.type, TensorType):
            raise self.error("a constant needs a type")
        array = np.asarray(self.data)
        if array.shape != self.type.shape:
            raise self.error(f"data of shape {list(array.shape)} for type {self.type}")
        kind_fits = array.dtype.kind == "f" if self.type.format.is_float else array.dtype.kind in "iub"
        if not kind_fits:
            raise self.error(f"data of type {array.dtype} for {self.type.format}")
        if not self.type.format.is_float:
            try:
                self.type.format.check(array)
            except ValueError as error:
                raise self.error(str(error)) from error
        if array.dtype != self.type.format.dtype or array.flags.writeable or not array.flags.c_contiguous:
            array = np.array(array, self.type.format.dtype, order="C")
            array.flags.writeable = False
        object.__setattr__(self, "data", array)

    @property
    def values(self) -> np.ndarray:
        """Real values, float64."""
        return self.tensor.format.decode(self.data)

    @property
    def levels(self) -> np.ndarray:
        """Integer levels with the zero point subtracted, int64."""
        return centered_levels(self.data, self.tensor.format)


def centered_levels(codes: np.ndarray, fmt: Format) -> np.ndarray:
    """Levels minus zero point: the integers that arithmetic is done on, int64, shape of `codes`."""
    levels = fmt.levels(codes)
    zero = fmt.zero_point_array
    return levels - fmt._along(zero, levels.ndim) if zero.any() else levels


@dataclass(frozen=True, eq=False)
class Get(Op):
    """Result number `index` of an op with several results."""

    x: Op
    index: int

    def infer(self) -> TensorType:
        require(isinstance(self.x.type, TupleType), "get needs an op with several results")
        elements = self.x.type.elements  # type: ignore[union-attr]
        require(0 <= self.index < len(elements), f"result {self.index} of {len(elements)}")
        return elements[self.index]


def constant(
    values: object,
    fmt: Format = F32,
    *,
    loc: tuple[str, ...] = (),
    rounding: Rounding = "half_even",
    overflow: Overflow = "saturate",
) -> Constant:
    """A constant from real `values`, encoded into `fmt`."""
    codes = fmt.encode(np.asarray(values), rounding, overflow)
    return Constant(codes, type=TensorType(fmt, codes.shape), loc=loc)


def integers(values: object, *, loc: tuple[str, ...] = (), bits: int | None = None) -> Constant:
    """A constant of plain integers in the narrowest (or the stated) signed format."""
    array = np.asarray(values, np.int64)
    lo, hi = (int(array.min()), int(array.max())) if array.size else (0, 0)
    width = bits or max((-lo - 1).bit_length() if lo < 0 else 0, hi.bit_length() if hi > 0 else 0) + 1
    fmt = Integer(width)
    return Constant(array, type=TensorType(fmt, array.shape), loc=loc)
