"""Reads an HDF5 file in a process of its own: `python unpack.py IN OUT`.

The HDF5 library follows addresses that it finds in the file; a damaged one can keep it busy for ever or crash it.
Here it may: the parent waits so long and no longer. This file is a program that imports nothing of edgec. What it
writes is the length of a JSON text (8 bytes), the text, then the arrays one after the other:

    {"text": model_config or null, "version": ..., "tree": NODE}
    NODE = {"names": [...] or null, "groups": {name: NODE}, "arrays": {name: [shape, dtype, offset, bytes] or reason}}
"""

from __future__ import annotations

import json
import sys
from typing import Any

MAX_NODES, MAX_DEPTH = 200_000, 100
MAX_BYTES = 2 << 30
SKIPPED = ("optimizer_weights", "optimizer")


def text_of(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""


class Writer:
    """The arrays, in the order in which they lie behind the index."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = self.nodes = 0

    def node(self, group: Any, depth: int) -> dict[str, Any]:
        """A group with all below it; a link, or an array of another file, becomes the reason why it is refused."""
        import h5py

        groups: dict[str, Any] = {}
        arrays: dict[str, Any] = {}
        for name in group:
            self.nodes += 1
            if self.nodes > MAX_NODES or depth > MAX_DEPTH:
                raise ValueError("the file holds too many groups")
            if depth == 0 and name in SKIPPED:
                continue
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                arrays[name] = "it is a link, and weights must lie in the model file itself"
                continue
            child = group[name]
            if isinstance(child, h5py.Group):
                groups[name] = self.node(child, depth + 1)
            elif isinstance(child, h5py.Dataset):
                arrays[name] = self.array(child)
        return {"names": names_of(group), "groups": groups, "arrays": arrays}

    def array(self, dataset: Any) -> Any:
        shape, dtype = dataset.shape, dataset.dtype
        if dataset.external is not None or dataset.is_virtual:
            return "it lies in another file"
        if shape is None or dtype.kind not in "fiu":
            return [list(shape or ()), str(dtype), 0, 0]
        size = dtype.itemsize
        for n in shape:
            size *= n
        if self.size + size > MAX_BYTES:
            return "the weights are larger than 2 GiB"
        data = dataset[()].astype(dtype.newbyteorder("<")).tobytes()
        self.parts.append(data)
        self.size += len(data)
        return [list(shape), dtype.newbyteorder("<").str, self.size - len(data), len(data)]


def names_of(group: Any) -> list[str] | None:
    """The list `weight_names`, which large models store in chunks (`weight_names0`, ...)."""
    found: list[Any] | None = None
    if "weight_names" in group.attrs:
        found = list(group.attrs["weight_names"])
    chunk = 0
    while found is None or chunk:
        if f"weight_names{chunk}" not in group.attrs:
            break
        found = (found or []) + list(group.attrs[f"weight_names{chunk}"])
        chunk += 1
    return None if found is None else [text_of(n) for n in found]


def main(source: str, target: str) -> None:
    import h5py

    writer = Writer()
    with h5py.File(source, "r", driver="core", backing_store=False) as file:
        inner = "model_weights" if "model_weights" in file else None
        root: Any = file.get(inner) if inner and isinstance(file.get(inner, getlink=True), h5py.HardLink) else file
        index = {
            "text": None if "model_config" not in file.attrs else text_of(file.attrs["model_config"]),
            "version": text_of(file.attrs.get("keras_version", "")),
            "legacy": "layer_names" in root.attrs or "layer_names0" in root.attrs,
            "tree": writer.node(root, 0),
        }
    encoded = json.dumps(index).encode()
    with open(target, "wb") as out:  # noqa: PTH123
        out.write(len(encoded).to_bytes(8, "little"))
        out.write(encoded)
        out.writelines(writer.parts)


def limit_memory(size: int) -> None:
    """A damaged file must not take the machine's memory."""
    try:
        import resource

        most = max(4 << 30, 8 * size)
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))
    except (ImportError, ValueError, OSError):
        pass  # not on this system


if __name__ == "__main__":
    import os

    limit_memory(os.stat(sys.argv[1]).st_size)  # noqa: PTH116
    try:
        main(sys.argv[1], sys.argv[2])
    except Exception as error:  # whatever h5py raises for a damaged file
        print((str(error).splitlines() or [type(error).__name__])[0])
        sys.exit(3)
