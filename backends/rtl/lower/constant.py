"""All outputs of a layer with constant weights in one module, where sharing work between them pays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.state import instantiate
from edgec.backends.rtl.circuit.wire import Const, Input, Wire
from edgec.backends.rtl.constants.choose import choose_network
from edgec.backends.rtl.constants.realize import realize
from edgec.backends.rtl.lower.registry import is_binary

if TYPE_CHECKING:
    from edgec.backends.rtl.lower.mac import Mac


def shared_outputs(mac: Mac, xs: Sequence[Wire], taps: np.ndarray, members: range) -> list[Wire] | None:
    """The outputs `members` from one module with shared sums; None where separate trees are cheaper.

    Products that are rounded one by one are not linear and stay separate."""
    if mac.layer.sharing == "none" or (mac.product is not None and mac.drop > 0):
        return None
    live = [k for k, x in enumerate(xs) if not isinstance(x, Const)]
    constants = tuple((k, x.value) for k, x in enumerate(xs) if isinstance(x, Const))
    key = ("network", tuple(taps.tolist()), members, tuple(x.interval for x in xs), constants)
    if key not in mac.layer.networks:
        mac.layer.networks[key] = network_circuit(mac, xs, live, taps, members)
    circuit = mac.layer.networks[key]
    return None if circuit is None else instantiate(circuit, x=[xs[k] for k in live])["y"]


def network_circuit(mac: Mac, xs: Sequence[Wire], live: list[int], taps: np.ndarray, members: range) -> Circuit | None:
    """The module, or None where separate trees are cheaper."""
    weights = mac.levels[members.start : members.stop, taps].astype(np.int64)
    inputs = [Input("x", xs[k].interval, i) for i, k in enumerate(live)]
    ranges = [x.interval.hi - x.interval.lo for x in inputs]
    network = choose_network(weights[:, live], ranges, mac.layer.sharing)
    if network is None:
        return None
    binary = is_binary(mac.op.x.format)  # the level of a binary code c is 2 c - 1
    places = mac.sum_frac - mac.frac
    fixed = [k for k in range(len(xs)) if k not in set(live)]
    offsets = np.array([xs[k].interval.lo << binary for k in fixed], object)
    zero = int(mac.op.x.format.zero_point_array[0]) + binary
    whole = weights.astype(object)
    constants = (whole[:, fixed] @ offsets if fixed else np.zeros(len(members), object)) - zero * whole.sum(axis=1)
    constants = [int(c) << places for c in constants]
    if mac.bias is not None:
        bias = mac.bias[members.start : members.stop].tolist()
        constants = [c + (int(b) << (mac.sum_frac - mac.bias_frac)) for c, b in zip(constants, bias, strict=True)]
    totals = realize(network, inputs, constants, frac=mac.sum_frac, shift=places + binary)
    name = f"{mac.layer.name}_m{len(mac.layer.networks)}"
    return Circuit(name, {"y": [mac.finish(total) for total in totals]}, [inputs])
