"""Import and quantisation of a large network stay within their budget of CPU time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_hundred_layers_with_25_million_parameters() -> None:
    """In a process of its own: the number of BLAS threads is read once."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "bench" / "compile_speed.py"), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    times = json.loads(done.stdout)
    assert times["parameters"] > 25_000_000
    assert times["quantize"] < 2.5
    assert times["total"] < 5
