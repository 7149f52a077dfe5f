"""Dynamic sizes: symbols of the exported program, bound to numbers by `--batch` and `--dim`."""

from __future__ import annotations

import re
from typing import Any

from edgec.diagnostics import Diagnostic, nearest
from edgec.frontend.torch.archive import static


class Symbols:
    """The values of symbols such as `s77`; what stays open or contradicts itself is appended to `found`."""

    def __init__(
        self, ranges: dict[str, Any], batch: int | None, dims: dict[str, int], found: list[Diagnostic]
    ) -> None:
        self.ranges, self.batch, self.dims, self.found = ranges, batch, dims, found
        self.values: dict[str, int] = {}
        self.used: set[str] = set()
        self.known: set[str] = set()
        self.leading: set[int] = set()
        self.batch_used = False

    def size(self, union: object) -> int | None:
        """The number that a serialised size stands for, None when it is not known."""
        number = static(union)
        if number is not None:
            return number
        factor, symbol = _symbol(union) or (1, "")
        return factor * self.values[symbol] if symbol in self.values else None

    def bind(self, name: str, sizes: list[dict[str, Any]]) -> tuple[int, ...]:
        """The shape of input `name`; 1 stands for a dynamic size that was reported as an error."""
        shape = []
        for axis, union in enumerate(sizes):
            number = static(union)
            if number is None:
                number = self._dynamic(name, axis, _symbol(union))
            elif axis == 0:
                self.leading.add(number)
            shape.append(number)
        return tuple(shape)

    def _dynamic(self, name: str, axis: int, found: tuple[int, str] | None) -> int:
        """The size of an axis that is a symbol, or a multiple of one."""
        place = f"{name}:{axis}"
        self.batch_used |= axis == 0
        if found is None:
            self._error(
                "E0305", f"axis {axis} of input {name!r} is computed", name, "export the model with fixed shapes"
            )
            return 1
        factor, symbol = found
        self.known.update([place, symbol])
        self.used.update({place, symbol} & set(self.dims))
        number = self.dims.get(place)
        if number is None and (value := self.dims.get(symbol, self.values.get(symbol))) is not None:
            number = factor * value
        if number is None and axis == 0:
            number = self.batch
        if number is None:
            flag = f"--dim {symbol}=N"
            times = f"{factor} * " if factor > 1 else ""
            remedy = f"--batch 1 (or {flag})" if axis == 0 and factor == 1 else flag
            self._error("E0305", f"axis {axis} of input {name!r} is dynamic ('{times}{symbol}')", name, remedy)
            return 1
        value, lo, hi = number // factor, *self._range(symbol)
        bound = self.values.setdefault(symbol, value)
        if bound != value or value * factor != number or not lo <= value <= hi:
            allowed = f"{factor * bound}" if bound != value else f"{factor * lo} to {factor * hi}"
            steps = f", multiples of {factor}" if factor > 1 else ""
            self._error(
                "E0204",
                f"axis {axis} of input {name!r} cannot be {number}",
                name,
                f"the program was exported for {allowed}{steps}",
            )
        return number

    def _range(self, symbol: str) -> tuple[int, float]:
        stated = self.ranges.get(symbol)
        lo, hi = (stated.get("min_val"), stated.get("max_val")) if isinstance(stated, dict) else (None, None)
        return (lo if isinstance(lo, int) else 1), (hi if isinstance(hi, int) else float("inf"))

    def finish(self) -> None:
        """Report settings that nothing took."""
        for unknown in sorted(set(self.dims) - self.used):
            self._error("E0204", f"no dynamic dimension {unknown!r}", None, nearest(unknown, self.known))
        if self.batch is not None and not self.batch_used and self.leading and self.batch not in self.leading:
            what = f"--batch {self.batch}: the model's batch is fixed to {min(self.leading)}"
            self._error("E0204", what, None, "leave it out, or export the model with this batch")

    def _error(self, code: str, what: str, layer: str | None, remedy: str) -> None:
        diagnostic = Diagnostic(code, what, layer, remedy=remedy)
        if diagnostic not in self.found:
            self.found.append(diagnostic)


_SYMBOL = re.compile(r"(?:Mul\(Integer\((\d{1,9})\), )?Symbol\('(\w+)'[^()]*\)(\)?)")


def _symbol(union: object) -> tuple[int, str] | None:
    """Factor and symbol of a size such as `Symbol('s77', integer=True)` or `Mul(Integer(2), Symbol(...))`; None for
    any other expression."""
    body = union.get("as_expr") if isinstance(union, dict) else None
    text = body.get("expr_str") if isinstance(body, dict) else None
    match = _SYMBOL.fullmatch(text) if isinstance(text, str) and len(text) < 1000 else None
    if match is None or bool(match[1]) != bool(match[3]) or match[1] == "0":
        return None
    return int(match[1] or 1), match[2]
