"""Stored weights, in the two layouts of Keras.

Keras 2 (`Legacy`): one group a layer, with the list `weight_names` in the order of the layer's variables; the group of
a nested model lists the variables of all its layers. Keras 3 (`Variables`): groups named after classes, numbered in
the order of the layers (`layers/conv2d_1/vars/0`), nested models below their own `layers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx.read import MAX_ELEMENTS

_FAILURES = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
    NotImplementedError,
)
"""What h5py raises for a damaged file."""


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn what h5py raises into E0301."""
    try:
        yield
    except _FAILURES as error:
        raise EdgecError(
            "E0301", f"{what} is damaged", why=str(error).splitlines()[0] if str(error) else None
        ) from None


def open_hdf5(data: bytes, name: str) -> Any:
    """The HDF5 file in `data`, opened in memory; E0301 when it is none, E0601 without h5py."""
    try:
        import h5py
    except ImportError:
        raise EdgecError(
            "E0601", "h5py is not installed, and Keras models need it", remedy="pip install 'edgec[keras]'"
        ) from None
    try:
        return h5py.File(h5py.h5f.open_file_image(data))
    except _FAILURES as error:
        raise EdgecError(
            "E0301",
            f"{name} is no HDF5 file, or a truncated one",
            why=str(error).splitlines()[0] if str(error) else None,
            remedy="check the file with its SHA-256, or save the model again",
        ) from None


def child(group: Any, path: str) -> Any:
    """The group or array at `path`, None when there is none; E0302 for links, which can lead to other files."""
    import h5py

    for part in path.split("/"):
        if not hasattr(group, "keys"):
            return None
        link = group.get(part, getlink=True) if part else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise EdgecError("E0302", f"{path!r} is a link", why="weights must lie in the model file itself")
        group = group[part]
    return group


class Variable:
    """One stored array: its name, shape, and the numbers on demand."""

    def __init__(self, name: str, dataset: Any) -> None:
        self.name, self.dataset = name, dataset

    def read(self, shape: tuple[int, ...]) -> np.ndarray:
        """The array in float32; E0302 when it has not the shape that the layer needs."""
        with guarded(f"weight {self.name!r}"):
            stored, dtype = tuple(self.dataset.shape), self.dataset.dtype
            elsewhere = self.dataset.external is not None or self.dataset.is_virtual
        if stored != shape:
            raise EdgecError("E0302", f"weight {self.name!r} has shape {list(stored)}, not {list(shape)}")
        if dtype.kind != "f":
            raise EdgecError("E0304", f"weight {self.name!r} holds {dtype}, not floats")
        if elsewhere:
            raise EdgecError("E0302", f"weight {self.name!r} lies in another file")
        if np.prod(np.array(shape, np.float64)) > MAX_ELEMENTS:
            raise EdgecError("E0302", f"weight {self.name!r} has more than {MAX_ELEMENTS} elements")
        with guarded(f"weight {self.name!r}"):
            return np.ascontiguousarray(self.dataset[()], np.float32).reshape(shape)


class Scope(Protocol):
    """The weights of one model."""

    def variables(self, index: int) -> list[Variable]:
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

    def __init__(self, group: Any, layers: Sequence[tuple[str, str]] = ()) -> None:
        self.group, self.layers = group, layers

    def named(self, layers: Sequence[tuple[str, str]]) -> Scope:
        return Legacy(self.group, layers)

    def variables(self, index: int) -> list[Variable]:
        name = self.layers[index][0]
        with guarded(f"the group of weights {name!r}"):
            group = child(self.group, name)
            if not hasattr(group, "keys"):
                return []
            return [Variable(n, _dataset(group, n)) for n in _names(group)]

    def inside(self, index: int) -> Scope:
        return Flattened(self.variables(index))


class Flattened:
    """The variables of a nested model of Keras 2, found by the names of their layers."""

    def __init__(self, all_variables: list[Variable], layers: Sequence[tuple[str, str]] = ()) -> None:
        self.all, self.layers = all_variables, layers

    def named(self, layers: Sequence[tuple[str, str]]) -> Scope:
        return Flattened(self.all, layers)

    def variables(self, index: int) -> list[Variable]:
        name = self.layers[index][0]
        return [v for v in self.all if f"/{name}/" in f"/{v.name}"]

    def inside(self, index: int) -> Scope:
        return Flattened(self.variables(index) or self.all)


class Variables:
    """The variables of Keras 3."""

    def __init__(self, group: Any, layers: Sequence[tuple[str, str]] = ()) -> None:
        self.group, self.keys = group, _keys([c for _, c in layers])

    def named(self, layers: Sequence[tuple[str, str]]) -> Scope:
        return Variables(self.group, layers)

    def _group(self, index: int) -> Any:
        with guarded("the group of weights"):
            for container in ("layers", "_layer_checkpoint_dependencies"):  # the second: Keras 2.12 to 2.14
                inner = child(self.group, container) if self.group is not None else None
                if hasattr(inner, "keys"):
                    return child(inner, self.keys[index])
        return None

    def variables(self, index: int) -> list[Variable]:
        group = self._group(index)
        with guarded(f"the group of weights {self.keys[index]!r}"):
            stored = child(group, "vars") if hasattr(group, "keys") else None
            if not hasattr(stored, "keys"):
                return []
            names = sorted((k for k in stored if k.isdecimal() and len(k) < 9), key=int)
            return [Variable(f"{group.name.lstrip('/')}/vars/{n}", _dataset(stored, n)) for n in names]

    def inside(self, index: int) -> Scope:
        group = self._group(index)
        return Variables(group if hasattr(group, "keys") else None)


def _keys(classes: Sequence[str]) -> list[str]:
    """Group names of Keras 3: the class in snake case, with a number from the second layer of a class on."""
    seen: dict[str, int] = {}
    keys = []
    for name in classes:
        words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
        key = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
        seen[key] = seen.get(key, -1) + 1
        keys.append(f"{key}_{seen[key]}" if seen[key] else key)
    return keys


def _names(group: Any) -> list[str]:
    """The list `weight_names`, which large models store in chunks (`weight_names0`, ...)."""
    names: list[Any] = []
    if "weight_names" in group.attrs:
        names = list(group.attrs["weight_names"])
    else:
        chunk = 0
        while f"weight_names{chunk}" in group.attrs:
            names += list(group.attrs[f"weight_names{chunk}"])
            chunk += 1
    return [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in names]


def _dataset(group: Any, name: str) -> Any:
    dataset = child(group, name)
    if not hasattr(dataset, "shape"):
        raise EdgecError("E0302", f"weight {name!r} is no array")
    return dataset
