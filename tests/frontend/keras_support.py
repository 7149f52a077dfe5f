"""Helpers of the Keras tests: models written as files in both dialects with json and h5py alone."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from edgec.frontend.keras.weights import group_names
from edgec.graph import Graph
from edgec.interp import run

DATA = Path(__file__).parent / "data" / "keras"


@dataclass
class Described:
    """A layer to be written: class, name, settings, weights in order, and the layers that it reads."""

    kind: str
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    weights: Sequence[np.ndarray] = ()
    reads: Sequence[str] = ()
    more: dict[str, Any] = field(default_factory=dict)


def config_of(layers: Sequence[Described], outputs: Sequence[str], dialect: int, name: str = "net") -> dict[str, Any]:
    """The JSON of a functional model in the dialect of Keras 2 or 3."""
    entries = []
    for layer in layers:
        config = {"name": layer.name, "trainable": True, **layer.config}
        if "shape" in config:
            config["batch_shape" if dialect == 3 else "batch_input_shape"] = config.pop("shape")
        nodes: list[Any] = []
        if layer.reads and dialect == 2:
            nodes = [[[read, 0, 0, {}] for read in layer.reads]]
        elif layer.reads:
            tensors = [
                {"class_name": "__keras_tensor__", "config": {"shape": [None, 1], "keras_history": [read, 0, 0]}}
                for read in layer.reads
            ]
            nodes = [{"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}]
        entry = {"class_name": layer.kind, "config": config, "name": layer.name, "inbound_nodes": nodes}
        entries.append({**entry, **layer.more})
    inputs = [[e.name, 0, 0] for e in layers if e.kind == "InputLayer"]
    ends = [[o, 0, 0] for o in outputs]
    return {
        "class_name": "Functional",
        "config": {"name": name, "layers": entries, "input_layers": inputs, "output_layers": ends},
    }


def write_h5(path: Path, config: Any, layers: Sequence[Described], version: str = "2.9.0") -> Path:
    """A file as Keras 2 writes it."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        if config is not None:
            file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            inner = group.create_group(layer.name)
            names = [f"{layer.name}/w{i}:0" for i in range(len(layer.weights))]
            inner.attrs["weight_names"] = np.array([n.encode() for n in names], "S64")
            for name, array in zip(names, layer.weights, strict=True):
                inner.create_dataset(name, data=array)
    return path


def write_keras(path: Path, config: Any, layers: Sequence[Described], version: str = "3.5.0") -> Path:
    """An archive as Keras 3 writes it."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, layer in zip(group_names([e.kind for e in layers]), layers, strict=True):
            group = file.create_group(f"layers/{key}/vars")
            for i, array in enumerate(layer.weights):
                group.create_dataset(str(i), data=array)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", buffer.getvalue())
    return path


def write(folder: Path, layers: Sequence[Described], outputs: Sequence[str], dialect: int) -> Path:
    """A functional model as a file of either dialect."""
    config = config_of(layers, outputs, dialect)
    if dialect == 2:
        return write_h5(folder / "net.h5", config, layers)
    return write_keras(folder / "net.keras", config, layers)


def results(graph: Graph, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs [F, ...] of a graph for frames [F, ...] without the batch axis."""
    frames = {i.name: a[:, None] for i, a in zip(graph.inputs, inputs, strict=True)}
    return [y[:, 0] for y in run(graph, frames).values()]


def floats(seed: int, *shape: int) -> np.ndarray:
    """Seeded normal numbers."""
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
