"""Numbers whose exponents are all ones, looked for by numpy in blocks of whole elements.

Import this module only where it is worth the time; handlers.ckpt.finite says where.
"""

import numpy as np


def occurs(block: memoryview, part: int, exponent: int) -> bool:
    """Tell whether one of the numbers of `part` bytes in `block` is NaN or infinite. Needs no memory of its own.

    Most weights are below 2, which is to say that the highest bit of no exponent is set. Otherwise two maxima tell:
    read as integers, what is sought is the greatest, the positive with a sign, the negative without one.
    """
    bits = np.frombuffer(block, f"<u{part}")
    if not int(np.bitwise_or.reduce(bits)) >> (exponent.bit_length() - 1) & 1:
        return False
    sign = 1 << 8 * part - 1
    return bool(bits.max() >= sign | exponent or bits.view(f"<i{part}").max() >= exponent)


def count(block: memoryview, size: int, part: int, exponent: int) -> tuple[int, int]:
    """Count the elements of `size` bytes with a part that is NaN, and those with none, but with an infinite part."""
    magnitudes = np.frombuffer(block, f"<u{part}") & ((1 << 8 * part - 1) - 1)
    nan, infinite = magnitudes > exponent, magnitudes == exponent
    if size != part:
        nan = nan[::2] | nan[1::2]
        infinite = (infinite[::2] | infinite[1::2]) & ~nan
    return int(np.count_nonzero(nan)), int(np.count_nonzero(infinite))
