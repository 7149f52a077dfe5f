"""Every block's circuit against the interpreter, evaluated in numpy: hundreds of drawn examples of each."""

from __future__ import annotations

import blocks_draws as mac
import blocks_draws_other as other
import pytest
from blocks_support import check_modules
from hypothesis import HealthCheck, assume, given, settings

from edgec.backends.rtl.support import unsupported
from edgec.graph import Graph

EXAMPLES = {
    "dense": (mac.dense_blocks(), False, 150),
    "dense loaded": (mac.dense_blocks(True), True, 100),
    "conv": (mac.conv_blocks(), False, 150),
    "conv loaded": (mac.conv_blocks(True), True, 100),
    "wide": (mac.wide_blocks(), False, 40),
    "wide loaded": (mac.wide_blocks(), True, 40),
    "activation": (other.activation_blocks(), False, 250),
    "arithmetic": (other.arithmetic_blocks(), False, 250),
    "requantize": (other.requantize_blocks(), False, 200),
    "threshold": (other.threshold_blocks(), False, 150),
    "threshold loaded": (other.threshold_blocks(), True, 100),
    "table": (other.table_blocks(), False, 100),
    "pool": (other.pool_blocks(), False, 250),
    "reduce": (other.reduce_blocks(), False, 150),
    "moves": (other.move_blocks(), False, 250),
    "detector": (other.detector_blocks(), False, 200),
    "network": (other.network_blocks(), False, 15),
    "network loaded": (other.network_blocks(), True, 15),
}


def hold(name: str, factor: int = 1) -> None:
    strategy, loaded, examples = EXAMPLES[name]

    @settings(max_examples=examples * factor, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def check(graph: Graph) -> None:
        assume(not unsupported(graph, loaded))
        check_modules(graph, loaded)

    check()


@pytest.mark.parametrize("name", EXAMPLES)
def test_modules_equal_the_interpreter(name: str) -> None:
    hold(name)


@pytest.mark.long
@pytest.mark.parametrize("name", EXAMPLES)
def test_many_more_modules_equal_the_interpreter(name: str) -> None:
    hold(name, 10)
