"""What a target file may say: every known constant and option with its unit, meaning and the range of real hardware.

A name that is not listed here would be read by nobody, and a value outside the range is a slip of units or of
the decimal point; both are refused (E0206). `docs/writing-a-target.md` shows these tables.
"""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """Unit, smallest and largest plausible nominal value, and what the number is."""

    unit: str
    low: float
    high: float
    meaning: str


CELL_KINDS = (
    "full_adder", "half_adder", "nand2", "nor2", "and2", "or2", "xor2", "xnor2", "ao22", "inv", "buf", "mux2", "voter",
    "nand3", "nor3", "aoi21", "oai21", "aoi22", "oai22",
    "dff", "dff_enable", "dff_reset", "dff_enable_reset",
)  # fmt: skip
"""Circuit elements that a backend may count; a target prices each of them."""

_POOLS = {
    "average": "a visit of a window that is written out, for an average of channels side by side",
    "average_apart": "the same where channels are not side by side",
    "average_beside": "a visit of a window that is a loop around some channels, for an average",
    "average_clipped": "the same where the window may reach beyond the image",
    "max": "a visit of a window that is written out, for the largest of channels side by side",
    "max_apart": "the same where channels are not side by side, or along an axis",
    "max_beside": "a visit of a window that is a loop around some channels, for the largest",
    "max_clipped": "the same where the window may reach beyond the image",
    "mean": "a result of an average of numbers of one sign, or of a power of two",
}

_FUNCTIONS = ("exp", "sigmoid", "tanh", "erf", "gelu", "gelu_tanh")

