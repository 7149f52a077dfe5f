"""Finds Python packages that some inputs need, without importing them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from edgec.hw.tools.tool import Tool

H5PY_PURPOSE = "reading Keras files (.h5, .keras)"
H5PY_REMEDY = "pip install 'edgec[keras]', or pip install h5py"


def find_h5py() -> Tool:
    """The package that reads HDF5. Never raises."""
    return find_package("h5py", H5PY_PURPOSE, H5PY_REMEDY)


def find_package(name: str, purpose: str, remedy: str) -> Tool:
    """A package of this interpreter; `path` is where it lies."""
    source = "python package"
    try:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return Tool(name, purpose, remedy, None, None, source, f"there is no Python package {name}")
        version = importlib.metadata.version(name)
    except (ImportError, ValueError) as error:
        return Tool(name, purpose, remedy, None, None, source, f"{name} is damaged: {error}", "E0605")
    return Tool(name, purpose, remedy, Path(spec.origin), version, source)
