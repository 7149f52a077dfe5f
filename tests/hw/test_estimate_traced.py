"""Cycles of executed Arm code: the pipeline models on code with known answers, and whole estimates from traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hw_support import need, script
from test_estimate_code import _network, _plan

from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.hw.arm.loops import in_loops, successors
from edgec.hw.arm.plugin import Block
from edgec.hw.arm.trace import block_cycles, joined, simulable, trace, whole
from edgec.hw.estimate import estimate
from edgec.hw.estimate.traced import estimate_traced
from edgec.hw.sim.c_program import run_plan
from edgec.hw.sim.c_steps import executed
from edgec.hw.tools.llvm import find_llvm_mca
from edgec.interp import random_frames
from edgec.ops import Relu
from edgec.target import load_target

ADD = bytes.fromhex("0000008b")  # add x0, x0, x0: each waits for the last
SDOT = b"".join(bytes([n]) + bytes.fromhex("96934e") for n in range(8))  # sdot v{n}.4s, v16.16b, v19.16b
CALL = bytes.fromhex("01000094")  # bl
THUMB_ADD = bytes.fromhex("8018")  # adds r0, r0, r2


@pytest.fixture(autouse=True)
def _tools() -> None:
    need("llvm-mc", "llvm-mca")


def test_a_chain_waits_and_dot_products_go_in_pairs() -> None:
    chain, dots = block_cycles([4 * ADD, SDOT], "cortex-a76")
    assert chain == pytest.approx(4.0, abs=0.1)
    assert dots == pytest.approx(8 / 2, abs=0.1)  # two vector pipes
    assert block_cycles([SDOT], "cortex-a55")[0] > 7  # one dot product of 16 bytes a cycle at the most


def test_a_call_does_not_count_as_a_hundred_cycles() -> None:
    assert block_cycles([ADD + CALL], "cortex-a76")[0] < 3
    assert simulable("bl\t#4") == "b\t#4" and simulable("blr\tx3") == "br\tx3" and simulable("blx\tr3") == "bx\tr3"
    assert simulable("add\tx0, x1, x2") == "add\tx0, x1, x2"


def test_a_load_that_moves_its_pointer_on_does_not_hold_up_the_next() -> None:
    assert simulable("ldr\tq0, [x10], #16") == "ldr\tq0, [x10, #16]!"
    assert simulable("ldr\tx0, [x1], #8") == "ldr\tx0, [x1], #8"
    load = _word(0x3CC10540)  # ldr q0, [x10], #16
    assert all(block_cycles([load], core) == [pytest.approx(1, abs=0.05)] for core in ("cortex-a72", "cortex-a710"))


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m55"])
def test_thumb_code(core: str) -> None:
    assert block_cycles([4 * THUMB_ADD], core)[0] == pytest.approx(4.0, abs=0.1)


def test_the_table_of_the_m4() -> None:
    """A load, two in a row, a double one, registers saved, a multiplication, a fused one, a division, jumps."""
    codes = ["0868", "08681a68", "d6e90045", "f0b5", "21fb0230", "00ee810a", "b1fbf2f0", "fee7", "10bd"]
    assert block_cycles([bytes.fromhex(c) for c in codes], "cortex-m4") == [2, 3, 3, 6, 1, 3, 7, 3, 5]


def test_half_an_instruction_at_the_end_of_a_page_is_left_out() -> None:
    wide = bytes.fromhex("45f65a20")
    assert whole(THUMB_ADD + wide) == THUMB_ADD + wide
    assert whole(THUMB_ADD + wide[:2]) == THUMB_ADD
    assert block_cycles([2 * THUMB_ADD + wide[:2], THUMB_ADD], "cortex-m4") == pytest.approx([2.0, 1.0], abs=0.1)


def test_blocks_cut_at_the_end_of_a_page_are_joined() -> None:
    """What is executed another number of times, or does not end with its page, stays apart."""
    half, rest = Block(4088, 7, 2, 2 * ADD), Block(4096, 7, 3, 3 * ADD)
    assert joined([rest, half]) == [Block(4088, 7, 5, 5 * ADD)]
    longer = [Block(4092, 5, 1, ADD), Block(4096, 5, 1024, 1024 * ADD), Block(8192, 5, 1, ADD)]
    assert joined(longer) == [Block(4092, 5, 1026, 1026 * ADD)]
    for apart in ([half, Block(4096, 8, 3, 3 * ADD)], [Block(4080, 7, 2, 2 * ADD), Block(4088, 7, 1, ADD)]):
        assert joined(apart) == apart


def _word(*words: int) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in words)


def test_blocks_are_followed_by_their_successors() -> None:
    assert successors(Block(0x1000, 1, 2, ADD + _word(0x54FFFFC1))) == [0x1008, 0x0FFC]  # b.ne -8
    assert successors(Block(0x1000, 1, 1, _word(0xB4000060))) == [0x1004, 0x100C]  # cbz x0, +12
    assert successors(Block(0x1000, 1, 1, _word(0x3707FFE0))) == [0x1004, 0x0FFC]  # tbnz w0, 0, -4
    assert successors(Block(0x1000, 1, 1, _word(0x17FFFFFE))) == [0x0FF8]  # b -8
    assert successors(Block(0x1000, 1, 1, ADD)) == [0x1004]
    for call in (0x94000010, 0xD63F0200, 0xD65F03C0, 0xD61F0200):  # bl, blr, ret, br
        assert successors(Block(0x1000, 1, 1, _word(call))) == []


def test_a_loop_of_several_blocks_is_simulated_as_one() -> None:
    """A block multiplies what the other one has set: alone it would wait for its own product of the turn before."""
    product = Block(0, 1000, 2, _word(0x6E27DCC6, 0xB4000080))  # fmul v6.4s, v6.4s, v7.4s; cbz x0, +16
    begin = Block(8, 1000, 2, _word(0x4EA01C06, 0x54FFFFA1))  # mov v6.16b, v0.16b; b.ne -12
    behind = Block(16, 1, 1, ADD)
    assert in_loops([product, begin, behind]) == [[product, begin], [behind]]
    assert trace([product, behind], "cortex-a76").cycles == pytest.approx(3000, rel=0.02)
    assert trace([product, begin, behind], "cortex-a76").cycles < 2100
    seldom = Block(8, 199, 2, begin.code)  # a block that goes elsewhere more often than not is in no loop
    assert in_loops([product, seldom]) == [[product], [seldom]]


def test_a_turn_of_a_loop_has_its_blocks_as_often_as_they_are_executed() -> None:
    """Rows of five places, two a turn of the inner loop, which is entered at its second place; a loop of one block."""
    row, first = Block(0, 100, 2, _word(0x8B000000, 0x14000002)), Block(8, 200, 1, _word(0xB4000060))  # b +8; cbz +12
    second, behind = Block(12, 300, 2, _word(0x8B000000, 0x54FFFFC1)), Block(20, 100, 1, _word(0xB5FFFF60))
    alone = Block(24, 5000, 2, _word(0x8B000000, 0x54FFFFE1))
    assert in_loops([row, first, second, behind, alone]) == [
        [row, second, first, second, first, second, behind], [alone],
    ]  # fmt: skip
    found = trace([row, first, second, behind], "cortex-a76")
    assert found.instructions == 1100 and found.cycles == pytest.approx(700, rel=0.05)  # a branch a cycle


def test_a_core_without_a_model_is_refused() -> None:
    with pytest.raises(EdgecError) as caught:
        block_cycles([ADD], "cortex-z9")
    assert caught.value.code == "E0204"


def test_a_trace_counts_every_execution_and_scales_up_what_it_leaves_out() -> None:
    often, seldom = Block(0, 1000, 4, 4 * ADD), Block(64, 1, 1, ADD)
    found = trace([seldom, often], "cortex-a76")
    assert found.instructions == 4001 and 0.99 < found.simulated < 1
    assert found.cycles == pytest.approx(4000 / found.simulated, rel=0.02)
    assert trace([], "cortex-a76").cycles == 0


def test_an_old_llvm_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEC_LLVM_MCA", str(script(tmp_path, "echo 'Debian LLVM version 14.0.6'")))
    tool = find_llvm_mca()
    assert not tool.usable and tool.problem is not None and "19 or newer" in tool.problem


def test_steps_add_up_to_the_inference() -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64", "cc")
    network = _network(kernel=3)
    made = _plan(Graph("t", network.inputs, (("y", Relu(network.outputs[0][1])),)))  # a step writes the output
    steps = [
        sum(b.executions * b.instructions for b in blocks) for blocks in executed(made, "cortex-a76", compiler="gcc")
    ]
    assert made.graph is not None
    frames = random_frames(made.graph, 1, 1)
    options = {"core": "cortex-a76", "compiler": "gcc", "layers": False, "count_instructions": True}
    whole_run = run_plan(made, frames, **options).instructions
    assert whole_run is not None and len(steps) == len(made.kernels)
    assert sum(steps) == pytest.approx(whole_run, rel=0.02)  # a step that is traced is compiled apart


def test_the_static_estimate_is_near_the_traced_one() -> None:
    need("zig", "qemu-aarch64", "cc")
    target = load_target("cortex-a76")
    made = _plan(_network(64, 48, 12))
    traced, static = estimate_traced(made, target), estimate(made, target)
    assert traced.totals["cycles"].basis == "simulated" and static.totals["cycles"].basis == "analytic"
    for one, other in zip(static.rows[1:], traced.rows[1:], strict=True):
        assert one.figures["cycles"].nominal == pytest.approx(other.figures["cycles"].nominal, rel=0.2)
    ratio = traced.totals["energy_uj"].nominal / traced.totals["latency_us"].nominal
    assert ratio == pytest.approx(target.constant("power.active_mw").nominal * 1e-3)
    assert np.isclose(traced.totals["cycles"].nominal, sum(r.figures["cycles"].nominal for r in traced.rows))


def test_kept_traces_are_those_of_the_same_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("qemu-aarch64", "aarch64-linux-gnu-gcc")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench" / "arm"))
    import traces  # pyright: ignore[reportMissingImports]

    asked: list[str] = []

    def executed(plan: object, core: str) -> list[tuple[Block, ...]]:
        asked.append(core)
        return [(Block(0, len(asked), 4, 4 * ADD),)]

    monkeypatch.setattr(traces, "executed", executed)
    file = tmp_path / "traces.json"
    first = traces.Traces(file).cycles(_plan(_network()), "cortex-a76")
    assert traces.Traces(file).cycles(_plan(_network()), "cortex-a76") == first and len(asked) == 1
    assert traces.Traces(file).cycles(_plan(_network(filters=16)), "cortex-a76") == [pytest.approx(2 * first[0])]
    assert traces.Traces(file).cycles(_plan(_network()), "cortex-a78") != first and len(asked) == 3
