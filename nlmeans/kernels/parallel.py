"""prange around a kernel that is compiled by itself, called by its address.

A kernel called by name from a parallel function is compiled into it and into what Numba wraps
around that: LLVM handles the same code three times, 5 s of compiling for the window kernel. It
would also be compiled twice, for there has to be a serial one.
"""

from typing import Any

from numba import njit, prange, types
from numba.core import cgutils
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic


def address_of(kernel: Dispatcher, signature: tuple[Any, ...]) -> int:
    """Address of the machine code that the kernel has been compiled to for a signature."""
    compiled = kernel.overloads[signature]
    address: int = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return address


@njit(parallel=True, nogil=True)
def call_workers(address, workers, arguments):
    """kernel(*arguments) by so many workers, in parallel.

    The loop is given one pointer: Numba wraps each array by itself, 0.4 s for those of a kernel.
    """
    kept = _keep(arguments)
    for _ in prange(workers):
        _call(address, kept)


@njit(nogil=True)
def call_one(address, workers, arguments):
    """kernel(*arguments) by a single worker: called as `call_workers` is."""
    _call(address, _keep(arguments))


@intrinsic
def claim(typing: Any, taken: Any) -> Any:
    """The number, from 0 on, that no other worker has been given: taken[0], which goes up by one.

    Tiles dealt out beforehand would all wait for the slowest core.
    """

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = cgutils.create_struct_proxy(taken)(context, builder, value=values[0]).data
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", data, one, "monotonic")

    return types.int64(taken), code


@intrinsic
def _keep(typing: Any, arguments: Any) -> Any:
    """A pointer to the tuple, which lies on the stack."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        model = context.data_model_manager[arguments]
        return cgutils.alloca_once_value(builder, model.as_data(builder, values[0]))

    return types.CPointer(arguments)(arguments), code


@intrinsic
def _call(typing: Any, address: Any, arguments: Any) -> Any:
    """Call the function there, whose arguments are of these very types and which returns None."""
    given = arguments.dtype.types

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        convention = context.call_conv
        function = convention.get_function_type(types.none, given).as_pointer()
        model = context.data_model_manager[arguments.dtype]
        whole = model.load_from_data_pointer(builder, values[1])
        status, _ = convention.call_function(
            builder,
            builder.inttoptr(values[0], function),
            types.none,
            given,
            cgutils.unpack_tuple(builder, whole),
        )
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(address, arguments), code
