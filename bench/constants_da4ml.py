"""Runs da4ml in an interpreter of its own: `python constants_da4ml.py MATRIX.npy BITS FOLDER`.

The matrix is [inputs, outputs], inputs are unsigned of BITS bits. Writes da4ml's Verilog project into FOLDER, with
`result.json`: seconds, adders, output widths and signs. da4ml (LGPL) is a program beside which edgec is measured;
nothing of edgec imports it.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from da4ml.codegen import RTLModel
from da4ml.trace import FixedVariableArray, comb_trace
from da4ml.types import minimal_kif


def main(matrix: str, bits: int, folder: Path) -> None:
    weights = np.load(matrix)
    zero = np.zeros(len(weights), int)
    start = time.process_time()
    x = FixedVariableArray.from_kif(zero, np.full(len(weights), bits), zero)
    logic = comb_trace(x, x @ weights.astype(np.float64))
    seconds = time.process_time() - start
    RTLModel(logic, "network", folder).write()
    signs, integers, fractions = zip(*map(minimal_kif, logic.out_qint), strict=True)
    widths = [int(k) + int(i) + int(f) for k, i, f in zip(signs, integers, fractions, strict=True)]
    result = {"seconds": seconds, "cost": float(logic.cost), "adders": sum(op.opcode in (0, 1) for op in logic.ops)}
    result |= {"widths": widths, "signed": [bool(k) for k in signs], "fractions": [int(f) for f in fractions]}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
