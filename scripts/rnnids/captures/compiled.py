"""What compiled loops share: types of arguments, arrays without the counting of their references, numbers in bytes."""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic

from rnnids.machine_code import njit

Integer: TypeAlias = int | np.integer
# A row of a structured array. In compiled code its fields are attributes, which no type checker knows.
Record: TypeAlias = Any


def _borrowed(_: Any, array: Any) -> tuple[Any, Callable]:
    """How numba compiles :data:`borrowed`: the type of the call, and a function that writes its code."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = cgutils.create_struct_proxy(array)(context, builder, value=arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        return view._getvalue()

    return array(array), generate


# The same array to compiled code, uncounted: it must not outlive the one given, which the caller holds. numba counts
# who holds an array, atomically, wherever one is handed on, even to a function that is inlined: four such operations a
# packet took two thirds of the time of parsing it.
borrowed = cast(Callable[[np.ndarray], np.ndarray], intrinsic(_borrowed))


# Offsets are made unsigned here: numba then drops its test for negative indices, and the compiler
# turns the bytes into one load. `inline`, here and on the common path of a packet, saves the
# reference counting of the buffer at each call: a third of the time.
@njit(cache=True, nogil=True, inline="always")
def big16(buffer: np.ndarray, at: Integer) -> Integer:
    """Unsigned big-endian 16-bit number at byte `at`."""
    at = np.uint64(at)
    return (np.int64(buffer[at]) << 8) | np.int64(buffer[at + np.uint64(1)])


@njit(cache=True, nogil=True, inline="always")
def big32(buffer: np.ndarray, at: Integer) -> Integer:
    """Unsigned big-endian 32-bit number at byte `at`, as uint64."""
    at = np.uint64(at)
    return (
        (np.uint64(buffer[at]) << np.uint64(24))
        | (np.uint64(buffer[at + np.uint64(1)]) << np.uint64(16))
        | (np.uint64(buffer[at + np.uint64(2)]) << np.uint64(8))
        | np.uint64(buffer[at + np.uint64(3)])
    )


@njit(cache=True, nogil=True, inline="always")
def big64(buffer: np.ndarray, at: Integer) -> Integer:
    """Unsigned big-endian 64-bit number at byte `at`."""
    return (big32(buffer, at) << np.uint64(32)) | big32(buffer, at + 4)


@njit(cache=True, nogil=True, inline="always")
def little16(buffer: np.ndarray, at: Integer) -> Integer:
    """Unsigned little-endian 16-bit number at byte `at`."""
    return np.int64(buffer[at]) | (np.int64(buffer[at + 1]) << 8)


@njit(cache=True, nogil=True, inline="always")
def little32(buffer: np.ndarray, at: Integer) -> Integer:
    """Unsigned little-endian 32-bit number at byte `at`."""
    return little16(buffer, at) | (little16(buffer, at + 2) << 16)
