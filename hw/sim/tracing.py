"""The formats of recorded waves."""

from __future__ import annotations

from typing import Literal

# Value change dumps open in any viewer. FST is GTKWave's and far smaller; building it needs the headers of zlib, and
# with Verilator 5.4x those of lz4.
Waves = Literal["vcd", "fst"] | None
