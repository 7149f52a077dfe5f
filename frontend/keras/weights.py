"""Which stored arrays belong to which layer, in the two layouts of Keras.

Keras 2 (`Legacy`): one group a layer, with the list `weight_names` in the order of the layer's variables; the group of
a nested model lists the variables of all its layers. Keras 3 (`Variables`): groups named after classes, numbered in
the order of the layers (`layers/conv2d_1/vars/0`), nested models below their own `layers`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from edgec.diagnostics import EdgecError
from edgec.frontend.keras.hdf5 import Array, Group

INNER = ("forward_layer", "backward_layer", "layer", "cell")
"""Groups of Keras 3 that hold the variables of a layer inside another one, in the order of their creation."""


class Scope(Protocol):
    """The weights of one model."""

    def variables(self, index: int) -> list[Array]:
        """The variables of layer number `index` of the model, in the order of their creation."""
        ...

    def inside(self, index: int) -> Scope:
        """The weights of the nested model that is layer number `index`."""
        ...

    def named(self, layers: Sequence[tuple[str, str]]) -> Scope:
        """The scope for a model with these (name, class) layers, in order."""
        ...


class Legacy:
    """The `model_weights` group of Keras 2."""

    def __init__(self, group: Group, layers: Sequence[tuple[str, str]] = ()) -> None:
        self.group, self.layers = group, layers

    def named(self, layers: Sequence[tuple[str, str]]) -> Scope:
        return Legacy(self.group, layers)

    def variables(self, index: int) -> list[Array]:
        group = self.group.at(self.layers[index][0])
        if not isinstance(group, Group):
            return []
        found = [(name, group.at(name)) for name in group.names or ()]
        for name, array in found:
            if not isinstance(array, Array):
                raise EdgecError("E0302", f"weight {name!r} is listed, but not stored")
        return [Array(n, a.shape, a.dtype, a.data, a.reason) for n, a in found if isinstance(a, Array)]

    def inside(self, index: int) -> Scope:
        return Flattened(self.variables(index))


class Flattened:
    """The variables of a nested model of Keras 2, found by the names of their layers."""

    def __init__(self, arrays: list[Array], layers: Sequence[tuple[str, str]] = ()) -> None:
        self.arrays, self.layers = arrays, layers

    def named(self, layers: Sequence[tuple[str, str]]) -> Scope:
        return Flattened(self.arrays, layers)

    def variables(self, index: int) -> list[Array]:
        name = self.layers[index][0]
        return [a for a in self.arrays if f"/{name}/" in f"/{a.name}"]

    def inside(self, index: int) -> Scope:
        return Flattened(self.variables(index) or self.arrays)


class Variables:
    """The variables of Keras 3."""

    def __init__(self, group: Group, layers: Sequence[tuple[str, str]] = ()) -> None:
        self.group, self.keys = group, group_names([class_name for _, class_name in layers])

    def named(self, layers: Sequence[tuple[str, str]]) -> Scope:
        return Variables(self.group, layers)

    def _group(self, index: int) -> Group:
        for container in ("layers", "_layer_checkpoint_dependencies"):  # the second: Keras 2.12 to 2.14
            if container in self.group.groups:
                return self.group.groups[container].groups.get(self.keys[index], Group())
        return Group()

    def variables(self, index: int) -> list[Array]:
        return _stored(self._group(index))

    def inside(self, index: int) -> Scope:
        return Variables(self._group(index))


def _stored(group: Group) -> list[Array]:
    """The variables of a group of Keras 3, then those of the layers and cells inside."""
    arrays = group.groups.get("vars", Group()).arrays
    found = [arrays[k] for k in sorted((k for k in arrays if k.isdecimal() and len(k) < 9), key=int)]
    for inner in INNER:
        if inner in group.groups:
            found += _stored(group.groups[inner])
    return found


def group_names(classes: Sequence[str]) -> list[str]:
    """Group names of Keras 3: the class in snake case, with a number from the second layer of a class on."""
    seen: dict[str, int] = {}
    names = []
    for name in classes:
        words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
        key = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
        seen[key] = seen.get(key, -1) + 1
        names.append(f"{key}_{seen[key]}" if seen[key] else key)
    return names
