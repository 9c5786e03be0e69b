"""The two inner loops of attention over a window, written for registers.

Both keep ROWS x SHIFTS, or ROWS x channels, sums in registers: each of ten vectors loaded takes
part in four or six multiplications. Loops that LLVM has to unroll, or Numba's tuples, would not
keep them there.

Keys of 16 neighbouring queries are 16 neighbouring numbers anywhere in memory: of all loads half
cross the ends of cache lines, which costs a second cycle each, and less than the multiplications.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nlmeans.kernels.lanes import FASTMATH, Vector, spread_out
from nlmeans.kernels.strips import ROWS, SHIFTS
from nlmeans.kernels.tiles import VECTOR_BYTES

Pointer = Any


class _Memory:
    """Vectors of an array's dtype at its elements."""

    def __init__(self, context: Any, builder: Any, array: Any, value: Any) -> None:
        self._builder = builder
        self._data = cgutils.create_struct_proxy(array)(context, builder, value=value).data
        scalar = context.get_value_type(array.dtype)
        self.lanes = VECTOR_BYTES * 8 // array.dtype.bitwidth
        self._itemsize = array.dtype.bitwidth // 8
        self.vector = ir.VectorType(scalar, self.lanes)

    def at(self, index: Any) -> Pointer:
        return self._builder.gep(self._data, [index])

    def load(self, pointer: Pointer, offset: Any, *, aligned: bool) -> Any:
        return self._builder.load(
            self._vector_at(pointer, offset), align=VECTOR_BYTES if aligned else self._itemsize
        )

    def store(self, pointer: Pointer, offset: Any, vector: Any) -> None:
        self._builder.store(vector, self._vector_at(pointer, offset), align=VECTOR_BYTES)

    def _vector_at(self, pointer: Pointer, offset: Any) -> Pointer:
        address = self._builder.gep(pointer, [offset])
        return self._builder.bitcast(address, self.vector.as_pointer())


def _whole(number: int) -> Any:
    return ir.Constant(ir.IntType(64), number)


def _loop(builder: Any, count: Any, sums: list[Any], step: Any) -> list[Any]:
    """The sums after step(number, sums) for number from 0; count is at least 1."""
    before = builder.block
    body = builder.append_basic_block("sum")
    after = builder.append_basic_block("summed")
    builder.branch(body)
    builder.position_at_end(body)
    number = builder.phi(count.type)
    number.add_incoming(_whole(0), before)
    kept = [builder.phi(s.type) for s in sums]
    for phi, s in zip(kept, sums, strict=True):
        phi.add_incoming(s, before)
    results: list[Any] = step(number, kept)
    following = builder.add(number, _whole(1))
    number.add_incoming(following, body)
    for phi, s in zip(kept, results, strict=True):
        phi.add_incoming(s, body)
    builder.cbranch(builder.icmp_signed("<", following, count), body, after)
    builder.position_at_end(after)
    return results


@intrinsic(prefer_literal=True)
def put_products(typing, M, to, queries, R, places, first, step, d, rows):
    """Scores of `rows` vectors of queries with SHIFTS keys each.

    M[to + (k ROWS + r) lanes] = b + sum over c of q[c, r] k[c], for shift k and row r. Queries lie
    at M[queries + (c ROWS + r) lanes]; the bias b and then, each `step` further on, a key's numbers
    from R[places[first + k]] on.
    """
    several = rows.literal_value

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        scores = _Scores(context, builder, (M, R, places), values, several)
        sums = [bias for bias in scores.biases for _ in range(several)]
        scores.put(scores.summed(sums, squared=False))
        return context.get_dummy_value()

    whole = types.intp
    return types.void(M, whole, whole, R, places, whole, whole, whole, rows), code


