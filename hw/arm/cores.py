"""The cores that can be compiled for and run, as data.

The A cores from A55 to X1 are Armv8.2-A with half precision and dot products, none with i8mm. QEMU 7.2 models one of
them, Cortex-A76, which runs the code of all four: counts are architectural, they depend on the instructions and not on
the core. A510 and A710 are Armv9-A with i8mm, and vectors of 128 bits in SVE. Sources: GCC 12 and LLVM
manuals for `-mcpu`; `qemu-aarch64 -cpu help`, `qemu-system-arm -machine help`.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgec.diagnostics import EdgecError, nearest


@dataclass(frozen=True)
class Core:
    """One core. `qemu` is what `-cpu` (A) or `-machine` (M) is given; an M board has `rom` and `ram` bytes. `features`:
    what the core has and Zig's model of it leaves out."""

    name: str
    qemu: str
    rom: int = 0
    ram: int = 0
    features: str = ""

    @property
    def bare(self) -> bool:
        """Whether programs run without an operating system."""
        return self.rom > 0

    @property
    def gcc(self) -> tuple[str, ...]:
        """GCC's options, for compiling and linking."""
        if not self.bare:
            return (f"-mcpu={self.name}",)
        return (f"-mcpu={self.name}", "-mthumb", "-mfloat-abi=hard", "-mfpu=auto")

    @property
    def zig(self) -> str:
        """Zig's name of the core, which writes underscores."""
        return self.name.replace("-", "_") + self.features


ARMV9 = "max,sme=off,sve128=on"
"""QEMU's model of everything: with the vectors of these cores, and without what they have not."""
CORES = {
    core.name: core
    for core in (
        Core("cortex-a53", "cortex-a53"),
        Core("cortex-a55", "cortex-a76"),
        Core("cortex-a72", "cortex-a72"),
        Core("cortex-a76", "cortex-a76"),
        Core("cortex-a78", "cortex-a76"),
        Core("cortex-x1", "cortex-a76"),
        Core("cortex-a510", ARMV9),
        Core("cortex-a710", ARMV9),
        Core("cortex-m4", "mps2-an386", 4 << 20, 4 << 20),
        Core("cortex-m7", "mps2-an500", 4 << 20, 4 << 20),
        Core("cortex-m55", "mps3-an547", 512 << 10, 512 << 10, features="+mve_fp"),
    )
}


def find_core(name: str) -> Core:
    """The core of that name; raises E0204 for an unknown one."""
    if name not in CORES:
        raise EdgecError("E0204", f"unknown core {name!r}", remedy=nearest(name, CORES))
    return CORES[name]