WORK = {
    "step": "a step of portable code: its call and the beginnings of its loops",
    "byte": "a byte of integers read or written by a step",
    "number": "four bytes of floats read or written by an elementwise step",
    **{f"number_{kind}": f"{meaning}, of floats" for kind, meaning in _POOLS.items()},
    "number_add": "a sum, difference or product of floats in an elementwise step",
    "number_op": "another elementwise operation of floats",
    "row": "a row of an image that is written with a margin around it",
    "mac_i8": "a multiply-accumulate of 8-bit operands",
    "mac_i16": "a multiply-accumulate of 16-bit operands",
    "mac_i64": "a multiply-accumulate in 64 bits",
    "mac_f32": "a multiply-accumulate in single precision",
    "mac_f64": "a multiply-accumulate in double precision",
    "row_f32": "a multiply-accumulate of two rows in single precision",
    "recurrent_f32": "the same in a recurrent layer",
    "tap": "a run of multiply-accumulates begun: one place of a window that may reach beyond the image",
    "tap_inside": "the same where windows lie in the image, or of a product of rows",
    "code": "a weight looked up by its code",
    "decode": "a vector of codes decoded into weights of vector code",
    **_POOLS,
    "number_average_wide": "a visit of a window of floats that is written out, of more than 64 channels",
    "number_mean_divided": "a result of an average of floats that is no power of two of them, or clipped",
    "mean_signed": "a result of an average of numbers of either sign",
    "mean_clipped": "a result of an average whose windows reach beyond the image: divisors differ",
    "window": "a place of a window at which some channels are done together",
    "clipped": "a visit of a window, one channel at a time, that may reach beyond the image",
    "window_clipped": "the same, where it may lie beyond the image",
    "reduced": "an element that a sum or a normalisation along the last axis visits",
    "reduced_beside": "an element that a sum along another axis visits",
    "run": "a run of elements that is copied",
    "run_byte": "a byte of one",
    "moved": "a byte that is copied by itself",
    "moved_near": "an element copied by itself, at most three others between it and the next one",
    "number_moved": "a larger element that is copied by itself",
    "long_byte": "a byte of a run that is longer than compilers write out",
    "filled": "a byte of a tensor that is filled before something is copied into it",
    "placed": "an element whose place in another tensor is computed",
    "tested": "a side of a tensor that the place of an element is compared with",
    "loop": "an inner loop of copied or placed elements begun",
    "rescale": "a result of a step with a rescaling to another scale",
    "element": "a result of another elementwise operation of integers",
    "quantized": "a float rounded to a code",
    "dequantized": "a code made a float",
    "double": "a function in double precision",
    **{f"single_{name}": f"{name} in single precision" for name in _FUNCTIONS},
    "softmax": "an element of a softmax in single precision: its exponential, and what is done besides",
    "softmax_few": "the same in a loop too short for vectors",
    "softmax_written": "the same in a row so short that its loops are written out",
    "softmax_step": "a softmax begun",
    "softmax_row": "a row of a softmax begun",
    "copy": "an element copied into scratch memory",
    "clear": "a byte of scratch memory or of a margin set before",
    "dot": "a dot-product instruction of 16 bytes",
    "dot_idle": "a sum by which those under way fall short of four, which leave no instruction waiting",
    "dot_load": "a vector load of dot-product code",
    "dot_word": "a word of four bytes of every place of a tile",
    "dot_rescale": "a vector instruction that rescales, saturates or stores sums",
    "dot_held": "a vector of weights that is loaded once for all tiles, if only onto the stack",
    "dot_code": "a vector of weights looked up by their codes in registers",
    "dot_turn": "a turn of the innermost loop of dot-product code",
    "dot_run": "a run of bytes begun in dot-product code",
    "dot_tile": "a tile of dot-product code",
    "dot_line": "a row of such tiles",
    "dot_call": "a call of dot-product code",
    "dot_column": "a column of 16 channels interleaved for a depthwise window",
    "dot_apart": "such a column of a row, in a function of rows of more than one width, where places do not overlap",
    "dot_result": "a vector instruction that rescales, saturates or stores results of such a window",
    "dot_row": "a row of a depthwise window begun",
    "matrix": "a matrix product of bytes of two vectors",
    "matrix_load": "a vector loaded or sorted for those",
    "matrix_rescale": "a vector instruction that rescales, saturates or stores their sums",
    "matrix_run": "a run of bytes begun in code with matrix products",
    "matrix_tile": "a tile of such code",
    "neon_pair": "products of eight bytes, to which others are added in 16 bits before the sums are in 32 bits",
    "neon_more": "other such products",
    "neon_long": "other such products, of a whole run or a large part of it",
    "neon_idle": "a place by which such a tile falls short of four, which leave no instruction waiting",
    "neon_lane": "an instruction of a tile that multiplies by lanes",
    "neon_load": "a vector load of both",
    "neon_spilled": "a sum of a place and a channel that a piece of a run does not leave in a register",
    "neon_run": "a run of bytes begun in them",
    "neon_tile": "a tile of theirs",
    "neon_line": "a row of such tiles",
    "neon_winograd": "an instruction of Winograd's method",
    "neon_window": "products of eight bytes in a depthwise window, to which others are added in 16 bits",
    "neon_window_more": "other such products",
    "neon_column": "a column of such a window",
    "neon_kept": "a column kept from the place before, until which its products wait",
    "neon_result": "a vector instruction that rescales, saturates or stores results of such a window",
    "neon_row": "a row of such a window begun",
    "taps": "a vector instruction that multiplies or adds a tap of another depthwise window of bytes",
    "taps_load": "a vector load of such a window",
    "taps_run": "a row of its taps begun",
    "taps_tile": "a tile of its results",
    "neon_rescale": "a vector instruction that rescales, saturates or stores sums of tiles",
    "neon_call": "a call of code without dot products",
    "xnor": "128 products of single bits: exclusive or, count, addition",
    "xnor_load": "a vector load of such code",
    "xnor_finish": "a vector instruction that makes results of counts",
    "xnor_pack": "a place's vector of 16 codes packed to single bits",
    "dsp_mac": "an SMLAD of a tile of places and channels",
    "dsp_load": "a load of such a tile, or weights widened",
    "dsp_sum": "a tile begun and ended",
    "dsp_word": "a word of activations widened for it",
    "dsp_run": "a run of bytes begun there, or a row of a window",
    "dsp_rest": "a run that ends within a word",
    "dsp_rescale": "a sum rescaled and stored",
    "dsp_clamp": "a result clamped to other bounds than those of a byte",
    "dsp_call": "a call for one or two places of all channels",
    "dsp_pair": "two places of two channels taken out as planes",
    "dsp_row": "a row of planes begun",
    "dsp_tap": "a load or multiply-accumulate of a depthwise window",
    "dsp_window": "such a window, or two, begun and ended",
    "dsp_line": "a row of such windows begun",
    "mve_mac": "a VMLADAVA of 16 products",
    "mve_load": "a vector load beside them",
    "mve_sum": "a tile of places and channels begun and ended",
    "mve_copy": "16 bytes of a window copied together",
    "mve_run": "a run of bytes of it begun",
    "mve_rescale": "four sums rescaled and stored",
    "mve_call": "a call for one or two places of all channels",
    "mve_tap": "a tap of eight channels of a depthwise window",
    "mve_block": "eight channels of such a window begun, rescaled and stored",
    "float": "a vector multiply-add of single precision",
    "float_idle": "a sum by which those under way fall short of eight, which leave no instruction waiting",
    "float_load": "a vector load beside those",
    "float_weight": "a load of a vector of weights, or half one of two, whose products wait for it",
    "float_four": "a load of four such vectors at once",
    "float_number": "a number of a run of every place of a tile",
    "float_turn": "a turn of their innermost loop",
    "float_store": "a vector of sums begun, clamped and stored",
    "float_run": "a run of numbers begun",
    "float_tile": "a tile",
    "float_line": "a row of tiles",
    "float_window": "a vector multiply-add of a depthwise window",
    "float_chain": "a sum by which those under way in a window fall short of eight",
    "float_kept": "a sum by which those fall short of four, in a window that keeps two columns or more",
    "float_column": "a vector of x loaded for a window",
    "float_result": "a vector of results of a window",
    "float_row": "a row of a window, or some together",
    "float_call": "a call of that code",
    "float_winograd": "an instruction of Winograd's method in single precision",
    "sum_byte": "16 bytes of an operand of an elementwise sum in vector code",
    "sum_number": "four numbers of single precision of such an operand",
    "sum_clamp": "a vector of such results clamped from one side",
    "sum_run": "a call of that code for a run of elements",
    "unit": "a number moved from or to the scratch memory of a recurrent layer",
}  # fmt: skip
"""Kinds of work that C code does; a target prices each of them in cycles (`cycles.KIND`)."""

