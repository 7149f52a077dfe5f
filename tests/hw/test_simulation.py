"""Real designs through Verilator: right words, right cycles, with and without stalls; clear ends when they break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hw_support import ADDER_PORTS, ADDER_PROBES, RTL, need, script

from edgec.diagnostics import EdgecError, Exit
from edgec.hw.sim.batch import Stalls
from edgec.hw.sim.ports import Ports, Probe
from edgec.hw.sim.verilator_lib import Simulation
from edgec.hw.sim.words import pack_words, unpack_words

Scaler = Callable[[], Simulation]


def operands(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**32, (count, 2), dtype=np.uint32)


def sums(frames: np.ndarray) -> np.ndarray:
    return frames.astype(np.uint64).sum(axis=1, keepdims=True)


def as_numbers(words: np.ndarray) -> np.ndarray:
    return unpack_words(words, 1, 33, signed=False).astype(np.uint64)


@pytest.mark.parametrize("stalls", [None, Stalls(seed=1, probability=0.3), Stalls(seed=2, probability=0.9)])
def test_batch_is_exact_with_and_without_stalls(adder: Simulation, stalls: Stalls | None) -> None:
    frames = operands(10_000)
    result = adder.run_batch(frames, stalls)
    np.testing.assert_array_equal(as_numbers(result.outputs), sums(frames))
    assert result.latency == 2
    assert result.initiation_interval == 1
    share = 10_000 / (int(result.in_cycles[-1]) + 1)
    assert share == pytest.approx(1 - (stalls.probability if stalls else 0), abs=0.02)
    assert result.seconds < 1
    outputs, out_cycles = result
    np.testing.assert_array_equal(outputs, result.outputs)
    np.testing.assert_array_equal(out_cycles, result.in_cycles + 2)


def test_probes_follow_their_frame_through_stalls(adder: Simulation) -> None:
    frames = operands(500, seed=3)
    result = adder.run_batch(frames, Stalls(5, 0.5))
    assert list(result.probes) == [p.signal for p in ADDER_PROBES]
    doubled = sums(frames) * np.uint64(2) & np.uint64(2**33 - 1)
    for signal in ("sum", "sum_q"):
        np.testing.assert_array_equal(as_numbers(result.probes[signal]), sums(frames))
    for signal in ("lane[0].u.twice", "lane[1].u.q"):
        np.testing.assert_array_equal(as_numbers(result.probes[signal]), doubled)


def test_same_seed_same_run(adder: Simulation) -> None:
    frames = operands(100)
    one, two, other = (adder.run_batch(frames, Stalls(seed, 0.5)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.in_cycles, two.in_cycles)
    assert (one.in_cycles != other.in_cycles).any()
    np.testing.assert_array_equal(one.outputs, other.outputs)


@pytest.mark.parametrize("count", [0, 1])
def test_tiny_batches(adder: Simulation, count: int) -> None:
    result = adder.run_batch(operands(count))
    assert result.outputs.shape == (count, 2) and result.out_cycles.shape == (count,)
    assert result.initiation_interval == 0
    np.testing.assert_array_equal(as_numbers(result.outputs), sums(operands(count)))


def test_step_by_step(adder: Simulation) -> None:
    frames = operands(3, seed=9)
    adder.reset()
    assert adder.cycles == 0 and adder.pop() is None
    adder.push(frames[0])
    adder.push(frames[1])
    adder.step()
    np.testing.assert_array_equal(adder.probe(0)[None] @ [[1], [1 << 32]], sums(frames[:1]))
    assert adder.pop() is None
    adder.step()
    first = adder.pop_timed()
    assert first is not None and first[1] == 2 and as_numbers(first[0][None]) == sums(frames[:1])
    adder.step(5)
    second = adder.pop_timed()
    assert second is not None and second[1] == 3 and as_numbers(second[0][None]) == sums(frames[1:2])
    assert adder.pop() is None and adder.cycles == 7
    adder.push(frames[2])
    adder.step()
    adder.reset()  # drops what is inside
    adder.step(4)
    assert adder.pop() is None and adder.cycles == 4


def test_waves(adder: Simulation, tmp_path: Path) -> None:
    adder.run_batch(operands(20), waves=tmp_path / "batch.vcd")
    adder.reset()
    adder.record(tmp_path / "steps.vcd")
    adder.step(3)
    adder.close()
    for name in ("batch.vcd", "steps.vcd"):
        text = (tmp_path / name).read_text()
        assert "$enddefinitions" in text and "out_data" in text and "sum_q" in text
    assert (tmp_path / "batch.vcd").stat().st_size > (tmp_path / "steps.vcd").stat().st_size


def test_registers(scaler: Scaler) -> None:
    rng = np.random.default_rng(4)
    values, weights = rng.integers(-128, 128, (200, 10)), rng.integers(-128, 128, 10)
    frames = pack_words(values, 8)
    with scaler() as sim:
        sim.write_registers(range(10), weights.tolist())
        result = sim.run_batch(frames, Stalls(1, 0.2))
        np.testing.assert_array_equal(unpack_words(result.outputs, 10, 16, signed=True), values * weights)
        assert result.latency == 3
        assert int(result.in_cycles[0]) >= 10  # each register took a cycle

        sim.reset()
        sim.push(frames[0])
        sim.step(3)
        one = sim.pop()
        assert one is not None
        np.testing.assert_array_equal(unpack_words(one[None], 10, 16, signed=True)[0], values[0] * weights)

        sim.write_register(3, -weights[3])  # takes effect in the running model, too
        weights[3] *= -1
        sim.push(frames[1])
        sim.step(3)
        two = sim.pop()
        assert two is not None
        np.testing.assert_array_equal(unpack_words(two[None], 10, 16, signed=True)[0], values[1] * weights)
        again = sim.run_batch(frames)
        np.testing.assert_array_equal(unpack_words(again.outputs, 10, 16, signed=True), values * weights)


def test_power_up_is_not_zero_but_repeatable(scaler: Scaler, workdir: Path) -> None:
    """Weights nobody wrote: a model that starts from zeros would hide that."""
    frames = pack_words(np.full((1, 10), 127), 8)
    first = scaler().run_batch(frames).outputs
    assert first.any()
    np.testing.assert_array_equal(first, scaler().run_batch(frames).outputs)
    other = Simulation([RTL / "scaler.sv"], "scaler", Ports(80, 160, 4), workdir=workdir, seed=2)
    assert (first != other.run_batch(frames).outputs).any()


def test_many_models_live_and_die_in_any_order(scaler: Scaler) -> None:
    frames = pack_words(np.arange(10)[None], 8)
    models = [scaler() for _ in range(4)]
    for weight, sim in enumerate(models):
        sim.write_registers(range(10), [weight] * 10)
        sim.push(frames[0])
    for i in (3, 0, 2, 1):
        models[i].step(3)
        out = models[i].pop()
        assert out is not None
        assert unpack_words(out[None], 10, 16, signed=True).tolist() == [[i * n for n in range(10)]]
        models[i].close()


@pytest.mark.parametrize("address", [16, -1])
def test_no_such_register(scaler: Scaler, address: int) -> None:
    with pytest.raises(EdgecError) as caught:
        scaler().write_register(address, 0)
    assert caught.value.code == "E0204"


def test_no_register_port_and_too_wide_values(adder: Simulation, scaler: Scaler) -> None:
    with pytest.raises(EdgecError, match="no register"):
        adder.write_register(0, 1)
    with pytest.raises(EdgecError, match="does not fit"):
        scaler().write_register(0, 1 << 32)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 4), np.uint32),
        np.zeros((2, 3), np.int32),
        np.zeros(3, np.uint32),
        np.full((1, 3), 0xFFFFFFFF, np.uint32),
    ],
)
def test_frames_that_do_not_fit(scaler: Scaler, frames: np.ndarray) -> None:
    with pytest.raises(EdgecError) as caught:
        scaler().run_batch(frames)
    assert caught.value.code == "E0210"


def test_built_once(adder: Simulation, workdir: Path) -> None:
    again = Simulation([RTL / "adder.sv"], "adder", ADDER_PORTS, workdir=workdir, probes=ADDER_PROBES, trace=True)
    assert not again.library.built and again.library.folder == adder.library.folder
    assert not list(workdir.glob(".*"))


def test_defines_make_another_build(workdir: Path) -> None:
    need("verilator", "c++", "make")
    broken = Simulation([RTL / "adder.sv"], "adder", ADDER_PORTS, workdir=workdir, defines=["BROKEN"])
    frames = operands(100)
    result = broken.run_batch(frames)
    want = sums(frames)
    np.testing.assert_array_equal(as_numbers(result.outputs), want ^ (want >> np.uint64(3) & np.uint64(1)))


def test_probe_of_nothing(workdir: Path) -> None:
    need("verilator", "c++", "make")
    probes = [Probe("lane[0].u.no_such_signal", 8, 1)]
    sim = Simulation([RTL / "adder.sv"], "adder", ADDER_PORTS, workdir=workdir, probes=probes)
    for action in (lambda: sim.run_batch(operands(3)), sim.reset):
        with pytest.raises(EdgecError, match="no_such_signal") as caught:
            action()
        assert caught.value.code == "E0204"


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (1, "only 255 outputs came for 256 frames"),
        (2, "an output came without an input frame"),
        (3, "without a clock edge"),
        (4, "misbehaving.sv"),
        (5, r"\$finish"),
    ],
)
def test_designs_that_break_the_protocol(workdir: Path, mode: int, why: str) -> None:
    need("verilator", "c++", "make")
    sim = Simulation([RTL / "misbehaving.sv"], "misbehaving", Ports(11, 8), workdir=workdir)
    frames = (np.arange(256, dtype=np.uint32) | np.uint32(mode << 8))[:, None]
    with pytest.raises(EdgecError, match=why) as caught:
        sim.run_batch(frames, Stalls(1, 0.2))
    assert caught.value.code == "E0502" and caught.value.exit == Exit.MISMATCH
    if mode in (4, 5):  # in this process: an error, not the end of it
        sim.push(frames[200])
        with pytest.raises(EdgecError, match=why):
            sim.step()
        with pytest.raises(EdgecError):
            sim.step()


def test_sources_that_do_not_compile(tmp_path: Path) -> None:
    need("verilator", "c++", "make")
    (tmp_path / "bad.sv").write_text("module adder (input logic clk; endmodule\n")
    with pytest.raises(EdgecError, match="syntax error") as caught:
        Simulation([tmp_path / "bad.sv"], "adder", ADDER_PORTS, workdir=tmp_path / "work")
    assert caught.value.code == "E0602"
    assert not (tmp_path / "work").exists()


def test_missing_source(tmp_path: Path) -> None:
    need("verilator", "c++", "make")
    with pytest.raises(EdgecError) as caught:
        Simulation([tmp_path / "none.sv"], "adder", ADDER_PORTS, workdir=tmp_path)
    assert caught.value.code == "E0202"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("kill -KILL $$", "E0603"),
        ("kill -SEGV $$", "E0603"),
        ("exit 7", "E0602"),
        ("while :; do sleep 0.1; done", "E0604"),
        ("echo 'outputs.bin: No space left on device'; exit 1", "E0606"),
    ],
)
def test_simulator_that_dies(workdir: Path, tmp_path: Path, body: str, code: str) -> None:
    need("verilator", "c++", "make")
    sim = Simulation([RTL / "adder.sv"], "adder", ADDER_PORTS, workdir=workdir, defines=["BROKEN"])
    object.__setattr__(sim.library, "folder", tmp_path)
    script(tmp_path, body, sim.library.batch_program.name)
    with pytest.raises(EdgecError) as caught:
        sim.run_batch(operands(3), timeout=0.5)
    assert caught.value.code == code and caught.value.exit == Exit.TOOL


def test_compiler_killed_during_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need("verilator", "c++", "make")
    answers = 'case "$*" in *--version*) echo g++ 12.2.0;; *) kill -KILL $$;; esac'
    monkeypatch.setenv("CXX", str(script(tmp_path, answers, "g++")))
    with pytest.raises(EdgecError, match="SIGKILL") as caught:
        Simulation([RTL / "adder.sv"], "adder", ADDER_PORTS, workdir=tmp_path / "work")
    assert caught.value.code == "E0603" and "memory" in str(caught.value)
    assert not (tmp_path / "work").exists()


def test_verilator_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need("verilator", "c++", "make")
    answers = 'case "$*" in *--version*) echo Verilator 5.006;; *) sleep 60;; esac'
    monkeypatch.setenv("EDGEC_VERILATOR", str(script(tmp_path, answers, "verilator")))
    with pytest.raises(EdgecError) as caught:
        Simulation([RTL / "adder.sv"], "adder", ADDER_PORTS, workdir=tmp_path / "work", timeout=0.5)
    assert caught.value.code == "E0604"
    assert not (tmp_path / "work").exists()
