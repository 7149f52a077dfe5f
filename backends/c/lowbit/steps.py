"""A step's body for single bits: activations are packed first, then multiplied word by word."""

from __future__ import annotations

from typing import Any

from edgec.backends.c.constants import Constants
from edgec.backends.c.lowbit.binary import BitLayer
from edgec.backends.c.lowbit.xnor import XnorTile, tile_of
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.vector.functions import add
from edgec.backends.c.view import View, image

PACK = """\
/* Codes 0 and 1 of `count` channels at each of `places` as bits, the first channel in the lowest bit. */
NOINLINE_ static void @pack_bits(
    const uint8_t *from, uint8_t *to, int32_t places, ptrdiff_t step, ptrdiff_t channel, int32_t count) {
  static const int8_t shifts[16] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
  const int8x16_t place = vld1q_s8(shifts);
  for (int32_t k = 0; k < places; k++, from += step) {
    int32_t c = 0;
    if (channel == 1) {
      for (; c + 64 <= count; c += 64, to += 8) {
        const uint8x16_t a = vshlq_u8(vld1q_u8(from + c), place), b = vshlq_u8(vld1q_u8(from + c + 16), place);
        const uint8x16_t d = vshlq_u8(vld1q_u8(from + c + 32), place), e = vshlq_u8(vld1q_u8(from + c + 48), place);
        const uint8x16_t sum = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(d, e));
        vst1_u8(to, vget_low_u8(vpaddq_u8(sum, sum)));
      }
      for (; c + 8 <= count; c += 8) { *to++ = vaddv_u8(vshl_u8(vld1_u8(from + c), vget_low_s8(place))); }
    }
    for (; c < count; c += 8, to++) {
      uint32_t bits = 0;
      for (int32_t j = 0; j < 8 && c + j < count; j++) { bits |= (uint32_t)from[(c + j) * channel] << j; }
      *to = (uint8_t)bits;
    }
  }
}
"""


def packed_image(layer: BitLayer) -> View:
    """Where the bits of x go, as an image of bytes with the layer's padding around it."""
    shape = (1, layer.weights.shape[3], *layer.image_shape(layer.op.x.shape))
    return image("bits", layer.op.x.format, shape, layer.window[3], 0)


def segments(results: int, size: int, taps: int, stride: int, dilation: int, before: int) -> list[tuple[int, int, Any]]:
    """Neighbouring results along an axis for which the same taps lie in the image: (first, count, taps)."""
    found: list[tuple[int, int, Any]] = []
    for r in range(results):
        inside = tuple(k for k in range(taps) if 0 <= r * stride + k * dilation - before < size)
        if found and found[-1][2] == inside:
            found[-1] = (found[-1][0], found[-1][1] + 1, inside)
        else:
            found.append((r, 1, inside))
    return found


def parts(layer: BitLayer, y: View) -> list[tuple[BitLayer, View, View]]:
    """The layer with the bits that it reads and the results that it makes: as a whole, and with padding apart for
    results that have the same taps in the image."""
    bits = packed_image(layer)
    kernel, strides, dilations, (top, left, _, _) = layer.window
    height, width = bits.shape[2:]
    found = []
    for row, rows, tap_rows in segments(y.shape[2], height, kernel[0], strides[0], dilations[0], top):
        for column, columns, tap_columns in segments(y.shape[3], width, kernel[1], strides[1], dilations[1], left):
            at = bits.offset + row * strides[0] * bits.strides[2] + column * strides[1] * bits.strides[3]
            to = y.offset + row * y.strides[2] + column * y.strides[3]
            part = View(y.buffer, (1, y.shape[1], rows, columns), y.strides, to)
            found.append((layer.without(tap_rows, tap_columns), View(bits.buffer, bits.shape, bits.strides, at), part))
    return found


def tile_for(layer: BitLayer, y: View) -> type[XnorTile]:
    """The tile, with blocks of one size for all parts, so that these share the weights."""
    tile = tile_of(layer)
    block = tile.block(max(part.shape[3] for _, _, part in parts(layer, y)))
    return type(tile.__name__, (tile,), {"block": classmethod(lambda cls, places: block)})


def body(layer: BitLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    bits = packed_image(layer)
    add(constants, "@pack_bits", PACK)
    channels, height, width = x.shape[1], x.shape[2], x.shape[3]
    room = f"(uint8_t *)scratch + {work}" if work else "(uint8_t *)scratch"
    whole = x.strides[2] == width * x.strides[3] and bits.strides[2] == width * bits.strides[3]
    lines = [f"memset({room}, 0, {bits.buffer.elements});"] if any(bits.buffer.halo) else []
    to = f"{room} + {bits.offset}" if bits.offset else room
    if height == 1 or whole:
        places = f"{base} + {x.offset}, {to}, {height * width}"
        lines.append(f"@pack_bits({places}, {x.strides[3]}, {x.strides[1]}, {channels});")
    else:
        places = f"{base} + {x.offset} + r * {x.strides[2]}, {to} + r * {bits.strides[2]}, {width}"
        lines += [
            f"for (int32_t r = 0; r < {height}; r++) {{",
            f"  @pack_bits({places}, {x.strides[3]}, {x.strides[1]}, {channels});",
            "}",
        ]
    tile, made = tile_for(layer, y), parts(layer, y)
    result = "(int8_t *)y" if layer.threshold else "y"
    for part, source, target in made:
        statements = dense(part, source, target, constants, room, tile, to=result)
        lines += statements if len(made) == 1 else ["{", *("  " + line for line in statements), "}"]
    return lines


def workspace(layer: BitLayer, y: View) -> int:
    """Bytes of memory for the bits of x."""
    return packed_image(layer).buffer.elements
