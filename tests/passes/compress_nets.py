"""A small network with batch norms of either sign, and what the tests of compression ask of it."""

from __future__ import annotations

import numpy as np
from pass_nets import apply, f32, weights

from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.ops import BatchNorm, Constant, Conv, Dense, Dequantize, Input, MaxPool, Op, Relu, Reshape, constant
from edgec.pipeline import Context

BEFORE, AFTER = "fold-constants,fuse", "fold-batch-norm,fold-padding,quantize,integerize,lower-requantize,integer-io"


def norm(generator: np.random.Generator, x: Op, name: str) -> BatchNorm:
    """A batch norm whose factors are positive and negative."""
    n = x.shape[1]
    factors = generator.uniform(0.5, 1.5, n) * np.where(np.arange(n) % 2, 1, -1)
    parameters = (factors, generator.standard_normal(n) * 0.3, generator.standard_normal(n) * 0.3)
    return BatchNorm(x, *map(constant, parameters), constant(generator.uniform(0.3, 1.5, n)), loc=(name,))


def net(seed: int = 0, pads: int = 0) -> Graph:
    """Three layers: conv0 and conv1 with norms, then dense. Input [1, 2, 8, 8]."""
    g = np.random.default_rng(seed)
    x = f32("image", 1, 2, 8, 8)
    y: Op = Conv(x, weights(g, 4, 2, 3, 3, loc="w0"), strides=(2, 2), loc=("conv0",))
    y = Relu(norm(g, y, "bn0"), loc=("relu0",))
    y = Conv(y, weights(g, 6, 4, 2, 2, loc="w1"), pads=(pads,) * 4, loc=("conv1",))
    y = Relu(norm(g, y, "bn1"), loc=("relu1",))
    y = MaxPool(y, (2, 2), loc=("pool",))
    y = Reshape(y, (1, y.tensor.size), loc=("flat",))
    y = Dense(y, weights(g, 3, y.shape[1], loc="w2"), weights(g, 3), loc=("dense",))
    return Graph("small", (x,), (("scores", y),))


def frames(graph: Graph, count: int = 48, seed: int = 5) -> dict[str, np.ndarray]:
    g = np.random.default_rng(seed)
    return {i.name: g.standard_normal((count, *i.shape)).astype(np.float32) for i in graph.inputs}


def compressed(steps: str, graph: Graph | None = None, rest: str = "") -> tuple[Graph, Context]:
    """`graph` after `steps` (and `rest`), calibrated."""
    graph = graph or net()
    context = Context(calibration=frames(graph))
    return apply(graph, ",".join(p for p in (BEFORE, steps, rest) if p), context), context


def layer(graph: Graph, name: str) -> Conv | Dense:
    (found,) = [op for op in graph.ops if isinstance(op, Conv | Dense) and name in op.loc]
    return found


def codes(graph: Graph, name: str) -> Constant:
    """The quantised weights of a layer, in a float graph or an integer one."""
    w = layer(graph, name).w
    found = w.x if isinstance(w, Dequantize) else w
    assert isinstance(found, Constant)
    return found


def floats(graph: Graph) -> list[str]:
    """Ops that still compute floats, besides constants and inputs."""
    return [op.label for op in graph.ops if not isinstance(op, Constant | Input) and op.format.is_float]


def refusal(steps: str, graph: Graph | None = None) -> EdgecError:
    try:
        compressed(steps, graph)
    except EdgecError as error:
        return error
    raise AssertionError(f"{steps} was not refused")


def with_zeros(graph: Graph, name: str, count: int) -> Graph:
    """`graph` with the first `count` weights of a layer zero."""
    from edgec.graph import rewrite

    def rule(op: Op, uses: object) -> Op | None:
        if not isinstance(op, Conv | Dense) or name not in op.loc or (op.w.data.ravel()[:count] == 0).all():
            return None
        data = op.w.data.copy()
        data.ravel()[:count] = 0
        return op.replace(w=Constant(data, type=op.w.type, loc=op.w.loc))

    return rewrite(graph, rule)
