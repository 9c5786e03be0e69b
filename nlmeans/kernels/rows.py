"""Several vectors as one value: sums of a vector times numbers of several rows, in registers.

A vector of queries meets numbers one by one, each spread over it. What one statement does to every
row here would be a statement a row otherwise, which takes Numba twice as long to compile.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from nlmeans.kernels.lanes import FASTMATH, Vector, spread_out, vector_pointer
from nlmeans.kernels.tiles import VECTOR_BYTES


class Rows(types.Type):
    """So many vectors of a kind."""

    def __init__(self, vector: Vector, count: int) -> None:
        self.vector, self.count = vector, count
        super().__init__(name=f"Rows({vector}, {count})")


@register_model(Rows)
class _RowsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, rows: Rows) -> None:
        vector = manager.lookup(rows.vector).get_value_type()
        super().__init__(manager, rows, ir.ArrayType(vector, rows.count))


def _each(context: Any, builder: Any, rows: Rows, value_of: Callable[[int], Any]) -> Any:
    whole = ir.Constant(context.get_value_type(rows), ir.Undefined)
    for r in range(rows.count):
        whole = builder.insert_value(whole, value_of(r), r)
    return whole


def _numbers(
    context: Any, builder: Any, array: Any, rows: Rows, values: Any
) -> Callable[[int], Any]:
    """array[index + r * stride] in every place of a vector; `values` are array, index, stride."""
    data = cgutils.create_struct_proxy(array)(context, builder, value=values[0]).data

    def number(r: int) -> Any:
        index = builder.add(values[1], builder.mul(values[2], ir.Constant(values[2].type, r)))
        return spread_out(builder, builder.load(builder.gep(data, [index])), rows.vector.count)

    return number


@intrinsic(prefer_literal=True)
def repeat(typing: Any, vector: Any, count: Any) -> Any:
    """So many rows of the vector."""
    rows = Rows(vector, count.literal_value)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _each(context, builder, rows, lambda r: values[0])

    return rows(vector, count), code


@intrinsic
def add_numbers(typing: Any, rows: Any, array: Any, index: Any, stride: Any) -> Any:
    """Row r plus array[index + r * stride]."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        number = _numbers(context, builder, array, rows, values[1:])

        def sum_of(r: int) -> Any:
            return builder.fadd(builder.extract_value(values[0], r), number(r), flags=FASTMATH)

        return _each(context, builder, rows, sum_of)

    return rows(rows, array, types.intp, types.intp), code


@intrinsic
def add_products(typing: Any, rows: Any, vector: Any, array: Any, index: Any, stride: Any) -> Any:
    """Row r plus the vector times array[index + r * stride]."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        number = _numbers(context, builder, array, rows, values[2:])

        def sum_of(r: int) -> Any:
            product = builder.fmul(values[1], number(r), flags=FASTMATH)
            return builder.fadd(builder.extract_value(values[0], r), product, flags=FASTMATH)

        return _each(context, builder, rows, sum_of)

    return rows(rows, vector, array, types.intp, types.intp), code


@intrinsic
def add_squares(typing: Any, rows: Any, vector: Any, array: Any, index: Any, stride: Any) -> Any:
    """Row r plus the square of the vector less array[index + r * stride]."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        number = _numbers(context, builder, array, rows, values[2:])

        def sum_of(r: int) -> Any:
            d = builder.fsub(values[1], number(r), flags=FASTMATH)
            square = builder.fmul(d, d, flags=FASTMATH)
            return builder.fadd(builder.extract_value(values[0], r), square, flags=FASTMATH)

        return _each(context, builder, rows, sum_of)

    return rows(rows, vector, array, types.intp, types.intp), code


@intrinsic
def scaled(typing: Any, rows: Any, factor: Any, more: Any) -> Any:
    """Every row times a vector, plus another."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def sum_of(r: int) -> Any:
            product = builder.fmul(builder.extract_value(values[0], r), values[1], flags=FASTMATH)
            return builder.fadd(product, values[2], flags=FASTMATH)

        return _each(context, builder, rows, sum_of)

    return rows(rows, factor, more), code


@intrinsic
def spread_rows(typing: Any, array: Any, index: Any, stride: Any, rows: Any) -> Any:
    """Put row r where array[index + r * stride] is, a multiple of 64 bytes."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        for r in range(rows.count):
            to = builder.add(values[1], builder.mul(values[2], ir.Constant(values[2].type, r)))
            pointer = vector_pointer(context, builder, array, rows.vector, [values[0], to])
            builder.store(builder.extract_value(values[3], r), pointer, align=VECTOR_BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, rows), code


@intrinsic
def store_rows(typing: Any, array: Any, index: Any, rows: Any) -> Any:
    """Put one row behind the other, from array[index] on, a multiple of 64 bytes."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        for r in range(rows.count):
            pointer = _row(context, builder, array, rows, values, r)
            builder.store(builder.extract_value(values[2], r), pointer, align=VECTOR_BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, rows), code


@intrinsic
def add_rows(typing: Any, array: Any, index: Any, factor: Any, rows: Any) -> Any:
    """Multiply what store_rows() has put there by a vector, and add the rows."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        for r in range(rows.count):
            pointer = _row(context, builder, array, rows, values, r)
            old = builder.load(pointer, align=VECTOR_BYTES)
            kept = builder.fmul(old, values[2], flags=FASTMATH)
            new = builder.fadd(kept, builder.extract_value(values[3], r), flags=FASTMATH)
            builder.store(new, pointer, align=VECTOR_BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, factor, rows), code


def _row(context: Any, builder: Any, array: Any, rows: Rows, values: Any, r: int) -> Any:
    index = builder.add(values[1], ir.Constant(values[1].type, r * rows.vector.count))
    return vector_pointer(context, builder, array, rows.vector, [values[0], index])
