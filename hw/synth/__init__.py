"""Synthesis with yosys: what a design really takes in the cells of a library."""

from edgec.hw.synth.libraries import SynthesisLibrary, load_library
from edgec.hw.synth.netlist import Netlist
from edgec.hw.synth.synthesise import Synthesis, synthesise

__all__ = ["Netlist", "Synthesis", "SynthesisLibrary", "load_library", "synthesise"]
