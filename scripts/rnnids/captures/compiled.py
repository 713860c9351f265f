"""What compiled loops share: the types of what they are given, and arrays without the counting of their references."""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic

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
