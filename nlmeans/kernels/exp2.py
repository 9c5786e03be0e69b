"""2^t for weights, on vectors: a polynomial and the exponent's bits, about 10 G/s a core.

math.exp runs at 0.3 G/s: Numba has no vectorised one without Intel's SVML (gone since Numba 0.62).
"""

from typing import Any

from numba import types
from numba.extending import overload

from nlmeans.kernels.lanes import larger, like, times_power_of_two, zero_below

# 2^f = 1 + f q(f) on [-1/2, 1/2], q interpolated at the Chebyshev nodes; relative error below
# 2.1e-7 (float32) and 7e-16 (float64), and 2^0 is exactly 1.
Q32 = (0.6931471824645996, 0.2402234971523285, 0.055503811687231064, 0.00966636836528778,
       0.0013381302123889327)  # fmt: skip
Q64 = (
    0.6931471805599456, 0.240226506959101, 0.055504108664821104, 0.009618129107588465,
    0.0013333558146893336, 0.00015403530481806287, 1.525273331404752e-05, 1.321541442106928e-06,
    1.0178242961091897e-07, 7.0802357873469336e-09, 4.429770178057116e-10, -5.601751544117919e-12,
)  # fmt: skip

# Adding 1.5 * 2^(mantissa bits) leaves the nearest integer in the low bits of the sum.
ROUND32, ROUND64 = 1.5 * 2**23, 1.5 * 2**52
LOWEST32, LOWEST64 = -126.0, -1022.0


def exp2(t: Any) -> Any:
    """2^t of a vector t <= 0, in every lane; t is taken as at least -126 or -1022."""
    raise NotImplementedError  # for compiled code alone


def exp2_above(t: Any, lowest: Any) -> Any:
    """2^t of a vector t <= 0 where t is at least the number `lowest`, which is; elsewhere 0.

    As fast as exp2: the choice takes the place of the limit.
    """
    raise NotImplementedError


@overload(exp2, inline="always")
def _exp2(t: Any) -> Any:
    lowest = LOWEST32 if t.scalar == types.float32 else LOWEST64

    def limited(t: Any) -> Any:
        return _power(larger(t, like(t, lowest)))

    return limited


@overload(exp2_above, inline="always")
def _exp2_above(t: Any, lowest: Any) -> Any:
    def chosen(t: Any, lowest: Any) -> Any:
        return zero_below(_power(t), t, like(t, lowest))

    return chosen


def _power(t: Any) -> Any:
    """2^t, right from -126 or -1022 on."""
    raise NotImplementedError


@overload(_power, inline="always")
def _polynomial(t: Any) -> Any:
    if t.scalar == types.float32:

        def exp2_float32(t: Any) -> Any:
            rounded = t + like(t, ROUND32)
            f = t - (rounded - like(t, ROUND32))
            q = like(t, Q32[3]) + f * like(t, Q32[4])
            q = like(t, Q32[2]) + f * q
            q = like(t, Q32[1]) + f * q
            q = like(t, Q32[0]) + f * q
            return times_power_of_two(like(t, 1.0) + f * q, rounded)

        return exp2_float32

    def exp2_float64(t: Any) -> Any:
        rounded = t + like(t, ROUND64)
        f = t - (rounded - like(t, ROUND64))
        q = like(t, Q64[10]) + f * like(t, Q64[11])
        q = like(t, Q64[8]) + f * (like(t, Q64[9]) + f * q)
        q = like(t, Q64[6]) + f * (like(t, Q64[7]) + f * q)
        q = like(t, Q64[4]) + f * (like(t, Q64[5]) + f * q)
        q = like(t, Q64[2]) + f * (like(t, Q64[3]) + f * q)
        q = like(t, Q64[0]) + f * (like(t, Q64[1]) + f * q)
        return times_power_of_two(like(t, 1.0) + f * q, rounded)

    return exp2_float64
