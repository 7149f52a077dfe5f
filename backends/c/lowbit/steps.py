"""A step's body for single bits: activations are packed first, then multiplied word by word."""

from __future__ import annotations

from edgec.backends.c.constants import Constants
from edgec.backends.c.lowbit.binary import BitLayer
from edgec.backends.c.lowbit.xnor import tile_of
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
    """Where the bits of x go, as an image of bytes."""
    shape = (1, layer.weights.shape[3], *layer.image_shape(layer.op.x.shape))
    return image("bits", layer.op.x.format, shape, (0, 0, 0, 0), 0)


def body(layer: BitLayer, x: View, y: View, constants: Constants, base: str, work: int) -> list[str]:
    """Statements for x at `base` and y at `y`."""
    bits = packed_image(layer)
    add(constants, "@pack_bits", PACK)
    channels, height, width = x.shape[1], x.shape[2], x.shape[3]
    room = f"(uint8_t *)scratch + {work}" if work else "(uint8_t *)scratch"
    if height == 1 or x.strides[2] == width * x.strides[3]:
        places = f"{base} + {x.offset}, {room}, {height * width}"
        lines = [f"@pack_bits({places}, {x.strides[3]}, {x.strides[1]}, {channels});"]
    else:
        places = f"{base} + {x.offset} + r * {x.strides[2]}, {room} + r * {bits.strides[2]}, {width}"
        lines = [
            f"for (int32_t r = 0; r < {height}; r++) {{",
            f"  @pack_bits({places}, {x.strides[3]}, {x.strides[1]}, {channels});",
            "}",
        ]
    tile = tile_of(layer)
    return lines + dense(layer, bits, y, constants, room, tile, to="(int8_t *)y" if layer.threshold else "y")


def workspace(layer: BitLayer, y: View) -> int:
    """Bytes of memory for the bits of x."""
    return packed_image(layer).buffer.elements
