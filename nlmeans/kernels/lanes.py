"""Vectors of 64 bytes as values in compiled code: 16 floats or 8 doubles, one a lane.

`load(array, i, 1)` and `fill(number, 1)` make them, `+ - *` join them, `store(array, i, vector)`
puts them down. LLVM maps each operation to one instruction where the machine has 512-bit vectors
and to several narrower ones elsewhere. Against loops that LLVM has to vectorise by itself the code
is a tenth as long and does not depend on its judgement: it compiles in a third of the time.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from nlmeans.kernels.tiles import VECTOR_BYTES

# No reassoc: it would undo the rounding trick of exp2 and change bits with the machine. nnan and
# ninf hold because the input is checked and scaled.
FASTMATH = ("contract", "nsz", "arcp", "nnan", "ninf")


class Vector(types.Type):
    """So many scalars."""

    def __init__(self, scalar: types.Float, count: int) -> None:
        self.scalar, self.count = scalar, count
        super().__init__(name=f"Vector({scalar}, {count})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        scalar = manager.lookup(vector.scalar).get_value_type()
        super().__init__(manager, vector, ir.VectorType(scalar, vector.count))


def _lanes(scalar: types.Float) -> int:
    return VECTOR_BYTES * 8 // scalar.bitwidth


def vector_pointer(context: Any, builder: Any, array: Any, vector: Vector, values: Any) -> Any:
    """Where array[index] begins; `values` are the array and the index."""
    data = cgutils.create_struct_proxy(array)(context, builder, value=values[0]).data
    address = builder.gep(data, [values[1]])
    return builder.bitcast(address, context.get_value_type(vector).as_pointer())


@intrinsic
def lanes(typing: Any, array: Any) -> Any:
    """How many of the array's elements make 64 bytes, as a constant of the compiled code."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return context.get_constant(types.intp, _lanes(array.dtype))

    return types.intp(array), code


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, index: Any, vectors: Any) -> Any:
    """So many times 64 bytes from array[index], which has to lie on a multiple of 64 bytes."""
    return _loading(array, vectors, VECTOR_BYTES)


