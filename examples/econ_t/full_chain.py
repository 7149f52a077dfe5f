"""The whole data path around the encoder, as one ONNX file: normaliser, cell map, encoder, output packing.

Input `charges` are the 48 calibrated charges of 22 bits in slot order. They are scaled by the power of two of their
sum (x = (q << 7) >> floor(log2 S)), placed on the encoder's input image, encoded, and the outputs are packed:
the top `--keep` bits of each of the 16 codes (3, 5, 7 or 9 on the chip, by the number of output links), output 15 on
top. The second output is the module sum as a float of 5 exponent and 4 mantissa bits, which the chip also transmits.

    python full_chain.py econ_t_8x8x1.onnx econ_t_full_8x8x1.onnx --keep 5
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgec import load
from edgec.formats import Integer, Quantizer, TensorType
from edgec.frontend.onnx_export import to_onnx
from edgec.graph import Graph, topological
from edgec.ops import Cast, EncodeFloat, Gather, Input, NormalizePow2, Op, PackBits, Reduce, Reshape
from edgec.pipeline import Context, parse_pipeline, run_pipeline

PIPELINE = "fold-constants,fuse,fold-padding,integerize,integer-io"
SLOTS_8X8 = [8 * row + column if row < 4 else (32 + 4 * (row - 4) + column if column < 4 else -1)
             for row in range(8) for column in range(8)]  # fmt: skip
"""Slot of every cell of the 8x8 image; -1 is the empty quadrant."""


def build(encoder: Graph, keep: int) -> Graph:
    """The chain around an imported encoder."""
    integer = run_pipeline(encoder, parse_pipeline(PIPELINE), Context())
    (image,) = integer.inputs
    charges = Input("charges", type=TensorType(Integer(22, signed_=False), (1, 48)))
    normal = NormalizePow2(charges, 8, 7, loc=("/converter/normalize",))
    if image.shape == (1, 1, 8, 8):
        normal = Gather(normal, tuple(SLOTS_8X8), 1, loc=("/converter/cell_map",))
    placed = Reshape(normal, image.shape, loc=("/converter/image",))
    if placed.type != image.type:
        raise SystemExit(f"the encoder takes {image.type}, the converter gives {placed.type}")
    ((_, codes),) = rewrite_input(integer, image, placed).outputs
    packed = PackBits(codes, keep, loc=("/formatter/pack",))
    total = Reduce(charges, "sum", (1,), loc=("/converter/sum",))
    short = EncodeFloat(as_integer(total), 5, 4, loc=("/formatter/sum",))
    return Graph(f"{encoder.name}_full", (charges,), (("frame", packed), ("sum", short)), encoder.meta)


def as_integer(op: Op) -> Op:
    """The exact sum of unsigned integers as a plain integer format."""
    return Cast(op, Quantizer(Integer(op.format.bits, signed_=False)), loc=op.loc)


def rewrite_input(graph: Graph, old: Input, new: Op) -> Graph:
    """`graph` with `new` in place of its input."""
    mapping: dict[Op, Op] = {old: new}
    for op in graph.ops:
        if op is not old:
            mapping[op] = op.with_operands(mapping[o] for o in op.operands)
    inputs = tuple(op for op in topological(new) if isinstance(op, Input))
    return Graph(graph.name, inputs, tuple((n, mapping[o]) for n, o in graph.outputs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoder", type=Path, help="QONNX file of the encoder")
    parser.add_argument("output", type=Path, help="ONNX file of the whole chain")
    parser.add_argument("--keep", type=int, default=9, choices=(3, 5, 7, 9), help="bits kept of each output")
    args = parser.parse_args()
    graph = build(load(args.encoder), args.keep)
    args.output.write_bytes(to_onnx(graph).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
