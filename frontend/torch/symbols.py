"""Dynamic sizes: symbols of the exported program, bound to numbers by `--batch` and `--dim`."""

from __future__ import annotations

from typing import Any

from edgec.diagnostics import Diagnostic, nearest
from edgec.frontend.torch.archive import static


class Symbols:
    """The values of symbols such as `s77`; what stays open or contradicts itself is appended to `found`."""

    def __init__(self, ranges: dict[str, Any], batch: int | None, dims: dict[str, int], found: list[Diagnostic]) -> None:
        self.ranges, self.batch, self.dims, self.found = ranges, batch, dims, found
        self.values: dict[str, int] = {}
        self.used: set[str] = set()
        self.known: set[str] = set()
        self.leading: set[int] = set()
        self.batch_used = False

    def size(self, union: object) -> int | None:
        """The number that a serialised size stands for, None when it is not known."""
        number = static(union)
        return number if number is not None else self.values.get(_symbol(union) or "")

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

    def _dynamic(self, name: str, axis: int, symbol: str | None) -> int:
        place = f"{name}:{axis}"
        self.known.update([place, symbol or place])
        if axis == 0:
            self.batch_used = True
        number = next((self.dims[k] for k in (place, symbol) if k in self.dims), None)
        self.used.update({place, symbol or place} & set(self.dims))
        if number is None:
            number = self.values.get(symbol or "")
        if number is None and axis == 0:
            number = self.batch
        if symbol is None:
            self._error("E0305", f"axis {axis} of input {name!r} is computed", name, "export the model with fixed shapes")
            return 1
        if number is None:
            flag = f"--dim {symbol}=N"
            remedy = f"--batch 1 (or {flag})" if axis == 0 else flag
            self._error("E0305", f"axis {axis} of input {name!r} is dynamic ({symbol!r})", name, remedy)
            return 1
        lo, hi = self._range(symbol)
        if self.values.setdefault(symbol, number) != number or not lo <= number <= hi:
            self._error(
                "E0204",
                f"axis {axis} of input {name!r} cannot be {number}",
                name,
                f"the program was exported for {symbol} = {self.values[symbol]}"
                if self.values[symbol] != number
                else f"the program was exported for {lo} to {hi}",
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


def _symbol(union: object) -> str | None:
    """The symbol of `{"as_expr": {"expr_str": "s77"}}`, None for a computed expression."""
    body = union.get("as_expr") if isinstance(union, dict) else None
    text = body.get("expr_str") if isinstance(body, dict) else None
    return text if isinstance(text, str) and text.isidentifier() else None
