"""From ops to wires: every op of a layer becomes an object array of wires, one a tensor element.

A wire carries the op's integer level (zero point included) in the unit of its format; `binary` carries its code.
Intervals are exact, so wires can be narrower than their format. One file a group of ops.
"""

from edgec.backends.rtl.lower import detector, elementwise, mac, moves, pool  # noqa: F401  (they register)
from edgec.backends.rtl.lower.registry import LOWERINGS, Layer, format_interval, is_data, lower

__all__ = ["LOWERINGS", "Layer", "format_interval", "is_data", "lower"]