_PER_CELL = {
    "ge": ("GE", 0.25, 20.0, "area in NAND2 areas"),
    "toggle": ("NAND2 transitions", 0.25, 10.0, "energy of one output transition, its load included"),
    "delay": ("NAND2 delays", 0.25, 12.0, "delay of one cell on a path"),
}

CONSTANTS: dict[str, Known] = {
    f"{table}.{kind}": Known(unit, low, high, f"{kind}: {meaning}")
    for table, (unit, low, high, meaning) in _PER_CELL.items()
    for kind in CELL_KINDS
} | {
    **{f"{table}.nand2": Known(unit, 1.0, 1.0, "the unit itself") for table, (unit, *_) in _PER_CELL.items()},
    **{
        f"load.{kind}": Known("NAND2 inputs", 0.3, 6.0, f"{kind}: load of one input pin with its wire")
        for kind in ("xor2", "mux2", "aoi22", "half_adder", "full_adder", "dff")
    },
    **{
        f"slope.{kind}": Known("", 0.2, 4.0, f"{kind}: delay by load, compared with a NAND2")
        for kind in ("xor2", "mux2", "aoi22", "half_adder", "full_adder", "inv")
    },
    "load.nand2": Known("NAND2 inputs", 1.0, 1.0, "the unit itself"),
    "load.limit": Known("NAND2 inputs", 4.0, 1000.0, "load beyond which a net counts as buffered by a tree"),
    "toggle.load": Known("NAND2 transitions", 0.01, 1.0, "energy that a load of one NAND2 input adds to a transition"),
    "toggle.table": Known("NAND2 transitions", 0.1, 5.0, "a multiplexer of a look-up table, as mapped"),
    "toggle.data_pin": Known("NAND2 transitions", 0.0, 5.0, "transition at the data input of a flip-flop with enable"),
    "delay.carry": Known("NAND2 delays", 0.25, 12.0, "carry output of a full adder"),
    "delay.stage": Known("NAND2 delays", 0.1, 12.0, "a buffer in a tree of them, each in front of eight"),
    "delay.load": Known("NAND2 delays", 0.01, 1.0, "delay that a load of one NAND2 input adds to a gate"),
    "logic.area": Known("", 0.5, 2.0, "area of synthesised cells over that of the counted ones"),
    "logic.energy": Known("", 0.5, 2.0, "simulated energy of synthesised logic over that of its estimated netlist"),
    "logic.delay": Known("", 0.5, 2.0, "longest path of synthesised logic over that of its estimated netlist"),
    "area.nand2_um2": Known("um2", 0.01, 500.0, "area of the library's smallest two-input NAND: one gate equivalent"),
    "area.density": Known("", 0.2, 1.0, "cell area over core area after place and route"),
    "supply.voltage_v": Known("V", 0.3, 5.5, "supply at which the energies and delays of the file hold"),
    "supply.threshold_v": Known("V", 0.1, 1.2, "threshold voltage of the alpha-power delay law"),
    "supply.alpha": Known("", 1.0, 2.0, "exponent of the alpha-power delay law"),
    "energy.nand2_fj": Known("fJ", 0.001, 5000.0, "energy of one NAND2 output transition with a load of three inputs"),
    "energy.leakage_nw": Known("nW", 1e-6, 1000.0, "leakage of one gate equivalent"),
    "time.nand2_ps": Known("ps", 0.5, 5000.0, "delay of a NAND2 with a load of three inputs"),
    "time.setup": Known("NAND2 delays", 0.0, 20.0, "setup time of a flip-flop"),
    "clock.dff": Known("NAND2 transitions", 0.2, 20.0, "clock energy of one flip-flop a cycle, data at rest"),
    "clock.tree": Known("", 1.0, 4.0, "total clock energy over that of the flip-flops' pins"),
    "clock.weight_duty": Known("", 0.0, 1.0, "share of cycles in which weight registers see the clock"),
    "activity.input": Known("", 0.0, 1.0, "input bits that toggle from frame to frame, when not measured"),
    "activity.adder": Known("", 0.01, 1.0, "transitions a cycle of an adder output when every input bit is random"),
    "activity.exponent": Known("", 0.01, 1.0, "how adder activity falls with the input toggle rate"),
    "activity.and": Known("", 0.01, 1.0, "transitions of a partial product per transition of its input bit"),
    "glitch.base": Known("", 0.0, 5.0, "extra transitions per useful one in a registered compressor tree"),
    "glitch.constant": Known("", 0.0, 10.0, "the same in a network of constant weights"),
    "glitch.depth": Known("full adders", 1.0, 1000.0, "path depth from which on glitches grow"),
    "glitch.exponent": Known("", 0.0, 8.0, "growth of glitches with path depth beyond that"),
    "glitch.limit": Known("", 1.0, 100.0, "largest glitch factor that is assumed"),
    "memory.rom_ge": Known("GE", 0.01, 5.0, "area of one bit of read-only memory, decoders included"),
    "memory.sram_ge": Known("GE", 0.05, 10.0, "area of one bit of static memory, read and write port and periphery"),
    "memory.rom_access": Known("NAND2 transitions", 0.05, 100.0, "energy of one bit read from read-only memory"),
    "memory.sram_access": Known("NAND2 transitions", 0.1, 200.0, "energy of one bit read or written, static memory"),
    **{f"cycles.{kind}": Known("cycles", 0.0, 1e4, meaning) for kind, meaning in WORK.items()},
    "code.statement": Known("B", 0.5, 100.0, "machine code of one statement of C"),
    "cycles.trace_scale": Known("", 0.5, 4.0, "measured cycles of a core over those of its pipeline model"),
    "flash.cycles_byte": Known("cycles", 0.0, 10.0, "wait for a byte of constants that comes from flash memory"),
    "power.active_mw": Known("mW", 0.01, 1e5, "power that a busy core adds, at the default clock"),
    "dram.pj_byte": Known("pJ/B", 1.0, 2000.0, "energy of one byte that comes from dynamic memory"),
    "fixed.sharing": Known("", 0.1, 1.0, "cells of a shared constant network over those of separate trees"),
}  # fmt: skip
"""Constants by dotted name. Nominal values must lie in the range; error bars may leave it by a factor of 4."""

