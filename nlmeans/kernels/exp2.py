"""2^t for weights, on vectors: a polynomial and the exponent's bits, about 10 G/s a core.

math.exp runs at 0.3 G/s: Numba has no vectorised one without Intel's SVML (gone since Numba 0.62).

Written for LLVM at once: as a function of vectors, whose types Numba has to find, it took 0.6 of
the window kernel's 7 seconds of compiling.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nlmeans.kernels.lanes import FASTMATH, spread_out

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
MANTISSA32, MANTISSA64 = 23, 52
LOWEST32, LOWEST64 = -126.0, -1022.0


@intrinsic
def exp2(typing: Any, t: Any) -> Any:
    """2^t of a vector t <= 0, in every lane; t is taken as at least -126 or -1022."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        lowest = _every(values[0], LOWEST32 if t.scalar == types.float32 else LOWEST64)
        above = builder.fcmp_ordered(">", values[0], lowest, flags=FASTMATH)
        return _power(builder, t, builder.select(above, values[0], lowest))

    return t(t), code


@intrinsic
def exp2_above(typing: Any, t: Any, lowest: Any) -> Any:
    """2^t of a vector t <= 0 where t is at least the number `lowest`, which is; elsewhere 0.

    As fast as exp2: the choice takes the place of the limit.
    """

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        limit = spread_out(builder, values[1], t.count)
        kept = builder.fcmp_ordered(">=", values[0], limit, flags=FASTMATH)
        power = _power(builder, t, values[0])
        return builder.select(kept, power, ir.Constant(power.type, None))

    return t(t, t.scalar), code


def _power(builder: Any, vector: Any, t: Any) -> Any:
    """2^t, right from -126 or -1022 on."""
    single = vector.scalar == types.float32
    mantissa, coefficients = (MANTISSA32, Q32) if single else (MANTISSA64, Q64)

    def fma(a: Any, b: Any, number: float) -> Any:
        product = builder.fmul(a, b, flags=FASTMATH)
        return builder.fadd(_every(t, number), product, flags=FASTMATH)

    big = _every(t, 1.5 * 2**mantissa)
    rounded = builder.fadd(t, big, flags=FASTMATH)
    f = builder.fsub(t, builder.fsub(rounded, big, flags=FASTMATH), flags=FASTMATH)
    q = _every(t, coefficients[-1])
    for coefficient in (*coefficients[-2::-1], 1.0):
        q = fma(f, q, coefficient)
    integers = ir.VectorType(ir.IntType(vector.scalar.bitwidth), vector.count)
    shift = ir.Constant(integers, [mantissa] * vector.count)
    exponent = builder.shl(builder.bitcast(rounded, integers), shift)
    return builder.bitcast(builder.add(builder.bitcast(q, integers), exponent), t.type)


def _every(like: Any, number: float) -> Any:
    return ir.Constant(like.type, [number] * like.type.count)
