"""Machine code of networks in C by statement of the source, for the constant `code.statement` of a target.

    python bench/c_size.py DATA [--core cortex-m4]

DATA is a folder with `models/` and `mlperf_tiny/` (ONNX). One line a network: statements, bytes of machine code, their
ratio, and how far the target's constant is off. The last line has the geometric mean of the ratios, the smallest and
the largest, as the target file has them.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import warnings
from pathlib import Path

import onnx
from import_models import FIXED

from edgec import api
from edgec.hw.sim.c_bench import code_size
from edgec.options import Options
from edgec.target import load_target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--core", default="cortex-m4")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    constant = load_target(given.core).constants.get("code.statement")
    ratios = []
    for path in [p for f in ("models", "mlperf_tiny") for p in sorted((given.data / f).glob("*.onnx"))]:
        shape = onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type.shape.dim
        options = Options(batch=1 if shape and shape[0].dim_value <= 0 else None, dims=FIXED.get(path.stem, {}))
        plan = api.plan(api.compile_model(path, given.core, options))
        with tempfile.TemporaryDirectory(prefix="edgec-size-") as folder:
            for name, data in plan.files.items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_bytes(data)
            code = code_size(Path(folder), plan.interface, given.core, None, 600)["code_bytes"]
        count = plan.interface["memory"]["code_statements"]
        ratios.append(code / count)
        error = f"{100 * (constant.nominal * count / code - 1):+6.1f} %" if constant else ""
        print(f"{path.stem:36s} {count:6d} {code:7d} {code / count:6.2f} {error}", flush=True)
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"code.statement: low {min(ratios):.2f}, nominal {mean:.2f}, high {max(ratios):.2f}")


if __name__ == "__main__":
    main()