@intrinsic(prefer_literal=True)
def load_anywhere(typing: Any, array: Any, index: Any, vectors: Any) -> Any:
    """So many times 64 bytes from array[index], wherever that lies."""
    return _loading(array, vectors, array.dtype.bitwidth // 8)


def _loading(array: Any, vectors: Any, align: int) -> Any:
    vector = Vector(array.dtype, vectors.literal_value * _lanes(array.dtype))

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(vector_pointer(context, builder, array, vector, values), align=align)

    return vector(array, types.intp, vectors), code


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Put a vector at array[index], aligned likewise."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = vector_pointer(context, builder, array, vector, values)
        builder.store(values[2], pointer, align=VECTOR_BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic(prefer_literal=True)
def spread(typing: Any, array: Any, index: Any, vectors: Any) -> Any:
    """array[index] in every place of so many times 64 bytes."""
    vector = Vector(array.dtype, vectors.literal_value * _lanes(array.dtype))

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = cgutils.create_struct_proxy(array)(context, builder, value=values[0]).data
        number = builder.load(builder.gep(data, [values[1]]))
        return spread_out(builder, number, vector.count)

    return vector(array, types.intp, vectors), code


@intrinsic
def get(typing: Any, array: Any, index: Any) -> Any:
    """array[index] of a flat array, without the test for a negative index."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = cgutils.create_struct_proxy(array)(context, builder, value=values[0]).data
        return builder.load(builder.gep(data, [values[1]]))

    return array.dtype(array, types.intp), code


@intrinsic
def put(typing: Any, array: Any, index: Any, number: Any) -> Any:
    """array[index] = number, without the test for a negative index."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = cgutils.create_struct_proxy(array)(context, builder, value=values[0]).data
        builder.store(values[2], builder.gep(data, [values[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), code


@intrinsic(prefer_literal=True)
def fill(typing: Any, number: Any, vectors: Any) -> Any:
    """The number in every place of so many times 64 bytes."""
    number = types.unliteral(number)
    vector = Vector(number, vectors.literal_value * _lanes(number))

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return spread_out(builder, values[0], vector.count)

    return vector(number, vectors), code


@intrinsic
def like(typing: Any, vector: Any, number: Any) -> Any:
    """A vector of the same kind with the number in every place."""
    number = vector.scalar

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return spread_out(builder, values[1], vector.count)

    return vector(vector, number), code


def spread_out(builder: Any, number: Any, count: int) -> Any:
    """The number in every place of a vector."""
    undefined = ir.Constant(ir.VectorType(number.type, count), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), count), None)
    return builder.shuffle_vector(first, undefined, zeros)


@intrinsic
def join(typing: Any, a: Any, b: Any) -> Any:
    """b behind a."""
    whole = Vector(a.scalar, 2 * a.count)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        order = ir.Constant(ir.VectorType(ir.IntType(32), whole.count), [*range(whole.count)])
        return builder.shuffle_vector(*values, order)

    return (whole(a, b), code) if a == b else None


def _elementwise(symbol: Callable[..., Any], instruction: str) -> None:
    @type_callable(symbol)
    def typer(context: Any) -> Any:
        def result(a: Any, b: Any) -> Any:
            return a if isinstance(a, Vector) and a == b else None

        return result

    @lower_builtin(symbol, Vector, Vector)
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return getattr(builder, instruction)(*values, flags=FASTMATH)


_elementwise(operator.add, "fadd")
_elementwise(operator.sub, "fsub")
_elementwise(operator.mul, "fmul")


def _choice(name: str, relation: str) -> Any:
    @intrinsic
    def choose(typing: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            chosen = builder.fcmp_ordered(relation, *values, flags=FASTMATH)
            return builder.select(chosen, *values)

        return (a(a, b), code) if isinstance(a, Vector) and a == b else None

    return choose


smaller = _choice("smaller", "<")
larger = _choice("larger", ">")


@intrinsic
def zero_below(typing: Any, vector: Any, t: Any, limit: Any) -> Any:
    """The vector where t is not below the limit, else 0."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kept = builder.fcmp_ordered(">=", values[1], values[2], flags=FASTMATH)
        return builder.select(kept, values[0], ir.Constant(values[0].type, None))

    return (vector(vector, t, limit), code) if vector == t == limit else None


@intrinsic
def total(typing: Any, vector: Any) -> Any:
    """The sum of all places, halves added to halves: one order on every machine."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums, count = values[0], vector.count
        while count > 1:
            count //= 2
            low, high = (
                builder.shuffle_vector(
                    sums, sums, ir.Constant(ir.VectorType(ir.IntType(32), count), [*places])
                )
                for places in (range(count), range(count, 2 * count))
            )
            sums = builder.fadd(low, high, flags=FASTMATH)
        return builder.extract_element(sums, ir.Constant(ir.IntType(32), 0))

    return vector.scalar(vector), code


@intrinsic
def bits_at_most(typing: Any, vector: Any, limit: Any) -> Any:
    """An integer with a bit set for each place, at most 64, that is not above the limit's."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        found = builder.fcmp_ordered("<=", *values, flags=FASTMATH)
        bits = builder.bitcast(found, ir.IntType(vector.count))
        return bits if vector.count == 64 else builder.zext(bits, ir.IntType(64))

    return (types.int64(vector, limit), code) if vector == limit else None


@intrinsic
def count_bits(typing: Any, bits: Any) -> Any:
    """How many bits of an int64 are set."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctpop(values[0])

    return types.int64(types.int64), code


@intrinsic
def lowest_bit(typing: Any, bits: Any) -> Any:
    """The place of the lowest bit set in an int64 that is not 0."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), code


@intrinsic
def number_of(typing: Any, array: Any, bits: Any) -> Any:
    """The number, of the array's type, that these bits are: in the order of the bits from 0 on."""
    integer = ir.IntType(array.dtype.bitwidth)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        small = builder.trunc(values[1], integer) if integer.width < 64 else values[1]
        return builder.bitcast(small, context.get_value_type(array.dtype))

    return array.dtype(array, types.int64), code
