"""Truth tables of cells in the two forms that are used: polynomials for simulation on words, sums of products as text.

A polynomial over GF(2) is an exclusive or of ANDs: `a ^ b ^ c` for the sum of an adder, `1 ^ a b` for a NAND; few
operators on packed words. A sum of prime implicants is the better Verilog: an unknown value on an input that does not
matter does not spread, as it would through exclusive ors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=4096)
def monomials(table: int, inputs: int) -> tuple[tuple[int, ...], ...]:
    """The products (tuples of input numbers, () is 1) whose exclusive or has the truth table `table`."""
    bits = [table >> i & 1 for i in range(1 << inputs)]
    for k in range(inputs):  # the Moebius transform
        for i in range(1 << inputs):
            if i >> k & 1:
                bits[i] ^= bits[i ^ 1 << k]
    return tuple(tuple(k for k in range(inputs) if i >> k & 1) for i, bit in enumerate(bits) if bit)


@lru_cache(maxsize=4096)
def implicants(table: int, inputs: int) -> tuple[tuple[int, int], ...]:
    """All prime implicants as (mask of inputs that matter, their values), Quine (1952) and McCluskey (1956)."""
    full = (1 << inputs) - 1
    current = {(full, i) for i in range(1 << inputs) if table >> i & 1}
    primes: set[tuple[int, int]] = set()
    while current:
        merged: set[tuple[int, int]] = set()
        used: set[tuple[int, int]] = set()
        for mask, value in current:
            for k in range(inputs):
                other = (mask, value ^ 1 << k)
                if mask >> k & 1 and other in current:
                    merged.add((mask & ~(1 << k), value & ~(1 << k)))
                    used |= {(mask, value), other}
        primes |= current - used
        current = merged
    return tuple(sorted(primes))


def verilog(table: int, names: Sequence[str]) -> str:
    """The function as a Verilog expression over one-bit `names`."""
    products = [
        " & ".join(f"{'' if value >> k & 1 else '~'}{name}" for k, name in enumerate(names) if mask >> k & 1)
        for mask, value in implicants(table, len(names))
    ]
    if not products:
        return "1'b0"
    if "" in products:
        return "1'b1"
    return " | ".join(f"({product})" if "&" in product else product for product in products)