@intrinsic(prefer_literal=True)
def put_distances(
    typing, M, to, queries, R, places, first, step, d, factor, noise, least, masked, rows
):
    """Scores of distances: b + min(noise - factor * sum of (q[c, r] - k[c])^2, 0).

    Where that is below `least` it is `masked`.
    """
    scalar, several = M.dtype, rows.literal_value

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        scores = _Scores(context, builder, (M, R, places), values, several)
        vector = scores.memory.vector
        zero = ir.Constant(vector, None)
        by, most, lowest, beyond = (
            spread_out(builder, values[k], vector.count) for k in range(8, 12)
        )
        sums = scores.summed([zero] * (SHIFTS * several), squared=True)
        results: list[Any] = []
        for k, distance in enumerate(sums):
            s = builder.fsub(most, builder.fmul(distance, by, flags=FASTMATH), flags=FASTMATH)
            below = builder.fcmp_ordered("<", s, zero, flags=FASTMATH)
            s = builder.select(below, s, zero)
            s = builder.fadd(s, scores.biases[k // several], flags=FASTMATH)
            kept = builder.fcmp_ordered(">=", s, lowest, flags=FASTMATH)
            results.append(builder.select(kept, s, beyond))
        scores.put(results)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(
        M, whole, whole, R, places, whole, whole, whole, scalar, scalar, scalar, scalar, rows
    ), code


class _Scores:
    """What products and distances have in common, of the arguments that they share."""

    def __init__(
        self, context: Any, builder: Any, arrays: tuple[Any, Any, Any], values: Any, rows: int
    ) -> None:
        M, R, places = arrays
        self._builder, self._rows = builder, rows
        self.memory = _Memory(context, builder, M, values[0])
        self._keys = _Memory(context, builder, R, values[3])
        list_ = cgutils.create_struct_proxy(places)(context, builder, value=values[4]).data
        self._begins = [
            self._keys.at(builder.load(builder.gep(list_, [builder.add(values[5], _whole(k))])))
            for k in range(SHIFTS)
        ]
        self._to, self._query = self.memory.at(values[1]), self.memory.at(values[2])
        self._step, self._d = values[6], values[7]
        self.biases = [self._keys.load(begin, _whole(0), aligned=False) for begin in self._begins]

    def summed(self, sums: list[Any], *, squared: bool) -> list[Any]:
        """The sums with all d terms added, SHIFTS times `rows` of them."""
        builder, lanes = self._builder, self.memory.lanes

        def multiply(number: Any, sums: list[Any]) -> list[Any]:
            here = builder.mul(number, _whole(ROWS * lanes))
            there = builder.mul(builder.add(number, _whole(1)), self._step)
            queries = [
                self.memory.load(self._query, builder.add(here, _whole(r * lanes)), aligned=True)
                for r in range(self._rows)
            ]
            results: list[Any] = []
            for begin in self._begins:
                key = self._keys.load(begin, there, aligned=False)
                for query in queries:
                    a, b = query, key
                    if squared:
                        a = b = builder.fsub(query, key, flags=FASTMATH)
                    product = builder.fmul(a, b, flags=FASTMATH)
                    results.append(builder.fadd(sums[len(results)], product, flags=FASTMATH))
            return results

        return _loop(builder, self._d, sums, multiply)

    def put(self, scores: list[Any]) -> None:
        for number, s in enumerate(scores):
            place = number // self._rows * ROWS + number % self._rows
            self.memory.store(self._to, _whole(place * self.memory.lanes), s)


@intrinsic(prefer_literal=True)
def add_values(typing, M, sums, shrink, weights, count, R, places, values_at, step, rows, channels):
    """Weighted sums of the values of `count` keys in `rows` vectors, for so many channels.

    sums[c, r] = shrink[r] sums[c, r] + sum over k of w[k, r] v[k, c], with sums at
    M[sums + (c ROWS + r) lanes], shrink at M[shrink + r lanes], w at
    M[weights + (k ROWS + r) lanes] and v at R[places[k] + values_at + c step].
    """
    several, wide = rows.literal_value, channels.literal_value

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        put, keys = (_Memory(context, builder, array, values[k]) for array, k in ((M, 0), (R, 5)))
        lanes = put.lanes
        target, weight = put.at(values[1]), put.at(values[3])
        list_ = cgutils.create_struct_proxy(places)(context, builder, value=values[6]).data
        begins = [
            keys.at(builder.add(values[7], builder.mul(values[8], _whole(c)))) for c in range(wide)
        ]
        shrunk = [
            put.load(put.at(values[2]), _whole(r * lanes), aligned=True) for r in range(several)
        ]
        before = [
            builder.fmul(
                put.load(target, _whole((c * ROWS + r) * lanes), aligned=True),
                shrunk[r],
                flags=FASTMATH,
            )
            for c in range(wide)
            for r in range(several)
        ]

        def multiply(number: Any, sums: list[Any]) -> list[Any]:
            here = builder.mul(number, _whole(ROWS * lanes))
            place = builder.load(builder.gep(list_, [number]))
            w = [
                put.load(weight, builder.add(here, _whole(r * lanes)), aligned=True)
                for r in range(several)
            ]
            results: list[Any] = []
            for c, begin in enumerate(begins):
                v = keys.load(begin, place, aligned=False)
                for r in range(several):
                    product = builder.fmul(w[r], v, flags=FASTMATH)
                    results.append(builder.fadd(sums[c * several + r], product, flags=FASTMATH))
            return results

        after = _loop(builder, values[4], before, multiply)
        for c in range(wide):
            for r in range(several):
                put.store(target, _whole((c * ROWS + r) * lanes), after[c * several + r])
        return context.get_dummy_value()

    whole = types.intp
    return types.void(M, whole, whole, whole, whole, R, places, whole, whole, rows, channels), code


@intrinsic
def gather(typing, array, first, stride):
    """A vector of array[first], array[first + stride] and so on."""
    whole = types.intp

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        memory = _Memory(context, builder, array, values[0])
        vector = ir.Constant(memory.vector, ir.Undefined)
        index = values[1]
        for lane in range(memory.lanes):
            number = builder.load(memory.at(index))
            vector = builder.insert_element(vector, number, ir.Constant(ir.IntType(32), lane))
            index = builder.add(index, values[2])
        return vector

    lanes = VECTOR_BYTES * 8 // array.dtype.bitwidth
    return Vector(array.dtype, lanes)(array, whole, whole), code


@intrinsic
def put_past(typing, array, index, vector):
    """Store at array[index], a multiple of 64 bytes, past the caches: they would read it first."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        memory = _Memory(context, builder, array, values[0])
        pointer = builder.bitcast(memory.at(values[1]), memory.vector.as_pointer())
        put = builder.store(values[2], pointer, align=VECTOR_BYTES)
        one = ir.Constant(ir.IntType(32), 1)
        put.set_metadata("nontemporal", builder.module.add_metadata([one]))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic
def fetch(typing, array, index):
    """Ask for the cache line of array[index]."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _Memory(context, builder, array, values[0]).at(values[1])
        bytes_, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [bytes_, number, number, number])
        name = "llvm.prefetch.p0"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        read, level, data = (ir.Constant(number, k) for k in (0, 2, 1))
        builder.call(function, [builder.bitcast(pointer, bytes_), read, level, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), code
