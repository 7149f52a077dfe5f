"""The reference interpreter: numpy, integer-exact, one function an op. It is the specification.

Arrays hold codes and carry one leading axis of frames: an op of shape [1, 8, 4, 4] evaluates to [F, 1, 8, 4, 4],
so that ten thousand test vectors are one call.
"""

from edgec.interp.run import evaluate, random_frames, run

__all__ = ["evaluate", "random_frames", "run"]
