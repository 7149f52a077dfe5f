"""The formats of recorded waves."""

from __future__ import annotations

from typing import Literal

Waves = Literal["vcd", "fst"] | None  # value change dump: any viewer; FST: GTKWave's, far smaller, needs zlib
