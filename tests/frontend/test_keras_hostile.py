"""Mutants of real files: each is imported or refused with a diagnostic, never a traceback, never a hang."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from typing import Any

import pytest
from keras_support import DATA

from edgec.diagnostics import EdgecError
from edgec.frontend import load
from edgec.frontend.keras import hdf5
from edgec.frontend.keras.importer import Importer
from edgec.frontend.keras.read import read_model

FILES = ["conv2d_keras2.h5", "flatten_keras3.keras", "layers_keras3.keras", "merge_keras2.h5", "nested_keras3.h5"]
FILES += ["qactivations.h5", "qconv.h5", "qdense_b.h5", "shape2d_keras3.keras", "transposed_keras2.h5"]
MUTANTS = 40
"""Of the architecture of each file."""
VALUES: list[Any] = [None, True, -1, 0, 1, 3, 10**6, 10**12, -(10**9), 1e308, float("nan"), "", "x", [], {}, [1]]
VALUES += [[[1, 2], [3, 4]], ["a", 0, 0], "same", 0.5, "quantized_bits(99999,0)", "quantized_po2(8)", 2**70]
VALUES += [{"class_name": "Dense", "config": {}}, {"class_name": "__keras_tensor__"}]
UNREAD = ("_initializer", "_regularizer", "_constraint")


def places(tree: Any) -> list[tuple[Any, ...]]:
    """Paths of all values below a JSON value that the importer could look at."""
    found, waiting = [], [((), tree)]
    while waiting:
        path, value = waiting.pop()
        keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            if not (isinstance(key, str) and key.endswith(UNREAD)):
                found.append((*path, key))
                waiting.append(((*path, key), value[key]))
    return found


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def mutate(tree: Any, seed: random.Random) -> None:
    """One change: another value, a missing one, or one from another place."""
    paths = places(tree)
    path = seed.choice(paths)
    parent, kind = at(tree, path[:-1]), seed.random()
    if kind < 0.6:
        parent[path[-1]] = json.loads(json.dumps(seed.choice(VALUES)))
    elif kind < 0.75:
        del parent[path[-1]]
    else:
        parent[path[-1]] = json.loads(json.dumps(at(tree, seed.choice(paths))))


@pytest.mark.parametrize("name", FILES)
def test_mutants_of_the_architecture(name: str) -> None:
    source, seed = read_model(DATA / name), random.Random(name)
    refused = 0
    for _ in range(MUTANTS):
        config = json.loads(json.dumps(source.config))
        for _ in range(seed.choice([1, 1, 2, 4])):
            mutate(config, seed)
        start = time.perf_counter()
        try:
            graph, found = Importer(replace(source, config=config), None, {}).run()
            assert (graph is None) == any(d.severity == "error" for d in found)
            refused += graph is None
        except EdgecError:
            refused += 1
        except RecursionError:  # told to the user by `load`
            refused += 1
        assert time.perf_counter() - start < 5
    assert refused > MUTANTS // 4


@pytest.mark.parametrize("seed", range(24))
def test_mutants_of_the_bytes(seed: int, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(hdf5, "SECONDS", 5.0)
    chance = random.Random(seed)
    name = chance.choice(["sequential_keras2.h5", "qencoder.h5", "sequential_keras3.keras", "nested_keras2.h5"])
    data = bytearray((DATA / name).read_bytes())
    if seed % 4 == 0:
        del data[chance.randrange(len(data)) :]
    for _ in range(chance.choice([1, 3, 20, 100])):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path = tmp_path / name
    path.write_bytes(data)
    start = time.perf_counter()
    try:
        load(path)
    except EdgecError as error:
        assert error.code in ("E0301", "E0302", "E0303", "E0304", "E0305"), str(error)
    assert time.perf_counter() - start < 20