OPTIONS: dict[str, Known] = {
    "clock_mhz": Known("MHz", 1e-3, 1e5, "default clock"),
    "adder_cells": Known("", 0, 1, "1: the library has full adder cells, 0: adders are made of gates"),
    "calibrated": Known("", 0, 1, "1: the constants were fitted to synthesis and gate-level simulation"),
    "max_area_kge": Known("kGE", 1e-3, 1e6, "largest network that is built without --max-area"),
    "core": Known("", 1, 1, "1: the name of the target is that of a core that C code is compiled for"),
    "cache_kib": Known("KiB", 1, 1 << 20, "last cache in front of dynamic memory; none: all memory is on the chip"),
    "dotprod": Known("", 0, 1, "1: the core has the 8-bit dot products of Armv8.2-A"),
    "i8mm": Known("", 0, 1, "1: the core has the matrix products of bytes of Armv8.6-A"),
    "fp16fml": Known("", 0, 1, "1: the core multiplies halves and adds to binary32 (FEAT_FHM, Armv8.2-A)"),
    "dsp": Known("", 0, 1, "1: the core has the DSP extension of Cortex-M"),
    "mve": Known("", 0, 1, "1: the core has the vector extension of Cortex-M (Helium)"),
    "neon": Known("", 0, 1, "1: the core has the vector instructions of 64-bit Armv8.0-A"),
}

ANCHOR_FIGURES: dict[str, Known] = {
    "area_mm2": Known("mm2", 1e-6, 1e4, "published area"),
    "power_mw": Known("mW", 1e-6, 1e6, "published power"),
    "energy_nj": Known("nJ", 1e-9, 1e9, "published energy per inference"),
    "latency_ns": Known("ns", 1e-3, 1e9, "published latency"),
    "clock_mhz": Known("MHz", 1e-3, 1e5, "clock of the publication"),
}
"""Figures of `[anchors.NAME]`: published points that estimates are compared with and never computed from."""
