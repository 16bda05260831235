"""Numbers whose exponents are all ones, counted by numpy in blocks of whole elements.

Import this module only where there are some: numpy takes 0.2 s, which a merge is spared.
"""

import numpy as np


def count(block: memoryview, size: int, part: int, exponent: int) -> tuple[int, int]:
    """Count the elements of `size` bytes with a part that is NaN, and those with none, but with an infinite part."""
    magnitudes = np.frombuffer(block, f"<u{part}") & ((1 << 8 * part - 1) - 1)
    nan, infinite = magnitudes > exponent, magnitudes == exponent
    if size != part:
        nan = nan[::2] | nan[1::2]
        infinite = (infinite[::2] | infinite[1::2]) & ~nan
    return int(np.count_nonzero(nan)), int(np.count_nonzero(infinite))
