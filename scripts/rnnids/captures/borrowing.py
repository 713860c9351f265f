"""Arrays in compiled loops without the counting of their references.

numba counts who holds an array, atomically, wherever one is handed on, even to a function that is inlined: four such
operations a packet took two thirds of the time of parsing it.
"""

from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def borrowed(_, array):
    """The same array to compiled code, uncounted: it must not outlive `array`, which the caller holds."""

    def generate(context, builder, signature, arguments):
        view = cgutils.create_struct_proxy(array)(context, builder, value=arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        return view._getvalue()

    return array(array), generate
